"""Between invocations an environment stands still, as AWS freezes it, and goes on where it was.

"Lambda execution environment lifecycle", AWS Lambda Developer Guide, 2026-07: after the Invoke phase the environment is
frozen; background processes and callbacks that had not completed resume when it is used again.
"""

from __future__ import annotations

import signal
import time

import pytest

from tests.conformance.conftest import Lab

pytestmark = pytest.mark.seldom_on("docker-bridge", reason="the control group is the same")

IDLE_S = 1.0


def test_a_thread_stands_still_between_invocations(lab: Lab) -> None:
    """What the handler left running does not run while nobody invokes, and goes on at the next invocation."""
    lab.cold("Background", {"do": "start", "wait": 0.1})
    time.sleep(IDLE_S)
    told = lab.payload("Background", {"wait": 0.1})
    assert 0.7 * IDLE_S < told["gap"] < 3 * IDLE_S
    time.sleep(IDLE_S)
    assert lab.payload("Background", {"wait": 0.1})["ticks"] > told["ticks"]


def test_a_child_process_stands_still_too(lab: Lab) -> None:
    """It is the environment that is frozen, not the runtime alone."""
    lab.cold("Background", {"do": "fork", "wait": 0.1})
    time.sleep(IDLE_S)
    assert 0.7 * IDLE_S < lab.payload("Background", {"wait": 0.1})["child"] < 3 * IDLE_S


def test_the_share_of_cpu_is_the_same_after_a_thaw(lab: Lab) -> None:
    """The quota of the memory size holds as before the pause: 128 MB of 1,769."""
    lab.needs("cpu")
    lab.cold("BackgroundOf128", {"do": "spin", "seconds": 0.5})
    shares = []
    for _ in range(4):  # a busy machine may give it less; more than its share it never gets
        time.sleep(0.3)
        result = lab.invoke("BackgroundOf128", {"do": "spin", "seconds": 2.0})
        assert result.usage.cpu_seconds is not None
        shares.append(result.usage.cpu_seconds / (result.timings.duration_ms / 1000 * 128 / 1769))
        assert shares[-1] < 1.5
        if shares[-1] > 0.5:
            return
    pytest.fail(f"shares of the share: {shares}")


def test_back_to_back_calls_are_not_frozen(lab: Lab) -> None:
    """Calls that follow each other find the function running: its ticks go on between them."""
    lab.cold("Background", {"do": "start"})
    told = [lab.payload("Background") for _ in range(30)]
    assert told[-1]["gap"] < 0.5


def test_frozen_environments_can_be_closed(lab: Lab) -> None:
    """The kernel kills nothing that is frozen on v1: closing must not wait for it."""
    lab.cold("Background", {"do": "fork"})
    time.sleep(0.2)
    before = time.perf_counter()
    lab.service.retire("Background")
    assert time.perf_counter() - before < 5


def test_a_runtime_that_was_killed_while_frozen(lab: Lab) -> None:
    """The next invocation finds it dead and runs init within, however late the kernel is with the death (v1)."""
    lab.cold("Background", {"do": "fork"})
    [environment] = lab.service._warm["Background"]  # noqa: SLF001 - it stands still, and only it knows its process
    limit = time.monotonic() + 10
    while not environment._frozen:  # noqa: SLF001 - see above
        assert time.monotonic() < limit
        time.sleep(0.01)
    time.sleep(0.1)  # the kernel freezes in the background
    assert environment._sandbox.signal(signal.SIGKILL)  # noqa: SLF001 - see above
    time.sleep(0.1)
    after = lab.invoke("Background")
    assert after.error is None, after.log
    assert after.timings.init_ms is None
    assert after.payload["child"] == 0.0


def test_a_frozen_environment_is_reset_after_a_timeout(lab: Lab) -> None:
    """Thawed for the invocation in which it fails."""
    lab.cold("Machine")
    time.sleep(0.2)
    failed = lab.invoke("Machine", {"do": "sleep", "seconds": 60})
    assert failed.error is not None
    assert failed.error.type == "Sandbox.Timedout"
    time.sleep(0.2)  # nothing is there to be frozen
    assert lab.payload("Machine")["global"] == 1
