"""Runs a golden dataset through a function: some cases one by one, the rest in as many environments as fit."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from emulator.config import FunctionConfig
from emulator.evidence import Sample, Start
from emulator.golden.answers import finder
from emulator.golden.dataset import Dataset, event_bytes, open_dataset, read_answers
from emulator.golden.evaluation import Case, Evaluation, Failure, Score
from emulator.golden.journal import AnswerJournal
from emulator.golden.scorers import Scorer, score_case
from emulator.golden.scorers import find as find_scorer
from emulator.golden.scoring import compare, estimate
from emulator.invocation import FunctionError, InvocationResult
from emulator.service import LambdaService
from emulator.spec import fit_in_memory
from emulator.surroundings import read_machine

NO_ANSWER: Final = "Preflight.NoAnswer"
_OUR_CPUS: Final = 0.3
"""What the emulator itself needs beside the environments, measured with back-to-back calls of 20 ms."""


class Progress(Protocol):
    """Whoever shows how far a run is."""

    def begin(self, what: str, total: int) -> None:
        """A stretch of so many steps begins."""

    def step(self) -> None:
        """One of them is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What is asked: a checked dataset, where in the payload the answer lies, and what it is compared with."""

    dataset: Dataset
    scorer: Scorer
    answer: str
    find: Callable[[Any], Any]
    reference: str | None = None
    reference_answers: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Tally:
    """What has been answered so far."""

    scores: list[tuple[int, Score]] = field(default_factory=list)
    failures: list[tuple[int, Failure, Any]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    resumed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    case: Case
    payload: Any
    error: FunctionError | None
    sample: Sample
    recalled: bool = False


def golden(path: Path, *, scorer: str, answer: str, reference: Path | None, folder: Path) -> Golden:
    """Read and check all that an evaluation needs, before anything runs; `folder` is where a custom scorer may lie."""
    find = finder(answer)
    found = find_scorer(scorer, folder)
    return Golden(
        dataset=open_dataset(path),
        scorer=found,
        answer=answer,
        find=find,
        reference=None if reference is None else reference.name,
        reference_answers={} if reference is None else read_answers(reference),
    )


def environments(config: FunctionConfig, *, cpus: int | None = None) -> int:
    """How many environments of this size can run at once and each have its whole CPU share and memory."""
    free = (cpus or os.cpu_count() or 1) - _OUR_CPUS
    return max(1, min(int(free / config.cpu_share), fit_in_memory(config.memory_mb)))


def sample_of(
    result: InvocationResult, start: Start, at_s: float, *, case_id: str | None = None, concurrent: bool = False
) -> Sample:
    """An invocation as evidence."""
    timings, usage, error = result.timings, result.usage, result.error
    return Sample(
        start=start,
        at_s=at_s,
        duration_ms=timings.duration_ms,
        billed_ms=timings.billed_ms,
        init_ms=timings.init_ms,
        memory_bytes=usage.max_memory_bytes,
        cpu_ms=_ms(usage.cpu_seconds),
        throttled_ms=_ms(usage.throttled_seconds),
        init_cpu_ms=_ms(usage.init_cpu_seconds),
        tmp_bytes=usage.tmp_bytes,
        case_id=case_id,
        error=None if error is None else f"{error.type}: {error.message}" if error.message else error.type,
        concurrent=concurrent,
    )


class GoldenRun:
    """One dataset through one function. `begin` is the run's start on `time.perf_counter()`."""

    def __init__(  # noqa: PLR0913 - one keyword for each part of the run
        self,
        service: LambdaService,
        config: FunctionConfig,
        golden: Golden,
        journal: AnswerJournal,
        progress: Progress,
        *,
        begin: float,
    ) -> None:
        self._service = service
        self._config = config
        self._golden = golden
        self._journal = journal
        self._progress = progress
        self._begin = begin
        self._tally = _Tally()

    def run(self, *, alone: int, workers: int) -> tuple[Evaluation, tuple[Sample, ...]]:
        """Answer every case, the first `alone` one by one, and score them; the figures of each invocation."""
        golden, started = self._golden, time.perf_counter()
        self._progress.begin(f"{self._config.name}: golden cases", golden.dataset.count)
        cases = golden.dataset.cases()
        for place, case in enumerate(cases if workers == 1 else islice(cases, alone)):
            answered = self._answer(case, concurrent=False)
            self._take(replace(answered, sample=replace(answered.sample, place=place)))
        if workers > 1:
            self._side_by_side(cases, workers)
        return self._evaluation(time.perf_counter() - started, workers), tuple(self._tally.samples)

    def _side_by_side(self, cases: Iterator[Case], workers: int) -> None:
        """Each worker takes the next case when it is free; this thread alone writes and scores."""
        answers: queue.SimpleQueue[_Answered | BaseException | None] = queue.SimpleQueue()
        taking, stop = threading.Lock(), threading.Event()

        def work() -> None:
            try:
                while not stop.is_set():
                    with taking:
                        case = next(cases, None)
                    if case is None:
                        break
                    answers.put(self._answer(case, concurrent=True))
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                answers.put(error)
            answers.put(None)

        threads = [threading.Thread(target=work, name=f"golden-{n}", daemon=True) for n in range(workers)]
        for thread in threads:
            thread.start()
        working = workers
        try:
            while working:
                came = answers.get()
                if came is None:
                    working -= 1
                elif isinstance(came, BaseException):
                    raise came
                else:
                    self._take(came)
        finally:
            stop.set()  # their calls end when the service is closed, which whoever interrupts us does next

    def _answer(self, case: Case, *, concurrent: bool) -> _Answered:
        """From the journal of an interrupted run, or by an invocation."""
        kept = self._journal.earlier.get(case.id)
        if kept is not None:
            error = None if kept["error"] is None else FunctionError(**kept["error"])
            sample = Sample(**kept["sample"])
            return _Answered(case=case, payload=kept["payload"], error=error, sample=sample, recalled=True)
        at_s = time.perf_counter() - self._begin
        result = self._service.invoke(self._config.name, event_bytes(case))
        start: Start = "cold" if result.cold else "warm"
        sample = sample_of(result, start, at_s, case_id=case.id, concurrent=concurrent)
        return _Answered(case=case, payload=result.payload, error=result.error, sample=sample)

    def _take(self, answered: _Answered) -> None:
        self._count(answered)
        if answered.recalled:
            self._tally.resumed += 1
            return
        error = answered.error
        told = None if error is None else {"type": error.type, "message": error.message}
        record = {"payload": answered.payload, "error": told, "sample": asdict(answered.sample)}
        self._journal.add(answered.case.id, record)

    def _count(self, answered: _Answered) -> None:
        case, golden, sample = answered.case, self._golden, answered.sample
        error, answer = answered.error, None
        if error is None:
            answer = golden.find(answered.payload)
            if answer is None and case.expected is not None:
                error = FunctionError(type=NO_ANSWER, message=f"the payload has nothing at {golden.answer!r}")
        if error is None:
            scored = score_case(golden.scorer, case.id, case.expected, answer)
            if isinstance(scored, Score):
                self._tally.scores.append((case.line, scored))
            else:
                error = FunctionError(type=NO_ANSWER, message=scored)
        if error is not None:
            failure = Failure(case_id=case.id, line=case.line, event=case.event, payload=answered.payload, error=error)
            self._tally.failures.append((case.line, failure, case.expected))
            sample = replace(sample, error=sample.error or error.message)
        self._tally.samples.append(sample)
        self._progress.step()

    def _evaluation(self, seconds: float, workers: int) -> Evaluation:
        golden, tally = self._golden, self._tally
        scores = tuple(score for _, score in sorted(tally.scores, key=lambda pair: pair[0]))
        failed = sorted(tally.failures, key=lambda triple: triple[0])
        comparison = None
        if golden.reference is not None and scores:
            comparison = compare(golden.scorer, scores, golden.reference_answers, golden.reference)
        return Evaluation(
            dataset=str(golden.dataset.path),
            sha256=golden.dataset.sha256,
            scorer=golden.scorer.name,
            answer=golden.answer,
            cases=golden.dataset.count,
            score=estimate(golden.scorer, scores, [expected for _, _, expected in failed]),
            scores=scores,
            failures=tuple(failure for _, failure, _ in failed),
            comparison=comparison,
            seconds=seconds,
            environments=workers,
            resumed=tally.resumed,
            cpu_flags=read_machine().cpu_flags,
        )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
