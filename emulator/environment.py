"""One execution environment: sandbox, Runtime API and life, from init to shutdown. It owns the clock.

Phases and their failures follow "Lambda execution environment lifecycle", AWS Lambda Developer Guide, 2026-07, and the
real logs named in `lifecycle`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from emulator import logs
from emulator.errors import BackendError
from emulator.invocation import Answer, FunctionError, Invocation, InvocationResult, Timings, Usage
from emulator.journal import Journal
from emulator.life import LAST_WORD_S, Life
from emulator.lifecycle import (
    TRUNCATED,
    Event,
    Heard,
    Spans,
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
    from emulator.extensions import Crew
    from emulator.shutdown import Extensions, Reason
    from emulator.streaming import PacedStream, Receiver

_MS: Final = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the caller asks for; the environment adds the deadline."""

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str
    client_context: str | None = None
    receiver: Receiver | None = None
    around: Callable[[Sandbox], AbstractContextManager[object]] | None = None  # entered while the runtime is at work


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How one phase ended: at what instant, with which body or which error."""

    at: float
    body: bytes = b""
    error: FunctionError | None = None
    status: logs.Status = "success"
    spans: Spans | None = None
    late: FunctionError | None = None  # what went wrong after the answer: an extension's doing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """How an invocation began: when, and what `init` took, the Init phase's milliseconds and figures."""

    at: float
    init: tuple[float, Figures] | None
    before: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Answer):
    """What goes to the caller; whoever has begun the invocation still calls `finish`, once, from any thread.

    `rest` is what it still takes: `brief` figures and REPORT, the work of `extensions`, or the end of what has failed.
    """

    rest: Literal["brief", "extensions", "end"]
    finish: Callable[[], InvocationResult] = field(repr=False)


