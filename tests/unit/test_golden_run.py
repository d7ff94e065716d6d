"""A golden dataset through a function: alone and side by side, failures, an interruption and its resumption."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import BackendError, ConfigurationError
from emulator.evidence import Sample
from emulator.golden import run as golden_run
from emulator.golden.evaluation import Evaluation
from emulator.golden.journal import open_journal
from emulator.golden.run import NO_ANSWER, Golden, GoldenRun, environments, golden
from emulator.invocation import FunctionError, InvocationResult
from tests.fake_service import FakeService, Steps, config, result

CASES = 12


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give journals a place of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def asked(tmp_path: Path) -> Golden:
    """Give twelve cases, whose answer is whether a number is even."""
    lines = [json.dumps({"id": f"c{n}", "event": n, "expected": n % 2 == 0}) for n in range(CASES)]
    (tmp_path / "golden.jsonl").write_text("\n".join(lines))
    return golden(tmp_path / "golden.jsonl", scorer="exact", answer="even", reference=None, folder=tmp_path)


def even(event: Any) -> InvocationResult:  # noqa: ANN401 - JSON
    """The right answer."""
    return result({"even": event % 2 == 0}, memory_mb=100 + event)


def run(
    service: FakeService, asked: Golden, *, workers: int = 1, alone: int = 0, fresh: bool = False
) -> tuple[Evaluation, tuple[Sample, ...], Steps]:
    """One run to its end."""
    steps = Steps()
    with open_journal(asked.dataset.sha256, "key", fresh=fresh) as journal:
        made = GoldenRun(service.as_service(), config(), asked, journal, steps, begin=0.0)
        evaluation, samples = made.run(alone=alone, workers=workers)
        journal.finish()
    return evaluation, samples, steps


@pytest.mark.parametrize(("workers", "alone"), [(1, 0), (1, 5), (4, 0), (4, 5), (4, 50)])
def test_every_case_is_answered_once(asked: Golden, workers: int, alone: int) -> None:
    """In whatever order; the scores come in the dataset's."""
    service = FakeService(even)
    evaluation, samples, steps = run(service, asked, workers=workers, alone=alone)
    assert [score.case_id for score in evaluation.scores] == [f"c{n}" for n in range(CASES)]
    assert sorted(call.payload for call in service.calls) == sorted(str(n).encode() for n in range(CASES))
    assert evaluation.score is not None
    assert evaluation.score.value == 1.0
    assert (evaluation.cases, evaluation.failures, evaluation.resumed) == (CASES, (), 0)
    assert steps.begun == [("F: golden cases", CASES)]
    assert steps.steps == CASES
    crowd = sum(sample.concurrent for sample in samples)
    assert crowd == (0 if workers == 1 else max(0, CASES - alone))
    assert {sample.case_id for sample in samples} == {f"c{n}" for n in range(CASES)}


def test_cases_run_side_by_side(asked: Golden) -> None:
    """Four at once: each waits for the others."""
    barrier = threading.Barrier(4, timeout=20)

    def together(event: Any) -> InvocationResult:  # noqa: ANN401 - JSON
        barrier.wait()
        return even(event)

    evaluation, _, _ = run(FakeService(together), asked, workers=4)
    assert len(evaluation.scores) == CASES


def test_failed_cases_are_kept(asked: Golden) -> None:
    """With what went in, what came out and why; they count as wrong."""

    def answer(event: Any) -> InvocationResult:  # noqa: ANN401 - JSON
        if event == 3:
            return result(None, error=FunctionError(type="ValueError", message="three"))
        return result({"odd": event}) if event == 4 else even(event)

    evaluation, samples, _ = run(FakeService(answer), asked)
    assert [(one.case_id, one.line, one.event, one.error.type) for one in evaluation.failures] == [
        ("c3", 4, 3, "ValueError"),
        ("c4", 5, 4, NO_ANSWER),
    ]
    assert evaluation.failures[1].payload == {"odd": 4}
    assert evaluation.score is not None
    assert evaluation.score.value == pytest.approx(10 / 12)
    assert {sample.case_id: sample.error for sample in samples if sample.error} == {
        "c3": "ValueError: three",
        "c4": "the payload has nothing at 'even'",
    }


