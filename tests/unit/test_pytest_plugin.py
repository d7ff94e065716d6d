"""What a test measured, judged and shown, without a sandbox and without pytest in between."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pytest
from jsonschema import Draft202012Validator

from emulator import pytest_plugin_report
from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from emulator.evidence import Sample, Start
from emulator.golden.evaluation import Evaluation, Failure
from emulator.invocation import FunctionError
from emulator.metrics import NAMES
from emulator.package import Weight
from emulator.pytest_plugin_functions import LambdaFunction, LambdaFunctions, Turns, found_template
from emulator.pytest_plugin_record import Figures, Limit, Record, Surroundings, failure_text, limit, pack, unpack
from emulator.report import json as report_json
from tests.fake_service import FakeService, config, result
from tests.fakes import FakeBackend

MIB = 1024 * 1024


@dataclass
class Source:
    """Where figures come from."""

    template: Path = Path("template.yaml")

    @property
    def surroundings(self) -> Surroundings:
        """A backend that enforces what fakes enforce."""
        return Surroundings(
            backend="process", capabilities=FakeBackend().capabilities, versions={"python": "3"}, template=self.template
        )


def sample(memory_mb: float, *, init_ms: float | None = None) -> Sample:
    """A call."""
    start: Start = "warm" if init_ms is None else "cold"
    memory = int(memory_mb * MIB)
    return Sample(start=start, at_s=0.0, duration_ms=5.0, billed_ms=5, init_ms=init_ms, cpu_ms=2.0, memory_bytes=memory)


def names(name: str) -> frozenset[str]:
    """A function's two."""
    return frozenset({name, f"{name}Id"})


def record(*configs: FunctionConfig, source: Source | None = None) -> Record:
    """A test that invoked each function once cold with 100 MB and once warm with 110 MB."""
    made = Record("test_f.py::test_it", source or Source())
    for one in configs:
        made.of(one, names(one.name)).samples.extend([sample(100, init_ms=300.0), sample(110)])
    return made


def limits(metric: str = "memory.max_mb", **table: object) -> list[Limit]:
    """One marker's."""
    return [limit(metric, table, "test_f.py::test_it")]


@pytest.mark.parametrize(("most", "failed"), [(109, 1), (110, 0), (111, 0)])
def test_a_limit_holds_to_its_last_value(most: int, failed: int) -> None:
    """At the limit is within it."""
    figures = record(config()).finish(limits(max=most))
    assert len(figures.failed) == failed
    text = failure_text(figures)
    assert ("F: memory.max_mb: 110 MB is 1 MB over the max of 109 MB" in text) is bool(failed)


def test_not_measured_is_not_passed() -> None:
    """Without a dataset there is no score."""
    figures = record(config()).finish(limits("quality.score", min=0))
    assert [verdict.status for _, verdict in figures.failed] == ["NOT_MEASURED"]


def test_nothing_invoked_is_not_passed() -> None:
    """A function that was made and never invoked was not measured."""
    made = Record("test_f.py::test_it", Source())
    made.of(config(), names("F"))
    assert made.empty
    with pytest.raises(ConfigurationError, match="not measured, so not passed"):
        made.finish(limits(max=1))
    assert made.finish([]).functions == ()


def test_a_warning_fails_nothing() -> None:
    """Its verdict is told all the same."""
    figures = record(config()).finish(limits(max=1, level="warn"))
    assert not figures.failed
    assert [verdict.status for verdict in figures.functions[0].verdicts] == ["WARN"]


def test_functions_are_judged_each_or_by_name() -> None:
    """By the name that Lambda gives it, or that of the template."""
    first, second = config(name="A"), config(name="B")
    assert [name for name, _ in record(first, second).finish(limits(max=1)).failed] == ["A", "B"]
    for name in ("B", "BId"):
        assert [name for name, _ in record(first, second).finish(limits(max=1, function=name)).failed] == ["B"]
    with pytest.raises(ConfigurationError, match="measured no function 'C'") as caught:
        record(first, second).finish(limits(max=1, function="C"))
    assert caught.value.hint == "It measured: A, AId, B, BId."


