"""Run the tasks of published measurements here and print how far we are from real Lambda; 1 for a missed target."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from rich.console import Console

from benchmarks import machine, report
from benchmarks.bed import open_bed
from benchmarks.fidelity import published
from benchmarks.fidelity.parts import Part, Settings, measure
from benchmarks.frame import RESULTS, framed
from emulator.doctor import LAMBDA_HZ
from emulator.text_table import text_table

if TYPE_CHECKING:
    from benchmarks.fidelity.compare import Result

_HEADERS: Final = ("", "here", "Lambda", "error", "Lambda's own spread", "undisturbed", "")


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 every target reached, 1 not, 2 usage, 3 no engine, 130 stopped."""
    return framed(_run, parse(arguments), "Containers of this run were removed.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__)
    parser.add_argument("--sizes", type=int, default=24, help="published memory sizes of the staircase (default 24)")
    parser.add_argument("--runs", type=int, default=30, help="runs at each size that count (default 30)")
    parser.add_argument("--patience", type=float, default=120.0, metavar="S", help="seconds to wait for quiet runs")
    parser.add_argument("--only", action="append", choices=get_args(Part), help="leave the other parts out")
    parser.add_argument("--output", type=Path, default=RESULTS / "fidelity.json", help="JSON")
    options = parser.parse_args(arguments)
    if options.sizes < 2 or options.runs < 1:  # noqa: PLR2004 - the smallest and the largest
        parser.error("at least 2 sizes and 1 run")
    return options


def _run(options: argparse.Namespace, console: Console) -> int:
    report.check_writable(options.output)
    data = published.read()
    before = machine.load()
    settings = Settings(sizes=options.sizes, runs=options.runs, patience_s=options.patience)
    parts: Sequence[Part] = options.only or get_args(Part)
    results: dict[str, Result] = {}
    with console.status("looking for the engine") as status, open_bed(report.sayer(console, status)) as bed:
        facts = {**machine.facts(bed.engine), "scheduler": machine.scheduler()}
        for part in parts:
            results[part] = measure(part, bed, data, settings)
            _show(f"{as_text(results[part])}\npublished: {data.sources[part]}\n")
    loads = (before, machine.load())
    _show(
        "\n".join([report.surroundings(facts, {}, loads), *(f"warning: {text}" for text in warnings(facts, results))])
    )
    document = {
        "machine": facts,
        "load": {"before": loads[0], "after": loads[1]},
        "results": {name: {**asdict(result), "verdict": result.verdict} for name, result in results.items()},
    }
    report.write(options.output, document)
    return 0 if all(result.verdict == "PASS" for result in results.values()) else 1


def _show(text: str) -> None:
    """Each part as soon as it is measured: a run takes minutes, and what it has found survives its end."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def as_text(result: Result) -> str:
    """One comparison as a table, its figure and its target below."""
    rows = [
        (
            row.name,
            f"{row.ours:.2f}",
            f"{row.theirs:.2f}",
            f"{row.error_pct:+.1f} %",
            f"± {row.spread_pct:.1f} %",
            f"{row.quiet} of {row.runs}",
            row.note,
        )
        for row in result.rows
    ]
    judged = f"{result.what}: {result.figure:.1f}, target ≤ {result.at_most:g}: {result.verdict}"
    return "\n".join([result.name, text_table(_HEADERS, rows), judged])


def warnings(facts: Mapping[str, Any], results: Mapping[str, Result]) -> Iterator[str]:
    """Why the figures may not be those of another machine, or of a quiet hour."""
    hz = facts["hz"]
    if hz is None:
        yield f"this kernel does not tell its HZ; Lambda's is {LAMBDA_HZ}, and short tasks depend on it"
    elif hz != LAMBDA_HZ:
        slower = "slower" if hz > LAMBDA_HZ else "faster"
        yield f"this kernel ticks at {hz} Hz, Lambda's at {LAMBDA_HZ}: short tasks come out {slower} here than there"
    scheduler = facts["scheduler"]
    if scheduler != "CFS":
        yield f"the scheduler is {scheduler}; Lambda's kernel (5.10) has CFS. The quota is held by the same code"
    for name, result in results.items():
        quiet, runs = sum(row.quiet for row in result.rows), sum(row.runs for row in result.rows)
        if quiet < runs:
            yield f"{name}: other work disturbed {runs - quiet} of {runs} runs; run it again on a quiet machine"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
