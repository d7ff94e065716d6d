"""Serves the Runtime API of one execution environment, on a socket that was made elsewhere, and waits for the runtime.

Each environment has an event loop of its own, which runs only while somebody waits for that environment, on that
caller's thread: an idle environment costs nothing, and an invocation is never handed from thread to thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from aiohttp import web

from emulator.lifecycle import Heard
from emulator.limits import quota
from emulator.runtime_api import Reply, Request, RuntimeApi
from emulator.sandbox.base import Exit

if TYPE_CHECKING:
    import socket

    from aiohttp.web_request import BaseRequest

_KEEP_ALIVE_S: Final = 1e9  # the client keeps its connection for as long as the environment lives
_HANG_UP_S: Final = 0.05  # aiohttp reads 0 as "for ever"


class RuntimeServer:
    """One life of a runtime, as its server. One thread at a time waits; `hear` and `close` may come from any."""

    def __init__(self, listener: socket.socket, *, peer: str | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._heard: deque[Heard | Exit] = deque()
        self.api = RuntimeApi(self._take, peer=peer)
        self._waiting = False
        self._closed = False
        self._state = threading.Lock()
        self._loop_in_use = threading.RLock()
        try:
            self._server, self._protocol = self._loop.run_until_complete(self._serve(listener))
        except BaseException:
            self._loop.close()
            raise

    def hear(self, what: Exit) -> None:
        """Something that did not come by HTTP."""
        with self._state:
            if not self._closed:
                self._loop.call_soon_threadsafe(self._take, what)

    def wait(self, limit: float) -> Heard | Exit | None:
        """Serve until something is heard and return it; None when `time.perf_counter()` reaches `limit` first."""
        with self._loop_in_use:
            if not self._heard and not self._closed:
                self._run_until(limit)
            if self._heard:
                return self._heard.popleft()
            return self._last_word()

    def close(self) -> None:
        """Close the socket and every connection, whoever waits; returns when that is done, at each call."""
        with self._state:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._wake)
        with self._loop_in_use:
            if not self._loop.is_closed():
                try:
                    self._loop.run_until_complete(self._end())
                except KeyboardInterrupt:
                    # One that came while a task ran is raised a second time, by the task that awaited it.
                    self._loop.run_until_complete(self._end())
                    raise
                finally:
                    self._loop.close()

    def _last_word(self) -> Exit | None:
        return Exit(lost="it was closed") if self._closed else None

    def _run_until(self, limit: float) -> None:
        timer = self._loop.call_later(max(0.0, limit - time.perf_counter()), self._loop.stop)
        self._waiting = True
        try:
            self._loop.run_forever()
        finally:
            self._waiting = False
            timer.cancel()

    def _take(self, what: Heard | Exit) -> None:
        self._heard.append(what)
        self._wake()

    def _wake(self) -> None:
        if self._waiting:
            self._loop.stop()

    async def _serve(self, listener: socket.socket) -> tuple[asyncio.Server, web.Server]:
        protocol = web.Server(_handler(self.api), access_log=None, keepalive_timeout=_KEEP_ALIVE_S)
        ours = listener.dup()  # the sandbox closes its own, whenever it likes
        ours.settimeout(0)
        return await self._loop.create_server(protocol, sock=ours), protocol

    async def _end(self) -> None:
        self._server.close()
        self.api.hang_up()
        await asyncio.sleep(0)  # the waiting /next ends, so that nothing is left to wait for
        await self._protocol.shutdown(timeout=_HANG_UP_S)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _handler(api: RuntimeApi) -> Callable[[BaseRequest], Awaitable[web.Response]]:
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
