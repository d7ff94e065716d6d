"""How far a run is, on standard error: a bar with rate and time left on a terminal, else a line for each stretch."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID


class Bar(AbstractContextManager["Bar"]):
    """Shows stretches one after another; nothing when `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._shown: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done()

    def say(self, what: str) -> None:
        """Something that takes a while and cannot be counted."""
        if not self._quiet:
            self.done()
            print(what, file=sys.stderr, flush=True)  # noqa: T201 - this is what prints

    def begin(self, what: str, total: int) -> None:
        """A stretch of so many steps begins."""
        if self._quiet:
            return
        if not sys.stderr.isatty():
            print(f"{what} ({total})", file=sys.stderr, flush=True)  # noqa: T201 - this is what prints
            return
        if self._shown is None:
            self._shown = _bar()
            self._shown.start()
        elif self._task is not None:
            self._shown.remove_task(self._task)
        self._task = self._shown.add_task(what, total=total)

    def step(self) -> None:
        """One of them is done."""
        if self._shown is not None and self._task is not None:
            self._shown.advance(self._task)

    def done(self) -> None:
        """Take the bar away."""
        if self._shown is not None:
            self._shown.stop()
            self._shown, self._task = None, None


def _bar() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - only long runs on a terminal need it
    from rich.progress import (  # noqa: PLC0415 - see above
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        _rate_column(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, no_color="NO_COLOR" in os.environ)
    return Progress(*columns, console=console, transient=True)


def _rate_column() -> ProgressColumn:
    from rich.progress import ProgressColumn, Task  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:.1f}/s")

    return Rate()
