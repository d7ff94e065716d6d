"""Finding CPythons and putting AWS's runtime client together, with every subprocess stood in for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import cache
from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox import interpreters
from emulator.sandbox.interpreters import Interpreter

OWN = f"python3.{sys.version_info.minor}"
OTHER = f"python3.{sys.version_info.minor + 1}"

Answer = Callable[[list[str]], "subprocess.CompletedProcess[str]"]


def program(path: Path, content: bytes = b"\x7fELF", mode: int = 0o755) -> Path:
    """Put a file that looks like a program where it is wanted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has nothing but an empty home directory."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setattr(Path, "home", lambda: folder)
    monkeypatch.setattr(interpreters, "_FIXED_FOLDERS", ())
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def run_as(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> list[list[str]]:
    """Stand in for `subprocess.run`; the commands that were asked for come in the list."""
    asked: list[list[str]] = []

    def run(command: Sequence[object], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append([str(part) for part in command])
        return answer(asked[-1])

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def done(status: int = 0, stdout: str = "", stderr: str = "") -> subprocess.CompletedProcess[str]:
    """What a subprocess left behind."""
    return subprocess.CompletedProcess([], status, stdout, stderr)


def answers_as(version: tuple[int, int, int], **changes: object) -> Answer:
    """Every program says that it is this Python, below its own folder."""

    def answer(command: list[str]) -> subprocess.CompletedProcess[str]:
        prefix = Path(command[0]).parents[1]
        told = {
            "implementation": "CPython",
            "abiflags": "",
            "version": version,
            "executables": [None, command[0]],
            "prefix": str(prefix),
            "stdlib": str(prefix / "lib"),
        }
        return done(stdout=json.dumps(told | changes))

    return answer


def no_subprocess(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Fail the test that starts one."""
    raise AssertionError(command)


@given(minor=st.integers(min_value=0, max_value=99))
def test_python_runtimes_are_understood(minor: int) -> None:
    """The minor version is a number: 3.9 comes before 3.10."""
    assert interpreters.python_version(f"python3.{minor}") == (3, minor)


@pytest.mark.parametrize(
    "runtime", ["", "python3", "python3.", "python3.123", "python2.7", "python3.12 ", "python3.1\n", "nodejs20.x"]
)
def test_other_runtimes_are_refused(runtime: str) -> None:
    """What is not Python 3 is a mistake in the configuration, and the message names it."""
    with pytest.raises(ConfigurationError, match="only those of Python 3") as caught:
        interpreters.find(runtime)
    assert repr(runtime) in caught.value.message
    assert caught.value.hint


def test_own_interpreter_costs_no_subprocess(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator's own X.Y is answered from what this process knows, and is no virtual environment's."""
    run_as(monkeypatch, no_subprocess)
    own = interpreters.find(OWN)
    assert own.version == sys.version_info[:3]
    assert own.python == OWN.removeprefix("python")
    assert own.executable.is_file()
    assert not own.executable.is_symlink()
    assert own.prefix == Path(sys.base_prefix)
    assert (own.stdlib / "os.py").is_file()


def test_own_interpreter_with_another_abi_is_not_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A free-threaded or debug build cannot load the wheels that Lambda loads."""
    monkeypatch.setattr(sys, "abiflags", "t")
    with pytest.raises(BackendError, match="found: none"):
        interpreters.find(OWN)


def test_first_on_path_wins(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH is asked before pyenv's versions, and asking stops at the first that fits."""
    program(home / ".pyenv/versions/3.99.9/bin" / OTHER)
    first = program(tmp_path / "a/bin" / OTHER)
    second = program(tmp_path / "b/bin" / OTHER)
    monkeypatch.setenv("PATH", f"{first.parent}{os.pathsep}{second.parent}")
    asked = run_as(monkeypatch, answers_as((3, sys.version_info.minor + 1, 4)))
    assert interpreters.find(OTHER).executable == first
    assert [command[0] for command in asked] == [str(first)]


@pytest.mark.parametrize("folder", [".pyenv/versions", ".local/share/uv/python"])
def test_newest_of_an_installer_is_asked_first(folder: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3.x.10 is newer than 3.x.9."""
    python = OTHER.removeprefix("python")
    for micro in (9, 10, 2):
        program(home / folder / f"{python}.{micro}" / "bin" / OTHER)
    run_as(monkeypatch, answers_as((3, sys.version_info.minor + 1, 0)))
    assert interpreters.find(OTHER).executable == home / folder / f"{python}.10" / "bin" / OTHER


def test_shims_stand_for_the_versions_beside_them(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shim is never run; a version that lies beside the folder of shims is."""
    shim = program(tmp_path / "pyenv/shims" / OTHER, b"#!/bin/sh\nexit 1\n")
    real = program(tmp_path / "pyenv/versions/3.99.1/bin" / OTHER)
    monkeypatch.setenv("PATH", str(shim.parent))
    asked = run_as(monkeypatch, answers_as((3, sys.version_info.minor + 1, 1)))
    assert interpreters.find(OTHER).executable == real
    assert [command[0] for command in asked] == [str(real)]


def test_what_cannot_be_an_interpreter_is_not_run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts, files that may not be run, helpers and dangling links are passed over; a link is not asked twice."""
    folder = tmp_path / "bin"
    program(folder / "python3.41", b"#!/usr/bin/env bash\n")
    program(folder / "python3.42", mode=0o644)
    program(folder / "python3.43-config")
    (folder / "python3.44").symlink_to(folder / "gone")
    real = program(folder / "python3.45")
    (folder / "python3.46").symlink_to(real)
    monkeypatch.setenv("PATH", str(folder))
    asked = run_as(monkeypatch, answers_as((3, 45, 0)))
    with pytest.raises(BackendError):
        interpreters.find("python3.99")
    assert [Path(command[0]).resolve() for command in asked] == [real]


@pytest.mark.parametrize(
    "answer",
    [
        answers_as((3, sys.version_info.minor + 1, 0), implementation="PyPy"),
        answers_as((3, sys.version_info.minor + 1, 0), abiflags="t"),
        answers_as((3, sys.version_info.minor + 2, 0)),
        lambda command: done(stdout="not JSON"),
    ],
    ids=["PyPy", "free-threaded", "another version", "no answer"],
)
def test_only_a_default_cpython_of_that_version_fits(
    answer: Answer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a program is called does not decide; what it says does."""
    monkeypatch.setenv("PATH", str(program(tmp_path / "bin" / OTHER).parent))
    run_as(monkeypatch, answer)
    with pytest.raises(BackendError, match=f"no CPython {OTHER.removeprefix('python')}"):
        interpreters.find(OTHER)


@pytest.mark.parametrize("trouble", [OSError("exec format"), subprocess.TimeoutExpired("python", 1)])
def test_program_that_fails_is_passed_over(
    trouble: Exception, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken interpreter does not hide a good one behind it."""
    broken = program(tmp_path / "a/bin" / OTHER)
    good = program(tmp_path / "b/bin" / OTHER)
    monkeypatch.setenv("PATH", f"{broken.parent}{os.pathsep}{good.parent}")

    def answer(command: list[str]) -> subprocess.CompletedProcess[str]:
        if command[0] == str(broken):
            raise trouble
        return answers_as((3, sys.version_info.minor + 1, 0))(command)

    run_as(monkeypatch, answer)
    assert interpreters.find(OTHER).executable == good


def test_failure_lists_what_was_found_and_says_what_to_do(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version and path of each, newest first, and the Runtimes that these would serve."""
    for name in ("python3.9", "python3.50"):
        program(tmp_path / "bin" / name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    run_as(monkeypatch, lambda command: answers_as((3, int(command[0].rpartition(".")[2]), 7))(command))
    with pytest.raises(BackendError) as caught:
        interpreters.find("python3.77")
    own = ".".join(map(str, sys.version_info[:3]))
    lines = caught.value.message.splitlines()
    assert "python3.77" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["3.50.7", own, "3.9.7"]
    assert str(tmp_path / "bin/python3.50") in lines[1]
    hint = caught.value.hint or ""
    assert "uv python install 3.77" in hint
    assert f"python3.50 or {OWN}" in hint
    assert "python3.9" not in hint  # awslambdaric does not run there


def test_hint_does_not_install_what_would_not_do(home: Path) -> None:
    """A Python too old for the runtime client is not recommended."""
    with pytest.raises(BackendError) as caught:
        interpreters.find("python3.7")
    assert "install" not in (caught.value.hint or "")
    assert f"set Runtime to {OWN}" in (caught.value.hint or "")


def other() -> Interpreter:
    """Make up an interpreter of the next version."""
    own = interpreters.find(OWN)
    return replace(own, executable=Path("/opt/other/bin/python"), version=(3, sys.version_info.minor + 1, 0))


def fake_pip(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Lay down what pip would."""
    if "pip" in command:
        target = Path(command[command.index("--target") + 1])
        for name in ("awslambdaric/__main__.py", "awslambdaric-1.dist-info/METADATA", "bin/tool"):
            program(target / name, mode=0o600)
        for name in ("simplejson/tests/test_a.py", "simplejson/__init__.py", "snapshot_restore_py.py"):
            program(target / name, mode=0o600)
    return done()


def names(folder: Path) -> set[str]:
    """List the files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_own_client_is_copied_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three distributions' modules and our start, compiled, and nothing else: no metadata, tests or scripts."""
    asked = run_as(monkeypatch, lambda command: done())
    folder = interpreters.runtime_client(interpreters.find(OWN))
    found = names(folder)
    assert {"awslambdaric/__main__.py", "simplejson/__init__.py", "snapshot_restore_py.py"} <= found
    assert any(name.startswith("runtime_client.") for name in found)
    assert {name.split("/")[0].split(".")[0] for name in found} == {
        "awslambdaric",
        "bootstrap",
        "runtime_client",
        "simplejson",
        "snapshot_restore_py",
    }
    assert not any("tests" in name or "dist-info" in name or "__pycache__" in name for name in found)
    assert [command[command.index("-m") + 1] for command in asked] == ["compileall"]
    assert "unchecked-hash" in asked[0]


def test_client_is_readable_by_everyone_whatever_the_umask(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime may run as another user than the emulator."""
    run_as(monkeypatch, lambda command: done())
    before = os.umask(0o077)
    try:
        folder = interpreters.runtime_client(interpreters.find(OWN))
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*")) if path.is_dir()}
    assert modes == {0o755}
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o644}


def test_client_is_made_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call answers with the same folder and starts nothing."""
    run_as(monkeypatch, lambda command: done())
    first = interpreters.runtime_client(interpreters.find(OWN))
    run_as(monkeypatch, no_subprocess)
    assert interpreters.runtime_client(interpreters.find(OWN)) == first
    assert first.parent == cache.needed_folder() / "runtime-client"
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_other_client_is_fetched_in_the_same_versions(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's own pip gets the emulator's exact versions; what it lays down besides is removed."""
    asked = run_as(monkeypatch, fake_pip)
    folder = interpreters.runtime_client(other())
    pip = asked[0]
    assert pip[:4] == ["/opt/other/bin/python", "-m", "pip", "install"]
    assert {f"{name}=={version}" for name, version in interpreters.client_versions().items()} <= set(pip)
    assert {"--no-deps", "--only-binary"} <= set(pip)
    fetched = {"awslambdaric/__main__.py", "simplejson/__init__.py", "snapshot_restore_py.py"}
    assert names(folder) == fetched | {"bootstrap.py"}
    assert f"cp3{sys.version_info.minor + 1}" in folder.name


def test_other_client_without_pip_is_fetched_by_ours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's Python has no pip: the emulator's then fetches for that version."""

    def answer(command: list[str]) -> subprocess.CompletedProcess[str]:
        return done(1, stderr="No module named pip") if command[0] != sys.executable else fake_pip(command)

    asked = run_as(monkeypatch, answer)
    assert interpreters.runtime_client(other()).is_dir()
    assert asked[1][0] == sys.executable
    assert asked[1][asked[1].index("--python-version") + 1] == other().python


def test_failure_to_fetch_names_the_command_to_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint is a whole command, whose target is the folder that is looked for next time; nothing is left behind."""
    run_as(monkeypatch, lambda command: done(1, stderr="Retrying\nERROR: no matching distribution"))
    with pytest.raises(BackendError, match="no matching distribution") as caught:
        interpreters.runtime_client(other())
    hint = caught.value.hint or ""
    assert "/opt/other/bin/python -m pip install" in hint
    folder = Path(hint.partition("--target ")[2].split()[0])
    assert folder.parent.is_dir()
    assert list(folder.parent.iterdir()) == []
    fake_pip([*hint.partition(": ")[2].split()])
    run_as(monkeypatch, no_subprocess)
    assert interpreters.runtime_client(other()) == folder


def test_pip_that_does_not_end_is_a_failure_to_fetch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index that never answers is told apart from one that says no."""
    run_as(monkeypatch, Mock(side_effect=subprocess.TimeoutExpired("pip", 300)))
    with pytest.raises(BackendError, match="not done within 300 s"):
        interpreters.runtime_client(other())


def test_python_below_the_clients_floor_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed awslambdaric says what it needs: that version is served, one less is not."""
    run_as(monkeypatch, fake_pip)
    headers = {"Requires-Python": [f">=3.{sys.version_info.minor + 1}"]}
    monkeypatch.setattr(metadata, "metadata", lambda name: SimpleNamespace(get_all=headers.get))
    assert interpreters.runtime_client(other()).is_dir()
    with pytest.raises(BackendError, match="has no wheel for Python") as caught:
        interpreters.runtime_client(interpreters.find(OWN))
    assert OTHER in (caught.value.hint or "")


def test_second_process_takes_what_the_first_has_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process was quicker, its folder is taken and ours thrown away."""
    winners: list[Path] = []

    def answer(command: list[str]) -> subprocess.CompletedProcess[str]:
        if "compileall" in command:
            winners.append(program(Path(command[command.index("-p") + 1]) / "awslambdaric/__main__.py", b"winner"))
        return done()

    run_as(monkeypatch, answer)
    folder = interpreters.runtime_client(interpreters.find(OWN))
    assert winners == [folder / "awslambdaric/__main__.py"]
    assert winners[0].read_bytes() == b"winner"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_cache_that_cannot_be_written_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full or read-only disk is a failure of the backend with the variable that moves the cache."""
    (cache.needed_folder().parent).write_text("a file where the cache should be")
    with pytest.raises(BackendError, match="could not be put into") as caught:
        interpreters.runtime_client(interpreters.find(OWN))
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")


def test_environment_without_the_client_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator without awslambdaric beside it says what to reinstall."""
    monkeypatch.setattr(interpreters, "_DISTRIBUTIONS", ("no-such-distribution",))
    with pytest.raises(BackendError, match="no-such-distribution") as caught:
        interpreters.runtime_client(interpreters.find(OWN))
    assert "--force-reinstall no-such-distribution" in (caught.value.hint or "")


def test_folders_that_are_not_for_us(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH that came from root names some: nothing is found there, and nothing is wrong."""

    def glob(self: Path, pattern: str) -> list[Path]:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "glob", glob)
    with pytest.raises(BackendError, match=r"no CPython 3\.77"):
        interpreters.find("python3.77")
