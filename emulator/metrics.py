"""From evidence to measurements, one row for each metric. Memory and package sizes are in Lambda's MB of 1,024 KB."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from emulator.evidence import Evidence, Sample
from emulator.intervals import Estimate, mean, median_of_least, percentile
from emulator.package import Weight
from emulator.pricing.cost import per_million_usd


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


Measure = Callable[[Evidence, "Metric"], Measurement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row of the table: what is measured, in which unit, and which direction is worse."""

    name: str
    unit: str
    worse: Literal["higher", "lower"]
    what: str
    measure: Measure


_MIB: Final = 1024 * 1024
_NOT_ASKED: Final = "the package was not weighed"


def _measurement(metric: Metric, found: Estimate | None, note: str) -> Measurement:
    if found is None:
        return Measurement(name=metric.name, value=None, unit=metric.unit, n=0, note=note)
    spread = None
    if found.low is not None and found.high is not None and found.value:
        spread = 100 * (found.high - found.low) / 2 / abs(found.value)
    return Measurement(
        name=metric.name,
        value=found.value,
        unit=metric.unit,
        n=found.n,
        low=found.low,
        high=found.high,
        spread_pct=spread,
        note=note,
    )


def _exact(metric: Metric, value: float, note: str = "", n: int = 1) -> Measurement:
    """What is counted and not sampled: the next run finds the same."""
    return Measurement(
        name=metric.name, value=value, unit=metric.unit, n=n, low=value, high=value, spread_pct=0.0, note=note
    )


def _package(size: Callable[[Weight], int | None]) -> Measure:
    def measure(evidence: Evidence, metric: Metric) -> Measurement:
        if evidence.weight is None:
            return _measurement(metric, None, _NOT_ASKED)
        if (found := size(evidence.weight)) is None:
            why = "the package was not compressed" if evidence.config.image is None else "an image is not zipped"
            return _measurement(metric, None, why)
        return _exact(metric, found / _MIB)

    return measure


def _percentile(
    samples: Callable[[Evidence], Iterable[Sample]], figure: Callable[[Sample], float | None], percent: float, none: str
) -> Measure:
    def measure(evidence: Evidence, metric: Metric) -> Measurement:
        values = [value for sample in samples(evidence) if (value := figure(sample)) is not None]
        if not values or evidence.nothing_answered:
            return _measurement(metric, None, evidence.nothing_answered or none)
        few = len(values) * min(percent, 100 - percent) < _ONE_OBSERVATION
        note = f"of {len(values)}: close to the largest one" if few and percent < _LARGEST else ""
        return _measurement(metric, percentile(values, percent), note)

    return measure


def _memory(evidence: Evidence) -> Estimate | None:
    """The highest peak; the interval spans the peaks of the environments that answered one event and no more."""
    worst = evidence.worst
    if worst is None or worst.memory_bytes is None:
        return None
    peaks = [sample.memory_bytes / _MIB for sample in evidence.cold if sample.memory_bytes is not None]
    value = worst.memory_bytes / _MIB
    told = sum(sample.memory_bytes is not None for sample in evidence.samples)
    if len(peaks) < 2:  # noqa: PLR2004 - one has no spread
        return Estimate(value=value, n=told)
    half = (max(peaks) - min(peaks)) / 2
    return Estimate(value=value, n=told, low=value - half, high=value + half, method="range")


def _memory_max(evidence: Evidence, metric: Metric) -> Measurement:
    found, worst = _memory(evidence), evidence.worst
    if found is None or worst is None:
        return _measurement(metric, None, "the backend does not tell memory on this machine")
    return _measurement(metric, found, f"case {worst.case_id}" if worst.case_id else "")


def _headroom(evidence: Evidence, metric: Metric) -> Measurement:
    found, size = _memory(evidence), evidence.config.memory_mb
    if found is None:
        return _measurement(metric, None, "the backend does not tell memory on this machine")

    def left(used: float | None) -> float | None:
        return None if used is None else 100 * (size - used) / size

    value = left(found.value) or 0.0
    turned = Estimate(value=value, n=found.n, low=left(found.high), high=left(found.low))
    return _measurement(metric, turned, f"of {size} MB")


def _tmp(evidence: Evidence, metric: Metric) -> Measurement:
    values = [sample.tmp_bytes / _MIB for sample in evidence.samples if sample.tmp_bytes is not None]
    if not values:
        return _measurement(metric, None, "the backend does not tell what lies in /tmp")
    return _exact(metric, max(values), n=len(values))


def _cost(evidence: Evidence, metric: Metric) -> Measurement:
    values = [float(sample.billed_ms) for sample in evidence.warm]
    if not values:
        return _measurement(metric, None, evidence.nothing_answered or _NO_WARM)
    config, billed = evidence.config, mean(values)

    def usd(billed_ms: float) -> float:
        return per_million_usd(config.memory_mb, billed_ms, config.architecture, config.ephemeral_storage_mb)

    found = Estimate(
        value=usd(billed.value),
        n=billed.n,
        low=None if billed.low is None else usd(billed.low),
        high=None if billed.high is None else usd(billed.high),
    )
    return _measurement(metric, found, f"warm, {billed.value:.1f} ms billed on average, {config.architecture}")


def _quality(evidence: Evidence, metric: Metric) -> Measurement:
    evaluation = evidence.evaluation
    if evaluation is None:
        return _measurement(metric, None, "there is no golden dataset")
    if evaluation.score is None:
        return _measurement(metric, None, f"{evaluation.scorer} is not defined for these answers")
    return _measurement(metric, evaluation.score, f"{evaluation.scorer}, {evaluation.cases} cases")


