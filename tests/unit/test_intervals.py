"""Percentiles and their intervals."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.intervals import mean, median_of_least, percentile


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


def test_the_least_of_rounds_is_not_what_neighbours_make_of_it() -> None:
    """Two places of 1 and 3, of which most tries were disturbed; one that came once only is left out."""
    told = [(0, 0, 1.0), (0, 1, 9.0), (1, 0, 8.0), (1, 1, 3.0), (2, 0, 4.0), (2, 1, 7.0), (0, 2, 1000.0)]
    found = median_of_least(told)
    assert found is not None
    assert (found.value, found.n, found.method) == (2.0, 6, "rounds")
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 2.0 < found.high


def test_rounds_that_agree_have_no_interval_worth_its_name() -> None:
    """It is the value; two rounds are too few for one, and one has nothing to take the least of."""
    found = median_of_least((turn, place, float(place)) for turn in range(3) for place in range(5))
    assert found is not None
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)
    two = median_of_least([(0, 0, 1.0), (1, 0, 2.0)])
    assert two is not None
    assert (two.value, two.low) == (1.0, None)
    assert median_of_least([(0, place, 1.0) for place in range(5)]) is None
    assert median_of_least([]) is None
    assert median_of_least([(0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0)]) is None


@given(st.lists(st.lists(st.floats(0, 10), min_size=4, max_size=4), min_size=3, max_size=6))
@settings(max_examples=30, deadline=None)
def test_what_neighbours_add_counts_only_where_they_were_there_each_time(added: list[list[float]]) -> None:
    """With one quiet round the figure is exact, whatever the others had on top."""
    told = [(turn, place, 5.0 + place + more) for turn, row in enumerate(added) for place, more in enumerate(row)]
    found = median_of_least([*told, *((99, place, 5.0 + place) for place in range(4))])
    assert found is not None
    assert found.value == 6.5
