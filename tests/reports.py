"""Evidence and reports made by hand, for the tests of what is computed from them and shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from emulator.evidence import Evidence, ImportTime, MemoryPoint, Sample
from emulator.gates.verdicts import Baseline, Gate, judge
from emulator.golden.evaluation import Evaluation, Failure, Score
from emulator.intervals import Estimate
from emulator.invocation import FunctionError
from emulator.machine import Disturbance, Machine
from emulator.metrics import Measurement, measure_all
from emulator.package import Part, Weight
from emulator.report.base import FunctionReport, Report
from tests.fake_service import MIB, config
from tests.fakes import capabilities

MACHINE = Machine(system="Linux", kernel="6.1", architecture="x86_64", cpu="A CPU", cpus=2, cpu_flags=("avx2",))
VERSIONS = {"preflight": "0.1", "python": "3.13.1"}


def cold(init_ms: float = 200.0, **others: Any) -> Sample:  # noqa: ANN401 - any field
    """One cold start."""
    made = Sample(
        start="cold", at_s=0.0, duration_ms=20.0, billed_ms=220, init_ms=init_ms, memory_bytes=100 * MIB, cpu_ms=5.0
    )
    return replace(replace(made, init_cpu_ms=150.0, tmp_bytes=0), **others)


def warm(duration_ms: float = 10.0, **others: Any) -> Sample:  # noqa: ANN401 - any field
    """One warm call."""
    made = Sample(start="warm", at_s=1.0, duration_ms=duration_ms, billed_ms=round(duration_ms), cpu_ms=4.0)
    return replace(replace(made, memory_bytes=101 * MIB, throttled_ms=0.0, tmp_bytes=0), **others)


def weight(**others: Any) -> Weight:  # noqa: ANN401 - any field
    """60 MB of code and 40 MB of a layer."""
    parts = (
        Part(name="onnxruntime", bytes=40 * MIB, files=100, kind="package", archive="layer", version="1.32"),
        Part(name="model/", bytes=22 * MIB, files=2, kind="folder", archive="code"),
    )
    made = Weight(
        name="F",
        unzipped_bytes=100 * MIB,
        code_bytes=60 * MIB,
        layers_bytes=40 * MIB,
        zipped_bytes=30 * MIB,
        limit_bytes=250 * MIB,
        parts=parts,
        files=(),
        archives=(),
        findings=(),
        violations=(),
        file_count=102,
        runtime="python3.13",
        architecture="x86_64",
        memory_mb=512,
    )
    return replace(made, **others)


def evaluation(**others: Any) -> Evaluation:  # noqa: ANN401 - any field
    """Four cases, of which one is wrong and one has no answer."""
    made = Evaluation(
        dataset="golden.jsonl",
        sha256="0" * 64,
        scorer="accuracy",
        answer="label",
        cases=4,
        score=Estimate(value=0.5, n=4, low=0.15, high=0.85, method="wilson"),
        scores=(
            Score(case_id="1", expected="good", answer="good", value=1.0),
            Score(case_id="2", expected="good", answer="bad", value=0.0),
            Score(case_id="3", expected="bad", answer="bad", value=1.0),
        ),
        failures=(
            Failure(
                case_id="4",
                line=4,
                event={"text": "…"},
                payload=None,
                error=FunctionError(type="ValueError", message="no text"),
            ),
        ),
        seconds=2.0,
        cpu_flags=("avx2",),
    )
    return replace(made, **others)


def evidence(**others: Any) -> Evidence:  # noqa: ANN401 - any field
    """Five starts and twenty calls of a function of 512 MB."""
    made = Evidence(
        config=config(),
        page_cache="warm",
        samples=(
            *(cold(200.0 + number) for number in range(5)),
            *(warm(10.0 + number, case_id=str(number)) for number in range(20)),
        ),
        weight=weight(),
        evaluation=evaluation(),
        disturbance=Disturbance(seconds=10.0, steal_pct=0.1, others_pct=3.0, load=0.4),
        imports=(ImportTime(module="onnxruntime", own_ms=1.0, total_ms=90.0),),
        timeline=(MemoryPoint(at_ms=0.0, bytes=90 * MIB), MemoryPoint(at_ms=5.0, bytes=101 * MIB)),
    )
    return replace(made, **others)


GATES = (
    Gate(metric="init.p95_ms", limits={"max": 100.0}, reason="the widget gives up"),
    Gate(metric="memory.max_mb", limits={"max": 400.0, "max_increase_pct": 2.0}),
    Gate(metric="package.unzipped_mb", limits={"max": 99.0}, level="warn"),
    Gate(metric="quality.score", limits={"min": 0.8, "max_increase": 0.01}),
)


def report(found: Evidence | None = None, *, baseline: Baseline | None = None) -> Report:
    """One function under `GATES`: a failure, a warning, something not measured."""
    gathered = found or evidence()
    measurements = measure_all(gathered)
    function = FunctionReport(
        name=gathered.config.name,
        evidence=gathered,
        measurements=measurements,
        verdicts=judge(measurements, GATES, evidence=gathered, baseline=baseline),
    )
    return Report(
        started=datetime(2026, 7, 1, 12, tzinfo=UTC),
        seconds=12.0,
        seed=1,
        machine=MACHINE,
        backend="docker",
        capabilities=capabilities(),
        versions=VERSIONS,
        functions=(function,),
        disturbance=gathered.disturbance,
    )


def holding(words: str, **others: Any) -> Report:  # noqa: ANN401 - any field of the evidence
    """A report with these words wherever a user's words may stand."""
    base, made = report(), evaluation()
    failure = replace(made.failures[0], case_id=words, event={words: words}, error=replace(made.failures[0].error))
    found = evidence(
        weight=weight(parts=tuple(replace(part, name=words, archive=words) for part in weight().parts)),
        evaluation=replace(made, dataset=words, scorer=words, failures=(failure,)),
        imports=tuple(replace(one, module=words) for one in evidence().imports),
        **others,
    )
    measured = Measurement(name="init.p50_ms", value=2.0, unit="ms", n=1, note=words)
    gates = [Gate(metric="init.p50_ms", limits={"max": 1.0}, reason=words)]
    verdicts = tuple(replace(one, message=words, look_at=(words,)) for one in judge([measured], gates))
    function = replace(base.functions[0], name=words, evidence=found, verdicts=verdicts, notes=(words,))
    return replace(base, functions=(function,), versions={words: words}, baseline=words, notes=(words,))
