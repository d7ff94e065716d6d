"""The comparisons, one function each: run the task, then set it beside what was published."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from benchmarks import machine
from benchmarks.bed import HANDLER
from benchmarks.fidelity import compare, tasks
from benchmarks.fidelity.published import ONE_VCPU_MB, Published, chosen_sizes
from benchmarks.stats import quantile

if TYPE_CHECKING:
    from benchmarks.bed import Bed
    from benchmarks.fidelity.compare import Result
    from emulator.service import LambdaService

Part = Literal["staircase", "pauses", "sha256", "init"]

_PROBE_ROUNDS: Final = 50_000
_PROBES: Final = 24
_PROBE_EVERY: Final = 6
_PROBE_WAIT_S: Final = 0.1
_SHA256_ROUNDS: Final = 1_000_000
_SHA256_RUNS: Final = 5
_BUSY_S: Final = 1.0
_BUSY_RUNS: Final = 8
_INIT_STARTS: Final = 8
_MS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How many sizes and runs, and how long a part waits for runs that nothing disturbs."""

    sizes: int
    runs: int
    patience_s: float


def measure(part: Part, bed: Bed, published: Published, settings: Settings) -> Result:
    """One comparison."""
    if part == "staircase":
        return _staircase(bed, published, settings)
    if part == "pauses":
        return _pauses(bed, published, settings)
    if part == "sha256":
        return _sha256(bed, published, settings)
    return _init(bed, published)


def _staircase(bed: Bed, published: Published, settings: Settings) -> Result:
    """The task is made as long as the published one by its CPU time here, so that no core's speed is in the figure."""
    steps = chosen_sizes(published, settings.sizes)
    sizes = [step.memory_mb for step in steps]
    with tasks.sizes_service(bed, "measure.fixed_work", [*sizes, tasks.FULL_SPEED_MB]) as service:
        bed.say("staircase: how fast this core is, and one cold start of each size")
        pace = _Pace(service, published.full_speed_ms)
        for size in sizes:
            tasks.invoke(service, size, {"rounds": 1})
        taken = tasks.take_turns(
            sizes,
            lambda size: tasks.invoke(service, size, {"rounds": pace.rounds()}),
            settings.runs,
            settings.patience_s,
            lambda text: bed.say(f"staircase: {text}"),
        )
    return compare.staircase(published, steps, taken, settings.runs)


class _Pace:
    """How many rounds take the published CPU time on this core now: its speed changes with what its neighbours do."""

    def __init__(self, service: LambdaService, full_speed_ms: float) -> None:
        self._service, self._full_speed_ms = service, full_speed_ms
        self._speeds: deque[float] = deque(maxlen=_PROBES)  # rounds in a millisecond of CPU
        self._asked = 0
        for _ in range(_PROBES):
            self._probe()

    def rounds(self) -> int:
        """For the next run; every so often the core is asked again."""
        self._asked += 1
        if self._asked % _PROBE_EVERY == 0:
            self._probe()
        return round(quantile(list(self._speeds), 0.5) * self._full_speed_ms)

    def _probe(self) -> None:
        machine.await_quiet(_PROBE_WAIT_S)
        run = tasks.invoke(self._service, tasks.FULL_SPEED_MB, {"rounds": _PROBE_ROUNDS})
        self._speeds.append(_PROBE_ROUNDS / run.payload["cpu_ms"])


def _pauses(bed: Bed, published: Published, settings: Settings) -> Result:
    memory_mb = published.pauses_memory_mb
    with tasks.sizes_service(bed, "measure.runs_and_pauses", [memory_mb]) as service:
        tasks.invoke(service, memory_mb, {"seconds": 0.1})
        taken = tasks.take_turns(
            [memory_mb],
            lambda size: tasks.invoke(service, size, {"seconds": _BUSY_S}),
            _BUSY_RUNS,
            settings.patience_s,
            lambda text: bed.say(f"pauses: {text}"),
        )
    return compare.pauses(published, taken[memory_mb].best(_BUSY_RUNS))


def _sha256(bed: Bed, published: Published, settings: Settings) -> Result:
    sizes = sorted({*published.sha256, ONE_VCPU_MB})
    with tasks.sizes_service(bed, "measure.fixed_work", sizes) as service:
        for size in sizes:
            tasks.invoke(service, size, {"rounds": 1})
        taken = tasks.take_turns(
            sizes,
            lambda size: tasks.invoke(service, size, {"rounds": _SHA256_ROUNDS}),
            _SHA256_RUNS,
            settings.patience_s,
            lambda text: bed.say(f"sha256: {text}"),
        )
    return compare.sha256(published, taken, _SHA256_RUNS)


def _init(bed: Bed, published: Published) -> Result:
    """Cold starts in turns, each environment closed before the next size's."""
    found: dict[int, list[tasks.Start]] = {}
    sizes = sorted(next(iter(published.init.values())))
    with tasks.sizes_service(bed, HANDLER, sizes) as service:
        for number in range(_INIT_STARTS):
            bed.say(f"init: round {number + 1} of {_INIT_STARTS}")
            for size in sizes:
                service.prepare(tasks.name_of(size), 1)
                machine.await_quiet(_PROBE_WAIT_S)
                result = service.invoke(tasks.name_of(size), b"{}", fresh=True)
                service.retire(tasks.name_of(size))
                init_ms, cpu_s = result.timings.init_ms, result.usage.init_cpu_seconds
                if init_ms is not None and cpu_s is not None:
                    found.setdefault(size, []).append(tasks.Start(init_ms=init_ms, cpu_ms=cpu_s * _MS))
    return compare.init(published, bed.runtime, found)
