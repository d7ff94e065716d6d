"""Which of several memory sizes to take, and how sure that is: a rule with bands, and rounds drawn again. Pure.

Two sizes that cost or take the same within noise must not take turns at being recommended. So figures within a band of
the best count as equal, ties have a rule, and a sweep goes on until rounds drawn again and again lead to one size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from emulator.limits import CPU_PERIOD_US

if TYPE_CHECKING:
    from emulator.tune.sampling import Sample, Series

ALIKE: Final = 0.1
"""Figures within this part of the best are equal to a recommendation."""
SURE: Final = 0.95
"""The part of the draws that has to lead to the size that is recommended."""
Strategy = Literal["cost", "speed", "balanced"]
STRATEGIES: Final[tuple[Strategy, ...]] = ("cost", "speed", "balanced")
UsdOf = Callable[[int, float], float]
"""US dollars that a million invocations cost at a memory size, by their mean billed milliseconds."""
_DRAWS: Final = 300
_SEED: Final = 20260701
_ONE_VCPU_MB: Final = 1769
_PERIOD_MS: Final = CPU_PERIOD_US / 1000
_ROUNDED_UP_MS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is looked for; `weight` is the part of cost in `balanced`."""

    strategy: Strategy
    weight: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """One size's warm invocations by their own time (ms), round by round; `possible_ms` is what a pause would make.

    None for that where the quota can hold nothing back.
    """

    rounds: tuple[tuple[float, ...], ...]
    possible_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one size costs (US dollars a million), and how long it takes (ms)."""

    usd: float
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The size that a goal takes, and those that are equal to it, itself among them and in order."""

    memory_mb: int
    alike: tuple[int, ...]


def choose(sizes: Mapping[int, Figures], goal: Goal) -> Choice:
    """Of those within `ALIKE` of the best by the goal's figure the fastest; of equally fast ones the smallest.

    ValueError where there is no size.
    """
    score = _score(sizes, goal)
    best = min(map(score, sizes))
    alike = [size for size in sizes if score(size) <= best * (1 + ALIKE)]
    fastest = min(sizes[size].ms for size in alike)
    quick = tuple(sorted(size for size in alike if sizes[size].ms <= fastest * (1 + ALIKE)))
    return Choice(memory_mb=quick[0], alike=quick)


def _score(sizes: Mapping[int, Figures], goal: Goal) -> Callable[[int], float]:
    if goal.strategy == "cost":
        return lambda size: sizes[size].usd
    if goal.strategy == "speed":
        return lambda size: sizes[size].ms
    usd, ms = min(each.usd for each in sizes.values()), min(each.ms for each in sizes.values())
    return lambda size: goal.weight * sizes[size].usd / usd + (1 - goal.weight) * sizes[size].ms / ms


def own_ms(sample: Sample, waits: Mapping[int, float]) -> float:
    """Duration less what it waited beyond the least that its event ever waits: what other work here has added."""
    waited = sample.waited_ms
    return sample.duration_ms - (0.0 if waited is None else max(0.0, waited - waits.get(sample.event, waited)))


def owned(memory_mb: int, rounds: Sequence[Series], waits: Mapping[int, float]) -> Own | None:
    """What was answered of one size; None where nothing was.

    Where an invocation needs more CPU than the quota of one period, it may be held back for the rest of that period:
    that none was in a few invocations does not say that none will be, so one such pause counts beside them (Laplace's
    rule of succession). It weighs less with each invocation that is measured.
    """
    found = tuple(tuple(own_ms(sample, waits) for sample in each.good_warm) for each in rounds if each.good_warm)
    if not found:
        return None
    cpu = sorted(sample.cpu_ms for each in rounds for sample in each.good_warm if sample.cpu_ms is not None)
    quota_ms = memory_mb / _ONE_VCPU_MB * _PERIOD_MS
    if not cpu or quota_ms >= min(_PERIOD_MS, cpu[len(cpu) // 2]):
        return Own(rounds=found)
    return Own(rounds=found, possible_ms=min(map(min, found)) + _PERIOD_MS - quota_ms)


def figures(memory_mb: int, own: Own, usd_of: UsdOf) -> Figures:
    """Of all that was answered.

    Billing rounds up, by half a millisecond in the mean; where exactly this machine's times fall between two
    milliseconds says nothing of Lambda. Time is the root of the mean square, in which a rare pause counts for more than
    in the mean: a size that the quota holds back now and then is not as fast as one that it never does.
    """
    values = [value for part in own.rounds for value in part]
    values += [] if own.possible_ms is None else [own.possible_ms]
    mean = math.fsum(values) / len(values)
    square = math.fsum(value * value for value in values) / len(values)
    return Figures(usd=usd_of(memory_mb, mean + _ROUNDED_UP_MS), ms=math.sqrt(square))


def agreement(sizes: Mapping[int, Own], usd_of: UsdOf, goal: Goal) -> float:
    """The part of the draws that takes the same size as all that was measured: rounds are drawn, then what is in them.

    ValueError where there is no size.
    """
    import numpy as np  # noqa: PLC0415 - a tenth of a second that only figures need

    taken = choose({size: figures(size, own, usd_of) for size, own in sizes.items()}, goal).memory_mb
    draw = np.random.default_rng(_SEED)
    count = max(len(own.rounds) for own in sizes.values())
    turns = draw.integers(count, size=(_DRAWS, count))  # the same rounds for every size: a slow minute slows them all
    drawn = {size: _drawn(own, turns, draw) for size, own in sizes.items()}
    same = 0
    for number in range(_DRAWS):
        found = {
            size: Figures(usd=usd_of(size, float(means[number]) + _ROUNDED_UP_MS), ms=float(roots[number]))
            for size, (means, roots) in drawn.items()
        }
        same += choose(found, goal).memory_mb == taken
    return same / _DRAWS


def _drawn(own: Own, turns: Any, draw: Any) -> tuple[Any, Any]:  # noqa: ANN401 - numpy's arrays and generator
    """For each draw the mean and the root of the mean square."""
    import numpy as np  # noqa: PLC0415 - see above

    added = [] if own.possible_ms is None else [own.possible_ms]
    sums = np.full((len(turns), 2), [math.fsum(added), math.fsum(value * value for value in added)])
    counts = np.full(len(turns), float(len(added)))
    for place in range(turns.shape[1]):
        for turn, part in enumerate(own.rounds):
            rows = turns[:, place] % len(own.rounds) == turn
            values = draw.choice(np.asarray(part), size=(int(rows.sum()), len(part)))
            sums[rows] += np.stack([values.sum(axis=1), (values**2).sum(axis=1)], axis=1)
            counts[rows] += len(part)
    return sums[:, 0] / counts, np.sqrt(sums[:, 1] / counts)
