"""What is not needed, what bytecode costs, and what would not load there."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import py_compile
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.package import Finding, weigh
from emulator.package.binaries import Binary
from emulator.package.bytecode import COMPILE_S_PER_BYTE
from emulator.package.imports import _IMPORT_LINE, Import, _is_plain, _statements, by_line
from emulator.package.loading import judge, judge_names
from emulator.package.runtimes import glibc, magic
from emulator.package.tree import Entry, read
from emulator.package_report import as_dict, as_text
from tests.packages import Files, config_of, fill, installed

OWN = f"python{sys.version_info.major}.{sys.version_info.minor}"
TAG = f"cpython-{sys.version_info.major}{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def found(folder: Path, code: str, **how: Any) -> list[Finding]:  # noqa: ANN401 - FunctionConfig's own
    """The findings of one code, with app.handler as the handler."""
    config = config_of(folder, **{"handler": "app.handler", **how})
    return [one for one in weigh(config).findings if one.code == code]


def subjects(findings: list[Finding]) -> set[str]:
    """What they are about."""
    return {one.subject for one in findings}


# ---- imports ---------------------------------------------------------------------------------------------------------


def test_what_is_never_imported(tmp_path: Path) -> None:
    """Straight, from, relative, in functions, written-out names: all count; under TYPE_CHECKING, none."""
    packages: dict[str, str | bytes | int] = {}
    for name in ("one", "two", "three", "four", "five", "six", "seven"):
        packages |= installed(name, "1", {f"{name}/__init__.py": "x = 1\n" * 400, f"{name}/sub.py": "import seven\n"})
    app = """
import one
from two import sub
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import five
def handler(event, context):
    import three.sub
    import importlib
    importlib.import_module("four")
"""
    code = fill(tmp_path / "code", {**packages, "app.py": app})
    unused = found(code, "unused")
    assert subjects(unused) == {"five", "six"}
    assert all(one.removable and one.bytes and one.bytes > 2000 for one in unused)


def test_a_name_made_at_run_time_makes_all_uncertain(tmp_path: Path) -> None:
    """One's own code may import anything."""
    app = "import importlib\ndef handler(e, c):\n    importlib.import_module(e['m'])\n"
    code = fill(tmp_path / "code", {**installed("one", "1", {"one.py": "x = 1\n"}), "app.py": app})
    (only,) = found(code, "unused")
    assert not only.removable
    assert "made at run time" in only.message


def test_requirements_of_compiled_code_are_uncertain(tmp_path: Path) -> None:
    """Where it names them; and what those require."""
    native = f"fast/_native.{TAG}-x86_64-linux-gnu.so"
    files = installed(
        "fast", "1", {"fast/__init__.py": "from fast import _native\n", native: b"..helper.."}, requires="helper idle"
    )
    files |= installed("helper", "1", {"helper.py": "import base\n"}, requires="base")
    files |= installed("base", "1", {"base.py": ""}) | installed("idle", "1", {"idle.py": ""})
    code = fill(tmp_path / "code", {**files, "app.py": "import fast\n"})
    assert {one.subject: one.removable for one in found(code, "unused", runtime=OWN)} == {
        "helper": False,
        "base": False,
        "idle": True,
    }


def test_an_optional_import_of_a_package_is_uncertain(tmp_path: Path) -> None:
    """`try: import x` goes on without; one that raises again does not."""
    text = "try:\n    import extra\nexcept ImportError:\n    extra = None\n"
    text += "try:\n    import firm\nexcept ImportError as error:\n    raise RuntimeError from error\n"
    files = installed("main", "1", {"main.py": text}) | installed("extra", "1", {"extra.py": ""})
    files |= installed("firm", "1", {"firm.py": ""})
    code = fill(tmp_path / "code", {**files, "app.py": "import main\n"})
    (only,) = found(code, "unused")
    assert (only.subject, only.removable) == ("extra", False)
    assert "main imports it where it is there" in only.message