def test_sizes_of_one_function_are_told_apart() -> None:
    """The same function at the same size is one, whoever asks for it again."""
    figures = record(config(), config(memory_mb=1024), config()).finish([])
    assert [one.name for one in figures.functions] == ["F@512MB", "F@1024MB"]
    assert [len(one.evidence.samples) for one in figures.functions] == [4, 2]


def test_a_weight_is_that_of_every_size() -> None:
    """And stands alone where nothing was invoked."""
    weight = Weight(
        name="F",
        runtime="python3.13",
        architecture="x86_64",
        memory_mb=512,
        unzipped_bytes=3 * MIB,
        code_bytes=MIB,
        layers_bytes=2 * MIB,
        zipped_bytes=MIB,
        limit_bytes=250 * MIB,
        parts=(),
        files=(),
        archives=(),
        findings=(),
        violations=(),
        file_count=1,
    )
    made = record(config(), config(memory_mb=1024))
    made.add_weight(config(), names("F"), weight)
    assert (weight.unzipped_mb, weight.layers_mb, weight.zipped_mb) == (3, 2, 1)
    assert replace(weight, zipped_bytes=None).zipped_mb is None
    figures = made.finish(limits("package.unzipped_mb", max=3))
    assert [verdict.status for one in figures.functions for verdict in one.verdicts] == ["PASS", "PASS"]
    alone = Record("test_f.py::test_it", Source())
    alone.add_weight(config(), names("F"), weight)
    assert not alone.empty
    assert alone.finish(limits("package.layers_mb", max=1)).failed


def test_a_baseline_beside_the_template(tmp_path: Path) -> None:
    """It serves limits that are relative, by whichever of the function's names it has; without one they fail."""
    source = Source(tmp_path / "template.yaml")
    relative = limits(max_increase_pct=10)
    assert record(config(), source=source).finish(relative).failed
    baseline = {
        "schema": "lambda-preflight/baseline/1",
        "machine": {},
        "backend": "process",
        "versions": {},
        "functions": {"FId": {"memory.max_mb": 100.0}},
    }
    (tmp_path / "preflight-baseline.json").write_text(json.dumps(baseline))
    assert not record(config(), source=source).finish(relative).failed
    assert record(config(), source=source).finish(limits(max_increase_pct=9)).failed


@pytest.mark.parametrize(
    ("metric", "table", "says", "hint"),
    [
        ("memory.max", {"max": 1}, "unknown metric 'memory.max'", "memory.max_mb"),
        ("memory.max_mb", {"maxi": 1}, "unknown key 'maxi'", "max or min"),
        ("memory.max_mb", {}, "no threshold", "One at least"),
        ("memory.max_mb", {"max": "1"}, "max is text and should be a number", None),
        ("memory.max_mb", {"min": 2, "max": 1}, "min is above max", None),
        (7, {"max": 1}, "are text", "lambda_limit("),
        ("memory.max_mb", {"max": 1, "function": 7}, "are text", "lambda_limit("),
    ],
)
def test_a_limit_that_cannot_be_judged(metric: object, table: dict[str, object], says: str, hint: str | None) -> None:
    """The same rules as in preflight.toml; the message names the test."""
    with pytest.raises(ConfigurationError, match=r"^test_f") as caught:
        limit(metric, table, "test_f.py::test_it")
    assert caught.value.message.startswith("test_f.py::test_it, lambda_limit")
    assert says in caught.value.message
    assert (hint or "") in (caught.value.hint or "")


def test_every_metric_can_be_limited() -> None:
    """None is known to the file alone."""
    assert [limit(name, {"max": 1}, "t").gate.metric for name in NAMES] == list(NAMES)


def test_figures_travel_without_variables() -> None:
    """What goes to xdist's controller is text, and holds nothing that may be secret."""
    secret = replace(config(), environment=MappingProxyType({"TOKEN": "hunter2"}))
    figures = record(secret).finish(limits(max=1))
    text = pack(figures)
    assert json.loads(json.dumps(text)) == text
    assert unpack(text) == figures
    assert not figures.functions[0].evidence.config.environment


