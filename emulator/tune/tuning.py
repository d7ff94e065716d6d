"""Memory sizes: which this machine can represent, what each showed, and which to take. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from emulator.calibration import Calibration, predicted
from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError, QuotaError
from emulator.intervals import Estimate, percentile
from emulator.limits import check
from emulator.pricing.cost import per_million_usd
from emulator.pricing.prices import PriceList
from emulator.tune.decision import ALIKE, STRATEGIES, Figures, Goal, Strategy, UsdOf, choose, figures, owned
from emulator.tune.sampling import Series, total, undisturbed

SIZES: Final = (128, 256, 512, 1024, 1769, 2048, 3008, 5120, 10_240)
LEAST_MB: Final = 128
_ONE_VCPU_MB: Final = 1769
_SLO: Final = re.compile(r"p(\d{1,2}(?:\.\d+)?)\s*=\s*(\d+(?:\.\d+)?)\s*ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A size that this machine cannot represent, and why."""

    memory_mb: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """A percentile of Duration that has to stay within `limit_ms`."""

    percent: float
    limit_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeResult:
    """What one memory size showed; figures of answered invocations alone, None where there was none.

    `median` has its interval. `billed_ms` is the mean of warm invocations, which is what a million of them costs.
    `disturbed` warm invocations, from which other work here took the CPU, are in none of the figures.
    `throttled_share` is the part of their duration that the quota took. `decided_by` is what sizes are compared by: all
    warm invocations without what other work has added (emulator.tune.decision). `predicted_*` are for real Lambda.
    """

    memory_mb: int
    cold: int
    warm: int
    disturbed: int
    median: Estimate | None
    p95_ms: float | None
    p99_ms: float | None
    slo_ms: float | None
    billed_ms: float | None
    init_p50_ms: float | None
    init_max_ms: float | None
    max_memory_mb: float | None
    throttled_share: float | None
    usd_per_million: float | None
    decided_by: Figures | None
    errors: Mapping[str, int]
    predicted_median: Estimate | None = None
    predicted_slo: Estimate | None = None
    predicted_usd: Estimate | None = None

    @property
    def runs(self) -> bool:
        """Whether every invocation was answered, and there were some."""
        return not self.errors and self.median is not None

    @property
    def width(self) -> float | None:
        """The interval of the median as a part of it; None where there is none yet."""
        if self.median is None or self.median.low is None or self.median.high is None:
            return None
        return (self.median.high - self.median.low) / self.median.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The size to take, None where none will do, and why.

    `alike` are the sizes that are equal to it, itself among them. `agreement` (0 to 1) is how surely the same would be
    taken again, None where that was not reckoned. `by_strategy` is what each strategy would take.
    """

    memory_mb: int | None
    reason: str
    alike: tuple[int, ...] = ()
    agreement: float | None = None
    by_strategy: Mapping[Strategy, int] = field(default_factory=dict)


def parse_sizes(text: str) -> tuple[int, ...]:
    """`128,512,1024`, in order and each once; ConfigurationError for what is no whole number."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigurationError(f"--memory {text!r} is no list of megabytes", hint="For instance: 128,512,1024")
    return tuple(sorted({int(part) for part in parts}))


def check_sizes(sizes: Iterable[int]) -> None:
    """QuotaError for a size that Lambda does not offer."""
    for size in sizes:
        for violation in check("configuration", {"MemorySize": size}):
            raise QuotaError(violation.message, hint=violation.hint)


def parse_slo(text: str) -> Slo:
    """`p95=200ms`."""
    found = _SLO.fullmatch(text.strip())
    if found is None or not 0 < float(found[1]) < 100 or float(found[2]) <= 0:  # noqa: PLR2004 - percent
        raise ConfigurationError(f"--slo {text!r} is no percentile and limit", hint="For instance: p95=200ms")
    return Slo(percent=float(found[1]), limit_ms=float(found[2]))


def representable(sizes: Iterable[int], cpus: int, free_mb: int) -> tuple[tuple[int, ...], tuple[LeftOut, ...]]:
    """Sizes whose CPU share and memory this machine has, and the others: never faked."""
    usable, left_out = [], []
    for size in sizes:
        if size / _ONE_VCPU_MB > cpus:
            reason = f"it has {size / _ONE_VCPU_MB:.1f} vCPUs, and this machine has {cpus}"
            left_out.append(LeftOut(memory_mb=size, reason=reason))
        elif size > free_mb:
            left_out.append(LeftOut(memory_mb=size, reason=f"this machine has {free_mb:,} MB free"))
        else:
            usable.append(size)
    return tuple(usable), tuple(left_out)


def what_fits(cpus: int, free_mb: int) -> str:
    """The sizes that `representable` would take, in a sentence that says what to do."""
    largest = min(cpus * _ONE_VCPU_MB, free_mb, max(SIZES))
    fitting = [size for size in SIZES if size <= largest]
    if not fitting:
        return f"No size fits: the smallest has {min(SIZES)} MB. Free some memory."
    return f"Up to {largest:,} MB can be represented here now: --memory {','.join(map(str, fitting))}"


