"""`preflight tune`."""

from __future__ import annotations

import math
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from emulator import cache, calibration, console, output_files, settled
from emulator.cli_events import read_event
from emulator.cli_options import (
    backend_option,
    calibration_option,
    events_option,
    outputs_option,
    overrides_option,
    prices_option,
    template_option,
    variables_option,
)
from emulator.cli_output import note, print_data, print_log
from emulator.cli_setup import backend, function, here, refuse_without_quota
from emulator.errors import ConfigurationError
from emulator.golden.dataset import event_bytes, open_dataset
from emulator.pricing import prices
from emulator.sandbox import Choice
from emulator.service import LambdaService, validate
from emulator.spec import free_memory_mb
from emulator.surroundings import read_machine
from emulator.tune import report as tune_report
from emulator.tune import smallest as bisection
from emulator.tune import sweep, tuning
from emulator.tune.decision import STRATEGIES, SURE, Goal, agreement, owned
from emulator.tune.sampling import least_waits, total

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emulator.config import FunctionConfig
    from emulator.pricing.prices import PriceList
    from emulator.sandbox.base import Backend
    from emulator.tune.decision import Strategy
    from emulator.tune.report import Tuning
    from emulator.tune.sampling import Series
    from emulator.tune.smallest import Smallest

_PERCENT = 100
_SLO_PRECISION_PCT = 10.0


class TuneOptions(TypedDict):
    """What `preflight tune` is told, as click hands it over."""

    name: str
    template_path: Path | None
    parameters: dict[str, str]
    variables: Path | None
    events: tuple[str, ...]
    dataset: Path | None
    memory: str | None
    strategy: Strategy
    weight: float
    slo: str | None
    cold: int
    warm: int
    precision_pct: float | None
    budget_s: float
    smallest: bool | None
    fresh: bool
    prices_path: Path | None
    calibration_path: Path | None
    outputs: tuple[Path, ...]
    backend: Choice
    as_json: bool


@click.command
@click.argument("name")
@template_option
@overrides_option
@variables_option
@events_option
@click.option(
    "--dataset",
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Golden cases as events (default: what preflight.toml has for it).",
)
@click.option("--memory", metavar="128,512,…", help="Memory sizes (default: nine from 128 to 10240).")
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="balanced",
    show_default=True,
    help="What to look for.",
)
@click.option(
    "--weight", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="balanced: of cost, against time."
)
@click.option("--slo", metavar="p95=200ms", help="Take the cheapest size that keeps it.")
@click.option(
    "--cold",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    metavar="N",
    help="Cold starts of a size, at least.",
)
@click.option(
    "--warm",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar="N",
    help="Warm invocations of a size, at least.",
)
@click.option(
    "--precision",
    "precision_pct",
    type=click.FloatRange(min=0, min_open=True),
    metavar="PCT",
    help="Go on until each median's interval is narrower, too (default with --slo: 10).",
)
@click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(min=0),
    default=180.0,
    show_default=True,
    metavar="S",
    help="But no longer than that.",
)
@click.option("--smallest/--no-smallest", default=None, help="Look for the least memory too (default: with --dataset).")
@click.option("--fresh", is_flag=True, help="Forget what a sweep that was stopped has left.")
@prices_option
@calibration_option
@outputs_option
@backend_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
def tune(**options: Unpack[TuneOptions]) -> int:
    """Run the function NAME at several memory sizes and say which to take.

    Sizes that this machine cannot represent are named and left out. A sweep that was stopped goes on where it was.
    It goes on until each strategy would take the same size again, or the budget is spent. The exit status is 1 where
    no size will do.
    """
    output_files.check(options["outputs"], (".json", ".html"))
    slo = None if options["slo"] is None else tuning.parse_slo(options["slo"])
    listed = prices.load(options["prices_path"])
    config = function(options)
    validate(config)
    events = _events(options)
    usable, left_out = _sizes(options)
    factor = calibration.wanted(options["calibration_path"], config.name, read_machine().cpu)
    begin = time.monotonic()
    with console.Progress(quiet=options["as_json"]) as progress:
        opened = backend(options["backend"], progress.say, ending="leave")
        if not options["as_json"]:
            progress.done()
            print_log(console.capability_line(opened) + "\n")
        try:
            refuse_without_quota(opened)
            results, least = _measured(config, usable, events, opened, options, progress, listed)
        finally:
            opened.close()
    waits = least_waits(each for rounds in results.values() for each in rounds)
    figures = tuple(
        tuning.result_of(replace(config, memory_mb=size), rounds, listed, slo=slo, calibration=factor, waits=waits)
        for size, rounds in results.items()
    )
    goal = _goal(options)
    recommended = tuning.recommend(figures, goal, slo)
    if slo is None and recommended.memory_mb is not None:
        running = {each.memory_mb: results[each.memory_mb] for each in figures if each.runs}
        recommended = replace(recommended, agreement=_agreement(running, config, listed, goal))
    found = tune_report.Tuning(
        function=config.name,
        backend=opened.name,
        strategy="slo" if slo is not None else options["strategy"],
        results=figures,
        left_out=left_out,
        recommended=recommended,
        slo=slo,
        smallest=least,
        calibration=factor,
        prices=f"{listed.region}, {listed.newest}",
        seconds=time.monotonic() - begin,
    )
    _show(found, options)
    return 0 if found.recommended.memory_mb is not None else 1


