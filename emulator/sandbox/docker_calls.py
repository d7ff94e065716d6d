"""Single calls to an engine, as paths and JSON of the Docker Engine API, over its socket or through the docker package.

A cold invocation makes seven of them. Importing the docker package takes longer than all seven together (90 ms to 60,
`python -X importtime`, 2026-11), so the engine's socket on this machine is spoken to directly; an engine elsewhere, and
everything that is more than question and answer (images, networks, streams), goes through the package.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode

from emulator.http1 import HttpResponse, MalformedMessage, ResponseReader, encode_request

if TYPE_CHECKING:
    import docker

TIMEOUT_S: Final = 60
_CHUNK: Final = 1 << 16
_MOST: Final = 64 * 1024 * 1024
_REFUSED: Final = 400


class EngineRefused(Exception):
    """The engine answered with an error: its status, and its own words."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"{status}: {explanation}")
        self.status = status
        self.explanation = explanation


class Calls(Protocol):
    """One engine's API; from any thread."""

    def call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Any:  # noqa: ANN401 - JSON of any shape
        """The answer's JSON, None where it has none; EngineRefused for an error, OSError where nobody answers."""

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
        headers = self._exchange("GET", "/_ping", None).headers
        version = headers.get("api-version", "")
        if not version:
            raise OSError("it does not say its API version")
        self._prefix = f"/v{version}"
        return version

    def call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Any:  # noqa: ANN401 - see Calls
        """As the protocol says."""
        target = f"{self._prefix}{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        response = self._exchange(method, target, body)
        told = _json(response.body)
        if response.status >= _REFUSED:
            words = told.get("message") if isinstance(told, dict) else None
            raise EngineRefused(response.status, str(words or response.body.decode("utf-8", "replace")))
        return told

    def close(self) -> None:
        """Close what is idle; what is in use is closed when its call ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(self, method: str, target: str, body: object) -> HttpResponse:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or _Connection(self._path)
        kept = False
        try:
            response = connection.exchange(method, target, body)
            kept = response.keep_alive
        finally:
            with self._lock:
                kept = kept and not self._closed
                if kept:
                    self._idle.append(connection)
            if not kept:
                connection.close()
        return response


class PackageCalls:
    """Through the docker package, which knows TCP, TLS and SSH."""

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

    def close(self) -> None:
        """The client is closed by its owner."""


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

    def exchange(self, method: str, target: str, body: object) -> HttpResponse:
        headers = {"Host": "docker"}
        sent = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            sent = json.dumps(body).encode()
        self._socket.sendall(encode_request(method, target, headers, sent))
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
