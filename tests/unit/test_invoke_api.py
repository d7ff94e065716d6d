"""The Invoke API over a service whose sandboxes are scripted: headers, statuses, and what reaches the function."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator import runtime_server
from emulator.asynchronous import QueuedEvent
from emulator.config import FunctionConfig
from emulator.errors import BackendError
from emulator.http1 import HttpRequest, HttpResponse, MalformedMessage
from emulator.invocation import InvocationResult
from emulator.sandbox.base import Exit
from emulator.service import LambdaService
from emulator.serving.event_queue import EventQueue
from emulator.serving.invoke_api import Catalogue, InvokeApi
from tests.exchanges import FakeExchange
from tests.fakes import FakeBackend, FakeRuntime, FakeServer, Runtime, echo

NAME = "arn:aws:lambda:us-east-1:123456789012:function:F"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"


class Desk:
    """An API for the functions F, G (which may not run at all) and H (which cannot be served)."""

    def __init__(self, config: FunctionConfig, *lives: Runtime) -> None:
        self.backend = FakeBackend(*lives)
        self.events: list[QueuedEvent] = []
        self.faults: list[Exception] = []
        functions = {"F": config, "G": replace(config, name="G", reserved_concurrency=0)}
        self.service = LambdaService(functions, self.backend)
        self.queue = EventQueue(functions, self._invoke, lambda *_: None, self.faults.append, workers=0)
        catalogue = Catalogue(functions=functions, aliases={"Logical": "F"}, refused={"H": "it is an image"})
        self.api = InvokeApi(catalogue, self.service, self.queue)

    def _invoke(self, event: QueuedEvent) -> InvocationResult:
        self.events.append(event)
        return self.service.invoke(event.function, event.payload, request_id=event.request_id)

    def post(self, name: str = "F", body: bytes | None = b"{}", query: str = "", **headers: str) -> HttpResponse:
        """Invoke; a header's name has `_` for `-`."""
        named = {f"x-amz-{key.replace('_', '-')}": value for key, value in headers.items()}
        return self.ask("POST", f"/2015-03-31/functions/{name}/invocations{query}", body, named)

    def ask(
        self, method: str, target: str, body: bytes | None = b"", headers: dict[str, str] | None = None
    ) -> HttpResponse:
        """Any request that is answered in one piece."""
        request = HttpRequest(method=method, target=target, headers=headers or {}, body=body, keep_alive=True)
        exchange = FakeExchange()
        response = self.api.handle(request, exchange) or exchange.whole
        assert response is not None
        return response

    def stream(self, name: str = "F", **headers: str) -> FakeExchange:
        """Invoke for a streamed answer."""
        named = {f"x-amz-{key.replace('_', '-')}": value for key, value in headers.items()}
        target = f"/2021-11-15/functions/{name}/response-streaming-invocations"
        exchange = FakeExchange()
        request = HttpRequest(method="POST", target=target, headers=named, body=b'{"n": 1}', keep_alive=True)
        assert self.api.handle(request, exchange) is None
        assert exchange.ended
        return exchange

    def read(self, target: str) -> Any:  # noqa: ANN401 - JSON of any shape
        """The document of a read."""
        response = self.ask("GET", target)
        assert response.status == 200
        return json.loads(response.body)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Open desks that are closed after the test."""
    monkeypatch.setattr(runtime_server, "RuntimeServer", FakeServer)
    (tmp_path / "app.py").write_text("")
    config = FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=tmp_path)
    opened: list[Desk] = []

    def open_(*lives: Runtime) -> Desk:
        opened.append(Desk(config, *lives))
        return opened[-1]

    yield open_
    for made in opened:
        made.service.close()


async def tells(runtime: FakeRuntime) -> None:
    """Answer with the headers of the event."""
    while True:
        event = await runtime.next()
        runtime.log(b"x" * 5000 + b"the end\n")
        await runtime.respond(json.dumps(dict(event.headers)).encode())


async def raises(runtime: FakeRuntime) -> None:
    """Fail every time."""
    while True:
        await runtime.next()
        await runtime.fail(b'{"errorMessage": "no", "errorType": "ValueError"}')


def test_an_answer(desk: Callable[..., Desk]) -> None:
    """The function's bytes, and the headers that clients read."""
    body = b'{"b" : 1.50, "a":"\xc3\xa9"}'
    response = desk(echo).post(body=body)
    assert (response.status, response.body, response.keep_alive) == (200, body, True)
    assert response.headers["X-Amz-Executed-Version"] == "$LATEST"
    assert response.headers["Content-Type"] == "application/json"
    assert "X-Amz-Function-Error" not in response.headers
    assert "X-Amz-Log-Result" not in response.headers
    assert "Date" in response.headers
    uuid.UUID(response.headers["x-amzn-RequestId"])


