"""One gate run: from `preflight.toml` and a template to a report."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from emulator import __version__
from emulator.config import FunctionConfig
from emulator.doctor import kernel_hz
from emulator.errors import BackendError, ConfigurationError
from emulator.evidence import Evidence, PageCache
from emulator.gates import baseline
from emulator.gates.config import FunctionGates, nearest
from emulator.gates.verdicts import Baseline, Verdict, judge
from emulator.golden.run import Progress, golden
from emulator.intervals import SEED
from emulator.machine import Machine
from emulator.measure import Plan, collect, memory_timeline, slowest_imports, weighed, with_import_times
from emulator.metrics import measure_all
from emulator.package import Weight
from emulator.report.base import FunctionReport, Report
from emulator.sandbox.base import Backend
from emulator.service import LambdaService, validate
from emulator.surroundings import read_machine

_ON_THE_START: Final = "init."


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One function of the run: its plan, its gates and its package."""

    plan: Plan
    gates: FunctionGates
    weight: Weight | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A baseline that was read, and the file it came from."""

    value: Mapping[str, Any]
    source: str


def chosen(functions: Sequence[FunctionGates], names: Sequence[str], path: Path) -> tuple[FunctionGates, ...]:
    """Those of the file that were asked for, all for no name."""
    known = {function.name: function for function in functions}
    for name in names:
        if name not in known:
            raise ConfigurationError(f"{path} has no gates for {name!r}", hint=nearest(name, known))
    return tuple(known[name] for name in dict.fromkeys(names)) if names else tuple(functions)


def plan(  # noqa: PLR0913 - one keyword for each thing that a command chooses
    gates: FunctionGates,
    config: FunctionConfig,
    *,
    folder: Path,
    read_event: Callable[[str], bytes],
    page_cache: PageCache = "warm",
    fresh: bool = False,
) -> Plan:
    """What is to be run for one function, with everything that it reads checked; `folder` may hold a custom scorer."""
    if page_cache == "dropped" and config.image is not None:
        message = f"{config.name} is an image, whose files the engine keeps: they cannot be dropped from the page cache"
        raise ConfigurationError(message, hint="Gate it without --page-cache dropped.")
    event = b"{}" if gates.event is None else read_event(str(gates.event))
    asked = None
    if gates.dataset is not None:
        asked = golden(
            gates.dataset, scorer=gates.scorer, answer=gates.answer, reference=gates.reference, folder=folder
        )
    return Plan(
        config=config,
        event=event,
        golden=asked,
        cold_starts=gates.cold_starts,
        warm_calls=gates.warm_calls,
        page_cache=page_cache,
        fresh=fresh,
    )


def tasks(gates: Sequence[FunctionGates], plans: Sequence[Plan]) -> tuple[Task, ...]:
    """Weigh the packages; QuotaError with the heaviest parts for one that Lambda would refuse."""
    made = []
    for one, planned in zip(gates, plans, strict=True):
        weight = weighed(planned.config)
        validate(planned.config)
        made.append(Task(plan=planned, gates=one, weight=weight))
    return tuple(made)


def run(
    tasks: Sequence[Task], backend: Backend, progress: Progress, *, compared: Compared | None = None, updating: bool
) -> Report:
    """Measure, compute and judge. The backend is closed at the end; with `updating` this run is its own baseline."""
    started, begin = datetime.now(UTC).astimezone(), time.perf_counter()
    machine = read_machine(timer_hz=kernel_hz(Path("/boot"), Path("/proc")))
    capabilities, versions = backend.capabilities, versions_of(backend)
    configs = [task.plan.config for task in tasks]
    profiled = [with_import_times(config) for config in configs]
    with LambdaService({config.name: config for config in (*configs, *profiled)}, backend) as service:
        evidence = collect(service, [task.plan for task in tasks], [task.weight for task in tasks], progress)
        there = () if compared is None else _differences(compared, machine, backend, versions)
        functions = []
        for task, found in zip(tasks, evidence, strict=True):
            gathered = replace(found, timeline=memory_timeline(service, task.plan, found.worst))
            judged = _judged(task, gathered, compared, there, updating=updating)
            if any(verdict.metric.startswith(_ON_THE_START) and _past(verdict) for verdict in judged.verdicts):
                with_imports = replace(gathered, imports=_imports(service, task.plan))
                judged = _judged(task, with_imports, compared, there, updating=updating)
            functions.append(judged)
    return Report(
        started=started,
        seconds=time.perf_counter() - begin,
        seed=SEED,
        machine=machine,
        backend=backend.name,
        capabilities=capabilities,
        versions=versions,
        functions=tuple(functions),
        disturbance=evidence[0].disturbance if evidence else None,
        baseline=None if compared is None else compared.source,
        notes=tuple(f"not as in the baseline: {what}" for what in there),
    )


def baseline_text(report: Report, before: Compared | None) -> str:
    """The new baseline. Functions that this run left out keep their figures, if all else is as it was."""
    kept: dict[str, Mapping[str, float]] = {}
    ran = {function.name: function.measurements for function in report.functions}
    if before is not None:
        kept = {name: figures for name, figures in before.value["functions"].items() if name not in ran}
        if kept and report.notes:
            message = f"{before.source} holds figures of {', '.join(kept)}, and {report.notes[0]}"
            raise ConfigurationError(message, hint="Run all functions together: preflight gate --update-baseline")
    return baseline.as_json(
        ran,
        kept=kept,
        machine=report.machine,
        backend=report.backend,
        versions=report.versions,
        started=report.started.isoformat(timespec="seconds"),
    )


def _judged(
    task: Task, evidence: Evidence, compared: Compared | None, there: tuple[str, ...], *, updating: bool
) -> FunctionReport:
    measurements = measure_all(evidence)
    before = None
    if updating:
        values = {one.name: one.value for one in measurements if one.value is not None}
        before = Baseline(values=values, source="this run")
    elif compared is not None:
        before = baseline.of_function(compared.value, task.gates.name, compared.source, there)
    verdicts = judge(measurements, task.gates.gates, evidence=evidence, baseline=before)
    return FunctionReport(
        name=task.gates.name,
        evidence=evidence,
        measurements=measurements,
        verdicts=verdicts,
        notes=tuple(_failures(evidence)),
    )


def _failures(evidence: Evidence) -> Iterator[str]:
    """Said whether or not a gate on `errors.count` says it too: figures of time are of what was answered."""
    failed = evidence.failed
    if failed:
        types = ", ".join(sorted({(one.error or "").partition(":")[0] for one in failed}))
        yield f"{len(failed)} of {len(evidence.distinct)} invocations FAILED ({types}), and are in no figure of time"


def _imports(service: LambdaService, plan: Plan) -> tuple[Any, ...]:
    try:
        return slowest_imports(service, with_import_times(plan.config), plan.first_event)
    except BackendError:  # what was measured stands; its explanation is not worth losing it
        return ()


def _past(verdict: Verdict) -> bool:
    return verdict.status in {"FAIL", "WARN"}


def _differences(
    compared: Compared, machine: Machine, backend: Backend, versions: Mapping[str, str]
) -> tuple[str, ...]:
    return tuple(baseline.differences(compared.value, machine=machine, backend=backend.name, versions=versions))


def versions_of(backend: Backend) -> dict[str, str]:
    """Of everything that figures depend on."""
    found = {
        "preflight": __version__,
        "python": platform.python_version(),
        "awslambdaric": metadata.version("awslambdaric"),
    }
    engine = getattr(backend, "engine", None)
    if engine is not None:
        found["engine"] = str(engine.version)
    return found
