"""An HTTP/1.1 server with a thread for each connection: the handler runs on the thread that has read the request.

An invocation takes seconds and blocks, and connections are as many as invocations, so a thread for each costs less than
handing requests from an event loop to threads and back.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol

from emulator.errors import ConfigurationError
from emulator.http1 import (
    CONTINUE,
    LAST_CHUNK,
    WITHOUT_BODY,
    HttpRequest,
    HttpResponse,
    MalformedMessage,
    RequestReader,
    encode_chunk,
    encode_response,
    encode_response_head,
)


class Exchange(Protocol):
    """The way back to the client of one request, for an answer that does not come in one piece.

    No method raises because the client has gone or is too slow: what is sent is lost then.
    """

    @property
    def peer(self) -> str:
        """The client's address."""

    @property
    def begun(self) -> bool:
        """Whether status and headers have gone: nothing else can be answered any more."""

    def answer(self, response: HttpResponse) -> None:
        """Send all of it, as far as it goes without waiting; the rest follows when the handler returns.

        ValueError for a header that would break it, and then nothing is sent.
        """

    def begin(self, status: int, headers: Mapping[str, str], cookies: tuple[str, ...] = ()) -> None:
        """Send the head; ValueError for a header that would break it, and then nothing is sent."""

    def send(self, part: bytes, limit: float | None = None) -> None:
        """Send a part of the body, which takes until `time.perf_counter()` reaches `limit` at most."""

    def end(self) -> None:
        """The body is whole; without this, the connection breaks off so that the client can tell."""


Handler = Callable[[HttpRequest, Exchange], HttpResponse | None]
"""The answer in one piece, or None where the exchange has carried it."""
Refusal = Callable[[MalformedMessage], HttpResponse]

