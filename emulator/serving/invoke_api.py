"""The Invoke API 2015-03-31, and 2021-11-15 for streamed answers: what an SDK asks, answered by service and queue."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from emulator import logs
from emulator.errors import PreflightError, QuotaError, Throttled
from emulator.http1 import HttpRequest, HttpResponse, MalformedMessage
from emulator.http_server import Exchange
from emulator.limits import quota
from emulator.serving import api_errors, descriptions
from emulator.serving.api_errors import ApiError
from emulator.serving.descriptions import CodeFacts, code_facts, image_facts
from emulator.serving.invoke_routes import AccountSettings, Call, Describe, DescribeUrl, Invoke, ListFunctions, route
from emulator.serving.invoke_stream import EventStreamAnswer

if TYPE_CHECKING:
    from emulator import service
    from emulator.config import FunctionConfig
    from emulator.invocation import Answer
    from emulator.service import LambdaService
    from emulator.serving.event_queue import EventQueue
    from emulator.url_config import FunctionUrlConfig

MOST_BODY: Final = quota("Request").maximum or 0
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What can be named: functions by the name that Lambda would give them, and every other name for them.

    `refused` are those of the template that cannot be served, with the reason. `urls` are by the same names as
    functions, and `without_url` is why one that should have a URL has none.
    """

    functions: Mapping[str, FunctionConfig]
    aliases: Mapping[str, str]
    refused: Mapping[str, str]
    urls: Mapping[str, FunctionUrlConfig] = field(default_factory=lambda: MappingProxyType({}))
    without_url: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def names(self) -> Mapping[str, str]:
        """Every name that a client may use to the function's own, which wins where two functions share one."""
        return {**self.aliases, **{name: name for name in (*self.functions, *self.refused)}}


