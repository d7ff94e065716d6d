"""Where to begin when a gate has failed: the heaviest, the slowest, the hungriest, in a line or two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import Final

from emulator.evidence import Evidence, Sample
from emulator.golden.evaluation import Evaluation
from emulator.golden.scorers import is_number, label, shown

_MB: Final = 1024 * 1024
_SHOWN: Final = 3
_HELD_BACK: Final = 0.2
_WORTH_BYTES: Final = _MB // 2
_WORTH_SECONDS: Final = 0.02


def advice(metric: str, evidence: Evidence) -> tuple[str, ...]:
    """What to look at for this metric; empty where the evidence has nothing to say."""
    family = metric.partition(".")[0]
    lines = {
        "package": _package,
        "init": _init,
        "memory": _memory,
        "duration": _warm,
        "billed": _warm,
        "cpu": _warm,
        "cost": _warm,
        "quality": _quality,
        "errors": _errors,
    }.get(family)
    return () if lines is None else tuple(lines(evidence))


def _package(evidence: Evidence) -> Iterator[str]:
    if evidence.weight is None:
        return
    parts = evidence.weight.parts[:_SHOWN]
    if parts:
        yield "heaviest: " + ", ".join(f"{part.name} {part.bytes / _MB:.1f} MB" for part in parts)
    spare = [(finding.bytes or 0, finding) for finding in evidence.weight.findings]
    for size, finding in sorted(spare, key=lambda pair: -pair[0])[:_SHOWN]:
        if size >= _WORTH_BYTES:
            yield f"{finding.subject}: {finding.message} ({size / _MB:.1f} MB)"


def _init(evidence: Evidence) -> Iterator[str]:
    packages: dict[str, float] = {}
    for one in evidence.imports:  # slowest first: the module through which a package came holds its time
        packages.setdefault(one.module.partition(".")[0], one.total_ms)
    imports = list(packages.items())[:_SHOWN]
    if imports:
        yield "slowest imports: " + ", ".join(f"{name} {taken:.0f} ms" for name, taken in imports)
    for finding in evidence.weight.findings if evidence.weight is not None else ():
        if (finding.cpu_seconds or 0.0) >= _WORTH_SECONDS:
            yield f"{finding.subject}: {finding.message}"
    cpu = [sample.init_cpu_ms for sample in evidence.cold if sample.init_cpu_ms is not None]
    if cpu:
        yield f"CPU time of init: {median(cpu):.0f} ms (median); what is beyond it is waiting"


def _memory(evidence: Evidence) -> Iterator[str]:
    worst = evidence.worst
    if worst is None or worst.memory_bytes is None:
        return
    name = f"case {worst.case_id}" if worst.case_id else f"a {worst.start} call"
    yield f"most memory: {name}, {worst.memory_bytes / _MB:.1f} MB"
    first = [sample.memory_bytes for sample in evidence.cold if sample.memory_bytes is not None]
    if first:
        yield f"after init and one event: {median(first) / _MB:.1f} MB (median)"


def _warm(evidence: Evidence) -> Iterator[str]:
    warm = evidence.warm
    if not warm:
        return
    slowest = max(warm, key=_duration)
    name = f"case {slowest.case_id}, " if slowest.case_id else ""
    cpu = "" if slowest.cpu_ms is None else f", {slowest.cpu_ms:.1f} ms of CPU"
    yield f"slowest: {name}{slowest.duration_ms:.1f} ms{cpu}"
    held = sum(sample.throttled_ms or 0.0 for sample in warm) / sum(map(_duration, warm))
    if held > _HELD_BACK:
        size = evidence.config.memory_mb
        yield f"held back by the CPU quota of {size} MB for {100 * held:.0f} % of the time: more memory, more CPU"


def _quality(evidence: Evidence) -> Iterator[str]:
    evaluation = evidence.evaluation
    if evaluation is None:
        return
    if evaluation.failures:
        yield f"{len(evaluation.failures)} cases have no answer, first {evaluation.failures[0].case_id}"
    numeric = [one for one in evaluation.scores if is_number(one.expected) and is_number(one.answer)]
    if len(numeric) == len(evaluation.scores):
        yield from _farthest(evaluation)
        return
    confused = Counter(
        (label(one.expected), label(one.answer))
        for one in evaluation.scores
        if label(one.expected) != label(one.answer)
    )
    for (expected, answer), count in confused.most_common(_SHOWN):
        first = next(one for one in evaluation.scores if (label(one.expected), label(one.answer)) == (expected, answer))
        yield f"{count} x {shown(expected)} answered {shown(answer)}, first case {first.case_id}"


def _farthest(evaluation: Evaluation) -> Iterator[str]:
    far = sorted(evaluation.scores, key=lambda one: -abs(one.expected - one.answer))[:_SHOWN]
    if far:
        told = (f"{one.case_id} ({one.expected:g} expected, {one.answer:g})" for one in far)
        yield "farthest: " + ", ".join(told)


def _errors(evidence: Evidence) -> Iterator[str]:
    failed = evidence.failed
    for error, count in Counter(sample.error or "" for sample in failed).most_common(_SHOWN):
        first = next(sample for sample in failed if sample.error == error)
        name = f", first case {first.case_id}" if first.case_id else ""
        yield f"{count} x {shown(error)[1:-1]}{name}"


def _duration(sample: Sample) -> float:
    return sample.duration_ms
