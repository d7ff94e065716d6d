"""HTTP messages: however their bytes are cut, and whatever stands between them, the same messages come out."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.http1 import (
    MAX_HEAD_BYTES,
    HttpRequest,
    HttpResponse,
    MalformedMessage,
    RequestReader,
    ResponseReader,
    encode_chunk,
    encode_request,
    encode_response,
    encode_response_head,
)

MOST = 64

TOKEN = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=12)
VALUE = st.text(string.ascii_letters + string.digits + " ;=/,:%\u00e9", max_size=20).map(str.strip)
# Names that mean something to HTTP itself would change how the message is read.
HEADERS = st.dictionaries(TOKEN.map(lambda name: f"X-{name}".lower()), VALUE, max_size=4)
TARGET = st.text(string.ascii_letters + string.digits + "/%?&=:$._-", max_size=30).map(lambda text: "/" + text)
METHOD = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
BODY = st.binary(max_size=MOST)


@dataclass(frozen=True)
class Sent:
    """A request as it goes over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    chunks: tuple[int, ...] | None
    """How the body is cut into HTTP's own chunks; None for a Content-Length."""

    def encoded(self) -> bytes:
        """The bytes."""
        if self.chunks is None:
            return encode_request(self.method, self.target, self.headers, self.body)
        head = encode_request(self.method, self.target, {**self.headers, "Transfer-Encoding": "chunked"})
        head = head.replace(b"Content-Length: 0\r\n", b"")
        parts = [part for part in cut(self.body, self.chunks) if part]
        return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    """The data in pieces."""
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """One request of any shape that a client may send."""
    method = draw(METHOD)
    has_body = method in {"POST", "PUT", "PATCH"}
    return Sent(
        method=method,
        target=draw(TARGET),
        headers=draw(HEADERS),
        body=draw(BODY) if has_body else b"",
        chunks=tuple(draw(st.lists(st.integers(0, MOST), max_size=3))) if has_body and draw(st.booleans()) else None,
    )


def read(reader: RequestReader, pieces: Sequence[bytes]) -> list[HttpRequest]:
    """Everything that comes whole out of these pieces."""
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (request := reader.next()) is not None:
            found.append(request)
    return found


@given(sent=st.lists(requests(), min_size=1, max_size=4), at=st.lists(st.integers(0, 2000), max_size=20))
def test_any_cut_gives_the_same_requests(sent: list[Sent], at: list[int]) -> None:
    """Pipelined requests, cut anywhere."""
    data = b"".join(one.encoded() for one in sent)
    found = read(RequestReader(MOST), cut(data, at))
    assert [(one.method, one.target, one.body) for one in found] == [(s.method, s.target, s.body) for s in sent]
    for request, one in zip(found, sent, strict=True):
        assert request.headers.items() >= one.headers.items()
        assert request.keep_alive


@given(request=requests())
def test_byte_by_byte(request: Sent) -> None:
    """The finest cut there is."""
    data = request.encoded()
    [found] = read(RequestReader(MOST), [data[place : place + 1] for place in range(len(data))])
    assert (found.method, found.target, found.body) == (request.method, request.target, request.body)


@given(
    answers=st.lists(st.tuples(st.sampled_from([200, 202, 400, 404, 429, 500]), HEADERS, BODY), min_size=1, max_size=4),
    at=st.lists(st.integers(0, 2000), max_size=20),
)
def test_any_cut_gives_the_same_responses(answers: list[tuple[int, dict[str, str], bytes]], at: list[int]) -> None:
    """What we write we read again."""
    data = b"".join(encode_response(*answer) for answer in answers)
    reader = ResponseReader(MOST)
    found: list[HttpResponse] = []
    for piece in cut(data, at):
        reader.feed(piece)
        while (response := reader.next()) is not None:
            found.append(response)
    assert [(one.status, one.body) for one in found] == [(status, body) for status, _, body in answers]
    assert all(one.headers.items() >= headers.items() for one, (_, headers, _) in zip(found, answers, strict=True))


