"""`preflight weigh` and `preflight package` as a user runs them, with wheels made here and real compiled files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from emulator.package import weigh
from emulator.package.binaries import binaries
from emulator.package.install import install
from emulator.package.tree import read
from tests.command import RUNTIME, Done, preflight
from tests.packages import Wheel, config_of, fill

TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
TEMPLATE = """
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/
      Handler: app.handler
      Runtime: {runtime}
      Layers: [!Ref Common]
  Bare:
    Type: AWS::Serverless::Function
    Properties: {{CodeUri: src/, Handler: app.handler, Runtime: {runtime}}}
  Common:
    Type: AWS::Serverless::LayerVersion
    Properties: {{ContentUri: common/}}
"""
APP = "import one\n\n\ndef handler(event, context):\n    return one.ANSWER\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A function with a requirement that has one itself, and a layer with another."""
    wheels = tmp_path / "wheels"
    Wheel(
        name="one",
        version="1.0",
        files={"one/__init__.py": "import two\nANSWER = two.ANSWER\n", "one/tests/t.py": "x\n"},
        requires="two>=1",
    ).write(wheels)
    for version in ("1.0", "2.0"):
        Wheel(
            name="two", version=version, files={"two.py": f"ANSWER = {version}\n", "two.pyi": "ANSWER: float\n"}
        ).write(wheels)
    Wheel(
        name="three", version="1.0", files={"three.py": "'never imported'\n"}, tag=f"{TAG}-{TAG}-manylinux_2_17_x86_64"
    ).write(wheels)
    Wheel(name="newer", version="1.0", files={"newer.py": ""}, tag=f"{TAG}-{TAG}-manylinux_2_39_x86_64").write(wheels)
    Wheel(name="alien", version="1.0", files={"alien.py": ""}, tag=f"{TAG}-{TAG}-macosx_11_0_arm64").write(wheels)
    Wheel(name="future", version="1.0", files={"future_.py": ""}, tag="cp399-cp399-manylinux_2_17_x86_64").write(wheels)
    offline = "--no-index\n--find-links ../wheels\n"
    fill(
        tmp_path,
        {
            "template.yaml": TEMPLATE.format(runtime=RUNTIME),
            "src/app.py": APP,
            "src/requirements.txt": f"{offline}one\n",
            "src/__pycache__/app.cpython-37.pyc": "old",
            "src/.git/config": "[core]\n",
            "common/requirements.txt": f"{offline}three\n",
            "common/helper.py": "x = 1\n",
        },
    )
    return tmp_path


def run(project: Path, *arguments: str | Path) -> Done:
    """In the project's folder."""
    return preflight(*arguments, folder=project)


