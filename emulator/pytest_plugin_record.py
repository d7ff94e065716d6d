"""What one test measured and how it is judged: from invocations to verdicts, and on to pytest's controller."""

from __future__ import annotations

import base64
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from emulator.evidence import Evidence, Sample
from emulator.gates import baseline
from emulator.gates.config import gate
from emulator.gates.verdicts import Baseline, Gate, Verdict, judge
from emulator.golden.evaluation import Evaluation
from emulator.invocation import FunctionError, InvocationResult
from emulator.machine import Disturbance
from emulator.metrics import Measurement, measure_all
from emulator.package import Weight
from emulator.report.base import FunctionReport
from emulator.sandbox.base import Capabilities
from emulator.surroundings import read_machine, watch

_TELLING_S: Final = 0.5
"""In less, the kernel's ticks of 10 ms say nothing of who used the machine."""
_FAILURES: Final = 10
"""Failed invocations of a test that are told, the last ones: an assertion is mostly about one of these."""
_MOST_TEXT: Final = 4_000
"""Characters of a message, a stack trace or a log that are told."""
_RELATIVE: Final = frozenset({"max_increase", "max_increase_pct"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A `lambda_limit` marker: a gate, for one function of the test, or for all where `function` is None."""

    gate: Gate
    function: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where the figures come from: the backend, and the template, beside which a baseline may lie."""

    backend: str
    capabilities: Capabilities
    versions: Mapping[str, str]
    template: Path
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Whoever starts the functions."""

    @property
    def surroundings(self) -> Surroundings:
        """Where figures come from; BackendError where there is no backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a test measured, function by function; `report` names each by itself and the test."""

    test: str
    backend: str
    capabilities: Capabilities
    versions: Mapping[str, str]
    functions: tuple[FunctionReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def measured(self) -> Iterable[tuple[str, Measurement]]:
        """Function and figure, for all that was measured."""
        return ((one.name, figure) for one in self.functions for figure in one.measurements if figure.value is not None)

    @property
    def failed(self) -> tuple[tuple[str, Verdict], ...]:
        """Function and verdict, for each verdict that fails the test."""
        return tuple((one.name, verdict) for one in self.functions for verdict in one.verdicts if verdict.failed)


class Failures:
    """The invocations of one test that failed, and golden cases without an answer, until they are told."""

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=_FAILURES)
        self._count = 0

    def add(self, config: FunctionConfig, result: InvocationResult) -> None:
        """Nothing where the function answered."""
        if result.error is not None:
            start = "cold" if result.cold else "warm"
            self._add(f"{config.name} {config.memory_mb} MB, {start}", result.error, result.log)

    def add_cases(self, config: FunctionConfig, evaluation: Evaluation) -> None:
        """Golden cases that have no answer to score; their logs are not kept."""
        for one in evaluation.failures:
            self._add(f"{config.name} {config.memory_mb} MB, case {one.case_id}", one.error, "")

    def take(self) -> str:
        """What failed since this was last asked, as text of bounded length; empty where nothing did."""
        told, before = list(self._last), self._count - len(self._last)
        self._last.clear()
        self._count = 0
        earlier = [f"({before} earlier failures are not shown)"] if before else []
        return "\n\n".join([*earlier, *told])

    def _add(self, what: str, error: FunctionError, log: str) -> None:
        lines = [f"{what}: {_start(f'{error.type}: {error.message}' if error.message else error.type)}"]
        trace = _end("\n".join(entry.rstrip("\n") for entry in error.stack_trace))
        lines += ["stack trace:", trace] if trace else []
        kept = _end(log.rstrip())
        lines += ["log:", kept] if kept else []
        self._last.append("\n".join(lines))
        self._count += 1


@dataclass(slots=True, kw_only=True)
class Measured:
    """One function, at one size, in one test. `names` are the logical id and the `FunctionName`."""

    config: FunctionConfig
    failures: Failures = field(default_factory=Failures)
    names: frozenset[str] = frozenset()
    samples: list[Sample] = field(default_factory=list)
    weight: Weight | None = None
    evaluation: Evaluation | None = None


class Record:
    """Everything that one test measures; a mutable thing that lives as long as the test."""

    def __init__(self, test: str, source: Source) -> None:
        self.test = test
        self.failures = Failures()
        self._source = source
        self._measured: list[Measured] = []
        self._weights: dict[str, tuple[Weight, frozenset[str], FunctionConfig]] = {}
        self._watched: Callable[[float], Disturbance] | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was measured."""
        return not self._weights and not any(one.samples for one in self._measured)

    def of(self, config: FunctionConfig, names: frozenset[str]) -> Measured:
        """Where figures of this function at this size go."""
        if self._watched is None:
            self._watched = watch()
        found = next((one for one in self._measured if one.config == config), None)
        if found is None:
            found = Measured(config=config, names=names, failures=self.failures)
            self._measured.append(found)
        return found

    def add_weight(self, config: FunctionConfig, names: frozenset[str], weight: Weight) -> None:
        """A package weighs the same whatever the memory size, so this is for every size of the function."""
        self._weights[config.name] = weight, names, config

    def finish(self, limits: Iterable[Limit]) -> Figures:
        """Compute and judge."""
        limits = tuple(limits)
        measured = [one for one in self._measured if one.samples]
        for name, (weight, names, config) in self._weights.items():
            same = [one for one in measured if one.config.name == name]
            if not same:
                same = [Measured(config=config, names=names)]
                measured += same
            for one in same:
                one.weight = weight
        self._check(limits, measured)
        where = self._source.surroundings
        disturbance = self._disturbance(measured)
        told = [one.config.name for one in measured]
        return Figures(
            test=self.test,
            backend=where.backend,
            capabilities=where.capabilities,
            versions=where.versions,
            functions=tuple(
                self._judged(one, limits, where, disturbance, alone=told.count(one.config.name) == 1)
                for one in measured
            ),
            notes=where.notes,
        )

    def _check(self, limits: Iterable[Limit], measured: Iterable[Measured]) -> None:
        """A limit for a function that the test never measured would pass unseen."""
        known = {name for one in measured for name in one.names}
        for limit in limits:
            if limit.function is None and not known:
                message = f"lambda_limit({limit.gate.metric!r}): not measured, so not passed: the test invoked nothing"
                raise ConfigurationError(message, hint=_FIXTURES)
            if limit.function is not None and limit.function not in known:
                message = f"lambda_limit({limit.gate.metric!r}): the test measured no function {limit.function!r}"
                raise ConfigurationError(message, hint=f"It measured: {', '.join(sorted(known)) or 'none'}.")

    def _disturbance(self, measured: Iterable[Measured]) -> Disturbance | None:
        if self._watched is None:
            return None
        spent_ms = sum(
            (sample.cpu_ms or 0.0) + (sample.init_cpu_ms or 0.0) for one in measured for sample in one.samples
        )
        found = self._watched(spent_ms / 1000)
        return found if found.seconds >= _TELLING_S else None

    def _judged(
        self,
        one: Measured,
        limits: Iterable[Limit],
        where: Surroundings,
        disturbance: Disturbance | None,
        *,
        alone: bool,
    ) -> FunctionReport:
        evidence = Evidence(
            config=one.config,
            page_cache="as found",
            samples=tuple(one.samples),
            weight=one.weight,
            evaluation=one.evaluation,
            disturbance=disturbance,
        )
        measurements = measure_all(evidence)
        gates = [limit.gate for limit in limits if limit.function is None or limit.function in one.names]
        notes = () if disturbance is None else tuple(f"disturbed: {note}" for note in disturbance.notes)
        return FunctionReport(
            name=one.config.name if alone else f"{one.config.name}@{one.config.memory_mb}MB",
            evidence=replace(evidence, config=_plain(one.config)),
            measurements=measurements,
            verdicts=judge(measurements, gates, evidence=evidence, baseline=_baseline(one, gates, where)),
            notes=notes,
        )


_FIXTURES: Final = "Invoke a function of lambda_function or warm_function, or use lambda_evaluate or lambda_package."


def limit(metric: object, table: Mapping[str, Any], test: str) -> Limit:
    """A marker's arguments, checked by the rules of preflight.toml; ConfigurationError with the nearest names."""
    given = dict(table)
    function = given.pop("function", None)
    if not isinstance(metric, str) or not isinstance(function, str | None):
        message = f"{test}, lambda_limit: a metric, and a function where one is named, are text"
        raise ConfigurationError(message, hint='lambda_limit("memory.max_mb", max=400, function="MyFunction")')
    return Limit(gate=gate(metric, given, Path(test), "lambda_limit"), function=function)


def failure_text(figures: Figures) -> str:
    """Why the test failed: for each verdict by how much, and where to look."""
    lines = []
    for name, verdict in figures.failed:
        lines.append(f"{name}: {verdict.metric}: {verdict.message}")
        if verdict.reason:
            lines.append(f"  why it matters: {verdict.reason}")
        lines += [f"  {line}" for line in verdict.look_at]
    return "\n".join(lines)


def _start(text: str) -> str:
    left = len(text) - _MOST_TEXT
    return f"{text[:_MOST_TEXT]} … ({left} more characters)" if left > 0 else text


def _end(text: str) -> str:
    """Its last lines, where what went wrong stands."""
    left = len(text) - _MOST_TEXT
    return f"({left} characters before) … {text[-_MOST_TEXT:]}" if left > 0 else text


def pack(figures: Figures) -> str:
    """As text, which every way from a worker to its controller takes, and every plugin that writes reports as JSON."""
    return base64.b85encode(pickle.dumps(figures)).decode("ascii")


def unpack(text: str) -> Figures:
    """What `pack` made, in this process or in a worker of it."""
    figures: Figures = pickle.loads(base64.b85decode(text))  # noqa: S301 - from our own workers, who run code here anyway
    return figures


def _plain(config: FunctionConfig) -> FunctionConfig:
    """Without variables, which may be secret, and places: no report shows them, and a mapping proxy is not pickled."""
    return replace(config, environment={}, places={})


def _baseline(one: Measured, gates: Iterable[Gate], where: Surroundings) -> Baseline | None:
    """That of `preflight gate`, beside the template, where a limit needs it and it is there."""
    path = where.template.parent / baseline.FILE_NAME
    if not any(_RELATIVE & gate.limits.keys() for gate in gates) or not path.exists():
        return None
    value = baseline.read(path)
    there = baseline.differences(value, machine=read_machine(), backend=where.backend, versions=where.versions)
    for name in sorted(one.names):
        found = baseline.of_function(value, name, path.name, tuple(there))
        if found is not None:
            return found
    return None
