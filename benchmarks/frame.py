"""What every command here is framed by: signals, errors as messages, and exit statuses."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from rich.console import Console

from benchmarks import report
from emulator.errors import Interrupted, PreflightError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results"


def framed(
    run: Callable[[argparse.Namespace, Console], int], options: argparse.Namespace, hint: str = "Nothing is left of it."
) -> int:
    """The exit status: what `run` says (0 every target reached, 1 not), 2 usage, 3 no engine, 130 stopped.

    `hint` is told to who stopped it. SIGTERM stops as Ctrl-C does, so that containers are removed either way.
    """
    console = Console(stderr=True)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return run(options, console)
    except KeyboardInterrupt:
        error: PreflightError = Interrupted("stopped", hint=hint)
    except PreflightError as caught:
        error = caught
    report.complain(console, error)
    return error.exit_code


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
