"""Measurements and thresholds in, verdicts out. Not measured is not passed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from emulator.metrics import Evidence, Measurement

Status = Literal["PASS", "FAIL", "NOT_MEASURED", "WARN"]
Rule = Literal["max", "min", "max_increase", "max_increase_pct"]
Level = Literal["fail", "warn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The thresholds of one metric; `limits` holds those that were given. `max` and `min` are still allowed.

    `max_increase` and `max_increase_pct` are against the baseline. A gate of level `warn` never fails the run.
    """

    metric: str
    limits: Mapping[Rule, float]
    level: Level = "fail"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One threshold of one function, judged. `limit` is in the metric's unit, a relative one already worked out.

    `by` says how far past the limit the value is, in the metric's unit (negative: what is left); `message` says all of
    it in one sentence and `look_at` where to begin. `close` is set where the limit lies within the value's interval.
    """

    metric: str
    status: Status
    rule: Rule
    threshold: float
    level: Level
    measurement: Measurement
    limit: float | None = None
    baseline: float | None = None
    by: float | None = None
    close: bool = False
    reason: str = ""
    message: str = ""
    look_at: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether this verdict alone makes the run fail."""
        return self.level == "fail" and self.status in {"FAIL", "NOT_MEASURED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What an earlier run measured of one function, metric by metric; `differences` say what is not as it was then."""

    values: Mapping[str, float]
    source: str
    differences: tuple[str, ...] = field(default=())


def judge(
    measurements: Iterable[Measurement],
    gates: Iterable[Gate],
    *,
    evidence: Evidence | None = None,
    baseline: Baseline | None = None,
) -> tuple[Verdict, ...]:
    """One verdict for each threshold, in the gates' order; `evidence` gives the advice of a failed one."""
    raise NotImplementedError
