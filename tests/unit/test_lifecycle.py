"""The life of an execution environment as a table: what may follow what, and what each end is called."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from emulator.lifecycle import Event, IllegalTransition, State, advance, diagnose_exit, signal_text, timed_out
from emulator.sandbox.base import Exit

if TYPE_CHECKING:
    from emulator.invocation import FunctionError

REQUEST_ID = "3b9e07c5-5fa2-47ad-af06-e44d2b64ec8f"

# https://cs.opensource.google/go/go/+/master:src/syscall/zerrors_linux_amd64.go, 2026-07
GO_SIGNALS = {
    "SIGHUP": "hangup",
    "SIGINT": "interrupt",
    "SIGQUIT": "quit",
    "SIGILL": "illegal instruction",
    "SIGTRAP": "trace/breakpoint trap",
    "SIGABRT": "aborted",
    "SIGBUS": "bus error",
    "SIGFPE": "floating point exception",
    "SIGKILL": "killed",
    "SIGUSR1": "user defined signal 1",
    "SIGSEGV": "segmentation fault",
    "SIGUSR2": "user defined signal 2",
    "SIGPIPE": "broken pipe",
    "SIGALRM": "alarm clock",
    "SIGTERM": "terminated",
}


def attempt(state: State, event: Event) -> State | IllegalTransition:
    """Give the refusal as a value."""
    try:
        return advance(state, event)
    except IllegalTransition as refusal:
        return refusal


def following(state: State) -> dict[Event, State]:
    """Try every event; only the legal ones are in the answer."""
    tried = {event: attempt(state, event) for event in Event}
    return {event: after for event, after in tried.items() if isinstance(after, State)}


class Life(RuleBasedStateMachine):
    """Any events in any order: what the table lets happen must make sense to those who know nothing of the table."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.READY
        self.started = False
        self.asked = 0
        self.dispatched = 0
        self.answered = 0

    @rule(event=st.sampled_from(Event))
    def happens(self, event: Event) -> None:
        """Every event is tried; an illegal one leaves everything as it was."""
        before = self.state
        after = attempt(before, event)
        if isinstance(after, IllegalTransition):
            assert (after.state, after.event) == (before, event)
            assert str(after) == f"{event.value} is not possible while {before.value}"
            return
        self.state = after
        if event is Event.CLOSE:
            assert self.state is State.CLOSED
            return
        assert before is not State.CLOSED
        if before is State.FAILED:
            assert event in {Event.RESET, Event.EXIT}
        if event is Event.RESET:
            self.started = False
            self.asked = self.dispatched = self.answered = 0
        self.started = self.started or event is Event.GO
        self.asked += event is Event.NEXT
        self.dispatched += event is Event.DISPATCH
        self.answered += event in {Event.RESPONSE, Event.ERROR}

    @invariant()
    def makes_sense(self) -> None:
        """One event for each /next, one answer for each event, and nothing at all from what does not run."""
        if self.state is State.CLOSED:
            return
        assert self.dispatched <= self.asked <= self.dispatched + 1
        assert self.answered <= self.dispatched <= self.answered + 1
        assert self.started or not self.asked
        assert (self.state is State.IDLE) <= (self.asked == self.dispatched + 1)
        assert (self.state is State.BUSY) <= (self.dispatched == self.answered + 1)
        assert (self.state is State.ANSWERED) <= (0 < self.asked == self.answered)


TestLife = Life.TestCase


def test_every_state_can_be_reached() -> None:
    """From READY there is a way to each state."""
    reached = {State.READY}
    while new := {state for known in reached for state in following(known).values()} - reached:
        reached |= new
    assert reached == set(State)


def test_every_event_can_happen() -> None:
    """No event is only there to be refused; what extensions do is the runtime's business nowhere."""
    assert {event for state in State for event in following(state)} == set(Event) - {Event.EXTENSION}


def test_closed_is_the_end() -> None:
    """Closing again is fine, and nothing else is."""
    assert following(State.CLOSED) == {Event.CLOSE: State.CLOSED}


@pytest.mark.parametrize("state", State)
def test_everything_can_be_closed(state: State) -> None:
    """Whatever it was doing."""
    assert advance(state, Event.CLOSE) is State.CLOSED


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_a_death_is_a_failure(state: State) -> None:
    """A runtime can die at any time, and then it must be reset."""
    assert advance(state, Event.EXIT) is State.FAILED


