"""The execution environment as a transition table without a clock, and the name of each way to fail.

Sources: "Lambda execution environment lifecycle" and "Runtime API", AWS Lambda Developer Guide, 2026-07; error texts
recorded against AWS on 2025-11-24 and 2025-11-25 (LocalStack's snapshots), out of memory from real logs of 2026-07.
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from enum import Enum
from typing import Final

from emulator.invocation import FunctionError
from emulator.limits import quota
from emulator.sandbox.base import Exit

TRUNCATED: Final = "Runtime.TruncatedResponse"


class State(Enum):
    """Where an execution environment stands."""

    READY = "ready"  # everything in place, the runtime not started
    INIT = "init"  # the runtime starts and imports the handler
    IDLE = "idle"  # it waits in /next
    BUSY = "busy"  # it has an event and owes an answer
    ANSWERED = "answered"  # it has answered and not yet asked for the next event
    FAILED = "failed"  # it must be reset before it can serve again
    CLOSED = "closed"


class Event(Enum):
    """What can happen to one."""

    GO = "go"
    NEXT = "next"
    INIT_ERROR = "init_error"
    DISPATCH = "dispatch"
    RESPONSE = "response"
    ERROR = "error"
    EXIT = "exit"
    TIMEOUT = "timeout"
    RESET = "reset"
    CLOSE = "close"
    EXTENSION = "extension"  # one has registered or waits for an event, which changes nothing for the runtime


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.READY, Event.GO): State.INIT,
    (State.READY, Event.EXIT): State.FAILED,
    (State.INIT, Event.NEXT): State.IDLE,
    (State.INIT, Event.INIT_ERROR): State.FAILED,
    (State.INIT, Event.EXIT): State.FAILED,
    (State.INIT, Event.TIMEOUT): State.FAILED,
    (State.IDLE, Event.DISPATCH): State.BUSY,
    (State.IDLE, Event.EXIT): State.FAILED,
    (State.IDLE, Event.TIMEOUT): State.FAILED,  # the time was up in the moment in which the runtime came back
    (State.BUSY, Event.RESPONSE): State.ANSWERED,
    (State.BUSY, Event.ERROR): State.ANSWERED,
    (State.BUSY, Event.EXIT): State.FAILED,
    (State.BUSY, Event.TIMEOUT): State.FAILED,
    (State.ANSWERED, Event.NEXT): State.IDLE,
    (State.ANSWERED, Event.EXIT): State.FAILED,
    (State.ANSWERED, Event.TIMEOUT): State.FAILED,
    (State.FAILED, Event.EXIT): State.FAILED,
    (State.FAILED, Event.RESET): State.READY,
}


class IllegalTransition(Exception):
    """An event that cannot happen in this state: the runtime broke the protocol, or we did."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.value} is not possible while {state.value}")
        self.state = state
        self.event = event


def advance(state: State, event: Event) -> State:
    """The state after the event; anything can be closed, nothing happens to what is closed."""
    if event is Event.CLOSE:
        return State.CLOSED
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise IllegalTransition(state, event)
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Instants of one invocation, by `time.perf_counter()`: the runtime had the event, began to answer, had answered.

    `back` is when it asked for the next event; None where that was not waited for.
    """

    dispatched: float
    began: float
    answered: float
    back: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Something the runtime did; `at` is `time.perf_counter()` of the moment its request had arrived whole."""

    event: Event
    at: float
    body: bytes = b""
    error_type: str | None = None
    too_large: bool = False
    streamed: bool = False
    """Its body has been handed on part by part; what is in `body` is an error's document."""
    spans: Spans | None = None


def truncated() -> FunctionError:
    """What Lambda calls a streamed response that broke off before its end; the type is AWS's, the words are ours."""
    return FunctionError(type=TRUNCATED, message="The response broke off before its end")


def diagnose_exit(exit_: Exit, request_id: str) -> FunctionError:
    """What Lambda calls the end of a runtime process, or an extension's, that nobody asked to end.

    Or why the runtime could not begin.
    """
    if exit_.extension is not None:
        return _extension_failed(exit_, request_id)
    if exit_.invalid_entrypoint is not None:
        type_, reason = "Runtime.InvalidEntrypoint", exit_.invalid_entrypoint
    else:
        type_, reason = "Runtime.OutOfMemory" if exit_.out_of_memory else "Runtime.ExitError", _exit_reason(exit_)
    return FunctionError(type=type_, message=f"RequestId: {request_id} Error: {reason}")


def _extension_failed(exit_: Exit, request_id: str) -> FunctionError:
    """An external extension may not end before SHUTDOWN, with whatever status.

    Words as in AWS's runtime interface emulator, 2026-01; "exit code 0" also as reported against AWS, 2024-06
    (datadog-lambda-extension issue 263).
    """
    reason = exit_.said
    if reason is None and exit_.signal is not None:
        reason = f"signal: {signal_text(exit_.signal)}"
    elif reason is None:
        reason = f"exit status {exit_.status}" if exit_.status else "exit code 0"
    return FunctionError(type=exit_.error_type or "Extension.Crash", message=f"RequestId: {request_id} Error: {reason}")


def timed_out(request_id: str, timeout_s: float) -> FunctionError:
    """What Lambda answers when the handler runs past the function's timeout."""
    return FunctionError(
        type="Sandbox.Timedout",
        message=f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds",
    )


def runtime_error(heard: Heard) -> FunctionError:
    """The runtime's own account of the failure; its fields may be missing where the runtime is not AWS's."""
    try:
        told = json.loads(heard.body)
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    trace = told.get("stackTrace") or ()
    return FunctionError(
        type=str(told.get("errorType") or heard.error_type or "Function.Unknown"),
        message=str(told.get("errorMessage") or ""),
        stack_trace=tuple(str(line) for line in trace) if isinstance(trace, list) else (),
    )


def document(error: FunctionError) -> bytes:
    """The answer that Lambda itself writes where the runtime could not: these two keys, in this order."""
    return json.dumps({"errorType": error.type, "errorMessage": error.message}, separators=(",", ":")).encode()


def response_too_large(*, streamed: bool = False) -> FunctionError:
    """What Lambda answers instead of a response over the quota (recorded 2025-11-24)."""
    row = quota("Streamed response" if streamed else "Response")
    message = row.message.format(maximum=row.maximum)
    return FunctionError(type="Function.ResponseSizeTooLarge", message=message)


def _exit_reason(exit_: Exit) -> str:
    if exit_.out_of_memory:
        return "Runtime exited with error: signal: killed"
    if exit_.signal is not None:
        return f"Runtime exited with error: signal: {signal_text(exit_.signal)}"
    if exit_.status:
        return f"Runtime exited with error: exit status {exit_.status}"
    return "Runtime exited without providing a reason"


def signal_text(number: int) -> str:
    """The signal as Go's runtime words it, since that is what Lambda's supervisor prints: `segmentation fault`."""
    return _GO_SIGNAL_TEXTS.get(number) or f"signal {number}"


_GO_SIGNAL_TEXTS: Final = {
    int(getattr(signal, name)): text
    for name, text in {
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
    }.items()
    if hasattr(signal, name)
}
