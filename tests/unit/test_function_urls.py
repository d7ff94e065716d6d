"""Functions behind URLs over a service whose sandboxes are scripted."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import runtime_server
from emulator.config import FunctionConfig
from emulator.errors import BackendError
from emulator.http1 import HttpRequest, HttpResponse, MalformedMessage
from emulator.service import LambdaService
from emulator.serving.function_urls import FunctionUrl
from emulator.url_config import CorsConfig, FunctionUrlConfig
from tests.exchanges import FakeExchange
from tests.fakes import FakeBackend, FakeRuntime, FakeServer, Runtime, echo

PAGE = "https://page.example"
CORS = CorsConfig(allow_origins=(PAGE,), allow_methods=("*",))
STREAMED = FunctionUrlConfig(invoke_mode="RESPONSE_STREAM")
INTEGRATION = "application/vnd.awslambda.http-integration-response"


class Door:
    """The URL of a function F."""

    def __init__(self, config: FunctionConfig, url: FunctionUrlConfig, *lives: Runtime) -> None:
        self.backend = FakeBackend(*lives)
        self.service = LambdaService({"F": config}, self.backend)
        self.url = FunctionUrl("F", url, self.service, 3002)
        self.exchange = FakeExchange()

    def ask(
        self, method: str = "GET", target: str = "/", body: bytes | None = b"", **headers: str
    ) -> HttpResponse | None:
        """One request; what is streamed is in `exchange`."""
        self.exchange = FakeExchange()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = HttpRequest(method=method, target=target, headers=named, body=body, keep_alive=True)
        return self.url.handle(request, self.exchange)

    def whole(self, method: str = "GET", target: str = "/", body: bytes | None = b"", **headers: str) -> HttpResponse:
        """One that is answered in one piece."""
        response = self.ask(method, target, body, **headers) or self.exchange.whole
        assert response is not None
        uuid.UUID(response.headers["x-amzn-RequestId"])
        assert response.headers["Date"]
        return response

    def event(self, method: str = "GET", target: str = "/", body: bytes = b"", **headers: str) -> Any:  # noqa: ANN401 - JSON of any shape
        """The event, where the function answers with that."""
        response = self.whole(method, target, body, **headers)
        assert response.status == 200
        return json.loads(response.body)


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """Open doors that are closed after the test."""
    monkeypatch.setattr(runtime_server, "RuntimeServer", FakeServer)
    (tmp_path / "app.py").write_text("")
    opened: list[Door] = []

    def open_(*lives: Runtime, url: FunctionUrlConfig | None = None, reserved: int | None = None) -> Door:
        config = FunctionConfig(
            name="F", handler="app.handler", runtime="python3.13", code=tmp_path, reserved_concurrency=reserved
        )
        opened.append(Door(config, url or FunctionUrlConfig(), *lives))
        return opened[-1]

    yield open_
    for made in opened:
        made.service.close()


def answers(*bodies: bytes) -> Runtime:
    """A function that answers with these, one after another."""

    async def run(runtime: FakeRuntime) -> None:
        for body in bodies:
            await runtime.next()
            await runtime.respond(body)
        await runtime.next()

    return run


async def raises(runtime: FakeRuntime) -> None:
    """Fail every time."""
    while True:
        await runtime.next()
        await runtime.fail(b'{"errorMessage": "no", "errorType": "ValueError"}')


def streams(*parts: bytes, content_type: str = INTEGRATION, end: str = "well") -> Runtime:
    """A function that answers in these parts."""

    async def run(runtime: FakeRuntime) -> None:
        await runtime.next()
        if end == "broken":
            runtime.break_off(*parts, content_type=content_type)
        else:
            await runtime.stream(*parts, content_type=content_type)
        await runtime.next()

    return run


def test_an_event_and_its_answer(door: Callable[..., Door]) -> None:
    """The request's id is that of the response; the trace is the client's, where it sends one."""
    opened = door(echo)
    response = opened.whole("POST", "/a/b?c=d", b"{}", content_type="application/json", host="h:1")
    event = json.loads(response.body)
    assert event["requestContext"]["requestId"] == response.headers["x-amzn-RequestId"]
    assert event["requestContext"]["http"]["sourceIp"] == "192.0.2.7"
    assert event["headers"]["x-forwarded-port"] == "3002"
    assert (event["rawPath"], event["rawQueryString"], event["body"]) == ("/a/b", "c=d", "{}")
    assert response.headers["x-amzn-Trace-Id"].startswith(event["headers"]["x-amzn-trace-id"] + ";Parent=")
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    assert opened.event(x_amzn_trace_id=trace)["headers"]["x-amzn-trace-id"] == trace


def test_a_response(door: Callable[..., Door]) -> None:
    """With what the function says."""
    document = {"statusCode": 302, "headers": {"Location": "/x", "Date": "never"}, "cookies": ["a=1", "b=2"]}
    response = door(answers(json.dumps(document).encode())).whole()
    assert (response.status, response.cookies, response.body) == (302, ("a=1", "b=2"), b"")
    assert (response.headers["Location"], response.headers["x-amzn-Remapped-Date"]) == ("/x", "never")


def test_failures_are_bad_gateways(door: Callable[..., Door]) -> None:
    """Whether the function fails, or says what is no response."""
    for opened in (door(raises), door(answers(b'{"statusCode": "x"}')), door(answers(b"\xff"))):
        response = opened.whole()
        assert (response.status, response.body) == (502, b"Internal Server Error")


def test_refusals(door: Callable[..., Door]) -> None:
    """Before the function is asked."""
    throttled = door(echo, reserved=0).whole()
    assert (throttled.status, json.loads(throttled.body)["message"]) == (429, "Rate Exceeded.")
    opened = door(echo)
    for body in (None, b"x" * 6 * 1024 * 1024, b"x" * 5 * 1024 * 1024):  # the last one is over 6 MB in base64
        refused = opened.whole("POST", "/", body)
        assert (refused.status, refused.headers["x-amzn-ErrorType"]) == (413, "RequestEntityTooLargeException")
    for method in ("CONNECT", "TRACE", "PROPFIND"):
        assert opened.whole(method, "*").status == 405
    assert opened.backend.sandboxes == []
    opened.backend.refusal = BackendError("no engine")
    assert opened.whole().status == 500


def test_targets_of_every_form(door: Callable[..., Door]) -> None:
    """Whole addresses, as for a proxy, and the star of OPTIONS."""
    opened = door(echo)
    assert opened.event(target="http://h:3002/a?b=c")["rawPath"] == "/a"
    assert opened.event("OPTIONS", "*")["rawPath"] == "*"


def test_cors(door: Callable[..., Door]) -> None:
    """A preflight does not reach the function; every response has the headers."""
    opened = door(raises, url=FunctionUrlConfig(cors=CORS))
    asked = {"origin": PAGE, "access_control_request_method": "PUT"}
    response = opened.whole("OPTIONS", "/", b"", **asked)
    assert (response.status, response.body) == (200, b"")
    assert response.headers["Access-Control-Allow-Methods"] == "PUT"
    assert opened.backend.sandboxes == []
    failed = opened.whole(origin=PAGE)
    assert (failed.status, failed.headers["Access-Control-Allow-Origin"]) == (502, PAGE)
    # Without a configuration, the function is asked.
    assert door(echo).event("OPTIONS", "/", b"", **asked)["requestContext"]["http"]["method"] == "OPTIONS"


def test_iam(door: Callable[..., Door]) -> None:
    """Is taken without a signature; the event has a caller."""
    context = door(echo, url=FunctionUrlConfig(auth_type="AWS_IAM")).event()["requestContext"]
    assert (context["accountId"], context["authorizer"]["iam"]["accountId"]) == ("123456789012", "123456789012")


def test_a_streamed_response(door: Callable[..., Door]) -> None:
    """Status, headers and cookies come first, however they are cut; then the parts."""
    head = json.dumps({"statusCode": 201, "headers": {"Content-Type": "text/html"}, "cookies": ["a=1"]}).encode()
    opened = door(streams(head[:10], head[10:] + bytes(3), bytes(5) + b"<p>", b"</p>"), url=STREAMED)
    assert opened.ask() is None
    sent = opened.exchange
    assert (sent.status, sent.headers["Content-Type"], sent.cookies) == (201, "text/html", ("a=1",))
    uuid.UUID(sent.headers["x-amzn-RequestId"])
    assert (sent.parts, sent.ended) == ([b"<p>", b"</p>"], True)


def test_a_stream_without_a_prelude(door: Callable[..., Door]) -> None:
    """200 with the function's own type."""
    opened = door(streams(b"a", b"b", content_type="text/plain"), url=STREAMED)
    assert opened.ask() is None
    assert (opened.exchange.status, opened.exchange.headers["Content-Type"]) == (200, "text/plain")
    assert (opened.exchange.body, opened.exchange.ended) == (b"ab", True)


