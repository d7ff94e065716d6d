"""Drills that take minutes: deaths of everything that can die, a full disk, a thousand crashes, two hundred at once.

Each says what it counted: `make soak PYTEST_ARGS=-rP`.
"""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from emulator.limits import MIB
from tests.census import Census, containers, kill_container
from tests.children import is_alive
from tests.command import ROOT, invoke, wait_for
from tests.drills import Drill, drill
from tests.integration.test_cli_stop import runtime_among_children
from tests.leaks import left_since, traces
from tests.serving import BACKENDS

pytestmark = pytest.mark.soak
both_backends = pytest.mark.parametrize("backend", BACKENDS)

CRASHES = 1000
AT_ONCE = 200
HOLD = "[print('holding on'), time.sleep(300)]"
WHO = "os.environ['AWS_LAMBDA_LOG_STREAM_NAME']"


@pytest.fixture(autouse=True)
def before() -> Iterator[set[str]]:
    """What lies on this machine before; nothing more may lie there after."""
    found = traces()
    yield found
    assert left_since(found) == set()


def say(what: str, count: Census) -> None:
    """A figure for whoever reads the drill's output."""
    print(f"{what}: {count}")  # noqa: T201 - this is the drill's result


def hold(one: Drill, pool: ThreadPoolExecutor, calls: int) -> None:
    """So many invocations are under way when this returns."""
    held = one.held()
    for _ in range(calls):
        pool.submit(one.ask, HOLD)
    wait_for(lambda: one.held() >= held + calls)


def runtimes(one: Drill, backend: str) -> list[psutil.Process]:
    """The runtimes of its functions, as this machine sees them."""
    if backend == "docker":
        firsts = [int(found["State"]["Pid"]) for found in containers(one.pid)]
        return [psutil.Process(pid) for first in firsts if (pid := runtime_among_children(first)) is not None]
    return [found for found in psutil.Process(one.pid).children() if "preflight-guard" not in found.cmdline()]


@both_backends
def test_the_emulator_is_killed(backend: str, tmp_path: Path, before: set[str]) -> None:
    """Mid-invocation: every function ends at once, and the next start clears what was left."""
    with ThreadPoolExecutor(16) as pool, drill(tmp_path, backend) as one:
        hold(one, pool, 8)
        alive = runtimes(one, backend)
        assert len(alive) == 8
        say("eight invocations under way", one.count())
        one.served.process.send_signal(signal.SIGKILL)
        one.served.process.wait()
        begin = time.monotonic()
        wait_for(lambda: not any(is_alive(process) for process in alive), seconds=20)
        print(f"all eight functions ended after {time.monotonic() - begin:.2f} s")  # noqa: T201 - see say
        say("after the kill", one.count())
    assert invoke("Echo", "--backend", backend).status == 0
    assert left_since(before) == set()
    say("after the next start", one.count())
    assert not any(one.count().beyond(EMPTY).values())


EMPTY = Census(
    processes=0,
    threads=0,
    files=0,
    sockets=0,
    loop_devices=0,
    containers=0,
    mounts=0,
    control_groups=0,
    folders=0,
)


@pytest.mark.engine
def test_containers_are_killed(tmp_path: Path) -> None:
    """By somebody else, mid-invocation: the callers are told, and the next invocations are well."""
    with ThreadPoolExecutor(16) as pool, drill(tmp_path, "docker") as one:
        list(pool.map(one.ask, ["time.sleep(1)"] * 4))  # so that the client has its connections
        idle = one.count()
        say("four idle environments", idle)
        calls = [pool.submit(one.ask, HOLD) for _ in range(4)]
        wait_for(lambda: one.held() == 4)
        say("four invocations under way", one.count())
        for found in containers(one.pid):
            kill_container(found["Id"])
        outcomes = [call.result() for call in calls]
        print(f"answers: {[str(outcome)[:160] for outcome in outcomes]}")  # noqa: T201 - see say
        assert [one.invoke("7")["payload"] for _ in range(4)] == [7] * 4
        wait_for(lambda: not one.count().beyond(idle, slack=1), seconds=20)
        say("after four more", one.count())
        assert one.served.ended(signal.SIGTERM) == 0
    assert_no_fault(one)


def test_runtimes_are_killed(tmp_path: Path) -> None:
    """The same without containers, where it is the runtime that dies."""
    with ThreadPoolExecutor(16) as pool, drill(tmp_path, "process") as one:
        calls = [pool.submit(one.ask, HOLD) for _ in range(4)]
        wait_for(lambda: one.held() == 4)
        for process in runtimes(one, "process"):
            process.kill()
        for call in calls:
            outcome = call.result()
            assert isinstance(outcome, dict)
            assert outcome["payload"]["errorType"] == "Runtime.ExitError"
            assert outcome["payload"]["errorMessage"].endswith("signal: killed")
        assert [one.invoke("7")["payload"] for _ in range(4)] == [7] * 4
        assert one.served.ended(signal.SIGTERM) == 0
    assert_no_fault(one)


