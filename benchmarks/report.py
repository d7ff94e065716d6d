"""The table for a person, the JSON for a machine, and progress while it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.rows import TITLES, Part, Row
from benchmarks.stats import Estimate
from emulator.errors import ConfigurationError, PreflightError

if TYPE_CHECKING:
    from rich.status import Status

_STYLES: Final = {"PASS": "green", "FAIL": "bold red", "NOT MEASURED": "bold yellow", "": ""}
_PERCENT: Final = 100
_FILE_WIDTH: Final = 150  # where there is no terminal whose width counts


def sayer(console: Console, status: Status) -> Callable[[str], None]:
    """Tells what is being done: in place on a terminal, line by line elsewhere."""

    def say(what: str) -> None:
        if console.is_terminal:
            status.update(escape(what))
        else:
            console.print(what, markup=False, highlight=False)

    return say


def show(rows: Sequence[Row], where: str) -> None:
    """The table on standard output, and under it where it was measured."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("figure")
    for title in ("value", "spread", "n", "target"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("note")
    part: Part | None = None
    for row in rows:
        if row.part != part:
            part = row.part
            table.add_row(f"[bold]{TITLES[part]}[/bold]")
        style = _STYLES[row.verdict]
        verdict = f"[{style}]{row.verdict}[/{style}]" if style else ""
        table.add_row(f"  {escape(row.name)}", *figures(row), verdict, escape(row.note))
    console.print(table)
    console.print(f"\n{where}", highlight=False, markup=False)


def surroundings(facts: Mapping[str, Any], peers: Mapping[str, Any], load: Sequence[tuple[float, ...] | None]) -> str:
    """In sentences: the machine, how busy it was before and after, and what exactly the peers ran on."""
    loads = " and ".join("unknown" if each is None else f"{each[0]:g}" for each in load)
    told = (
        f"Machine: {facts['cpus']} x {facts['cpu']}, {facts['kernel']}, Python {facts['python']}, "
        f"Docker {facts['engine']} (cgroup {facts['engine_cgroup']}); load {loads} before and after."
    )
    if peers:
        added = " and ".join(peers["added_for_peers"])
        told += (
            f"\nPeers: {peers['version']} and its RIE, on the image that ours started from "
            f"({peers['base_image']}, {peers['base_image_id'][:19]}) with {added} added."
        )
    return told


def figures(row: Row) -> tuple[str, str, str, str]:
    """Value, spread, n and target as a person reads them; a dash for what was not measured."""
    target = "" if row.at_most is None else f"≤ {row.at_most:g}"
    if row.estimate is None:
        return "-", "", "", target
    unit = "" if row.unit == "x" else f" {row.unit}"
    return f"{number(row.estimate.value)}{unit}", spread(row.estimate), f"{row.estimate.n:,}", target


def spread(estimate: Estimate) -> str:
    """`0.41-0.52` and how sure that is, where it is an interval of confidence and not just the least and greatest."""
    if estimate.low is None or estimate.high is None:
        return ""
    sure = "" if estimate.confidence is None else f" ({estimate.confidence * _PERCENT:.0f} %)"
    return f"{number(estimate.low)}-{number(estimate.high)}{sure}"


def number(value: float) -> str:
    """Three digits that count, never an exponent."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3  # noqa: PLR2004 - powers
    return f"{value:,.{digits}f}"


def write(path: Path, document: Mapping[str, Any]) -> None:
    """The JSON file, its folder made; ConfigurationError where it cannot be written."""
    with _file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")


def check_writable(path: Path) -> None:
    """ConfigurationError now rather than after minutes of measuring; an earlier file stays, no empty one is left."""
    with _file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier = path.exists()
        path.open("a").close()
        if not earlier:
            path.unlink()


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise ConfigurationError(message, hint="Name another: --output.") from error


def complain(console: Console, error: PreflightError) -> None:
    """Message, blank line, hint: as the `preflight` command does."""
    console.print(f"error: {error.message}", markup=False, highlight=False, soft_wrap=True)
    if error.hint:
        console.print(f"\nhint: {error.hint}", markup=False, highlight=False, soft_wrap=True)
