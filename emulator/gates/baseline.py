"""The baseline: figures of an earlier run, small enough to commit, with where and by what they were measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from emulator.errors import ConfigurationError
from emulator.gates.verdicts import Baseline
from emulator.machine import Machine
from emulator.metrics import Measurement

SCHEMA: Final = "lambda-preflight/baseline/1"
FILE_NAME: Final = "preflight-baseline.json"
_HINT: Final = "Remove the file and write it anew: preflight gate --update-baseline"
_DIGITS: Final = 6
_COMPARED: Final = ("architecture", "cpu", "cpus", "kernel")


def as_json(  # noqa: PLR0913 - one keyword for each part of the file
    measurements: Mapping[str, tuple[Measurement, ...]],
    *,
    kept: Mapping[str, Mapping[str, float]],
    machine: Machine,
    backend: str,
    versions: Mapping[str, str],
    started: str,
) -> str:
    """The file's text, sorted, so that a diff is small; `kept` are the figures of functions that were not measured."""
    value = {
        "schema": SCHEMA,
        "started": started,
        "machine": {name: getattr(machine, name) for name in _COMPARED},
        "backend": backend,
        "versions": dict(versions),
        "functions": {
            **{name: dict(figures) for name, figures in kept.items()},
            **{
                name: {one.name: round(one.value, _DIGITS) for one in figures if one.value is not None}
                for name, figures in measurements.items()
            },
        },
    }
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read(path: Path) -> Mapping[str, Any]:
    """The file, checked; ConfigurationError where it is not one of ours."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the baseline {path} cannot be read: {error.strerror}", hint=_HINT) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the baseline {path} is not JSON: {error}", hint=_HINT) from error
    found = value.get("schema") if isinstance(value, dict) else None
    if found != SCHEMA:
        message = f"the baseline {path} has the schema {found!r} and should have {SCHEMA!r}"
        raise ConfigurationError(message, hint=_HINT)
    if not _sound(value):
        raise ConfigurationError(f"the baseline {path} is damaged", hint=_HINT)
    checked: Mapping[str, Any] = value
    return checked


def of_function(value: Mapping[str, Any], name: str, source: str, differences: tuple[str, ...]) -> Baseline | None:
    """What the file says of one function; None where it does not have it."""
    figures = value["functions"].get(name)
    return None if figures is None else Baseline(values=figures, source=source, differences=differences)


def differences(
    value: Mapping[str, Any], *, machine: Machine, backend: str, versions: Mapping[str, str]
) -> Iterator[str]:
    """What is not as it was: machine, backend, versions. Figures of another machine are no measure for this one."""
    for name in _COMPARED:
        before, now = value["machine"].get(name), getattr(machine, name)
        if before != now:
            yield f"{name.replace('_', ' ')} was {before}, is {now}"
    if value["backend"] != backend:
        yield f"backend was {value['backend']}, is {backend}"
    for name in sorted({*value["versions"], *versions}):
        before, now = value["versions"].get(name), versions.get(name)
        if before != now:
            yield f"{name} was {before or 'not there'}, is {now or 'not there'}"


def _sound(value: Mapping[str, Any]) -> bool:
    tables = all(isinstance(value.get(key), dict) for key in ("machine", "versions", "functions"))
    return (
        tables
        and isinstance(value.get("backend"), str)
        and all(
            isinstance(figures, dict)
            and all(isinstance(one, int | float) and not isinstance(one, bool) for one in figures.values())
            for figures in value["functions"].values()
        )
    )
