"""What goes into our base image: the tar archive, bytecode, stripped libraries, and the key that stands for all."""

from __future__ import annotations

import io
import os
import py_compile
import struct
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import BackendError
from emulator.sandbox import interpreters, rootfs
from emulator.sandbox.interpreters import Interpreter
from emulator.sandbox.rootfs import Member

PARTS = st.text("abz-._0", min_size=1, max_size=6).filter(lambda part: part not in {".", ".."})
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


def archive(tree: dict[str, Member]) -> bytes:
    """Write the tree as a tar archive."""
    file = io.BytesIO()
    rootfs.write_tar(tree, file)
    return file.getvalue()


def unpacked(content: bytes) -> dict[str, tarfile.TarInfo]:
    """List an archive's members, in its order."""
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        return {member.name: member for member in opened.getmembers()}


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    """A Python of a few files, none of which runs."""
    stdlib = tmp_path / "prefix/lib/python3.88"
    (stdlib / "lib-dynload").mkdir(parents=True)
    (tmp_path / "prefix/bin").mkdir()
    executable = tmp_path / "prefix/bin/python3.88"
    executable.write_bytes(b"program")
    (stdlib / "os.py").write_text("import sys\n")
    return Interpreter(executable=executable, version=(3, 88, 1), prefix=tmp_path / "prefix", stdlib=stdlib)


@given(contents=st.dictionaries(PATHS, st.binary(max_size=50), max_size=8), data=st.data())
def test_archive_depends_on_content_alone(contents: dict[str, bytes], data: st.DataObject) -> None:
    """The order in which the tree was gathered leaves no trace; every folder comes before what it holds."""
    files = {f"{name}/file": Member(content=content) for name, content in contents.items()}
    shuffled = dict(data.draw(st.permutations(list(files.items()))))
    content = archive(files)
    assert archive(shuffled) == content
    members = unpacked(content)
    assert {name for name, member in members.items() if member.isfile()} == set(files)
    seen: set[str] = {"."}
    for name in members:
        assert str(Path(name).parent) in seen
        seen.add(name)


def test_archive_holds_nothing_of_its_maker(tmp_path: Path) -> None:
    """Owner, time and mode come from the recipe, not from the file that was read."""
    source = tmp_path / "source"
    source.write_bytes(b"text")
    source.chmod(0o600)
    tree = {
        "tmp": Member(mode=0o1777),
        "usr/bin/sh": Member(source=source, mode=0o755),
        "etc/passwd": Member(content=b""),
        "bin": Member(target="usr/bin"),
    }
    members = unpacked(archive(tree))
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members.values()} == {
        (0, 0, "", 946_684_800)
    }
    assert {name: member.mode for name, member in members.items()} == {
        "bin": 0o777,
        "etc": 0o755,
        "etc/passwd": 0o644,
        "tmp": 0o1777,
        "usr": 0o755,
        "usr/bin": 0o755,
        "usr/bin/sh": 0o755,
    }
    assert members["bin"].linkname == "usr/bin"
    assert members["usr/bin/sh"].size == 4


def compiled_pair(tmp_path: Path, mode: py_compile.PycInvalidationMode) -> tuple[Path, Path]:
    """Compile a small module as Python itself would."""
    source = tmp_path / "module.py"
    source.write_text("ANSWER = 42\n")
    cached = Path(py_compile.compile(str(source), str(tmp_path / "module.pyc"), invalidation_mode=mode) or "")
    return cached, source