def test_what_reaches_the_function(desk: Callable[..., Desk]) -> None:
    """The request's id, the client's trace and context, and the ARN with the qualifier that was named."""
    opened = desk(tells)
    context = base64.b64encode(b'{"custom": {"a": 1}}').decode()
    path = "/2015-03-31/functions/Logical/invocations?Qualifier=$LATEST"
    response = opened.ask("POST", path, b"{}", {"x-amz-client-context": context, "x-amzn-trace-id": TRACE})
    seen = json.loads(response.body)
    assert seen["Lambda-Runtime-Aws-Request-Id"] == response.headers["x-amzn-RequestId"]
    assert seen["Lambda-Runtime-Invoked-Function-Arn"] == f"{NAME}:$LATEST"
    assert seen["Lambda-Runtime-Trace-Id"] == TRACE
    assert json.loads(seen["Lambda-Runtime-Client-Context"]) == {"custom": {"a": 1}}
    plain = json.loads(opened.post().body)
    assert plain["Lambda-Runtime-Invoked-Function-Arn"] == NAME
    assert plain["Lambda-Runtime-Trace-Id"].startswith("Root=1-")
    assert "Lambda-Runtime-Client-Context" not in plain


def test_the_tail_of_the_log(desk: Callable[..., Desk]) -> None:
    """Its last 4 KB."""
    response = desk(tells).post(log_type="Tail")
    tail = base64.b64decode(response.headers["X-Amz-Log-Result"])
    assert len(tail) == 4096
    assert tail.startswith(b"xxx")
    assert b"the end\nEND RequestId: " + response.headers["x-amzn-RequestId"].encode() in tail


def test_a_function_that_fails(desk: Callable[..., Desk]) -> None:
    """Is answered with 200, and one header says so."""
    response = desk(raises).post()
    assert (response.status, response.headers["X-Amz-Function-Error"]) == (200, "Unhandled")
    assert json.loads(response.body)["errorType"] == "ValueError"


def test_dry_run(desk: Callable[..., Desk]) -> None:
    """Nothing is started."""
    opened = desk(echo)
    response = opened.post(invocation_type="DryRun")
    assert (response.status, response.body) == (204, b"")
    assert "x-amzn-RequestId" in response.headers
    assert opened.backend.sandboxes == []


def test_event(desk: Callable[..., Desk]) -> None:
    """Queued under the id that the client was told."""
    opened = desk(echo)
    response = opened.post(body=b'{"n":1}', invocation_type="Event", query="?Qualifier=$LATEST")
    assert (response.status, response.body) == (202, b"")
    assert opened.queue.attempt_due() == 1
    [event] = opened.events
    assert (event.function, event.payload, event.qualifier) == ("F", b'{"n":1}', "$LATEST")
    assert event.request_id == response.headers["x-amzn-RequestId"]


def refusal(response: HttpResponse) -> tuple[int, str, dict[str, Any]]:
    """Status, type and document; every one has an id."""
    uuid.UUID(response.headers["x-amzn-RequestId"])
    return response.status, response.headers["x-amzn-ErrorType"], json.loads(response.body)


def test_throttled(desk: Callable[..., Desk]) -> None:
    """With the reason; an event is taken all the same."""
    opened = desk(echo)
    assert refusal(opened.post("G")) == (
        429,
        "TooManyRequestsException",
        {
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
            "Type": "User",
            "message": "Rate Exceeded.",
        },
    )
    assert opened.post("G", invocation_type="Event").status == 202
    assert opened.post("G", invocation_type="DryRun").status == 204


