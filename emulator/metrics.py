"""From evidence to measurements, one row for each metric. Memory and package sizes are in Lambda's MB of 1,024 KB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from emulator.config import FunctionConfig
from emulator.evaluation import Evaluation
from emulator.machine import Disturbance
from emulator.package import Weight

Start = Literal["cold", "warm"]
PageCache = Literal["warm", "dropped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One invocation of the run. `at_s` is when it began, counted from the run's start; `case_id` names a golden case.

    `environment` counts the environments of the function from 0. `memory_bytes` is its peak until then.
    """

    start: Start
    at_s: float
    environment: int
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTime:
    """One line of `-X importtime`, in milliseconds of this machine; `own_ms` leaves out what the module imports."""

    module: str
    own_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint:
    """Memory of an environment at one instant of an invocation, page cache included."""

    at_ms: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that one run knows of one function; None and empty for what was not measured.

    `samples` are in the order of the run: cold starts, then warm calls, then golden cases.
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
    """Of the invocation that needed most memory, run once more."""

    @property
    def cold(self) -> tuple[Sample, ...]:
        """The cold starts whose Init phase ended well."""
        return tuple(sample for sample in self.samples if sample.init_ms is not None)

    @property
    def warm(self) -> tuple[Sample, ...]:
        """The warm calls that were alone on the machine, as far as it is up to us."""
        return tuple(sample for sample in self.samples if sample.start == "warm" and not sample.concurrent)

    @property
    def worst(self) -> Sample | None:
        """The invocation in which the peak of memory was reached."""
        told = [sample for sample in self.samples if sample.memory_bytes is not None]
        return max(told, key=lambda sample: sample.memory_bytes or 0, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One metric of one function; `value` is None where it was not measured, and `note` then says why.

    `low` and `high` are the 95 % interval. `spread_pct` is how repeatable the figure was in this run: half the width of
    the interval in percent of the value, 0 for what is counted, None where one observation is all there is.
    """

    name: str
    value: float | None
    unit: str
    n: int
    low: float | None = None
    high: float | None = None
    spread_pct: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row of the table: what is measured, in which unit, and which direction is worse."""

    name: str
    unit: str
    worse: Literal["higher", "lower"]
    what: str
    measure: Callable[[Evidence, Metric], Measurement]


def _todo(_evidence: Evidence, metric: Metric) -> Measurement:
    return Measurement(name=metric.name, value=None, unit=metric.unit, n=0, note="not written yet")


_ROWS: Final[tuple[tuple[str, str, Literal["higher", "lower"], str], ...]] = (
    ("package.zipped_mb", "MB", "higher", "the code's zip as it would be uploaded"),
    ("package.unzipped_mb", "MB", "higher", "code and layers together, as Lambda counts them"),
    ("package.layers_mb", "MB", "higher", "the layers alone"),
    ("init.p50_ms", "ms", "higher", "median Init Duration"),
    ("init.p95_ms", "ms", "higher", "95th percentile of Init Duration"),
    ("init.max_ms", "ms", "higher", "longest Init Duration"),
    ("duration.p50_ms", "ms", "higher", "median Duration of warm calls"),
    ("duration.p95_ms", "ms", "higher", "95th percentile of the Duration of warm calls"),
    ("duration.p99_ms", "ms", "higher", "99th percentile of the Duration of warm calls"),
    ("billed.p95_ms", "ms", "higher", "95th percentile of the Billed Duration of warm calls"),
    ("cpu.p50_ms", "ms", "higher", "median CPU time of warm calls"),
    ("memory.max_mb", "MB", "higher", "Max Memory Used, the highest of all invocations"),
    ("memory.headroom_pct", "%", "lower", "what is left of the memory size"),
    ("tmp.max_mb", "MB", "higher", "most that lay in /tmp at the end of an invocation"),
    ("cost.per_million_usd", "USD", "higher", "a million warm requests"),
    ("quality.score", "", "lower", "the scorer's figure for the golden dataset"),
    ("errors.count", "", "higher", "invocations that failed, golden cases without an answer"),
)
METRICS: Final = tuple(
    Metric(name=name, unit=unit, worse=worse, what=what, measure=_todo) for name, unit, worse, what in _ROWS
)
NAMES: Final = tuple(metric.name for metric in METRICS)


def measure_all(evidence: Evidence) -> tuple[Measurement, ...]:
    """Every metric, in the order of the table, measured or not."""
    return tuple(metric.measure(evidence, metric) for metric in METRICS)