def test_valid_bytecode_is_taken_over_and_no_longer_checked(tmp_path: Path) -> None:
    """The new header is the one that Python itself writes for `unchecked-hash`; the code is untouched."""
    cached, source = compiled_pair(tmp_path, py_compile.PycInvalidationMode.TIMESTAMP)
    taken = rootfs.unchecked(cached, source)
    wanted, _ = compiled_pair(tmp_path, py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert taken == wanted.read_bytes()


@pytest.mark.parametrize("seconds", [-1, 1])
def test_bytecode_of_another_second_is_not_taken(seconds: int, tmp_path: Path) -> None:
    """One second off is another source."""
    cached, source = compiled_pair(tmp_path, py_compile.PycInvalidationMode.TIMESTAMP)
    seen = source.stat()
    os.utime(source, (seen.st_atime, seen.st_mtime + seconds))
    assert rootfs.unchecked(cached, source) is None


def test_bytecode_of_another_size_is_not_taken(tmp_path: Path) -> None:
    """One byte more is another source, whatever its date."""
    cached, source = compiled_pair(tmp_path, py_compile.PycInvalidationMode.TIMESTAMP)
    seen = source.stat()
    source.write_text("ANSWER = 420\n")
    os.utime(source, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert rootfs.unchecked(cached, source) is None


@pytest.mark.parametrize("length", [0, 15])
def test_bytecode_cut_short_is_not_taken(length: int, tmp_path: Path) -> None:
    """Less than a header is nothing."""
    cached, source = compiled_pair(tmp_path, py_compile.PycInvalidationMode.TIMESTAMP)
    cached.write_bytes(cached.read_bytes()[:length])
    assert rootfs.unchecked(cached, source) is None
    cached.unlink()
    assert rootfs.unchecked(cached, source) is None


def test_hashed_bytecode_is_compiled_anew(tmp_path: Path) -> None:
    """A hash that nobody checked may belong to another source."""
    cached, source = compiled_pair(tmp_path, py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert rootfs.unchecked(cached, source) is None


def elf(mapped: int, rest: int) -> bytes:
    """Make up a 64-bit library: headers, one segment that ends at `mapped`, and what no loader reads."""
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<QQ", header, 0x20, 64, mapped + 8)
    struct.pack_into("<HHHHH", header, 0x36, 56, 1, 64, 30, 29)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, mapped, mapped, 4096)
    return bytes(header) + segment + b"c" * (mapped - 120) + b"d" * rest


@pytest.mark.parametrize(("rest", "kept"), [(65_535, 65_535), (65_536, 0), (65_537, 0), (0, 0)])
def test_debug_information_is_left_behind(rest: int, kept: int) -> None:
    """Cut from 64 KiB on: what the loader maps stays as it is, the section headers are forgotten."""
    library = elf(4096, rest)
    lean = rootfs.without_symbols(library)
    assert len(lean) == 4096 + kept
    assert lean[120:4096] == library[120:4096]
    if rest >= 65_536:
        assert struct.unpack_from("<Q", lean, 0x28) == (0,)
        assert struct.unpack_from("<HH", lean, 0x3C) == (0, 0)
        assert rootfs.without_symbols(lean) == lean


@given(content=st.binary(max_size=100))
def test_what_is_no_library_stays_as_it_is(content: bytes) -> None:
    """Text, scripts and other machines' programs are not touched."""
    assert rootfs.without_symbols(content) == content
    for start in (b"\x7fELF\x01\x01", b"\x7fELF\x02\x01"):
        assert rootfs.without_symbols(start + content) == start + content
    program_of_32_bits = b"\x7fELF\x01\x01" + content + bytes(1 << 17)
    assert rootfs.without_symbols(program_of_32_bits) == program_of_32_bits
    without_segments = elf(4096, 1 << 17)[:0x38] + bytes(2) + elf(4096, 1 << 17)[0x3A:]
    assert rootfs.without_symbols(without_segments) == without_segments


def test_key_is_stable(interpreter: Interpreter) -> None:
    """The same machine has the same key, and another interpreter another one."""
    assert rootfs.key(interpreter) == rootfs.key(interpreter)
    assert rootfs.key(interpreter) != rootfs.key(replace(interpreter, version=(3, 88, 2)))
    assert len(rootfs.key(interpreter)) == 64


@pytest.mark.parametrize("changed", ["executable", "stdlib", "extension", "library"])
def test_key_follows_the_interpreter(changed: str, interpreter: Interpreter) -> None:
    """Whatever an upgrade in place touches makes another image."""
    before = rootfs.key(interpreter)
    places = {
        "executable": interpreter.executable,
        "stdlib": interpreter.stdlib / "os.py",
        "extension": interpreter.stdlib / "lib-dynload/_new.so",
        "library": interpreter.prefix / "lib/libpython3.88.so.1.0",
    }
    places[changed].write_bytes(b"something else")
    assert rootfs.key(interpreter) != before


def test_key_follows_what_is_installed_beside_the_emulator(
    interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another awslambdaric or boto3 makes another image."""
    keys = {rootfs.key(interpreter)}
    monkeypatch.setattr(rootfs, "sdk_version", lambda: "0.0.1")
    keys.add(rootfs.key(interpreter))
    monkeypatch.setattr(interpreters, "client_versions", lambda: {"awslambdaric": "0.0.1"})
    keys.add(rootfs.key(interpreter))
    assert len(keys) == 3


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"\xcf\xfa\xed\xfe" + bytes(200), b""])
def test_program_of_another_system_is_refused(content: bytes, interpreter: Interpreter, tmp_path: Path) -> None:
    """A Mach-O file or a script cannot be put into a Linux image."""
    interpreter.executable.write_bytes(content)
    with pytest.raises(BackendError, match="not a 64-bit Linux program"):
        rootfs.gather(interpreter, tmp_path)


@pytest.mark.parametrize(
    ("loader", "told"), [("/lib/ld-musl-x86_64.so.1", "but on /lib/ld-musl"), ("", "no dynamic loader")]
)
def test_program_without_glibc_is_refused(loader: str, told: str, interpreter: Interpreter, tmp_path: Path) -> None:
    """The wheels of functions are linked against glibc: on musl none would load."""
    program = bytearray(elf(4096, 0))
    if loader:
        name = loader.encode() + b"\0"
        struct.pack_into("<IIQQQQ", program, 64, 3, 4, 1024, 0, 0, len(name))
        program[1024 : 1024 + len(name)] = name
    interpreter.executable.write_bytes(program)
    with pytest.raises(BackendError, match=told):
        rootfs.gather(interpreter, tmp_path)


GLIBC = """\tlinux-vdso.so.1 (0x00007ffd)
\tlibc.so.6 => {home}/libc.so.6 (0x00007f01)
\tlibpython3.88.so.1.0 => {home}/libpython3.88.so.1.0 (0x00007f02)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f03)
"""


def gathered(
    interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], client: Path
) -> dict[str, Member]:
    """Gather with a loader that answers from a table and a compiler that compiles nothing."""
    program = bytearray(elf(4096, 0))
    loader = b"/lib64/ld-linux-x86-64.so.2\0"
    struct.pack_into("<IIQQQQ", program, 64, 3, 4, 1024, 0, 0, len(loader))
    program[1024 : 1024 + len(loader)] = loader
    interpreter.executable.write_bytes(program)

    def run(command: list[object], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, answers.get(Path(str(command[-1])).name, ""))

    monkeypatch.setattr(subprocess, "run", run)
    return rootfs.gather(interpreter, client)


def test_interpreter_moves_to_lambdas_places(
    interpreter: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Lambda has goes along; tests, tools, host packages and host customisation stay behind."""
    for name in (
        "json/__init__.py",
        "test/test_a.py",
        "ctypes/test/t.py",
        "idlelib/idle.py",
        "config-3.88/libpython.a",
    ):
        (interpreter.stdlib / name).parent.mkdir(parents=True, exist_ok=True)
        (interpreter.stdlib / name).write_text("")
    for name in ("site-packages/numpy/__init__.py", "site-packages/evil.pth", "dist-packages/a.py"):
        (interpreter.stdlib / name).parent.mkdir(parents=True, exist_ok=True)
        (interpreter.stdlib / name).write_text("")
    (interpreter.stdlib / "sitecustomize.py").write_text("")
    for name in ("_ssl.so", "_tkinter.so", "_testcapi.so", "_xxsubinterpreters.so"):
        (interpreter.stdlib / "lib-dynload" / name).write_bytes(b"extension")
    client = tmp_path / "client"
    (client / "awslambdaric").mkdir(parents=True)
    (client / "awslambdaric/__main__.py").write_text("")
    monkeypatch.setattr(rootfs, "sdk_files", list)
    home = "/usr/lib/x86_64-linux-gnu"
    tree = gathered(interpreter, monkeypatch, {"python3.88": GLIBC.format(home=home)}, client)
    assert {path for path in tree if path.startswith("var/")} == {
        "var/lang/bin/python",
        "var/lang/bin/python3",
        "var/lang/bin/python3.88",
        "var/lang/lib/libpython3.88.so.1.0",
        "var/lang/lib/python3.88/json/__init__.py",
        "var/lang/lib/python3.88/lib-dynload",
        "var/lang/lib/python3.88/lib-dynload/_ssl.so",
        "var/lang/lib/python3.88/lib-dynload/_xxsubinterpreters.so",
        "var/lang/lib/python3.88/os.py",
        "var/lang/lib/python3.88/site-packages",
        "var/runtime",
        "var/runtime/awslambdaric/__main__.py",
        "var/task",
    }
    assert b"sbx_user1051:x:993:990:" in (tree["etc/passwd"].content or b"")
    assert tree["tmp"].mode == 0o1777


@pytest.mark.parametrize(
    "home", ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib"]
)
def test_libraries_lie_where_this_machines_loader_looks(
    home: str, interpreter: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian, Fedora and Arch: the folder of libc holds all, and `/lib64` leads there, so the loader is found."""
    tree = gathered(interpreter, monkeypatch, {"python3.88": GLIBC.format(home=home)}, tmp_path / "none")
    merged = "usr" + home.removeprefix("/usr")
    assert {f"{merged}/libc.so.6", f"{merged}/libpython3.88.so.1.0", f"{merged}/ld-linux-x86-64.so.2"} <= set(tree)
    assert tree["lib64"].target == "usr/lib64"
    assert merged == "usr/lib64" or tree["usr/lib64"].target == f"/{merged}"
    parents = {str(parent) for path in tree for parent in Path(path).parents}
    assert not [path for path in parents if path in tree and tree[path].target is not None]


def test_extension_that_would_not_load_is_no_obstacle(
    interpreter: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module whose library this machine lacks fails there as it does here; the others are served."""
    (interpreter.stdlib / "lib-dynload/_dbm.so").write_bytes(b"")
    (interpreter.stdlib / "lib-dynload/_ssl.so").write_bytes(b"")
    answers = {
        "python3.88": GLIBC.format(home="/usr/lib64"),
        "_dbm.so": "\tlibdb.so => not found\n\tlibodd.so => /x/libodd.so (0x1)\n",
        "_ssl.so": "\tlibssl.so.3 => /opt/openssl/lib/libssl.so.3 (0x1)\n",
    }
    tree = gathered(interpreter, monkeypatch, answers, tmp_path / "none")
    assert tree["usr/lib64/libssl.so.3"].source == Path("/opt/openssl/lib/libssl.so.3")
    assert "usr/lib64/libodd.so" not in tree


def test_loader_that_says_nothing_is_told(
    interpreter: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without libc there is no image."""
    with pytest.raises(BackendError, match="does not tell what"):
        gathered(interpreter, monkeypatch, {}, tmp_path)
