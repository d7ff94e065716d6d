"""The ports on which functions with a URL are served."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from emulator.errors import ConfigurationError
from emulator.http_server import HttpServer, listen
from emulator.limits import quota
from emulator.serving.function_urls import FunctionUrl

if TYPE_CHECKING:
    from emulator.http1 import HttpResponse
    from emulator.service import LambdaService
    from emulator.url_config import FunctionUrlConfig

_PORTS_TRIED: Final = 100
_LAST_PORT: Final = 65_535


class UrlServers:
    """Listens once for each URL from the beginning, and serves them from `start` on.

    The ports are the free ones that follow `after`, in the order of `urls`, so that they are mostly the same at the
    next start; any that are free where it is 0. ConfigurationError where the host cannot be had.
    """

    def __init__(self, host: str, after: int, urls: Mapping[str, FunctionUrlConfig]) -> None:
        self._urls = urls
        self._listeners: dict[str, socket.socket] = {}
        self._servers: list[HttpServer] = []
        try:
            for name in urls:
                listener = _listen_after(host, after)
                self._listeners[name] = listener
                after = listener.getsockname()[1] if after else 0
        except ConfigurationError:
            self.close()
            raise

    @property
    def ports(self) -> Mapping[str, int]:
        """Where each function is."""
        return {name: int(listener.getsockname()[1]) for name, listener in self._listeners.items()}

    def start(self, service: LambdaService, on_fault: Callable[[Exception], None]) -> None:
        """Begin to take requests; faults of our own are told to `on_fault`."""
        for name, port in self.ports.items():
            url = FunctionUrl(name, self._urls[name], service, port)
            server = HttpServer(
                self._listeners[name],
                url.handle,
                refuse=url.refuse,
                on_fault=_telling(url, on_fault),
                most_body=quota("Request").maximum or 0,
            )
            server.start()
            self._servers.append(server)

    def refuse_more(self) -> None:
        """Take no more requests; those under way go on."""
        for server in self._servers:
            server.refuse_more()

    def stop(self) -> None:
        """Wait for the requests under way: whoever can end them has done so."""
        for server in self._servers:
            server.stop()

    def close(self) -> None:
        """Close what listens; may be called more than once."""
        for listener in self._listeners.values():
            listener.close()


def _listen_after(host: str, after: int) -> socket.socket:
    last = min(after + _PORTS_TRIED, _LAST_PORT) if after else 0
    for port in range(after + 1, last + 1):
        try:
            return listen(host, port)
        except ConfigurationError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRINUSE:
                raise
    return listen(host, 0)


def _telling(url: FunctionUrl, tell: Callable[[Exception], None]) -> Callable[[Exception], HttpResponse]:
    def on_fault(error: Exception) -> HttpResponse:
        tell(error)
        return url.fault(error)

    return on_fault