def shown(*tests: Figures) -> list[str]:
    """The terminal's lines."""
    return list(pytest_plugin_report.summary(tests))


def test_the_summary_and_the_properties() -> None:
    """80 columns; JUnit's properties are plain numbers."""
    figures = record(config()).finish(limits(max=1))
    lines = shown(figures, replace(figures, test="other", backend="docker"))
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "F 512 MB: init 300 ms, duration 5 ms, CPU 2 ms, memory 110 MB (1 cold, 1 warm" in text
    assert "FAIL memory.max_mb: 110 MB is 109 MB over the max of 1 MB" in text
    assert "other (docker)" in lines
    assert ("lambda.F.memory.max_mb", 110.0) in pytest_plugin_report.properties(figures)


def test_the_report_keeps_to_the_schema(tmp_path: Path) -> None:
    """A function for each test that measured it; what was interrupted says so."""
    figures = record(config()).finish(limits(max=1))
    path, page = tmp_path / "report.json", tmp_path / "report.md"
    tests = [figures, replace(figures, test="other", backend="docker")]
    pytest_plugin_report.write(tests, [path, page], started=1_700_000_000.0, interrupted=True)
    assert "F in other" in page.read_text()
    report = json.loads(path.read_text())
    Draft202012Validator(report_json.schema()).validate(report)
    assert [one["name"] for one in report["functions"]] == ["F in test_f.py::test_it", "F in other"]
    assert report["functions"][1]["notes"] == ["in the docker backend"]
    assert report["notes"] == ["the run was interrupted: tests are missing"]


@pytest.mark.parametrize(
    ("name", "says"), [("report.docx", "suffix"), ("nowhere/report.json", "no folder"), ("f.json", "is a folder")]
)
def test_a_report_that_cannot_be_written(tmp_path: Path, name: str, says: str) -> None:
    """The message names the option."""
    (tmp_path / "f.json").mkdir()
    with pytest.raises(ConfigurationError, match=f"--lambda-report .*{says}"):
        pytest_plugin_report.check(tmp_path / name)


