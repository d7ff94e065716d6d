"""Runs a command as a user who is nobody here: not root, in no group but those that the test names."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.command import COMMAND, ROOT, WAIT_S, Done, variables

UID: Final = 64_242
# Puts an empty folder in the place of one that others may not enter, with what they need of it inside. The mounts are
# this command's own and go with it.
_OPEN: Final = """
set -e
closed=$1 stash=$2; shift 2
number=0
for path in $PATHS; do mkdir -p "$stash/$number"; mount --bind "$path" "$stash/$number"; number=$((number + 1)); done
mount -t tmpfs -o mode=755 tmpfs "$closed"
number=0
for path in $PATHS; do mkdir -p "$path"; mount --bind "$stash/$number" "$path"; number=$((number + 1)); done
exec "$@"
"""
_DROP: Final = """
import os, sys
os.setgroups({groups})
os.setresgid({uid}, {uid}, {uid})
os.setresuid({uid}, {uid}, {uid})
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherUser:
    """A user of the test's own, with a home."""

    home: Path
    groups: tuple[int, ...]

    def preflight(
        self, *arguments: str | Path, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> Done:
        """Run our command to its end."""
        more = {"HOME": str(self.home), "XDG_CACHE_HOME": "", "TMPDIR": "/tmp", **(environment or {})}
        done = self._run([str(COMMAND), *map(str, arguments)], stdin, {k: v for k, v in variables(more).items() if v})
        return Done(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    def _run(
        self, command: Sequence[str], stdin: bytes, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        if os.geteuid() != 0:  # we are nobody ourselves
            return _complete(command, stdin, environment)
        closed = _closed()
        if closed is None:
            return _complete(command, stdin, environment, uid=UID, groups=self.groups)
        needed = {path for path in _needed() if path.is_relative_to(closed)}
        paths = [path for path in needed if not any(path != other and path.is_relative_to(other) for other in needed)]
        dropped = [sys.executable, "-c", _DROP.format(groups=list(self.groups), uid=UID), *command]
        with tempfile.TemporaryDirectory() as stash:
            opened = ["unshare", "--mount", "sh", "-c", _OPEN, "sh", str(closed), stash, *dropped]
            return _complete(opened, stdin, {**environment, "PATHS": " ".join(map(str, paths))})


def _complete(
    command: Sequence[str],
    stdin: bytes,
    environment: Mapping[str, str],
    *,
    uid: int | None = None,
    groups: Sequence[int] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env=environment,
        check=False,
        timeout=WAIT_S,
        user=uid,
        group=uid,
        extra_groups=groups,
    )


def _needed() -> tuple[Path, ...]:
    return ROOT, Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()


def _closed() -> Path | None:
    """The folder that others may not enter and that holds some of what they need; one at most is thought of."""
    for path in _needed():
        for folder in reversed([path, *path.parents]):
            if not folder.stat().st_mode & stat.S_IXOTH:
                return folder
    return None


@contextmanager
def other_user(*, groups: tuple[int, ...] = ()) -> Iterator[OtherUser]:
    """Give a user with an empty home; the test is skipped where root may not make itself one."""
    if os.geteuid() == 0 and _closed() is not None:
        unshare = shutil.which("unshare")
        if unshare is None or subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode:
            pytest.skip("what this needs lies where others may not enter, and root here may not mount")
    home = Path(tempfile.mkdtemp(prefix="preflight-other-"))
    try:
        if os.geteuid() == 0:
            os.chown(home, UID, UID)
        yield OtherUser(home=home, groups=groups)
    finally:
        shutil.rmtree(home)
