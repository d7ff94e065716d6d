"""The process backend with real children: what Sandbox promises, with control groups and with the watcher."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from emulator.errors import BackendError
from emulator.sandbox.base import Backend, Exit
from emulator.sandbox.process import ProcessBackend
from tests.children import PATIENCE_S, SHARE, Child, Conversation, family, is_alive, open_files, ours, running, spec

MB = 1024 * 1024
LIMIT_MB = 96


@pytest.fixture(params=["kernel", "watched"])
def cgroups(request: pytest.FixtureRequest) -> bool:
    """Both ways of limiting, where this machine has both."""
    if request.param == "kernel" and ProcessBackend().capabilities.memory != "kernel":
        pytest.skip("this user may make no control groups on this machine")
    return bool(request.param == "kernel")


Prepare = Callable[..., Child]


@pytest.fixture
def prepare(cgroups: bool, tmp_path: Path) -> Iterator[Prepare]:  # noqa: FBT001 - a fixture's value
    """Makes children that run a script; nothing of them may be left at the end."""
    files, threads = open_files(), threading.active_count()
    backends: list[Backend] = []
    children: list[Child] = []

    def make(script: str, *, memory_mb: int = LIMIT_MB) -> Child:
        backend = ProcessBackend(cgroups=cgroups, launch=running(script))
        backends.append(backend)
        children.append(Child(backend.prepare(spec(tmp_path, memory_mb=memory_mb))))
        return children[-1]

    yield make
    pids = [int(child.sandbox.identity) for child in children]
    for backend in backends:
        backend.close()
        backend.close()
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    assert ours() == []
    assert (open_files(), threading.active_count()) == (files, threads)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("pass", Exit(status=0)),
        ("sys.exit(1)", Exit(status=1)),
        ("os._exit(255)", Exit(status=255)),
        ("import ctypes; ctypes.string_at(0)", Exit(signal=signal.SIGSEGV)),
        ("os.kill(os.getpid(), signal.SIGTERM)", Exit(signal=signal.SIGTERM)),
        ("os.kill(os.getpid(), signal.SIGKILL)", Exit(signal=signal.SIGKILL)),
    ],
)
def test_how_it_ended(prepare: Prepare, script: str, expected: Exit) -> None:
    """Statuses and signals are told apart; SIGKILL alone is no proof of lack of memory."""
    child = prepare(script)
    child.go()
    assert child.ended() == expected
    assert child.exits.empty()


def test_output_comes_in_order_and_before_the_end(prepare: Prepare) -> None:
    """Both streams share one pipe, so lines stand as they were written; nothing comes after the end."""
    child = prepare("for n in range(500): os.write(1 + n % 2, f'{n}\\n'.encode())")
    log_at_end: queue.Queue[bytes] = queue.Queue()
    child.sandbox.go(child.pieces.append, lambda _: log_at_end.put(child.log))
    assert log_at_end.get(timeout=PATIENCE_S) == b"".join(b"%d\n" % n for n in range(500))


def test_nothing_runs_before_go(prepare: Prepare) -> None:
    """A process is there and uses nothing; the figures begin with *go*."""
    child = prepare("print('ran')")
    time.sleep(0.1)
    assert psutil.Process(int(child.sandbox.identity)).name() in {"sh", "dash", "bash"}
    assert child.sandbox.figures().cpu_seconds == pytest.approx(0, abs=0.02)
    child.go()
    child.ended()
    assert child.log == b"ran\n"
    assert (child.sandbox.figures().cpu_seconds or 0) > 0


def test_flush_hands_over_all_that_was_written(prepare: Prepare) -> None:
    """A megabyte, more than any pipe holds, is complete as soon as the child says that it has written it."""
    child = prepare("""
        for round in range(3):
            os.write(1, b"x" * 1_000_000)
            tell()
            wait()
    """)
    child.go()
    with Conversation(child.sandbox) as conversation:
        for done in range(1, 4):
            conversation.hear()
            child.sandbox.flush_log()
            assert len(child.log) == done * 1_000_000
            conversation.let_go_on()
        child.ended()


@pytest.mark.parametrize(("megabytes", "killed"), [(LIMIT_MB - 20, False), (LIMIT_MB + 20, True)])
def test_memory_limit(prepare: Prepare, megabytes: int, killed: bool) -> None:  # noqa: FBT001 - a parameter
    """Less than the limit is served; more ends in a proven lack of memory."""
    child = prepare(f"memory = touch({megabytes}); time.sleep(0.2); tell('alive'); wait()")
    child.go()
    with Conversation(child.sandbox) as conversation:
        if killed:
            assert child.ended() == Exit(signal=signal.SIGKILL, out_of_memory=True)
        else:
            assert conversation.hear() == "alive"
    peak = child.sandbox.figures().memory_peak_bytes
    assert peak is not None
    assert (peak >= LIMIT_MB * MB) == killed


def test_memory_limit_of_a_child_of_the_function(prepare: Prepare) -> None:
    """What the function's own processes take counts too."""
    child = prepare(f"""
        memory = touch({LIMIT_MB // 2 + 10})
        if os.fork() == 0:
            memory = touch({LIMIT_MB // 2 + 10})
            time.sleep(60)
        os.wait()
        tell("my child was killed")
        wait()
    """)
    child.go()
    with Conversation(child.sandbox) as conversation:
        # The kernel kills one of the two, the watcher both.
        assert conversation.hear() == "my child was killed" or child.ended().out_of_memory
    assert (child.sandbox.figures().memory_peak_bytes or 0) >= (LIMIT_MB - 1) * MB


