"""Runs the real `preflight` command as a user would: another process, without a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TEMPLATE: Final = ROOT / "fixtures" / "functions" / "template.yaml"
COMMAND: Final = Path(sys.executable).with_name("preflight")
RUNTIME: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
WAIT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one error that was printed, without its prefix and its hint."""
        found = re.findall(r"^[Ee]rror: (.*?)(?=\n\nhint: |\Z)", self.err, re.MULTILINE | re.DOTALL)
        assert len(found) == 1, self.err
        return str(found[0]).strip()

    @property
    def hint(self) -> str:
        """What to do about it."""
        found = re.findall(r"^hint: (.*)\Z", self.err, re.MULTILINE | re.DOTALL)
        assert len(found) == 1, self.err
        return str(found[0]).strip()


def preflight(
    *arguments: str | Path, stdin: bytes = b"", folder: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Done:
    """Run to the end; `environment` comes on top of this process's, less the product's own variables."""
    done = subprocess.run(
        [COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        cwd=folder,
        env=variables(environment or {}),
        check=False,
        timeout=WAIT_S,
    )
    return Done(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def invoke(name: str, *arguments: str | Path, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> Done:
    """`preflight invoke` of a function of the fixtures."""
    given = (name, "-t", TEMPLATE, "--parameter-overrides", f"PythonRuntime={RUNTIME}", *arguments)
    return preflight("invoke", *given, stdin=stdin, environment=environment)


@contextmanager
def started(
    *arguments: str | Path, folder: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs, in a process group of its own; killed at the end if need be."""
    process = subprocess.Popen(
        [COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=variables(environment or {}),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=WAIT_S)


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for the end of a command that was `started`."""
    out, err = process.communicate(timeout=WAIT_S)
    return Done(status=process.returncode, out=out, err=err)


def wait_for(what: Callable[[], bool], *, seconds: float = WAIT_S) -> None:
    """Look again and again until it is so; AssertionError when the time is up."""
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, "it did not come to be"
        time.sleep(0.02)


def variables(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what steers the product, and with `more`."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFLIGHT_") and name != "NO_COLOR"
    }
    return kept | dict(more)
