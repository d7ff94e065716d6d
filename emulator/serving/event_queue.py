"""The queue of events that nobody waits for, and the threads that invoke functions with them."""

from __future__ import annotations

import heapq
import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from emulator.asynchronous import Condition, Outcome, QueuedEvent, dead_letter, destination_record, next_step
from emulator.errors import ConfigurationError, PreflightError
from emulator.invocation import InvocationResult

if TYPE_CHECKING:
    from emulator.config import FunctionConfig

Kind = Literal["on-success", "on-failure", "dead-letter"]
Deliver = Callable[[str, Kind, Mapping[str, Any]], None]

_MOST_WORKERS: Final = 64
_LEAST_SLEEP_S: Final = 0.02  # so that a scale of 0 does not ask a throttled function without a pause
_JOIN_S: Final = 5.0


class EventQueue:
    """Invokes functions with events, tries again as Lambda does, and delivers what Lambda would send elsewhere.

    `scale` multiplies Lambda's waits, `workers` is how many events are with their functions at once: without any,
    `attempt_due` is what makes progress. `clock` counts seconds. An exception that is none of ours goes to `on_fault`,
    and its event is lost.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each of its neighbours
        self,
        functions: Mapping[str, FunctionConfig],
        invoke: Callable[[QueuedEvent], InvocationResult],
        deliver: Deliver,
        on_fault: Callable[[Exception], object],
        *,
        scale: float = 1.0,
        workers: int = _MOST_WORKERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._functions = functions
        self._invoke = invoke
        self._deliver = deliver
        self._on_fault = on_fault
        self._scale = scale
        self._most = workers
        self._clock = clock
        self._heap: list[tuple[float, int, QueuedEvent]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._workers: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._lost = 0

    def submit(
        self,
        function: str,
        payload: bytes,
        request_id: str,
        *,
        qualifier: str | None = None,
        trace_id: str | None = None,
    ) -> None:
        """Take an event for this function; it is invoked as soon as a worker is free."""
        now = self._clock()
        event = QueuedEvent(
            function=function,
            payload=payload,
            request_id=request_id,
            queued_at=now,
            qualifier=qualifier,
            trace_id=trace_id,
        )
        self._push(now, event)

    def attempt_due(self) -> int:
        """Make every attempt whose time has come, on this thread; how many there were."""
        count = 0
        while (event := self._pop_due()) is not None:
            self._attempt(event)
            count += 1
        return count

    def due_at(self) -> float | None:
        """When the next attempt is due, by the clock; None where the queue is empty."""
        with self._changed:
            return self._heap[0][0] if self._heap else None

    def stop(self) -> None:
        """Give up what is still queued and try nothing again; attempts under way go on."""
        with self._changed:
            self._closed = True
            self._lost += len(self._heap)
            self._heap.clear()
            self._changed.notify_all()

    def close(self) -> int:
        """`stop`, and wait for the attempts under way, for whoever can end them has done so; the events lost."""
        self.stop()
        limit = time.monotonic() + _JOIN_S
        for worker in self._workers:
            worker.join(max(0.0, limit - time.monotonic()))
        with self._changed:
            return self._lost

    def _push(self, at: float, event: QueuedEvent) -> None:
        with self._changed:
            if self._closed:
                self._lost += 1
                return
            heapq.heappush(self._heap, (at, next(self._order), event))
            self._wake_one()

    def _wake_one(self) -> None:
        """Somebody must watch the queue while there is anything in it; called inside the lock."""
        if self._idle:
            self._changed.notify()
        elif len(self._workers) < self._most:
            worker = threading.Thread(target=self._work, name="event", daemon=True)
            self._workers.append(worker)
            worker.start()

    def _work(self) -> None:
        while (event := self._wait_for_due()) is not None:
            try:
                self._attempt(event)
            except Exception as error:  # noqa: BLE001 - handed on whole; the other events have nothing to do with it
                self._on_fault(error)
                with self._changed:
                    self._lost += 1

    def _wait_for_due(self) -> QueuedEvent | None:
        with self._changed:
            while not self._closed:
                wait_s = self._heap[0][0] - self._clock() if self._heap else None
                if wait_s is not None and wait_s <= 0:
                    event = heapq.heappop(self._heap)[2]
                    if self._heap:
                        self._wake_one()
                    return event
                self._idle += 1
                self._changed.wait(wait_s)
                self._idle -= 1
        return None

    def _pop_due(self) -> QueuedEvent | None:
        with self._changed:
            if self._heap and self._heap[0][0] <= self._clock():
                return heapq.heappop(self._heap)[2]
        return None

    def _attempt(self, event: QueuedEvent) -> None:
        outcome: Outcome
        try:
            outcome = self._invoke(event)
            event = replace(event, attempts=event.attempts + 1)
        except PreflightError as error:  # throttled, or no sandbox could be had: Lambda's own failure, to be repeated
            outcome = error
            event = replace(event, refusals=event.refusals + 1)
        now = self._clock()
        step = next_step(event, outcome, self._functions[event.function], event.age_s(now))
        if not isinstance(step, float):
            self._finish(event, outcome, step)
            return
        sleep_s = max(_LEAST_SLEEP_S, step * self._scale)
        again = replace(event, waited_s=event.waited_s + step, slept_s=event.slept_s + sleep_s)
        self._push(now + sleep_s, again)

    def _finish(self, event: QueuedEvent, outcome: Outcome, condition: Condition) -> None:
        settings = self._functions[event.function].asynchronous
        destination = settings.on_success if condition == "Success" else settings.on_failure
        kind: Kind = "on-success" if condition == "Success" else "on-failure"
        if destination is not None:
            record = destination_record(event, outcome, condition, datetime.now(tz=UTC))
            self._deliver(event.function, kind, record)
        if condition != "Success" and settings.dead_letter is not None:
            self._deliver(event.function, "dead-letter", dead_letter(event, outcome))


class DestinationFolder:
    """Keeps what would go to destinations and queues: a line of JSON for each, in `FUNCTION.KIND.jsonl`.

    `on_trouble` is told what could not be written, for the function has long been answered for.
    """

    def __init__(self, folder: Path, on_trouble: Callable[[str], None]) -> None:
        self._folder = folder
        self._on_trouble = on_trouble
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"the folder {folder} cannot be made: {error.strerror}"
            raise ConfigurationError(message, hint="See --destinations.") from error

    def write(self, function: str, kind: Kind, document: Mapping[str, Any]) -> None:
        """Append one line."""
        path = self._folder / f"{function}.{kind}.jsonl"
        line = json.dumps(document, separators=(",", ":")) + "\n"
        try:
            with self._lock, path.open("a", encoding="ascii") as file:
                file.write(line)
        except OSError as error:
            self._on_trouble(f"{path} cannot be written: {error.strerror}")