def test_parts_of_packages_that_are_never_imported(tmp_path: Path) -> None:
    """Folders of modules of which none is reached, whole; not where the package imports by computed names."""
    files: Files = {
        "big/__init__.py": "from big import used\n",
        "big/used/__init__.py": "",
        "big/tools/__init__.py": "import os\n",
        "big/tools/deep/x.py": "x = 1\n",
        "big/tools/table.json": 500,
        "big/data/only.json": 500,
    }
    code = fill(tmp_path / "code", {**installed("big", "1", files), "app.py": "import big\n"})
    (only,) = found(code, "unused-part")
    assert (only.subject, only.count) == ("big/tools/", 3)
    (code / "big" / "__init__.py").write_text(
        "import importlib\nfrom big import used\nimportlib.import_module(f'big.{used}')\n"
    )
    assert found(code, "unused-part") == []


def test_without_a_handler_all_own_code_is_a_root(tmp_path: Path) -> None:
    """As for a bare path."""
    files = installed("one", "1", {"one.py": ""}) | installed("two", "1", {"two.py": ""})
    code = fill(tmp_path / "code", {**files, "src/deep.py": "import one\n"})
    assert subjects(found(code, "unused", handler="")) == {"two"}


def test_a_handler_that_is_not_there(tmp_path: Path) -> None:
    """In the words of Lambda's runtime."""
    code = fill(tmp_path / "code", {"src/app.py": ""})
    (only,) = found(code, "handler")
    assert only.level == "error"
    assert only.message == "Unable to import module 'app': No module named 'app'"
    assert found(code, "handler", handler="src/app.handler") == []


def test_a_handler_that_wraps_ones_own(tmp_path: Path) -> None:
    """One that was installed calls what a variable names: all own code is a root."""
    files = installed("wrap", "1", {"wrap.py": ""}) | installed("one", "1", {"one.py": ""})
    files |= installed("two", "1", {"two.py": ""})
    code = fill(tmp_path / "code", {**files, "app.py": "import one\n"})
    assert subjects(found(code, "unused", handler="wrap.handler")) == {"two"}


def test_layers_are_on_the_path(tmp_path: Path) -> None:
    """Below python/ and its site-packages; a package in the code hides one in a layer."""
    one = {f"python/{path}": text for path, text in installed("one", "1", {"one.py": "import two\n"}).items()}
    site = "python/lib/python3.13/site-packages"
    two = {f"{site}/{path}": text for path, text in installed("two", "1", {"two.py": ""}).items()}
    three = {f"{site}/{path}": text for path, text in installed("three", "1", {"three.py": ""}).items()}
    code = fill(tmp_path / "code", {"app.py": "import one\n"})
    layer = fill(tmp_path / "layer", {**one, **two, **three})
    weight = weigh(config_of(code, layer, handler="app.handler"))
    assert {finding.subject for finding in weight.findings if finding.code == "unused"} == {"three"}


@pytest.mark.parametrize(
    "name", ["json/__init__.py", "argparse.py", "asyncio/__init__.py", "concurrent/futures/process.py", "tarfile.py"]
)
def test_lines_say_what_the_parser_says(name: str) -> None:
    """Where every import stands at the start of a line, the file is not parsed."""
    source = (Path(os.__file__).parent / name).read_bytes()
    lines = [line for line in _IMPORT_LINE.finditer(source) if _is_plain(source, line)]
    parsed = {one for one in _statements(ast.parse(source).body, eager=True) if one.eager and not one.optional}
    assert {one for one in by_line(lines) if "*" not in one.names} <= parsed
    assert lines


@given(
    names=st.lists(st.sampled_from(["a", "b_c", "D1"]), min_size=1, max_size=3),
    level=st.integers(0, 2),
    paren=st.booleans(),
)
def test_a_line_is_read_as_the_parser_reads_it(names: list[str], level: int, paren: bool) -> None:  # noqa: FBT001 - drawn
    """With brackets over many lines, comments and other names."""
    listed = ", # why\n    ".join(f"{name} as x{name}" for name in names) if paren else ", ".join(names)
    bracketed = f"({listed},)" if paren else listed
    text = f"from {'.' * level}pkg.mod import {bracketed}\nimport os.path as p, {names[0]}\n".encode()
    lines = list(_IMPORT_LINE.finditer(text))
    assert all(_is_plain(text, line) for line in lines)
    wanted = {
        Import(module=o.module, names=o.names, level=o.level, eager=True)
        for o in _statements(ast.parse(text).body, eager=True)
    }
    got = set(by_line(lines))
    assert {(o.module, o.level) for o in wanted} == {(o.module, o.level) for o in got}
    assert {name for o in wanted for name in o.names} <= {name for o in got for name in o.names}


