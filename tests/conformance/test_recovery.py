"""What an execution environment keeps and loses: from one invocation to the next, and over a reset.

"Lambda execution environment lifecycle", AWS Lambda Developer Guide, 2026-07 (reset, suppressed init); a file of `/tmp`
kept and globals gone: LocalStack's snapshot against AWS of 2024-04-08.
"""

from __future__ import annotations

from typing import Any

import pytest

from emulator.invocation import InvocationResult
from tests.conformance.conftest import Lab
from tests.conformance.log_lines import assert_figures, assert_log, end, report, start

pytestmark = pytest.mark.seldom_on("docker-bridge", reason="test_outcomes has deaths and resets too")

DEATHS = {
    "exit 0": ({"do": "exit", "status": 0}, "Runtime.ExitError"),
    "exit 1": ({"do": "exit", "status": 1}, "Runtime.ExitError"),
    "segfault": ({"do": "segfault"}, "Runtime.ExitError"),
    "out of memory": ({"do": "exhaust"}, "Runtime.OutOfMemory"),
    "timeout": ({"do": "sleep", "seconds": 60}, "Sandbox.Timedout"),
}


def counts(result: InvocationResult) -> tuple[int, int]:
    """How often this runtime process was called, and how often this environment."""
    assert result.error is None, result.log
    return result.payload["global"], result.payload["tmp"]


def test_warm_environment_keeps_globals_and_tmp(lab: Lab) -> None:
    """A handler's exception changes nothing about that."""
    assert counts(lab.cold("Machine")) == (1, 1)
    assert counts(lab.invoke("Machine")) == (2, 2)
    failed = lab.invoke("Machine", {"do": "raise", "message": "no"})
    assert failed.error is not None
    assert failed.error.type == "ValueError"
    again = lab.invoke("Machine")
    assert counts(again) == (4, 4)
    assert again.timings.init_ms is None


@pytest.mark.parametrize("death", DEATHS)
def test_death_resets_all_but_tmp(lab: Lab, death: str) -> None:
    """The next invocation inits inside its own Duration: no Init Duration, nothing in the log, globals gone."""
    event, error_type = DEATHS[death]
    name = "Machine" if death == "timeout" else "MachinePatient"
    first = lab.cold(name)
    assert counts(first) == (1, 1)
    failed = lab.invoke(name, event)
    assert failed.error is not None, failed.log
    assert failed.error.type == error_type
    after = lab.invoke(name)
    assert counts(after) == (1, 3)
    config = lab.functions[name]
    assert_log(after, start(after), end(after), report(after, config))
    assert_figures(after, config)
    assert after.timings.init_ms is None
    # The init is in this invocation: a warm one takes a hundredth of the CPU time of an init.
    assert after.usage.cpu_seconds is not None
    assert first.usage.init_cpu_seconds is not None
    assert after.usage.cpu_seconds > first.usage.init_cpu_seconds / 3
    assert counts(lab.invoke(name)) == (2, 4)


def test_death_at_the_very_first_invocation(lab: Lab) -> None:
    """The Init phase went well before it, and is on the line of the invocation that died."""
    failed = lab.cold("Machine", {"do": "exit", "status": 7})
    assert failed.error is not None
    assert failed.error.message.endswith("Error: Runtime exited with error: exit status 7")
    assert failed.timings.init_ms is not None
    assert counts(lab.invoke("Machine")) == (1, 2)


def test_two_deaths_in_a_row(lab: Lab) -> None:
    """The second happens in an environment that was reset, with its init inside the invocation."""
    lab.cold("Machine")
    event: dict[str, Any] = {"do": "exit", "status": 1}
    for _ in range(2):
        failed = lab.invoke("Machine", event)
        assert failed.error is not None
        assert (failed.error.type, failed.timings.init_ms) == ("Runtime.ExitError", None)
    assert counts(lab.invoke("Machine")) == (1, 4)


def test_retired_environment_leaves_nothing_to_the_next(lab: Lab) -> None:
    """A new execution environment has an empty /tmp of its own."""
    assert counts(lab.cold("Machine")) == (1, 1)
    assert counts(lab.cold("Machine")) == (1, 1)


def test_fresh_takes_a_new_environment_and_keeps_the_old(lab: Lab) -> None:
    """`fresh` is a cold start; the environment used last serves the next call that does not ask for one."""
    lab.service.retire("Machine")
    assert counts(lab.invoke("Machine")) == (1, 1)
    fresh = lab.invoke("Machine", fresh=True)
    assert fresh.timings.init_ms is not None
    assert counts(fresh) == (1, 1)
    warm = lab.invoke("Machine")
    assert warm.timings.init_ms is None
    assert counts(warm) == (2, 2)
