"""What is run in which order, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator import measure
from emulator.errors import QuotaError
from emulator.golden.run import golden
from emulator.limits import Violation, check
from emulator.measure import (
    Plan,
    collect,
    drop_from_page_cache,
    memory_timeline,
    parse_imports,
    slowest_imports,
    with_import_times,
)
from tests.fake_service import MIB, FakeService, Steps, config, result
from tests.reports import warm, weight

IMPORTS = """\
import time: self [us] | cumulative | imported package
import time:      1500 |       1500 |   numpy.core
import time:       500 |      90000 | numpy
import time:       100 |        100 | json
START RequestId: x
"""


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give journals a place of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_starts_take_turns() -> None:
    """One uncounted start each, then rounds that another function begins; nothing stays warm between two starts."""
    service = FakeService(lambda _: result(1))
    plans = [Plan(config=config(name=name), cold_starts=3, warm_calls=2) for name in ("F", "G")]
    found = collect(service.as_service(), plans, [None, None], Steps())
    started = [call.name for call in service.calls if call.fresh]
    assert started == ["F", "G", "F", "G", "G", "F", "F", "G"]
    for evidence in found:
        assert len(evidence.cold) == 3
        assert len(evidence.warm) == 2
        assert evidence.disturbance is not None
        assert evidence.page_cache == "warm"
    assert service.calls[-1].what == "retire"


def test_warm_calls_go_over_the_golden_cases(tmp_path: Path) -> None:
    """Every start has the first case's event; calls beyond the dataset go round again and are not scored twice."""
    (tmp_path / "g.jsonl").write_text("".join(json.dumps({"event": n, "expected": n}) + "\n" for n in range(3)))
    asked = golden(tmp_path / "g.jsonl", scorer="exact", answer="", reference=None, folder=tmp_path)
    service = FakeService(result)
    plan = Plan(config=config(), golden=asked, cold_starts=2, warm_calls=7, workers=1)
    (found,) = collect(service.as_service(), [plan], [None], Steps())
    assert {call.payload for call in service.calls if call.fresh} == {b"0"}
    assert [sample.case_id for sample in found.warm] == ["1", "2", "3", "1", "2", "3", "1"]
    assert found.evaluation is not None
    assert found.evaluation.cases == 3
    assert len(found.evaluation.scores) == 3


def test_the_rest_of_the_cases_is_not_timed(tmp_path: Path) -> None:
    """Two alone, one beside others."""
    (tmp_path / "g.jsonl").write_text("".join(json.dumps({"event": n, "expected": n}) + "\n" for n in range(3)))
    asked = golden(tmp_path / "g.jsonl", scorer="exact", answer="", reference=None, folder=tmp_path)
    plan = Plan(config=config(), golden=asked, cold_starts=1, warm_calls=2, workers=2)
    (found,) = collect(FakeService(result).as_service(), [plan], [None], Steps())
    assert len(found.warm) == 2
    assert len(found.samples) == 4


def test_progress_is_told() -> None:
    """As many steps as were announced."""
    steps = Steps()
    plan = Plan(config=config(), cold_starts=2, warm_calls=4)
    collect(FakeService(result).as_service(), [plan], [None], steps)
    assert steps.begun == [("cold starts", 3), ("F: warm calls", 4)]
    assert steps.steps == 7


def test_imports_are_read_from_the_log() -> None:
    """Slowest first, in milliseconds."""
    found = parse_imports(IMPORTS)
    assert [(one.module, one.own_ms, one.total_ms) for one in found] == [
        ("numpy", 0.5, 90.0),
        ("numpy.core", 1.5, 1.5),
        ("json", 0.1, 0.1),
    ]
    assert parse_imports("START RequestId: x\n") == ()


def test_import_times_come_from_a_start_of_their_own() -> None:
    """Of the same function under another name, which is closed again."""
    asked = with_import_times(config(environment={"A": "1"}, reserved_concurrency=1))
    assert asked.name == "F-imports"
    assert dict(asked.environment) == {"A": "1", "PYTHONPROFILEIMPORTTIME": "1"}
    assert asked.reserved_concurrency is None
    service = FakeService(lambda _: result(1, log=IMPORTS))
    assert slowest_imports(service.as_service(), asked, b"{}")[0].module == "numpy"
    assert [call.what for call in service.calls] == ["invoke", "retire"]


def test_a_package_that_is_refused_names_its_heaviest_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """In AWS's words first."""
    violations: tuple[Violation, ...] = tuple(check("package", {"Unzipped package with layers": 280_000_000}))
    assert violations
    heavy = weight(unzipped_bytes=280_000_000, violations=violations)
    monkeypatch.setattr(measure, "weigh", lambda *_, **__: heavy)
    with pytest.raises(QuotaError, match="262144000") as refused:
        measure.weighed(config())
    assert "280,000,000" in refused.value.message
    assert "onnxruntime 40.0 MB" in (refused.value.hint or "")


def test_an_image_is_not_weighed_here() -> None:
    """It has no code folder."""
    assert measure.weighed(config(image="image:latest")) is None


def test_dropping_pages_leaves_files_as_they_are(tmp_path: Path) -> None:
    """Links and folders are passed over."""
    (tmp_path / "a").write_text("text")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    drop_from_page_cache([tmp_path])
    assert (tmp_path / "a").read_text() == "text"


def test_memory_over_time_is_that_of_the_worst_event(tmp_path: Path) -> None:
    """Sent once more to a new environment, which is closed again."""
    (tmp_path / "g.jsonl").write_text("".join(json.dumps({"event": n, "expected": n}) + "\n" for n in range(3)))
    asked = golden(tmp_path / "g.jsonl", scorer="exact", answer="", reference=None, folder=tmp_path)
    service = FakeService(result)
    plan = Plan(config=config(), golden=asked)
    points = memory_timeline(service.as_service(), plan, warm(case_id="2"))
    assert {point.bytes for point in points} == {100 * MIB}
    assert [(call.what, call.payload, call.fresh) for call in service.calls] == [
        ("invoke", b"1", True),
        ("retire", b"", False),
    ]
    assert memory_timeline(service.as_service(), plan, None) == ()
