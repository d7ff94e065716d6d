"""Serves the Runtime API of one execution environment, on a socket that was made elsewhere, and waits for the runtime.

It runs only while somebody waits for that environment, on that caller's thread: an idle environment costs nothing, and
an invocation is never handed from thread to thread. There is no event loop: importing asyncio takes 40 ms
of a start, and with aiohttp on it a round trip took 0.51 ms where it takes 0.32 (2026-11-25, one hour of one machine).
"""

from __future__ import annotations

import math
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from emulator.http1 import CONTINUE, HttpRequest, MalformedMessage, RequestReader, encode_response
from emulator.lifecycle import Heard
from emulator.limits import quota
from emulator.runtime_api import MODE_HEADER, Answer, Reply, RuntimeApi
from emulator.sandbox.base import CLOSED, Exit

_CHUNK: Final = 1 << 18
_MS: Final = 1000
_MOST_ROUNDS: Final = 64  # more than sockets can hold: what goes on then is a child that outlives the process
_ENDED: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


class RuntimeServer:
    """One life of a runtime, as its server. One thread at a time waits; `hear` and `close` may come from any."""

    def __init__(self, listener: socket.socket, *, peer: str | None = None) -> None:
        self._heard: deque[Heard | Exit] = deque()
        self.api = RuntimeApi(self._heard.append, peer=peer)
        self._closed = False
        self._state = threading.Lock()
        self._in_use = threading.RLock()
        self._connections: dict[int, _Connection] = {}
        self._carrier: _Connection | None = None
        """The connection of the answer that is streamed, or was last."""
        self._most = quota("Response").maximum or 0
        self._listener = listener.dup()  # the sandbox closes its own, whenever it likes
        self._listener.settimeout(0)
        self._wake_read, self._wake_write = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)

    def hear(self, what: Exit) -> None:
        """Something that did not come by HTTP."""
        with self._state:
            if not self._closed:
                self._heard.append(what)
                os.write(self._wake_write, b"x")

    def wait(self, limit: float) -> Heard | Exit | None:
        """Serve until something is heard and return it; None when `time.perf_counter()` reaches `limit` first."""
        with self._in_use:
            last = False
            while not self._heard and not self._closed and not last:
                left = limit - time.perf_counter()
                last = left <= 0
                self._serve(max(0.0, left))
            if self._heard:
                if isinstance(self._heard[0], Exit) and not self._closed:
                    self._hear_out(limit)
                return self._heard.popleft()
            return Exit(lost=CLOSED) if self._closed else None

    def close(self) -> None:
        """Close the socket and every connection, whoever waits; returns when that is done, at each call."""
        with self._state:
            first, self._closed = not self._closed, True
            if first:
                os.write(self._wake_write, b"x")
        with self._in_use:
            if not first:
                return
            self.api.hang_up()
            for connection in self._connections.values():
                connection.socket.close()
            self._connections.clear()
            self._listener.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _hear_out(self, limit: float) -> None:
        """What a process has said comes before its end, though the news of that may be the quicker."""
        ends = [one for one in self._heard if isinstance(one, Exit)]
        for end in ends:
            self._heard.remove(end)
        rounds = 0
        while self._serve(0) and rounds < _MOST_ROUNDS and time.perf_counter() < limit:
            rounds += 1
        self._heard.extend(ends)

    def _serve(self, seconds: float) -> bool:
        """Wait for what comes within the time, and do what it asks for; whether something came."""
        came = self._poll.poll(math.ceil(seconds * _MS))
        for descriptor, what in came:
            connection = self._connections.get(descriptor)
            if connection is not None:
                self._attend(connection, what)
            elif descriptor == self._wake_read:
                os.read(descriptor, _CHUNK)
            else:
                self._accept()
        return bool(came)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):  # it has gone again
            accepted, address = self._listener.accept()
            made = _Connection(accepted, address[0], self._most, self._streams)
            self._connections[accepted.fileno()] = made
            self._poll.register(accepted, select.POLLIN)

    def _attend(self, connection: _Connection, what: int) -> None:
        descriptor = connection.socket.fileno()
        try:
            if what & select.POLLOUT:
                connection.send()
            if what & (select.POLLIN | _ENDED):
                connection.receive()
                if connection.streaming:
                    self._hand_on(connection)
            self._answer(connection)
        except (OSError, EOFError):
            self._forget(connection, descriptor)
        self._watch(connection, descriptor)

    def _watch(self, connection: _Connection, descriptor: int) -> None:
        if descriptor in self._connections:
            events = select.POLLOUT if connection.unsent else 0
            self._poll.modify(descriptor, events if connection.ending else events | select.POLLIN)

    def _answer(self, connection: _Connection) -> None:
        """Requests of one connection are answered in their order, each after the one before."""
        while not connection.owing and (request := connection.next()) is not None:
            connection.owing = True
            keep_alive = request.keep_alive

            def answer(reply: Reply, keep_alive: bool = keep_alive) -> None:  # noqa: FBT001 - bound, not passed
                self._reply(connection, reply, keep_alive=keep_alive)

            connection.answer = answer
            self.api.handle(request, answer, peer=connection.peer, began=connection.began)

    def _reply(self, connection: _Connection, reply: Reply, *, keep_alive: bool) -> None:
        connection.owing = False
        connection.ending = connection.ending or not keep_alive
        descriptor = connection.socket.fileno()
        if descriptor < 0:  # the runtime has hung up
            return
        headers = {"Content-Type": "application/json", **reply.headers}
        connection.unsent += encode_response(reply.status, headers, reply.body, close=connection.ending)
        try:
            connection.send()
        except (OSError, EOFError):
            self._forget(connection, descriptor)
        self._watch(connection, descriptor)

    def _forget(self, connection: _Connection, descriptor: int) -> None:
        if self._connections.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)
        connection.socket.close()
        if connection.owing and connection.answer is not None:
            self.api.gone(connection.answer)
        if connection.streaming and connection is self._carrier:
            self.api.broke_off()

    def _streams(self, connection: _Connection, target: str, headers: Mapping[str, str]) -> bool:
        """Whether the body that begins is an answer whose parts somebody wants."""
        if connection.owing or not self.api.streams(target, headers, connection.peer):
            return False
        self._carrier = connection
        return True

    def _hand_on(self, connection: _Connection) -> None:
        """What still comes of an answer before that is thrown away."""
        part = connection.take()
        if connection is self._carrier:
            self.api.part(part)


