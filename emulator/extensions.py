"""The extensions of one life at work: waited for in init and in each invocation, told of the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from emulator import platform_log
from emulator.extensions_api import ExtensionsApi
from emulator.lifecycle import State
from emulator.sandbox.base import Exit, Sandbox
from emulator.telemetry_sender import Telemetry

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.journal import Journal
    from emulator.lifecycle import Heard, Spans
    from emulator.logs import Status
    from emulator.platform_log import PlatformEvent
    from emulator.runtime_api import RuntimeApi
    from emulator.shutdown import Reason, Server
    from emulator.telemetry import Subscription

_MS: Final = 1000.0
Wait = Callable[[float], "Heard | Exit | None"]
"""Gives what happens next, None at the limit."""


class Crew:
    """All extensions of one life. It is asked and told on the thread that serves this life."""

    def __init__(
        self, config: FunctionConfig, server: Server, runtime: RuntimeApi, journal: Journal, sandbox: Sandbox
    ) -> None:
        self._config = config
        self._server = server
        self._runtime = runtime
        self._journal = journal
        self._sandbox = sandbox
        self._logged = False
        self._told = ""
        self.telemetry: Telemetry | None = None
        self.api = ExtensionsApi(
            runtime.on_heard,
            function_name=config.name,
            handler=config.handler,
            external=sandbox.extensions,
            on_subscribe=self._subscribe,
        )
        self.api.on_hang_up = self._hang_up
        runtime.extensions = self.api
        if sandbox.extensions:
            self._listen()

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

    def await_ready(self, heard: Heard | Exit | None, wait: Wait, limit: float) -> Heard | Exit | None:
        """Wait until everyone waits for an event, after the runtime has been `heard` to do so."""
        return self._last(heard if self.api.ready else _until(lambda: self.api.ready, wait, limit), limit)

    def see_out(
        self, wait: Wait, answered_at: float, limit: float, runtime_done: Callable[[float], None]
    ) -> float | Exit | None:
        """Wait until the runtime, then everyone else asks for the next event: when the last did, None if that is late.

        The runtime has answered at `answered_at`; `runtime_done` is told when it asks.
        """
        at = answered_at
        if self._runtime.state is not State.IDLE:
            heard = _until(lambda: self._runtime.state is State.IDLE, wait, limit)
            if heard is None or isinstance(heard, Exit):
                return heard
            at = heard.at
        runtime_done(at)
        if not self.api.ready:
            heard = _until(lambda: self.api.ready, wait, limit)
            if heard is None or isinstance(heard, Exit):
                return heard
        at = max(at, self.api.at)
        return None if at > limit else at

    def _last(self, heard: Heard | Exit | None, limit: float) -> Heard | Exit | None:
        """With the time of the last word of an extension's, which may not have been heard yet; None if that is late."""
        if heard is None or isinstance(heard, Exit):
            return heard
        at = max(heard.at, self.api.at)
        return None if at > limit else replace(heard, at=at)

    def ended(self, exit_: Exit) -> None:
        """One is gone."""
        if exit_.extension is not None:
            self.api.ended(exit_.extension, exit_.error_type, exit_.said)

    def log(self) -> None:
        """An EXTENSION line for each, once in a life."""
        if not self._logged:
            self._logged = True
            for one in self.api.all:
                self._journal.extension(one.name, one.stage, one.events, one.error_type)

    def rest(self, *, on: bool) -> bool:
        """Everything stands still from now on, or no more; False while telemetry is on its way."""
        return self.telemetry is None or self.telemetry.pause(on=on)

    def init_begins_again(self) -> None:
        """A suppressed init, of which the log says nothing where it goes well."""
        if self.telemetry is not None:
            self.happened([platform_log.init_start(self._config, "invoke")])

    def init_ended_again(self, init_ms: float) -> None:
        """It went well."""
        if self.telemetry is not None:
            self.happened(platform_log.init_end(init_ms, phase="invoke", status="success", error_type=None))

    def runtime_done(  # noqa: PLR0913 - what the record holds
        self,
        request_id: str,
        at: float,
        produced_bytes: int,
        status: Status = "success",
        error_type: str | None = None,
        *,
        spans: Spans | None = None,
    ) -> None:
        """The runtime has asked for the next event, or failed.

        Subscribers are told before the end, since many wait for it to end themselves; once for each invocation.
        """
        if self.telemetry is not None and self._told != request_id:
            self._told = request_id
            dispatched_at = self.api.dispatched_at
            if spans is not None:
                dispatched_at = spans.dispatched
                spans = replace(spans, back=at if at > spans.answered else None)
            duration_ms = max(0.0, (at - dispatched_at) * _MS)
            self.telemetry.happened(
                [platform_log.runtime_done(request_id, duration_ms, produced_bytes, status, error_type, spans=spans)]
            )

    def happened(self, events: Sequence[PlatformEvent]) -> None:
        """All but what was told already."""
        if self.telemetry is None:
            return
        for event in events:
            if event.type == "platform.runtimeDone" and self._told == event.record.get("requestId"):
                self._told = ""  # a retry has the same id
            else:
                self.telemetry.happened([event])

    def said(self, kind: str, line: str) -> None:
        """A line of the log."""
        if self.telemetry is not None:
            self.telemetry.said(kind, line)

    def _listen(self) -> None:
        self.telemetry = Telemetry(self._sandbox.connect)
        self._journal.audience = self

    def _subscribe(self, name: str, wanted: Subscription) -> None:
        if self.telemetry is None:
            self._listen()
        if self.telemetry is not None:
            self.telemetry.subscribe(wanted)
        self._journal.subscribed(name, wanted.types)

    def _hang_up(self) -> None:
        if self._journal.audience is self:
            self._journal.audience = None
        if self.telemetry is not None:
            self.telemetry.close()

    def shut_down(self, reason: Reason, limit: float) -> None:
        """Send SHUTDOWN to those who want it; return when all have ended, or at the limit."""
        left_ms = (limit - time.perf_counter()) * _MS
        self.api.shut_down(reason, int(time.time() * _MS + left_ms))
        if self.telemetry is not None:
            self.telemetry.hurry()
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
