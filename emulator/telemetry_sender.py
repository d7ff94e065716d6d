"""Delivers telemetry to the HTTP servers that extensions run inside the sandbox, each on a thread of its own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from emulator.http1 import encode_request
from emulator.platform_log import PlatformEvent, dropped, stamp
from emulator.telemetry import Buffer, Subscription

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_BEFORE: Final = 10_000  # events of an init that nobody has subscribed to yet
_ANSWER_S: Final = 5.0
_CHUNK: Final = 4096
_OK: Final = range(200, 300)

Connect = Callable[[int], socket.socket]
"""Opens a connection to a port inside the sandbox."""


class Telemetry:
    """The events of one life, and who gets them. Any thread may call any method."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._before: list[tuple[str, bytes]] | None = []
        self._senders: list[Sender] = []

    def happened(self, events: Iterable[PlatformEvent]) -> None:
        """Lambda's own events."""
        for event in events:
            self._emit("platform", event.type, event.record)

    def said(self, kind: str, line: str) -> None:
        """A line of the `function`'s or of an `extension`'s."""
        self._emit(kind, kind, line)

    def subscribe(self, wanted: Subscription) -> None:
        """From the beginning of this life on, since init is when extensions subscribe."""
        sender = Sender(wanted, self._connect)
        with self._lock:
            for kind, event in self._before or ():
                sender.offer(kind, event)
            self._senders.append(sender)
        sender.start()

    def initialised(self) -> None:
        """Nobody can subscribe any more."""
        with self._lock:
            self._before = None

    def hurry(self) -> None:
        """Send what waits, at once."""
        for sender in self._senders:
            sender.hurry()

    def pause(self, *, on: bool) -> None:
        """Nothing is sent to processes that stand still; returns when nothing is under way."""
        for sender in self._senders:
            sender.pause(on=on)

    def close(self) -> None:
        """Stop; what waits is lost."""
        for sender in self._senders:
            sender.close()

    def _emit(self, kind: str, type_: str, record: Mapping[str, Any] | str) -> None:
        document = {"time": stamp(time.time()), "type": type_, "record": record}
        event = json.dumps(document, separators=(",", ":")).encode()
        with self._lock:
            if self._before is not None and len(self._before) < _MOST_BEFORE:
                self._before.append((kind, event))
            for sender in self._senders:
                sender.offer(kind, event)


class Sender:
    """Posts batches of events, as JSON arrays, to one subscriber; what it does not take is sent again."""

    def __init__(self, wanted: Subscription, connect: Connect) -> None:
        self._wanted = wanted
        self._connect = connect
        self._buffer = Buffer(wanted)
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._paused = False
        self._closed = False
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name=f"telemetry-{wanted.port}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def offer(self, kind: str, event: bytes) -> None:
        """An event, if it is of a type that was asked for."""
        if kind in self._wanted.types:
            with self._changed:
                self._buffer.add(event, time.monotonic())
                self._changed.notify()

    def hurry(self) -> None:
        """Do not wait for more."""
        with self._changed:
            self._buffer.hurry()
            self._changed.notify()

    def pause(self, *, on: bool) -> None:
        """Hold or go on; a request that is under way is finished first."""
        with self._changed:
            self._paused = on
            self._changed.notify()
        if on:
            with self._sending:
                pass

    def close(self) -> None:
        """End the thread, and the request that it may be at."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            under_way = self._socket
        if under_way is not None:
            with suppress(OSError):
                under_way.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._await_due():
            with self._sending:
                with self._changed:
                    if self._paused or self._closed:
                        continue
                    batch = self._batch()
                if not self._delivered(b"[" + b",".join(batch) + b"]"):
                    with self._changed:
                        self._buffer.give_back(batch, time.monotonic())

    def _batch(self) -> list[bytes]:
        buffer = self._buffer
        batch = buffer.take(time.monotonic())
        if buffer.dropped and "platform" in self._wanted.types:
            event = dropped(buffer.dropped, buffer.dropped_bytes)
            batch.append(event.line(time.time()).strip().encode())
            buffer.dropped = buffer.dropped_bytes = 0
        return batch

    def _await_due(self) -> bool:
        with self._changed:
            while not self._closed:
                left = None if self._paused else self._buffer.wait_s(time.monotonic())
                if left == 0:
                    return True
                self._changed.wait(left)
        return False

    def _delivered(self, body: bytes) -> bool:
        headers = {"Host": f"sandbox.localdomain:{self._wanted.port}", "Content-Type": "application/json"}
        request = encode_request("POST", self._wanted.target, {**headers, "Connection": "close"}, body)
        try:
            with self._connect(self._wanted.port) as connection:
                with self._changed:
                    if self._closed:
                        return False
                    self._socket = connection
                connection.settimeout(_ANSWER_S)
                connection.sendall(request)
                return _status(connection) in _OK
        except OSError:  # it does not listen yet or any more, or has just been killed
            return False
        finally:
            with self._changed:
                self._socket = None


def _status(connection: socket.socket) -> int:
    """The status of the answer; 0 where there is none."""
    answer = b""
    while b"\r\n" not in answer and (piece := connection.recv(_CHUNK)):
        answer += piece
    words = answer.split(b"\r\n", 1)[0].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