# ---- what else is not needed -----------------------------------------------------------------------------------------


def test_kinds_of_files_that_nothing_reads(tmp_path: Path) -> None:
    """Each file is told once; one's own tests and headers are one's own business; licences stay."""
    files: Files = {
        "big/__init__.py": "",
        "big/tests/test_a.py": 100,
        "big/tests/a.pyi": 1,
        "big/py.typed": 0,
        "big/api.pyi": 200,
        "big/include/big.h": 300,
        "big-1.dist-info/licenses/LICENSE": 50,
        "bin/big": "#!/usr/bin/python\n",
    }
    own: Files = {"tests/data.json": 7, "native.h": 8, ".git/config": 20, ".DS_Store": 5, "app.py": "import big\n"}
    code = fill(tmp_path / "code", {**installed("big", "1", files), **own})
    weight = weigh(config_of(code, handler="app.handler"))
    told = {one.code: one for one in weight.findings if one.removable}
    assert {code: one.bytes for code, one in told.items()} == {
        "tests": 101,
        "stubs": 200,
        "headers": 300,
        "metadata": 4,
        "scripts": 18,
        "left-over": 25,
    }
    assert weight.removable_bytes == 648


def test_tests_that_are_imported_are_needed(tmp_path: Path) -> None:
    """Some packages keep helpers there."""
    files: Files = {
        "big/__init__.py": "from big.tests import helper\n",
        "big/tests/helper.py": "",
        "big/tests/data": 10,
    }
    code = fill(tmp_path / "code", {**installed("big", "1", files), "app.py": "import big\n"})
    assert found(code, "tests") == []


def elf(tag: bytes = b"") -> bytes:
    """Bytes that begin as an ELF file does and are none."""
    return b"\x7fELF" + tag * 3000


def test_the_same_library_twice(tmp_path: Path) -> None:
    """Told, and not removed where nothing says which of them is looked for."""
    files: Files = {
        "big/__init__.py": "",
        "big/liba.so": elf(b"1"),
        "big/libb.so": elf(b"1"),
        "big/libc2.so": elf(b"2"),
    }
    code = fill(tmp_path / "code", {**installed("big", "1", files), "app.py": "import big\n"})
    (only,) = found(code, "duplicate")
    assert (only.bytes, only.removable) == (3004, False)


# ---- bytecode --------------------------------------------------------------------------------------------------------


def compiled(path: Path, mode: py_compile.PycInvalidationMode) -> Path:
    """The .pyc of our own Python."""
    made = py_compile.compile(str(path), doraise=True, invalidation_mode=mode)
    assert made is not None
    return Path(made)


UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH
CHECKED = py_compile.PycInvalidationMode.CHECKED_HASH
TIMED = py_compile.PycInvalidationMode.TIMESTAMP


@pytest.mark.parametrize(
    ("mode", "change", "expected"),
    [
        (UNCHECKED, "", set()),
        (UNCHECKED, "text", set()),
        (CHECKED, "", set()),
        (CHECKED, "text", {"pyc-stale", "bytecode"}),
        (TIMED, "", {"pyc-timed"}),
        (TIMED, "time", {"pyc-stale", "bytecode"}),
        (TIMED, "text", {"pyc-stale", "bytecode"}),
        (UNCHECKED, "magic", {"pyc-stale", "bytecode"}),
        (UNCHECKED, "cut", {"pyc-stale", "bytecode"}),
        (UNCHECKED, "remove", {"pyc-missing"}),
        (UNCHECKED, "other", {"pyc-missing", "bytecode"}),
    ],
)
def test_bytecode_that_python_would_take(
    tmp_path: Path, mode: py_compile.PycInvalidationMode, change: str, expected: set[str]
) -> None:
    """Python's own rules: importlib's header, with a hash or a time."""
    code = fill(tmp_path / "code", {"app.py": "x = 1\n" * 4000})
    cached = compiled(code / "app.py", mode)
    if change == "text":
        (code / "app.py").write_text("y = 2\n" * 4001)
    elif change == "time":
        os.utime(code / "app.py", (1, 1))
    elif change == "magic":
        cached.write_bytes(b"\0\0\r\n" + cached.read_bytes()[4:])
    elif change == "cut":
        cached.write_bytes(cached.read_bytes()[:10])
    elif change == "remove":
        cached.unlink()
    elif change == "other":
        cached.rename(cached.with_name("app.cpython-37.pyc"))
    weight = weigh(config_of(code, runtime=OWN, handler="app.handler", memory_mb=256))
    assert {one.code for one in weight.findings} == expected