def test_refusals(desk: Callable[..., Desk]) -> None:
    """The client's fault, whatever it asks."""
    opened = desk(echo)
    assert refusal(opened.post("nope"))[:2] == (404, "ResourceNotFoundException")
    assert refusal(opened.post(body=b"{"))[:2] == (400, "InvalidRequestContentException")
    assert refusal(opened.post(body=None))[:2] == (413, "RequestEntityTooLargeException")
    assert refusal(opened.ask("PUT", "/"))[:2] == (404, "UnknownOperationException")
    assert opened.backend.sandboxes == []


@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
def test_a_function_that_cannot_be_served(desk: Callable[..., Desk], kind: str) -> None:
    """Is there, and the reason is told."""
    status, error_type, document = refusal(desk(echo).post("H", invocation_type=kind))
    assert (status, error_type) == (400, "InvalidParameterValueException")
    assert document["message"] == "H cannot be run here: it is an image"


def test_a_backend_that_fails(desk: Callable[..., Desk]) -> None:
    """Is our own failure, with the hint; afterwards all is well again."""
    opened = desk(echo)
    opened.backend.refusal = BackendError("no engine", hint="Start one.")
    status, error_type, document = refusal(opened.post())
    assert (status, error_type) == (500, "ServiceException")
    assert document["Message"] == "no engine (Start one.)"
    opened.backend.refusal = None
    assert opened.post().status == 200


def test_a_service_that_is_closed(desk: Callable[..., Desk]) -> None:
    """Says so."""
    opened = desk(echo)
    opened.service.close()
    assert refusal(opened.post())[0] == 500


