"""Runtime API 2018-06-01: the conversation with one runtime process, apart from the HTTP server that carries it.

Statuses and bodies follow "Using the Lambda runtime API", AWS Lambda Developer Guide, 2026-07, and AWS's runtime
interface emulator, 2026-01.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from emulator.lifecycle import TRUNCATED, Event, Heard, IllegalTransition, Spans, State, advance
from emulator.limits import quota

if TYPE_CHECKING:
    from emulator.http1 import HttpRequest
    from emulator.invocation import Invocation
    from emulator.sandbox.base import Exit
    from emulator.streaming import PacedStream

_PREFIX: Final = "/2018-06-01/runtime"
_NEXT: Final = f"{_PREFIX}/invocation/next"
_INIT_ERROR: Final = f"{_PREFIX}/init/error"
_INVOCATION: Final = f"{_PREFIX}/invocation/"
_OTHER_APIS: Final = ("/2020-01-01/", "/2022-07-01/", "/2020-08-15/")
_ERROR_TYPE_HEADER: Final = "lambda-runtime-function-error-type"
_ERROR_BODY_FIELD: Final = "lambda-runtime-function-error-body"
MODE_HEADER: Final = "lambda-runtime-function-response-mode"
_STREAMING: Final = "streaming"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the server sends back, always as `application/json`."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


Answer = Callable[[Reply], None]
"""Sends the reply to one request; called at most once, and never after `hang_up`."""


class OtherApi(Protocol):
    """What is spoken on the same socket by those who are not the runtime."""

    def handle(self, request: HttpRequest, answer: Answer, at: float, *, initialising: bool) -> None:
        """Answer one request, now or later; `initialising` until the runtime asks for its first event."""

    def dispatch(self, invocation: Invocation) -> None:
        """The runtime has been given this event."""

    def hang_up(self) -> None:
        """Answer nobody from now on."""


class RuntimeApi:
    """One life of a runtime; all of it on the thread that serves it.

    `peer` is the only address that is answered, for sockets that more than one sandbox can reach.
    """

    def __init__(self, on_heard: Callable[[Heard | Exit], None], *, peer: str | None = None) -> None:
        self.on_heard = on_heard
        """What is told to whoever waits for this life."""
        self.extensions: OtherApi | None = None
        self.on_extension: Callable[[], OtherApi] | None = None
        """Makes `extensions` at the first request that is for them."""
        self._peer = peer
        self.state = State.READY
        self._invocation: Invocation | None = None
        self._waiting: Answer | None = None
        self._stream: PacedStream | None = None
        self._streaming = False
        self._overflowed = False
        self._dispatched = 0.0
        self._began: float | None = None
        """When the request that is being handled began to come, where that is known."""

    @property
    def waiting(self) -> bool:
        """Whether the runtime waits for an event, and its connection is there."""
        return self._waiting is not None

    def gone(self, answer: Answer) -> None:
        """Whoever this was for has hung up."""
        if answer is self._waiting:
            self._waiting = None

    def happen(self, event: Event) -> None:
        """Record an event that the emulator brought about or saw; IllegalTransition where it cannot be."""
        self.state = advance(self.state, event)

    def dispatch(self, invocation: Invocation, stream: PacedStream | None = None) -> None:
        """Answer the waiting `/next` with this event; what the runtime streams goes to `stream` as it comes."""
        self.happen(Event.DISPATCH)
        self._invocation = invocation
        self._stream = stream
        self._streaming = self._overflowed = False
        self._dispatched = time.perf_counter()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting(Reply(status=200, body=invocation.payload, headers=_headers(invocation)))
        if self.extensions is not None:
            self.extensions.dispatch(invocation)

    def hang_up(self) -> None:
        """Give up the waiting `/next`."""
        self._waiting = None
        if self.extensions is not None:
            self.extensions.hang_up()

    def streams(self, target: str, headers: Mapping[str, str], peer: str | None = None) -> bool:
        """Whether a request with this head is an answer that somebody wants in parts: they are for `part` then."""
        if MODE_HEADER not in headers or headers[MODE_HEADER].lower() != _STREAMING:
            return False
        if self._stream is None or self._invocation is None or self._streaming or self.state is not State.BUSY:
            return False
        if target != f"{_INVOCATION}{self._invocation.request_id}/response" or self._peer not in {None, peer}:
            return False
        self._streaming = True
        self._stream.begin(_content_type(headers))
        return True

    def part(self, data: bytes) -> None:
        """A part of the answer that is being streamed; where that becomes too long, the rest is thrown away."""
        if self._stream is None or not self._streaming or not data or self.state is not State.BUSY:
            return
        if not self._stream.part(data):
            self._overflowed = True
            self.happen(Event.RESPONSE)
            self.on_heard(Heard(event=Event.RESPONSE, at=time.perf_counter(), too_large=True, streamed=True))

    def broke_off(self) -> None:
        """The connection that carried the streamed answer has gone."""
        if self._streaming and self.state is State.BUSY:
            self.happen(Event.ERROR)
            self.on_heard(Heard(event=Event.ERROR, at=time.perf_counter(), error_type=TRUNCATED, streamed=True))

    def handle(
        self, request: HttpRequest, answer: Answer, *, peer: str | None = None, began: float | None = None
    ) -> None:
        """Answer one request of `peer`'s, which `began` to come then; `/next` is answered when there is an event."""
        at = time.perf_counter()
        self._began = began
        if self._peer is not None and peer != self._peer:
            answer(problem(403, "Forbidden", "This Runtime API belongs to another execution environment."))
            return
        path = request.target.partition("?")[0]
        if path == _NEXT and request.method == "GET":
            self._next(answer, at)
        elif path.startswith(_OTHER_APIS) and self.on_extension is not None:
            if self.extensions is None:
                self.extensions = self.on_extension()
            self.extensions.handle(request, answer, at, initialising=self.state in {State.READY, State.INIT})
        else:
            answer(self._told(request, path, at))

    def _told(self, request: HttpRequest, path: str, at: float) -> Reply:
        if request.method == "POST" and path == _INIT_ERROR:
            return self._init_error(request, at)
        if request.method == "POST" and path.startswith(_INVOCATION):
            request_id, _, kind = path.removeprefix(_INVOCATION).partition("/")
            if kind in {"response", "error"}:
                return self._answered(request, request_id, at, failed=kind == "error")
        return problem(404, "NotFound", f"{request.method} {path} is not part of the Runtime API 2018-06-01")

    def _next(self, answer: Answer, at: float) -> None:
        try:
            self.happen(Event.NEXT)
        except IllegalTransition as error:
            answer(_illegal(error))
            return
        self._waiting = answer
        self.on_heard(Heard(event=Event.NEXT, at=at))

    def _init_error(self, request: HttpRequest, at: float) -> Reply:
        try:
            self.happen(Event.INIT_ERROR)
        except IllegalTransition as error:
            return _illegal(error)
        error_type = request.headers.get(_ERROR_TYPE_HEADER)
        self.on_heard(Heard(event=Event.INIT_ERROR, at=at, body=request.body or b"", error_type=error_type))
        return ACCEPTED

    def _answered(self, request: HttpRequest, request_id: str, at: float, *, failed: bool) -> Reply:
        if self._invocation is None or self._invocation.request_id != request_id:
            return problem(400, "InvalidRequestID", "Invalid request ID")
        if not failed and MODE_HEADER in request.headers:
            return self._answered_in_mode(request, at)
        return self._take(request, at, Event.ERROR if failed else Event.RESPONSE)

    def _take(self, request: HttpRequest, at: float, event: Event) -> Reply:
        try:
            self.happen(event)
        except IllegalTransition as error:
            return _illegal(error)
        if self._stream is not None and not self._streaming:
            self._stream.begin(_content_type(request.headers))
        too_large = request.body is None
        error_type = request.headers.get(_ERROR_TYPE_HEADER)
        body, spans = request.body or b"", self._spans(at)
        self.on_heard(Heard(event=event, at=at, body=body, error_type=error_type, too_large=too_large, spans=spans))
        return _too_large("Response") if too_large else ACCEPTED

    def _answered_in_mode(self, request: HttpRequest, at: float) -> Reply:
        """The end of a streamed answer, or all of one that nobody wants in parts; with the error from its midst."""
        if request.headers[MODE_HEADER].lower() not in {_STREAMING, "buffered"}:
            return problem(400, "InvalidFunctionResponseMode", "Invalid function response mode")
        if self._streaming:
            self.part(request.body or b"")
            if self._overflowed:
                return _too_large("Streamed response")
            at = time.perf_counter()  # the last part may have had to wait
        trailers = request.trailers or {}
        failure = trailers.get(_ERROR_TYPE_HEADER)
        if failure is None and not self._streaming:
            return self._take(request, at, Event.RESPONSE)
        event = Event.RESPONSE if failure is None else Event.ERROR
        try:
            self.happen(event)
        except IllegalTransition as error:
            return _illegal(error)
        body = b"" if failure is None else _error_body(trailers)
        streamed, spans = self._streaming, self._spans(at)
        self.on_heard(Heard(event=event, at=at, body=body, error_type=failure, streamed=streamed, spans=spans))
        return ACCEPTED

    def _spans(self, at: float) -> Spans | None:
        if self._began is None:
            return None
        return Spans(dispatched=self._dispatched, began=max(self._dispatched, self._began), answered=at)


ACCEPTED: Final = Reply(status=202, body=b'{"status":"OK"}\n')


def _headers(invocation: Invocation) -> dict[str, str]:
    headers = {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
        "Lambda-Runtime-Trace-Id": invocation.trace_id,
    }
    if invocation.client_context is not None:
        headers["Lambda-Runtime-Client-Context"] = invocation.client_context
    return headers


def _content_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type") or "application/octet-stream"


def _error_body(trailers: Mapping[str, str]) -> bytes:
    """An error's document, which runtimes send in base64; as it stands where it is none."""
    import binascii  # noqa: PLC0415 - most invocations stream nothing

    encoded = trailers.get(_ERROR_BODY_FIELD, "").encode()
    try:
        return binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        return encoded


def _too_large(name: str) -> Reply:
    most = quota(name).maximum
    return problem(413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({most} bytes).")


def _illegal(error: IllegalTransition) -> Reply:
    return problem(403, "InvalidStateTransition", f"Transition is not allowed: {error}")


def problem(status: int, error_type: str, message: str) -> Reply:
    """A refusal in the form of every API of the sandbox."""
    return Reply(status=status, body=json.dumps({"errorType": error_type, "errorMessage": message}).encode())
