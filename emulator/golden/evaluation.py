"""Golden datasets: what a case is, and what became of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator.intervals import Estimate
from emulator.invocation import FunctionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of a golden dataset; `event` and `expected` are JSON values, `line` counts from 1."""

    id: str
    event: Any
    expected: Any
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One answered case. `value` is what the scorer gives this case alone: 1 right, 0 wrong, or a custom score.

    For a correlation, which no single case has, it is minus the distance between the two numbers.
    """

    case_id: str
    expected: Any
    answer: Any
    value: float
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A case that has no answer to score: the function failed, or its payload holds nothing at the answer's path."""

    case_id: str
    line: int
    event: Any
    payload: Any
    error: FunctionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Against the answers of another model to the same cases, case by case; `reference` names their file.

    `agreement` is the share of equal answers and `largest_difference` that between numbers (None for labels), at
    `largest_case`. `loss` is the reference's score minus ours, its interval from resampling both together: the paired
    interval is many times narrower than those of the two scores.
    """

    reference: str
    n: int
    agreement: float
    largest_difference: float | None
    largest_case: str | None
    reference_score: float
    loss: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A golden dataset, answered and scored. `score` is None where no case was answered.

    `scores` are in the dataset's order, failed cases left out; a failed case counts as wrong for accuracy, exact,
    macro_f1 and custom scorers, and is left out of a correlation.
    """

    dataset: str
    sha256: str
    scorer: str
    answer: str
    cases: int
    score: Estimate | None
    scores: tuple[Score, ...]
    failures: tuple[Failure, ...]
    comparison: Comparison | None = None
    seconds: float = 0.0
    environments: int = 1
    resumed: int = 0
    """Cases whose answers came from the journal of an interrupted run."""
    cpu_flags: tuple[str, ...] = ()

    @property
    def rate(self) -> float | None:
        """Cases a second in this run, environments' starts included."""
        done = self.cases - self.resumed
        return done / self.seconds if self.seconds and done else None
