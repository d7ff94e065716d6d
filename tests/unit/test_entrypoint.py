"""Which program a custom runtime is, and what Lambda says where it could not be started."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from emulator.sandbox.base import SandboxSpec
from emulator.sandbox.entrypoint import ABSENT, DENIED, could_not_start, find_bootstrap, wrapped

SCRIPT = b"#!/bin/sh\nexit\n"


def write(folder: Path, content: bytes = SCRIPT, mode: int = 0o755) -> Path:
    """Put a bootstrap into a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / "bootstrap"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def elf(machine: int) -> bytes:
    """Give the head of a 64-bit program."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(44)


def spec(tmp_path: Path, *layers: str, architecture: str = "x86_64") -> SandboxSpec:
    """Give a function with a custom runtime."""
    for name in ("code", *layers):
        (tmp_path / name).mkdir(exist_ok=True)
    return SandboxSpec(
        function_name="f",
        handler="function.handler",
        runtime="provided.al2023",
        code=tmp_path / "code",
        layers=tuple(tmp_path / layer for layer in layers),
        memory_mb=128,
        cpu_share=0.1,
        tmp_mb=512,
        environment={},
        architecture=architecture,
    )


def refusal(tmp_path: Path, content: bytes, mode: int = 0o755, architecture: str = "x86_64") -> str | None:
    """What is said of a bootstrap with this content."""
    write(tmp_path / "code", content, mode)
    return find_bootstrap(spec(tmp_path, architecture=architecture)).refusal


def test_the_package_goes_first(tmp_path: Path) -> None:
    """Then the layer that is last in the list, whose files hide the others' ("Building a custom runtime", 2026-07)."""
    first, second = write(tmp_path / "first"), write(tmp_path / "second")
    layered = spec(tmp_path, "first", "second")
    assert (find_bootstrap(layered).inside, find_bootstrap(layered).here) == ("/opt/bootstrap", second)
    second.unlink()
    assert find_bootstrap(layered).here == first
    own = write(tmp_path / "code")
    found = find_bootstrap(layered)
    assert (found.inside, found.here, found.refusal) == ("/var/task/bootstrap", own, None)


@pytest.mark.parametrize("folder", [False, True])
def test_none(tmp_path: Path, folder: bool) -> None:  # noqa: FBT001 - a column of the table
    """The guide's own words, "Troubleshoot invocation issues", 2026; a folder of that name is none."""
    wanted = spec(tmp_path, "layer")
    if folder:
        (wanted.code / "bootstrap").mkdir()
    said = find_bootstrap(wanted).refusal
    assert said == "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (SCRIPT, 0o755, None),
        (SCRIPT, 0o555, None),
        (SCRIPT, 0o644, "permission denied"),
        (SCRIPT, 0o744, "permission denied"),
        (b"#!/bin/sh", 0o755, None),
        (b"#!/bin/sh\r\nexit\r\n", 0o755, "no such file or directory"),
        (b"echo without a first line\n", 0o755, "exec format error"),
        (b"", 0o755, "exec format error"),
        (b"\x7fELF", 0o755, "exec format error"),
        (elf(62), 0o755, None),
        (elf(183), 0o755, "exec format error"),
        (b"\xfe\xed\xfa\xcf" + bytes(60), 0o755, "exec format error"),
    ],
)
def test_what_does_not_start(tmp_path: Path, content: bytes, mode: int, reason: str | None) -> None:
    """As the kernel says it and Go words it; the user that runs it is not its owner."""
    said = refusal(tmp_path, content, mode)
    assert said == (None if reason is None else f"fork/exec /var/task/bootstrap: {reason}")


def test_architecture_is_the_functions(tmp_path: Path) -> None:
    """Not this machine's."""
    assert refusal(tmp_path, elf(183), architecture="arm64") is None
    assert refusal(tmp_path, elf(62), architecture="arm64") == "fork/exec /var/task/bootstrap: exec format error"


def test_a_link_into_the_sandbox_is_left_to_it(tmp_path: Path) -> None:
    """What it leads to cannot be seen from here."""
    wanted = spec(tmp_path)
    (wanted.code / "bootstrap").symlink_to("/opt/only/there")
    found = find_bootstrap(wanted)
    assert (found.inside, found.refusal) == ("/var/task/bootstrap", None)


@pytest.mark.parametrize(
    ("path", "reason", "words"),
    [
        ("/entry.sh", ABSENT, "fork/exec /entry.sh: no such file or directory"),
        ("./app", DENIED, "fork/exec ./app: permission denied"),
        ("node", ABSENT, 'exec: "node": executable file not found in $PATH'),
    ],
)
def test_words(path: str, reason: str, words: str) -> None:
    """Go's, for a path and for a name."""
    assert could_not_start(path, reason) == words


def run_wrapped(wrapper: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of two words through a wrapper."""
    command = wrapped(("/bin/echo", "the runtime"), str(wrapper))
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_wrapper_gets_the_runtimes_command(tmp_path: Path) -> None:
    """It may add to it, and starts it itself."""
    wrapper = write(tmp_path, b'#!/bin/sh\necho wrapped\nexec "$@" with more\n')
    done = run_wrapped(wrapper)
    assert (done.returncode, done.stdout) == (0, "wrapped\nthe runtime with more\n")


def test_wrapper_that_cannot_be_used(tmp_path: Path) -> None:
    """In words and statuses of AWS's own bootstrap (read 2026-11); 127 is recorded against AWS (2025-11-24)."""
    done = run_wrapped(tmp_path / "none")
    assert (done.returncode, done.stdout) == (127, f"{tmp_path / 'none'}: does not exist\n")
    wrapper = write(tmp_path, mode=0o644)
    done = run_wrapped(wrapper)
    assert (done.returncode, done.stdout) == (126, f"{wrapper}: is not an executable\n")
