"""Percentiles and their intervals."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.intervals import mean, percentile


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.sampled_from([50.0, 95.0, 99.0, 100.0]))
@settings(max_examples=30, deadline=None)
def test_a_percentile_lies_among_its_values(values: list[float], percent: float) -> None:
    """And within its own interval, which lies among the values too."""
    found = percentile(values, percent)
    assert min(values) * (1 - 1e-9) <= found.value <= max(values) * (1 + 1e-9)
    assert found.n == len(values)
    if found.low is not None and found.high is not None:
        slack = 1e-9 * max(values)  # interpolation rounds
        assert min(values) - slack <= found.low <= found.high <= max(values) + slack


def test_known_values() -> None:
    """As the standard library has it, by another way."""
    values = [1.0, 2.0, 3.0, 4.0, 10.0]
    assert percentile(values, 50).value == statistics.median(values)
    assert percentile(values, 95).value == pytest.approx(statistics.quantiles(values, n=20, method="inclusive")[-1])
    assert mean(values).value == statistics.mean(values)


@pytest.mark.parametrize(("count", "has_interval"), [(1, False), (2, False), (3, True)])
def test_two_values_have_no_interval(count: int, *, has_interval: bool) -> None:
    """There is nothing to draw from."""
    found = percentile([float(number) for number in range(count)], 50)
    assert (found.low is not None) == has_interval


def test_what_does_not_vary_is_exact() -> None:
    """Without a warning from any library."""
    found = percentile([7.0] * 5, 95)
    assert (found.low, found.high, found.method) == (7.0, 7.0, "exact")


def test_the_same_values_give_the_same_interval() -> None:
    """Resampling has a fixed seed."""
    values = [float(number * number % 17) for number in range(20)]
    assert percentile(values, 95) == percentile(values, 95)


def test_more_values_narrow_it() -> None:
    """The interval is one: it shrinks with what is known."""

    def width(values: list[float]) -> float:
        found = mean(values)
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    assert width([1.0, 2.0, 3.0, 4.0] * 25) < width([1.0, 2.0, 3.0, 4.0]) / 2
