"""The tasks, run under the emulator: which samples count, and how they are taken."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks import machine
from emulator.errors import BackendError
from emulator.sandbox import open_backend
from emulator.service import LambdaService

if TYPE_CHECKING:
    from benchmarks.bed import Bed
    from emulator.invocation import InvocationResult

FULL_SPEED_MB: Final = 2048  # more than one vCPU, so that one thread is never held back
_PER_CENT_LOST: Final = 0.03
_MS_LOST: Final = 3.0
_MS_LOST_IN_INIT: Final = 20.0
_MS: Final = 1000
_WAIT_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation, in milliseconds. `lost_ms` is time that neither the function used nor its quota took."""

    duration_ms: float
    cpu_ms: float
    throttled_ms: float
    payload: Any

    @property
    def lost_ms(self) -> float:
        """What the emulator takes, a millisecond or two, and what other work on this machine took."""
        return self.duration_ms - self.cpu_ms - self.throttled_ms

    @property
    def quiet(self) -> bool:
        """Whether nothing else is in the figure: on a machine that others use, the CPU is often somebody else's."""
        return self.lost_ms <= max(_MS_LOST, _PER_CENT_LOST * self.duration_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One Init, in milliseconds; files that it waits for cost a few, and no quota holds it back."""

    init_ms: float
    cpu_ms: float

    @property
    def quiet(self) -> bool:
        """Whether the CPU was its own."""
        return self.init_ms - self.cpu_ms <= _MS_LOST_IN_INIT


@dataclass(slots=True)
class Taken:
    """The runs of one function; those that something else disturbed are counted and kept apart."""

    quiet: list[Run] = field(default_factory=list)
    disturbed: list[Run] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """To where it belongs."""
        (self.quiet if run.quiet else self.disturbed).append(run)

    def best(self, wanted: int) -> list[Run]:
        """The quiet ones; where they are too few, those that lost least besides."""
        more = sorted(self.disturbed, key=lambda run: run.lost_ms)[: max(0, wanted - len(self.quiet))]
        return [*self.quiet, *more]


def sizes_service(bed: Bed, handler: str, sizes: Sequence[int]) -> LambdaService:
    """One function for each memory size, side by side, so that a slow minute is a slow minute for all of them."""
    functions = {name_of(size): replace(bed.function(handler, size), name=name_of(size)) for size in sizes}
    return LambdaService(functions, open_backend("docker"))


def name_of(memory_mb: int) -> str:
    """The function of one memory size."""
    return f"Size{memory_mb}"


def invoke(service: LambdaService, memory_mb: int, event: Mapping[str, Any]) -> Run:
    """One warm or cold invocation; BackendError where the fixture fails or the kernel does not count."""
    return run_of(service.invoke(name_of(memory_mb), json.dumps(event).encode()))


def run_of(result: InvocationResult) -> Run:
    """What is compared of a result."""
    usage = result.usage
    if result.error is not None:
        raise BackendError(
            f"the task failed: {result.error.type}: {result.error.message}", hint="See `preflight doctor`."
        )
    if usage.cpu_seconds is None or usage.throttled_seconds is None:
        raise BackendError("CPU time or throttling was not measured", hint="See `preflight doctor`.")
    return Run(
        duration_ms=result.timings.duration_ms,
        cpu_ms=usage.cpu_seconds * _MS,
        throttled_ms=usage.throttled_seconds * _MS,
        payload=result.payload,
    )


def take_turns(
    sizes: Sequence[int], take: Callable[[int], Run], wanted: int, budget_s: float, say: Callable[[str], None]
) -> dict[int, Taken]:
    """Sizes in random order, round by round, until each has so many quiet runs or the time is up.

    Every size is run `wanted` times at least, whatever the time.
    """
    taken = {size: Taken() for size in sizes}
    draw = random.Random(0)  # noqa: S311 - an order, not a secret
    limit = time.monotonic() + budget_s
    number = 0
    while True:
        number += 1
        left = [size for size in sizes if number <= wanted or len(taken[size].quiet) < wanted]
        if not left or (number > wanted and time.monotonic() > limit):
            return taken
        quiet = sum(len(each.quiet) for each in taken.values())
        say(f"round {number}: {len(left)} sizes, {quiet} quiet runs of {wanted * len(sizes)}")
        for size in draw.sample(left, len(left)):
            machine.await_quiet(_WAIT_S)
            taken[size].add(take(size))