def result_of(  # noqa: PLR0913 - one keyword for each thing that figures depend on
    config: FunctionConfig,
    rounds: Sequence[Series],
    prices: PriceList,
    *,
    slo: Slo | None,
    calibration: Calibration | None,
    waits: Mapping[int, float] | None = None,
) -> SizeResult:
    """The figures of one size; `config` is the function at that size.

    `waits` are the least waits of all sizes: invocations that other work here has disturbed are counted and left out.
    """
    import numpy as np  # noqa: PLC0415 - a tenth of a second that only figures need

    measured = total(rounds)
    series = measured if waits is None else undisturbed(measured, waits)
    warm, cold = series.good_warm, series.good_cold
    durations = [sample.duration_ms for sample in warm]
    inits = [sample.init_ms for sample in cold if sample.init_ms is not None]
    throttled = [sample.throttled_ms for sample in warm if sample.throttled_ms is not None]
    billed = sum(sample.billed_ms for sample in warm) / len(warm) if warm else None
    median = percentile(durations, 50) if durations else None
    p95, p99 = np.percentile(durations, [95, 99]) if durations else (None, None)
    slo_ms = float(np.percentile(durations, slo.percent)) if durations and slo else None
    factor = calibration.duration if calibration else None
    usd = None if billed is None else _usd(config, billed, prices)
    own = owned(config.memory_mb, rounds, waits or {})
    return SizeResult(
        memory_mb=config.memory_mb,
        cold=len(cold),
        warm=len(warm),
        disturbed=len(measured.good_warm) - len(warm),
        median=median,
        p95_ms=None if p95 is None else float(p95),
        p99_ms=None if p99 is None else float(p99),
        slo_ms=slo_ms,
        billed_ms=billed,
        init_p50_ms=float(np.median(inits)) if inits else None,
        init_max_ms=max(inits, default=None),
        max_memory_mb=series.max_memory_mb,
        throttled_share=sum(throttled) / sum(durations) if durations and len(throttled) == len(durations) else None,
        usd_per_million=usd,
        decided_by=None if own is None else figures(config.memory_mb, own, usd_of(config, prices)),
        errors=series.errors,
        predicted_median=predicted(median.value, factor) if median and factor else None,
        predicted_slo=predicted(slo_ms, factor) if slo_ms is not None and factor else None,
        predicted_usd=_predicted_usd(config, billed, factor, prices) if billed is not None and factor else None,
    )


def recommend(results: Sequence[SizeResult], goal: Goal, slo: Slo | None = None) -> Recommendation:
    """The size to take among those that answer every time: what `goal` takes, by a rule that breaks ties.

    With an SLO only sizes that keep it count (as predicted for Lambda where there is a calibration), and the cheapest
    of them is taken, whatever the goal; of equally cheap ones the smallest.
    """
    able = {each.memory_mb: each for each in results if each.runs}
    if not able:
        return Recommendation(memory_mb=None, reason="no size runs every invocation")
    by = {size: each.decided_by for size, each in able.items() if each.decided_by is not None}
    every = {each: choose(by, replace(goal, strategy=each)).memory_mb for each in STRATEGIES}
    if slo is not None:
        wanted = f"p{slo.percent:g} within {slo.limit_ms:g} ms"
        keeping = sorted(size for size, each in able.items() if _slo_ms(each) <= slo.limit_ms)
        if not keeping:
            return Recommendation(memory_mb=None, reason=f"no size has {wanted}", by_strategy=every)
        cheapest = min(keeping, key=lambda size: by[size].usd)
        return Recommendation(memory_mb=cheapest, reason=f"the cheapest with {wanted}", by_strategy=every)
    choice = choose(by, goal)
    return Recommendation(
        memory_mb=choice.memory_mb, reason=_reason(choice.alike, goal), alike=choice.alike, by_strategy=every
    )


def usd_of(config: FunctionConfig, prices: PriceList) -> UsdOf:
    """Its price at any memory size."""
    return lambda memory_mb, billed_ms: _usd(replace(config, memory_mb=memory_mb), billed_ms, prices)


def _reason(alike: Sequence[int], goal: Goal) -> str:
    whys = {
        "cost": f"the fastest of the cheapest (within {ALIKE:.0%})",
        "speed": f"the fastest (within {ALIKE:.0%})",
        "balanced": f"the best balance, with {goal.weight:.0%} for cost",
    }
    if len(alike) == 1:
        return whys[goal.strategy]
    named = f"{', '.join(f'{size:,}' for size in alike[:-1])} and {alike[-1]:,} MB"
    return f"{whys[goal.strategy]}; {named} are equal within {ALIKE:.0%}: the smallest is named"


def as_dict(result: SizeResult) -> dict[str, Any]:
    """For JSON; what was not measured is null."""
    return {**asdict(result), "runs": result.runs}


def _slo_ms(result: SizeResult) -> float:
    """The most that it may be: the upper end of a prediction, else what was measured."""
    found = result.predicted_slo
    if found is not None:
        return found.value if found.high is None else found.high
    return result.slo_ms if result.slo_ms is not None else float("inf")


def _usd(config: FunctionConfig, billed_ms: float, prices: PriceList) -> float:
    return per_million_usd(config.memory_mb, billed_ms, config.architecture, config.ephemeral_storage_mb, prices=prices)


def _predicted_usd(config: FunctionConfig, billed_ms: float, factor: Estimate, prices: PriceList) -> Estimate:
    found = predicted(billed_ms, factor)
    low = None if found.low is None else _usd(config, found.low, prices)
    high = None if found.high is None else _usd(config, found.high, prices)
    return Estimate(value=_usd(config, found.value, prices), n=found.n, low=low, high=high, method=found.method)