Streams = Callable[["_Connection", str, Mapping[str, str]], bool]


class _Connection:
    """One connection of the runtime's: what has come and is not yet asked, what is answered and not yet sent."""

    def __init__(self, accepted: socket.socket, peer: str, most: int, streams: Streams) -> None:
        accepted.settimeout(0)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = accepted
        self.peer = peer
        self.unsent = b""
        self.owing = False
        """A request has not been answered yet."""
        self.answer: Answer | None = None
        """The way back for the request that came last."""
        self.ending = False
        """Nothing more is read, and the connection is closed when all is sent."""
        self.began = 0.0
        """`time.perf_counter()` of the first piece of the request that came last."""
        self._streams = streams
        self._reader = RequestReader(most, marker=MODE_HEADER, hand_on=self._is_streamed)

    @property
    def streaming(self) -> bool:
        """The body of an answer is coming whose parts are for `take`."""
        return self._reader.handing_on

    def take(self) -> bytes:
        """What has come of it."""
        return self._reader.take()

    def _is_streamed(self, target: str, headers: Mapping[str, str]) -> bool:
        return self._streams(self, target, headers)

    def next(self) -> HttpRequest | None:
        """The next request that has come whole; none once the connection ends."""
        return None if self.ending else self._reader.next()

    def receive(self) -> None:
        """Read what has come; EOFError when the runtime has hung up."""
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        if not data or self.ending:
            raise EOFError
        if not self._reader.midway:
            self.began = time.perf_counter()
        try:
            self._reader.feed(data)
        except MalformedMessage:
            self.ending = True
            self.unsent += encode_response(400, {}, b"", close=True)
            self.send()
            return
        if self._reader.expects_continue:
            self._reader.expects_continue = False
            self.unsent += CONTINUE
            self.send()

    def send(self) -> None:
        """Send as much as goes; EOFError when all is sent and the connection ends with it."""
        if self.unsent:
            try:
                sent = self.socket.send(self.unsent)
            except BlockingIOError:
                return
            self.unsent = self.unsent[sent:]
        if self.ending and not self.unsent:
            raise EOFError