def _show(found: Tuning, options: TuneOptions) -> None:
    document = tune_report.as_json(found) + "\n"
    output_files.write(
        options["outputs"],
        {".json": document.encode, ".html": lambda: tune_report.as_page(found)},
    )
    print_data(document.rstrip() if options["as_json"] else tune_report.as_text(found))


def _events(options: TuneOptions) -> list[bytes]:
    dataset = options["dataset"]
    if dataset is None:
        if not options["events"]:
            return _events_of_gates(options)
        return [read_event(source) for source in options["events"]]
    if options["events"]:
        raise ConfigurationError("--dataset and --event are two answers to one question", hint="Choose one of them.")
    return [event_bytes(case) for case in open_dataset(dataset).cases()]


def _events_of_gates(options: TuneOptions) -> list[bytes]:
    """What `preflight.toml` beside the template has for the function: its golden cases, its event; else `{}`."""
    from emulator.gates import config as gate_config  # noqa: PLC0415 - only where no event was given

    template = options["template_path"] or settled.default_path(here())
    path = template.parent / gate_config.FILE_NAME
    if not path.exists():
        return [read_event(None)]
    found = next((one for one in gate_config.read(path) if one.name == options["name"]), None)
    if found is None:
        return [read_event(None)]
    if found.dataset is None:
        return [read_event(None if found.event is None else str(found.event))]
    note(f"events: the golden cases of {found.dataset.name}, as {path.name} names them")
    return [event_bytes(case) for case in open_dataset(found.dataset).cases()]


def _sizes(options: TuneOptions) -> tuple[tuple[int, ...], tuple[tuning.LeftOut, ...]]:
    asked = tuning.SIZES if options["memory"] is None else tuning.parse_sizes(options["memory"])
    tuning.check_sizes(asked)
    machine = os.cpu_count() or 1, free_memory_mb()
    usable, left_out = tuning.representable(asked, *machine)
    if not usable:
        reasons = "; ".join(f"{each.memory_mb} MB: {each.reason}" for each in left_out)
        message = f"this machine can represent none of the sizes: {reasons}"
        raise ConfigurationError(message, hint=tuning.what_fits(*machine))
    return usable, left_out


def _measured(  # noqa: PLR0913, PLR0917 - the parts of one run
    config: FunctionConfig,
    usable: Sequence[int],
    events: list[bytes],
    opened: Backend,
    options: TuneOptions,
    progress: console.Progress,
    listed: PriceList,
) -> tuple[sweep.Rounds, Smallest | None]:
    precision_pct = options["precision_pct"]
    if precision_pct is None and options["slo"] is not None:
        precision_pct = _SLO_PRECISION_PCT
    goal = _goal(options)

    def sure(running: Mapping[int, Sequence[Series]]) -> bool:
        """By every strategy, since each is told; with an SLO the medians' precision has to do."""
        every = (replace(goal, strategy=strategy) for strategy in STRATEGIES)
        return options["slo"] is not None or all(_agreement(running, config, listed, each) >= SURE for each in every)

    effort = sweep.Effort(
        cold=options["cold"],
        warm=options["warm"],
        precision=None if precision_pct is None else precision_pct / _PERCENT,
        budget_s=options["budget_s"],
    )
    question = sweep.question_of(config, events, opened.name, effort)
    journal = sweep.Journal(cache.needed_folder() / "sweeps" / f"{question[:16]}.jsonl", question)
    if options["fresh"]:
        journal.forget()
    elif journal.read():
        note("going on with a sweep that was stopped (--fresh begins anew)")
    try:
        results = sweep.sweep(
            {size: replace(config, memory_mb=size) for size in usable},
            events,
            effort,
            run=sweep.run_round(opened),
            journal=journal,
            say=progress.say,
            order=random.Random(),  # noqa: S311 - an order, not a secret
            sure=sure,
        )
        wanted = options["smallest"]
        least = None
        if wanted or (wanted is None and options["dataset"] is not None):
            used = [
                peak
                for series in map(total, results.values())
                if (peak := series.max_memory_mb) is not None and not series.errors
            ]
            hint = math.ceil(min(used)) if used else None
            least = _smallest(config, (max(usable), hint), events, opened, progress)
    except KeyboardInterrupt:
        print_log("what was measured is kept: the same command goes on with it\n")
        raise
    journal.forget()
    return results, least


def _goal(options: TuneOptions) -> Goal:
    return Goal(strategy=options["strategy"], weight=options["weight"])


def _agreement(running: Mapping[int, Sequence[Series]], config: FunctionConfig, listed: PriceList, goal: Goal) -> float:
    """0 where nothing was answered."""
    waits = least_waits(each for rounds in running.values() for each in rounds)
    sizes = {size: own for size, rounds in running.items() if (own := owned(size, rounds, waits)) is not None}
    return agreement(sizes, tuning.usd_of(config, listed), goal) if sizes else 0.0


def _smallest(
    config: FunctionConfig,
    bounds: tuple[int, int | None],
    events: list[bytes],
    opened: Backend,
    progress: console.Progress,
) -> Smallest:
    """`bounds` are the largest size there is, and what was used there."""

    def outcomes(memory_mb: int) -> bisection.Outcomes:
        progress.say(f"smallest memory: {memory_mb} MB")
        at = replace(config, memory_mb=memory_mb)
        with LambdaService({at.name: at}, sweep.Lent(opened), freeze=False) as service:
            return bisection.outcomes_of(service, at, events)

    return bisection.smallest(outcomes, tuning.LEAST_MB, *bounds)