def names(path: Path) -> list[str]:
    """The zip's members."""
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def listing(folder: Path) -> set[str]:
    """Everything below it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_package_is_built_weighed_and_answers(project: Path) -> None:
    """Code, what it requires and its layer, compiled, in two zips; from them, the function answers."""
    before = listing(project)
    done = run(project, "package", "F", "-o", "out.zip", "--json")
    assert (done.status, done.err) == (0, "")
    assert listing(project) - before == {"out.zip", "out.common.zip"}
    code, layer = names(project / "out.zip"), names(project / "out.common.zip")
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    assert {"app.py", f"__pycache__/app.{tag}.pyc", "one/__init__.py", "two.py", "requirements.txt"} <= set(code)
    assert {"python/three.py", "python/helper.py"} <= set(layer)
    assert not [name for name in code if ".git" in name or "cpython-37" in name or "INSTALLER" in name]
    told = json.loads(done.out)
    assert [one["name"] for one in told["outputs"]] == ["code", "common"]
    assert told["zipped_bytes"] == (project / "out.zip").stat().st_size
    assert told["loads"] is True
    assert not [one for one in told["findings"] if one["code"].startswith("pyc")]
    with zipfile.ZipFile(project / "out.zip") as archive:
        archive.extractall(project / "task")
    script = "import app; print(app.handler(None, None), app.__cached__)"
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=project / "task", capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("2.0 ")


def test_the_same_input_gives_the_same_bytes(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """From another folder, with other times and modes of the files, and with another hash seed."""
    first = json.loads(run(project, "package", "F", "-o", "out.zip", "--json").out)
    other = tmp_path_factory.mktemp("elsewhere") / "project"
    shutil.copytree(project, other, copy_function=shutil.copyfile)
    for path in other.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (other / "src" / "app.py").chmod(0o600)
    done = preflight("package", "F", "-o", "out.zip", "--json", folder=other, environment={"PYTHONHASHSEED": "7"})
    second = json.loads(done.out)
    assert [one["sha256"] for one in first["outputs"]] == [one["sha256"] for one in second["outputs"]]
    again = json.loads(run(project, "package", "F", "-o", "out.zip", "--json").out)
    assert again["outputs"] == first["outputs"]


def test_stripping(project: Path) -> None:
    """What nothing reads goes, what is kept or dropped by name stays or goes."""
    (project / "common" / "requirements.txt").write_text("--no-index\n--find-links ../wheels\nthree\n")
    assert run(project, "package", "F", "-o", "out.zip", "--strip").status == 0
    assert not [name for name in names(project / "out.zip") if "tests/" in name or name.endswith(".pyi")]
    assert "python/three.py" not in names(project / "out.common.zip")
    assert run(project, "package", "F", "-o", "out.zip", "--strip", "--keep", "Three").status == 0
    assert "python/three.py" in names(project / "out.common.zip")
    assert run(project, "package", "Bare", "-o", "out.zip", "--drop", "two").status == 0
    assert "two.py" not in names(project / "out.zip")
    done = run(project, "package", "Bare", "-o", "new.zip", "--drop", "too")
    assert (done.status, done.error) == (2, "--drop too: not in the package")
    assert not (project / "new.zip").exists()


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("newer", "newer"),
        ("alien", "alien"),
        ("future", "future"),
        ("nowhere==9.9", "nowhere"),
        ("one==", "cannot be read"),
        ("one[", "cannot be read"),
        ("two==7", "two"),
    ],
)
def test_requirements_that_cannot_be_met_are_named(project: Path, requirement: str, words: str) -> None:
    """Too new a glibc, another system, another Python, nothing of that name, a slip of the pen; nothing is left."""
    path = project / "src" / "requirements.txt"
    path.write_text(f"--no-index\n--find-links ../wheels\n{requirement}\n")
    before = listing(project)
    done = run(project, "package", "Bare", "-o", "out.zip")
    assert done.status == 2
    assert words in done.error
    assert str(path) in done.error
    assert done.hint
    assert listing(project) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("package", "G"), "no function 'G'"),
        (("package", "F", "-o", "src"), "is a folder"),
        (("package", "F", "-o", "gone/out.zip"), "there is no folder"),
        (("weigh", "gone/away"), "there is no gone/away"),
        (("weigh", "nothing"), "no function 'nothing'"),
        (("weigh", "template.yaml"), "no zip that can be read"),
    ],
)
def test_bad_input_has_one_message(project: Path, arguments: tuple[str, ...], words: str) -> None:
    """Exit status 2, and nothing new."""
    before = listing(project)
    done = run(project, *arguments)
    assert done.status == 2
    assert words in done.error
    assert listing(project) == before


def test_links_are_packed_or_refused(project: Path) -> None:
    """Within, they stay; from outside, what they lead to comes along; to nowhere, they are an error."""
    fill(project / "shared", {"model.bin": "weights", "more/x": "1"})
    (project / "src" / "inner").symlink_to("app.py")
    (project / "src" / "model").symlink_to("../shared")
    assert run(project, "package", "Bare", "-o", "out.zip").status == 0
    assert {"inner", "model/model.bin", "model/more/x"} <= set(names(project / "out.zip"))
    (project / "src" / "gone").symlink_to("nothing")
    done = run(project, "package", "Bare", "-o", "out2.zip")
    assert (done.status, "leads nowhere" in done.error) == (2, True)
    assert not (project / "out2.zip").exists()


def test_the_output_may_lie_in_the_code(project: Path) -> None:
    """It is no part of itself, the second time either."""
    sums = [json.loads(run(project, "package", "Bare", "-o", "src/out.zip", "--json").out)["outputs"] for _ in range(2)]
    assert sums[0] == sums[1]
    assert "out.zip" not in names(project / "src" / "out.zip")


def test_weigh_a_function_a_folder_and_a_zip(project: Path) -> None:
    """One count; a function's name comes before a path's."""
    assert run(project, "package", "Bare", "-o", "out.zip").status == 0
    zipped = json.loads(
        run(project, "weigh", "out.zip", "--json", "--handler", "app.handler", "--runtime", RUNTIME).out
    )
    with zipfile.ZipFile(project / "out.zip") as archive:
        archive.extractall(project / "task")
    folder = json.loads(run(project, "weigh", "./task", "--json", "--runtime", RUNTIME).out)
    assert zipped["unzipped_bytes"] == folder["unzipped_bytes"]
    assert zipped["zipped_bytes"] == (project / "out.zip").stat().st_size
    function = json.loads(run(project, "weigh", "F", "--json", "--no-zip").out)
    assert function["zipped_bytes"] is None
    assert [one["name"] for one in function["archives"]] == ["code", "common"]


def test_a_package_that_is_too_large(project: Path) -> None:
    """AWS's words on standard error, the heaviest parts on standard output, exit status 2."""
    fill(project / "src", {"model.bin": 262_144_000})
    done = run(project, "weigh", "Bare", "--no-zip")
    assert (done.status, done.error) == (2, "Bare: Unzipped size must be smaller than 262144000 bytes")
    assert "model.bin" in done.out
    assert "bytes must go" in " ".join(done.hint.split())


