"""What a test run shows of its figures: lines for the terminal, properties for JUnit, and the report file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from emulator import output_files
from emulator.console import capability_text
from emulator.doctor import kernel_hz
from emulator.errors import ConfigurationError
from emulator.evidence import Evidence
from emulator.gates.verdicts import number
from emulator.golden.text import folded
from emulator.intervals import SEED
from emulator.metrics import Measurement
from emulator.pytest_plugin_record import Figures
from emulator.report import files as report_files
from emulator.report.base import FunctionReport, Report
from emulator.surroundings import read_machine

_OPTION: Final = "--lambda-report"
_SHOWN: Final = {
    "init.p50_ms": "init",
    "duration.p50_ms": "duration",
    "cpu.p50_ms": "CPU",
    "memory.max_mb": "memory",
    "quality.score": "score",
    "package.unzipped_mb": "package",
    "package.zipped_mb": "zipped",
}
"""The figures of a line; all of them are in the report file and in the JUnit properties."""
_DIGITS: Final = 6


def check(path: Path) -> None:
    """ConfigurationError, before anything runs, for a report that could not be written."""
    suffixes = tuple(report_files.FORMATS)
    if path.suffix.lower() not in suffixes:
        message = f"{_OPTION} {path}: its suffix is none of {', '.join(suffixes)}"
        raise ConfigurationError(message, hint=f"Choose among {', '.join(suffixes)}.")
    output_files.check_place(path, _OPTION)


def properties(figures: Figures) -> list[tuple[str, float]]:
    """For JUnit: `lambda.FUNCTION.METRIC`, in the metric's unit, which its name ends with."""
    return [
        (f"lambda.{name}.{one.name}", float(f"{one.value:.{_DIGITS}g}"))
        for name, one in figures.measured
        if one.value is not None
    ]


def summary(tests: Sequence[Figures]) -> Iterator[str]:
    """The terminal's lines, test by test; every verdict a word, so that they are whole without colour."""
    for backend, capabilities in {one.backend: one.capabilities for one in tests}.items():
        yield from folded("", capability_text(backend, capabilities))
    for note in dict.fromkeys(note for one in tests for note in one.notes):
        yield from folded("note: ", note)
    several = len({one.backend for one in tests}) > 1
    for one in tests:
        yield f"{one.test} ({one.backend})" if several and one.backend not in one.test else one.test
        for function in one.functions:
            yield from _lines(function)
    if any(_disturbed(function.evidence) for one in tests for function in one.functions):
        doubt = "wall times are doubtful, CPU times hold better"
        yield from folded("disturbed: ", f"others used the machine meanwhile; {doubt}")


def report(tests: Sequence[Figures], *, started: float, interrupted: bool) -> Report:
    """One run of all tests; a function counts once for each test that measured it. `started` is Unix time."""
    first = tests[0]
    others = sorted({one.backend for one in tests} - {first.backend})
    notes = dict.fromkeys(note for one in tests for note in one.notes)
    return Report(
        started=datetime.fromtimestamp(started, UTC).astimezone(),
        seconds=time.time() - started,
        seed=SEED,
        machine=read_machine(timer_hz=kernel_hz(Path("/boot"), Path("/proc"))),
        backend=first.backend,
        capabilities=first.capabilities,
        versions=first.versions,
        functions=tuple(
            replace(
                function,
                name=f"{function.name} in {one.test}",
                notes=(*function.notes, *((f"in the {one.backend} backend",) if one.backend in others else ())),
            )
            for one in tests
            for function in one.functions
        ),
        notes=(*notes, *(("the run was interrupted: tests are missing",) if interrupted else ())),
    )


def write(tests: Sequence[Figures], paths: Sequence[Path], *, started: float, interrupted: bool) -> None:
    """Each file whole or not at all."""
    report_files.write(report(tests, started=started, interrupted=interrupted), paths)


def _lines(function: FunctionReport) -> Iterator[str]:
    evidence = function.evidence
    found = {one.name: one for one in function.measurements if one.value is not None}
    told = [f"{short} {_number(found[name])}" for name, short in _SHOWN.items() if name in found]
    failed = found.get("errors.count")
    told += [f"{_number(failed)} failed"] if failed is not None and failed.value else []
    title = f"  {evidence.config.name} {evidence.config.memory_mb} MB: "
    yield from folded(title, f"{', '.join(told) or 'nothing measured'}{_counts(evidence)}")
    for verdict in function.verdicts:
        word = f"    {verdict.word} "
        yield from folded(word, f"{verdict.metric}: {verdict.message}")


def _counts(evidence: Evidence) -> str:
    """How many invocations, and whether others used the machine meanwhile."""
    cold = sum(sample.start == "cold" for sample in evidence.samples)
    warm = len(evidence.samples) - cold
    told = [f"{count} {start}" for count, start in ((cold, "cold"), (warm, "warm")) if count]
    told += ["disturbed"] if _disturbed(evidence) else []
    return f" ({', '.join(told)})" if told else ""


def _disturbed(evidence: Evidence) -> bool:
    beside = any(sample.concurrent for sample in evidence.samples) and evidence.evaluation is None
    return beside or (evidence.disturbance is not None and not evidence.disturbance.quiet)


def _number(one: Measurement | None) -> str:
    return "" if one is None or one.value is None else number(one.value, one.unit)