@pytest.mark.engine
def test_a_full_disk(tmp_path: Path) -> None:
    """ENOSPC in `/tmp`; the environment goes on while it is full, over a crash too, and after it was emptied."""
    with drill(tmp_path, "docker", memory_mb=1769) as one:
        fill = f"(lambda: [Path('/tmp/kept').write_bytes(bytes({500 * MIB})), fill('/tmp/more', {20 * MIB})][1])()"
        found = one.invoke(fill)["payload"]
        assert found[0] == errno.ENOSPC
        print(f"ENOSPC after {500 + found[1] / MIB:.1f} MB")  # noqa: T201 - see say
        who = one.invoke(WHO)["payload"]
        assert one.invoke(f"fill('/tmp/more', {20 * MIB})[0]")["payload"] == errno.ENOSPC
        assert one.invoke("os._exit(1)")["failed"]
        assert one.invoke("Path('/tmp/kept').stat().st_size")["payload"] == 500 * MIB
        assert one.invoke("[Path('/tmp/kept').unlink(), fill('/tmp/more', 20 << 20)][1]")["payload"] == [None, 20 * MIB]
        assert one.invoke(WHO)["payload"] == who
        assert one.served.ended(signal.SIGTERM) == 0
    assert_no_fault(one)


@both_backends
def test_a_thousand_crashes(backend: str, tmp_path: Path) -> None:
    """One after the other, and there is no more of anything than after the tenth."""
    with drill(tmp_path, backend) as one:
        begin = time.monotonic()
        for number in range(CRASHES):
            if number == 10:
                assert one.invoke("7")["payload"] == 7  # an environment that lives is counted both times
                early = one.count()
                say("after 10", early)
            answer = one.invoke("os._exit(9)")
            assert answer["payload"]["errorMessage"].endswith("exit status 9"), (number, answer)
        took = time.monotonic() - begin
        assert one.invoke("7")["payload"] == 7
        wait_for(lambda: not one.count().beyond(early, slack=1), seconds=20)
        say(f"after {CRASHES}, {1000 * took / CRASHES:.0f} ms each", one.count())
        assert one.served.ended(signal.SIGTERM) == 0
    assert_no_fault(one)
    assert not one.count().beyond(EMPTY)


@both_backends
def test_two_hundred_at_once(backend: str, tmp_path: Path) -> None:
    """Cold, then warm, then cold again after all have crashed: no error, an environment for each, and nothing left."""
    with ThreadPoolExecutor(AT_ONCE) as pool, drill(tmp_path, backend, memory_mb=128, at_once=AT_ONCE) as one:
        one.invoke("1")
        say("one environment", one.count())
        for title, wait in (("cold", 25), ("warm", 5)):  # so long that all are under way at once
            begin = time.monotonic()
            outcomes = list(pool.map(one.ask, [f"[time.sleep({wait}), {WHO}][1]"] * AT_ONCE))
            took = time.monotonic() - begin
            wrong = [outcome for outcome in outcomes if isinstance(outcome, Exception) or outcome["failed"]]
            assert wrong == [], wrong[:3]
            names = {outcome["payload"] for outcome in outcomes if isinstance(outcome, dict)}
            say(f"{AT_ONCE} {title} calls in {took:.1f} s, {len(names)} environments", one.count())
            assert len(names) > AT_ONCE // 2
        crashed = list(pool.map(one.ask, ["os._exit(1)"] * AT_ONCE))
        assert all(isinstance(outcome, dict) and outcome["failed"] for outcome in crashed)
        again = list(pool.map(one.ask, ["7"] * AT_ONCE))
        assert all(isinstance(outcome, dict) and outcome["payload"] == 7 for outcome in again)
        say(f"after {AT_ONCE} crashes and as many more calls", one.count())
        begin = time.monotonic()
        one.served.process.terminate()
        assert one.served.process.wait(timeout=300) == 0
        print(f"stopped in {time.monotonic() - begin:.1f} s")  # noqa: T201 - see say
    assert_no_fault(one)
    assert not one.count().beyond(EMPTY)
    say("after it", one.count())


def assert_no_fault(one: Drill) -> None:
    """No traceback of our own in the server's log."""
    assert f'File "{ROOT / "emulator"}' not in one.served.log.read_text(encoding="utf-8")
