"""A figure with its interval. Percentiles are numpy's, resampling is scipy's; both are imported when they are used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

LEVEL: Final = 0.95
RESAMPLES: Final = 2000
SEED: Final = 20260701
"""The same evidence gives the same interval, today and tomorrow."""
_BATCH: Final = 4_000_000  # numbers drawn at once: 32 MB, however long the sample
_LEAST: Final = 3  # two values have no distribution to draw from


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value from `n` observations with its 95 % interval; `low` and `high` are None where `n` is too small for one.

    `method` is how the interval was made: `bootstrap`, `rounds`, `wilson`, `fisher`, `exact` or empty.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    method: str = ""


def percentile(values: Sequence[float], percent: float) -> Estimate:
    """The percentile, interpolated between neighbours, with a bootstrap interval; `values` must not be empty.

    The interval of a high percentile of few values ends at the largest one: it says nothing of what was never seen.
    """
    import numpy as np  # noqa: PLC0415 - a tenth of a second that only figures need

    return _estimate(values, lambda drawn, axis: np.percentile(drawn, percent, axis=axis))


def median_of_least(told: Iterable[tuple[int, int, float]]) -> Estimate | None:
    """The median over places of the least value that each had in any round; `told` are (round, place, value).

    None where nothing was done in two rounds. For what disturbance only adds to (CPU time grows up to fourfold when
    caches are shared with neighbours): the least of a few tries at the same work, made at different times, is nearly
    what it takes alone. Places that were missing in more than half of the rounds are left out. The interval resamples
    whole rounds: how far the figure depends on which of them there were.
    """
    import numpy as np  # noqa: PLC0415 - a tenth of a second that only figures need

    places: dict[int, dict[int, float]] = defaultdict(dict)
    for number, place, value in told:
        places[place][number] = min(value, places[place].get(number, value))
    rounds = sorted({number for found in places.values() for number in found})
    if len(rounds) < 2:  # noqa: PLR2004 - there is nothing to take the least of
        return None
    kept = [found for found in places.values() if 2 * len(found) > len(rounds)]
    table = np.array([[found.get(number, np.inf) for number in rounds] for found in kept], dtype=np.float64)
    if not len(table):
        return None
    value = float(np.median(table.min(axis=1)))
    n = int(np.isfinite(table).sum())
    if len(rounds) < _LEAST:
        return Estimate(value=value, n=n)
    draw = np.random.default_rng(SEED)
    drawn = [table[:, draw.integers(len(rounds), size=len(rounds))].min(axis=1) for _ in range(RESAMPLES)]
    medians = [np.median(least[np.isfinite(least)]) for least in drawn if np.isfinite(least).any()]
    low, high = np.percentile(medians, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(value=value, n=n, low=float(low), high=float(high), method="rounds")


def mean(values: Sequence[float]) -> Estimate:
    """The arithmetic mean with a bootstrap interval; `values` must not be empty."""
    import numpy as np  # noqa: PLC0415 - see above

    return _estimate(values, lambda drawn, axis: np.mean(drawn, axis=axis))


def _estimate(values: Sequence[float], statistic: Callable[..., Any]) -> Estimate:
    import numpy as np  # noqa: PLC0415 - see above

    sample = np.asarray(values, dtype=np.float64)
    value = float(statistic(sample, axis=0))
    if len(sample) < _LEAST:
        return Estimate(value=value, n=len(sample))
    if sample.min() == sample.max():
        return Estimate(value=value, n=len(sample), low=value, high=value, method="exact")
    from scipy import stats  # noqa: PLC0415 - half a second that only figures need

    found = stats.bootstrap(
        (sample,),
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        vectorized=True,
        batch=max(1, _BATCH // len(sample)),
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return Estimate(value=value, n=len(sample), low=float(found.low), high=float(found.high), method="bootstrap")
