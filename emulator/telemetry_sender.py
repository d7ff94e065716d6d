"""Delivers telemetry to the servers that extensions run inside the sandbox, to each on a thread of its own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from emulator.http1 import encode_request
from emulator.platform_log import PlatformEvent, dropped, stamp
from emulator.telemetry import Buffer, Subscription, Unacceptable

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
        """From the beginning of this life on, since init is when extensions subscribe.

        Unacceptable where nothing listens on a TCP destination, to which Lambda connects there and then (AWS's runtime
        interface emulator, 2026-01, whose words these are up to the address).
        """
        carrier: _Carrier = _Http(wanted, self._connect)
        if wanted.protocol == "TCP":
            carrier = _Tcp(wanted, self._connect)
            if not carrier.deliver([]):
                address = f"127.0.0.1:{wanted.port}"
                raise Unacceptable(f"Invalid destination: could not TCP dial provided address {address}")
        sender = Sender(wanted, carrier)
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

    def pause(self, *, on: bool) -> bool:
        """Nothing is sent to processes that stand still; False, and no pause, while something is under way."""
        paused = [sender.pause(on=on) for sender in self._senders]
        if not all(paused):
            for sender in self._senders:
                sender.pause(on=False)
        return all(paused)

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
    """Hands batches of events to one subscriber; what it does not take is sent again."""

    def __init__(self, wanted: Subscription, carrier: _Carrier) -> None:
        self._wanted = wanted
        self._carrier = carrier
        self._buffer = Buffer(wanted)
        self._changed = threading.Condition()
        self._sending = False
        self._paused = False
        self._closed = False
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

    def pause(self, *, on: bool) -> bool:
        """Hold or go on; False where it cannot hold, since a batch is under way."""
        with self._changed:
            if on and self._sending:
                return False
            self._paused = on
            self._changed.notify()
            return True

    def close(self) -> None:
        """End the thread, and the request that it may be at."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._carrier.close()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            delivered = self._carrier.deliver(batch)
            with self._changed:
                self._sending = False
                if not delivered:
                    self._buffer.give_back(batch, time.monotonic())

    def _batch(self) -> list[bytes]:
        buffer = self._buffer
        batch = buffer.take(time.monotonic())
        if buffer.dropped and "platform" in self._wanted.types:
            event = dropped(buffer.dropped, buffer.dropped_bytes)
            batch.append(event.line(time.time()).strip().encode())
            buffer.dropped = buffer.dropped_bytes = 0
        return batch

    def _next(self) -> list[bytes] | None:
        """The next batch when it is due; None at the end."""
        with self._changed:
            while not self._closed:
                left = None if self._paused else self._buffer.wait_s(time.monotonic())
                if left == 0:
                    self._sending = True
                    return self._batch()
                self._changed.wait(left)
        return None


class _Carrier(Protocol):
    """A way into the sandbox."""

    def deliver(self, events: list[bytes]) -> bool:
        """Whether they were taken."""

    def close(self) -> None:
        """From another thread: what is under way ends at once, and nothing is delivered any more."""


class _Connected:
    """A connection that another thread can end."""

    def __init__(self, wanted: Subscription, connect: Connect) -> None:
        self._wanted = wanted
        self._connect = connect
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._closed = False

    def close(self) -> None:
        """See _Carrier."""
        with self._lock:
            self._closed = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def _open(self) -> socket.socket:
        connection = self._connect(self._wanted.port)
        connection.settimeout(_ANSWER_S)
        with self._lock:
            if not self._closed:
                self._socket = connection
                return connection
        connection.close()
        raise ConnectionAbortedError

    def _let_go(self) -> None:
        with self._lock:
            held, self._socket = self._socket, None
        if held is not None:
            held.close()


class _Http(_Connected):
    """A POST of a JSON array for each batch."""

    def deliver(self, events: list[bytes]) -> bool:
        """It does not listen yet or any more, or has just been killed, where this is False."""
        port, body = self._wanted.port, b"[" + b",".join(events) + b"]"
        headers = {"Host": f"sandbox.localdomain:{port}", "Content-Type": "application/json", "Connection": "close"}
        try:
            connection = self._open()
            connection.sendall(encode_request("POST", self._wanted.target, headers, body))
            return _status(connection) in _OK
        except OSError:
            return False
        finally:
            self._let_go()


class _Tcp(_Connected):
    """Newline-delimited JSON on one connection, for as long as it holds."""

    def deliver(self, events: list[bytes]) -> bool:
        """See _Http; without events it only connects."""
        try:
            connection = self._socket or self._open()
            connection.sendall(b"".join(event + b"\n" for event in events))
        except OSError:
            self._let_go()
            return False
        return True

    def close(self) -> None:
        """It is kept between batches, so it is closed here."""
        super().close()
        self._let_go()


def _status(connection: socket.socket) -> int:
    """The status of the answer; 0 where there is none."""
    answer = b""
    while b"\r\n" not in answer and (piece := connection.recv(_CHUNK)):
        answer += piece
    words = answer.split(b"\r\n", 1)[0].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