def test_bytecode_is_priced_where_a_cold_start_imports_it(tmp_path: Path) -> None:
    """By bytes of source; what only a dependency's function imports is not; by the share of the memory size."""
    eager, lazy = "x = 1\n" * 100_000, "y = 1\n" * 200_000
    files = installed("dep", "1", {"dep.py": eager + "def f():\n    import later\n"}) | installed(
        "later", "1", {"later.py": lazy}
    )
    code = fill(tmp_path / "code", {**files, "app.py": "import dep\n"})
    (only,) = found(code, "pyc-missing", memory_mb=256)
    imported = (code / "dep.py").stat().st_size + (code / "app.py").stat().st_size
    assert only.cpu_seconds == pytest.approx(imported * COMPILE_S_PER_BYTE)
    assert only.count == 3
    assert only.level == "warning"
    assert f"{imported * COMPILE_S_PER_BYTE * 1769 / 256:.2f} s where" in only.message


@pytest.mark.parametrize(
    ("files", "handler", "words"),
    [
        (("app", "b"), "app.handler", "a cold start imports 1 of them and compiles it each time, in"),
        (("app",), "app.handler", "a cold start imports it and compiles it each time, in"),
        (
            ("a", "b"),
            "nope.handler",
            "the handler's module is not there, so all are taken to be imported: a cold start ",
        ),
        (("a",), "nope.handler", "the handler's module is not there, so it is taken to be imported: a cold start "),
    ],
)
def test_what_is_compiled_is_said_in_a_sentence(
    tmp_path: Path, files: tuple[str, ...], handler: str, words: str
) -> None:
    """One or several, with a handler that can be followed and with one that is not there."""
    code = fill(tmp_path / "code", {f"{name}.py": "def handler(event, context): return event\n" for name in files})
    weight = weigh(config_of(code, runtime=OWN, handler=handler))
    (only,) = [one for one in weight.findings if one.code == "pyc-missing"]
    assert only.message.startswith(words)


def test_the_magic_numbers_of_pythons() -> None:
    """Ours is right, which says that the table is read right."""
    assert magic(sys.version_info.minor) == importlib.util.MAGIC_NUMBER
    assert magic(99) is None


# ---- loading ---------------------------------------------------------------------------------------------------------


def entry(path: str) -> Entry:
    """A file that is nowhere."""
    return Entry(path=path, kind="file", size=10, mode=0o644, mtime_ns=0, ctime_ns=0)


@pytest.fixture
def binary(tmp_path: Path) -> Binary:
    """A library that loads anywhere."""
    tree = read(fill(tmp_path / "any", {"x": 1}), "code")
    return Binary(
        tree=tree, entry=entry("pkg/x.so"), system="Linux", machine="x86_64", needed=("libc.so.6", "libstdc++.so.6")
    )


@pytest.mark.parametrize(
    ("change", "runtime", "expected"),
    [
        ({}, "python3.13", None),
        ({"machine": "arm64"}, "python3.13", ("error", "machine")),
        ({"system": "macOS"}, "python3.13", ("error", "system")),
        ({"fault": "cut"}, "python3.13", ("error", "elf")),
        ({"needed": ("libc.musl-x86_64.so.1",)}, "python3.13", ("error", "musl")),
        ({"glibc": (2, 34)}, "python3.12", None),
        ({"glibc": (2, 35)}, "python3.12", ("error", "glibc")),
        ({"glibc": (2, 26)}, "python3.11", None),
        ({"glibc": (2, 27)}, "python3.11", ("error", "glibc")),
        ({"glibc": (2, 26)}, "provided.al2", None),
        ({"glibc": (2, 27)}, "provided.al2", ("error", "glibc")),
        ({"glibc": (2, 34)}, "provided.al2023", None),
        ({"entry": entry("x.cpython-313-x86_64-linux-gnu.so")}, "python3.13", None),
        ({"entry": entry("x.cpython-312-x86_64-linux-gnu.so")}, "python3.13", ("error", "abi")),
        ({"entry": entry("x.cpython-313t-x86_64-linux-gnu.so")}, "python3.13", ("error", "abi")),
        ({"entry": entry("x.abi3.so")}, "python3.13", None),
        ({"needed": ("libGL.so.1",)}, "python3.13", ("error", "library")),
        ({"needed": ("libgomp.so.1",)}, "python3.13", ("error", "library")),
        ({"needed": ("libodd.so.3",)}, "python3.13", ("warning", "library")),
        ({"needed": ("libpython3.13.so.1.0", "libm.so.6")}, "python3.13", None),
    ],
)
def test_what_would_not_load(
    binary: Binary, change: dict[str, Any], runtime: str, expected: tuple[str, str] | None
) -> None:
    """The first reason, at the edge of each version."""
    judged = list(judge(config_of(Path(), runtime=runtime), [replace(binary, **change)]))
    assert [(one.level, one.code) for one in judged] == ([expected] if expected else [])