class Environment:
    """One execution environment around a sandbox that was made ready, which is its own from now on.

    `invoke` serves one event at a time, on the caller's thread. BackendError means that the sandbox was lost; every
    failure of the function is in the result. `extensions` are played.
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
            self._life = self._new_life()
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
        return self._life.state in {State.IDLE, State.ANSWERED}

    @property
    def freeze_after_s(self) -> float:
        """Seconds of idleness after which it is worth freezing."""
        return self._sandbox.freeze_after_s

    def rest(self) -> bool:
        """Freeze what the function left running, from another thread than the one that invokes.

        False while runtime or extensions have not asked for the next event, since Lambda's Invoke phase ends only
        there; True where nothing is left to do: it stands still, is dead, or serves already.
        """
        with self._resting:
            if not self._awake and not self._frozen and self._life.look():
                if self.warm and not (self._life.settled and self._life.rest(on=True)):
                    return False
                self._frozen = self._life.state is State.IDLE and self._sandbox.freeze()
            return True

    def invoke(self, order: Order) -> InvocationResult:
        """One invocation from START to REPORT, with the Init phase before it where this is the first."""
        return self.begin(order).finish()

    def begin(self, order: Order) -> Answered:
        """The same up to the answer, which waits for no extension; DiedIdle where it cannot be given the event."""
        self._wake()
        try:
            return self._begin(order)
        except BaseException:
            self._fall_idle()
            raise

    def _begin(self, order: Order) -> Answered:
        self._life.settle(time.perf_counter() + INIT_LIMIT_S)
        init = self._first_init(order.request_id) if self._life.state is State.READY else None
        if self._life.state is State.FAILED:
            self._reset()
        before = self._sandbox.figures(memory=False)
        start = _Start(at=time.perf_counter(), init=init, before=before)
        deadline = start.at + self._config.timeout_s
        again = self._life.state is State.READY
        outcome = self._suppressed_init(order.request_id, start.at, deadline) if again else None
        self._journal.started(order.request_id, order.function_arn)
        with nullcontext() if order.around is None else order.around(self._sandbox):
            served = outcome or self._serve(order, deadline)
        crew, failed = self._life.crew, self._life.state is State.FAILED
        return Answered(
            request_id=order.request_id,
            body=served.body,
            error=served.error,
            rest="end" if failed else "extensions" if crew is not None and crew.invoked else "brief",
            finish=lambda: self._finish(order, start, served),
        )

    def _finish(self, order: Order, start: _Start, outcome: _Outcome) -> InvocationResult:
        try:
            if self._life.crew is not None and self._life.state is not State.FAILED:
                outcome = self._see_out(self._life.crew, order, outcome, start.at + self._config.timeout_s)
            self._sandbox.flush_log()
            after = self._sandbox.figures()
            if self._life.state is State.FAILED:
                if self._life.crew is not None:
                    failure = outcome.late or outcome.error
                    error_type = failure.type if failure is not None else None
                    self._life.crew.runtime_done(order.request_id, outcome.at, 0, outcome.status, error_type)
                self._kill("TIMEOUT" if outcome.status == "timeout" else "FAILURE")
            duration_ms = (outcome.at - start.at) * _MS
            if outcome.status == "timeout":
                duration_ms = self._config.timeout_s * _MS  # as AWS's REPORT lines show since 2025
            return self._result(order, outcome, duration_ms, start, after)
        finally:
            self._fall_idle()

    def _fall_idle(self) -> None:
        self.idle_since = time.perf_counter()
        self._awake = False

    def close(self) -> None:
        """End the sandbox and the server, after the Shutdown phase where one is due; may be called more than once."""
        spindown = not self._awake and self.warm and self._life.extended  # who is at work is ended at once
        self._wake(thaw=spindown)
        try:
            if spindown:
                self._life.shut_down("SPINDOWN")
            self._life.forget_shutdown()
            self._sandbox.close()  # first: a runtime that is left alone by its server complains into the log
        finally:
            self._life.close()

    def _new_life(self) -> Life:
        return Life(self._config, self._sandbox, self._journal, self._extensions)

    def _wake(self, *, thaw: bool = True) -> None:
        with self._resting:
            self._awake = True
            frozen, self._frozen = self._frozen, False
            if frozen and thaw:
                self._sandbox.thaw()
            self._life.rest(on=False)

    def _kill(self, reason: Reason) -> None:
        """Nothing of this life may go on; the environment can be reset."""
        self._life.shut_down(reason)
        self._sandbox.kill()
        self._life.close()

    def _reset(self) -> None:
        """What Lambda does after a crash, a timeout or a failed init: all processes gone, `/tmp` kept."""
        self._life.shut_down("FAILURE")
        self._life.close()
        self._sandbox.reset()
        self._life = self._new_life()

    def _first_init(self, request_id: str) -> tuple[float, Figures] | None:
        """The Init phase: (milliseconds, figures at its end); None where it failed, which is logged as on AWS."""
        begin = time.perf_counter()
        self._journal.init_started("init")
        outcome = self._init(begin + INIT_LIMIT_S, request_id)
        init_ms = (outcome.at - begin) * _MS
        if self._life.crew is not None:
            self._life.crew.log()
        if outcome.status == "success":
            self._journal.init_ended(init_ms, "init")
            return init_ms, self._sandbox.figures()
        self._log_failed_init(init_ms, "init", outcome)
        return None

    def _suppressed_init(self, request_id: str, begin: float, deadline: float) -> _Outcome | None:
        """Init again, inside the invocation and its timeout; None where it went well."""
        if self._life.crew is not None:
            self._life.crew.init_begins_again()
        outcome = self._init(deadline, request_id)
        if outcome.status == "success":
            if self._life.crew is not None:
                self._life.crew.init_ended_again((outcome.at - begin) * _MS)
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
        self._life.go()
        heard = self._life.await_init(limit)
        if heard is None:
            self._life.fail(Event.TIMEOUT)
            self._sandbox.flush_log()
            self._kill("TIMEOUT")
            return _Outcome(at=limit, status="timeout")
        if isinstance(heard, Exit):
            self._life.fail(Event.EXIT)
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
        self._life.api.dispatch(invocation, self._paced(order.receiver, deadline))
        heard = self._life.wait(deadline)
        if isinstance(heard, Heard) and heard.error_type == TRUNCATED:
            heard = self._why_truncated(heard, deadline)
        if heard is None:
            self._life.fail(Event.TIMEOUT)
            error = timed_out(order.request_id, self._config.timeout_s)
            return _Outcome(at=deadline, body=document(error), error=error, status="timeout")
        if isinstance(heard, Exit):
            self._life.fail(Event.EXIT)
            error = diagnose_exit(heard, order.request_id)
            return _Outcome(at=time.perf_counter(), body=document(error), error=error, status="error")
        if heard.too_large or heard.error_type == TRUNCATED:
            error = response_too_large(streamed=heard.streamed) if heard.too_large else truncated()
            return _Outcome(at=heard.at, body=document(error), error=error, status="error")
        # An exception of the handler's is an answer: REPORT names a status only where the platform stepped in.
        failure = runtime_error(heard) if heard.event is Event.ERROR else None
        return _Outcome(at=heard.at, body=heard.body, error=failure, spans=heard.spans)

    @staticmethod
    def _paced(receiver: Receiver | None, deadline: float) -> PacedStream | None:
        if receiver is None:
            return None
        from emulator.streaming import PacedStream  # noqa: PLC0415 - most invocations stream nothing

        return PacedStream(receiver, deadline, clock=time.perf_counter)

    def _why_truncated(self, heard: Heard, deadline: float) -> Heard | Exit:
        """The end of the runtime, where that is why its answer broke off: it comes a moment later."""
        after = self._life.wait(min(deadline, time.perf_counter() + LAST_WORD_S))
        return after if isinstance(after, Exit) else heard

    def _see_out(self, crew: Crew, order: Order, outcome: _Outcome, deadline: float) -> _Outcome:
        """The invocation goes on until runtime and extensions ask for the next event, under the same timeout."""
        produced = len(outcome.body) if outcome.error is None else 0

        def runtime_done(at: float) -> None:
            crew.runtime_done(order.request_id, at, produced, spans=outcome.spans)

        if not crew.invoked:
            runtime_done(outcome.at)
            return outcome
        heard = crew.see_out(self._life.wait_for_all, outcome.at, deadline, runtime_done)
        if isinstance(heard, float):
            return replace(outcome, at=heard)
        self._life.fail(Event.TIMEOUT if heard is None else Event.EXIT)
        if heard is None:
            late = timed_out(order.request_id, self._config.timeout_s)
            return replace(outcome, at=deadline, status="timeout", late=late)
        late = diagnose_exit(heard, order.request_id)
        return replace(outcome, at=time.perf_counter(), status="error", late=late)

    def _result(
        self, order: Order, outcome: _Outcome, duration_ms: float, start: _Start, after: Figures
    ) -> InvocationResult:
        init_ms = start.init[0] if start.init is not None else None
        timings = Timings(init_ms=init_ms, duration_ms=duration_ms, billed_ms=logs.billed_ms(duration_ms, init_ms))
        usage = Usage(
            max_memory_bytes=after.memory_peak_bytes,
            cpu_seconds=_between(start.before.cpu_seconds, after.cpu_seconds),
            throttled_seconds=_between(start.before.throttled_seconds, after.throttled_seconds),
            init_cpu_seconds=start.init[1].cpu_seconds if start.init is not None else None,
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
            spans=outcome.spans,
            error_type=failure.type if (failure := outcome.late or outcome.error) is not None else None,
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
