"""What one run knows of one function: the values that are gathered, and from which every figure is reckoned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emulator.config import FunctionConfig
from emulator.golden.evaluation import Evaluation
from emulator.machine import Disturbance
from emulator.package import Weight

Start = Literal["cold", "warm"]
PageCache = Literal["warm", "dropped", "as found"]
"""Before each cold start; a test takes it as it finds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One invocation of the run. `at_s` is when it began, counted from the run's start; `case_id` names a golden case.

    `memory_bytes` is the peak of its execution environment until then.
    """

    start: Start
    at_s: float
    duration_ms: float
    billed_ms: int
    init_ms: float | None = None
    memory_bytes: int | None = None
    cpu_ms: float | None = None
    throttled_ms: float | None = None
    init_cpu_ms: float | None = None
    tmp_bytes: int | None = None
    case_id: str | None = None
    error: str | None = None
    """The error's type and message, None for an answer."""
    concurrent: bool = False
    """Others of this function ran at the same time: its wall times are not used, its CPU time and memory are."""
    round: int = 0
    place: int | None = None
    """Which event of its round, to find the same work in others; None for a start and in a test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTime:
    """One line of `-X importtime`, in milliseconds of this machine; `own_ms` leaves out what the module imports."""

    module: str
    own_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint:
    """The peak of an environment's memory until one instant of an invocation, as Max Memory Used has it."""

    at_ms: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that one run knows of one function; None and empty for what was not measured.

    `samples` are in the order of the run: rounds of a cold start and warm calls, the golden cases in the first.
    """

    config: FunctionConfig
    page_cache: PageCache
    samples: tuple[Sample, ...] = ()
    weight: Weight | None = None
    evaluation: Evaluation | None = None
    disturbance: Disturbance | None = None
    imports: tuple[ImportTime, ...] = ()
    """Slowest first; only gathered where a gate on the start failed."""
    timeline: tuple[MemoryPoint, ...] = ()
    """Of the event that needed most memory, sent once more to a new environment."""

    @property
    def cold(self) -> tuple[Sample, ...]:
        """The cold starts whose Init phase ended well, and that were alone."""
        return tuple(sample for sample in self.samples if sample.init_ms is not None and not sample.concurrent)

    @property
    def warm(self) -> tuple[Sample, ...]:
        """The warm calls that were answered, alone on the machine as far as it is up to us."""
        return tuple(one for one in self.samples if one.start == "warm" and one.error is None and not one.concurrent)

    @property
    def distinct(self) -> tuple[Sample, ...]:
        """All but what failed again with an event that had failed in the first round: that says nothing new."""
        first = {one.place for one in self.samples if one.error is not None and one.round == 0}
        return tuple(one for one in self.samples if not one.round or one.place is None or one.place not in first)

    @property
    def failed(self) -> tuple[Sample, ...]:
        """What was not answered, each event once."""
        return tuple(one for one in self.distinct if one.error is not None)

    @property
    def nothing_answered(self) -> str | None:
        """The failure of a function that answered nothing at all, None for any other."""
        failed = self.failed
        if not failed or any(one.error is None for one in self.samples):
            return None
        return f"no invocation was answered: {(failed[0].error or '').partition(':')[0]}"

    @property
    def worst(self) -> Sample | None:
        """The invocation in which the peak of memory was reached."""
        told = [sample for sample in self.samples if sample.memory_bytes is not None]
        return max(told, key=lambda sample: sample.memory_bytes or 0, default=None)
