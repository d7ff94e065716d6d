"""A state machine beside a real execution environment: whatever happens to it in whatever order, both agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from emulator.invocation import InvocationResult
from tests.conformance.conftest import Lab

pytestmark = pytest.mark.seldom_on("docker-bridge", "process-watched", reason="it is long, and they differ in little")

FUNCTION = "Machine"
DEATHS_PER_RUN = 2  # each costs a new sandbox
TEXT = st.text(max_size=200)


class EnvironmentModel(RuleBasedStateMachine):
    """One environment: `calls` since its process began, `kept` in its /tmp, `born` as soon as it has initialised."""

    lab: Lab

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.kept = 0
        self.deaths = 0

    @initialize()
    def new_environment(self) -> None:
        """Nothing is left of the run before."""
        self.lab.service.retire(FUNCTION)

    def invoke(self, event: dict[str, Any]) -> InvocationResult:
        """Init Duration is there once in the life of an environment."""
        result = self.lab.invoke(FUNCTION, event)
        assert (result.timings.init_ms is not None) == (self.kept == 0)
        self.calls += 1
        self.kept += 1
        assert result.log.count(f"START RequestId: {result.request_id}") == 1
        assert result.log.count("REPORT RequestId") == 1
        return result

    @rule(value=st.recursive(st.none() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=5))
    def echo(self, value: object) -> None:
        """An answer comes back, with the counts of the model."""
        result = self.invoke({"echo": value})
        assert result.error is None, result.log
        assert result.payload == {"global": self.calls, "tmp": self.kept, "echo": value}

    @rule(message=TEXT)
    def raise_(self, message: str) -> None:
        """An exception changes nothing."""
        result = self.invoke({"do": "raise", "message": message})
        assert result.error is not None
        assert (result.error.type, result.error.message) == ("ValueError", message)

    @precondition(lambda self: self.deaths < DEATHS_PER_RUN)
    @rule(status=st.integers(0, 127))
    def exit(self, status: int) -> None:
        """The process is gone, /tmp is not."""
        result = self.invoke({"do": "exit", "status": status})
        reason = f"with error: exit status {status}" if status else "without providing a reason"
        assert result.error is not None
        assert result.error.type == "Runtime.ExitError"
        assert result.error.message == f"RequestId: {result.request_id} Error: Runtime exited {reason}"
        self.die()

    @precondition(lambda self: self.deaths == 0)
    @rule()
    def time_out(self) -> None:
        """The same at the function's timeout."""
        result = self.invoke({"do": "sleep", "seconds": 60})
        assert result.error is not None
        assert result.error.type == "Sandbox.Timedout"
        self.die()

    def die(self) -> None:
        """A new process begins to count anew."""
        self.deaths += 1
        self.calls = 0


def test_environment_agrees_with_its_model(lab: Lab) -> None:
    """Counts, answers and error types, over runs of invocations that succeed, fail, die and time out."""

    class Model(EnvironmentModel):
        """Of this lab's backend."""

    Model.lab = lab
    run_state_machine_as_test(
        Model,
        settings=settings(max_examples=5, stateful_step_count=12, suppress_health_check=list(HealthCheck)),
    )
