"""Reports in files, the format chosen by suffix: one function for each, imported when it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from emulator import output_files
from emulator.report.base import Report


def _json(report: Report) -> bytes:
    from emulator.report.json import as_json  # noqa: PLC0415 - each format has imports of its own

    return as_json(report).encode()


def _markdown(report: Report) -> bytes:
    from emulator.report.markdown import as_markdown  # noqa: PLC0415 - see above

    return as_markdown(report)


def _junit(report: Report) -> bytes:
    from emulator.report.junit import as_junit  # noqa: PLC0415 - see above

    return as_junit(report)


def _html(report: Report) -> bytes:
    from emulator.report.html import as_page  # noqa: PLC0415 - see above

    return as_page(report)


FORMATS: Final[Mapping[str, Callable[[Report], bytes]]] = MappingProxyType(
    {".json": _json, ".md": _markdown, ".xml": _junit, ".html": _html}
)
"""A further format is a module `report_NAME` and a line here."""


def check(paths: Sequence[Path]) -> None:
    """ConfigurationError, before anything runs, for a suffix not in `FORMATS` and for what cannot be written."""
    output_files.check(paths, tuple(FORMATS))


def write(report: Report, paths: Sequence[Path]) -> None:
    """Each file whole or not at all."""
    output_files.write(paths, {suffix: partial(make, report) for suffix, make in FORMATS.items()})
