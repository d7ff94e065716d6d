"""A report for a person: 80 columns, and every verdict a word, so that it is whole without colour."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from emulator.console import capability_text
from emulator.gates.verdicts import Rule, Status, Verdict, number
from emulator.golden.text import evaluation_lines, folded
from emulator.metrics import Measurement
from emulator.report.base import FunctionReport, Report

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_WIDTH: Final = 80
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a function's answers and errors must not do to a terminal."""
_STYLES: Final[dict[Status, str]] = {"PASS": "green", "FAIL": "bold red", "WARN": "yellow", "NOT_MEASURED": "bold red"}


def as_text(report: Report, *, colour: bool = False) -> str:
    """The whole report; with `colour` for a terminal that shows it."""
    from rich.console import Console  # noqa: PLC0415 - only reports need it

    shown = io.StringIO()
    console = Console(
        file=shown,
        width=_WIDTH,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        emoji=False,
        markup=False,
    )
    for function in report.functions:
        console.print(_title(function), style="bold")
        console.print(_table(function))
        for line in _details(function):
            console.print(_CONTROL.sub("\ufffd", line), soft_wrap=True)
        console.print()
    for line in _run_lines(report):
        console.print(_CONTROL.sub("\ufffd", line), soft_wrap=True)
    return "\n".join(line.rstrip() for line in shown.getvalue().splitlines())


def summary(report: Report) -> str:
    """One line: how many gates passed, failed and warned."""
    verdicts = [verdict for function in report.functions for verdict in function.verdicts]
    counts = Counter(verdict.word for verdict in verdicts)
    told = [f"{counts['PASS']} passed"]
    told += [f"{counts[word]} {said}" for word, said in _COUNTED if counts[word]]
    return f"{'FAILED' if report.failed else 'PASSED'}: {', '.join(told)}"


_COUNTED: Final = (
    ("FAIL", "failed"),
    ("NOT MEASURED", "not measured"),
    ("NOT COMPARED", "not compared"),
    ("WARN", "warned"),
)


def rule_text(verdict: Verdict) -> str:
    """The threshold as it stands in preflight.toml, with the unit of a relative one."""
    words: dict[Rule, str] = {
        "max": "max {}",
        "min": "min {}",
        "max_increase": "worse by {}",
        "max_increase_pct": "worse by {} %",
    }
    return words[verdict.rule].format(number(verdict.threshold))


def _title(function: FunctionReport) -> str:
    config = function.evidence.config
    what = config.image or config.runtime
    return f"{function.name}: {config.memory_mb} MB, {what}, {config.architecture}"


def _table(function: FunctionReport) -> Table:
    """A row for each verdict, then one for each metric that has no gate and was measured."""
    from rich.table import Table  # noqa: PLC0415 - see above

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("verdict", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("figure", "\u00b1 %", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("gate", no_wrap=True)
    for verdict in function.verdicts:
        style = _STYLES[verdict.status]
        table.add_row(_styled(verdict.word, style), *_cells(verdict.measurement), rule_text(verdict))
    gated = {verdict.metric for verdict in function.verdicts}
    for one in function.measurements:
        if one.name not in gated and one.value is not None:
            table.add_row("", *_cells(one), "")
    return table


def _styled(text: str, style: str) -> Text:
    from rich.text import Text  # noqa: PLC0415 - see above

    return Text(text, style=style)


def _cells(one: Measurement) -> tuple[str, str, str, str]:
    figure = "-" if one.value is None else number(one.value, one.unit)
    spread = "" if one.spread_pct is None else f"{one.spread_pct:.1f}"
    return one.name, figure, spread, str(one.n or "")


def _details(function: FunctionReport) -> Iterator[str]:
    """What a person needs of everything that did not pass; then the golden dataset and what is not measured."""
    for verdict in function.verdicts:
        if verdict.status == "PASS" and not verdict.close:
            continue
        word = f"{verdict.word} "
        yield from folded(f"  {word}", f"{verdict.metric}: {verdict.message}")
        if verdict.status == "PASS":
            continue
        indent = " " * (len(word) + 2)
        if verdict.reason:
            yield from folded(indent, f"why it matters: {verdict.reason}")
        for line in verdict.look_at:
            yield from folded(indent, line)
    gated = {verdict.metric for verdict in function.verdicts}
    unknown = [one for one in function.measurements if one.value is None and one.name not in gated]
    if unknown:
        yield from folded("  not measured: ", "; ".join(f"{one.name} ({one.note})" for one in unknown))
    for note in function.notes:
        yield from folded("  note: ", note)
    if function.evidence.evaluation is not None:
        for line in evaluation_lines(function.evidence.evaluation, cpu_flags=False):
            yield f"  {line}"


def _run_lines(report: Report) -> Iterator[str]:
    """Where and how it was measured, and what disturbed it."""
    machine = report.machine
    yield from folded("", capability_text(report.backend, report.capabilities))
    yield from folded("", f"{machine.cpu}, {machine.cpus} CPUs, {machine.system} {machine.kernel}")
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    cache = {function.evidence.page_cache for function in report.functions}
    yield from folded("", f"{versions}; page cache {' and '.join(sorted(cache))}; {report.seconds:.0f} s")
    if report.disturbance is not None:
        for note in report.disturbance.notes:
            yield from folded("disturbed: ", f"{note}; wall times are doubtful, CPU times hold better")
    if report.baseline is not None:
        yield from folded("", f"compared with {report.baseline}")
    for note in report.notes:
        yield from folded("note: ", note)
    yield summary(report)