@pytest.mark.parametrize("megabytes", [50, 200, 400])
def test_peak_memory_is_what_was_touched(prepare: Prepare, megabytes: int) -> None:
    """Within 3 % of what is touched and the idle figure."""
    child = prepare(f"tell(); wait(); memory = touch({megabytes}); del memory; tell(); wait()", memory_mb=1024)
    child.go()
    with Conversation(child.sandbox) as conversation:
        conversation.hear()
        idle = child.sandbox.figures().memory_peak_bytes
        conversation.let_go_on()
        conversation.hear()
        peak = child.sandbox.figures().memory_peak_bytes
    assert idle is not None
    assert peak is not None
    assert peak == pytest.approx(megabytes * MB + idle, rel=0.03)


def test_cpu_time_is_counted(prepare: Prepare) -> None:
    """What the child measured of itself and of a child it waited for, since *go*."""
    child = prepare("""
        def burn():
            while time.process_time() < 0.3: pass
        burn()
        if os.fork() == 0:
            burn()
            os._exit(0)
        os.wait()
        tell(sum(os.times()[:4]))
        wait()
    """)
    child.go()
    with Conversation(child.sandbox) as conversation:
        told = float(conversation.hear())
        assert child.sandbox.figures().cpu_seconds == pytest.approx(told, abs=0.05)
        conversation.let_go_on()
        child.ended()
    assert child.sandbox.figures().cpu_seconds == pytest.approx(told, abs=0.1)


@pytest.mark.parametrize("cgroups", [True], indirect=False)
def test_cpu_share(prepare: Prepare) -> None:
    """Unthrottled at first; then the share, and throttled time is counted."""
    child = prepare("tell()\nwhile True: pass")
    if ProcessBackend().capabilities.cpu != "kernel":
        pytest.skip("this user may make no control groups on this machine")
    child.go()
    with Conversation(child.sandbox) as conversation:
        conversation.hear()
        assert child.sandbox.figures().throttled_seconds == 0
        child.sandbox.throttle(on=True)
        before, began = child.sandbox.figures(), time.monotonic()
        time.sleep(1)
        after, elapsed = child.sandbox.figures(), time.monotonic() - began
        assert before.cpu_seconds is not None
        assert after.cpu_seconds is not None
        assert after.throttled_seconds
        # A busy machine may give less than the share, never more.
        assert after.cpu_seconds - before.cpu_seconds <= SHARE * elapsed * 1.1 + 0.02
        child.sandbox.throttle(on=False)
        time.sleep(0.1)
        lifted = child.sandbox.figures().throttled_seconds
        time.sleep(0.2)
        assert child.sandbox.figures().throttled_seconds == lifted


def test_reset_leaves_nothing_alive_and_keeps_tmp(prepare: Prepare) -> None:
    """Daemons die too; the folder stays; the next life has its own process, socket and figures."""
    child = prepare("""
        mark = os.path.join(os.environ["FOLDER"], "mark")
        before = os.path.exists(mark)
        open(mark, "w").close()
        daemon(60)
        memory = touch(40)
        tell(before)
        time.sleep(60)
    """)
    child.go()
    with Conversation(child.sandbox) as conversation:
        assert conversation.hear() == "False"
    old, identity, address = family(child), child.sandbox.identity, child.sandbox.listener.getsockname()
    assert len(old) == 2  # the script and its daemon
    child.sandbox.reset()
    assert [process for process in old if is_alive(process)] == []
    assert child.exits.empty()
    assert child.sandbox.identity != identity
    assert child.sandbox.listener.getsockname() != address
    assert (child.sandbox.figures().memory_peak_bytes or 0) < 40 * MB
    child.go()
    with Conversation(child.sandbox) as conversation:
        assert conversation.hear() == "True"
    child.sandbox.kill()