def _errors(evidence: Evidence, metric: Metric) -> Measurement:
    if not evidence.samples:
        return _measurement(metric, None, "nothing was invoked")
    failed = evidence.failed
    note = (failed[0].error or "")[:_SHOWN] if failed else ""
    return _exact(metric, len(failed), note, n=len(evidence.distinct))


_ONE_OBSERVATION: Final = 100
"""In percent of a sample: a percentile that less than one observation lies beyond is that of the largest ones."""
_LARGEST: Final = 100.0
_SHOWN: Final = 80
_NO_COLD: Final = "no cold start whose Init phase ended well"
_NO_WARM: Final = "no warm call"
_NO_CPU: Final = "the backend does not tell CPU time on this machine"


def _duration(sample: Sample) -> float:
    return sample.duration_ms


def _billed(sample: Sample) -> float:
    return sample.billed_ms


def _init(percent: float) -> Measure:
    return _percentile(lambda evidence: evidence.cold, lambda sample: sample.init_ms, percent, _NO_COLD)


def _init_cpu(evidence: Evidence, metric: Metric) -> Measurement:
    none = _NO_CPU if evidence.cold else _NO_COLD
    return _percentile(lambda found: found.cold, lambda sample: sample.init_cpu_ms, 50, none)(evidence, metric)


def _warm(figure: Callable[[Sample], float | None], percent: float, none: str = _NO_WARM) -> Measure:
    return _percentile(lambda evidence: evidence.warm, figure, percent, none)


def _cpu(evidence: Evidence, metric: Metric) -> Measurement:
    """Of the same events called in several rounds, the least of each: neighbours only ever add to CPU time."""
    raw = _warm(lambda sample: sample.cpu_ms, 50, _NO_CPU if evidence.warm else _NO_WARM)(evidence, metric)
    found = ((one.round, one.place, one.cpu_ms) for one in evidence.warm)
    least = median_of_least((n, place, ms) for n, place, ms in found if place is not None and ms is not None)
    if least is None:
        return raw
    return _measurement(metric, least, f"each event's least of its rounds; median of all {raw.n}: {raw.value:.4g} ms")


METRICS: Final[tuple[Metric, ...]] = (
    Metric(
        name="package.zipped_mb",
        unit="MB",
        worse="higher",
        what="the code's zip as it would be uploaded",
        measure=_package(lambda w: w.zipped_bytes),
    ),
    Metric(
        name="package.unzipped_mb",
        unit="MB",
        worse="higher",
        what="code and layers, as Lambda counts them",
        measure=_package(lambda w: w.unzipped_bytes),
    ),
    Metric(
        name="package.layers_mb",
        unit="MB",
        worse="higher",
        what="the layers alone",
        measure=_package(lambda w: w.layers_bytes),
    ),
    Metric(name="init.p50_ms", unit="ms", worse="higher", what="median Init Duration", measure=_init(50)),
    Metric(name="init.p95_ms", unit="ms", worse="higher", what="95th percentile of Init Duration", measure=_init(95)),
    Metric(name="init.max_ms", unit="ms", worse="higher", what="longest Init Duration", measure=_init(100)),
    Metric(
        name="init.cpu_p50_ms", unit="ms", worse="higher", what="median CPU time of the Init phase", measure=_init_cpu
    ),
    Metric(
        name="duration.p50_ms",
        unit="ms",
        worse="higher",
        what="median Duration of warm calls",
        measure=_warm(_duration, 50),
    ),
    Metric(
        name="duration.p95_ms",
        unit="ms",
        worse="higher",
        what="95th percentile of warm Duration",
        measure=_warm(_duration, 95),
    ),
    Metric(
        name="duration.p99_ms",
        unit="ms",
        worse="higher",
        what="99th percentile of warm Duration",
        measure=_warm(_duration, 99),
    ),
    Metric(
        name="billed.p95_ms",
        unit="ms",
        worse="higher",
        what="95th percentile of warm Billed Duration",
        measure=_warm(_billed, 95),
    ),
    Metric(
        name="cpu.p50_ms",
        unit="ms",
        worse="higher",
        what="median over the events of warm calls of the least CPU time that a round needed",
        measure=_cpu,
    ),
    Metric(
        name="memory.max_mb",
        unit="MB",
        worse="higher",
        what="Max Memory Used, the highest of all invocations",
        measure=_memory_max,
    ),
    Metric(
        name="memory.headroom_pct", unit="%", worse="lower", what="what is left of the memory size", measure=_headroom
    ),
    Metric(
        name="tmp.max_mb", unit="MB", worse="higher", what="most that lay in /tmp after an invocation", measure=_tmp
    ),
    Metric(name="cost.per_million_usd", unit="USD", worse="higher", what="a million warm requests", measure=_cost),
    Metric(
        name="quality.score",
        unit="",
        worse="lower",
        what="the scorer's figure for the golden dataset",
        measure=_quality,
    ),
    Metric(
        name="errors.count",
        unit="",
        worse="higher",
        what="invocations that failed, cases without an answer",
        measure=_errors,
    ),
)
NAMES: Final = tuple(metric.name for metric in METRICS)


def measure_all(evidence: Evidence) -> tuple[Measurement, ...]:
    """Every metric, in the order of the table, measured or not."""
    return tuple(metric.measure(evidence, metric) for metric in METRICS)