def test_a_library_of_the_package_is_found(binary: Binary) -> None:
    """By file name or by soname, wherever it lies."""
    needs = replace(binary, needed=("libown-1.so.1",))
    by_name = replace(binary, entry=entry("pkg.libs/libown-1.so.1"))
    by_soname = replace(binary, entry=entry("pkg.libs/libown.so"), soname="libown-1.so.1")
    config = config_of(Path())
    assert list(judge(config, [needs, by_name])) == list(judge(config, [needs, by_soname])) == []
    assert [one.code for one in judge(config, [needs])] == ["library"]


def test_a_module_for_several_pythons_loads_on_each(binary: Binary) -> None:
    """Some packages bring them all."""
    pair = [replace(binary, entry=entry(f"x.cpython-{tag}-x86_64-linux-gnu.so")) for tag in ("312", "313")]
    assert list(judge(config_of(Path(), runtime="python3.12"), pair)) == []
    assert len(list(judge(config_of(Path(), runtime="python3.11"), pair))) == 2


def test_the_c_library_of_each_runtime() -> None:
    """Amazon Linux 2 has 2.26, Amazon Linux 2023 has 2.34."""
    old, new = ("python3.9", "python3.11", "provided.al2"), ("python3.12", "python3.14", "provided.al2023")
    assert {glibc(name) for name in old} == {(2, 26)}
    assert {glibc(name) for name in new} == {(2, 34)}


def test_names_and_permissions(tmp_path: Path) -> None:
    """Others read files and enter folders; names differ in more than case."""
    code = fill(tmp_path / "code", {"Model.bin": 1, "model.BIN": 1, "a/b.py": 1, "secret": 1})
    (code / "secret").chmod(0o640)
    (code / "a").chmod(0o750)
    judged = {one.code: one for one in judge_names([read(code, "code")])}
    assert judged["case"].count == 2
    assert judged["permission"].level == "error"
    assert set(judged["permission"].paths) == {"secret", "a"}


# ---- telling ---------------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(width=st.integers(60, 120), top=st.integers(1, 5))
def test_the_text_fits_the_terminal(width: int, top: int) -> None:
    """But for paths, which are not broken; no colour is needed."""
    with tempfile.TemporaryDirectory() as folder:
        files = installed("one", "1", {"one.py": 200_000}) | installed("two", "1", {"two.py": 3000})
        code = fill(Path(folder) / "code", {**files, "app.py": "import two\n"})
        text = as_text(weigh(config_of(code, handler="app.handler"), zipped=True), top=top, width=width)
        assert "\x1b" not in text
        assert all(len(line) <= width for line in text.splitlines())
        assert "unzipped, all together" in text
        assert "one: installed and never imported" in text


def test_the_object_is_json(tmp_path: Path) -> None:
    """Everything, with what was not measured null."""
    code = fill(tmp_path / "code", {"model.bin": 262_144_000})
    told = json.loads(json.dumps(as_dict(weigh(config_of(code)))))
    assert told["zipped_bytes"] is None
    assert told["refused"] is True
    assert told["violations"][0]["message"] == "Unzipped size must be smaller than 262144000 bytes"
    assert told["headroom_bytes"] == -1
    assert told["parts"][0]["name"] == "model.bin"
