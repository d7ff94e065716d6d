"""Stands in for a client that is answered in parts, and for one that waits for a streamed answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.eventstream import EventStreamBuffer

from emulator.http1 import HttpResponse


class FakeExchange:
    """Keeps what was sent, in order."""

    def __init__(self, peer: str = "192.0.2.7") -> None:
        self.peer = peer
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.cookies: tuple[str, ...] = ()
        self.parts: list[bytes] = []
        self.ended = False
        self.whole: HttpResponse | None = None

    def answer(self, response: HttpResponse) -> None:
        """Only once, and alone."""
        assert not self.begun
        self.whole = response
        self.status, self.headers, self.cookies = response.status, response.headers, response.cookies
        self.parts, self.ended = [response.body], True

    @property
    def begun(self) -> bool:
        """Whether there is a head."""
        return self.status is not None

    @property
    def body(self) -> bytes:
        """All parts."""
        return b"".join(self.parts)

    def begin(self, status: int, headers: Mapping[str, str], cookies: tuple[str, ...] = ()) -> None:
        """Only once."""
        assert not self.begun
        self.status, self.headers, self.cookies = status, headers, cookies

    def send(self, part: bytes, limit: float | None = None) -> None:
        """Only in between."""
        assert self.begun
        assert not self.ended
        self.parts.append(part)

    def end(self) -> None:
        """Only once."""
        assert self.begun
        assert not self.ended
        self.ended = True

    def events(self) -> list[tuple[str, bytes]]:
        """What was sent, as the events of an event stream."""
        buffer: Any = EventStreamBuffer()
        buffer.add_data(self.body)
        return [(message.headers[":event-type"], message.payload) for message in buffer]


class FakeReceiver:
    """Keeps what a function streams; `limits` are the instants up to which it might have taken."""

    def __init__(self) -> None:
        self.content_type: str | None = None
        self.parts: list[bytes] = []
        self.limits: set[float] = set()

    def begin(self, content_type: str) -> None:
        """Only once."""
        assert self.content_type is None
        self.content_type = content_type

    def part(self, data: bytes, limit: float) -> None:
        """Only after that."""
        assert self.content_type is not None
        self.parts.append(data)
        self.limits.add(limit)
