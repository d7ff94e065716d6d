"""Control groups on this machine's kernel, v1 or v2, as far as this user may make them."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from emulator.errors import BackendError
from emulator.limits import CPU_PERIOD_US
from emulator.sandbox import cgroup_make
from emulator.sandbox.cgroup import ControlGroup

MB = 1024 * 1024
LIMIT = 512 * MB
PREFIX = f"lambda-preflight-test-{os.getpid()}-"
JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 1; shift; done; shift; exec "$@"'
# Python's own mmap is shared memory unless told otherwise; both kinds must count.
SCRIPT = """
import mmap, os, sys, time
MB = 1024 * 1024
kept = []
def touch(count, flags=mmap.MAP_PRIVATE):
    memory = mmap.mmap(-1, count * MB, flags=flags | mmap.MAP_ANONYMOUS)
    for offset in range(0, count * MB, 4096):
        memory[offset] = 1
    kept.append(memory)
def forget():
    kept.pop().close()
def read(path):
    with open(path, "rb", buffering=0) as file:
        piece = bytearray(MB)
        while file.readinto(piece):
            pass
def map_file(path):
    with open(path, "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    sum(memory[offset] for offset in range(0, len(memory), 4096))
    kept.append(memory)
def write_and_delete(path, count):
    piece = bytes(MB)
    with open(path + "-2", "wb", buffering=0) as file:
        for _ in range(count):
            file.write(piece)
    os.unlink(path + "-2")
def in_child(function, *arguments):
    pid = os.fork()
    if pid == 0:
        function(*arguments)
        os._exit(0)
    os.waitpid(pid, 0)
"""

Make = Callable[..., ControlGroup]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes groups, and at the end kills and removes them, which must work."""
    made: list[ControlGroup] = []

    def create(*, memory_bytes: int = LIMIT, processes: int = 64) -> ControlGroup:
        group = cgroup_make.create(PREFIX + secrets.token_hex(4), memory_bytes=memory_bytes, processes=processes)
        if group is None:
            pytest.skip("this user may make no control groups on this machine")
        made.append(group)
        return group

    yield create
    left = [group for group in made if not (group.kill() and group.remove())]
    assert left == []
    assert cgroup_make.leftovers(lambda name: name.startswith(PREFIX)) == ()


@pytest.fixture
def start() -> Iterator[Start]:
    """Runs a command or a script as a member of a group; it reads lines from stdin and writes to stdout."""
    with ExitStack() as stack:

        def run(group: ControlGroup, *command: str, script: str | None = None) -> subprocess.Popen[str]:
            argv = [sys.executable, "-S", "-c", SCRIPT + textwrap.dedent(script)] if script is not None else command
            process = subprocess.Popen(
                ["/bin/sh", "-c", JOIN, "sh", *map(str, group.join_files()), "--", *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield run


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture(scope="module")
def big_file() -> Iterator[Path]:
    """64 MB on a disk: a file on tmpfs would be memory."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        path = Path(folder) / "big"
        path.write_bytes(secrets.token_bytes(64 * MB))
        yield path


def make_cold(path: Path) -> None:
    """Drop a file from the page cache, so that the next reader's group is charged for it."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("what", "megabytes"),
    [
        ("touch(50)", 50),
        ("touch(200)", 200),
        ("touch(50, mmap.MAP_SHARED)", 50),
        ("read(big)", 0),
        ("map_file(big)", 64),
        ("write_and_delete(big, 64)", 0),
        ("touch(120); forget(); read(big)", 120),
        ("in_child(touch, 100)", 100),
        ("read(big); in_child(touch, 100)", 100),
        ("touch(100); in_child(read, big)", 100),
    ],
)
def test_memory_that_was_needed(make: Make, start: Start, big_file: Path, what: str, megabytes: int) -> None:
    """Within 3 % of what was touched and 3 MB: mapped files count and read ones do not, what is freed again does."""
    figures = []
    for script in ("", what):
        make_cold(big_file)
        group = make()
        process = start(group, script=f"big = {str(big_file)!r}\n{script}\nprint('done', flush=True)\ninput()")
        assert said(process) == "done"
        peak = group.figures().memory_peak_bytes
        assert peak is not None
        figures.append(peak)
    assert figures[1] - figures[0] == pytest.approx(megabytes * MB, rel=0.03, abs=3 * MB)


def test_the_peak_stays_when_the_processes_are_gone(make: Make, start: Start) -> None:
    """The runtime's death does not take its figures with it, nor does the group's removal."""
    group = make()
    process = start(group, script="touch(60)")
    assert process.wait() == 0
    before = group.figures()
    assert group.remove()
    assert group.figures() == before
    assert before.memory_peak_bytes is not None
    assert before.memory_peak_bytes > 60 * MB
    assert before.cpu_seconds is not None
    assert before.cpu_seconds > 0


def test_a_deleted_file_does_not_come_back_when_the_process_ends(make: Make, start: Start, big_file: Path) -> None:
    """Its cache was in the peak, and only the process could tell; the group remembers what it told."""
    group = make()
    process = start(group, script=f"write_and_delete({str(big_file)!r}, 64)\nprint('done', flush=True)\ninput()")
    assert said(process) == "done"
    alive = group.figures()
    process.communicate("\n")
    assert group.figures().memory_peak_bytes == alive.memory_peak_bytes
    assert (alive.memory_peak_bytes or 0) < 32 * MB


@pytest.mark.parametrize(("megabytes", "status", "kills"), [(40, 0, 0), (65, -9, 1)])
def test_the_memory_limit_is_hard(make: Make, start: Start, megabytes: int, status: int, kills: int) -> None:
    """64 MB: less is served, more is killed and counted, although the machine may have swap."""
    group = make(memory_bytes=64 * MB)
    process = start(group, script=f"touch({megabytes})")
    assert process.wait() == status
    assert group.figures().oom_kills == kills


def test_page_cache_does_not_count_against_the_limit(make: Make, start: Start, big_file: Path) -> None:
    """A file as large as the limit can be read: its cache is taken back."""
    make_cold(big_file)
    group = make(memory_bytes=64 * MB)
    process = start(group, script=f"touch(20); read({str(big_file)!r})")
    assert process.wait() == 0
    assert group.figures().oom_kills == 0


@pytest.mark.parametrize(("children", "started"), [(3, 3), (4, 4), (5, 4)])
def test_the_process_limit(make: Make, start: Start, children: int, started: int) -> None:
    """Five processes, one of them the parent: the fourth child still starts, the fifth does not."""
    group = make(processes=5)
    process = start(
        group,
        script=f"""
        count = 0
        for _ in range({children}):
            try:
                if os.fork() == 0:
                    time.sleep(60)
            except BlockingIOError:
                break
            count += 1
        print(count, flush=True)
        """,
    )
    assert said(process) == str(started)


def test_cpu_quota(make: Make, start: Start) -> None:
    """A busy loop gets its share and no more, throttled time is counted, and both end when the limit is lifted."""
    group = make()
    process = start(group, script="print('busy', flush=True)\nwhile True: pass")
    assert said(process) == "busy"
    assert group.figures().throttled_seconds == 0
    group.set_cpu(0.2)
    before, began = group.figures(), time.monotonic()
    time.sleep(1)
    after, elapsed = group.figures(), time.monotonic() - began
    assert before.cpu_seconds is not None
    assert after.cpu_seconds is not None
    assert after.cpu_seconds - before.cpu_seconds <= 0.2 * elapsed * 1.2 + CPU_PERIOD_US / 1e6
    assert after.throttled_seconds
    group.set_cpu(None)
    time.sleep(0.1)
    lifted = group.figures().throttled_seconds
    time.sleep(0.2)
    assert group.figures().throttled_seconds == lifted


@pytest.mark.parametrize(
    ("share", "quota"), [(0.0724, 1448), (0.05, 1000), (0.0499, 1000), (0.0, 1000), (1.0, 20000), (1.5, 30000)]
)
def test_quota_is_written_in_periods_of_20_ms(make: Make, share: float, quota: int) -> None:
    """The kernel takes no quota below 1 ms."""
    group = make()
    assert group.writable()
    group.set_cpu(share)
    assert read_quota(group) == (str(quota), str(CPU_PERIOD_US))
    group.set_cpu(None)
    assert read_quota(group)[0] in {"max", "-1"}


def read_quota(group: ControlGroup) -> tuple[str, str]:
    """Quota and period as the kernel tells them."""
    folder = group.folders["cpu"]
    if group.unified:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return quota, period
    names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
    quota, period = ((folder / name).read_text(encoding="ascii").strip() for name in names)
    return quota, period


def test_a_group_that_is_gone_cannot_be_throttled(make: Make) -> None:
    """It is the emulator's failure and says where."""
    group = make()
    assert group.remove()
    assert not group.writable()
    with pytest.raises(BackendError, match=r"cannot set the CPU quota in .*" + PREFIX):
        group.set_cpu(0.5)


def test_the_group_of_a_process_is_found(make: Make, start: Start) -> None:
    """From its id alone, with the same figures."""
    group = make()
    process = start(group, script="print('here', flush=True)\ninput()")
    assert said(process) == "here"
    found = ControlGroup.of_process(process.pid)
    assert found is not None
    assert found.unified == group.unified
    assert found.folders.items() >= group.folders.items()
    assert found.processes() == (process.pid,)
    assert found.figures().memory_peak_bytes == pytest.approx(group.figures().memory_peak_bytes, abs=MB)
    found.close()


def test_no_group_for_a_process_that_is_gone() -> None:
    """None, not an error: a container may end while it is looked at."""
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    assert ControlGroup.of_process(process.pid) is None


def test_kill_reaches_processes_that_left_their_session(make: Make, start: Start) -> None:
    """A daemon has another parent, group and session, and is a member all the same."""
    group = make()
    process = start(
        group,
        script="""
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                print(os.getpid(), flush=True)
                time.sleep(60)
            os._exit(0)
        input()
        """,
    )
    daemon = int(said(process))
    assert daemon in group.processes()
    assert group.kill()
    assert group.processes() == ()
    assert process.wait() == -9


def test_kill_outruns_a_process_that_forks_without_end(make: Make, start: Start) -> None:
    """Every child is replaced by another at once; the limit of processes is all that holds it."""
    group = make(processes=24)
    process = start(
        group,
        script="""
        print('forking', flush=True)
        while True:
            try:
                os.fork()
            except BlockingIOError:
                time.sleep(0.001)
        """,
    )
    assert said(process) == "forking"
    time.sleep(0.1)
    assert group.kill()
    assert group.processes() == ()


def test_frozen_processes_stand_still_and_can_be_killed(make: Make, start: Start) -> None:
    """No CPU time passes while frozen; on v1 a frozen process would not die of SIGKILL alone."""
    group = make()
    process = start(group, script="print('busy', flush=True)\nwhile True: pass")
    assert said(process) == "busy"
    group.freeze()
    time.sleep(0.1)  # v1 freezes in the background
    frozen = group.figures().cpu_seconds
    time.sleep(0.2)
    assert group.figures().cpu_seconds == frozen
    group.thaw()
    time.sleep(0.2)
    assert (group.figures().cpu_seconds or 0) > (frozen or 0)
    group.freeze()
    assert group.kill()
    assert process.wait() == -9


def test_a_group_that_a_function_made_below_is_removed_too(make: Make, start: Start) -> None:
    """As root a function can; it must not keep the sandbox from being cleaned up."""
    group = make()
    below = group.folders["memory"] / "below"
    below.mkdir()
    process = start(group, "/bin/sh", "-c", f"echo 0 >{below}/cgroup.procs && echo inside && sleep 60")
    assert said(process) == "inside"
    assert process.pid in group.processes()
    assert group.kill()
    assert group.remove()
    assert not below.exists()


def test_a_group_in_use_is_not_removed(make: Make, start: Start) -> None:
    """It says so and can be removed later."""
    group = make()
    process = start(group, script="print('here', flush=True)\ninput()")
    assert said(process) == "here"
    assert not group.remove()
    assert group.processes() == (process.pid,)


def test_two_groups_cannot_have_one_name(make: Make) -> None:
    """Somebody else's limits are never taken over."""
    group = make()
    with pytest.raises(BackendError, match="exists already"):
        cgroup_make.create(group.folders["memory"].name, memory_bytes=LIMIT, processes=1024)


def test_leftovers_are_found_by_name(make: Make) -> None:
    """Only those that the caller calls abandoned, with the folders of every controller."""
    first, second = make(), make()
    name = first.folders["memory"].name
    (found,) = cgroup_make.leftovers(lambda candidate: candidate == name)
    assert set(found.folders.values()) == set(first.folders.values())
    found.close()
    assert second.folders["memory"].exists()
