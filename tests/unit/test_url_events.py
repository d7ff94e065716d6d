"""Requests as events of payload format 2.0, against events that were recorded from AWS."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.http1 import HttpRequest, RequestReader, encode_request
from emulator.serving.url_events import METHODS, Visit, request_event, url_id

AT = datetime(2023, 4, 18, 16, 17, 17, 81_000, tzinfo=UTC)
TRACE = "Root=1-643ec28d-5503dc7274559e68706dae64"


def visit(*, iam: bool = False) -> Visit:
    """As when the recorded events were made."""
    return Visit(url_id="u" * 32, peer="127.0.0.1", port=443, request_id="28d04d7e", trace_id=TRACE, at=AT, iam=iam)


def event_of(  # noqa: PLR0913 - each part of a request
    method: str = "GET",
    path: str = "/",
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    iam: bool = False,
) -> Any:  # noqa: ANN401 - JSON of any shape
    """What the function is given, after the way through JSON."""
    request = HttpRequest(method=method, target="", headers=headers or {}, body=body, keep_alive=True)
    return json.loads(json.dumps(request_event(request, path, query, visit(iam=iam))))


def test_a_recorded_event() -> None:
    """`function-url-request-with-headers-and-cookies-and-text-body.json` of aws-lambda-go, 2023-04-18.

    Without what TLS adds; the caller of a signed request is nobody real here.
    """
    wire = (
        b"POST /hello?hello=world&foo=bar HTTP/1.1\r\naccept: */*\r\naccept-encoding: gzip, deflate\r\n"
        b"content-length: 18\r\ncontent-type: application/json\r\ncookie: foo=bar; hello=hello\r\nHeader1: h1\r\n"
        b"header2: h1\r\nheader2: h2\r\nheader3: h3\r\nHost: lambda-url-id.lambda-url.us-west-2.on.aws\r\n"
        b'user-agent: python-requests/2.28.2\r\nConnection: keep-alive\r\n\r\n{"hello": "world"}'
    )
    reader = RequestReader(1000)
    reader.feed(wire)
    request = reader.next()
    assert request is not None
    event = request_event(request, "/hello", "hello=world&foo=bar", visit(iam=True))
    assert event["requestContext"].pop("authorizer")["iam"]["accountId"] == "123456789012"
    assert event == {
        "body": '{"hello": "world"}',
        "cookies": ["foo=bar", "hello=hello"],
        "headers": {
            "accept": "*/*",
            "accept-encoding": "gzip, deflate",
            "content-length": "18",
            "content-type": "application/json",
            "cookie": "foo=bar; hello=hello",
            "header1": "h1",
            "header2": "h1,h2",
            "header3": "h3",
            "host": "lambda-url-id.lambda-url.us-west-2.on.aws",
            "user-agent": "python-requests/2.28.2",
            "x-amzn-trace-id": TRACE,
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "http",
        },
        "isBase64Encoded": False,
        "queryStringParameters": {"foo": "bar", "hello": "world"},
        "rawPath": "/hello",
        "rawQueryString": "hello=world&foo=bar",
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "u" * 32,
            "domainName": "lambda-url-id.lambda-url.us-west-2.on.aws",
            "domainPrefix": "u" * 32,
            "http": {
                "method": "POST",
                "path": "/hello",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "python-requests/2.28.2",
            },
            "requestId": "28d04d7e",
            "routeKey": "$default",
            "stage": "$default",
            "time": "18/Apr/2023:16:17:17 +0000",
            "timeEpoch": 1681834637081,
        },
        "routeKey": "$default",
        "version": "2.0",
    }


def test_a_plain_get() -> None:
    """Has no body, no cookies and no parameters: the keys are absent, as on AWS."""
    event = event_of()
    assert {"body", "cookies", "queryStringParameters"}.isdisjoint(event)
    assert (event["isBase64Encoded"], event["rawQueryString"]) == (False, "")
    assert event["requestContext"]["accountId"] == "anonymous"
    assert "authorizer" not in event["requestContext"]


@pytest.mark.parametrize(
    ("content_type", "body", "is_text"),
    [
        ("application/json", b"{}", True),
        ("application/json; charset=utf-8", b"{}", True),
        ("Application/JSON", b"{}", True),
        ("application/vnd.api+json", b"{}", True),
        ("image/svg+xml", b"<svg/>", True),
        ("application/xml", b"<a/>", True),
        ("application/javascript", b"1", True),
        ("text/plain", "\u20ac".encode(), True),
        ("text/plain", b"\xff\xfe", False),
        ("application/json", b"\x1f\x8b\x08", False),
        ("application/x-www-form-urlencoded", b"a=1", False),
        ("multipart/form-data; boundary=x", b"--x--", False),
        ("application/octet-stream", b"abc", False),
        ("", b"{'key':'value'}", False),
    ],
)
def test_bodies(content_type: str, body: bytes, is_text: bool) -> None:  # noqa: FBT001 - a column of the table
    """Text by its type and by its bytes; all else in base64."""
    event = event_of("POST", headers={"content-type": content_type} if content_type else {}, body=body)
    assert event["isBase64Encoded"] is not is_text
    assert (event["body"].encode() if is_text else base64.b64decode(event["body"])) == body
    assert event["headers"]["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("a=1&a=2&b", {"a": "1,2", "b": ""}),
        ("multiQuery=foo&multiQuery=%2Fbar", {"multiQuery": "foo,/bar"}),
        ("a=%20+%2B&%C3%A9=%e2%82%ac", {"a": "  +", "\u00e9": "\u20ac"}),
        ("a=%ff", {"a": "\ufffd"}),
        ("&&", None),
    ],
)
def test_parameters(query: str, parameters: dict[str, str] | None) -> None:
    """Decoded and joined; the raw query stays as it was sent."""
    event = event_of(query=query)
    assert event.get("queryStringParameters") == parameters
    assert event["rawQueryString"] == query


def test_paths_and_headers_stay_as_they_were_sent() -> None:
    """Percent signs and all; bytes beyond ASCII are read as UTF-8 where they are that."""
    event = event_of(
        path="/pa2%Fth/%20/\u00c3\u00a9", headers={"x": "\u00e2\u0082\u00ac", "y": "\u00e9", "upgrade": "h2c"}
    )
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/pa2%Fth/%20/\u00e9"
    assert (event["headers"]["x"], event["headers"]["y"]) == ("\u20ac", "\u00e9")
    assert "upgrade" not in event["headers"]


def test_a_caller_behind_a_proxy_and_one_that_signs() -> None:
    """The addresses add up; the access key is the one that the signature names."""
    headers = {"x-forwarded-for": "10.0.0.1", "authorization": "AWS4-HMAC-SHA256 Credential=AKIA1/2023/x, Signature=y"}
    event = event_of(headers=headers, iam=True)
    assert event["headers"]["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
    assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == "AKIA1"


def test_url_ids() -> None:
    """Look like AWS's, and are the same at the next start."""
    assert url_id("F") == url_id("F") != url_id("G")
    assert len(url_id("F")) == 32
    assert url_id("F").isalnum()
    assert url_id("F").islower()


