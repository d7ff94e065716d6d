"""The process backend's emulator is killed: what it ran ends at once, before anybody starts another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from emulator.sandbox import cgroup_make
from emulator.sandbox.owner import abandoned
from emulator.sandbox.process import ProcessBackend
from emulator.sandbox.process_guard import Guard, Places
from tests.children import is_alive
from tests.command import ROOT, wait_for
from tests.leaks import left_since, traces

EMULATOR = """
import sys, time
from pathlib import Path
from emulator.sandbox.process import ProcessBackend
from tests.children import Child, Conversation, running, spec

SCRIPT = '''
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
tell(f"{os.getpid()} {child.pid}")
time.sleep(600)
'''
backend = ProcessBackend(cgroups=sys.argv[1] == "cgroups", launch=running(SCRIPT))
sandbox = backend.prepare(spec(Path(sys.argv[3])))
Child(sandbox).go()
with Conversation(sandbox) as conversation:
    pids = conversation.hear()
    if sys.argv[2] == "frozen":
        assert sandbox.freeze()
    print(pids, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def before() -> Iterator[set[str]]:
    """What lies on this machine; what the killed one left is cleared by the next start."""
    found = traces()
    yield found
    ProcessBackend(cgroups=True).close()
    assert left_since(found) == set()


def has_ended(pid: int) -> bool:
    """Dead, collected or not."""
    with suppress(psutil.NoSuchProcess):
        return not is_alive(psutil.Process(pid))
    return True


@pytest.mark.parametrize("state", ["running", "frozen"])
@pytest.mark.parametrize("groups", ["cgroups", "none"])
def test_killed(groups: str, state: str, tmp_path: Path, before: set[str]) -> None:
    """The runtime and its children are dead within seconds, though they stood still and would not hear a SIGTERM."""
    command = [sys.executable, "-c", EMULATOR, groups, state, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as emulator:
        assert emulator.stdout is not None
        pids = [int(word) for word in emulator.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(has_ended(pid) for pid in pids)
        emulator.kill()
        assert emulator.wait() == -signal.SIGKILL
    wait_for(lambda: all(has_ended(pid) for pid in pids), seconds=10)
    if groups == "cgroups":
        left = [group for group in cgroup_make.leftovers(abandoned) if group.processes()]
        assert left == []


def test_a_guard_that_is_closed_ends_nothing(tmp_path: Path) -> None:
    """Nor does one that was told that a process group has ended: its id may be another's by then."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as bystander:  # noqa: S607 - wherever it is
        places = Places(groups=tmp_path, freezers=None, unified=False)
        try:
            guard = Guard("lambda-preflight-test-", places)
            guard.watch(bystander.pid)
            guard.close()
            guard.close()
            assert bystander.poll() is None
            another = Guard("lambda-preflight-test-", places)
            another.watch(bystander.pid)
            another.watch(2**22 + 1)  # more than any process has
            another.forget(bystander.pid)
            os.close(another._pipe)  # as the death of this process would  # noqa: SLF001 - there is no other way
            another._pipe = -1  # noqa: SLF001 - see above
            assert another._process.wait(10) == 0  # noqa: SLF001 - see above
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_guard_that_somebody_has_killed(tmp_path: Path) -> None:
    """Costs nobody an invocation."""
    guard = Guard("lambda-preflight-test-", Places(groups=tmp_path, freezers=None, unified=True))
    guard._process.kill()  # noqa: SLF001 - what somebody else does
    guard._process.wait()  # noqa: SLF001 - see above
    guard.watch(1)
    guard.close()


def test_one_guard_for_all_and_none_left() -> None:
    """A backend has one shell, and takes it along."""
    backend = ProcessBackend()
    assert backend.guard() is backend.guard()
    [child] = [found for found in psutil.Process().children() if "preflight-guard" in found.cmdline()]
    backend.close()
    assert has_ended(child.pid)


def test_control_groups_of_version_2() -> None:
    """They list and freeze in one folder; a group of another name is not touched."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    root = next((Path(mount[1]) for mount in mounts if mount[2] == "cgroup2" and os.access(mount[1], os.W_OK)), None)
    if root is None:
        pytest.skip("this user may make no control groups of version 2 on this machine")
    folders = [root / f"lambda-preflight-{kind}-{os.getpid()}" for kind in ("guarded", "other")]
    sleepers = [subprocess.Popen(["sleep", "600"]) for _ in folders]  # noqa: S607 - wherever it is
    try:
        for folder, sleeper in zip(folders, sleepers, strict=True):
            folder.mkdir()
            (folder / "cgroup.procs").write_text(str(sleeper.pid))
        (folders[0] / "cgroup.freeze").write_text("1")
        guard = Guard("lambda-preflight-guarded-", Places(groups=root, freezers=root, unified=True))
        os.close(guard._pipe)  # as the death of this process would  # noqa: SLF001 - there is no other way
        guard._pipe = -1  # noqa: SLF001 - see above
        assert guard._process.wait(20) == 0  # noqa: SLF001 - see above
        assert sleepers[0].wait(10) == -signal.SIGKILL
        assert sleepers[1].poll() is None
    finally:
        for folder, sleeper in zip(folders, sleepers, strict=True):
            sleeper.kill()
            sleeper.wait()
            folder.rmdir()
