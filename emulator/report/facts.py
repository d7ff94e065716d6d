"""What every report for a person says in the same words: figures, intervals, and where and how they were measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emulator.console import capability_text
from emulator.gates.verdicts import number
from emulator.metrics import Measurement
from emulator.report.base import FunctionReport, Report

MIB: Final = 1024 * 1024


def figure(one: Measurement) -> str:
    """The value with its unit, a dash for none."""
    return "\u2013" if one.value is None else number(one.value, one.unit)


def interval(one: Measurement) -> str:
    """`240 to 251`; empty for what is counted and for what has no interval."""
    if one.low is None or one.high is None or one.low == one.high:
        return ""
    return f"{number(one.low)} to {number(one.high)}"


def spread(one: Measurement) -> str:
    """How repeatable the figure was, in percent."""
    return "" if one.spread_pct is None else f"{one.spread_pct:.1f}"


def subtitle(function: FunctionReport) -> str:
    """The function in a few words: memory size, runtime or image, architecture."""
    config = function.evidence.config
    return f"{config.memory_mb} MB, {config.image or config.runtime}, {config.architecture}"


def megabytes(count: int) -> str:
    """Bytes in Lambda's MB of 1,024 KB."""
    return f"{number(count / MIB)} MB"


def run_facts(report: Report) -> Iterator[tuple[str, str]]:
    """Label and text, in the order of interest; what disturbed the run is among them."""
    machine = report.machine
    memory = "" if machine.memory_mb is None else f", {machine.memory_mb:,} MB"
    cache = sorted({function.evidence.page_cache for function in report.functions})
    yield "backend", capability_text(report.backend, report.capabilities)
    yield "machine", f"{machine.cpu}, {machine.cpus} CPUs{memory}, {machine.system} {machine.kernel}"
    if machine.cpu_flags:
        yield "CPU flags", " ".join(machine.cpu_flags)
    yield "versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())
    if cache:
        yield "page cache", " and ".join(cache)
    yield "run", f"{report.started.isoformat(timespec='seconds')}, {report.seconds:.0f} s, seed {report.seed}"
    if report.baseline is not None:
        yield "compared with", report.baseline
    for note in report.disturbance.notes if report.disturbance is not None else ():
        yield "disturbed", f"{note}; wall times are doubtful, CPU times hold better"
    for note in report.notes:
        yield "note", note
