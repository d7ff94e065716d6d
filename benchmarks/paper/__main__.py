"""Measure both reference functions at the paper's memory sizes and write the page, its charts and its figures."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import machine, report
from benchmarks.frame import ROOT, framed
from benchmarks.paper import charts, page
from benchmarks.paper.figures import Figures, row_of
from emulator.errors import BackendError
from emulator.sandbox.docker_engine import connect

if TYPE_CHECKING:
    from rich.console import Console

_SIZES: Final = "256,512,1024,1536,2048"  # the paper's
_SERVER: Final = "t3.small"
_TASKS: Final = {"sentiment": "SentimentFunction", "similarity": "SimilarityFunction"}


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 written, else as `preflight` has it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="warm invocations of each size (default 300)")
    parser.add_argument("--cold", type=int, default=5, help="cold starts of each size (default 5)")
    parser.add_argument("--again", action="store_true", help="measure nothing: page and charts from the last figures")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs", help="where they go (default: docs)")
    return framed(_run, parser.parse_args(arguments), "The page is as it was.")


def _run(options: argparse.Namespace, console: Console) -> int:
    kept = options.folder / "paper" / "figures.json"
    report.check_writable(kept)
    if not options.again:
        kept.write_text(_measured(options.calls, options.cold, console).as_json())
    _write(Figures.of(kept.read_text("utf-8")), options.folder)
    console.print(f"written: {options.folder / 'paper-figure-3.md'}", highlight=False, soft_wrap=True)
    return 0


def _measured(calls: int, cold: int, console: Console) -> Figures:
    before = machine.load()
    engine = connect()
    try:
        facts = {name: machine.facts(engine)[name] for name in ("at", "cpu", "cpus", "kernel", "engine")}
    finally:
        engine.close()
    tasks, prices = {}, ""
    for task, name in _TASKS.items():
        console.print(f"{name}: {calls} warm invocations at each of {_SIZES} MB", highlight=False)
        golden = ROOT / "fixtures" / "golden" / f"{task}.jsonl"
        swept = _preflight(
            *("tune", name, "--memory", _SIZES, "--dataset", str(golden), "--no-smallest", "--fresh"),
            *("--warm", str(calls), "--cold", str(cold), "--slo", "p99=100ms", "--precision", "100", "--budget", "130"),
        )
        prices = swept["prices"]
        tasks[task] = tuple(row_of(size, _cost(name, size), _SERVER) for size in swept["sizes"])
    after = machine.load()
    return Figures(machine=facts, load=((before or (0.0,))[0], (after or (0.0,))[0]), prices=prices, tasks=tasks)


def _cost(name: str, size: dict[str, Any]) -> dict[str, Any]:
    """What it costs by what was just measured: nothing is run."""
    return _preflight(
        *("cost", name, "--requests-per-month", "1000000", "--memory", str(size["memory_mb"])),
        *("--billed-ms", f"{size['billed_ms']:.3f}", "--init-ms", f"{size['init_p50_ms']:.3f}"),
    )


def _preflight(*arguments: str) -> dict[str, Any]:
    """One command of the product, as a user runs it; its progress goes to the terminal."""
    python = f"PythonRuntime=python{sys.version_info[0]}.{sys.version_info[1]}"
    template = ("-t", str(ROOT / "handlers" / "template.yaml"), "--parameter-overrides", python)
    command = [sys.executable, "-m", "emulator", *arguments, *template, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in {0, 1}:
        raise BackendError(f"preflight {arguments[0]} ended with status {done.returncode}", hint="See what it said.")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _write(figures: Figures, folder: Path) -> None:
    for task, rows in figures.tasks.items():
        (folder / "paper" / f"{task}.svg").write_bytes(charts.latency(task, rows))
    (folder / "paper" / "spending.svg").write_bytes(charts.cost(figures.tasks))
    (folder / "paper-figure-3.md").write_text(page.as_markdown(figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
