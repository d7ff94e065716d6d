"""The event that a command is given, checked to be JSON that Lambda takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import BinaryIO, NoReturn

from emulator.errors import ConfigurationError, QuotaError
from emulator.limits import check, quota


def read_event(source: str | None) -> bytes:
    """The event's bytes, checked to be JSON: a file, standard input for `-`, `{}` for None."""
    if source is None:
        return b"{}"
    label = "standard input" if source == "-" else source
    if source == "-" and sys.stdin is None:
        raise ConfigurationError("standard input is closed, so it holds no event", hint="See -e/--event.")
    try:
        raw = _read_some(sys.stdin.buffer) if source == "-" else _read_file(Path(source))
    except OSError as error:
        is_json = source.lstrip()[:1] in {"{", "["}
        hint = "-e takes a file; pipe the JSON itself into `-e -`." if is_json else "-e takes a file of JSON, or -."
        raise ConfigurationError(f"the event {label} cannot be read: {error.strerror}", hint=hint) from error
    for violation in check("request", {"Request": len(raw)}):
        raise QuotaError(violation.message, hint=violation.hint)
    hint = "An event is one JSON document in UTF-8: an object, a list, a string, a number, true, false or null."
    if not raw.strip():
        raise ConfigurationError(f"the event {label} is empty", hint=hint)
    try:
        json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        message = f"the event {label} is not UTF-8: {error.reason} at byte {error.start}"
        raise ConfigurationError(message, hint=hint) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError(f"the event {label} is not JSON: {error.msg} ({where})", hint=hint) from error
    except (ValueError, RecursionError) as error:  # an endless number, endless nesting
        raise ConfigurationError(f"the event {label} is not JSON that Lambda reads: {error}", hint=hint) from error
    return raw


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _read_some(file)


def _read_some(file: BinaryIO) -> bytes:
    """One byte more than Lambda takes is enough to know that it is too much: the rest may have no end."""
    return file.read((quota("Request").maximum or 0) + 1)


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)