def test_a_function_that_does_not_stream(door: Callable[..., Door]) -> None:
    """Its answer is not interpreted (recorded by LocalStack against AWS on 2025-11-24)."""
    opened = door(answers(b'{"statusCode": 201}'), url=STREAMED)
    assert opened.ask() is None
    assert (opened.exchange.status, opened.exchange.body) == (200, b'{"statusCode": 201}')
    failed = door(raises, url=STREAMED).whole()
    assert (failed.status, failed.body) == (502, b"Internal Server Error")


@pytest.mark.parametrize("parts", [(b"{", b"}"), (b"no json" + bytes(8), b"x"), (b"",)])
def test_a_prelude_that_is_none(door: Callable[..., Door], parts: tuple[bytes, ...]) -> None:
    """502: nothing has been sent."""
    assert door(streams(*parts), url=STREAMED).whole().status == 502


def test_a_stream_that_breaks_off(door: Callable[..., Door]) -> None:
    """The response does, too; 502 where it had not begun."""
    opened = door(streams(b"half", content_type="text/plain", end="broken"), url=STREAMED)
    assert opened.ask() is None
    assert (opened.exchange.body, opened.exchange.ended) == (b"half", False)
    assert door(streams(b"{", end="broken"), url=STREAMED).whole().status == 502


def test_a_stream_behind_a_buffered_url(door: Callable[..., Door]) -> None:
    """Is one answer, which is interpreted."""
    opened = door(streams(b'{"statusCode"', b": 203}", content_type="application/json"))
    assert opened.whole().status == 203


def test_binary_answers(door: Callable[..., Door]) -> None:
    """Are the bytes."""
    document = {"statusCode": 200, "body": base64.b64encode(b"\x89PNG").decode(), "isBase64Encoded": True}
    assert door(answers(json.dumps(document).encode())).whole().body == b"\x89PNG"


@pytest.mark.parametrize(("too_large", "status"), [(False, 400), (True, 431)])
def test_what_is_no_http(door: Callable[..., Door], too_large: bool, status: int) -> None:  # noqa: FBT001 - a column of the table
    """Is answered and hung up on; our own fault is told as one."""
    url = door(echo).url
    response = url.refuse(MalformedMessage("what?", too_large=too_large))
    assert (response.status, response.keep_alive) == (status, False)
    assert "KeyError" in json.loads(url.fault(KeyError("x")).body)["Message"]
