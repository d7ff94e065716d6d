"""Run `preflight tune` in pairs: how often do both of a pair recommend the same size? 1 where a pair does not."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import machine, report
from benchmarks.frame import RESULTS, ROOT, framed
from emulator.errors import ConfigurationError
from emulator.text_table import text_table
from emulator.tune.decision import STRATEGIES

if TYPE_CHECKING:
    from rich.console import Console

_EVENTS: Final = ROOT / "fixtures" / "events"
_EVENT_OF: Final = {
    "SentimentFunction": _EVENTS / "sentiment-praise.json",
    "SimilarityFunction": _EVENTS / "similarity-paraphrase.json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What one run recommends by each strategy, how sure it was of the one that it was asked for, and what it took."""

    taken: Mapping[str, int]
    agreement: float
    seconds: float
    disturbed: int


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 where every pair agrees by every strategy."""
    return framed(_run, parse(arguments), "Sweeps that were finished are told above.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; what it does not know goes to `preflight tune`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("--function", choices=sorted(_EVENT_OF), default="SentimentFunction", help="of handlers/")
    parser.add_argument("--pairs", type=int, default=5, help="of runs (default 5)")
    parser.add_argument("--preflight", type=Path, default=Path(sys.executable).parent / "preflight", help="the command")
    parser.add_argument("--output", type=Path, default=RESULTS / "agreement.json", help="JSON")
    options, more = parser.parse_known_args(arguments)
    options.more = more
    if options.pairs < 1:
        parser.error("at least one pair")
    return options


def _run(options: argparse.Namespace, console: Console) -> int:
    report.check_writable(options.output)
    before = machine.load()
    sweeps = []
    for number in range(2 * options.pairs):
        sweeps.append(_sweep(options))
        told = ", ".join(f"{name} {size} MB" for name, size in sweeps[-1].taken.items())
        console.print(f"run {number + 1} of {2 * options.pairs}: {told}, {sweeps[-1].seconds:.0f} s", highlight=False)
    pairs = list(zip(sweeps[::2], sweeps[1::2], strict=True))
    counts = agreeing(pairs)
    print(as_text(pairs, counts))
    document = {
        "function": options.function,
        "load": {"before": before, "after": machine.load()},
        "agreeing": counts,
        "sweeps": [
            {"taken": each.taken, "agreement": each.agreement, "seconds": each.seconds, "disturbed": each.disturbed}
            for each in sweeps
        ],
    }
    report.write(options.output, document)
    return 0 if set(counts.values()) == {options.pairs} else 1


def agreeing(pairs: Sequence[tuple[Sweep, Sweep]]) -> dict[str, int]:
    """For each strategy how many pairs recommend one size."""
    return {name: sum(first.taken[name] == second.taken[name] for first, second in pairs) for name in STRATEGIES}


def as_text(pairs: Sequence[tuple[Sweep, Sweep]], counts: Mapping[str, int]) -> str:
    """A row for each pair, and how many agree below."""
    rows = [
        (
            f"{number}",
            *(f"{first.taken[name]} and {second.taken[name]}" for name in STRATEGIES),
            f"{first.agreement:.0%} and {second.agreement:.0%}",
            f"{first.seconds:.0f} and {second.seconds:.0f}",
            f"{first.disturbed} and {second.disturbed}",
        )
        for number, (first, second) in enumerate(pairs, start=1)
    ]
    headers = ("pair", *(f"{name}, MB" for name in STRATEGIES), "sure", "s", "disturbed")
    told = ", ".join(f"{name} {count} of {len(pairs)}" for name, count in counts.items())
    return "\n".join([text_table(headers, rows), "", f"pairs that agree: {told}"])


def sweep_of(document: Mapping[str, Any]) -> Sweep:
    """What is compared of the object that `preflight tune --json` prints."""
    return Sweep(
        taken=document["by_strategy"],
        agreement=document["agreement"],
        seconds=document["seconds"],
        disturbed=sum(size["disturbed"] for size in document["sizes"]),
    )


def _sweep(options: argparse.Namespace) -> Sweep:
    runtime = f"PythonRuntime=python{sys.version_info.major}.{sys.version_info.minor}"
    given: list[str | Path] = ["-t", ROOT / "handlers" / "template.yaml", "--parameter-overrides", runtime]
    given += ["-e", _EVENT_OF[options.function], "--fresh", "--json", *options.more]
    done = subprocess.run(
        [options.preflight, "tune", options.function, *given], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigurationError(f"preflight tune failed: {done.stderr.strip()}", hint="Run it alone.")
    return sweep_of(json.loads(done.stdout))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