@pytest.mark.parametrize("workers", [1, 3])
def test_an_interrupted_run_asks_only_for_the_rest(asked: Golden, workers: int) -> None:
    """And ends with the same scores."""

    def stops(event: Any) -> InvocationResult:  # noqa: ANN401 - JSON
        if event == 7:
            raise KeyboardInterrupt
        return even(event)

    with pytest.raises(KeyboardInterrupt):
        run(FakeService(stops), asked, workers=workers)
    service = FakeService(even)
    evaluation, samples, _ = run(service, asked, workers=workers)
    assert evaluation.resumed >= 5
    assert len(service.calls) == CASES - evaluation.resumed
    assert b"7" in {call.payload for call in service.calls}
    assert len(samples) == CASES
    assert len(evaluation.scores) == CASES
    again = FakeService(even)
    assert run(again, asked)[0].resumed == 0
    assert len(again.calls) == CASES


@pytest.mark.parametrize("workers", [1, 3])
def test_trouble_of_ours_ends_the_run(asked: Golden, workers: int) -> None:
    """A lost sandbox is no wrong answer."""

    def lost(event: Any) -> InvocationResult:  # noqa: ANN401 - JSON
        if event == 2:
            raise BackendError("lost")
        return even(event)

    with pytest.raises(BackendError, match="lost"):
        run(FakeService(lost), asked, workers=workers)


def test_a_reference_is_compared(tmp_path: Path, asked: Golden) -> None:
    """By the name of its file."""
    lines = [json.dumps({"id": f"c{n}", "answer": n != 0}) for n in range(CASES)]
    (tmp_path / "fp32.jsonl").write_text("\n".join(lines))
    with_reference = golden(
        asked.dataset.path, scorer="exact", answer="even", reference=tmp_path / "fp32.jsonl", folder=tmp_path
    )
    evaluation, _, _ = run(FakeService(even), with_reference)
    assert evaluation.comparison is not None
    assert evaluation.comparison.reference == "fp32.jsonl"
    assert evaluation.comparison.agreement == pytest.approx(5 / 12)


def test_an_answer_that_is_no_jmespath(tmp_path: Path, asked: Golden) -> None:
    """Refused before anything runs."""
    with pytest.raises(ConfigurationError, match=r"is not a JMESPath: Incomplete expression$"):
        golden(asked.dataset.path, scorer="exact", answer="a[", reference=None, folder=tmp_path)


def test_null_is_an_answer_where_it_is_expected(tmp_path: Path) -> None:
    """Nothing at the path and null are the same to JMESPath."""
    (tmp_path / "g.jsonl").write_text('{"event": 1, "expected": null}\n')
    asked = golden(tmp_path / "g.jsonl", scorer="exact", answer="label", reference=None, folder=tmp_path)
    evaluation, _, _ = run(FakeService(lambda _: result({"label": None})), asked)
    assert evaluation.score is not None
    assert evaluation.score.value == 1.0


@pytest.mark.parametrize(
    ("memory_mb", "cpus", "fits", "count"),
    [(1769, 2, 100, 1), (884, 2, 100, 3), (512, 2, 100, 5), (512, 2, 3, 3), (10240, 2, 100, 1), (128, 8, 1000, 106)],
)
def test_as_many_as_do_not_disturb_each_other(
    monkeypatch: pytest.MonkeyPatch, memory_mb: int, cpus: int, fits: int, count: int
) -> None:
    """CPU shares that the machine has, less what the emulator needs; and memory; one at least."""
    monkeypatch.setattr(golden_run, "fit_in_memory", lambda _: fits)
    assert environments(config(memory_mb=memory_mb), cpus=cpus) == count
