"""`preflight start-lambda` for clients that are no SDK: whatever they send, the answer is never our fault."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from emulator.http1 import HttpResponse, encode_request
from tests.command import ROOT, TEMPLATE
from tests.serving import Served, answers_to, served

PATH = "/2015-03-31/functions/Echo/invocations"
STREAMED = "/2021-11-15/functions/Echo/response-streaming-invocations"
PATIENCE_S = 60
VALID = encode_request(
    "POST", PATH, {"Host": "h", "X-Amz-Log-Type": "Tail", "X-Amz-Client-Context": "e30="}, b'{"a":1}'
)
MOST = 7 * 1024 * 1024


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the fixtures' functions; no fault of ours is told at the end."""
    with served(tmp_path_factory.mktemp("raw") / "log", "-t", TEMPLATE, "--backend", "process") as one:
        yield one
        assert f'File "{ROOT / "emulator"}' not in one.log.read_text()


def exchange(lab: Served, data: bytes) -> list[HttpResponse]:
    """Send this and no more; every answer until the server hangs up."""
    return answers_to(lab.port, data, MOST)


def assert_clients_fault(responses: list[HttpResponse]) -> None:
    """No status of 500 or more; every answer has an id, every refusal its type and a document."""
    for response in responses:
        assert response.status < 500, response
        if response.status == 100:
            continue
        assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["x-amzn-requestid"])
        if response.status >= 400:
            assert response.headers["x-amzn-errortype"]
            assert {"message", "Message"} & json.loads(response.body).keys()


def test_pipelined_invocations(lab: Served) -> None:
    """Are answered in their order."""
    data = b"".join(encode_request("POST", PATH, {}, str(number).encode()) for number in range(5))
    assert [response.body for response in exchange(lab, data)] == [b"0", b"1", b"2", b"3", b"4"]


def test_chunked_event(lab: Served) -> None:
    """As clients send what they do not know the length of."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    [response] = exchange(lab, head + b'4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n')
    assert response.body == b'{"a": 1}'


def test_an_offer_of_http2(lab: Served) -> None:
    """Java's client makes it with each request."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQ"}
    [response] = exchange(lab, encode_request("POST", PATH, offer, b"[1]"))
    assert (response.status, response.body) == (200, b"[1]")


def test_too_large_whatever_the_form(lab: Served) -> None:
    """413, and the connection goes on."""
    body = b'"' + b"x" * 6_291_456 + b'"'
    data = encode_request("POST", PATH, {}, body) + encode_request("POST", PATH, {}, b"1")
    first, second = exchange(lab, data)
    assert (first.status, first.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")
    assert second.body == b"1"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", 404),
        (b"CONNECT host:443 HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        (b"PUT /%00/%ff/%C3%28 HTTP/1.1\r\n\r\n", 404),
        (b"POST /2015-03-31/functions/%00%0d%0a/invocations HTTP/1.1\r\n\r\n", 400),
        (b"garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 2_000_000, 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    ],
)
def test_what_is_refused(lab: Served, data: bytes, status: int) -> None:
    """With an id and a document, though it may be no HTTP at all."""
    responses = exchange(lab, data)
    assert [response.status for response in responses] == [status]
    assert_clients_fault(responses)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(at=st.integers(0, len(VALID)), removed=st.integers(0, 20), put_in=st.binary(max_size=20))
@example(at=len(VALID), removed=0, put_in=b"GET /")
def test_a_request_with_a_fault(lab: Served, at: int, removed: int, put_in: bytes) -> None:
    """Cut out, put in, anywhere."""
    assert_clients_fault(exchange(lab, VALID[:at] + put_in + VALID[at + removed :]))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    names=st.lists(
        st.sampled_from(["X-Amz-Invocation-Type", "X-Amz-Log-Type", "X-Amz-Client-Context", "X-Amzn-Trace-Id"]),
        max_size=4,
    ),
    values=st.lists(
        st.sampled_from(["Event", "DryRun", "RequestResponse", "Tail", "None", "e30=", "\u00e9\t\u00ff", ""])
        | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
        min_size=4,
        max_size=4,
    ),
    body=st.sampled_from([b"", b"{}", b"1e400", b'"\\ud800"', b"\xef\xbb\xbf{}"]) | st.binary(max_size=30),
    query=st.sampled_from(["", "?Qualifier=$LATEST", "?Qualifier=%24LATEST&Qualifier=1", "?Qualifier=%ff", "?&=&"]),
    path=st.sampled_from([PATH, STREAMED]),
)
def test_whatever_the_headers(  # noqa: PLR0913, PLR0917 - each part of a request
    lab: Served, names: list[str], values: list[str], body: bytes, query: str, path: str
) -> None:
    """Each value in each header, with any body, for an answer in one piece and a streamed one."""
    headers = dict(zip(names, values, strict=False))
    assert_clients_fault(exchange(lab, encode_request("POST", path + query, headers, body)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]),
    start=st.sampled_from(
        ["/2015-03-31/functions/", "/2021-11-15/functions/", "/2021-10-31/functions/", "/2016-08-19/"]
    ),
    rest=st.sampled_from(
        ["Echo", "Echo/configuration", "Echo/url", "account-settings", "?MaxItems=1", "", "Echo/policy"]
    )
    | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    body=st.binary(max_size=10),
)
def test_whatever_the_path(lab: Served, method: str, start: str, rest: str, body: bytes) -> None:
    """Reads, what is not offered, and what is no path of the API's."""
    data = encode_request(method, start + rest, {}, body)
    if method != "HEAD":  # whose answers have no body, which the reader does not know
        assert_clients_fault(exchange(lab, data))
        return
    with socket.create_connection(("127.0.0.1", lab.port), timeout=PATIENCE_S) as client:
        client.sendall(data)
        assert re.fullmatch(rb"HTTP/1\.1 [24]\d\d", client.recv(12))


def test_events_that_python_cannot_read(lab: Served) -> None:
    """Are the function's failure: JSON that Lambda takes, and Python's own parser does not."""
    [response] = exchange(lab, encode_request("POST", PATH, {}, b"9" * 5000))
    assert (response.status, response.headers["x-amz-function-error"]) == (200, "Unhandled")
    assert json.loads(response.body)["errorType"] == "Runtime.UnmarshalError"
