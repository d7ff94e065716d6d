"""The command where its surroundings are odd: streams that are closed or full, folders that are gone or not for us."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.command import COMMAND, ROOT, TEMPLATE, WAIT_S, preflight, variables

if TYPE_CHECKING:
    from pathlib import Path

ECHO = ("invoke", "Echo", "-t", str(TEMPLATE), "--backend", "process")


def in_a_shell(redirection: str) -> subprocess.CompletedProcess[str]:
    """Run Echo with a redirection of the shell's."""
    words = " ".join(f"'{word}'" for word in (str(COMMAND), *ECHO))
    return subprocess.run(
        ["/bin/sh", "-c", f"{words} {redirection}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=variables({}),
        check=False,
        timeout=WAIT_S,
    )


def test_closed_standard_output() -> None:
    """Nobody wants the payload; that is no failure, and no traceback."""
    done = in_a_shell(">&-")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_closed_standard_error() -> None:
    """Nobody wants the log."""
    done = in_a_shell("2>&-")
    assert (done.returncode, done.stdout) == (0, "{}\n")


def test_full_standard_output() -> None:
    """It is told what cannot be written, and the backend is not blamed."""
    done = in_a_shell(">/dev/full")
    assert done.returncode == 2
    assert "error: standard output cannot be written" in done.stderr


def test_empty_standard_input() -> None:
    """It is called empty."""
    done = preflight(*ECHO, "-e", "-")
    assert (done.status, done.error) == (2, "the event standard input is empty")


def test_folder_that_is_gone(tmp_path: Path) -> None:
    """With the template by its whole path all is well; without one it is said."""
    gone = tmp_path / "gone"
    gone.mkdir()
    words = " ".join(f"'{word}'" for word in (str(COMMAND), *ECHO))
    for command, status in ((words, 0), (f"'{COMMAND}' invoke Echo", 2)):
        gone.mkdir(exist_ok=True)
        done = subprocess.run(
            ["/bin/sh", "-c", f"cd '{gone}'; rmdir '{gone}'; {command}"],
            capture_output=True,
            text=True,
            env=variables({}),
            check=False,
            timeout=WAIT_S,
        )
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr


def test_failure_is_told_beside_the_payload() -> None:
    """Whoever sends the payload elsewhere sees why the function failed."""
    done = preflight("invoke", "Raises", "-t", TEMPLATE, "--backend", "process")
    assert "(failed: ValueError: this function always fails)" in done.err


@pytest.mark.engine
def test_no_network_by_its_name() -> None:
    """`none` is what functions have anyway."""
    done = preflight("invoke", "Echo", "-t", TEMPLATE, "--backend", "docker", "--network", "none")
    assert done.err.startswith("docker backend: every limit enforced by the kernel\n")
