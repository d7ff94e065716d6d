"""`preflight.toml`: what is measured of each function, and its thresholds. Checked whole before anything runs."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from emulator.errors import ConfigurationError
from emulator.gates.verdicts import RULES, Gate, Rule
from emulator.measure import COLD_STARTS, WARM_CALLS
from emulator.metrics import NAMES

FILE_NAME: Final = "preflight.toml"
_KEYS: Final = ("dataset", "answer", "scorer", "reference", "event", "cold_starts", "warm_calls", "gates")
_GATE_KEYS: Final = (*RULES, "level", "reason")
_LEVELS: Final = ("fail", "warn")
_MOST: Final = 10_000

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionGates:
    """One `[functions.NAME]`; paths are whole, relative ones being relative to the file."""

    name: str
    gates: tuple[Gate, ...]
    dataset: Path | None = None
    answer: str = ""
    scorer: str = "accuracy"
    reference: Path | None = None
    event: Path | None = None
    cold_starts: int = COLD_STARTS
    warm_calls: int = WARM_CALLS


def read(path: Path) -> tuple[FunctionGates, ...]:
    """The functions in the file's order; ConfigurationError, with the nearest names, for what it must not hold."""
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        hint = "It lies beside the template; `--config FILE` names another. README shows one."
        raise ConfigurationError(f"there is no {path}", hint=hint) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="See --config.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 at byte {error.start}", hint="TOML is UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}", hint="README shows one.") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path} is nested too deeply", hint="README shows one.") from error
    return parse(table, path)


def parse(table: Mapping[str, Any], path: Path) -> tuple[FunctionGates, ...]:
    """The same of a table that was read; pure."""
    top = _Reader(path, "the file", table)
    top.only(("functions",))
    functions = top.get("functions", dict, {})
    if not functions:
        raise ConfigurationError(f"{path} names no function", hint="Each has a table: [functions.NAME]")
    return tuple(_function(_Reader(path, f"functions.{name}", found), name) for name, found in functions.items())


def gate(metric: str, table: Mapping[str, Any], path: Path, place: str) -> Gate:
    """One gate that stands elsewhere than in the file, at `place` in `path`, with the same rules."""
    if metric not in NAMES:
        raise ConfigurationError(f"{path}, {place}: unknown metric {metric!r}", hint=nearest(metric, NAMES))
    return _gate(_Reader(path, place, {metric: dict(table)}), metric)


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint: the nearest names, or all of them where none is near."""
    known = list(names)
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}."


class _Reader:
    """One table of the file, and how its place is called."""

    def __init__(self, path: Path, place: str, value: object) -> None:
        self.path = path
        self.place = place
        if not isinstance(value, dict):
            self.refuse(f"it is {_kind(value)} and should be a table", "README shows one.")
        self.table: dict[str, Any] = value

    def only(self, keys: Iterable[str]) -> None:
        """Refuse every other key."""
        for key in self.table:
            if key not in keys:
                self.refuse(f"unknown key {key!r}", nearest(key, keys))

    def get(self, key: str, kind: type[_Value], default: _Value) -> _Value:
        """The key's value, of that type; a whole number will do for a fraction."""
        value = self.table.get(key, default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.refuse(f"{key} is {_kind(value)} and should be {_KINDS[kind]}")
        return value

    def path_of(self, key: str) -> Path | None:
        """A file beside ours."""
        if key not in self.table:
            return None
        text = self.get(key, str, "")
        if not text or "\0" in text:
            self.refuse(f"{key} names no file")
        return self.path.parent / text

    def count(self, key: str, default: int, least: int) -> int:
        """A whole number in bounds."""
        value = self.get(key, int, default)
        if not least <= value <= _MOST:
            self.refuse(f"{key} is {value} and should be {least} to {_MOST}")
        return value

    def refuse(self, what: str, hint: str | None = None) -> NoReturn:
        """One message with the place."""
        raise ConfigurationError(f"{self.path}, {self.place}: {what}", hint=hint)


_KINDS: Final = {str: "text", int: "a whole number", float: "a number", dict: "a table"}


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    return _KINDS.get(type(value), type(value).__name__)


def _function(reader: _Reader, name: str) -> FunctionGates:
    reader.only(_KEYS)
    dataset = reader.path_of("dataset")
    if dataset is None:
        for key in ("answer", "scorer", "reference"):
            if key in reader.table:
                reader.refuse(f"{key} without a dataset", 'Name one: dataset = "golden.jsonl"')
    elif "event" in reader.table:
        reader.refuse("event beside a dataset", "The first case of the dataset is the event of every cold start.")
    gates = _Reader(reader.path, f"{reader.place}.gates", reader.get("gates", dict, {}))
    return FunctionGates(
        name=name,
        gates=tuple(_gate(gates, metric) for metric in gates.table),
        dataset=dataset,
        answer=reader.get("answer", str, ""),
        scorer=reader.get("scorer", str, "accuracy"),
        reference=reader.path_of("reference"),
        event=reader.path_of("event"),
        cold_starts=reader.count("cold_starts", COLD_STARTS, 1),
        warm_calls=reader.count("warm_calls", WARM_CALLS, 0),
    )


def _gate(gates: _Reader, metric: str) -> Gate:
    if metric not in NAMES:
        gates.refuse(f"unknown metric {metric!r}", nearest(metric, NAMES) + ' A metric is quoted: "init.p95_ms" = …')
    reader = _Reader(gates.path, f'{gates.place}."{metric}"', gates.table[metric])
    reader.only(_GATE_KEYS)
    limits: dict[Rule, float] = {}
    for rule in RULES:
        if rule in reader.table:
            limits[rule] = value = reader.get(rule, float, 0.0)
            if not math.isfinite(value) or (value < 0 and rule.startswith("max_increase")):
                reader.refuse(f"{rule} is {value}")
    if not limits:
        reader.refuse("no threshold", f"One at least of {', '.join(RULES)}.")
    if limits.get("min", -math.inf) > limits.get("max", math.inf):
        reader.refuse("min is above max: nothing passes both")
    level = reader.get("level", str, "fail")
    if level not in _LEVELS:
        reader.refuse(f"level {level!r}", nearest(level, _LEVELS))
    return Gate(
        metric=metric,
        limits=limits,
        level="warn" if level == "warn" else "fail",
        reason=reader.get("reason", str, ""),
    )
