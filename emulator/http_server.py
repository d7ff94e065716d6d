"""The one event-loop thread that serves every Runtime API of a process, on sockets that were made elsewhere.

The HTTP library is imported on that thread, while the engine starts a container: it takes as long.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from emulator.limits import quota
from emulator.runtime_api import Reply, Request, RuntimeApi

if TYPE_CHECKING:
    import socket

    from aiohttp import web
    from aiohttp.web_request import BaseRequest

T = TypeVar("T")

_ANSWER_TIMEOUT_S: Final = 30
_HANG_UP_S: Final = 0.05  # aiohttp reads 0 as "for ever"
_KEEP_ALIVE_S: Final = 3600.0  # the client waits in /next for as long as the environment is idle


class HttpLoop:
    """The thread; making one returns at once."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def serve(self, listener: socket.socket, api: RuntimeApi) -> Served:
        """Serve the API on a listening socket, wherever that socket was made; the socket becomes the server's."""
        return self.wait(_serve(self, listener, api))

    def wait(self, task: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it here."""
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(_ANSWER_TIMEOUT_S)

    def close(self) -> None:
        """Stop the thread; the servers must be closed before. May be called more than once."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        from aiohttp import web  # noqa: F401, PLC0415 - see the module's docstring

        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


class Served:
    """One Runtime API while it is served."""

    def __init__(self, loop: HttpLoop, api: RuntimeApi, server: asyncio.Server, protocol: web.Server) -> None:
        self._loop = loop
        self._api = api
        self._server = server
        self._protocol = protocol
        self._closed = False

    def close(self) -> None:
        """Close the socket and every connection at once; may be called more than once."""
        if not self._closed:
            self._closed = True
            self._loop.wait(self._close())

    async def _close(self) -> None:
        self._server.close()
        self._api.hang_up()
        await asyncio.sleep(0)  # the waiting /next ends, so that nothing is left to wait for
        await self._protocol.shutdown(timeout=_HANG_UP_S)


async def _serve(loop: HttpLoop, listener: socket.socket, api: RuntimeApi) -> Served:
    from aiohttp import web  # noqa: PLC0415 - see the module's docstring

    protocol = web.Server(_handler(api), access_log=None, keepalive_timeout=_KEEP_ALIVE_S)
    listener.settimeout(0)
    server = await asyncio.get_running_loop().create_server(protocol, sock=listener)
    return Served(loop, api, server, protocol)


def _handler(api: RuntimeApi) -> Callable[[BaseRequest], Awaitable[web.Response]]:
    from aiohttp import web  # noqa: PLC0415 - see the module's docstring

    most = quota("Response").maximum or 0

    async def handle(incoming: BaseRequest) -> web.Response:
        request = Request(
            method=incoming.method,
            path=incoming.path,
            peer=incoming.remote,
            headers=incoming.headers,
            body=await _read(incoming, most),
        )
        reply: Reply = await api.handle(request)
        return web.Response(
            status=reply.status, body=reply.body, headers=reply.headers, content_type="application/json"
        )

    return handle


async def _read(request: BaseRequest, most: int) -> bytes | None:
    """The body, or None when it is over `most` bytes; what is over is read and thrown away, so that we can answer."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not request.body_exists:
        return b""
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size <= most:
            parts.append(part)
    return None if size > most else b"".join(parts)
