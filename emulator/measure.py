"""Runs functions cold, warm and over their golden cases, and gathers what was seen as evidence.

In this order: the package is weighed; each function is started once without being counted, which fills the page cache
(or its files are dropped from it before each start). Then rounds, the functions taking turns: a cold start, and in its
environment warm calls one by one, over the golden cases where there are any; in the first round the rest of the golden
cases side by side. A minute of neighbours then spoils some rounds of each figure and not all rounds of one, and the
same work is seen more than once: its CPU time alone is then nearly the least of these (see `median_of_least`).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from types import MappingProxyType
from typing import Final

from emulator.config import FunctionConfig
from emulator.errors import QuotaError
from emulator.evidence import Evidence, ImportTime, MemoryPoint, PageCache, Sample, Start
from emulator.golden.dataset import event_bytes
from emulator.golden.evaluation import Evaluation
from emulator.golden.journal import AnswerJournal, function_key, open_journal
from emulator.golden.run import Golden, GoldenRun, Progress, environments, sample_of
from emulator.memory_watch import MemoryWatch
from emulator.metrics import measure_all
from emulator.package import Weight, weigh
from emulator.service import LambdaService
from emulator.surroundings import watch

COLD_STARTS: Final = 5
WARM_CALLS: Final = 100
_AHEAD: Final = 4  # environments made ready at once: making more disturbs the one that is measured
_LEAST_ROUNDS: Final = 3  # of fewer nothing can be said about how they scatter
_WANTED_PCT: Final = {"cpu.p50_ms": 2.5, "init.p50_ms": 7.5}
"""Half of what five runs are meant to agree within: beyond it, further rounds are worth their time."""
_MORE_S: Final = 30.0
"""For these, all functions together."""
_AGAIN_S: Final = 20.0
"""For a function's warm calls of all further rounds together; the first round has as many as were asked for."""
_LEAST_PACE_S: Final = 0.005  # what the emulator needs for a call beside the function
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


