"""Tells what a package weighs, for the two commands that weigh one."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from emulator.cli_output import print_data
from emulator.errors import QuotaError

if TYPE_CHECKING:
    from emulator.package import Weight
    from emulator.package.build import Package

_WIDEST = 100


def tell(weight: Weight, *, as_json: bool, top: int, built: Package | None = None) -> int:
    """Print it, and what was written; QuotaError, in AWS's words, where Lambda would refuse it."""
    from emulator.package_report import as_dict, as_text, built_dict, built_lines  # noqa: PLC0415 - rich takes its time

    if as_json:
        print_data(json.dumps({**as_dict(weight), **(built_dict(built) if built else {})}))
    else:
        width = min(_WIDEST, shutil.get_terminal_size((80, 24)).columns)
        lines = built_lines(built) if built else ()
        print_data("\n".join([*lines, as_text(weight, top=top, width=width)]))
    for finding in weight.findings:
        if weight.refused and finding.code in {"unzipped", "image"}:
            raise QuotaError(
                f"{weight.name}: {finding.subject}", hint=f"{finding.message} {finding.hint or ''}".strip()
            )
    return 0 if weight.loads else 1
