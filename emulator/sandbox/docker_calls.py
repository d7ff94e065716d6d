"""Single calls to an engine, as paths and JSON of the Docker Engine API, over its socket or through the docker package.

Importing the docker package takes longer than to create and start a container (90 ms; 8 and 54, engine 20.10, 2026-11),
so the engine's socket on this machine is spoken to directly; an engine elsewhere, and
everything that is more than question and answer (images, networks, streams), goes through the package.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode

from emulator.http1 import HttpResponse, MalformedMessage, ResponseReader, encode_request

if TYPE_CHECKING:
    import docker

TIMEOUT_S: Final = 60
_PING_TIMEOUT_S: Final = 10  # a busy engine answers a ping; one that does not is none, and others are tried
_CHUNK: Final = 1 << 16
_MOST: Final = 64 * 1024 * 1024
_REFUSED: Final = 400


class EngineRefused(Exception):
    """The engine answered with an error: its status, and its own words."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"{status}: {explanation}")
        self.status = status
        self.explanation = explanation


class Pending(Protocol):
    """A call on its way."""

    def result(self) -> Any:  # noqa: ANN401 - JSON of any shape
        """Wait for the answer; as `Calls.call` returns or raises it."""

    def close(self) -> None:
        """Nobody waits for the answer any more; the engine carries the call out all the same."""


class Calls(Protocol):
    """One engine's API; from any thread."""

    def begin(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Pending:
        """Make a call and do something else while the engine works; OSError where nobody takes it."""

    def call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Any:  # noqa: ANN401 - JSON of any shape
        """The answer's JSON, None where it has none; EngineRefused for an error, OSError where nobody answers."""

    def listens(self) -> bool:
        """Whether the engine still takes connections; one that is asked to end gives that up first."""

    def close(self) -> None:
        """Let go of the connections."""


class SocketCalls:
    """Over the engine's socket on this machine; one connection for each call that is made at the same time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._prefix = ""
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._closed = False

    def negotiate(self) -> str:
        """Ask for the engine's API version and keep to it; OSError where nobody answers."""
        headers = self.begin("GET", "/_ping").response(timeout_s=_PING_TIMEOUT_S).headers
        version = headers.get("api-version", "")
        if not version:
            raise OSError("it does not say its API version")
        self._prefix = f"/v{version}"
        return version

    def call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Any:  # noqa: ANN401 - see Calls
        """As the protocol says."""
        return self.begin(method, path, query=query, body=body).result()

    def begin(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None
    ) -> _OnSocket:
        """As the protocol says."""
        target = f"{self._prefix}{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        connection = self._take()
        try:
            connection.send(method, target, body)
        except BaseException:
            connection.close()
            raise
        return _OnSocket(connection, self._give_back)

    def listens(self) -> bool:
        """By a new connection, since the old ones live until the engine is gone."""
        try:
            _Connection(self._path).close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close what is idle; what is in use is closed when its call ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> _Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return _Connection(self._path)
            if connection.is_open():
                return connection
            connection.close()

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


class _OnSocket:
    """A call whose answer will come on one connection."""

    def __init__(self, connection: _Connection, give_back: Callable[[_Connection], None]) -> None:
        self._connection: _Connection | None = connection
        self._give_back = give_back

    def result(self) -> Any:  # noqa: ANN401 - see Calls
        """As the protocol says; once."""
        response = self.response()
        told = _json(response.body)
        if response.status >= _REFUSED:
            words = told.get("message") if isinstance(told, dict) else None
            raise EngineRefused(response.status, str(words or response.body.decode("utf-8", "replace")))
        return told

    def response(self, timeout_s: float = TIMEOUT_S) -> HttpResponse:
        """The whole answer; OSError where it takes longer."""
        connection, self._connection = self._connection, None
        if connection is None:
            raise RuntimeError("one answer for one call")
        kept = False
        try:
            response = connection.receive(timeout_s)
            kept = response.keep_alive
        finally:
            if not kept:
                connection.close()
        if kept:
            self._give_back(connection)
        return response

    def close(self) -> None:
        """As the protocol says."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class PackageCalls:
    """Through the docker package, for engines that are not a socket of this machine."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._api = client.api

    def call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Any:  # noqa: ANN401 - see Calls
        """As the protocol says."""
        api = self._api
        url = f"{api.base_url}/v{api.api_version}{quote(path)}"
        # What requests raises is an OSError.
        response = api.request(method, url, params=query, json=body, timeout=TIMEOUT_S)
        told = _json(response.content)
        if response.status_code >= _REFUSED:
            words = told.get("message") if isinstance(told, dict) else None
            raise EngineRefused(response.status_code, str(words or response.text))
        return told

    def begin(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Pending:
        """As the protocol says, but that it is made when its answer is asked for: the package knows no other way."""
        return _Deferred(lambda: self.call(method, path, query=query, body=body))

    def listens(self) -> bool:
        """As the protocol says, as far as the package's connections tell."""
        try:
            self.call("GET", "/_ping")
        except (EngineRefused, OSError):
            return False
        return True

    def close(self) -> None:
        """The client is closed by its owner."""


class _Deferred:
    """A call that is made when its answer is asked for, or when it is certain that nobody will."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call: Callable[[], Any] | None = call

    def result(self) -> Any:  # noqa: ANN401 - see Calls
        """Make it; once."""
        call, self._call = self._call, None
        if call is None:
            raise RuntimeError("one answer for one call")
        return call()

    def close(self) -> None:
        """Make it all the same; what comes of it is nobody's business any more."""
        if self._call is not None:
            with suppress(EngineRefused, OSError):
                self.result()


class _Connection:
    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._reader = ResponseReader(_MOST)
        try:
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def is_open(self) -> bool:
        """Whether the engine has not hung up since the last answer: it may have been started anew."""
        poll = select.poll()  # `select.select` knows descriptors below 1,024 only
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def send(self, method: str, target: str, body: object) -> None:
        headers = {"Host": "docker"}
        sent = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            sent = json.dumps(body).encode()
        self._socket.sendall(encode_request(method, target, headers, sent))

    def receive(self, timeout_s: float) -> HttpResponse:
        self._socket.settimeout(timeout_s)
        while (response := self._reader.next()) is None:
            data = self._socket.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("the engine hung up")
            try:
                self._reader.feed(data)
            except MalformedMessage as error:
                raise OSError(f"it does not speak HTTP: {error}") from error
        return response

    def close(self) -> None:
        self._socket.close()


def _json(body: bytes) -> Any:  # noqa: ANN401 - JSON of any shape
    try:
        return json.loads(body) if body.strip() else None
    except ValueError:
        return None
