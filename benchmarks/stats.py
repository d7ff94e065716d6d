"""Figures and how sure they are. Pure: the same values give the same answer."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WANTED_CONFIDENCE: Final = 0.95
_RESAMPLES: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and the interval that holds the true one with `confidence` (0 to 1); None where `n` is too small."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    confidence: float | None = None


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, interpolated; ValueError where there are none."""
    if not values:
        raise ValueError("a quantile of nothing")
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    between = ordered[below] + (ordered[above] - ordered[below]) * (position - below)
    return min(between, ordered[above])  # rounding must not lead out of the values


def median_estimate(values: Sequence[float], wanted: float = WANTED_CONFIDENCE) -> Estimate:
    """The median with its distribution-free interval between two of the values themselves (the sign test inverted).

    Where even smallest to largest is not as sure as `wanted`, that is the interval and `confidence` says how sure.
    """
    ordered, n = sorted(values), len(values)
    middle = quantile(ordered, 0.5)
    if n < 2:  # noqa: PLR2004 - one value has no spread
        return Estimate(value=middle, n=n)
    rank = max((k for k in range(1, n // 2 + 1) if order_confidence(n, k) >= wanted), default=1)
    return Estimate(
        value=middle, n=n, low=ordered[rank - 1], high=ordered[n - rank], confidence=order_confidence(n, rank)
    )


def order_confidence(n: int, rank: int) -> float:
    """How surely the `rank`-th smallest and the `rank`-th largest of `n` values have the true median between them."""
    outside: int = 2 * sum(math.comb(n, below) for below in range(rank))
    return 1 - outside / float(2**n)


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The median of the ratios pair by pair: what slowed the machine in one pair slowed both of its sides."""
    return median_estimate([our / their for our, their in zip(ours, theirs, strict=True)])


def quantile_ratio(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], share: float) -> Estimate:
    """The ratio of one quantile over all blocks, with its interval from drawing pairs of blocks again and again.

    Blocks, not values, are drawn: values of one moment are alike and would make the interval too narrow.
    """
    pairs = list(zip(ours, theirs, strict=True))
    count = sum(len(block) for block in ours)
    value = _pooled_ratio(pairs, share)
    if len(pairs) < 2:  # noqa: PLR2004 - one block has no spread
        return Estimate(value=value, n=count)
    draw = random.Random(0)  # noqa: S311 - a seeded resample, not a secret
    drawn = [_pooled_ratio(draw.choices(pairs, k=len(pairs)), share) for _ in range(_RESAMPLES)]
    tail = (1 - WANTED_CONFIDENCE) / 2
    return Estimate(
        value=value,
        n=count,
        low=min(value, quantile(drawn, tail)),
        high=max(value, quantile(drawn, 1 - tail)),
        confidence=WANTED_CONFIDENCE,
    )


def _pooled_ratio(pairs: Sequence[tuple[Sequence[float], Sequence[float]]], share: float) -> float:
    ours = [value for our, _ in pairs for value in our]
    theirs = [value for _, their in pairs for value in their]
    return quantile(ours, share) / quantile(theirs, share)


def plan_blocks(trips: int, blocks: int) -> tuple[int, ...]:
    """How many trips each block makes: at least `trips` in all, alike in size, never an empty block."""
    if trips < 1 or blocks < 1:
        raise ValueError("at least one trip in at least one block")
    blocks = min(blocks, trips)
    return (math.ceil(trips / blocks),) * blocks
