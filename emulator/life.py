"""One life of a runtime, from a sandbox made ready to its death: its server, its extensions, and what is heard of them.

An environment has one life after another: a crash, a timeout or a failed init ends one ("Lambda execution environment
lifecycle", AWS Lambda Developer Guide, 2026-07).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from emulator.errors import BackendError, DiedIdle
from emulator.lifecycle import Event, Heard, State
from emulator.sandbox.base import CLOSED, Exit, Sandbox

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.extensions import Crew
    from emulator.extensions_api import ExtensionsApi
    from emulator.journal import Journal
    from emulator.shutdown import Extensions, Reason

LAST_WORD_S: Final = 0.2
"""Between the end of a process's connection and the news of its own."""


class Life:
    """Asked and told on the thread that serves it. `extensions` are played, for the Shutdown phase alone.

    Making one waits for the sandbox to have started: BackendError where it does not.
    """

    def __init__(
        self, config: FunctionConfig, sandbox: Sandbox, journal: Journal, extensions: Extensions | None
    ) -> None:
        # Imported while the sandbox starts: asking for its listener is what waits for it.
        from emulator.runtime_server import RuntimeServer  # noqa: PLC0415 - see above

        self.server = RuntimeServer(sandbox.listener, peer=sandbox.peer)
        self.api = self.server.api
        self.crew: Crew | None = None
        """All extensions; None as long as there is none."""
        self._config = config
        self._sandbox = sandbox
        self._journal = journal
        self._extensions = extensions
        self._shut = False  # the Shutdown phase comes once in a life
        self.api.on_extension = self._engage
        if sandbox.extensions:
            self._engage()

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.api.state

    @property
    def extended(self) -> bool:
        """Whether its end is to be told to somebody."""
        return self._extensions is not None

    @property
    def settled(self) -> bool:
        """Whether nobody in it is at work: the runtime and all extensions have asked for the next event."""
        return self.state is State.IDLE and (self.crew is None or self.crew.api.ready)

    def wait(self, limit: float) -> Heard | Exit | None:
        """The next thing that happens but for what extensions ask; None when the time is up."""
        while isinstance(heard := self.wait_for_all(limit), Heard) and heard.event is Event.EXTENSION:
            pass
        return heard

    def wait_for_all(self, limit: float) -> Heard | Exit | None:
        """The next thing that happens; BackendError where the sandbox was lost."""
        heard = self.server.wait(limit)
        if isinstance(heard, Exit) and heard.extension is not None and self.crew is not None:
            self.crew.ended(heard)
        if isinstance(heard, Heard) and heard.at > limit:  # it came, but too late, while we were held up
            return None
        if isinstance(heard, Exit) and heard.lost is not None:
            if heard.lost == CLOSED:
                raise BackendError("the emulator was stopped during the invocation", hint="Start it again.")
            hint = "See `docker events`, or run `preflight doctor`."
            raise BackendError(f"the execution environment was lost: {heard.lost}", hint=hint)
        return heard

    def go(self) -> None:
        """Start the runtime, or the external extensions that come before it."""
        self.api.happen(Event.GO)
        self._sandbox.go(self._journal.add, self.server.hear, self._journal.add_extension)

    def await_init(self, limit: float) -> Heard | Exit | None:
        """What ends init: the runtime's word, and the extensions' where there are any."""
        if self.crew is not None:
            heard = self.crew.await_registered(self.wait_for_all, limit)
            if heard is None or isinstance(heard, Exit):
                return heard
            self._sandbox.start_runtime()
        heard = self.wait(limit)
        ready = isinstance(heard, Heard) and heard.event is Event.NEXT
        return self.crew.await_ready(heard, self.wait_for_all, limit) if self.crew is not None and ready else heard

    def fail(self, event: Event) -> None:
        """It cannot serve again, for this reason or for one before."""
        if self.state is not State.FAILED:
            self.api.happen(event)

    def settle(self, limit: float) -> None:
        """Take in what happened since the last answer: the runtime asks for the next event, or somebody has died.

        DiedIdle where the sandbox was lost.
        """
        try:
            while self.state in {State.ANSWERED, State.IDLE} and self._settle_one(limit):
                pass
        except BackendError as error:
            raise DiedIdle(error.message, hint=error.hint) from error

    def _settle_one(self, limit: float) -> bool:
        """Whether something happened; a runtime that idles is asked for news, and not waited for."""
        idle = self.state is State.IDLE
        heard = self.wait(time.perf_counter() if idle else limit)
        if heard is None and idle and not self.api.waiting:  # its connection has gone, and so has it
            heard = self.wait(time.perf_counter() + LAST_WORD_S)
        if isinstance(heard, Exit):
            self.fail(Event.EXIT)
        elif heard is None and not idle:
            self.fail(Event.TIMEOUT)
        return heard is not None

    def look(self) -> bool:
        """Take in what happened meanwhile, waiting for nothing; False where that is an end, kept for `settle`."""
        while heard := self.server.wait(time.perf_counter()):
            if isinstance(heard, Exit):
                self.server.hear(heard)
                return False
        return True

    def rest(self, *, on: bool) -> bool:
        """Nothing is sent to extensions from now on, since they stand still, or again; False where it is too early."""
        return self.crew is None or self.crew.rest(on=on)

    def shut_down(self, reason: Reason) -> None:
        """The Shutdown phase, once."""
        if self._extensions is not None and not self._shut:
            self._shut = True
            from emulator.shutdown import shut_down  # noqa: PLC0415 - most functions have no extension

            shut_down(self._sandbox, self.server, self._extensions, reason)

    def forget_shutdown(self) -> None:
        """It ends without a Shutdown phase, or has had it."""
        self._shut = True

    def close(self) -> None:
        """Nobody is answered any more."""
        self.server.close()

    def _engage(self) -> ExtensionsApi:
        """There are external extensions, or an internal one has just asked."""
        from emulator.extensions import Crew  # noqa: PLC0415 - most functions have no extension

        self.crew = Crew(self._config, self.server, self.api, self._journal, self._sandbox)
        self._extensions = self._extensions or self.crew
        return self.crew.api
