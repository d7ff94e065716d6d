"""The smallest memory that answers every event, by bisection with real runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.config import FunctionConfig
    from emulator.service import LambdaService

_NEAR_MB: Final = 8
Outcomes = tuple[str | None, ...]
"""For each event the type of its error, None for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Smallest:
    """`memory_mb` answers every event as the largest size does, None where none was found; `runs` were tried.

    `fails_at` is the largest size that was seen to fail and `error` how; None where the least memory is enough.
    """

    memory_mb: int | None
    runs: int
    fails_at: int | None
    error: str | None


def smallest(outcomes: Callable[[int], Outcomes], low: int, high: int, hint: int | None = None) -> Smallest:
    """Between `low` and `high` MB, both tried; the size that is found has to do it twice.

    `hint` is where it should be, for instance what was used at a larger size: it is tried early, and so is what lies
    `_NEAR_MB` beside it. An event that fails at the largest size too, in the same way, fails for another reason than
    memory.
    """
    tried: dict[int, str | None] = {}  # sizes that failed, and how
    runs, expected = 1, outcomes(high)
    if all(each is not None for each in expected):
        return Smallest(memory_mb=None, runs=runs, fails_at=high, error=expected[0])
    below, above = low - 1, high
    first = [low] if hint is None else [low, hint, hint - _NEAR_MB, hint + _NEAR_MB]
    while True:
        while above - below > 1:
            inside = [each for each in first if below < each < above]
            middle = inside[0] if inside else (below + above) // 2
            found = outcomes(middle)
            runs += 1
            if found == expected:
                above = middle
            else:
                below = middle
                tried[middle] = next(
                    (ours for ours, theirs in zip(found, expected, strict=False) if ours != theirs), None
                )
        if above < high:
            runs += 1
        if above == high or outcomes(above) == expected:
            fails_at = max(tried, default=None)
            error = None if fails_at is None else tried[fails_at]
            return Smallest(memory_mb=above, runs=runs, fails_at=fails_at, error=error)
        below, above = above, high  # it went well once only


def outcomes_of(service: LambdaService, config: FunctionConfig, events: Sequence[bytes]) -> Outcomes:
    """Every event in one environment, the first one cold, up to the first error that ends the environment."""
    found: list[str | None] = []
    for number, event in enumerate(events):
        result = service.invoke(config.name, event, fresh=number == 0)
        found.append(None if result.error is None else result.error.type)
        if result.error is not None and result.error.type.startswith(("Runtime.", "Sandbox.")):
            break
    service.retire(config.name)
    return tuple(found)


def as_dict(found: Smallest) -> dict[str, Any]:
    """For JSON."""
    return {"memory_mb": found.memory_mb, "runs": found.runs, "fails_at_mb": found.fails_at, "error": found.error}
