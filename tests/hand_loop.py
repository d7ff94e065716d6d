"""An event loop and a clock that a test holds in its hand: nothing happens by itself, and nothing waits."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from contextvars import Context

EPOCH = 1_700_000_000.0
STARTED = 100.0


class FakeClock:
    """Stands in for the `time` module: it stands still until a scripted runtime, or whoever waits for it, moves it."""

    def __init__(self) -> None:
        self.now = STARTED

    def perf_counter(self) -> float:
        """Seconds since some time before the test began."""
        return self.now

    def time(self) -> float:
        """Unix time; the test begins at EPOCH."""
        return EPOCH + self.now - STARTED


class HandLoop:
    """An event loop without thread, selector or socket: `drain` runs what is due, on the thread that asks for it.

    It has only what futures and tasks ask of a loop.
    """

    def __init__(self) -> None:
        self._due: deque[Callable[[], object]] = deque()
        self._tasks: list[asyncio.Task[Any]] = []
        self._draining = False
        self._unanswered: set[asyncio.Future[Any]] = set()

    def get_debug(self) -> bool:
        """Tasks ask for it."""
        return False

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose callbacks run here."""
        return asyncio.Future(loop=self._as_loop())

    def call_soon(self, callback: Callable[..., object], *args: object, context: Context | None = None) -> None:
        """Due at the next `drain`, or in this one."""
        self._due.append(lambda: callback(*args) if context is None else context.run(callback, *args))

    def call_exception_handler(self, context: Mapping[str, object]) -> NoReturn:
        """A task that nobody ended is a mistake in the test."""
        raise AssertionError(context)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run the coroutine up to its first wait; what it raises comes out of here, or of whatever wakes it later."""
        task = asyncio.Task(coroutine, loop=self._as_loop())
        self._tasks.append(task)
        self.drain()
        return task

    def finish(self, coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the coroutine gives
        """The result of a coroutine that needs to wait for nothing."""
        return self.start(coroutine).result()

    async def reply(self, ask: Callable[[Callable[[Any], None]], None]) -> Any:  # noqa: ANN401 - as the answer is
        """Ask something that answers by a callback, and wait for the answer."""
        waiting = self.create_future()
        self._unanswered.add(waiting)

        def answer(value: object) -> None:
            if not waiting.done():  # whoever asked may have gone
                waiting.set_result(value)
                self.drain()

        try:
            ask(answer)
            return await waiting
        finally:
            self._unanswered.discard(waiting)

    def hang_up(self) -> None:
        """Nobody will answer any more: whoever waits for a reply ends there."""
        for waiting in list(self._unanswered):
            waiting.cancel()
        self.drain()

    def drain(self) -> None:
        """Run what is due, and what that makes due."""
        if self._draining:
            return
        self._draining = True
        outer = events._get_running_loop()  # noqa: SLF001 - provided for those who write event loops
        events._set_running_loop(self._as_loop())  # noqa: SLF001 - see above
        try:
            while self._due:
                self._due.popleft()()
        finally:
            events._set_running_loop(outer)  # noqa: SLF001 - see above
            self._draining = False
            ended = [task for task in self._tasks if task.done()]
            self._tasks = [task for task in self._tasks if not task.done()]
            failures = [failure for task in ended if not task.cancelled() and (failure := task.exception())]
        for failure in failures:
            raise failure

    def close(self) -> None:
        """Cancel what still waits."""
        for task in self._tasks:
            task.cancel()
        self.drain()

    def _as_loop(self) -> asyncio.AbstractEventLoop:
        return cast("asyncio.AbstractEventLoop", self)
