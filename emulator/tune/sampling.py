"""What one invocation told, as a plain value, and series of them: cold ones, and warm ones over several events."""

from __future__ import annotations

import math
import random
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from emulator.invocation import InvocationResult
from emulator.limits import CPU_PERIOD_US, MIB
from emulator.service import LambdaService

_MS: Final = 1000
_APART_S: Final = 2 * CPU_PERIOD_US / 1e6
_DISTURBED_MS: Final = 2.0
_DISTURBED_SHARE: Final = 0.1
_TICK_MS: Final = 4.0  # of Lambda's 250 Hz: who was held back by the quota is put back to work that late
_LEAST_PART: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One invocation; milliseconds, and MB as Lambda counts them. `init_ms` is None for a warm one.

    `error` is AWS's type where the function failed.
    """

    duration_ms: float
    billed_ms: int
    init_ms: float | None = None
    max_memory_mb: float | None = None
    cpu_ms: float | None = None
    throttled_ms: float | None = None
    error: str | None = None
    event: int = 0
    """Tells samples of the same event from others."""

    @property
    def waited_ms(self) -> float | None:
        """Time that was neither CPU nor quota: what the function waits for, and what other work here took from it."""
        if self.cpu_ms is None or self.throttled_ms is None:
            return None
        return max(0.0, self.duration_ms - self.cpu_ms - self.throttled_ms)

    @classmethod
    def of(cls, result: InvocationResult, event: bytes = b"") -> Self:
        """What is worth keeping of a result."""
        usage, timings = result.usage, result.timings
        return cls(
            duration_ms=timings.duration_ms,
            billed_ms=timings.billed_ms,
            init_ms=timings.init_ms,
            max_memory_mb=None if usage.max_memory_bytes is None else usage.max_memory_bytes / MIB,
            cpu_ms=None if usage.cpu_seconds is None else usage.cpu_seconds * _MS,
            throttled_ms=None if usage.throttled_seconds is None else usage.throttled_seconds * _MS,
            error=None if result.error is None else result.error.type,
            event=zlib.crc32(event),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Invocations of one function at one memory size. What failed is in neither series of durations."""

    cold: tuple[Sample, ...] = ()
    warm: tuple[Sample, ...] = ()

    def __add__(self, other: Series) -> Series:
        return Series(cold=self.cold + other.cold, warm=self.warm + other.warm)

    @property
    def good_cold(self) -> tuple[Sample, ...]:
        """Cold invocations that were answered after an Init phase of their own."""
        return tuple(sample for sample in self.cold if sample.error is None and sample.init_ms is not None)

    @property
    def good_warm(self) -> tuple[Sample, ...]:
        """Warm invocations that were answered."""
        return tuple(sample for sample in self.warm if sample.error is None)

    @property
    def errors(self) -> dict[str, int]:
        """How often each type of error came."""
        found: dict[str, int] = {}
        for sample in (*self.cold, *self.warm):
            if sample.error is not None:
                found[sample.error] = found.get(sample.error, 0) + 1
        return found

    @property
    def max_memory_mb(self) -> float | None:
        """The highest peak of any environment; None where none was measured."""
        peaks = [each.max_memory_mb for each in (*self.cold, *self.warm) if each.max_memory_mb is not None]
        return max(peaks, default=None)


def round_of(service: LambdaService, name: str, events: Iterator[bytes], warm: int) -> Series:
    """One cold invocation and `warm` warm ones in the same environment, which is closed afterwards.

    Requests come apart, as most traffic does: back to back, each would begin in a period of the CPU quota that the one
    before has spent, and short ones would look slower than they are. A warm series ends early where the environment
    was lost to an error: what follows would be an init again.
    """
    event = next(events)
    cold = Sample.of(service.invoke(name, event, fresh=True), event)
    found = []
    if cold.error is None:
        for _ in range(warm):
            time.sleep(_APART_S)
            event = next(events)
            sample = Sample.of(service.invoke(name, event), event)
            found.append(sample)
            if sample.error is not None:
                break
    service.retire(name)
    return Series(cold=(cold,), warm=tuple(found))


def least_waits(every: Iterable[Series]) -> dict[int, float]:
    """For each event the least that a warm invocation has waited, at whatever memory size: what it waits by itself."""
    found: dict[int, float] = {}
    for sample in (sample for series in every for sample in series.good_warm):
        waited = sample.waited_ms
        if waited is not None:
            found[sample.event] = min(waited, found.get(sample.event, math.inf))
    return found


def undisturbed(series: Series, waits: Mapping[int, float]) -> Series:
    """Without the warm invocations from which other work on this machine took the CPU; what failed stays.

    Such a one has waited for longer than the same event at its best, by more than 2 ms and a tenth of its duration; by
    a tick more where the quota held it back, or those that were held back would be the ones left out. Where hardly any
    is left, the third that waited least stands for them.
    """

    def more(sample: Sample) -> float:
        """Milliseconds beyond what is taken for undisturbed."""
        waited = sample.waited_ms
        if sample.error is not None or waited is None:
            return -math.inf
        least = waits.get(sample.event, waited)
        allowed = max(_DISTURBED_MS, _DISTURBED_SHARE * sample.duration_ms)
        return waited - least - allowed - (_TICK_MS if sample.throttled_ms else 0.0)

    by_more = sorted(range(len(series.warm)), key=lambda number: more(series.warm[number]))
    kept = sum(more(sample) <= 0 for sample in series.warm)
    chosen = sorted(by_more[: max(kept, -(-len(series.warm) // _LEAST_PART))])
    return Series(cold=series.cold, warm=tuple(series.warm[number] for number in chosen))


def total(rounds: Iterable[Series]) -> Series:
    """All rounds of one size as one series."""
    found = Series()
    for each in rounds:
        found += each
    return found


def spread_evenly(events: Sequence[bytes], count: int) -> list[bytes]:
    """So many of them, from the shortest to the longest evenly apart, in an order that mixes lengths; always the same.

    Two sweeps over a long dataset are over the same events then, and these stand for all.
    """
    ordered = sorted(set(events), key=lambda event: (len(event), event))
    if len(ordered) > count:
        ordered = [ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count)]
    random.Random(len(ordered)).shuffle(ordered)  # noqa: S311 - an order, not a secret
    return ordered


def endless(events: Sequence[bytes]) -> Iterator[bytes]:
    """The events again and again, in their order."""
    while True:
        yield from events


def mean_and_error(values: Iterable[float]) -> tuple[float, float | None]:
    """The mean, and half the width of its 95 % interval; None for that where one value is all there is."""
    found = list(values)
    mean = math.fsum(found) / len(found)
    if len(found) == 1:
        return mean, None
    variance = math.fsum((value - mean) ** 2 for value in found) / (len(found) - 1)
    return mean, 1.96 * math.sqrt(variance / len(found))
