"""What is run in which order, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emulator import measure
from emulator.errors import QuotaError
from emulator.golden.run import golden
from emulator.invocation import InvocationResult, Usage
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
from emulator.package.image import image_weight
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
    """One uncounted start each, then rounds that another function begins, each a start and the same warm calls."""
    service = FakeService(lambda _: result(1))
    plans = [Plan(config=config(name=name), cold_starts=3, warm_calls=2) for name in ("F", "G")]
    found = collect(service.as_service(), plans, [None, None], Steps())
    started = [call.name for call in service.calls if call.fresh]
    assert started == ["F", "G", "F", "G", "G", "F", "F", "G"]
    for evidence in found:
        assert len(evidence.cold) == 3
        assert [(one.round, one.place) for one in evidence.warm] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
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
    assert [sample.case_id for sample in found.warm] == 2 * ["1", "2", "3", "1", "2", "3", "1"]
    assert [sample.place for sample in found.warm] == 2 * list(range(7))
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
    assert [sample.place for sample in found.samples] == [None, 0, 1, None]


def test_answers_are_kept_until_the_last_round(tmp_path: Path) -> None:
    """A run that is stopped in the rounds after the golden cases does not ask for their answers again."""
    (tmp_path / "g.jsonl").write_text("".join(json.dumps({"event": n, "expected": n}) + "\n" for n in range(3)))
    asked = golden(tmp_path / "g.jsonl", scorer="exact", answer="", reference=None, folder=tmp_path)
    (tmp_path / "code").mkdir()
    plan = Plan(config=config(code=tmp_path / "code"), golden=asked, cold_starts=2, warm_calls=3, workers=1)
    calls = 0

    def stopped(event: object) -> InvocationResult:
        nonlocal calls
        calls += 1
        if calls == 7:  # first start, start, three cases, and the second round's start come before
            raise KeyboardInterrupt
        return result(event)

    with pytest.raises(KeyboardInterrupt):
        collect(FakeService(stopped).as_service(), [plan], [None], Steps())
    for resumed in (3, 0):
        (found,) = collect(FakeService(result).as_service(), [plan], [None], Steps())
        assert found.evaluation is not None
        assert found.evaluation.resumed == resumed


def test_progress_is_told() -> None:
    """As many steps as were announced."""
    steps = Steps()
    plan = Plan(config=config(), cold_starts=2, warm_calls=4)
    collect(FakeService(result).as_service(), [plan], [None], steps)
    assert steps.begun == [("first starts", 1), ("F: warm calls", 4), ("rounds", 1)]
    assert steps.steps == sum(total for _, total in steps.begun)


def test_rounds_go_on_while_a_figure_moves() -> None:
    """Up to as many again, and no further round where all agree; with one or two there is nothing to judge that by."""
    wild = iter(range(1, 10_000))

    def restless(_: object) -> InvocationResult:
        return replace(result(1), usage=Usage(cpu_seconds=0.001 * (next(wild) % 7 + 1)))

    def rounds(answer: Callable[[object], InvocationResult], cold_starts: int) -> int:
        plan = Plan(config=config(), cold_starts=cold_starts, warm_calls=4)
        (found,) = collect(FakeService(answer).as_service(), [plan], [None], Steps())
        return len(found.cold)

    assert rounds(restless, 3) == 6
    assert rounds(lambda _: result(1), 3) == 3
    assert rounds(restless, 2) == 2


def test_slow_calls_are_repeated_less() -> None:
    """Two seconds each: the first round has all that were asked for, the others what fits into their time."""
    slow = result(1, duration_ms=2000)
    plan = Plan(config=config(), cold_starts=3, warm_calls=40)
    (found,) = collect(FakeService(lambda _: slow).as_service(), [plan], [None], Steps())
    assert [sum(one.round == number for one in found.warm) for number in range(3)] == [40, 5, 5]


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


@pytest.mark.parametrize(("more", "refused"), [(-1, False), (0, False), (1, True)])
def test_an_image_is_weighed(monkeypatch: pytest.MonkeyPatch, more: int, *, refused: bool) -> None:
    """All its layers, uncompressed, against Lambda's 10 GB."""
    function = config(image="image:latest")
    history = [{"CreatedBy": "/bin/sh -c #(nop) COPY model /opt", "Size": 9_000_000_000}]
    told = image_weight(function, 10 * 1024**3 + more, history)
    monkeypatch.setattr(measure, "weigh", lambda *_, **__: told)
    if not refused:
        assert measure.weighed(function).unzipped_bytes == 10 * 1024**3 + more
        return
    with pytest.raises(QuotaError, match=r"10,?737,?418,?241") as found:
        measure.weighed(function)
    assert "COPY model /opt 8583.1 MB" in (found.value.hint or "")
    assert found.value.message.count("737") == 2  # what it has and what it may have, each once


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