def numpy_folder() -> Path:
    """The installed one."""
    spec = find_spec("numpy")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def test_a_package_that_would_not_load(project: Path) -> None:
    """A module of another Python: exit status 1, and the rest is told all the same."""
    module = next(numpy_folder().rglob("_umath_tests*.so"))
    shutil.copyfile(module, project / "src" / "fast.cpython-39-x86_64-linux-gnu.so")
    done = run(project, "weigh", "Bare", "--no-zip")
    assert done.status == 1
    assert "compiled for Python 3.9" in done.out


def test_real_compiled_files_are_read(tmp_path: Path) -> None:
    """numpy's own: machine, libraries and the C library they ask for; a file that is cut is told."""
    shutil.copytree(numpy_folder(), tmp_path / "numpy")
    found = {one.file.partition(".")[0]: one for one in binaries(read(tmp_path, "code"))}
    umath = found["_multiarray_umath"]
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}[os.uname().machine]
    assert (umath.machine, umath.system, umath.fault) == (machine, "Linux", "")
    assert "libc.so.6" in umath.needed
    assert umath.glibc is not None
    assert (2, 14) <= umath.glibc < (3, 0)
    fill(tmp_path / "cut", {"x.so": b"\x7fELF\x02\x01"})
    (cut,) = binaries(read(tmp_path / "cut", "code"))
    assert cut.fault


def test_a_file_that_does_not_compile(project: Path) -> None:
    """Nothing imports it, so it costs nothing; the advice is not the command that was just run."""
    (project / "src" / "broken.py").write_text("def f(:\n")
    done = run(project, "package", "Bare", "-o", "out.zip", "--json")
    (missing,) = [one for one in json.loads(done.out)["findings"] if one["code"] == "pyc-missing"]
    assert missing["subject"] == "1 module without bytecode"
    assert missing["message"] == "no cold start imports it, as far as imports can be followed"
    assert missing["paths"] == ["broken.py"]
    assert "preflight package" not in missing["hint"]


def test_numpy_is_followed_and_priced(tmp_path: Path) -> None:
    """A real package without its bytecode: compiling what it imports costs about a tenth of a second."""
    shutil.copytree(numpy_folder(), tmp_path / "numpy", ignore=shutil.ignore_patterns("__pycache__"))
    fill(tmp_path, {"app.py": "import numpy\n"})
    weight = weigh(config_of(tmp_path, handler="app.handler", runtime=RUNTIME))
    (missing,) = [one for one in weight.findings if one.code == "pyc-missing"]
    assert missing.cpu_seconds is not None
    assert 0.05 < missing.cpu_seconds < 0.5


def test_pip_is_taken_where_uv_is_not(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For our own Python; for another, uv is asked for."""
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    target = tmp_path / "installed"
    target.mkdir()
    config: FunctionConfig = config_of(project / "src", runtime=RUNTIME)
    install(config, project / "src" / "requirements.txt", target)
    assert (target / "two.py").is_file()
    assert not list(target.glob("*.dist-info/INSTALLER"))
    for requirement, words in {"newer": "newer", "one[": "cannot be read"}.items():
        (project / "src" / "requirements.txt").write_text(f"--no-index\n--find-links ../wheels\n{requirement}\n")
        with pytest.raises(ConfigurationError, match=words):
            install(config, project / "src" / "requirements.txt", target)
    with pytest.raises(ConfigurationError, match="uv is needed"):
        install(config_of(project / "src", runtime="python3.99"), project / "src" / "requirements.txt", target)


@pytest.mark.engine
def test_an_image_is_weighed_by_its_engine(project: Path) -> None:
    """One that is not there is an error that names it."""
    text = (
        "Resources: {I: {Type: AWS::Serverless::Function, Properties: {PackageType: Image, ImageUri: no/such:image}}}"
    )
    (project / "image.yaml").write_text(text)
    done = run(project, "weigh", "I", "-t", "image.yaml")
    assert (done.status, done.error) == (2, "I: the engine has no image no/such:image")
    packed = run(project, "package", "I", "-t", "image.yaml")
    assert (packed.status, "has no zip" in packed.error) == (2, True)
