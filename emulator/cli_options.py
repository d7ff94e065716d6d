"""Options that more than one command takes."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from emulator.sandbox import CHOICES


def _parameters(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in (pair for value in values for pair in shlex.split(value)):
        name, equals, value = pair.partition("=")
        if name == "ParameterKey":  # the longer form that `sam` takes as well
            name, equals, value = value.partition(",ParameterValue=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE")
        found[name] = value
    return found


template_option = click.option(
    "-t",
    "--template",
    "template_path",
    type=click.Path(path_type=Path),
    help="SAM template (default: template.yaml, .yml or .json here).",
)
overrides_option = click.option(
    "--parameter-overrides",
    "parameters",
    multiple=True,
    callback=_parameters,
    metavar="NAME=VALUE…",
    help="Values for the template's parameters.",
)
variables_option = click.option(
    "-n",
    "--env-vars",
    "variables",
    type=click.Path(path_type=Path),
    metavar="ENV.json",
    help="Environment variables, as for sam local.",
)
network_option = click.option("--network", metavar="NAME", help="Docker network for the function (default: none).")
idle_option = click.option(
    "--idle-timeout",
    "idle_s",
    type=click.FloatRange(min=1),
    default=330.0,  # cold starts after 300 to 360 s of idleness (EuroSys 2026, arXiv 2506.01283, measured 2025)
    show_default=True,
    metavar="S",
    help="Close environments that have been idle for so long.",
)
backend_option = click.option(
    "--backend",
    type=click.Choice(CHOICES),
    default="auto",
    envvar="PREFLIGHT_BACKEND",
    show_default=True,
    show_envvar=True,
    help="What isolates the function.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
unused_backend_option = click.option(
    "--backend",
    type=click.Choice(CHOICES),
    expose_value=False,
    help="Taken as everywhere; nothing is run here.",
)
events_option = click.option(
    "-e",
    "--event",
    "events",
    multiple=True,
    metavar="FILE",
    help="Event as JSON; several are sent in turn (default: {}).",
)
prices_option = click.option(
    "--prices", "prices_path", type=click.Path(path_type=Path), metavar="FILE", help="Other prices, as TOML."
)
calibration_option = click.option(
    "--calibration",
    "calibration_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where `preflight calibrate` keeps its factors (default: in the cache folder).",
)
outputs_option = click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write a file; its suffix says which: .json, .html (cost: .png, .svg too).",
)