def weighed(config: FunctionConfig) -> Weight:
    """The weight of package or image; QuotaError in AWS's words, with the heaviest parts, where Lambda would refuse it.

    BackendError where an image is to be weighed and no engine answers.
    """
    weight = weigh(config, zipped=True)
    for violation in weight.violations:
        parts = ", ".join(f"{part.name} {part.bytes / _MB:.1f} MB" for part in weight.parts[:_HEAVIEST])
        size = f" (it has {weight.unzipped_bytes:,})" if config.image is None else ""
        message = f"{config.name}: {violation.message}{size}"
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
        self._journals = ExitStack()
        self._answered: list[AnswerJournal] = []
        self._samples: dict[str, list[Sample]] = {plan.config.name: [] for plan in plans}

    def collect(self, weights: Sequence[Weight | None]) -> tuple[Evidence, ...]:
        watched = watch()
        with self._journals:  # kept until the last round: a run that is stopped there goes on with its answers too
            evaluations = self._first_round()
            self._rounds()
            for journal in self._answered:
                journal.finish()
        disturbance = watched(sum(_cpu_s(sample) for samples in self._samples.values() for sample in samples))
        return tuple(
            Evidence(
                config=plan.config,
                page_cache=plan.page_cache,
                samples=tuple(self._samples[plan.config.name]),
                weight=weight,
                evaluation=evaluations[plan.config.name],
                disturbance=disturbance,
            )
            for plan, weight in zip(self._plans, weights, strict=True)
        )

    def _first_round(self) -> dict[str, Evaluation | None]:
        """One start each that is not counted, then one that is, with all warm calls and golden cases."""
        self._progress.begin("first starts", len(self._plans))
        for plan in self._plans:
            self._service.invoke(plan.config.name, plan.first_event, fresh=True)
            self._service.retire(plan.config.name)
            self._progress.step()
        evaluations = {}
        for plan in self._plans:
            self._cold(plan, 0)
            evaluations[plan.config.name] = self._warm(plan)
            self._service.retire(plan.config.name)
        return evaluations

    def _rounds(self) -> None:
        """Each begun by another function, so that none has the better half of a noisy minute.

        More follow, up to as many again, while a figure still depends on which rounds there were.
        """
        asked = max((plan.cold_starts for plan in self._plans), default=0)
        self._progress.begin("rounds", sum(plan.cold_starts - 1 for plan in self._plans))
        for number in range(1, asked):
            self._round([plan for plan in self._plans if number < plan.cold_starts], number)
        left = [plan for plan in self._plans if plan.cold_starts >= _LEAST_ROUNDS]
        until = time.perf_counter() + _MORE_S
        for number in range(asked, 2 * asked):
            left = [plan for plan in left if number < 2 * plan.cold_starts and self._restless(plan)]
            if not left or time.perf_counter() > until:
                break
            self._progress.begin("more rounds, for what still moves", len(left))
            self._round(left, number)

    def _restless(self, plan: Plan) -> bool:
        found = Evidence(config=plan.config, page_cache=plan.page_cache, samples=tuple(self._samples[plan.config.name]))
        spread = {one.name: one.spread_pct or 0.0 for one in measure_all(found)}
        return any(spread[name] > wanted for name, wanted in _WANTED_PCT.items())

    def _round(self, turn: Sequence[Plan], number: int) -> None:
        if number % _AHEAD == 1:
            for plan in turn:
                self._service.prepare(plan.config.name, min(_AHEAD, max(1, plan.cold_starts - number)))
        first = number % len(turn)
        for plan in (*turn[first:], *turn[:first]):
            self._cold(plan, number)
            self._again(plan, number)
            self._service.retire(plan.config.name)
            self._progress.step()

    def _cold(self, plan: Plan, number: int) -> None:
        if plan.page_cache == "dropped":
            drop_from_page_cache((plan.config.code, *plan.config.layers))
        at_s = time.perf_counter() - self._begin
        result = self._service.invoke(plan.config.name, plan.first_event, fresh=True)
        self._samples[plan.config.name].append(replace(sample_of(result, "cold", at_s), round=number))

    def _warm(self, plan: Plan) -> Evaluation | None:
        """The first round's: every event once, and golden cases beyond the warm calls."""
        if plan.golden is None:
            self._progress.begin(f"{plan.config.name}: warm calls", plan.warm_calls)
            self._call(plan, range(plan.warm_calls), steps=True)
            return None
        evaluation, count = self._golden(plan, plan.golden), plan.golden.dataset.count
        if plan.warm_calls > count:
            self._progress.begin(f"{plan.config.name}: warm calls", plan.warm_calls - count)
            self._call(plan, range(count, plan.warm_calls), steps=True)
        return evaluation

    def _again(self, plan: Plan, number: int) -> None:
        """The first events once more, as many as the time allows: the same work in another environment, later."""
        first = [one for one in self._samples[plan.config.name] if one.place is not None and one.round == 0]
        alone = [one for one in first if one.place is not None and one.place < plan.warm_calls]
        if not alone:
            return
        pace_s = sum(one.duration_ms for one in alone) / len(alone) / 1000
        fit = int(_AGAIN_S / (plan.cold_starts - 1 or 1) / max(pace_s, _LEAST_PACE_S))
        self._call(plan, range(min(len(alone), max(1, fit))), number)

    def _golden(self, plan: Plan, golden: Golden) -> Evaluation:
        config = plan.config
        workers = plan.workers or environments(config)
        key = function_key(config, self._service.backend.name)
        journal = self._journals.enter_context(open_journal(golden.dataset.sha256, key, fresh=plan.fresh))
        run = GoldenRun(self._service, config, golden, journal, self._progress, begin=self._begin)
        evaluation, samples = run.run(alone=plan.warm_calls, workers=workers)
        self._answered.append(journal)
        self._samples[config.name] += samples
        return evaluation

    def _call(self, plan: Plan, places: range, number: int = 0, *, steps: bool = False) -> None:
        """Warm calls whose answers nobody scores, with the events at these places, which go round the dataset."""
        name = plan.config.name
        cases = None if plan.golden is None else islice(cycle(plan.golden.dataset.cases()), places.start, places.stop)
        for place in places:
            case = None if cases is None else next(cases)
            at_s = time.perf_counter() - self._begin
            result = self._service.invoke(name, plan.event if case is None else event_bytes(case))
            start: Start = "cold" if result.cold else "warm"
            sample = sample_of(result, start, at_s, case_id=None if case is None else case.id)
            self._samples[name].append(replace(sample, round=number, place=place))
            if steps:
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
