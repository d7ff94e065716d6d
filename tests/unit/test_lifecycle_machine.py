"""The life of an environment as a state machine against a model: any order of invocations, deaths, freezes and resets.

The model is "Lambda execution environment lifecycle", AWS Lambda Developer Guide, 2026-07, in a few lines: what is kept
and lost, which phase is on which line, and which failures reset.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emulator.errors import BackendError
from emulator.lifecycle import Event, State, advance
from emulator.sandbox.base import Exit, Figures
from tests.bench import END, START, Bench, invoke, opened
from tests.fakes import FakeRuntime

if TYPE_CHECKING:
    from emulator.environment import Environment
    from emulator.invocation import InvocationResult
    from tests.fakes import FakeSandbox

TIMEOUT_S: Final = 3
INIT_S: Final = 0.2
WORK_S: Final = 0.1

Init = Literal["well", "slowly", "raises", "raises and stays", "exits", "hangs"]
INITS: Final[tuple[Init, ...]] = ("well", "slowly", "raises", "raises and stays", "exits", "hangs")
INIT_ERRORS: Final = {
    "raises": ("error", "ImportError"),
    "raises and stays": ("error", "ImportError"),
    "exits": ("error", "Runtime.ExitError"),
    "slowly": ("timeout", None),
    "hangs": ("timeout", None),
}
"""How an init that failed is told: status and error type."""

Deed = Literal["answer", "raise", "exit", "exhaust", "hang", "answer late", "answer too much"]
DEEDS: Final[tuple[Deed, ...]] = ("answer", "raise", "exit", "exhaust", "hang", "answer late", "answer too much")
ERRORS: Final = {
    "raise": "ValueError",
    "exit": "Runtime.ExitError",
    "exhaust": "Runtime.OutOfMemory",
    "hang": "Sandbox.Timedout",
    "answer late": "Sandbox.Timedout",
    "answer too much": "Function.ResponseSizeTooLarge",
}
RESETTING: Final = frozenset({"exit", "exhaust", "hang", "answer late"})
DEATHS: Final = (Exit(status=0), Exit(status=1), Exit(signal=11), Exit(signal=9, out_of_memory=True))


class Function:
    """A runtime that does at each init and each event what it was told to, and counts as a handler would."""

    def __init__(self) -> None:
        self.inits: deque[Init] = deque()
        self.tmp = 0
        self.lives = 0

    async def live(self, runtime: FakeRuntime) -> None:
        """One life."""
        self.lives += 1
        how = self.inits.popleft()
        runtime.take(11.0 if how == "slowly" else INIT_S)
        if how in {"raises", "raises and stays"}:
            await runtime.fail_init(b'{"errorType": "ImportError", "errorMessage": "no", "requestId": ""}')
        if how in {"raises", "exits"}:
            runtime.end(Exit(status=1))
        if how in {"well", "slowly"}:
            await self._serve(runtime)

    async def _serve(self, runtime: FakeRuntime) -> None:
        calls = 0
        while True:
            deed: Deed = json.loads((await runtime.next()).body)
            calls += 1
            self.tmp += 1
            runtime.take(5.0 if deed == "answer late" else WORK_S)
            if deed == "hang":
                return
            if deed in {"exit", "exhaust"}:
                runtime.end(Exit(signal=9, out_of_memory=True) if deed == "exhaust" else Exit(status=1))
            if deed == "raise":
                await runtime.fail(b'{"errorType": "ValueError", "errorMessage": "no"}')
            else:
                body = json.dumps({"global": calls, "tmp": self.tmp}).encode()
                await runtime.respond(None if deed == "answer too much" else body)


class Lifecycle(RuleBasedStateMachine):
    """`stands` is new, warm or dead; `frozen` and the two counters are what a function could notice."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.bench: Bench = self.stack.enter_context(
            opened(self.stack.enter_context(pytest.MonkeyPatch.context())),
        )

    @initialize()
    def begin(self) -> None:
        """Make an environment ready."""
        self.function = Function()
        self.environment: Environment
        self.sandbox: FakeSandbox
        self.environment, self.sandbox = self.bench.environment(
            self.function.live, timeout_s=TIMEOUT_S, figures=Figures(memory_peak_bytes=0, cpu_seconds=0.0)
        )
        self.stands: Literal["new", "warm", "dead"] = "new"
        self.calls = self.tmp = self.lives = 0
        self.frozen = False

    @rule(deed=st.sampled_from(DEEDS), inits=st.tuples(st.sampled_from(INITS), st.sampled_from(INITS)))
    def invoke(self, deed: Deed, inits: tuple[Init, Init]) -> None:
        """Invoke, with these inits where some are due."""
        self.function.inits = deque(inits)
        init: Init | None = None  # the one inside the invocation
        reports = []
        cold = False
        if self.stands == "new":
            cold = inits[0] == "well"
            init = None if cold else inits[1]
            reports = [] if cold else [("init", *INIT_ERRORS[inits[0]])]
        elif self.stands == "dead":
            init = inits[0]
        self.lives += (self.stands == "new") + (init is not None)
        if self.stands != "warm":
            self.calls = 0
        failed = INIT_ERRORS.get(init) if init is not None else None
        if failed is not None:
            reports.append(("invoke", *failed))
        result = invoke(self.environment, json.dumps(deed).encode())
        self.frozen = False
        assert self.function.lives == self.lives
        assert init_reports(result) == reports
        assert result.cold == cold
        self._check_lines(result)
        if failed is not None:
            self._check_failed_init(result, failed)
        else:
            self._check_deed(result, deed, INIT_S if init is not None else 0.0)

    def _check_failed_init(self, result: InvocationResult, failed: tuple[str, str | None]) -> None:
        status, error_type = failed
        assert result.error is not None
        assert result.error.type == (error_type or "Sandbox.Timedout")
        if status == "timeout":
            assert result.timings.duration_ms == TIMEOUT_S * 1000
        self.stands = "dead"

    def _check_deed(self, result: InvocationResult, deed: Deed, before: float) -> None:
        self.calls += 1
        self.tmp += 1
        if deed == "answer":
            assert result.payload == {"global": self.calls, "tmp": self.tmp}
        else:
            assert result.error is not None
            assert result.error.type == ERRORS[deed]
        took = TIMEOUT_S if deed in {"hang", "answer late"} else before + WORK_S
        assert result.timings.duration_ms == pytest.approx(took * 1000)
        self.stands = "dead" if deed in RESETTING else "warm"

    def _check_lines(self, result: InvocationResult) -> None:
        """START, END and REPORT once, in this order and at the end; billed is what the two durations are together."""
        assert re.fullmatch(rf"(?:INIT_REPORT .*\n)*{re.escape(START + END)}REPORT .*\n", result.log)
        timings = result.timings
        assert timings.billed_ms == math.ceil(round(timings.duration_ms + (timings.init_ms or 0.0), 6))
        assert ("Init Duration: " in result.log.splitlines()[-1]) == result.cold

    @rule()
    def rest(self) -> None:
        """The janitor comes by."""
        assert self.environment.rest()
        self.frozen = self.stands == "warm"

    @precondition(lambda self: self.stands == "warm")
    @rule(how=st.sampled_from(DEATHS))
    def die(self, how: Exit) -> None:
        """The runtime ends between two invocations, frozen or not: a background thread, a signal from outside."""
        self.sandbox.die(how)
        self.stands = "dead"

    @precondition(lambda self: self.stands == "warm")
    @rule()
    def lose(self) -> None:
        """Somebody removes the sandbox: that is no failure of the function's, and the environment is done."""
        self.sandbox.die(Exit(lost="it was removed"))
        with pytest.raises(BackendError, match="it was removed"):
            invoke(self.environment)
        self.environment.close()
        self.begin()

    @rule()
    def replace(self) -> None:
        """Close it, in whatever state; the next one has nothing of it."""
        self.environment.close()
        assert not self.sandbox.frozen
        self.begin()

    @invariant()
    def agrees(self) -> None:
        """What can be seen from outside is what the model says."""
        if hasattr(self, "stands"):
            assert self.sandbox.frozen == self.frozen or self.stands == "dead"
            assert self.environment.warm == (self.stands == "warm") or self.stands == "dead"

    def teardown(self) -> None:
        """Close everything."""
        self.stack.close()


def init_reports(result: InvocationResult) -> list[tuple[str, str, str | None]]:
    """Phase, status and error type of each INIT_REPORT line."""
    lines = re.findall(
        r"INIT_REPORT Init Duration: \S+ ms\tPhase: (\w+)\tStatus: (\w+)(?:\tError Type: (\S+))?\n", result.log
    )
    return [(phase, status, error_type or None) for phase, status, error_type in lines]


Lifecycle.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestLifecycle = Lifecycle.TestCase


@pytest.mark.parametrize("state", State)
def test_nothing_happens_to_what_is_closed(state: State) -> None:
    """Anything can be closed, and stays so."""
    closed: Any = advance(state, Event.CLOSE)
    assert closed is State.CLOSED
