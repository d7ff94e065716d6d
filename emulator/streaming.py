"""A response on its way while the function still writes it: who takes the parts, how many there may be, and how fast.

"Response streaming for Lambda functions", AWS Lambda Developer Guide, 2026-07: 200 MB at most, the first 6 MB as fast
as they go, what follows at 2 MB a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from emulator.limits import MIB, quota

BURST_BYTES: Final = 6 * MIB
BYTES_PER_SECOND: Final = 2 * MIB


class Receiver(Protocol):
    """Whoever invoked the function and wants its answer as it comes. Called on the thread that waits for the function.

    Neither raises where the client has gone, and the function goes on: "Streamed responses are not interrupted or
    stopped when the invoking client connection is broken" (same guide).
    """

    def begin(self, content_type: str) -> None:
        """The function begins to answer, in parts or in one piece, with this Content-Type; nothing is sent yet."""

    def part(self, data: bytes, limit: float) -> None:
        """A part of it; it may take until `time.perf_counter()` reaches `limit`, and is lost then."""


class PacedStream:
    """Hands one response on to its receiver, no faster than Lambda and up to the instant `limit`."""

    def __init__(
        self,
        receiver: Receiver,
        limit: float,
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._receiver = receiver
        self._limit = limit
        self._clock = clock
        self._sleep = sleep
        self._size = 0
        self._most = quota("Streamed response").maximum or 0
        self._free_at = 0.0

    def begin(self, content_type: str) -> None:
        """As the receiver's."""
        self._receiver.begin(content_type)

    def part(self, data: bytes) -> bool:
        """Hand a part on when its time has come; False where it is one too many, and then it is not."""
        before = self._size
        self._size += len(data)
        if self._size > self._most:
            return False
        slowed = self._size - max(before, BURST_BYTES)
        now = self._clock()
        if slowed > 0:
            self._free_at = max(now, self._free_at) + slowed / BYTES_PER_SECOND
            self._sleep(max(0.0, min(self._free_at, self._limit) - now))
            now = self._clock()
        if now < self._limit:
            self._receiver.part(data, self._limit)
        return True
