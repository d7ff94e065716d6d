"""What one invocation told, as a plain value, and series of them: cold ones, and warm ones over several events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from emulator.invocation import InvocationResult
from emulator.limits import MIB
from emulator.service import LambdaService

_MS = 1000


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

    @classmethod
    def of(cls, result: InvocationResult) -> Self:
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

    A warm series ends early where the environment was lost to an error: what follows would be an init again.
    """
    cold = Sample.of(service.invoke(name, next(events), fresh=True))
    found = []
    if cold.error is None:
        for _ in range(warm):
            sample = Sample.of(service.invoke(name, next(events)))
            found.append(sample)
            if sample.error is not None:
                break
    service.retire(name)
    return Series(cold=(cold,), warm=tuple(found))


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
