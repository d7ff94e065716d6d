"""Verdicts: at the limit, just past it, against a baseline, and without a figure."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.gates.verdicts import RULES, Baseline, Gate, Rule, Verdict, judge, number
from emulator.metrics import METRICS, NAMES, Measurement
from tests.reports import evidence

FIGURES = st.floats(-1e9, 1e9)


def verdict(
    value: float | None,
    limits: dict[Rule, float],
    *,
    metric: str = "memory.max_mb",
    before: float | None = None,
    **others: str,
) -> Verdict:
    """The only verdict on one figure."""
    gate = Gate(metric=metric, limits=limits, level="warn" if others.get("level") == "warn" else "fail")
    baseline = None if before is None else Baseline(values={metric: before}, source="base.json")
    measurement = Measurement(
        name=metric, value=value, unit="MB", n=3, low=value, high=value, note="no kernel tells it"
    )
    (found,) = judge([measurement], [gate], baseline=baseline)
    return found


@pytest.mark.parametrize(
    ("rule", "value", "status"),
    [
        ("max", 399.0, "PASS"),
        ("max", 400.0, "PASS"),
        ("max", 400.001, "FAIL"),
        ("min", 400.001, "PASS"),
        ("min", 400.0, "PASS"),
        ("min", 399.999, "FAIL"),
    ],
)
def test_the_limit_itself_is_allowed(rule: Rule, value: float, status: str) -> None:
    """And not a thousandth more."""
    found = verdict(value, {rule: 400.0})
    assert found.status == status
    assert found.failed == (status == "FAIL")
    assert found.limit == 400.0


@pytest.mark.parametrize(
    ("metric", "rule", "value", "status"),
    [
        ("memory.max_mb", "max_increase_pct", 110.0, "PASS"),
        ("memory.max_mb", "max_increase_pct", 110.1, "FAIL"),
        ("memory.max_mb", "max_increase_pct", 1.0, "PASS"),
        ("memory.max_mb", "max_increase", 110.0, "PASS"),
        ("memory.max_mb", "max_increase", 110.1, "FAIL"),
        ("quality.score", "max_increase_pct", 90.0, "PASS"),
        ("quality.score", "max_increase_pct", 89.9, "FAIL"),
        ("quality.score", "max_increase", 89.9, "FAIL"),
        ("quality.score", "max_increase", 200.0, "PASS"),
        ("memory.headroom_pct", "max_increase", 89.9, "FAIL"),
    ],
)
def test_against_a_baseline(metric: str, rule: Rule, value: float, status: str) -> None:
    """10 worse than 100, where worse is lower for a score and for headroom."""
    found = verdict(value, {rule: 10.0}, metric=metric, before=100.0)
    assert found.status == status
    assert found.baseline == 100.0
    assert "baseline 100" in found.message


def test_a_baseline_of_zero() -> None:
    """Any percentage of nothing is nothing, and nothing is divided by it."""
    assert verdict(0.0, {"max_increase_pct": 50.0}, metric="errors.count", before=0.0).status == "PASS"
    found = verdict(1.0, {"max_increase_pct": 50.0}, metric="errors.count", before=0.0)
    assert found.status == "FAIL"
    assert "%" not in found.message


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("level", "fails"), [("fail", True), ("warn", False)])
def test_not_measured_is_not_passed(rule: Rule, level: str, *, fails: bool) -> None:
    """Whatever the threshold, and with the reason."""
    found = verdict(None, {rule: 0.0}, before=1.0, level=level)
    assert (found.status, found.word) == ("NOT_MEASURED", "NOT MEASURED")
    assert found.failed == fails
    assert "no kernel tells it" in found.message


def test_no_baseline_is_not_measured() -> None:
    """It says how to have one; one that lacks the metric is the same."""
    for found in (
        verdict(1.0, {"max_increase": 1.0}),
        judge(
            [Measurement(name="memory.max_mb", value=1.0, unit="MB", n=1)],
            [Gate(metric="memory.max_mb", limits={"max_increase": 1.0})],
            baseline=Baseline(values={}, source="base.json"),
        )[0],
    ):
        assert (found.status, found.word) == ("NOT_MEASURED", "NOT COMPARED")
        assert "--update-baseline" in found.message


def test_a_warning_does_not_fail() -> None:
    """It is told all the same."""
    found = verdict(2.0, {"max": 1.0}, level="warn")
    assert (found.status, found.failed) == ("WARN", False)
    assert "over" in found.message


def test_each_threshold_has_its_verdict() -> None:
    """In the order of the rules."""
    measurement = Measurement(name="init.p50_ms", value=5.0, unit="ms", n=3)
    found = judge([measurement], [Gate(metric="init.p50_ms", limits={"min": 1.0, "max": 4.0})])
    assert [(one.rule, one.status) for one in found] == [("max", "FAIL"), ("min", "PASS")]


def test_close_calls_are_told() -> None:
    """The limit lies within the interval: more starts would tell."""
    measurement = Measurement(name="init.p50_ms", value=100.0, unit="ms", n=5, low=90.0, high=110.0)
    for limit, close in ((89.0, False), (95.0, True), (105.0, True), (111.0, False)):
        (found,) = judge([measurement], [Gate(metric="init.p50_ms", limits={"max": limit})])
        assert found.close == close
        assert ("interval" in found.message) == close


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("package.unzipped_mb", "onnxruntime 40.0 MB"),
        ("init.p50_ms", "onnxruntime 90 ms"),
        ("memory.max_mb", "case 0"),
        ("duration.p95_ms", "case 19"),
        ("quality.score", '"good" answered "bad"'),
        ("cost.per_million_usd", "slowest"),
    ],
)
def test_a_failed_verdict_says_where_to_look(metric: str, says: str) -> None:
    """And a passed one says nothing."""
    measurement = Measurement(name=metric, value=1.0, unit="", n=1)
    for limit, told in ((0.5, True), (1.5, False)):
        (found,) = judge([measurement], [Gate(metric=metric, limits={"max": limit})], evidence=evidence())
        assert any(says in line for line in found.look_at) == told


@given(value=FIGURES, threshold=FIGURES, before=FIGURES, rule=st.sampled_from(RULES), metric=st.sampled_from(NAMES))
def test_any_figure_is_judged(value: float, threshold: float, before: float, rule: Rule, metric: str) -> None:
    """A pass is never past the limit, a failure always is; `by` says so in the same unit."""
    found = verdict(value, {rule: threshold}, metric=metric, before=before)
    assert found.status in {"PASS", "FAIL"}
    assert found.limit is not None
    assert found.by is not None
    assert (found.by > 0) == (found.status == "FAIL")
    assert abs(found.by) == pytest.approx(abs(value - found.limit))
    assert found.message


@given(FIGURES, FIGURES)
def test_worse_figures_never_fare_better(one: float, other: float) -> None:
    """Whichever way a metric points."""
    for metric in METRICS:
        better, worse = sorted((one, other), reverse=metric.worse == "lower")
        rule: Rule = "max" if metric.worse == "higher" else "min"
        limits: dict[Rule, float] = {rule: 0.0}
        if verdict(better, limits, metric=metric.name).status == "FAIL":
            assert verdict(worse, limits, metric=metric.name).status == "FAIL"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 MB"),
        (3.0, "3 MB"),
        (279.71, "279.7 MB"),
        (12345.6, "12,346 MB"),
        (0.81234, "0.8123 MB"),
        (-2.5, "-2.5 MB"),
    ],
)
def test_figures_as_people_write_them(value: float, text: str) -> None:
    """Four digits and the unit."""
    assert number(value, "MB") == text


@given(FIGURES)
def test_figures_are_short(value: float) -> None:
    """They fit a column and read back close."""
    text = number(value)
    assert len(text) <= 14
    assert math.isclose(float(text.replace(",", "")), value, rel_tol=1e-3, abs_tol=0.5)