class InvokeApi:
    """Answers one request after another, on as many threads as ask; `new_id` makes request ids.

    `addresses` are those of the functions' URLs.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        service: LambdaService,
        queue: EventQueue,
        *,
        addresses: Mapping[str, str] = MappingProxyType({}),
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._functions = catalogue.functions
        self._refused = catalogue.refused
        self._urls = catalogue.urls
        self._addresses = addresses
        self._names = catalogue.names
        self._service = service
        self._queue = queue
        self._new_id = new_id
        self._lock = threading.Lock()
        self._facts: dict[Path, CodeFacts] = {}

    def handle(self, request: HttpRequest, exchange: Exchange) -> HttpResponse | None:
        """The answer; everything that AWS answers every time is in its headers. None where it was streamed."""
        request_id = self._new_id()
        try:
            response = self._answer(route(request, self._names), request_id, exchange)
        except ApiError as error:
            response = error.response(request_id)
        except Throttled as error:
            response = api_errors.throttled(error.message, error.reason).response(request_id)
        except QuotaError as error:
            response = api_errors.too_large(error.message).response(request_id)
        except PreflightError as error:
            response = _failed(error).response(request_id)
        return None if response is None else _dated(response)

    def refuse(self, error: MalformedMessage) -> HttpResponse:
        """The answer to what is no HTTP."""
        status = 431 if error.too_large else 400
        return _dated(api_errors.malformed(str(error), status=status).response(self._new_id(), keep_alive=False))

    def fault(self, error: Exception) -> HttpResponse:
        """The answer where we ourselves are at fault; whoever calls this tells of the error."""
        message = f"This is a fault of the emulator's: {type(error).__name__}: {error}"
        return _dated(api_errors.service_failure(message).response(self._new_id()))

    def _answer(self, call: Call, request_id: str, exchange: Exchange) -> HttpResponse | None:
        match call:
            case Invoke(streamed=True, invocation_type="RequestResponse"):
                self._stream(call, request_id, exchange)
                return None
            case Invoke():
                return self._invoke(call, request_id, exchange)
            case Describe():
                config = self._served(call.function.name)
                described = self._configuration(config)
                if not call.configuration_only:
                    described = descriptions.function(config, described)
                return _document(described, request_id)
            case DescribeUrl():
                return _document(self._url(self._served(call.function.name)), request_id)
            case ListFunctions():
                return _document(self._page(call), request_id)
            case AccountSettings():
                return _document(self._account(), request_id)

    def _served(self, name: str) -> FunctionConfig:
        if name in self._refused:
            raise api_errors.invalid_parameter(f"{name} cannot be run here: {self._refused[name]}")
        return self._functions[name]

    def _invoke(self, call: Invoke, request_id: str, exchange: Exchange) -> HttpResponse | None:
        name = self._served(call.function.name).name
        headers = {"Content-Type": _JSON, "x-amzn-RequestId": request_id}
        if call.invocation_type == "DryRun":
            return HttpResponse(status=204, headers=headers, body=b"", keep_alive=True)
        if call.invocation_type == "Event":
            self._queue.submit(
                name, call.payload, request_id, qualifier=call.function.qualifier, trace_id=call.trace_id
            )
            return HttpResponse(status=202, headers=headers, body=b"", keep_alive=True)
        arguments = self._arguments(call, request_id)
        if call.tail:  # REPORT is the log's last line, so this waits for it, and so for extensions too
            result = self._service.invoke(name, call.payload, **arguments)
            return _answered(result, headers | {"X-Amz-Log-Result": logs.tail(result.log)})
        with self._service.answer(name, call.payload, **arguments) as answer:
            exchange.answer(_dated(_answered(answer, headers)))
        return None

    def _stream(self, call: Invoke, request_id: str, exchange: Exchange) -> None:
        name = self._served(call.function.name).name
        streamed = EventStreamAnswer(exchange, request_id, _now)
        arguments = self._arguments(call, request_id)
        arguments["receiver"] = streamed
        if call.tail:
            result = self._service.invoke(name, call.payload, **arguments)
            streamed.complete(result, log=result.log)
            return
        with self._service.answer(name, call.payload, **arguments) as answer:
            pass  # the client may read slowly, and that is not to be waited for here
        streamed.complete(answer, log=None)

    @staticmethod
    def _arguments(call: Invoke, request_id: str) -> service.Call:
        return {
            "request_id": request_id,
            "client_context": call.client_context,
            "trace_id": call.trace_id,
            "qualifier": call.function.qualifier,
        }

    def _page(self, call: ListFunctions) -> dict[str, Any]:
        configs = sorted(self._functions.values(), key=lambda config: config.name)
        page = configs[call.first : call.first + call.most]
        document: dict[str, Any] = {"Functions": [self._configuration(config) for config in page]}
        if call.first + call.most < len(configs):
            document["NextMarker"] = str(call.first + call.most)
        return document

    def _url(self, config: FunctionConfig) -> dict[str, Any]:
        if config.name not in self._addresses:
            raise api_errors.no_url()
        created = self._code(config.code).modified
        return descriptions.function_url(config.name, self._urls[config.name], self._addresses[config.name], created)

    def _account(self) -> dict[str, Any]:
        packaged = (config for config in self._functions.values() if config.image is None)
        folders = [(config.code, *config.layers) for config in packaged]
        return descriptions.account_settings(
            concurrency=self._service.concurrency.limit,
            unreserved=self._service.concurrency.unreserved,
            code_size=sum(self._code(folder).size for group in folders for folder in group),
            functions=len(self._functions),
        )

    def _configuration(self, config: FunctionConfig) -> dict[str, Any]:
        layers = {layer: self._code(layer).size for layer in config.layers}
        code = self._code(config.code) if config.image is None else image_facts(config.image, config.code)
        return descriptions.configuration(config, code, layers)

    def _code(self, folder: Path) -> CodeFacts:
        """Read once: what a function runs is what lay there when its environment was made, and that may be earlier."""
        with self._lock:
            known = self._facts.get(folder)
        if known is None:
            known = code_facts(folder)
            with self._lock:
                self._facts[folder] = known
        return known


def _answered(answer: Answer, headers: dict[str, str]) -> HttpResponse:
    headers["X-Amz-Executed-Version"] = descriptions.LATEST
    if answer.error is not None:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return HttpResponse(status=200, headers=headers, body=answer.body, keep_alive=True)


def _failed(error: PreflightError) -> ApiError:
    hint = f" ({error.hint})" if error.hint else ""
    return api_errors.service_failure(f"{error.message}{hint}")


def _document(value: Mapping[str, Any], request_id: str) -> HttpResponse:
    headers = {"Content-Type": _JSON, "x-amzn-RequestId": request_id}
    return HttpResponse(status=200, headers=headers, body=json.dumps(value).encode(), keep_alive=True)


def _now() -> str:
    return formatdate(usegmt=True)


def _dated(response: HttpResponse) -> HttpResponse:
    headers = {"Date": _now(), **response.headers}
    return HttpResponse(status=response.status, headers=headers, body=response.body, keep_alive=response.keep_alive)
