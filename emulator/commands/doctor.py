"""`preflight doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from emulator import doctor as examination
from emulator import template
from emulator.cli_options import backend_option, template_option
from emulator.sandbox import Choice


@click.command
@template_option
@backend_option
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
def doctor(template_path: Path | None, backend: Choice, as_json: bool) -> int:  # noqa: FBT001 - click hands flags over by name
    """Say what this machine can enforce and what it cannot, and how to mend it."""
    functions = template.load(template_path).all() if template_path is not None else ()
    findings = examination.examine(backend, functions)
    click.echo(json.dumps(findings.as_dict()) if as_json else examination.as_text(findings))
    return 0 if findings.usable else 3
