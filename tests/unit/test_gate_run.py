"""A gate run over a fake backend: from settings to a report and a baseline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.config import FunctionConfig
from emulator.errors import BackendError, ConfigurationError
from emulator.gates import baseline
from emulator.gates import run as gate_run
from emulator.gates.config import FunctionGates
from emulator.gates.run import Compared, baseline_text, chosen, plan, run, tasks
from emulator.gates.verdicts import Gate
from emulator.invocation import FunctionError
from emulator.report.base import Report
from emulator.report.html import as_page
from emulator.report.markdown import as_markdown
from emulator.report.text import as_text
from tests.fake_service import MIB, FakeService, Steps, result
from tests.fakes import FakeBackend
from tests.reports import MACHINE, VERSIONS

LOG = "import time:      100 |      90000 | slow_module\n"


@pytest.fixture
def config(tmp_path: Path) -> FunctionConfig:
    """Give a function of one file."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(event, context): ...\n")
    return FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=tmp_path / "src", memory_mb=512)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeService:
    """Have every run served by a fake, on a machine that does not change, with a cache of its own."""
    made = FakeService(lambda _: result({"label": 1}, log=LOG))
    monkeypatch.setattr(gate_run, "LambdaService", lambda *_, **__: made)
    monkeypatch.setattr(gate_run, "read_machine", lambda **_: MACHINE)
    monkeypatch.setattr(gate_run, "versions_of", lambda _: VERSIONS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


def gates(*given: Gate) -> FunctionGates:
    """Two starts and three calls."""
    return FunctionGates(name="F", gates=given, cold_starts=2, warm_calls=3)


def ran(config: FunctionConfig, *given: Gate, compared: Compared | None = None, updating: bool = False) -> Report:
    """One run of one function."""
    asked = gates(*given)
    planned = plan(asked, config, folder=config.code, read_event=lambda _: b"{}")
    return run(tasks([asked], [planned]), FakeBackend(), Steps(), compared=compared, updating=updating)


def test_a_run_is_a_report(service: FakeService, config: FunctionConfig) -> None:
    """Of everything that was asked, with where it ran."""
    made = ran(
        config, Gate(metric="init.p50_ms", limits={"max": 250.0}), Gate(metric="memory.max_mb", limits={"max": 1.0})
    )
    assert made.failed
    assert [verdict.status for verdict in made.functions[0].verdicts] == ["PASS", "FAIL"]
    assert made.functions[0].measurement("init.p50_ms").n == 2
    assert (made.machine, made.backend, made.baseline) == (MACHINE, "docker", None)
    assert made.started.tzinfo is not None
    assert service.closed
    assert {point.bytes // MIB for point in made.functions[0].evidence.timeline} == {100}
    assert not any(call.name == "F-imports" for call in service.calls)


def test_failures_are_said_without_a_gate_on_them(monkeypatch: pytest.MonkeyPatch, config: FunctionConfig) -> None:
    """In every form that a person reads; and how fast a function failed passes no gate."""
    raised = result(error=FunctionError(type="ValueError", message="broken"))
    monkeypatch.setattr(gate_run, "LambdaService", lambda *_, **__: FakeService(lambda _: raised))
    monkeypatch.setattr(gate_run, "read_machine", lambda **_: MACHINE)
    monkeypatch.setattr(gate_run, "versions_of", lambda _: VERSIONS)
    made = ran(config, Gate(metric="init.p95_ms", limits={"max": 1000.0}))
    assert made.failed
    count = made.functions[0].measurement("errors.count")
    assert count.value == count.n
    said = f"{count.n} of {count.n} invocations FAILED (ValueError)"
    for text in (as_text(made), as_markdown(made).decode(), as_page(made).decode()):
        words = " ".join(text.replace("\\", "").split())
        assert said in words
        assert "no invocation was answered: ValueError" in words


def test_a_slow_start_is_explained(service: FakeService, config: FunctionConfig) -> None:
    """By one start more, and only then."""
    made = ran(config, Gate(metric="init.p50_ms", limits={"max": 1.0}))
    assert "slow_module 90 ms" in made.functions[0].verdicts[0].look_at[0]
    assert [call.name for call in service.calls if call.what == "invoke"].count("F-imports") == 1


@pytest.mark.usefixtures("service")
def test_an_explanation_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, config: FunctionConfig) -> None:
    """What was measured stands."""

    def lost(*_: object) -> tuple[()]:
        raise BackendError("lost")

    monkeypatch.setattr(gate_run, "slowest_imports", lost)
    assert ran(config, Gate(metric="init.p50_ms", limits={"max": 1.0})).functions[0].verdicts[0].status == "FAIL"


@pytest.mark.usefixtures("service")
def test_the_baseline_of_a_run_is_passed_by_the_next(config: FunctionConfig) -> None:
    """And the run that writes it is its own."""
    gate = Gate(metric="memory.max_mb", limits={"max_increase_pct": 1.0})
    assert ran(config, gate).functions[0].verdicts[0].status == "NOT_MEASURED"
    first = ran(config, gate, updating=True)
    assert not first.failed
    value = json.loads(baseline_text(first, None))
    assert value["schema"] == baseline.SCHEMA
    second = ran(config, gate, compared=Compared(value=value, source="b.json"))
    assert (second.failed, second.baseline, second.notes) == (False, "b.json", ())
    value["functions"]["F"]["memory.max_mb"] = 90.0
    value["backend"] = "process"
    third = ran(config, gate, compared=Compared(value=value, source="b.json"))
    assert third.failed
    assert third.notes == ("not as in the baseline: backend was process, is docker",)


@pytest.mark.usefixtures("service")
def test_functions_that_were_left_out_keep_their_figures(config: FunctionConfig) -> None:
    """Unless they would stand beside figures of another machine."""
    made = ran(config, updating=True)
    before = json.loads(baseline_text(made, None))
    before["functions"]["G"] = {"init.p50_ms": 1.0}
    text = baseline_text(made, Compared(value=before, source="b.json"))
    assert sorted(json.loads(text)["functions"]) == ["F", "G"]
    elsewhere = replace(made, notes=("not as in the baseline: cpus was 8, is 2",))
    with pytest.raises(ConfigurationError, match="cpus was 8") as refused:
        baseline_text(elsewhere, Compared(value=before, source="b.json"))
    assert "--update-baseline" in (refused.value.hint or "")


def test_functions_are_chosen_by_name() -> None:
    """All for none, each once, and the nearest where there is no such."""
    known = [replace(gates(), name=name) for name in ("First", "Second")]
    assert [one.name for one in chosen(known, [], Path("p"))] == ["First", "Second"]
    assert [one.name for one in chosen(known, ["Second", "Second"], Path("p"))] == ["Second"]
    with pytest.raises(ConfigurationError, match="'Sekond'") as refused:
        chosen(known, ["Sekond"], Path("p"))
    assert "Second" in (refused.value.hint or "")


def test_what_a_plan_reads_is_checked(tmp_path: Path, config: FunctionConfig) -> None:
    """The event and the dataset, before anything runs."""
    with_event = replace(gates(), event=tmp_path / "event.json")
    assert plan(with_event, config, folder=tmp_path, read_event=lambda path: path.encode()).event.endswith(
        b"event.json"
    )
    with pytest.raises(ConfigurationError, match="cannot be read"):
        plan(replace(gates(), dataset=tmp_path / "none"), config, folder=tmp_path, read_event=lambda _: b"")


def test_pages_of_an_image_cannot_be_dropped(config: FunctionConfig, tmp_path: Path) -> None:
    """Said before anything runs."""
    image = replace(config, image="image:latest")
    with pytest.raises(ConfigurationError, match="is an image"):
        plan(gates(), image, folder=tmp_path, read_event=lambda _: b"", page_cache="dropped")
