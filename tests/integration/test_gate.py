"""`preflight evaluate` and `preflight gate` from end to end: verdicts, reports, regressions, bad input, Ctrl-C."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from emulator.report.json import schema
from tests.command import RUNTIME, Done, ended, preflight, started, wait_for

PROCESS = {"PREFLIGHT_BACKEND": "process"}
TEMPLATE = f"""
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: {RUNTIME}
      CodeUri: src/
      MemorySize: 256
"""
HANDLER = """
import time
def handler(event, context):
    if event["n"] == 3:
        raise ValueError("three")
    time.sleep(event.get("sleep", 0))
    return {"label": "even" if event["n"] % 2 == 0 else "odd"}
"""
GATES = """
[functions.F]
dataset = "golden.jsonl"
answer = "label"
cold_starts = 3
warm_calls = 12

[functions.F.gates]
"package.unzipped_mb" = { max = 250 }
"memory.max_mb" = { max = 256, max_increase_pct = 20 }
"quality.score" = { min = 0.8, max_increase = 0 }
"errors.count" = { max = 1 }
"init.p50_ms" = { max = 9000 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a function, its golden set and its gates."""
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text(HANDLER)
    (tmp_path / "preflight.toml").write_text(GATES)
    write_golden(tmp_path, 10)
    return tmp_path


def write_golden(folder: Path, count: int, **event: float) -> None:
    """Cases 0 to count - 1; the function fails at the third."""
    lines = [
        json.dumps({"id": f"c{n}", "event": {"n": n, **event}, "expected": "odd" if n % 2 else "even"})
        for n in range(count)
    ]
    (folder / "golden.jsonl").write_text("\n".join(lines) + "\n")


def run(folder: Path, *arguments: str, cache: Path | None = None) -> Done:
    """One command in the process backend, with a cache of its own."""
    home = {"XDG_CACHE_HOME": str(cache or folder / "cache")}
    return preflight(*arguments, folder=folder, environment={**PROCESS, **home})


def gate(folder: Path, *arguments: str) -> tuple[Done, dict[str, Any]]:
    """A gate run and its JSON report, which keeps to the schema."""
    done = run(folder, "gate", "--output", "report.json", *arguments)
    if done.status not in {0, 1}:
        return done, {}
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    Draft202012Validator(schema()).validate(report)
    return done, report


def statuses(report: dict[str, Any]) -> dict[str, str]:
    """Verdict by metric and rule."""
    return {f"{one['metric']} {one['rule']}": one["status"] for one in report["functions"][0]["verdicts"]}


def test_evaluate(folder: Path) -> None:
    """The score, its interval, the failed case with its event, and exit status 1 for it."""
    done = run(folder, "evaluate", "F", "--dataset", "golden.jsonl", "--answer", "label", "--answers", "answers.jsonl")
    assert done.status == 1, done.err
    assert "accuracy     0.9000 (95 %:" in done.out
    assert "case c3 (line 4) failed: ValueError: three" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert answers[:2] == [{"id": "c0", "answer": "even"}, {"id": "c1", "answer": "odd"}]
    assert len(answers) == 9
    again = run(
        folder,
        "evaluate",
        "F",
        "--dataset",
        "golden.jsonl",
        "--answer",
        "label",
        "--reference",
        "answers.jsonl",
        "--json",
    )
    found = json.loads(again.out)
    assert found["comparison"]["agreement"] == 1.0
    assert found["comparison"]["loss"]["value"] == 0.0
    assert found["failures"][0]["event"] == {"n": 3}
    assert again.err == ""


def test_a_baseline_and_regressions(folder: Path) -> None:
    """What was fine is told apart from what has got worse, with where to look."""
    done, report = gate(folder, "--update-baseline")
    assert done.status == 0, done.out
    assert json.loads((folder / "preflight-baseline.json").read_text())["functions"]["F"]["quality.score"] == 0.9
    assert set(statuses(report).values()) == {"PASS"}
    cold = [one for one in report["functions"][0]["evidence"]["samples"] if one["start"] == "cold"]
    assert len(cold) == 3

    done, report = gate(folder)
    assert done.status == 0, done.out
    assert report["baseline"] == "preflight-baseline.json"

    worse = HANDLER.replace('event["n"] % 2 == 0 else', 'event["n"] % 4 == 0 else')
    (folder / "src" / "app.py").write_text(
        worse + "\nballast = bytearray(60_000_000)\nballast[::4096] = b'x' * 14649\n"
    )
    done, report = gate(folder)
    assert done.status == 1
    failed = {name for name, status in statuses(report).items() if status == "FAIL"}
    assert failed == {"memory.max_mb max_increase_pct", "quality.score min", "quality.score max_increase"}
    assert "FAILED" in done.out
    assert '"even" answered "odd"' in done.out


def test_a_slow_import_is_named(folder: Path) -> None:
    """By Python's own import times, taken in the sandbox."""
    (folder / "src" / "idle_hands.py").write_text("import time\ntime.sleep(0.1)\n")
    (folder / "src" / "app.py").write_text("import idle_hands\n" + HANDLER)
    text = '[functions.F]\ndataset="golden.jsonl"\nanswer="label"\ncold_starts=1\nwarm_calls=1\n[functions.F.gates]\n'
    (folder / "preflight.toml").write_text(
        text + '"init.max_ms" = { max = 1 }\n"quality.score" = { max_increase = 1 }\n'
    )
    done, report = gate(folder)
    assert done.status == 1
    assert statuses(report) == {"init.max_ms max": "FAIL", "quality.score max_increase": "NOT_MEASURED"}
    assert "idle_hands 1" in report["functions"][0]["verdicts"][0]["look_at"][0]


def test_an_interrupted_evaluation_goes_on(folder: Path) -> None:
    """Ctrl-C says where the answers are; the same command asks for the rest alone."""
    write_golden(folder, 60, sleep=0.1)
    cache = folder / "cache"
    arguments = ("evaluate", "F", "--dataset", "golden.jsonl", "--answer", "label", "--json", "--environments", "2")
    journals = cache / "lambda-preflight" / "evaluations"

    def some_answers() -> bool:
        return any(path.read_bytes().count(b"\n") >= 6 for path in journals.glob("*.jsonl"))

    environment = {**PROCESS, "XDG_CACHE_HOME": str(cache)}
    with started(*arguments, folder=folder, environment=environment) as process:
        wait_for(some_answers)
        process.send_signal(signal.SIGINT)
        stopped = ended(process)
    assert stopped.status == 130
    assert str(journals) in stopped.err
    found = json.loads(run(folder, *arguments, cache=cache).out)
    assert found["resumed"] >= 6
    assert found["cases"] == len(found["scores"]) + len(found["failures"]) == 60
    assert list(journals.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"golden.jsonl": '{"id": 1'}, "golden.jsonl, line 1"),
        ({"golden.jsonl": ""}, "has no case"),
        ({"preflight.toml": GATES.replace("init.p50", "init.p5")}, "unknown metric 'init.p5_ms'"),
        ({"preflight.toml": GATES.replace("cold_starts", "cold_start")}, "unknown key 'cold_start'"),
        ({"preflight.toml": GATES.replace("functions.F", "functions.G")}, "'G'"),
        ({"preflight-baseline.json": '{"schema": "another"}'}, "schema 'another'"),
    ],
)
def test_bad_files(folder: Path, change: dict[str, str], says: str) -> None:
    """One message, exit status 2, and no report."""
    for name, text in change.items():
        (folder / name).write_text(text)
    done, _ = gate(folder)
    assert done.status == 2, done.err
    assert says in done.error
    assert done.hint
    assert done.out == ""
    assert not (folder / "report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gate", "--output", "nowhere/report.json"), "no folder"),
        (("gate", "--output", "src"), "suffix"),
        (("gate", "--output", "dir.json"), "is a folder"),
        (("gate", "--output", "report.docx"), "suffix"),
        (("gate", "--baseline", "nowhere.json"), "cannot be read"),
        (("gate", "--config", "nowhere.toml"), "there is no"),
        (("gate", "H"), "no gates for 'H'"),
        (("evaluate", "F", "--dataset", "nowhere.jsonl"), "cannot be read"),
        (("evaluate", "F", "--dataset", "golden.jsonl", "--scorer", "acuracy"), "no scorer"),
        (("evaluate", "F", "--dataset", "golden.jsonl", "--answers", "nowhere/a.jsonl"), "no folder"),
        (("evaluate", "F", "--dataset", "golden.jsonl", "--reference", "golden.jsonl"), "no id or no answer"),
    ],
)
def test_bad_arguments(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    """The same, and before a function is started."""
    (folder / "dir.json").mkdir()
    done = run(folder, *arguments)
    assert done.status == 2, done.err
    assert says in done.error
    assert done.out == ""
    assert "cold starts" not in done.err


def test_a_scorer_that_raises(folder: Path) -> None:
    """It is the user's own, and its exception is told with what it was given."""
    (folder / "mine.py").write_text("def score(expected, answer):\n    raise KeyError(expected)\n")
    done = run(folder, "evaluate", "F", "--dataset", "golden.jsonl", "--scorer", "mine:score")
    assert done.status == 2
    assert "mine:score raised KeyError" in done.error
    assert done.out == ""


@pytest.mark.engine
def test_docker_measures_every_metric(folder: Path) -> None:
    """All of the contract's, /tmp among them."""
    (folder / "src" / "app.py").write_text(
        HANDLER.replace("import time", "import time; open('/tmp/a', 'wb').write(b'x' * 3_000_000)")
    )
    done, report = gate(folder, "--backend", "docker")
    assert done.status == 1  # there is no baseline
    figures = {one["name"]: one["value"] for one in report["functions"][0]["measurements"]}
    assert None not in figures.values(), figures
    assert 2.5 < figures["tmp.max_mb"] < 3.5
    assert report["versions"]["engine"]
