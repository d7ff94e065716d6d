"""HTTP/1.1 as bytes in and messages out, by httptools; whoever owns the sockets moves the bytes. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httptools

MAX_HEAD_BYTES: Final = 1024 * 1024  # request line and headers ("Lambda quotas", AWS Lambda Developer Guide, 2026-10)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
WITHOUT_BODY: Final = frozenset({204, 304})
_REASONS: Final = {int(status): status.phrase for status in HTTPStatus}
_UNSAFE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class MalformedMessage(Exception):
    """What came is not HTTP/1.1, or its head is over the limit (`too_large`); the connection can carry no more."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, read whole. `target` is path and query as sent, header names are in lower case.

    `body` is None where it was longer than the reader's limit: the rest was read and thrown away. Where the reader
    hands bodies on, it is what had not been taken yet. `trailers` are the fields that came after a chunked body.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None
    keep_alive: bool
    version: str = "1.1"
    trailers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One response, read whole; header names are in lower case.

    `cookies` are for what is sent: each goes into a Set-Cookie header of its own, the one header that cannot be joined.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool
    cookies: tuple[str, ...] = ()


class _Reader:
    """What both directions share: headers and body of the message that is being read."""

    def __init__(self, most_body: int) -> None:
        self._most_body = most_body
        self._headers: dict[str, str] = {}
        self._trailers: dict[str, str] | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._head_bytes: int | None = 0  # None once the head is complete
        self.handing_on = False
        """The body that is being read is for `take`."""

    def on_message_begin(self) -> None:
        """Called by the parser, as are the other `on_` methods."""
        self._headers = {}
        self._trailers = None
        self._parts = []
        self._size = 0
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; repeated ones become a list with commas (RFC 9110, 5.3). After the head, it is a trailer."""
        fields = self._headers
        if self._head_bytes is None:
            fields = self._trailers = self._trailers or {}
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        fields[key] = f"{fields[key]},{text}" if key in fields else text

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_bytes = None

    def on_body(self, part: bytes) -> None:
        """A piece of the body; what is over the limit is only counted."""
        if self.handing_on:
            self._parts.append(part)
            return
        self._size += len(part)
        if self._size <= self._most_body:
            self._parts.append(part)

    def _body(self) -> bytes | None:
        if self._size > self._most_body:
            return None
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _count_head(self, data: bytes) -> None:
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                raise MalformedMessage("the request's head is over 1 MB", too_large=True)


class RequestReader(_Reader):
    """Reads the requests of one connection; `most_body` bytes of body are kept.

    `hand_on` is asked at each head that has the header `marker`, with target and headers: where it says so, the body is
    not kept but can be taken as it comes, however long it is.
    """

    def __init__(
        self, most_body: int, *, marker: str = "", hand_on: Callable[[str, Mapping[str, str]], bool] | None = None
    ) -> None:
        super().__init__(most_body)
        self._marker = marker
        self._hand_on = hand_on
        self._target = b""
        self._whole: deque[HttpRequest] = deque()
        self._parser = httptools.HttpRequestParser(self)
        self.expects_continue = False
        """The client waits for CONTINUE before it sends the body; whoever sends it sets this back."""
        self.midway = False
        """A request has begun to come, and is not whole."""

    def feed(self, data: bytes) -> None:
        """Take bytes as they came; MalformedMessage where they are no HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # A server may ignore the offer (RFC 9110, 7.8), as Lambda does; the parser would not go on.
            self.feed(self._without_offer() + data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            raise MalformedMessage(str(error)) from error
        self._count_head(data)

    def _without_offer(self) -> bytes:
        """Begin again, with the head of the request that offered something: its body has not been read.

        Nothing where it was a CONNECT, which has none.
        """
        version, offered = self._parser.get_http_version(), self._whole[-1]
        self._parser = httptools.HttpRequestParser(self)
        self.on_message_begin()
        if offered.method == "CONNECT":
            return b""
        self._whole.pop()
        headers = {name: value for name, value in offered.headers.items() if name not in {"connection", "upgrade"}}
        headers["connection"] = "keep-alive" if offered.keep_alive else "close"
        return f"{_head(f'{offered.method} {offered.target} HTTP/{version}', headers)}\r\n".encode("latin-1")

    def next(self) -> HttpRequest | None:
        """The next request that has come whole."""
        return self._whole.popleft() if self._whole else None

    def take(self) -> bytes:
        """What has come of a body that is handed on, and was not taken yet."""
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._target = b""
        self.midway = True

    def on_url(self, part: bytes) -> None:
        """A piece of the target."""
        self._target += part

    def on_headers_complete(self) -> None:
        """The head is whole; a body may follow."""
        super().on_headers_complete()
        self.expects_continue = self._headers.get("expect", "").lower() == "100-continue"
        if self._marker in self._headers and self._hand_on is not None:
            self.handing_on = self._hand_on(self._target.decode("latin-1"), self._headers)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.expects_continue = self.handing_on = self.midway = False
        request = HttpRequest(
            method=self._parser.get_method().decode("latin-1"),
            target=self._target.decode("latin-1"),
            headers=self._headers,
            body=self._body(),
            keep_alive=self._parser.should_keep_alive(),
            version=self._parser.get_http_version(),
            trailers=self._trailers,
        )
        self._whole.append(request)
        self._head_bytes = 0


class ResponseReader(_Reader):
    """Reads the responses of one connection."""

    def __init__(self, most_body: int) -> None:
        super().__init__(most_body)
        self._whole: deque[HttpResponse] = deque()
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take bytes as they came; MalformedMessage where they are no HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise MalformedMessage(str(error)) from error
        self._count_head(data)

    def next(self) -> HttpResponse | None:
        """The next response that has come whole."""
        return self._whole.popleft() if self._whole else None

    def on_message_complete(self) -> None:
        """The response is whole."""
        body = self._body()
        if body is None:
            raise MalformedMessage(f"the response is over {self._most_body} bytes")
        status = self._parser.get_status_code()
        self._whole.append(
            HttpResponse(status=status, headers=self._headers, body=body, keep_alive=self._parser.should_keep_alive())
        )
        self._head_bytes = 0


def encode_response(  # noqa: PLR0913 - one keyword for each thing that an answer can have
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    close: bool = False,
    head_only: bool = False,
    cookies: tuple[str, ...] = (),
) -> bytes:
    """Status line, headers, length and body in one piece: one write per answer, or TCP waits 40 ms for the second.

    ValueError for a header that would break the message. `head_only` answers HEAD: the length without the body.
    """
    length = f"Content-Length: {len(body)}\r\n" if status not in WITHOUT_BODY else ""
    encoded = _response_head(status, headers, cookies, length, close=close)
    return encoded if head_only or not length else encoded + body


def encode_response_head(
    status: int, headers: Mapping[str, str], *, chunked: bool, close: bool, cookies: tuple[str, ...] = ()
) -> bytes:
    """The head of a response whose body follows: in chunks, or up to the end of the connection.

    ValueError for a header that would break the message.
    """
    return _response_head(status, headers, cookies, "Transfer-Encoding: chunked\r\n" if chunked else "", close=close)


def encode_chunk(part: bytes) -> bytes:
    """One chunk of a body; nothing for nothing, which would be the last chunk."""
    return b"%x\r\n%s\r\n" % (len(part), part) if part else b""


def _response_head(
    status: int, headers: Mapping[str, str], cookies: tuple[str, ...], length: str, *, close: bool
) -> bytes:
    head = _head(f"HTTP/1.1 {status} {_REASONS.get(status, '')}", headers)
    if cookies:
        if _UNSAFE.search("".join(cookies)):
            raise ValueError("a cookie may not hold control characters")
        head += "".join(f"Set-Cookie: {cookie}\r\n" for cookie in cookies)
    ending = "Connection: close\r\n" if close else ""
    return f"{head}{length}{ending}\r\n".encode("latin-1")


def encode_request(method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A whole request; ValueError for a header that would break it."""
    head = _head(f"{method} {target} HTTP/1.1", headers)
    if body or method not in {"GET", "HEAD", "DELETE"}:
        head += f"Content-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode("latin-1") + body


def _head(first: str, headers: Mapping[str, str]) -> str:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    if _UNSAFE.search("".join(lines)):
        raise ValueError("a header may not hold control characters")
    return "\r\n".join(lines) + "\r\n"