@given(
    method=st.sampled_from(sorted(METHODS)),
    pairs=st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5),
    headers=st.dictionaries(st.sampled_from(["cookie", "host", "content-type", "x-a", "authorization"]), st.text()),
    body=st.binary(max_size=50),
)
def test_whatever_is_sent(method: str, pairs: list[tuple[str, str]], headers: dict[str, str], body: bytes) -> None:
    """Comes back out of the event."""
    query = urlencode(pairs, errors="replace")
    latin = {name: value.encode("utf-8", "replace").decode("latin-1") for name, value in headers.items()}
    event = event_of(method, query=query, headers=latin, body=body)
    sent = event.get("body", "")
    assert (base64.b64decode(sent) if event["isBase64Encoded"] else sent.encode()) == body
    names = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    assert event.get("queryStringParameters", {}).keys() == names
    assert all(isinstance(value, str) for value in event["headers"].values())


@given(target=st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_whatever_the_target(target: str) -> None:
    """There is an event, and it is JSON."""
    path, _, query = target.partition("?")
    assert event_of(path=path, query=query)["version"] == "2.0"


def test_the_reader_and_the_event_agree_on_requests() -> None:
    """The version of the protocol is the client's."""
    reader = RequestReader(10)
    reader.feed(encode_request("GET", "/", {}).replace(b"HTTP/1.1", b"HTTP/1.0"))
    request = reader.next()
    assert request is not None
    assert request_event(request, "/", "", visit())["requestContext"]["http"]["protocol"] == "HTTP/1.0"
