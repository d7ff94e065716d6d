"""Scorers: what one answer is worth, case by case. What all cases together come to is in `scoring`."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

from emulator.errors import ConfigurationError
from emulator.golden.evaluation import Score

Kind = Literal["mean", "f1", "correlation"]
NAMES: Final = ("accuracy", "macro_f1", "spearman", "pearson", "exact")
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """How answers become one figure. `one` scores a case alone; `kind` says how cases become the whole's score."""

    name: str
    kind: Kind
    one: Callable[[Any, Any], float]
    numeric: bool = False
    binary: bool = False
    """Every case is right or wrong."""


def find(name: str, folder: Path) -> Scorer:
    """One of ours, or the function `module:function` of `folder` or the Python path; ConfigurationError for no such."""
    if name in {"accuracy", "exact"}:
        return Scorer(name=name, kind="mean", one=equal, binary=True)
    if name == "macro_f1":
        return Scorer(name=name, kind="f1", one=equal)
    if name in {"spearman", "pearson"}:
        return Scorer(name=name, kind="correlation", one=_nearness, numeric=True)
    if ":" in name:
        return Scorer(name=name, kind="mean", one=_custom(name, folder))
    near = get_close_matches(name, NAMES, n=2)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(NAMES)}, and module:function."
    raise ConfigurationError(f"there is no scorer {name!r}", hint=hint)


def score_case(scorer: Scorer, case_id: str, expected: Any, answer: Any) -> Score | str:  # noqa: ANN401 - JSON
    """The case's score, or why the answer cannot be scored; ConfigurationError where the dataset or scorer is wrong."""
    if scorer.numeric:
        if not is_number(expected):
            message = f"case {case_id}: {scorer.name} needs numbers, and what is expected is {shown(expected)}"
            raise ConfigurationError(message, hint="Choose another scorer: accuracy, macro_f1 or exact.")
        if not is_number(answer):
            return f"the answer {shown(answer)} is not a number"
    return Score(case_id=case_id, expected=expected, answer=answer, value=scorer.one(expected, answer))


def _custom(name: str, folder: Path) -> Callable[[Any, Any], float]:
    module_name, _, function_name = name.partition(":")
    hint = "It is `module:function`, and the function takes (expected, answer) and returns a number."
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # the user's own module: it is told
        raise ConfigurationError(
            f"the scorer {name} cannot be had: {type(error).__name__}: {error}", hint=hint
        ) from error
    finally:
        sys.path[:] = before

    def one(expected: object, answer: object) -> float:
        try:
            value = float(function(expected, answer))
        except Exception as error:  # the same
            message = f"the scorer {name} raised {type(error).__name__}: {error}"
            raise ConfigurationError(message, hint=f"It was given {shown(expected)} and {shown(answer)}.") from error
        if not math.isfinite(value):
            raise ConfigurationError(f"the scorer {name} returned {value}", hint=hint)
        return value

    return one


def equal(expected: object, answer: object) -> float:
    """1 where both are the same JSON: true is not 1, and 1.0 is 1."""
    return float(canonical(expected) == canonical(answer))


def _nearness(expected: float, answer: float) -> float:
    return -abs(float(expected) - float(answer))


def is_number(value: object) -> bool:
    """A finite JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def label(value: object) -> str:
    """A JSON value as the text by which labels are told apart; a string stays what it is."""
    return value if isinstance(value, str) else canonical(value)


def canonical(value: object) -> str:
    """The same text for the same JSON, whatever the order of its keys: 1.0 is 1, and true is neither."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return f"[{','.join(map(canonical, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(key)}:{canonical(value[key])}' for key in sorted(value))}}}"
    return json.dumps(value)


def shown(value: object) -> str:
    """A JSON value for a message, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
