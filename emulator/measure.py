"""Runs functions cold, warm and over their golden cases, and gathers what was seen as evidence.

In this order, so that every figure is taken in the same state of the machine: the package is weighed; each function is
started once without being counted, which fills the page cache (or its files are dropped from it before each start);
cold starts, the functions taking turns; warm calls one by one in the last of these environments, over the golden cases
where there are any; the rest of the golden cases side by side.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from types import MappingProxyType
from typing import Final

from emulator.config import FunctionConfig
from emulator.errors import QuotaError
from emulator.golden.dataset import event_bytes
from emulator.golden.evaluation import Case, Evaluation
from emulator.golden.journal import function_key, open_journal
from emulator.golden.run import Golden, GoldenRun, Progress, environments, sample_of
from emulator.memory_watch import MemoryWatch
from emulator.metrics import Evidence, ImportTime, MemoryPoint, PageCache, Sample, Start
from emulator.package import Weight, weigh
from emulator.service import LambdaService
from emulator.surroundings import watch

COLD_STARTS: Final = 5
WARM_CALLS: Final = 100
_AHEAD: Final = 4  # environments made ready at once: making more disturbs the one that is measured
_IMPORTS: Final = "PYTHONPROFILEIMPORTTIME"
_IMPORT_LINE: Final = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)$", re.MULTILINE)
_HEAVIEST: Final = 5
_MB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured of one function; `event` is what it is started with where there is no golden case."""

    config: FunctionConfig
    event: bytes = b"{}"
    golden: Golden | None = None
    cold_starts: int = COLD_STARTS
    warm_calls: int = WARM_CALLS
    page_cache: PageCache = "warm"
    fresh: bool = False
    """Forget the answers of a run that was interrupted."""
    workers: int | None = None
    """Environments for the golden cases; None for as many as the machine holds."""

    @property
    def first_event(self) -> bytes:
        """The event of every start, so that starts differ in nothing but the start: the first case's, else `event`."""
        return self.event if self.golden is None else event_bytes(next(self.golden.dataset.cases()))


def weighed(config: FunctionConfig) -> Weight | None:
    """The package's weight; QuotaError in AWS's words, with the heaviest parts, where Lambda would refuse it."""
    if config.image is not None:
        return None
    weight = weigh(config, zipped=True)
    for violation in weight.violations:
        parts = ", ".join(f"{part.name} {part.bytes / _MB:.1f} MB" for part in weight.parts[:_HEAVIEST])
        message = f"{config.name}: {violation.message} (it has {weight.unzipped_bytes:,})"
        raise QuotaError(message, hint=f"Heaviest: {parts}. See `preflight weigh {config.name}`.")
    return weight


def collect(
    service: LambdaService, plans: Sequence[Plan], weights: Sequence[Weight | None], progress: Progress
) -> tuple[Evidence, ...]:
    """Measure the functions; one Evidence for each plan, in their order."""
    return _Collection(service, plans, progress).collect(weights)


def slowest_imports(service: LambdaService, config: FunctionConfig, event: bytes) -> tuple[ImportTime, ...]:
    """What the Init phase imports, slowest first, as Python's own `-X importtime` tells it; one start.

    `config` is what `with_import_times` made. Empty for a runtime that is not Python.
    """
    with closing(_Retired(service, config.name)):
        log = service.invoke(config.name, event, fresh=True).log
    return parse_imports(log)


def with_import_times(config: FunctionConfig) -> FunctionConfig:
    """The same function under another name, told to print what its imports take."""
    environment = MappingProxyType({**config.environment, _IMPORTS: "1"})
    return replace(config, name=f"{config.name}-imports", environment=environment, reserved_concurrency=None)


def parse_imports(log: str) -> tuple[ImportTime, ...]:
    """The lines of `-X importtime` in a log, slowest first by the time that includes what each module imports."""
    found = [
        ImportTime(module=name, own_ms=int(own) / 1000, total_ms=int(total) / 1000)
        for own, total, _, name in _IMPORT_LINE.findall(log)
    ]
    return tuple(sorted(found, key=lambda one: -one.total_ms))


def memory_timeline(service: LambdaService, plan: Plan, sample: Sample | None) -> tuple[MemoryPoint, ...]:
    """How memory grows in a new environment with the event of this sample; empty where no sample tells of memory."""
    if sample is None:
        return ()
    event = plan.first_event
    if plan.golden is not None and sample.case_id is not None:
        event = next(event_bytes(case) for case in plan.golden.dataset.cases() if case.id == sample.case_id)
    points: list[MemoryPoint] = []
    with closing(_Retired(service, plan.config.name)):
        service.invoke(
            plan.config.name,
            event,
            fresh=True,
            around=lambda sandbox: MemoryWatch(
                sandbox, lambda at_ms, peak: points.append(MemoryPoint(at_ms=at_ms, bytes=peak))
            ),
        )
    return tuple(points)


