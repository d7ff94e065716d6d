"""One execution environment: sandbox, Runtime API and life, from init to shutdown. It owns the clock.

Phases and their failures follow "Lambda execution environment lifecycle", AWS Lambda Developer Guide, 2026-07, and the
real logs named in `lifecycle`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emulator import logs
from emulator.errors import BackendError
from emulator.invocation import FunctionError, Invocation, InvocationResult, Timings, Usage
from emulator.journal import Journal
from emulator.lifecycle import (
    TRUNCATED,
    Event,
    Heard,
    State,
    diagnose_exit,
    document,
    response_too_large,
    runtime_error,
    timed_out,
    truncated,
)
from emulator.limits import INIT_LIMIT_S
from emulator.sandbox.base import Exit, Figures, Sandbox

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.memory_watch import OnMemory
    from emulator.shutdown import Extensions, Reason
    from emulator.streaming import PacedStream, Receiver

_MS: Final = 1000.0
_LAST_WORD_S: Final = 0.2  # between the end of a process's connection and the news of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the caller asks for; the environment adds the deadline."""

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str
    client_context: str | None = None
    receiver: Receiver | None = None
    on_memory: OnMemory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How one phase ended: at what instant, with which body or which error."""

    at: float
    body: bytes = b""
    error: FunctionError | None = None
    status: logs.Status = "success"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readings:
    """The kernel's counters around one invocation; `init` is the Init phase's milliseconds and figures."""

    init: tuple[float, Figures] | None
    before: Figures
    after: Figures


class Environment:
    """One execution environment around a sandbox that was made ready, which is its own from now on.

    `invoke` serves one event at a time, on the caller's thread. BackendError means that the sandbox was lost; every
    failure of the function is in the result. `extensions` are told when a life ends, and given time.
    """

    def __init__(
        self,
        config: FunctionConfig,
        sandbox: Sandbox,
        on_log: Callable[[str], None] | None = None,
        *,
        extensions: Extensions | None = None,
    ) -> None:
        self._config = config
        self._sandbox = sandbox
        self._journal = Journal(config, on_log)
        self._extensions = extensions
        self._resting = threading.Lock()
        self._awake = True  # it serves, or is closed: the janitor keeps its hands off
        self._frozen = False
        self.idle_since = 0.0
        """`time.perf_counter()` of the last invocation's end."""
        try:
            self._begin_life()
        except BaseException:  # it may still be starting, and fail, or be interrupted
            with suppress(BackendError):  # what went wrong first is what is told
                self._sandbox.close()
            raise

    @property
    def sandbox(self) -> str:
        """The container or process, as the user would look for it."""
        return self._sandbox.identity

    @property
    def warm(self) -> bool:
        """Whether the next invocation would need no init."""
        return self._api.state in {State.IDLE, State.ANSWERED}

    @property
    def freeze_after_s(self) -> float:
        """Seconds of idleness after which it is worth freezing."""
        return self._sandbox.freeze_after_s

    def rest(self) -> bool:
        """Freeze what the function left running, from another thread than the one that invokes.

        False while the runtime has not asked for the next event, since Lambda's Invoke phase ends only there; True
        where nothing is left to do: it stands still, is dead, or serves already.
        """
        with self._resting:
            if not self._awake and not self._frozen:
                while heard := self._server.wait(time.perf_counter()):
                    if isinstance(heard, Exit):
                        self._server.hear(heard)  # kept for the next invocation, which resets
                        return True
                if self._api.state is State.ANSWERED:
                    return False
                self._frozen = self._api.state is State.IDLE and self._sandbox.freeze()
            return True

    def invoke(self, order: Order) -> InvocationResult:
        """One invocation from START to REPORT, with the Init phase before it where this is the first."""
        self._wake()
        try:
            return self._invoke(order)
        finally:
            self.idle_since = time.perf_counter()
            self._awake = False

    def _invoke(self, order: Order) -> InvocationResult:
        self._settle()
        init = self._first_init(order.request_id) if self._api.state is State.READY else None
        if self._api.state is State.FAILED:
            self._reset()
        before = self._sandbox.figures(memory=False)
        begin = time.perf_counter()
        deadline = begin + self._config.timeout_s
        outcome = self._suppressed_init(order.request_id, begin, deadline) if self._api.state is State.READY else None
        self._journal.started(order.request_id, order.function_arn)
        if outcome is None:
            with self._watched(order):
                outcome = self._serve(order, deadline)
        self._sandbox.flush_log()
        after = self._sandbox.figures()
        if self._api.state is State.FAILED:
            self._kill("TIMEOUT" if outcome.status == "timeout" else "FAILURE")
        duration_ms = (outcome.at - begin) * _MS
        if outcome.status == "timeout":
            duration_ms = self._config.timeout_s * _MS  # as AWS's REPORT lines show since 2025
        return self._result(order, outcome, duration_ms, _Readings(init=init, before=before, after=after))

    def _watched(self, order: Order) -> AbstractContextManager[object]:
        if order.on_memory is None:
            return nullcontext()
        from emulator.memory_watch import MemoryWatch  # noqa: PLC0415 - most invocations are not watched

        return MemoryWatch(self._sandbox, order.on_memory)

    def close(self) -> None:
        """End the sandbox and the server, after the Shutdown phase where one is due; may be called more than once."""
        spindown = self.warm and self._extensions is not None
        self._wake(thaw=spindown)
        try:
            if spindown:
                self._shut_down("SPINDOWN")
            self._extensions = None
            self._sandbox.close()  # first: a runtime that is left alone by its server complains into the log
        finally:
            self._server.close()

    def _begin_life(self) -> None:
        # Imported while the sandbox starts: asking for its listener is what waits for it.
        from emulator.runtime_server import RuntimeServer  # noqa: PLC0415 - see above

        self._shut = False  # the Shutdown phase comes once in a life
        self._server = RuntimeServer(self._sandbox.listener, peer=self._sandbox.peer)
        self._api = self._server.api

    def _wake(self, *, thaw: bool = True) -> None:
        with self._resting:
            self._awake = True
            frozen, self._frozen = self._frozen, False
            if frozen and thaw:
                self._sandbox.thaw()

    def _shut_down(self, reason: Reason) -> None:
        if self._extensions is not None and not self._shut:
            self._shut = True
            from emulator.shutdown import shut_down  # noqa: PLC0415 - most functions have no extension

            shut_down(self._sandbox, self._server, self._extensions, reason)

    def _kill(self, reason: Reason) -> None:
        """Nothing of this life may go on; the environment can be reset."""
        self._shut_down(reason)
        self._sandbox.kill()
        self._server.close()

    def _reset(self) -> None:
        """What Lambda does after a crash, a timeout or a failed init: all processes gone, `/tmp` kept."""
        self._shut_down("FAILURE")
        self._server.close()
        self._sandbox.reset()
        self._begin_life()

    def _settle(self) -> None:
        """Take in what happened since the last answer: the runtime asks for the next event, or has died."""
        limit = time.perf_counter() + INIT_LIMIT_S
        while self._api.state in {State.ANSWERED, State.IDLE}:
            # An idle runtime is asked for news, not waited for.
            heard = self._wait(limit if self._api.state is State.ANSWERED else time.perf_counter())
            if isinstance(heard, Exit):
                self._fail(Event.EXIT)
            elif heard is None and self._api.state is State.ANSWERED:
                self._fail(Event.TIMEOUT)
            elif heard is None:
                return

    def _first_init(self, request_id: str) -> tuple[float, Figures] | None:
        """The Init phase: (milliseconds, figures at its end); None where it failed, which is logged as on AWS."""
        begin = time.perf_counter()
        self._journal.init_started("init")
        outcome = self._init(begin + INIT_LIMIT_S, request_id)
        init_ms = (outcome.at - begin) * _MS
        if outcome.status == "success":
            self._journal.init_ended(init_ms, "init")
            return init_ms, self._sandbox.figures()
        self._log_failed_init(init_ms, "init", outcome)
        return None

    def _suppressed_init(self, request_id: str, begin: float, deadline: float) -> _Outcome | None:
        """Init again, inside the invocation and its timeout; None where it went well."""
        outcome = self._init(deadline, request_id)
        if outcome.status == "success":
            self._sandbox.figures()  # so that the memory of init is known should the runtime die
            return None
        self._log_failed_init((outcome.at - begin) * _MS, "invoke", outcome)
        if outcome.status == "timeout":
            error = timed_out(request_id, self._config.timeout_s)
            return _Outcome(at=outcome.at, body=document(error), error=error, status="timeout")
        return outcome

    def _log_failed_init(self, init_ms: float, phase: logs.Phase, outcome: _Outcome) -> None:
        self._sandbox.flush_log()
        error_type = outcome.error.type if outcome.error is not None else None
        self._journal.init_ended(init_ms, phase, outcome.status, error_type)

    def _init(self, limit: float, request_id: str) -> _Outcome:
        """Start the runtime and wait until it asks for an event, fails or runs out of time."""
        self._api.happen(Event.GO)
        self._sandbox.go(self._journal.add, self._server.hear)
        heard = self._wait(limit)
        if heard is None:
            self._fail(Event.TIMEOUT)
            self._sandbox.flush_log()
            self._kill("TIMEOUT")
            return _Outcome(at=limit, status="timeout")
        if isinstance(heard, Exit):
            self._fail(Event.EXIT)
            error = diagnose_exit(heard, request_id)
            return _Outcome(at=time.perf_counter(), body=document(error), error=error, status="error")
        if heard.event is Event.INIT_ERROR:
            error = runtime_error(heard)
            return _Outcome(at=heard.at, body=heard.body, error=error, status="error")
        self._sandbox.throttle(on=True)
        self._sandbox.flush_log()  # what init has printed comes before START
        return _Outcome(at=heard.at)

    def _serve(self, order: Order, deadline: float) -> _Outcome:
        """Hand the event over and wait for the answer, the timeout or the end of the runtime."""
        left_ms = (deadline - time.perf_counter()) * _MS
        invocation = Invocation(
            request_id=order.request_id,
            payload=order.payload,
            function_arn=order.function_arn,
            deadline_ms=int(time.time() * _MS + left_ms),
            trace_id=order.trace_id,
            client_context=order.client_context,
        )
        self._api.dispatch(invocation, self._paced(order.receiver, deadline))
        heard = self._wait(deadline)
        if isinstance(heard, Heard) and heard.error_type == TRUNCATED:
            heard = self._why_truncated(heard, deadline)
        if heard is None:
            self._fail(Event.TIMEOUT)
            error = timed_out(order.request_id, self._config.timeout_s)
            return _Outcome(at=deadline, body=document(error), error=error, status="timeout")
        if isinstance(heard, Exit):
            self._fail(Event.EXIT)
            error = diagnose_exit(heard, order.request_id)
            return _Outcome(at=time.perf_counter(), body=document(error), error=error, status="error")
        if heard.too_large or heard.error_type == TRUNCATED:
            error = response_too_large(streamed=heard.streamed) if heard.too_large else truncated()
            return _Outcome(at=heard.at, body=document(error), error=error, status="error")
        # An exception of the handler's is an answer: REPORT names a status only where the platform stepped in.
        failure = runtime_error(heard) if heard.event is Event.ERROR else None
        return _Outcome(at=heard.at, body=heard.body, error=failure)

    @staticmethod
    def _paced(receiver: Receiver | None, deadline: float) -> PacedStream | None:
        if receiver is None:
            return None
        from emulator.streaming import PacedStream  # noqa: PLC0415 - most invocations stream nothing

        return PacedStream(receiver, deadline, clock=time.perf_counter)

    def _why_truncated(self, heard: Heard, deadline: float) -> Heard | Exit:
        """The end of the runtime, where that is why its answer broke off: it comes a moment later."""
        after = self._wait(min(deadline, time.perf_counter() + _LAST_WORD_S))
        return after if isinstance(after, Exit) else heard

    def _wait(self, limit: float) -> Heard | Exit | None:
        """The next thing that happens; None when the time is up."""
        heard = self._server.wait(limit)
        if isinstance(heard, Heard) and heard.at > limit:  # it came, but too late, while we were held up
            return None
        if isinstance(heard, Exit) and heard.lost is not None:
            hint = "See `docker events`, or run `preflight doctor`."
            raise BackendError(f"the execution environment was lost: {heard.lost}", hint=hint)
        return heard

    def _fail(self, event: Event) -> None:
        if self._api.state is not State.FAILED:
            self._api.happen(event)

    def _result(self, order: Order, outcome: _Outcome, duration_ms: float, readings: _Readings) -> InvocationResult:
        init_ms = readings.init[0] if readings.init is not None else None
        timings = Timings(init_ms=init_ms, duration_ms=duration_ms, billed_ms=logs.billed_ms(duration_ms, init_ms))
        before, after = readings.before, readings.after
        usage = Usage(
            max_memory_bytes=after.memory_peak_bytes,
            cpu_seconds=_between(before.cpu_seconds, after.cpu_seconds),
            throttled_seconds=_between(before.throttled_seconds, after.throttled_seconds),
            init_cpu_seconds=readings.init[1].cpu_seconds if readings.init is not None else None,
            tmp_bytes=after.tmp_bytes,
        )
        report = logs.Report(
            request_id=order.request_id,
            duration_ms=duration_ms,
            billed_ms=timings.billed_ms,
            memory_mb=self._config.memory_mb,
            max_memory_bytes=usage.max_memory_bytes,
            init_ms=init_ms,
            status=outcome.status,
            error_type=outcome.error.type if outcome.error is not None else None,
        )
        self._journal.ended(report, len(outcome.body) if outcome.error is None else 0)
        return InvocationResult(
            request_id=order.request_id,
            body=outcome.body,
            error=outcome.error,
            timings=timings,
            usage=usage,
            log=self._journal.text(),
        )


def _between(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)
