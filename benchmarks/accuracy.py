"""How true the emulator's own figures are, against handlers that use a known amount of memory or CPU."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks import machine
from benchmarks.bed import FUNCTION
from benchmarks.rows import CPU_ERROR_POINTS, MEMORY_ERROR_PCT, Row
from benchmarks.stats import Estimate, quantile
from emulator.errors import BackendError
from emulator.limits import MIB

if TYPE_CHECKING:
    from benchmarks.bed import Bed
    from emulator.config import FunctionConfig
    from emulator.invocation import InvocationResult

TOUCHED_MB: Final = (50, 200, 400)
CPU_MEMORY_MB: Final = (128, 512, 1024)
BUSY_S: Final = 3
_ROOMY_MB: Final = 1024
_PERCENT: Final = 100
_ONE_VCPU_MB: Final = 1769  # Lambda guide, "Configure function memory", 2026-07


def measure_memory(bed: Bed, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    """Reported peak against what was touched plus the peak of touching nothing, each in an environment of its own."""
    config = bed.function("measure.touch_memory", _ROOMY_MB)
    peaks: dict[int, list[float]] = {}
    for megabytes in (0, *TOUCHED_MB):
        peaks[megabytes] = []
        for number in range(repeats):
            bed.say(f"memory: {megabytes} MB touched, {number + 1} of {repeats}")
            with bed.service(config) as service:
                result = _good(service.invoke(FUNCTION, json.dumps({"mb": megabytes}).encode()), config)
            peaks[megabytes].append(_measured(result.usage.max_memory_bytes, "peak memory") / MIB)
    return memory_rows(peaks), {"peaks_mb": peaks}


def memory_rows(peaks: Mapping[int, Sequence[float]]) -> list[Row]:
    """One row for each amount: the worst error of any repeat, in percent of the amount plus the idle peak (key 0)."""
    idle = quantile(peaks[0], 0.5)
    note = "the runtime and the handler"
    rows = [Row(part="memory", name="touching nothing", unit="MB", estimate=_range(peaks[0], idle), note=note)]
    for megabytes, found in peaks.items():
        if not megabytes:
            continue
        expected = megabytes + idle
        errors = [abs(peak - expected) / expected * _PERCENT for peak in found]
        rows.append(
            Row(
                part="memory",
                name=f"error at {megabytes} MB",
                unit="%",
                estimate=_range(errors, max(errors)),
                at_most=MEMORY_ERROR_PCT,
                note=f"{quantile(found, 0.5):.1f} MB reported, {expected:.1f} expected",
            )
        )
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """One busy loop: vCPUs it used by the emulator's figures, and CPUs that everything else used meanwhile."""

    share: float
    throttled_s: float | None
    others: float | None


def measure_cpu(bed: Bed, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    """CPU time of a busy loop against its duration, at sizes that are a part of a vCPU."""
    found: dict[int, list[Busy]] = {}
    for memory_mb in CPU_MEMORY_MB:
        config = bed.function("measure.busy_loop", memory_mb)
        found[memory_mb] = []
        for number in range(repeats):
            bed.say(f"cpu: {BUSY_S} s at {memory_mb} MB, {number + 1} of {repeats}")
            found[memory_mb].append(_busy(bed, config))
    return cpu_rows(found), {str(memory_mb): [asdict(busy) for busy in each] for memory_mb, each in found.items()}


def cpu_rows(found: Mapping[int, Sequence[Busy]]) -> list[Row]:
    """One row for each memory size: the worst error of any repeat, in points (hundredths of a vCPU).

    A machine that is busy with something else can leave less than the share; the note says how busy it was.
    """
    rows = []
    for memory_mb, each in found.items():
        wanted = memory_mb / _ONE_VCPU_MB
        errors = [abs(busy.share - wanted) * _PERCENT for busy in each]
        note = f"{quantile([busy.share for busy in each], 0.5) * _PERCENT:.2f} % used, {wanted * _PERCENT:.2f} expected"
        others = [busy.others for busy in each if busy.others is not None]
        if others:
            note += f"; {max(others):.1f} CPUs busy with other work"
        rows.append(
            Row(
                part="cpu",
                name=f"error at {memory_mb} MB",
                unit="points",
                estimate=_range(errors, max(errors)),
                at_most=CPU_ERROR_POINTS,
                note=note,
            )
        )
    return rows


def _busy(bed: Bed, config: FunctionConfig) -> Busy:
    with bed.service(config) as service:
        service.prepare(FUNCTION, 1)
        before, begin = machine.busy_cpu_s(), time.perf_counter()
        result = _good(service.invoke(FUNCTION, json.dumps({"seconds": BUSY_S}).encode()), config)
        after, wall_s = machine.busy_cpu_s(), time.perf_counter() - begin
    usage = result.usage
    used = _measured(usage.cpu_seconds, "CPU time")
    all_used = used + (usage.init_cpu_seconds or 0.0)
    return Busy(
        share=used * 1000 / result.timings.duration_ms,
        throttled_s=usage.throttled_seconds,
        others=None if before is None or after is None else max(0.0, (after - before - all_used) / wall_s),
    )


def _good(result: InvocationResult, config: FunctionConfig) -> InvocationResult:
    if result.error is not None:
        message = f"{config.handler} at {config.memory_mb} MB failed: {result.error.type}: {result.error.message}"
        raise BackendError(message, hint="Run it with `preflight invoke`.")
    return result


def _measured(value: float | None, what: str) -> float:
    if value is None:
        raise BackendError(f"the engine does not tell {what}", hint="Run `preflight doctor`.")
    return value


def _range(values: Sequence[float], value: float) -> Estimate:
    return Estimate(value=value, n=len(values), low=min(values), high=max(values))
