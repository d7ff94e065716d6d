"""How far a long step is: a moving bar on a terminal, a plain line each half minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

PLAIN_EVERY_S = 30.0


class Bar:
    """Progress of `total` parts on standard error."""

    def __init__(self, name: str, total: int) -> None:
        console = Console(stderr=True, highlight=False)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}")
        times = TimeElapsedColumn(), TimeRemainingColumn()
        self._progress = Progress(*columns, *times, console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task(name, total=total, note="")
        self._name, self._total, self._last = name, total, time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, done: int, loss: float | None = None) -> None:
        """Parts done, and the loss where there is one."""
        note = "" if loss is None else f"loss {loss:.4f}"
        self._progress.update(self._task, completed=done, note=note)
        if self._progress.disable and time.monotonic() - self._last > PLAIN_EVERY_S:
            self._last = time.monotonic()
            print(f"{self._name}: {done} of {self._total} {note}".rstrip(), file=sys.stderr, flush=True)


def track(parts: Sequence[T], name: str) -> Iterator[T]:
    """The parts, with a bar that follows them."""
    with Bar(name, len(parts)) as bar:
        for number, part in enumerate(parts, start=1):
            yield part
            bar.show(number)
