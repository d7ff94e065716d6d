"""Reports as text and JSON, and the baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from emulator.errors import ConfigurationError
from emulator.gates import baseline
from emulator.gates.verdicts import Baseline, Gate, judge
from emulator.golden.text import evaluation_lines
from emulator.machine import Disturbance
from emulator.metrics import NAMES, Measurement, measure_all
from emulator.report import files as report_files
from emulator.report.json import as_json, schema
from emulator.report.text import as_text, summary
from tests.reports import MACHINE, VERSIONS, evaluation, evidence, report

BASE = report()
FIGURES = st.floats(min_value=-1e300, max_value=1e300)  # differences of larger ones are no numbers any more
VALIDATOR = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_the_schema_is_one() -> None:
    """And knows every metric and no other."""
    Draft202012Validator.check_schema(schema())
    assert schema()["$defs"]["metric"]["enum"] == list(NAMES)


def test_a_report_keeps_to_the_schema() -> None:
    """Whole, with a baseline, and with nothing in it."""
    bare = evidence(samples=(), weight=None, evaluation=None, imports=(), timeline=(), disturbance=None)
    for made in (BASE, report(baseline=Baseline(values={"memory.max_mb": 90.0}, source="b")), report(bare)):
        VALIDATOR.validate(json.loads(as_json(made)))


def test_the_schema_refuses_what_is_not_one() -> None:
    """A field too many, one too few, a status that does not exist."""
    good = json.loads(as_json(BASE))

    def broken(change: Mapping[str, Any]) -> bool:
        return not VALIDATOR.is_valid({**good, **change})

    assert VALIDATOR.is_valid(good)
    assert broken({"more": 1})
    assert broken({"schema": "lambda-preflight/report/2"})
    assert broken({"functions": [{**good["functions"][0], "verdicts": [{"status": "MAYBE"}]}]})
    del good["seed"]
    assert not VALIDATOR.is_valid(good)


def test_not_measured_is_null() -> None:
    """In the measurement and in the verdict."""
    found = json.loads(as_json(report(evidence(samples=()))))
    figures = {one["name"]: one for one in found["functions"][0]["measurements"]}
    assert figures["memory.max_mb"]["value"] is None
    assert found["functions"][0]["verdicts"][0]["status"] == "NOT_MEASURED"
    assert found["failed"]


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), FIGURES, FIGURES, st.sampled_from(["fail", "warn"])), max_size=6),
    st.text(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_verdicts_are_shown(rows: list[tuple[str, float, float, Any]], words: str) -> None:
    """As JSON that keeps to the schema and as text of 80 columns that says each verdict in a word."""
    verdicts = tuple(
        verdict
        for name, value, limit, level in rows
        for verdict in judge(
            [Measurement(name=name, value=value, unit="MB", n=1, note=words)],
            [Gate(metric=name, limits={"max": limit}, level=level, reason=words)],
        )
    )
    made = replace(BASE, functions=(replace(BASE.functions[0], verdicts=verdicts, notes=(words,)),))
    VALIDATOR.validate(json.loads(as_json(made)))
    text = as_text(made)
    assert "\x1b" not in text
    for word in ("PASS", "FAIL", "WARN"):
        assert (word in {verdict.status for verdict in verdicts}) <= (word in text)


def test_the_text_says_it_all() -> None:
    """Verdict, figure, limit, by how much, why it matters, where to look; in 80 columns and without colour."""
    text = as_text(BASE)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    for words in (
        "FAIL init.p95_ms",
        "103.8 ms over the max of 100 ms",
        "why it matters: the widget gives up",
        "slowest imports: onnxruntime 90 ms",
        "WARN package.unzipped_mb: 100 MB is 1 MB over the max of 99 MB",
        "NOT COMPARED",
        "--update-baseline",
        '1 x "good" answered "bad", first case 2',
        "case 4 (line 4) failed: ValueError: no text",
        "docker backend: every limit enforced by the kernel",
        "FAILED: 1 passed, 2 failed, 2 not compared, 1 warned",
    ):
        assert words in text


def test_colour_adds_nothing_but_colour() -> None:
    """The same words."""
    import re

    plain, coloured = as_text(BASE), as_text(BASE, colour=True)
    assert "\x1b[" in coloured
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()] == plain.splitlines()


def test_a_disturbed_run_says_so() -> None:
    """And which figures hold all the same."""
    disturbed = Disturbance(seconds=1.0, steal_pct=9.0, notes=("the hypervisor gave 9 % of the CPU time to others",))
    text = as_text(replace(BASE, disturbance=disturbed))
    assert "disturbed: the hypervisor" in text
    assert not disturbed.quiet


def test_a_run_without_a_failure() -> None:
    """One line for it."""
    made = replace(BASE, functions=(replace(BASE.functions[0], verdicts=()),))
    assert summary(made) == "PASSED: 0 passed"


def test_many_failed_cases_are_counted() -> None:
    """Five are shown, the rest is a number."""
    failures = tuple(replace(evaluation().failures[0], case_id=str(number)) for number in range(7))
    lines = list(evaluation_lines(evaluation(failures=failures, score=None)))
    assert sum("failed: ValueError" in line for line in lines) == 5
    assert any("2 more failed cases" in line for line in lines)
    assert any("not defined" in line for line in lines)


def test_files_by_suffix(tmp_path: Path) -> None:
    """Written whole; another suffix is refused before anything runs."""
    path = tmp_path / "report.json"
    report_files.check([path])
    report_files.write(report(), [path])
    VALIDATOR.validate(json.loads(path.read_text()))
    assert [child.name for child in tmp_path.iterdir()] == ["report.json"]
    with pytest.raises(ConfigurationError, match="suffix"):
        report_files.check([tmp_path / "report.docx"])


def test_a_file_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    """And nothing beside it."""
    path = tmp_path / "report.json"
    path.write_text("old")
    unfit = replace(BASE, seconds=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        report_files.write(unfit, [path])
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def baseline_file(folder: Path, **changes: object) -> Path:
    """A baseline of one function, changed."""
    text = baseline.as_json(
        {"F": measure_all(evidence(weight=None, samples=evidence().samples[:5]))},
        kept={"G": {"init.p50_ms": 1.0}},
        machine=MACHINE,
        backend="docker",
        versions=VERSIONS,
        started="2026-07-01T12:00:00+00:00",
    )
    path = folder / "preflight-baseline.json"
    path.write_text(json.dumps({**json.loads(text), **changes}))
    return path


def test_a_baseline_comes_back(tmp_path: Path) -> None:
    """What was measured, what was kept, and nothing for what was not measured."""
    value = baseline.read(baseline_file(tmp_path))
    found = baseline.of_function(value, "F", "b", ())
    assert found is not None
    assert found.values["init.p50_ms"] == 202.0
    assert "package.zipped_mb" not in found.values
    assert baseline.of_function(value, "G", "b", ()) == Baseline(values={"init.p50_ms": 1.0}, source="b")
    assert baseline.of_function(value, "H", "b", ()) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "lambda-preflight/baseline/2"},
        {"schema": 1},
        {"functions": []},
        {"functions": {"F": {"init.p50_ms": "fast"}}},
        {"functions": {"F": 1}},
        {"machine": None},
        {"backend": None},
    ],
)
def test_a_baseline_of_another_kind(tmp_path: Path, changes: dict[str, object]) -> None:
    """Refused, with what to do."""
    with pytest.raises(ConfigurationError, match="baseline") as refused:
        baseline.read(baseline_file(tmp_path, **changes))
    assert "--update-baseline" in (refused.value.hint or "")


@pytest.mark.parametrize("text", ["", "[]", "{", "1", "[" * 50_000])
def test_a_baseline_that_is_no_json(tmp_path: Path, text: str) -> None:
    """The same."""
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="baseline"):
        baseline.read(path)


def test_what_is_not_as_it_was_is_told(tmp_path: Path) -> None:
    """Machine, backend, versions, new and gone ones."""
    value = baseline.read(baseline_file(tmp_path))

    def told(**changes: Any) -> list[str]:  # noqa: ANN401 - machine, backend or versions
        now = {"machine": MACHINE, "backend": "docker", "versions": VERSIONS, **changes}
        return list(baseline.differences(value, **now))

    assert told() == []
    assert told(machine=replace(MACHINE, cpus=8)) == ["cpus was 2, is 8"]
    assert told(backend="process") == ["backend was docker, is process"]
    assert told(versions={"preflight": "0.2", "engine": "29"}) == [
        "engine was not there, is 29",
        "preflight was 0.1, is 0.2",
        "python was 3.13.1, is not there",
    ]
