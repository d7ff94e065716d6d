"""HTTP/1.1 as bytes in and messages out, by httptools; whoever owns the sockets moves the bytes. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httptools

MAX_HEAD_BYTES: Final = 1024 * 1024  # request line and headers ("Lambda quotas", AWS Lambda Developer Guide, 2026-10)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
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

    `body` is None where it was longer than the reader's limit: the rest was read and thrown away.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None
    keep_alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One response, read whole; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


class _Reader:
    """What both directions share: headers and body of the message that is being read."""

    def __init__(self, most_body: int) -> None:
        self._most_body = most_body
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._head_bytes: int | None = 0  # None once the head is complete

    def on_message_begin(self) -> None:
        """Called by the parser, as are the other `on_` methods."""
        self._headers = {}
        self._parts = []
        self._size = 0
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; repeated ones become a list with commas (RFC 9110, 5.3)."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_bytes = None

    def on_body(self, part: bytes) -> None:
        """A piece of the body; what is over the limit is only counted."""
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
    """Reads the requests of one connection; `most_body` bytes of body are kept."""

    def __init__(self, most_body: int) -> None:
        super().__init__(most_body)
        self._target = b""
        self._whole: deque[HttpRequest] = deque()
        self._parser = httptools.HttpRequestParser(self)
        self.expects_continue = False
        """The client waits for CONTINUE before it sends the body; whoever sends it sets this back."""

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

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._target = b""

    def on_url(self, part: bytes) -> None:
        """A piece of the target."""
        self._target += part

    def on_headers_complete(self) -> None:
        """The head is whole; a body may follow."""
        super().on_headers_complete()
        self.expects_continue = self._headers.get("expect", "").lower() == "100-continue"

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.expects_continue = False
        request = HttpRequest(
            method=self._parser.get_method().decode("latin-1"),
            target=self._target.decode("latin-1"),
            headers=self._headers,
            body=self._body(),
            keep_alive=self._parser.should_keep_alive(),
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


def encode_response(
    status: int, headers: Mapping[str, str], body: bytes, *, close: bool = False, head_only: bool = False
) -> bytes:
    """Status line, headers, length and body in one piece: one write per answer, or TCP waits 40 ms for the second.

    ValueError for a header that would break the message. `head_only` answers HEAD: the length without the body.
    """
    head = _head(f"HTTP/1.1 {status} {_REASONS.get(status, '')}", headers)
    if status not in {204, 304}:
        head += f"Content-Length: {len(body)}\r\n"
    if close:
        head += "Connection: close\r\n"
    encoded = f"{head}\r\n".encode("latin-1")
    return encoded if head_only else encoded + body


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
