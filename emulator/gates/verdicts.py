"""Measurements and thresholds in, verdicts out. Not measured is not passed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from emulator.evidence import Evidence
from emulator.gates.advice import advice
from emulator.metrics import METRICS, Measurement

Status = Literal["PASS", "FAIL", "NOT_MEASURED", "WARN"]
Rule = Literal["max", "min", "max_increase", "max_increase_pct"]
Level = Literal["fail", "warn"]
RULES: Final[tuple[Rule, ...]] = ("max", "min", "max_increase", "max_increase_pct")

_WHOLE: Final = 1000
_ENDLESS: Final = 1e10
_WORSE: Final = {metric.name: metric.worse for metric in METRICS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The thresholds of one metric; `limits` holds those that were given. `max` and `min` are still allowed.

    `max_increase` and `max_increase_pct` are against the baseline, and mean how much worse it may get: of a metric that
    should be high, how far it may fall. A gate of level `warn` never fails the run.
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
    def word(self) -> str:
        """The status as a person reads it: what was measured and has no baseline was not compared."""
        if self.status == "NOT_MEASURED":
            return "NOT MEASURED" if self.measurement.value is None else "NOT COMPARED"
        return self.status

    @property
    def failed(self) -> bool:
        """Whether this verdict alone makes the run fail."""
        return self.level == "fail" and self.status in {"FAIL", "NOT_MEASURED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What an earlier run measured of one function, metric by metric; `differences` say what is not as it was then."""

    values: Mapping[str, float]
    source: str
    differences: tuple[str, ...] = ()


def judge(
    measurements: Iterable[Measurement],
    gates: Iterable[Gate],
    *,
    evidence: Evidence | None = None,
    baseline: Baseline | None = None,
) -> tuple[Verdict, ...]:
    """One verdict for each threshold, in the gates' order; `evidence` gives the advice of a failed one."""
    measured = {one.name: one for one in measurements}
    return tuple(
        _judge(gate, rule, measured[gate.metric], evidence, baseline)
        for gate in gates
        for rule in RULES
        if rule in gate.limits
    )


def number(value: float, unit: str = "") -> str:
    """A figure as people write it: four significant digits, thousands whole, with its unit."""
    text = f"{value:,.0f}" if _WHOLE <= abs(value) < _ENDLESS else f"{value:.4g}"
    return f"{text} {unit}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """A threshold worked out: the value must not be above `limit`, or not below it where the metric should be high."""

    rule: Rule
    threshold: float
    limit: float
    lower: bool
    baseline: float | None

    def by(self, value: float) -> float:
        """How far past it the value is."""
        return self.limit - value if self.lower else value - self.limit


def _judge(
    gate: Gate, rule: Rule, measurement: Measurement, evidence: Evidence | None, baseline: Baseline | None
) -> Verdict:
    before = None if baseline is None or rule in {"max", "min"} else baseline.values.get(gate.metric)
    value, missing = measurement.value, measurement.note or "no figure"
    if value is not None and rule not in {"max", "min"} and before is None:
        where = "there is no baseline" if baseline is None else f"{baseline.source} does not have it"
        value, missing = None, f"{where}; --update-baseline writes one"
    verdict = Verdict(
        metric=gate.metric,
        status="NOT_MEASURED",
        rule=rule,
        threshold=gate.limits[rule],
        level=gate.level,
        measurement=measurement,
        baseline=before,
        reason=gate.reason,
        message=f"not measured, so not passed: {missing}",
    )
    if value is None:
        return verdict
    bound = _bound(gate, rule, before)
    past = bound.by(value) > 0
    close = _within(bound.limit, measurement)
    return replace(
        verdict,
        status=("WARN" if gate.level == "warn" else "FAIL") if past else "PASS",
        limit=bound.limit,
        by=bound.by(value),
        close=close,
        message=_message(bound, value, measurement.unit, close=close),
        look_at=advice(gate.metric, evidence) if past and evidence is not None else (),
    )


def _bound(gate: Gate, rule: Rule, before: float | None) -> _Bound:
    threshold = gate.limits[rule]
    lower = rule == "min" or (before is not None and _WORSE[gate.metric] == "lower")
    limit = threshold
    if before is not None:
        allowed = threshold if rule == "max_increase" else abs(before) * threshold / 100
        limit = before - allowed if lower else before + allowed
    return _Bound(rule=rule, threshold=threshold, limit=limit, lower=lower, baseline=before)


def _within(limit: float, measurement: Measurement) -> bool:
    low, high = measurement.low, measurement.high
    return low is not None and high is not None and low < high and low <= limit <= high


def _message(bound: _Bound, value: float, unit: str, *, close: bool) -> str:
    by = bound.by(value)
    side = ("below" if by > 0 else "above") if bound.lower else ("over" if by > 0 else "under")
    kind = "min" if bound.lower else "max"
    text = f"{number(value, unit)} is {number(abs(by), unit)} {side} the {kind} of {number(bound.limit, unit)}"
    if by == 0:
        text = f"{number(value, unit)} is at the {kind} of {number(bound.limit, unit)}"
    if bound.baseline is not None:
        change = value - bound.baseline
        text += (
            f" (baseline {number(bound.baseline, unit)}, changed by {'+' if change >= 0 else ''}{number(change, unit)}"
        )
        text += f" or {100 * change / abs(bound.baseline):+.1f} %)" if bound.baseline else ")"
    if close:
        text += "; the limit lies within the figure's interval"
    return text
