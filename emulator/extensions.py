"""The extensions of one life at work: waited for in init and in each invocation, told of the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from emulator.extensions_api import ExtensionsApi
from emulator.sandbox.base import Exit

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.journal import Journal
    from emulator.lifecycle import Heard
    from emulator.runtime_api import RuntimeApi
    from emulator.shutdown import Reason, Server

_MS: Final = 1000.0
Wait = Callable[[float], "Heard | Exit | None"]
"""Gives what happens next, None at the limit."""


class Crew:
    """All extensions of one life. It is asked and told on the thread that serves this life."""

    def __init__(self, config: FunctionConfig, server: Server, runtime: RuntimeApi, external: tuple[str, ...]) -> None:
        self._server = server
        self._runtime = runtime
        self._logged = False
        self.api = ExtensionsApi(runtime.on_heard, function_name=config.name, handler=config.handler, external=external)
        runtime.extensions = self.api

    @property
    def internal(self) -> int:
        """How many live inside the runtime's process."""
        return self.api.living(external=False)

    @property
    def external(self) -> int:
        """How many processes of their own there are."""
        return self.api.living(external=True)

    @property
    def invoked(self) -> bool:
        """Whether an invocation is over only when extensions are done with it too."""
        return self.api.invoked

    def await_registered(self, wait: Wait, limit: float) -> Heard | Exit | None:
        """Wait for the external ones, which come before the runtime; the last thing heard."""
        return _until(lambda: self.api.registered, wait, limit)

    def await_ready(self, heard: Heard, wait: Wait, limit: float) -> Heard | Exit | None:
        """Wait until everyone waits for an event, after the runtime has been `heard` to do so."""
        return self._last(heard if self.api.ready else _until(lambda: self.api.ready, wait, limit), limit)

    def await_idle(self, idle: Callable[[], bool], wait: Wait, limit: float) -> Heard | Exit | None:
        """Wait until the runtime and everyone else asks for the next event."""
        return self._last(_until(lambda: idle() and self.api.ready, wait, limit), limit)

    def _last(self, heard: Heard | Exit | None, limit: float) -> Heard | Exit | None:
        """With the time of the last word of an extension's, which may not have been heard yet; None if that is late."""
        if heard is None or isinstance(heard, Exit):
            return heard
        at = max(heard.at, self.api.at)
        return None if at > limit else replace(heard, at=at)

    def ended(self, exit_: Exit) -> None:
        """One is gone."""
        if exit_.extension is not None:
            self.api.ended(exit_.extension, exit_.error_type)

    def log(self, journal: Journal) -> None:
        """An EXTENSION line for each, once in a life."""
        if not self._logged:
            self._logged = True
            for one in self.api.all:
                journal.extension(one.name, one.stage, one.events, one.error_type)

    def shut_down(self, reason: Reason, limit: float) -> None:
        """Send SHUTDOWN to those who want it; return when all have ended, or at the limit."""
        left_ms = (limit - time.perf_counter()) * _MS
        self.api.shut_down(reason, int(time.time() * _MS + left_ms))
        while self.api.departing:
            heard = self._server.wait(limit)
            if heard is None:
                return
            if isinstance(heard, Exit):
                if heard.lost is not None:
                    return
                self.ended(heard)


def _until(done: Callable[[], bool], wait: Wait, limit: float) -> Heard | Exit | None:
    """The last thing heard before it was done; at least one."""
    while True:
        heard = wait(limit)
        if heard is None or isinstance(heard, Exit) or done():
            return heard
