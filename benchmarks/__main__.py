"""Measure, print a table with the targets, write JSON; the exit status is 1 where a target is missed."""

from __future__ import annotations

import argparse
import sys
import textwrap
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from benchmarks import accuracy, cold, golden, machine, peers, plugin, report, serve, starts, warm
from benchmarks.bed import open_bed
from benchmarks.frame import RESULTS, ROOT, framed
from benchmarks.rows import PARTS, Part, Row, all_pass, not_measured
from emulator.errors import PreflightError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from benchmarks.bed import Bed
    from benchmarks.peers import PeerImage, Peers

_NOTE_WIDTH: Final = 60  # the whole message stands below the table


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run has gathered so far."""

    rows: list[Row] = field(default_factory=list)
    samples: dict[str, Any] = field(default_factory=dict)
    failed: dict[Part, PreflightError] = field(default_factory=dict)
    peers: dict[str, Any] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 every target reached, 1 not, 2 usage, 3 no engine, 130 stopped."""
    return framed(_run, parse(arguments), "Containers and images of this run were removed.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; `--quick` changes the defaults, never what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--sam", type=Path, default=ROOT / ".venv-bench" / "bin" / "sam", help="SAM's command")
    parser.add_argument("--preflight", type=Path, default=Path(sys.executable).parent / "preflight", help="ours")
    parser.add_argument("--quick", action="store_true", help="few repeats: to see that it works, not to report")
    parser.add_argument("--pairs", type=_positive, help="cold invocations of each side (default 6, quick 2)")
    parser.add_argument("--trips", type=_positive, help="warm round trips of each side (default 2000, quick 200)")
    parser.add_argument("--repeats", type=_positive, help="of each accuracy check (default 3, quick 1)")
    parser.add_argument("--skip", action="append", choices=get_args(Part), default=[], help="leave a part out")
    parser.add_argument("--output", type=Path, default=RESULTS / "latest.json", help="JSON")
    options = parser.parse_args(arguments)
    for name, usual, quick in (("pairs", 6, 2), ("trips", 2000, 200), ("repeats", 3, 1)):
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else usual)
    return options


def _run(options: argparse.Namespace, console: Console) -> int:
    report.check_writable(options.output)
    outcome = Outcome()
    load_before = machine.load()
    with console.status("looking for the engine") as status, open_bed(report.sayer(console, status)) as bed:
        facts = machine.facts(bed.engine)
        _measure(bed, options, outcome)
    load = (load_before, machine.load())
    report.show(outcome.rows, report.surroundings(facts, outcome.peers, load))
    for part, error in outcome.failed.items():
        console.print(f"[bold]{part} was not measured[/bold]")
        report.complain(console, error)
    document = {
        "machine": facts,
        "load": {"before": load[0], "after": load[1]},
        "settings": {name: getattr(options, name) for name in ("quick", "pairs", "trips", "repeats", "skip")},
        "peers": outcome.peers,
        "rows": [row.as_dict() for row in outcome.rows],
        "samples": outcome.samples,
    }
    report.write(options.output, document)
    console.print(f"written: {options.output}", highlight=False)
    return 0 if all_pass(outcome.rows) and not outcome.failed else 1


def _measure(bed: Bed, options: argparse.Namespace, outcome: Outcome) -> None:
    """Every part that was not left out; one that fails does not keep the others from being measured."""
    with ExitStack() as stack:
        beside = _Beside(bed, options, outcome, stack)
        parts: dict[Part, Callable[[], tuple[list[Row], dict[str, Any]]]] = {
            "cold": lambda: cold.measure(bed, *beside.get(), options.preflight, options.pairs),
            "warm": lambda: warm.measure(bed, beside.get()[1], options.trips),
            "memory": lambda: accuracy.measure_memory(bed, options.repeats),
            "cpu": lambda: accuracy.measure_cpu(bed, options.repeats),
            "starts": lambda: starts.measure(bed, options.repeats),
            "serve": lambda: serve.measure(bed, beside.get()[1], options.preflight, options.trips),
            "golden": lambda: golden.measure(bed, options.repeats),
            "plugin": lambda: plugin.measure(bed, options.repeats),
        }
        for part in PARTS:
            if part in options.skip:
                continue
            try:
                rows, outcome.samples[part] = parts[part]()
            except PreflightError as error:
                outcome.failed[part] = error
                rows = not_measured(part, textwrap.shorten(error.message, _NOTE_WIDTH))
            outcome.rows += rows


class _Beside:
    """The peers and their image, made when a part first needs them."""

    def __init__(self, bed: Bed, options: argparse.Namespace, outcome: Outcome, stack: ExitStack) -> None:
        self._bed, self._options, self._outcome, self._stack = bed, options, outcome, stack
        self._made: tuple[Peers, PeerImage] | None = None

    def get(self) -> tuple[Peers, PeerImage]:
        """PreflightError with a hint where they cannot be had."""
        if self._made is None:
            bed = self._bed
            found = peers.find(self._options.sam, bed.architecture)
            bed.say("making the image for SAM and RIE")
            image = self._stack.enter_context(
                peers.derived_image(bed.engine.client, bed.base, found.rie, bed.architecture)
            )
            self._made = found, image
            self._outcome.peers = {
                "version": found.version,
                "base_image": bed.base.reference,
                "base_image_id": bed.base.id,
                "added_for_peers": image.added,
            }
        return self._made


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