@given(data=st.binary(max_size=300), at=st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_are_read_or_refused(data: bytes, at: list[int]) -> None:
    """Nothing but MalformedMessage comes out of a reader that is given rubbish."""
    with suppress(MalformedMessage):
        read(RequestReader(MOST), cut(data, at))


@pytest.mark.parametrize(("size", "expected"), [(MOST - 1, True), (MOST, True), (MOST + 1, False)])
@pytest.mark.parametrize("chunks", [None, (1, 30)])
def test_a_body_over_the_limit_is_read_and_thrown_away(
    size: int,
    expected: bool,  # noqa: FBT001 - a column of the table
    chunks: tuple[int, ...] | None,
) -> None:
    """The connection can carry the next request."""
    body = b"x" * size
    sent = Sent("POST", "/", {}, body, chunks).encoded() + Sent("GET", "/next", {}, b"", None).encoded()
    first, second = read(RequestReader(MOST), [sent])
    assert first.body == (body if expected else None)
    assert second.target == "/next"


def test_repeated_headers_become_one() -> None:
    """With commas, as RFC 9110 has it."""
    data = b"GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\na: 2\r\n\r\n"
    [request] = read(RequestReader(MOST), [data])
    assert request.headers == {"a": "1,2", "host": "h"}


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_keep_alive(head: bytes, keep_alive: bool) -> None:  # noqa: FBT001 - a column of the table
    """Whether the connection carries another request."""
    [request] = read(RequestReader(MOST), [head + b"\r\n"])
    assert request.keep_alive is keep_alive


def test_expect_is_told_before_the_body_has_come() -> None:
    """And not once it has."""
    head = b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
    reader = RequestReader(MOST)
    reader.feed(head)
    assert reader.expects_continue
    reader.feed(b"ab")
    assert [reader.expects_continue] == [False]
    reader = RequestReader(MOST)
    reader.feed(head + b"ab")
    assert not reader.expects_continue


@pytest.mark.parametrize("body", [b"", b"body"])
def test_an_offer_to_upgrade_is_ignored(body: bytes) -> None:
    """Java's client offers HTTP/2 with each request; it goes on in HTTP/1.1, as does the connection."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQ"}
    data = encode_request("POST", "/first", offer, body) + encode_request("GET", "/second", {})
    found = read(RequestReader(MOST), [data])
    assert [(request.target, request.body) for request in found] == [("/first", body), ("/second", b"")]
    assert all(request.keep_alive for request in found)
    by_byte = read(RequestReader(MOST), [data[place : place + 1] for place in range(len(data))])
    assert by_byte == found


def test_a_tunnel_is_a_request_like_any_other() -> None:
    """CONNECT is for proxies; the server refuses it, and the connection goes on."""
    data = b"CONNECT host:443 HTTP/1.1\r\nHost: host\r\n\r\n" + encode_request("GET", "/second", {})
    found = read(RequestReader(MOST), [data])
    assert [(request.method, request.target) for request in found] == [("CONNECT", "host:443"), ("GET", "/second")]


def test_a_head_over_the_limit_is_refused() -> None:
    """Before it has ended, for it may have no end."""
    reader = RequestReader(MOST)
    line = b"A: " + b"x" * 100_000 + b"\r\n"
    pieces = [b"GET / HTTP/1.1\r\n", *[line] * (MAX_HEAD_BYTES // len(line) + 1)]
    with pytest.raises(MalformedMessage) as caught:
        read(reader, pieces)
    assert caught.value.too_large


def test_a_large_head_is_read() -> None:
    """Up to Lambda's 1 MB."""
    value = "x" * (MAX_HEAD_BYTES - 1000)
    [request] = read(RequestReader(MOST), [f"GET / HTTP/1.1\r\nA: {value}\r\n\r\n".encode()])
    assert request.headers == {"a": value}


def test_what_came_whole_before_rubbish_is_kept() -> None:
    """The reader refuses the rest, and still has the first request."""
    reader = RequestReader(MOST)
    with pytest.raises(MalformedMessage):
        reader.feed(b"GET /one HTTP/1.1\r\n\r\nrubbish\r\n\r\n")
    request = reader.next()
    assert request is not None
    assert request.target == "/one"


def test_a_response_over_the_limit_is_refused() -> None:
    """A client has no use for half of an answer."""
    with pytest.raises(MalformedMessage):
        ResponseReader(MOST).feed(encode_response(200, {}, b"x" * (MOST + 1)))


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "\0", "\x7f"])
def test_a_header_cannot_break_a_message(value: str) -> None:
    """ValueError instead of a second header."""
    with pytest.raises(ValueError, match="control characters"):
        encode_response(200, {"A": value}, b"")
    with pytest.raises(ValueError, match="control characters"):
        encode_request("GET", "/", {"A": value})


def test_the_forms_of_an_answer() -> None:
    """Length, hanging up, the answer to HEAD, and the statuses that have no body."""
    assert encode_response(200, {"A": "b"}, b"xy") == b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nxy"
    assert b"\r\nConnection: close\r\n" in encode_response(200, {}, b"", close=True)
    assert encode_response(200, {}, b"xy", head_only=True).endswith(b"Content-Length: 2\r\n\r\n")
    assert encode_response(204, {}, b"") == b"HTTP/1.1 204 No Content\r\n\r\n"


@given(parts=st.lists(st.binary(min_size=1, max_size=2 * MOST), max_size=5), step=st.integers(1, 300))
def test_a_body_that_is_handed_on(parts: list[bytes], step: int) -> None:
    """Comes in parts, however long it is and however it is cut; trailers are no headers."""
    asked: list[tuple[str, str]] = []

    def hand_on(target: str, headers: Mapping[str, str]) -> bool:
        asked.append((target, headers["x"]))
        return target == "/parts"

    reader = RequestReader(MOST, marker="x", hand_on=hand_on)
    head = b"POST /parts HTTP/1.1\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    data = head + chunks + b"0\r\nX: 2\r\nY: 3\r\n\r\n" + encode_request("POST", "/whole", {}, b"body")
    data += encode_request("POST", "/other", {"x": "1"}, b"another")
    taken, found = b"", []
    for begin in range(0, len(data), step):
        reader.feed(data[begin : begin + step])
        if reader.handing_on:
            taken += reader.take()
        while (request := reader.next()) is not None:
            found.append(request)
    first, second, third = found
    assert taken + (first.body or b"") == b"".join(parts)
    assert (first.headers["x"], first.trailers) == ("1", {"x": "2", "y": "3"})
    assert (second.body, second.trailers, third.body) == (b"body", None, b"another")
    assert not reader.handing_on
    assert asked == [("/parts", "1"), ("/other", "1")]


def test_the_head_of_an_answer_in_parts() -> None:
    """In chunks or not, each cookie in a header of its own; nothing may break it."""
    head = encode_response_head(200, {"A": "1"}, chunked=True, close=False, cookies=("a=1", "b=2"))
    assert (
        head == b"HTTP/1.1 200 OK\r\nA: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert encode_response_head(200, {}, chunked=False, close=True) == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    assert (encode_chunk(b"x" * 17), encode_chunk(b"")) == (b"11\r\n" + b"x" * 17 + b"\r\n", b"")
    with pytest.raises(ValueError, match="cookie"):
        encode_response_head(200, {}, chunked=True, close=False, cookies=("a\r\nb",))
