"""`preflight calibrate`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from emulator import calibration, console, output_files
from emulator.cli_events import read_event
from emulator.cli_options import backend_option, calibration_option, overrides_option, template_option, variables_option
from emulator.cli_output import print_data, print_log
from emulator.cli_setup import backend, function, refuse_without_quota
from emulator.errors import ConfigurationError
from emulator.sandbox import Choice
from emulator.service import validate
from emulator.spec import free_memory_mb
from emulator.surroundings import read_machine
from emulator.tune import sampling, sweep, tuning

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.sandbox.base import Backend


class CalibrateOptions(TypedDict):
    """What `preflight calibrate` is told, as click hands it over."""

    name: str
    report: Path
    template_path: Path | None
    parameters: dict[str, str]
    variables: Path | None
    event: str | None
    cold: int
    warm: int
    calibration_path: Path | None
    backend: Choice
    as_json: bool


@click.command
@click.argument("name")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="REPORT lines of the real function for this event; - for standard input.",
)
@template_option
@overrides_option
@variables_option
@click.option(
    "-e", "--event", "event", metavar="FILE", help="The event that the real function was given (default: {})."
)
@click.option(
    "--cold", type=click.IntRange(min=1), default=5, show_default=True, metavar="N", help="Cold starts to measure."
)
@click.option(
    "--warm", type=click.IntRange(min=2), default=50, show_default=True, metavar="N", help="Warm invocations."
)
@calibration_option
@backend_option
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
def calibrate(**options: Unpack[CalibrateOptions]) -> int:
    """Compare the function NAME on real Lambda with this machine, and keep the factor for predictions.

    The real one is told by REPORT lines, the other is run here with the same event at the same memory size. `tune` and
    `cost` show predictions beside what they measure, never in its place.
    """
    reports = calibration.parse_reports(_text(options["report"]))
    kept = options["calibration_path"] or calibration.default_path()
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    output_files.check_place(kept, "--calibration")
    config = function(options)
    validate(config)
    sizes = sorted({line.memory_mb for line in reports})
    tuning.check_sizes(sizes)
    _, left_out = tuning.representable(sizes, os.cpu_count() or 1, free_memory_mb())
    for each in left_out:
        raise ConfigurationError(f"{each.memory_mb} MB cannot be compared: {each.reason}", hint="Give other lines.")
    payload = read_event(options["event"])
    with console.Progress(quiet=options["as_json"]) as progress:
        opened = backend(options["backend"], progress.say, ending="leave")
        if not options["as_json"]:
            progress.done()
            print_log(console.capability_line(opened) + "\n")
        try:
            refuse_without_quota(opened)
            measured = {
                size: _series(replace(config, memory_mb=size), payload, opened, options, progress) for size in sizes
            }
        finally:
            opened.close()
    failed = {name for series in measured.values() for name in series.errors}
    if failed:
        print_log(f"{config.name} failed here: {', '.join(sorted(failed))}; nothing was compared\n")
        return 1
    ours = {
        size: (
            [sample.duration_ms for sample in series.good_warm],
            [sample.init_ms for sample in series.good_cold if sample.init_ms is not None],
        )
        for size, series in measured.items()
    }
    found = calibration.calibrate(config.name, read_machine().cpu, reports, ours)
    output_files.write([kept], {kept.suffix.lower(): calibration.with_entry(kept, found).encode})
    print_data(json.dumps(found.as_dict()) if options["as_json"] else calibration.as_text(found, kept))
    return 0


def _series(
    config: FunctionConfig, payload: bytes, opened: Backend, options: CalibrateOptions, progress: console.Progress
) -> sampling.Series:
    run, series = sweep.run_round(opened), sampling.Series()
    for number in range(options["cold"]):
        progress.say(f"{config.memory_mb} MB: cold start {number + 1} of {options['cold']}")
        series += run(config, sampling.endless([payload]), -(-options["warm"] // options["cold"]))
    return series


def _text(path: Path) -> str:
    """The log's text; ConfigurationError where it cannot be read."""
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except (OSError, AttributeError) as error:  # standard input can be closed
        raise ConfigurationError(f"the REPORT lines {path} cannot be read", hint="See --report.") from error
    return raw.decode("utf-8", "replace")
