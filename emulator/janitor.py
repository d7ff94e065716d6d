"""Looks after idle environments, so that no invocation has to: freezes them soon, closes them after minutes.

One thread for a whole service. On an invocation's own path freezing would cost back-to-back calls a tenth of a
millisecond each way, or 20 ms through an engine. Here an environment is frozen once it has been idle for a while, and
the next invocation thaws it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeVar

from emulator.errors import BackendError

TICK_S: Final = 0.02
"""Nothing is looked at more often, so that calls that follow each other closely wake nobody most of the time."""


class Idle(Protocol):
    """An environment, as far as it is looked after."""

    @property
    def idle_since(self) -> float:
        """`time.perf_counter()` of its last invocation's end."""

    @property
    def freeze_after_s(self) -> float:
        """Seconds of idleness after which it is worth freezing."""

    def rest(self) -> bool:
        """Freeze it; False where it was too early for that, and is to be tried again."""


_Idle = TypeVar("_Idle", bound=Idle)


class Rounds:
    """When each environment is due for what; it has no clock of its own."""

    def __init__(self, *, freeze: bool = True, reap_after_s: float | None = None) -> None:
        self._freeze = freeze
        self._reap_after_s = reap_after_s
        self._freeze_at: dict[Idle, tuple[float, float | None]] = {}
        """The idleness it is meant for, and when; None where that is done."""

    def look(self, now: float, idle: Iterable[_Idle], reap: Callable[[_Idle], None]) -> float | None:
        """Do what is due and return when something will be next; None while nothing will."""
        freeze_at: dict[Idle, tuple[float, float | None]] = {}
        due: list[float] = []
        for environment in idle:
            since = environment.idle_since
            known, at = self._freeze_at.get(environment, (None, None))
            if known != since:
                at = since + environment.freeze_after_s if self._freeze else None
            if self._reap_after_s is not None and now >= since + self._reap_after_s:
                reap(environment)
                continue
            if at is not None and now >= at:
                # The runtime takes its time between answer and next event: it is asked ever more seldom.
                at = None if environment.rest() else now + max(TICK_S, now - since)
            freeze_at[environment] = since, at
            due += [] if at is None else [at]
            due += [] if self._reap_after_s is None else [since + self._reap_after_s]
        self._freeze_at = freeze_at
        return min(due, default=None)


class Janitor:
    """The thread that goes these rounds over what `idle` lists.

    `reap` has to see for itself whether the environment is idle still.
    """

    def __init__(self, rounds: Rounds, idle: Callable[[], list[_Idle]], reap: Callable[[_Idle], None]) -> None:
        self.asleep = False
        """`wake` it when there is a new idle environment; otherwise it comes by on its own."""
        self._rounds = rounds
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(idle, reap), name="janitor", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something new to look after."""
        self._wanted.set()

    def stop(self) -> None:
        """Return when it does nothing any more; from any thread, at any time."""
        self._stopped.set()
        self._wanted.set()
        self._thread.join()

    def _run(self, idle: Callable[[], list[_Idle]], reap: Callable[[_Idle], None]) -> None:
        def end(environment: _Idle) -> None:
            try:
                reap(environment)
            except BackendError:  # nobody is there to be told, and the next session sweeps up
                return

        while not self._stopped.wait(TICK_S):
            following = self._rounds.look(time.perf_counter(), idle(), end)
            if following is None or following > time.perf_counter() + TICK_S:
                self.asleep = True
                # Once more: what came before the line above did not wake us.
                following = self._rounds.look(time.perf_counter(), idle(), end)
                self._wanted.wait(None if following is None else max(0.0, following - time.perf_counter()))
                self.asleep = False
                self._wanted.clear()