def test_failed_leaves_by_reset_or_close_only() -> None:
    """A late death changes nothing."""
    leaving = {event: state for event, state in following(State.FAILED).items() if state is not State.FAILED}
    assert leaving == {Event.RESET: State.READY, Event.CLOSE: State.CLOSED}


def test_busy_leaves_by_an_answer_or_an_end_only() -> None:
    """Neither a second event nor a second /next is possible before the answer."""
    assert following(State.BUSY) == {
        Event.RESPONSE: State.ANSWERED,
        Event.ERROR: State.ANSWERED,
        Event.EXIT: State.FAILED,
        Event.TIMEOUT: State.FAILED,
        Event.CLOSE: State.CLOSED,
    }


def test_one_life_after_another() -> None:
    """Init, two invocations, a timeout, reset, and init again."""
    events = [
        *(Event.GO, Event.NEXT, Event.DISPATCH, Event.RESPONSE),
        *(Event.NEXT, Event.DISPATCH, Event.ERROR, Event.NEXT, Event.DISPATCH, Event.TIMEOUT),
        *(Event.RESET, Event.GO, Event.NEXT),
    ]
    state = State.READY
    for event in events:
        state = advance(state, event)
    assert state is State.IDLE


def test_go_texts_are_complete() -> None:
    """Every signal that Go has a name for on Linux is asked for here; signal 16 (SIGSTKFLT) is the first without."""
    numbers = {int(getattr(signal, name)) for name in GO_SIGNALS}
    assert len(numbers) == 15
    assert signal_text(64) == "signal 64"


@pytest.mark.parametrize(("name", "text"), GO_SIGNALS.items(), ids=GO_SIGNALS)
def test_a_signal_in_gos_words(name: str, text: str) -> None:
    """Lambda's supervisor is written in Go and prints signals as Go does."""
    number = int(getattr(signal, name))
    assert signal_text(number) == text
    assert diagnose_exit(Exit(signal=number), "x").message.endswith(f"signal: {text}")


@pytest.mark.parametrize(
    ("exit_", "type_", "reason"),
    [
        (Exit(status=0), "Runtime.ExitError", "Runtime exited without providing a reason"),
        (Exit(), "Runtime.ExitError", "Runtime exited without providing a reason"),
        (Exit(status=1), "Runtime.ExitError", "Runtime exited with error: exit status 1"),
        (Exit(status=127), "Runtime.ExitError", "Runtime exited with error: exit status 127"),
        (Exit(status=255), "Runtime.ExitError", "Runtime exited with error: exit status 255"),
        (
            Exit(signal=signal.SIGSEGV),
            "Runtime.ExitError",
            "Runtime exited with error: signal: segmentation fault",
        ),
        (Exit(signal=signal.SIGKILL), "Runtime.ExitError", "Runtime exited with error: signal: killed"),
        (Exit(signal=40), "Runtime.ExitError", "Runtime exited with error: signal: signal 40"),
        (
            Exit(signal=signal.SIGKILL, out_of_memory=True),
            "Runtime.OutOfMemory",
            "Runtime exited with error: signal: killed",
        ),
        (
            Exit(status=1, out_of_memory=True),
            "Runtime.OutOfMemory",
            "Runtime exited with error: signal: killed",
        ),
        (Exit(invalid_entrypoint="fork/exec /x: why"), "Runtime.InvalidEntrypoint", "fork/exec /x: why"),
    ],
    ids=str,
)
def test_diagnosis(exit_: Exit, type_: str, reason: str) -> None:
    """The words recorded against AWS on 2025-11-24 and, for out of memory, seen in real logs of 2026-07."""
    error: FunctionError = diagnose_exit(exit_, REQUEST_ID)
    assert (error.type, error.message) == (type_, f"RequestId: {REQUEST_ID} Error: {reason}")
    assert error.stack_trace == ()


@pytest.mark.parametrize(("timeout_s", "words"), [(1, "1.00"), (3, "3.00"), (900, "900.00")])
def test_timeout_has_two_decimals(timeout_s: int, words: str) -> None:
    """Recorded against AWS on 2025-11-25 for 1 s."""
    error = timed_out(REQUEST_ID, timeout_s)
    assert error.type == "Sandbox.Timedout"
    assert error.message == f"RequestId: {REQUEST_ID} Error: Task timed out after {words} seconds"