def test_reads(desk: Callable[..., Desk]) -> None:
    """Of one function, of all, of the account."""
    opened = desk(echo)
    whole = opened.read("/2015-03-31/functions/F")
    assert whole["Configuration"]["FunctionArn"] == NAME
    assert opened.read("/2015-03-31/functions/Logical/configuration") == whole["Configuration"]
    assert opened.read("/2015-03-31/functions/G")["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    first = opened.read("/2015-03-31/functions/?MaxItems=1")
    assert [one["FunctionName"] for one in first["Functions"]] == ["F"]
    second = opened.read(f"/2015-03-31/functions/?MaxItems=1&Marker={first['NextMarker']}")
    assert [one["FunctionName"] for one in second["Functions"]] == ["G"]
    assert "NextMarker" not in second
    assert opened.read("/2016-08-19/account-settings/")["AccountUsage"]["FunctionCount"] == 2
    assert refusal(opened.ask("GET", "/2015-03-31/functions/H"))[0] == 400


async def streams(runtime: FakeRuntime) -> None:
    """Answer in parts, the second time with an error in their midst, the third time with one that breaks off."""
    await runtime.next()
    runtime.log(b"streaming\n")
    await runtime.stream(b"one ", b"two ", last=b"three")
    await runtime.next()
    document = base64.b64encode(b'{"errorType": "Mine", "errorMessage": "no"}').decode()
    fields = {
        "lambda-runtime-function-error-type": "Mine",
        "lambda-runtime-function-error-body": document,
    }
    await runtime.stream(b"one ", trailers=fields)
    await runtime.next()
    runtime.break_off(b"half")
    await runtime.next()


def test_a_streamed_answer(desk: Callable[..., Desk]) -> None:
    """Each part is an event as it comes; the last event has the log."""
    opened = desk(streams)
    answer = opened.stream(log_type="Tail")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/vnd.amazon.eventstream"
    assert answer.headers["x-amzn-Remapped-Content-Type"] == "text/plain"
    assert answer.headers["X-Amz-Executed-Version"] == "$LATEST"
    uuid.UUID(answer.headers["x-amzn-RequestId"])
    *chunks, (kind, last) = answer.events()
    assert chunks == [("PayloadChunk", b"one "), ("PayloadChunk", b"two "), ("PayloadChunk", b"three")]
    assert kind == "InvokeComplete"
    assert b"streaming\nEND RequestId" in base64.b64decode(json.loads(last)["LogResult"])
    # An error in its midst, and one that breaks off.
    *chunks, (kind, last) = opened.stream().events()
    assert chunks == [("PayloadChunk", b"one ")]
    document = json.loads(last)
    assert document["ErrorCode"] == "Unhandled"
    assert json.loads(document["ErrorDetails"]) == {"errorType": "Mine", "errorMessage": "no"}
    *chunks, (kind, last) = opened.stream().events()
    assert chunks == [("PayloadChunk", b"half")]
    assert json.loads(last)["ErrorCode"] == "Runtime.TruncatedResponse"


def test_a_function_that_streams_for_whoever_does_not(desk: Callable[..., Desk]) -> None:
    """Is answered for in one piece; an error in its midst is the answer then."""

    async def buffered(runtime: FakeRuntime) -> None:
        for trailers in ({}, {"lambda-runtime-function-error-type": "Mine"}):
            await runtime.next()
            await runtime.stream(trailers=trailers, last=b"all of it")
        await runtime.next()

    opened = desk(buffered)
    assert opened.post().body == b"all of it"
    failed = opened.post()
    assert (failed.headers["X-Amz-Function-Error"], failed.body) == ("Unhandled", b"")


def test_a_streamed_answer_of_a_function_that_does_not_stream(desk: Callable[..., Desk]) -> None:
    """Comes in one piece, or is an error."""
    assert desk(echo).stream().events() == [("PayloadChunk", b'{"n": 1}'), ("InvokeComplete", b"{}")]
    [(kind, last)] = desk(raises).stream().events()
    document = json.loads(last)
    assert (kind, document["ErrorCode"]) == ("InvokeComplete", "Unhandled")
    assert json.loads(document["ErrorDetails"])["errorType"] == "ValueError"


def test_a_sandbox_that_is_lost_in_the_midst_of_a_stream(desk: Callable[..., Desk]) -> None:
    """The stream does not end, so that the client can tell; there is no other way left to say so."""

    async def lost(runtime: FakeRuntime) -> None:
        await runtime.next()
        runtime.break_off(b"half")
        runtime.end(Exit(lost="the engine went away"))

    exchange = FakeExchange()
    target = "/2021-11-15/functions/F/response-streaming-invocations"
    request = HttpRequest(method="POST", target=target, headers={}, body=b"{}", keep_alive=True)
    desk(lost).api.handle(request, exchange)
    assert exchange.events() == [("PayloadChunk", b"half")]
    assert not exchange.ended


@pytest.mark.parametrize(("name", "status"), [("nope", 404), ("G", 429), ("H", 400)])
def test_refusals_before_the_stream(desk: Callable[..., Desk], name: str, status: int) -> None:
    """Are the same as without one; a dry run runs nothing."""
    opened = desk(echo)
    target = f"/2021-11-15/functions/{name}/response-streaming-invocations"
    assert refusal(opened.ask("POST", target, b"{}"))[0] == status
    dry = opened.ask("POST", target.replace(name, "F"), b"{}", {"x-amz-invocation-type": "DryRun"})
    assert (dry.status, dry.body) == (204, b"")
    assert opened.backend.sandboxes == []


@pytest.mark.parametrize(("too_large", "status"), [(False, 400), (True, 431)])
def test_what_is_no_http(desk: Callable[..., Desk], too_large: bool, status: int) -> None:  # noqa: FBT001 - a column of the table
    """Is answered and hung up on."""
    response = desk(echo).api.refuse(MalformedMessage("what?", too_large=too_large))
    assert refusal(response)[0] == status
    assert not response.keep_alive


def test_our_own_fault(desk: Callable[..., Desk]) -> None:
    """Is told to the client as what it is."""
    status, error_type, document = refusal(desk(echo).api.fault(KeyError("x")))
    assert (status, error_type) == (500, "ServiceException")
    assert "KeyError" in document["Message"]


@pytest.mark.parametrize(("headers", "unused"), [({}, "invoke"), ({"log_type": "Tail"}, "answer")])
def test_only_the_logs_tail_waits_for_extensions(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, headers: dict[str, Any], unused: str
) -> None:
    """REPORT is its last line; any other answer goes as soon as it is there, streamed or not."""
    opened = desk(echo)
    monkeypatch.setattr(opened.service, unused, None)
    assert opened.post(**headers).body == b"{}"
    assert opened.stream(**headers).ended