def test_the_runtimes_end_takes_its_daemons_along(prepare: Prepare) -> None:
    """They die before the end is told, so that none of them writes into the next invocation's log."""
    child = prepare("daemon(60); tell(); wait()")
    child.go()
    with Conversation(child.sandbox) as conversation:
        conversation.hear()
        assert len(family(child)) == 2
        conversation.let_go_on()
        assert child.ended() == Exit(status=0)
    assert family(child) == []


def test_kill_is_silent_and_leaves_the_figures(prepare: Prepare) -> None:
    """The one who kills knows of it; what was written before is still handed over."""
    child = prepare("memory = touch(40); print('before', flush=True); tell(); time.sleep(60)")
    child.go()
    with Conversation(child.sandbox) as conversation:
        conversation.hear()
    figures = child.sandbox.figures()
    child.sandbox.kill()
    child.sandbox.kill()
    assert child.exits.empty()
    assert child.log == b"before\n"
    after = child.sandbox.figures()
    assert (after.memory_peak_bytes or 0) >= (figures.memory_peak_bytes or 0) > 40 * MB
    child.sandbox.flush_log()
    child.sandbox.throttle(on=True)


TICKING = """
name = "parent" if os.fork() else "child"
beat = open(os.path.join(os.environ["FOLDER"], name), "w")
tell(name)
while True:
    beat.write("x")
    beat.flush()
    time.sleep(0.002)
"""


def test_freeze_stops_all_and_thaw_lets_go_on(prepare: Prepare) -> None:
    """The runtime and its child; a second freeze or thaw does no harm."""
    child = prepare(TICKING)
    child.go()
    with Conversation(child.sandbox) as conversation:
        assert {conversation.hear(), conversation.hear()} == {"parent", "child"}

        def beats() -> list[int]:
            folder = Path(next(path for path in ours() if "/" in path and Path(path).is_dir()))
            return [path.stat().st_size for path in folder.iterdir() if path.is_file()]

        for _ in range(2):
            assert child.sandbox.freeze()
            assert child.sandbox.freeze()
            time.sleep(0.2)  # the kernel freezes in the background
            before = beats()
            time.sleep(0.2)
            assert beats() == before
            child.sandbox.thaw()
            child.sandbox.thaw()
            time.sleep(0.3)
            assert all(now > then for now, then in zip(beats(), before, strict=True))
        child.sandbox.freeze()
    child.sandbox.kill()
    assert not child.sandbox.freeze()
    child.sandbox.thaw()


def test_a_sandbox_that_never_went_is_closed(prepare: Prepare) -> None:
    """Environments made ready ahead of need may not be needed; fixtures check what is left."""
    child = prepare("tell()")
    child.sandbox.close()
    child.sandbox.close()
    assert child.exits.empty()
    assert child.pieces == []


def test_a_process_that_died_while_it_waited(prepare: Prepare) -> None:
    """That is the emulator's failure, not the function's."""
    child = prepare("tell()")
    process = psutil.Process(int(child.sandbox.identity))
    process.kill()
    while is_alive(process):
        time.sleep(0.01)
    with pytest.raises(BackendError, match="is gone"):
        child.go()
    assert child.exits.empty()


def test_open_files_are_limited(prepare: Prepare) -> None:
    """1,024 as on Lambda, and no core file is left in the user's code."""
    child = prepare("""
        import resource
        print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE))
    """)
    child.go()
    child.ended()
    assert child.log == b"(1024, 1024) (0, 0)\n"


def test_nothing_is_inherited(tmp_path: Path, cgroups: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a fixture's value
    """Neither variables nor descriptors; the working directory is the code."""
    monkeypatch.setenv("SECRET", "of the emulator")
    script = "print(sorted(os.environ), os.getcwd(), os.listdir('/dev/fd'))"
    backend = ProcessBackend(cgroups=cgroups, launch=running(script))
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)  # noqa: FBT003 - the standard library's signature
    child = Child(backend.prepare(spec(tmp_path, environment={"MINE": "1"})))
    child.go()
    child.ended()
    backend.close()
    os.close(reader)
    os.close(writer)
    shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    names = set(json.loads(child.log.decode().partition("]")[0].replace("'", '"') + "]"))
    assert names - shell - {"LC_CTYPE"} == {"AWS_LAMBDA_RUNTIME_API", "FOLDER", "MINE", "TMPDIR"}
    rest = child.log.decode().partition("]")[2].split()
    assert rest[0] == str(tmp_path)
    assert len(rest[1:]) == 5  # three standard streams, the conversation, and the listing itself