@pytest.fixture
def turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Turns:
    """With a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Turns(exclusive=True)


def test_workers_take_turns(turns: Turns) -> None:
    """Another one, with the file opened anew as in another process, waits; afterwards both were alone."""
    entered, inside = threading.Event(), []

    def other() -> None:
        with Turns(exclusive=True).turn() as stay:
            entered.set()
            inside.append(stay)

    with turns.turn() as mine:
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.05)
    thread.join(10)
    assert entered.is_set()
    assert mine.alone
    assert inside[0].alone


def test_threads_of_a_test_share_a_turn(turns: Turns) -> None:
    """A test that invokes side by side is not held up, and its figures say that they were not alone."""
    with turns.turn() as first, turns.turn() as second:
        pass
    assert not first.alone
    assert not second.alone
    with turns.turn() as third:
        pass
    assert third.alone


def test_without_a_lock_a_worker_is_disturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cache cannot be written; alone in the run, nobody else is there."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for exclusive in (True, False):
        with Turns(exclusive=exclusive).turn() as stay:
            assert stay.alone is not exclusive


def test_invocations_are_recorded(turns: Turns) -> None:
    """Events as JSON, or bytes as they are; a new environment where a cold start is asked for."""
    service = FakeService(lambda event: result(event, cold=event == 1))
    made = Record("test_f.py::test_it", Source())
    function = LambdaFunction(service.as_service(), config(), names("F"), made.of(config(), names("F")), turns)
    states = [function.lost]
    assert function.invoke(1).payload == 1
    assert function.invoke(b"2", cold=True).payload == 2
    states.append(function.lost)
    assert states == [True, False]
    assert [(call.what, call.fresh) for call in service.calls] == [
        ("invoke", False),
        ("retire", False),
        ("invoke", True),
    ]
    assert len(made.of(config(), names("F")).samples) == 2
    assert repr(function) == "<LambdaFunction F 512 MB>"


def endless() -> list[object]:
    """A list that holds itself."""
    made: list[object] = []
    made.append(made)
    return made


@pytest.mark.parametrize("event", [{1, 2}, {"at": Path()}, {(1, 2): 3}, float("nan"), endless()], ids=type)
def test_an_event_that_is_not_json(turns: Turns, event: object) -> None:
    """One message that names the function, before anything runs."""
    service = FakeService(result)
    function = LambdaFunction(service.as_service(), config(), names("F"), None, turns)
    with pytest.raises(ConfigurationError, match=r"^the event for F is not JSON: \S") as caught:
        function.invoke(event)
    assert "bytes go as they are" in (caught.value.hint or "")
    assert not service.calls


def test_failed_invocations_are_told_once(turns: Turns) -> None:
    """The last ten with type, message, stack trace and log, each bounded; an answer is none of them."""
    error = FunctionError(type="ValueError", message="bad label", stack_trace=('  File "app.py", line 5\n',))
    answers = iter([result({}), *(result({}, error=error, log=f"START {number}\nEND\n") for number in range(12))])
    service = FakeService(lambda _: next(answers))
    made = Record("test_f.py::test_it", Source())
    function = LambdaFunction(service.as_service(), config(), names("F"), made.of(config(), names("F")), turns)
    function.invoke({})
    assert made.failures.take() == ""
    for _ in range(12):
        function.invoke({})
    first, *told = made.failures.take().split("\n\n")
    assert first == "(2 earlier failures are not shown)"
    what = 'F 512 MB, warm: ValueError: bad label\nstack trace:\n  File "app.py", line 5\nlog:\nSTART {}\nEND'
    assert told == [what.format(number) for number in range(2, 12)]
    assert made.failures.take() == ""


@pytest.mark.parametrize(("size", "cut"), [(3_999, False), (4_000, False), (4_001, True)])
def test_a_long_failure_is_cut(size: int, cut: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    """A message keeps its beginning, a log its end, and what is missing is told."""
    made = Record("test_f.py::test_it", Source())
    error = FunctionError(type="E", message="m" * (size - len("E: ")))
    made.failures.add(config(), result(error=error, log="a" + "b" * (size - 1)))
    text = made.failures.take()
    assert ("… (1 more characters)" in text) is cut
    assert ("(1 characters before) … b" in text) is cut
    assert ("\nab" in text) is not cut


def test_golden_cases_without_an_answer_are_told() -> None:
    """By their ids."""
    error = FunctionError(type="ValueError", message="bad")
    failure = Failure(case_id="c7", line=7, event={}, payload=None, error=error)
    found = Evaluation(
        dataset="d", sha256="", scorer="exact", answer="", cases=1, score=None, scores=(), failures=(failure,)
    )
    made = Record("test_f.py::test_it", Source())
    made.failures.add_cases(config(), found)
    assert made.failures.take() == "F 512 MB, case c7: ValueError: bad"


def test_the_template_that_is_found(tmp_path: Path) -> None:
    """The one that was named, else the first folder's that has one."""
    empty, full = tmp_path / "empty", tmp_path / "full"
    for folder in (empty, full):
        folder.mkdir()
    (full / "template.yml").write_text("")
    assert found_template(Path("named"), (empty,)) == Path("named")
    assert found_template(None, (empty, full)) == full / "template.yml"
    with pytest.raises(ConfigurationError, match="no template in") as caught:
        found_template(None, (empty, empty))
    assert caught.value.hint == "Name one: --lambda-template FILE"


def test_no_such_backend(tmp_path: Path, turns: Turns) -> None:
    """A conftest's fixture or the variable may say anything."""
    functions = LambdaFunctions(tmp_path / "template.yaml", {}, "dockr", turns, tmp_path)
    with pytest.raises(ConfigurationError, match="no backend 'dockr'") as caught:
        _ = functions.backend
    assert caught.value.hint == "Did you mean docker?"
    functions.close()
