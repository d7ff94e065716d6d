"""`preflight cost`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from emulator import calibration, console, output_files
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
from emulator.cli_setup import backend, function
from emulator.errors import ConfigurationError
from emulator.pricing import monthly, prices
from emulator.pricing import report as cost_report
from emulator.sandbox import Choice

if TYPE_CHECKING:
    from emulator.calibration import Calibration
    from emulator.config import FunctionConfig
    from emulator.pricing.monthly import Profile

_SUFFIXES = (".json", ".html", ".png", ".svg")
_PERCENT = 100


class CostOptions(TypedDict):
    """What `preflight cost` is told, as click hands it over."""

    name: str
    requests: float
    template_path: Path | None
    parameters: dict[str, str]
    events: tuple[str, ...]
    variables: Path | None
    memory_mb: int | None
    cold: int
    warm: int
    billed_ms: float | None
    init_ms: float | None
    cold_share_pct: float | None
    event_kb: float
    provisioned: int
    free_tier: bool
    prices_path: Path | None
    calibration_path: Path | None
    outputs: tuple[Path, ...]
    backend: Choice
    as_json: bool


@click.command
@click.argument("name")
@click.option(
    "--requests-per-month",
    "requests",
    type=click.FloatRange(min=1, max=1e12),
    required=True,
    metavar="N",
    help="Volume to reckon with.",
)
@template_option
@overrides_option
@events_option
@variables_option
@click.option("--memory", "memory_mb", type=int, metavar="MB", help="Instead of the template's MemorySize.")
@click.option(
    "--cold", type=click.IntRange(min=1), default=3, show_default=True, metavar="N", help="Cold starts to measure."
)
@click.option(
    "--warm",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar="N",
    help="Warm invocations to measure.",
)
@click.option(
    "--billed-ms",
    type=click.FloatRange(min=1),
    metavar="MS",
    help="Billed Duration of a warm one (needs --init-ms): nothing is run.",
)
@click.option("--init-ms", type=click.FloatRange(min=0), metavar="MS", help="Init Duration; goes with --billed-ms.")
@click.option(
    "--cold-share",
    "cold_share_pct",
    type=click.FloatRange(0, 100),
    metavar="PCT",
    help="Requests that meet a cold start (default: by volume, at random and one rate).",
)
@click.option(
    "--event-kb", type=click.FloatRange(min=0), default=0.0, metavar="KB", help="Size of an asynchronous event."
)
@click.option(
    "--provisioned", type=click.IntRange(min=0), default=0, metavar="N", help="Provisioned concurrency, all month."
)
@click.option("--free-tier", is_flag=True, help="Less what is free each month.")
@prices_option
@calibration_option
@outputs_option
@backend_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the tables.")
def cost(**options: Unpack[CostOptions]) -> int:
    """Say what the function NAME costs by the month, and from which volume a server is cheaper.

    The function is run here for its billed time, cold and warm, unless --billed-ms tells it.
    """
    output_files.check(options["outputs"], _SUFFIXES)
    listed = prices.load(options["prices_path"])
    config = function(options).overridden(memory_mb=options["memory_mb"])
    factor = None if options["billed_ms"] is not None else _factor(config, options)
    try:
        profile = _profile(config, options)
    except _Failed as failed:
        print_log(f"{config.name} failed: {failed}; what fails has no price\n")
        return 1
    found = monthly.spending(profile, options["requests"], listed, free_tier=options["free_tier"])
    predicted = None if factor is None else cost_report.predicted(found, factor, listed)
    told = {
        "function": config.name,
        "prices": {"region": listed.region, "date": listed.newest.isoformat()},
        "calibration": None if factor is None else factor.as_dict(),
        "predicted_usd": None if predicted is None else asdict(predicted),
    }
    document = json.dumps({**told, **found.as_dict()}) + "\n"
    output_files.write(
        options["outputs"],
        {
            ".json": document.encode,
            ".html": lambda: cost_report.as_page(config.name, found, listed),
            ".png": lambda: cost_report.chart(found, listed, "png"),
            ".svg": lambda: cost_report.chart(found, listed),
        },
    )
    if options["as_json"]:
        print_data(document.rstrip())
    else:
        print_data(cost_report.as_text(config.name, found, listed, predicted))
    return 0


class _Failed(Exception):
    """The function failed: types of errors and how often each came."""

    def __init__(self, errors: Mapping[str, int]) -> None:
        super().__init__(", ".join(f"{name} ({count} times)" for name, count in errors.items()) or "no Init phase")


def _factor(config: FunctionConfig, options: CostOptions) -> Calibration | None:
    from emulator.surroundings import read_machine  # noqa: PLC0415 - nothing is read where --billed-ms tells

    return calibration.wanted(options["calibration_path"], config.name, read_machine().cpu)


def _profile(config: FunctionConfig, options: CostOptions) -> Profile:
    """Told by --billed-ms, or measured here."""
    share = options["cold_share_pct"]
    warm_ms, cpu_ms = options["billed_ms"], None
    if warm_ms is not None:
        if options["init_ms"] is None:
            hint = "Give the Init Duration of a REPORT line, or --init-ms 0 where there is none."
            raise ConfigurationError("--billed-ms needs --init-ms: what a cold start costs is not known", hint=hint)
        cold_ms = warm_ms + options["init_ms"]
    elif options["init_ms"] is not None:
        raise ConfigurationError("--init-ms goes with --billed-ms", hint="Both are on a REPORT line.")
    else:
        warm_ms, cold_ms, cpu_ms = _measured(config, options)
    return monthly.Profile(
        memory_mb=config.memory_mb,
        architecture=config.architecture,
        warm_billed_ms=warm_ms,
        cold_billed_ms=cold_ms,
        ephemeral_storage_mb=config.ephemeral_storage_mb,
        event_kb=options["event_kb"],
        cold_share=None if share is None else share / _PERCENT,
        cpu_ms=cpu_ms,
        provisioned=options["provisioned"],
    )


def _measured(config: FunctionConfig, options: CostOptions) -> tuple[float, float, float | None]:
    """Billed milliseconds warm and cold, and CPU milliseconds warm: means, since means are what is paid."""
    from emulator.service import LambdaService, validate  # noqa: PLC0415 - see above
    from emulator.tune import sampling  # noqa: PLC0415 - nothing is run where --billed-ms tells

    events = [read_event(source) for source in options["events"] or (None,)]
    validate(config)
    series = sampling.Series()
    with console.Progress(quiet=options["as_json"]) as progress:
        opened = backend(options["backend"], progress.say, ending="leave")
        if not options["as_json"]:
            progress.done()
            print_log(console.capability_line(opened) + "\n")
        with LambdaService({config.name: config}, opened, freeze=False) as service:
            for text in console.notes(config, opened):
                note(text)
            turns = sampling.endless(events)
            for number in range(options["cold"]):
                progress.say(f"measuring: cold start {number + 1} of {options['cold']}")
                warm = math.ceil((options["warm"] - len(series.warm)) / (options["cold"] - number))
                series += sampling.round_of(service, config.name, turns, warm)
    if series.errors or not series.good_cold or not series.good_warm:
        raise _Failed(series.errors)
    if opened.capabilities.cpu == "none":
        note(f"the CPU share is not held here: durations are those of a whole core, not of {config.memory_mb} MB")
    taken = sampling.undisturbed(series, sampling.least_waits([series]))
    if len(taken.warm) < len(series.warm):
        left = len(series.warm) - len(taken.warm)
        note(f"other work on this machine disturbed {left} invocations, which are left out")
    series = taken
    warm_ms, error = sampling.mean_and_error(sample.billed_ms for sample in series.good_warm)
    cold_ms, _ = sampling.mean_and_error(sample.billed_ms for sample in series.good_cold)
    if error is not None:
        note(f"measured: {warm_ms:.1f} ± {error:.1f} ms billed over {len(series.good_warm)} warm invocations")
    used = [sample.cpu_ms for sample in series.good_warm if sample.cpu_ms is not None]
    return warm_ms, cold_ms, (sampling.mean_and_error(used)[0] if used else None)