class _Retired:
    """Closes a function's warm environments at the end."""

    def __init__(self, service: LambdaService, name: str) -> None:
        self._service, self._name = service, name

    def close(self) -> None:
        self._service.retire(self._name)


class _Collection:
    """One run over all functions."""

    def __init__(self, service: LambdaService, plans: Sequence[Plan], progress: Progress) -> None:
        self._service = service
        self._plans = plans
        self._progress = progress
        self._begin = time.perf_counter()
        self._samples: dict[str, list[Sample]] = {plan.config.name: [] for plan in plans}

    def collect(self, weights: Sequence[Weight | None]) -> tuple[Evidence, ...]:
        watched = watch()
        self._start_cold()
        evaluations = [self._warm(plan) for plan in self._plans]
        disturbance = watched(sum(_cpu_s(sample) for samples in self._samples.values() for sample in samples))
        return tuple(
            Evidence(
                config=plan.config,
                page_cache=plan.page_cache,
                samples=tuple(self._samples[plan.config.name]),
                weight=weight,
                evaluation=evaluation,
                disturbance=disturbance,
            )
            for plan, weight, evaluation in zip(self._plans, weights, evaluations, strict=True)
        )

    def _start_cold(self) -> None:
        """Round by round, each begun by another function, so that none has the better half of a noisy minute."""
        rounds = max((plan.cold_starts for plan in self._plans), default=0)
        total = sum(plan.cold_starts for plan in self._plans)
        self._progress.begin("cold starts", total + len(self._plans))
        for plan in self._plans:
            self._service.invoke(plan.config.name, plan.first_event, fresh=True)
            self._service.retire(plan.config.name)
            self._progress.step()
        for number in range(rounds):
            turn = [plan for plan in self._plans if number < plan.cold_starts]
            if number % _AHEAD == 0:
                for plan in turn:
                    self._service.prepare(plan.config.name, min(_AHEAD, plan.cold_starts - number))
            first = number % len(turn)
            for plan in (*turn[first:], *turn[:first]):
                self._cold(plan, last=number == plan.cold_starts - 1)

    def _cold(self, plan: Plan, *, last: bool) -> None:
        name = plan.config.name
        if plan.page_cache == "dropped":
            drop_from_page_cache((plan.config.code, *plan.config.layers))
        at_s = time.perf_counter() - self._begin
        result = self._service.invoke(name, plan.first_event, fresh=True)
        self._samples[name].append(sample_of(result, "cold", at_s))
        if not last:
            self._service.retire(name)
        self._progress.step()

    def _warm(self, plan: Plan) -> Evaluation | None:
        name, golden = plan.config.name, plan.golden
        if golden is None:
            self._call(plan, (Case(id="", event=None, expected=None, line=0) for _ in range(plan.warm_calls)))
            self._service.retire(name)
            return None
        evaluation = self._golden(plan, golden)
        left = plan.warm_calls - golden.dataset.count
        if left > 0:
            self._call(plan, islice(cycle(golden.dataset.cases()), left), total=left)
        self._service.retire(name)
        return evaluation

    def _golden(self, plan: Plan, golden: Golden) -> Evaluation:
        config = plan.config
        workers = plan.workers or environments(config)
        key = function_key(config, self._service.backend.name)
        with open_journal(golden.dataset.sha256, key, fresh=plan.fresh) as journal:
            run = GoldenRun(self._service, config, golden, journal, self._progress, begin=self._begin)
            evaluation, samples = run.run(alone=plan.warm_calls, workers=workers)
            journal.finish()
        self._samples[config.name] += samples
        return evaluation

    def _call(self, plan: Plan, cases: Iterator[Case], total: int | None = None) -> None:
        """Warm calls whose answers nobody scores."""
        name = plan.config.name
        self._progress.begin(f"{name}: warm calls", plan.warm_calls if total is None else total)
        for case in cases:
            at_s = time.perf_counter() - self._begin
            event = event_bytes(case) if case.line else plan.event
            result = self._service.invoke(name, event)
            start: Start = "cold" if result.cold else "warm"
            self._samples[name].append(sample_of(result, start, at_s, case_id=case.id or None))
            self._progress.step()


def drop_from_page_cache(folders: Sequence[Path]) -> None:
    """Have the kernel forget these files' pages, as on a machine that has never run the function; needs no root.

    Pages that a process has mapped stay, and so does what belongs to the base image.
    """
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)


def _cpu_s(sample: Sample) -> float:
    return ((sample.cpu_ms or 0.0) + (sample.init_cpu_ms or 0.0)) / 1000
