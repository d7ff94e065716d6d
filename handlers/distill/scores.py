"""Scores of labels and of graded similarities, as the public leaderboards define them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def accuracy(expected: Sequence[str], answered: Sequence[str]) -> float:
    """Share of equal labels."""
    return sum(one == other for one, other in zip(expected, answered, strict=True)) / max(1, len(expected))


def macro_f1(expected: Sequence[str], answered: Sequence[str]) -> float:
    """Mean over the expected labels of their F1; a label never answered counts as 0."""
    pairs = list(zip(expected, answered, strict=True))
    scores = []
    for label in sorted(set(expected)):
        hits = sum(one == other == label for one, other in pairs)
        named = sum(one == label for one, _ in pairs) + sum(other == label for _, other in pairs)
        scores.append(2 * hits / named)
    return sum(scores) / max(1, len(scores))


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, positions, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: NDArray[np.float64] = (last - (counts - 1) / 2)[positions]
    return shared


def pearson(expected: Sequence[float], answered: Sequence[float]) -> float:
    """Linear correlation; nan where one side does not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(np.asarray(expected, np.float64), np.asarray(answered, np.float64))[0, 1])


def spearman(expected: Sequence[float], answered: Sequence[float]) -> float:
    """Correlation of ranks."""
    one, other = (ranks(np.asarray(values, np.float64)) for values in (expected, answered))
    return pearson(one.tolist(), other.tolist())
