"""A function behind a URL of its own: any HTTP request becomes an invocation, and its answer a response."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from emulator.errors import PreflightError, QuotaError, Throttled
from emulator.http1 import HttpRequest, HttpResponse, MalformedMessage
from emulator.limits import quota
from emulator.service import new_trace_id
from emulator.serving import api_errors, url_cors
from emulator.serving.api_errors import ApiError
from emulator.serving.invoke_routes import origin_form, trace_header
from emulator.serving.url_events import METHODS, Visit, request_event, url_id
from emulator.serving.url_responses import HTTP_INTEGRATION, InvalidResponse, Prelude, UrlResponse, interpret

if TYPE_CHECKING:
    from emulator.http_server import Exchange
    from emulator.invocation import Answer
    from emulator.service import Call, LambdaService
    from emulator.url_config import FunctionUrlConfig

_BAD_GATEWAY: Final = b"Internal Server Error"  # recorded by LocalStack against AWS on 2025-11-24


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    """What every response to one request has."""

    request_id: str
    trace_id: str
    cors: dict[str, str]

    def headers(self, own: dict[str, str]) -> dict[str, str]:
        ours = {"Date": formatdate(usegmt=True), "x-amzn-RequestId": self.request_id, "x-amzn-Trace-Id": self.trace_id}
        return {**url_cors.merged(url_cors.merged(own, self.cors), ours)}


class FunctionUrl:
    """Serves one function at `port`, on as many threads as ask; `new_id` makes request ids."""

    def __init__(
        self,
        name: str,
        config: FunctionUrlConfig,
        service: LambdaService,
        port: int,
        *,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._name = name
        self._config = config
        self._service = service
        self._port = port
        self._new_id = new_id

    def handle(self, request: HttpRequest, exchange: Exchange) -> HttpResponse | None:
        """The response; None where it was streamed."""
        cors = self._config.cors
        reply = _Reply(
            request_id=self._new_id(),
            trace_id=trace_header(request.headers) or new_trace_id(),
            cors={} if cors is None else url_cors.response_headers(cors, request.headers),
        )
        if cors is not None and url_cors.is_preflight(request):
            return _whole(reply, UrlResponse(status=200, headers=url_cors.preflight_headers(cors, request)))
        try:
            return self._invoke(request, exchange, reply)
        except ApiError as error:
            return _refusal(reply, error)
        except Throttled as error:
            return _refusal(reply, api_errors.throttled(error.message, error.reason))
        except QuotaError as error:
            return _refusal(reply, api_errors.too_large(error.message))
        except PreflightError as error:
            return _refusal(reply, api_errors.service_failure(error.message))

    def refuse(self, error: MalformedMessage) -> HttpResponse:
        """The answer to what is no HTTP."""
        return api_errors.malformed(str(error), status=431 if error.too_large else 400).response(
            self._new_id(), keep_alive=False
        )

    def fault(self, error: Exception) -> HttpResponse:
        """The answer where we ourselves are at fault."""
        message = f"This is a fault of the emulator's: {type(error).__name__}: {error}"
        return api_errors.service_failure(message).response(self._new_id())

    def _invoke(self, request: HttpRequest, exchange: Exchange, reply: _Reply) -> HttpResponse | None:
        if request.method not in METHODS:
            raise api_errors.method_not_allowed(request.method)
        if request.body is None:
            row = quota("Request")
            raise api_errors.too_large(row.message.format(maximum=row.maximum))
        path, _, query = origin_form(request.target).partition("?")
        visit = Visit(
            url_id=url_id(self._name),
            peer=exchange.peer,
            port=self._port,
            request_id=reply.request_id,
            # A new one has no more than its root there (recorded in 2023); the runtime is told all of it.
            trace_id=trace_header(request.headers) or reply.trace_id.partition(";")[0],
            at=datetime.now(UTC),
            iam=self._config.auth_type == "AWS_IAM",
        )
        event = json.dumps(request_event(request, path, query, visit)).encode()
        streamed = _StreamedResponse(exchange, reply) if self._config.invoke_mode == "RESPONSE_STREAM" else None
        arguments: Call = {"request_id": reply.request_id, "trace_id": reply.trace_id, "receiver": streamed}
        with self._service.answer(self._name, event, **arguments) as answer:
            if streamed is None:  # a client that is streamed to may read slowly, which is not to be waited for here
                exchange.answer(_buffered(reply, answer))
        return None if streamed is None else streamed.complete(answer)


class _StreamedResponse:
    """Takes what the function streams; status and headers stand at its beginning where its type says so."""

    def __init__(self, exchange: Exchange, reply: _Reply) -> None:
        self._exchange = exchange
        self._reply = reply
        self._content_type = "application/octet-stream"
        self._prelude: Prelude | None = None
        self._invalid = False

    def begin(self, content_type: str) -> None:
        """Whether there is a prelude."""
        self._content_type = content_type
        self._prelude = Prelude() if content_type.partition(";")[0].strip().lower() == HTTP_INTEGRATION else None

    def part(self, data: bytes, limit: float | None) -> None:
        """Send it, but for the prelude."""
        if self._invalid:
            return
        if not self._exchange.begun:
            try:
                data = self._open(data)
            except InvalidResponse:
                self._invalid = True
                return
        if data:
            self._exchange.send(data, limit)

    def complete(self, result: Answer) -> HttpResponse | None:
        """What was not streamed; a failure is a response of its own only where nothing has gone yet."""
        if result.error is None:
            self.part(result.body, None)
        if not self._exchange.begun:
            return _bad_gateway(self._reply)
        if result.error is None:
            self._exchange.end()
        return None

    def _open(self, data: bytes) -> bytes:
        """Send the head as soon as it is known; the body that has come with it."""
        if self._prelude is None:
            head = UrlResponse(status=200, headers={"Content-Type": self._content_type}, body=data)
        else:
            read = self._prelude.feed(data)
            if read is None:
                return b""
            head = read
        self._exchange.begin(head.status, self._reply.headers(dict(head.headers)), head.cookies)
        return head.body


def _buffered(reply: _Reply, answer: Answer) -> HttpResponse:
    if answer.error is not None:
        return _bad_gateway(reply)
    try:
        return _whole(reply, interpret(answer.body))
    except InvalidResponse:
        return _bad_gateway(reply)


def _whole(reply: _Reply, response: UrlResponse) -> HttpResponse:
    return HttpResponse(
        status=response.status,
        headers=reply.headers(dict(response.headers)),
        body=response.body,
        keep_alive=True,
        cookies=response.cookies,
    )


def _bad_gateway(reply: _Reply) -> HttpResponse:
    return _whole(reply, UrlResponse(status=502, headers={"Content-Type": "application/json"}, body=_BAD_GATEWAY))


def _refusal(reply: _Reply, error: ApiError) -> HttpResponse:
    response = error.response(reply.request_id)
    return _whole(reply, UrlResponse(status=response.status, headers=response.headers, body=response.body))