_BACKLOG: Final = 1024  # the kernel cuts it to what it allows; many clients may come at once
_READ_BYTES: Final = 256 * 1024
_LINGER_S: Final = 2.0
_JOIN_S: Final = 5.0
_PATIENCE_S: Final = 0.5  # how soon a thread that sends sees that the server stops
_BREATH_S: Final = 0.05  # before the next try where the process has no descriptor left for a connection


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigurationError where the address cannot be had. Port 0 takes any that is free."""
    where = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (socket.gaierror, UnicodeError) as error:
        hint = "--host takes an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them."
        raise ConfigurationError(f"there is no address {host!r}: {_reason(error)}", hint=hint) from error
    except PermissionError as error:
        hint = "Ports below 1024 are for root: choose another with --port."
        raise ConfigurationError(f"{where} may not be listened on: {_reason(error)}", hint=hint) from error
    except OSError as error:
        hint = "Something else listens there, or the address is not this machine's: choose with --port and --host."
        raise ConfigurationError(f"{where} cannot be listened on: {_reason(error)}", hint=hint) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)  # Python's own text repeats the address
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error)


class HttpServer:
    """Serves a listening socket until `stop`. `refuse` answers what is no HTTP; both callbacks come on any thread.

    An exception of the handler's own goes to `on_fault`, whose answer is sent.
    """

    def __init__(
        self,
        listener: socket.socket,
        handler: Handler,
        *,
        refuse: Refusal,
        on_fault: Callable[[Exception], HttpResponse],
        most_body: int,
    ) -> None:
        self._listener = listener
        self._handler = handler
        self._refuse = refuse
        self._on_fault = on_fault
        self._most_body = most_body
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._stopping = False
        self._woken, self._waker = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name="accept", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on, where 0 was asked for too."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Begin to take connections."""
        self._listener.settimeout(0)
        self._acceptor.start()

    def refuse_more(self) -> None:
        """Take no more connections and no more requests; those under way go on. May be called more than once."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            idle = list(self._connections.values())
        self._waker.close()
        if self._acceptor.is_alive():
            self._acceptor.join()
        self._woken.close()
        self._listener.close()
        for connection in idle:
            _shut(connection, socket.SHUT_RD)

    def stop(self) -> None:
        """`refuse_more`, and wait for the requests under way: whoever can end them has done so."""
        self.refuse_more()
        limit = time.monotonic() + _JOIN_S
        with self._lock:
            left = dict(self._connections)
        for thread in left:
            thread.join(max(0.0, limit - time.monotonic()))
        with self._lock:
            stuck = dict(self._connections)
        for thread, connection in stuck.items():  # a client that does not read its answer
            _shut(connection, socket.SHUT_RDWR)
            thread.join(_JOIN_S)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping:
                selector.select()
                try:
                    connection, address = self._listener.accept()
                except (BlockingIOError, ConnectionAbortedError):  # woken for the end, or the client thought better
                    continue
                except OSError:
                    time.sleep(_BREATH_S)
                    continue
                self._begin(connection, address[0])

    def _begin(self, connection: socket.socket, peer: str) -> None:
        thread = threading.Thread(target=self._converse, args=(connection, peer), name="connection", daemon=True)
        with self._lock:
            if self._stopping:
                connection.close()
                return
            self._connections[thread] = connection
        thread.start()

    def _converse(self, connection: socket.socket, peer: str) -> None:
        try:
            with connection, suppress(OSError):  # the client is gone: nobody is left to be told
                connection.settimeout(None)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._answer_all(connection, peer)
        finally:
            with self._lock:
                self._connections.pop(threading.current_thread(), None)

    def _answer_all(self, connection: socket.socket, peer: str) -> None:
        reader = RequestReader(self._most_body)
        trouble: MalformedMessage | None = None
        while True:
            request = reader.next()
            if request is not None:
                if not self._answer(connection, request, peer):
                    return
            elif trouble is not None:  # what came whole before it has been answered
                _send(connection, self._refuse(trouble), close=True)
                return
            else:
                data = connection.recv(_READ_BYTES)
                if not data:
                    return
                try:
                    reader.feed(data)
                except MalformedMessage as error:
                    trouble = error
                if reader.expects_continue:
                    reader.expects_continue = False
                    connection.sendall(CONTINUE)

    def _answer(self, connection: socket.socket, request: HttpRequest, peer: str) -> bool:
        """Send the answer; whether the connection carries another request."""
        exchange = _Exchange(connection, request, peer, lambda: self._stopping)
        try:
            reply = self._handler(request, exchange)
        except Exception as error:  # noqa: BLE001 - handed on whole; the other connections have nothing to do with it
            reply = self._on_fault(error)
        if reply is not None and not exchange.begun:
            exchange.answer(reply)
        return exchange.leave()


class _Exchange:
    """An answer in parts, on the connection's own thread. Once `stopping`, nobody waits for a client that is slow."""

    def __init__(
        self, connection: socket.socket, request: HttpRequest, peer: str, stopping: Callable[[], bool]
    ) -> None:
        self.peer = peer
        self.begun = False
        self._connection = connection
        self._chunked = request.version != "1.0"
        self._bodiless = request.method == "HEAD"
        self._stopping = stopping
        self._keep_alive = request.keep_alive
        self._ended = False
        self._lost = False
        self._left = b""

    def answer(self, response: HttpResponse) -> None:
        """As the protocol says."""
        self._keep_alive = self._keep_alive and response.keep_alive and not self._stopping()
        data = encode_response(
            response.status,
            response.headers,
            response.body,
            close=not self._keep_alive,
            head_only=self._bodiless,
            cookies=response.cookies,
        )
        self.begun = self._ended = True
        try:
            sent = self._connection.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lost = True
            return
        self._left = data[sent:] if sent < len(data) else b""

    def begin(self, status: int, headers: Mapping[str, str], cookies: tuple[str, ...] = ()) -> None:
        """As the protocol says."""
        self._keep_alive = self._keep_alive and self._chunked and not self._stopping()
        chunked = self._chunked and status not in WITHOUT_BODY
        head = encode_response_head(status, headers, chunked=chunked, close=not self._keep_alive, cookies=cookies)
        self._bodiless = self._bodiless or status in WITHOUT_BODY
        self.begun = True
        self._write(head, None)

    def send(self, part: bytes, limit: float | None = None) -> None:
        """As the protocol says."""
        if not self._bodiless:
            self._write(encode_chunk(part) if self._chunked else part, limit)

    def end(self) -> None:
        """As the protocol says."""
        self._ended = True
        if self._chunked and not self._bodiless:
            self._write(LAST_CHUNK, None)

    def leave(self) -> bool:
        """Whether the connection carries another request; hangs up where it does not."""
        if self._lost or not self._ended:
            return False
        self._connection.settimeout(None)
        if self._left:
            self._connection.sendall(self._left)
        if not self._keep_alive:
            _hang_up(self._connection)
        return self._keep_alive

    def _write(self, data: bytes, limit: float | None) -> None:
        if self._lost or not data:
            return
        left = memoryview(data)
        self._connection.settimeout(_PATIENCE_S)
        while left and not self._lost:
            try:
                left = left[self._connection.send(left) :]
            except TimeoutError:
                self._lost = self._stopping()
            except OSError:
                self._lost = True
            if limit is not None and left and time.perf_counter() >= limit:
                self._lost = True  # half of it may have gone, so nothing can follow


def _send(connection: socket.socket, reply: HttpResponse, *, close: bool, head_only: bool = False) -> None:
    status, headers, body, cookies = reply.status, reply.headers, reply.body, reply.cookies
    connection.sendall(encode_response(status, headers, body, close=close, head_only=head_only, cookies=cookies))
    if close:
        _hang_up(connection)


def _hang_up(connection: socket.socket) -> None:
    """Close so that the answer arrives: closing over unread bytes would have the kernel reset it."""
    connection.shutdown(socket.SHUT_WR)
    limit = time.monotonic() + _LINGER_S
    while (left := limit - time.monotonic()) > 0:
        connection.settimeout(left)
        if not connection.recv(_READ_BYTES):
            return


def _shut(connection: socket.socket, how: int) -> None:
    with suppress(OSError):  # it is closed already, by either side
        connection.shutdown(how)
