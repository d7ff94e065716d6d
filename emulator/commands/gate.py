"""`preflight gate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import click

from emulator import console, settled
from emulator.cli_events import read_event
from emulator.cli_options import backend_option, network_option, overrides_option, template_option, variables_option
from emulator.cli_output import note, print_data, print_log
from emulator.cli_setup import backend, here
from emulator.sandbox import Choice

if TYPE_CHECKING:
    from emulator.gates.run import Compared, Task
    from emulator.progress import Bar
    from emulator.report.base import Report


class GateOptions(TypedDict):
    """What `preflight gate` is told, as click hands it over."""

    names: tuple[str, ...]
    template_path: Path | None
    parameters: dict[str, str]
    variables: Path | None
    config_path: Path | None
    outputs: tuple[Path, ...]
    baseline: Path | None
    update_baseline: bool
    page_cache: Literal["warm", "dropped"]
    fresh: bool
    network: str | None
    backend: Choice
    as_json: bool


@click.command
@click.argument("names", metavar="[NAME]…", nargs=-1)
@template_option
@overrides_option
@variables_option
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Gates (default: preflight.toml beside the template).",
)
@click.option(
    "--output",
    "outputs",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Write a report, its format by suffix; may be given again.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What to compare with (default: preflight-baseline.json beside the gates, if it is there).",
)
@click.option("--update-baseline", is_flag=True, help="Write the baseline anew.")
@click.option(
    "--page-cache",
    type=click.Choice(("warm", "dropped")),
    default="warm",
    show_default=True,
    help="Before each cold start: as the last one left it, or without the function's files.",
)
@click.option("--fresh", is_flag=True, help="Forget the answers of a run that was interrupted.")
@network_option
@backend_option
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on standard output.")
def gate(**options: Unpack[GateOptions]) -> int:
    """Measure the functions of preflight.toml (or NAME…) and judge them, verdict by verdict.

    The exit status is 1 when a gate failed or could not be measured.
    """
    from emulator.gates import run as gate_run  # noqa: PLC0415 - what other commands need not wait for
    from emulator.output_files import check_place, write_whole  # noqa: PLC0415 - see above
    from emulator.progress import Bar  # noqa: PLC0415 - see above
    from emulator.report import files as report_files  # noqa: PLC0415 - what other commands need not wait for

    template = options["template_path"] or settled.default_path(here())
    config_path = options["config_path"] or template.parent / "preflight.toml"
    report_files.check(options["outputs"])
    target, compared = _baseline(options, config_path)
    if options["update_baseline"]:
        check_place(target, "--baseline")
    with Bar(quiet=options["as_json"]) as bar:
        tasks = _tasks(options, template, config_path)
        report = _run(tasks, options, bar, compared)
    if options["update_baseline"]:
        write_whole(target, gate_run.baseline_text(report, compared).encode(), "--baseline")
    report_files.write(report, options["outputs"])
    _print(report, as_json=options["as_json"])
    if options["update_baseline"]:
        note(f"the baseline {target} was written")
    return 1 if report.failed else 0


def _baseline(options: GateOptions, config_path: Path) -> tuple[Path, Compared | None]:
    """Where the baseline lies, and what it says where it is there; one that was named must be."""
    from emulator.gates import baseline  # noqa: PLC0415 - see above
    from emulator.gates.run import Compared  # noqa: PLC0415 - see above

    named = options["baseline"]
    target = named or config_path.parent / baseline.FILE_NAME
    if not target.exists() and (named is None or options["update_baseline"]):
        return target, None
    return target, Compared(value=baseline.read(target), source=target.name)


def _tasks(options: GateOptions, template: Path, config_path: Path) -> tuple[Task, ...]:
    """Everything is read and checked before a sandbox is started."""
    from emulator.gates import config as gate_config  # noqa: PLC0415 - see above
    from emulator.gates import run as gate_run  # noqa: PLC0415 - see above

    gates = gate_run.chosen(gate_config.read(config_path), options["names"], config_path)
    plans = []
    for one in gates:
        config = settled.function(template, one.name, parameters=options["parameters"], variables=options["variables"])
        plans.append(
            gate_run.plan(
                one,
                config,
                folder=config_path.absolute().parent,
                read_event=read_event,
                page_cache=options["page_cache"],
                fresh=options["fresh"],
            )
        )
    return gate_run.tasks(gates, plans)


def _run(tasks: tuple[Task, ...], options: GateOptions, bar: Bar, compared: Compared | None) -> Report:
    from emulator.gates import run as gate_run  # noqa: PLC0415 - see above

    opened = backend(options["backend"], bar.say, ending="leave", network=options["network"])
    if not options["as_json"]:
        print_log(console.capability_line(opened) + "\n")
        for text in dict.fromkeys(text for task in tasks for text in console.notes(task.plan.config, opened)):
            note(text)
    try:
        return gate_run.run(tasks, opened, bar, compared=compared, updating=options["update_baseline"])
    except KeyboardInterrupt:
        bar.done()
        if any(task.gates.dataset is not None for task in tasks):
            note("the golden answers so far are kept: the same command goes on from there")
        raise


def _print(report: Report, *, as_json: bool) -> None:
    from emulator.report.json import as_json as json_text  # noqa: PLC0415 - see above
    from emulator.report.text import as_text  # noqa: PLC0415 - see above

    if as_json:
        print_data(json_text(report).rstrip("\n"))
    else:
        print_data(as_text(report, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
