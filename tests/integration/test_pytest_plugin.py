"""The pytest plugin in a user's project: runs of pytest within pytest, few, since each is a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from emulator.report.json import schema
from tests.command import RUNTIME, variables, wait_for
from tests.leaks import left_since, traces

pytest_plugins = ["pytester"]

TEMPLATE = f"""
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {{FunctionName: labels, Handler: app.handler, Runtime: {RUNTIME}, CodeUri: src/, MemorySize: 256}}
"""
HANDLER = """
import os, pathlib, time
def handler(event, context):
    if "mark" in event:
        pathlib.Path(event["mark"]).touch()
        time.sleep(60)
    if "boom" in event:
        print("about to fail")
        raise ValueError(event["boom"])
    if "exit" in event:
        os._exit(3)
    return {"label": "even" if event["n"] % 2 == 0 else "odd", "mode": os.environ.get("MODE")}
"""
GOLDEN = "".join(
    json.dumps({"id": f"c{n}", "event": {"n": n}, "expected": "odd" if n % 2 and n > 1 else "even"}) + "\n"
    for n in range(10)
)
TESTS = """
import pytest
from emulator.errors import ConfigurationError

def test_example(lambda_function):
    function = lambda_function("F", memory_mb=512, environment={"MODE": "m"})
    result = function.invoke({"n": 1})
    assert result.payload == {"label": "odd", "mode": "m"}
    assert result.timings.init_ms < 60_000
    assert 0 < result.usage.max_memory_mb < 400
    assert function.invoke({"n": 1}).timings.init_ms is None
    assert function.invoke(b'{"n": 2}', cold=True).timings.init_ms

@pytest.mark.lambda_limit("memory.max_mb", max=400)
@pytest.mark.lambda_limit("quality.score", min=0.8, function="F")
@pytest.mark.lambda_limit("quality.score", min=0.95, level="warn", reason="wished for")
@pytest.mark.lambda_limit("init.max_ms", max_increase_pct=100_000)
def test_golden(lambda_function, lambda_evaluate):
    assert lambda_evaluate(lambda_function("F")).score.value == 0.9
    assert lambda_evaluate(lambda_function("labels", memory_mb=512), scorer="exact", answer="label").cases == 10

@pytest.mark.lambda_limit("memory.max_mb", max=4, reason="a tiny one")
def test_too_much(lambda_function):
    lambda_function("F").invoke({"n": 1})

@pytest.mark.lambda_limit("quality.score", min=0.1)
def test_not_measured(lambda_function):
    lambda_function("F").invoke({"n": 1})

@pytest.mark.lambda_limit("memory.max_mb", max=400)
def test_nothing_invoked():
    pass

@pytest.mark.lambda_limit("memory.max_mb", max=400, function="G")
def test_another_function(lambda_function):
    lambda_function("F").invoke({"n": 1})

@pytest.mark.xfail(strict=True)
@pytest.mark.lambda_limit("memory.max_mb", max=4)
def test_expected(lambda_function):
    lambda_function("F").invoke({"n": 1})

def test_warm(warm_function):
    assert warm_function("F", event={"n": 0}).invoke({"n": 1}).timings.init_ms is None
    warm_function("F").invoke({"exit": 1})

def test_warm_again(warm_function):
    assert warm_function("F", event={"n": 0}).invoke({"n": 1}).payload["label"] == "odd"
    with pytest.raises(ConfigurationError, match="is not warm after"):
        warm_function("F", event={"exit": 1}, memory_mb=128)

@pytest.mark.lambda_limit("package.unzipped_mb", max=1)
def test_package(lambda_package):
    assert lambda_package("F").unzipped_bytes < 1000

def test_unknown_function(lambda_function):
    lambda_function("E")

def test_no_json(lambda_function):
    lambda_function("F").invoke({1, 2})
"""

# A process that was started in the background inherits that Ctrl-C is ignored; a terminal's does not.
RUN = """
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a function, its golden set, its baseline and a test module; readable for the function's user."""
    monkeypatch.delenv("PREFLIGHT_BACKEND", raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:cacheprovider -p no:hypothesispytest -p no:anyio")
    folder = pytester.path
    for path in (folder, folder.parent):
        path.chmod(0o755)
    (folder / "src").mkdir()
    files = {
        "template.yaml": TEMPLATE,
        "src/app.py": HANDLER,
        "golden.jsonl": GOLDEN,
        "preflight.toml": '[functions.F]\ndataset = "golden.jsonl"\nanswer = "label"\n',
        "preflight-baseline.json": json.dumps(
            {
                "schema": "lambda-preflight/baseline/1",
                "started": "",
                "machine": {},
                "backend": "process",
                "versions": {},
                "functions": {"F": {"init.max_ms": 100.0}},
            }
        ),
        # Installed and named once more: that is one plugin.
        "conftest.py": 'pytest_plugins = ["emulator.pytest_plugin"]\n',
        "pytest.ini": "[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def figures(folder: Path) -> dict[str, dict[str, float]]:
    """What JUnit's properties say, test by test; and the JSON report, which keeps to its schema, says the same."""
    report = json.loads((folder / "report.json").read_text())
    Draft202012Validator(schema()).validate(report)
    told = {
        f"{one['name']} {figure['name']}": figure["value"]
        for one in report["functions"]
        for figure in one["measurements"]
        if figure["value"] is not None
    }
    found = {
        f"{case.attrib['classname']}.{case.attrib['name']}": {
            one.attrib["name"]: float(one.attrib["value"])
            for one in case.iter("property")
            if one.attrib["name"].startswith("lambda.")
        }
        for case in ET.parse(folder / "junit.xml").iter("testcase")  # noqa: S314 - written by our own run of pytest
    }
    assert sum(map(len, found.values())) == len(told) > 0
    return found


@pytest.mark.parametrize("backend", ["process", pytest.param("docker", marks=pytest.mark.engine)])
def test_a_run(project: Path, pytester: pytest.Pytester, backend: str) -> None:
    """Fixtures, limits, summary, JUnit properties and the report, in one run."""
    pytester.makepyfile(test_f=TESTS)
    arguments = ("--lambda-backend", backend, "--lambda-report", "report.json", "--junitxml", "junit.xml")
    result = pytester.runpytest_subprocess(*arguments, "--lambda-report", "report.md", timeout=100)
    result.assert_outcomes(passed=5, failed=6, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "*lambda_limit: labels: memory.max_mb: * MB is * MB over the max of 4 MB",
            "  why it matters: a tiny one",
            "*lambda_limit: labels: quality.score: not measured, so not passed: there is no golden dataset*",
            "*not measured, so not passed: the test asked for no function*",
            "lambda_limit('memory.max_mb'): the test measured no function 'G'",
            "hint: It measured: F, labels.",
            "test_f.py:*: *no function 'E'",
            "hint: There *",
            "test_f.py:*: the event for labels is not JSON: *set*",
            "hint: Give what JSON has: *",
            f"{backend} backend: *",
            "test_f.py::test_golden",
            "  labels 256 MB: init *",
            "    WARN quality.score: 0.9 is 0.05 below the min of 0.95*",
            "report: *report.json",
            "report: *report.md",
        ]
    )
    result.stdout.no_fnmatch_line("*traceback entries are hidden*")
    result.stdout.no_fnmatch_line("*encoder.py*")
    assert "labels@256MB in test_f.py::test_golden" in (project / "report.md").read_text()
    found = figures(project)
    assert found["test_f.test_golden"]["lambda.labels@256MB.quality.score"] == 0.9
    assert found["test_f.test_golden"]["lambda.labels@512MB.quality.score"] == 0.9
    assert found["test_f.test_example"].keys() >= {"lambda.labels.init.max_ms", "lambda.labels.cpu.p50_ms"}
    assert found["test_f.test_package"].keys() >= {
        "lambda.labels.package.unzipped_mb",
        "lambda.labels.package.zipped_mb",
    }
    assert "lambda.labels.memory.max_mb" in found["test_f.test_too_much"]
    assert not found["test_f.test_nothing_invoked"]


def test_a_failed_function(project: Path, pytester: pytest.Pytester) -> None:
    """A test that fails by what a failed function did not answer says why the function failed, with its log."""
    pytester.makepyfile(
        test_f="""
        import pytest
        @pytest.fixture
        def made(lambda_function):
            return lambda_function("F").invoke({"boom": "in setup"}).payload["label"]
        def test_boom(lambda_function):
            assert lambda_function("F").invoke({"boom": "no label"}).payload["label"] == "odd"
        def test_setup(made):
            pass
        def test_wanted(lambda_function):
            assert lambda_function("F").invoke({"boom": "wanted"}).error.message == "wanted"
        """
    )
    result = pytester.runpytest_subprocess("--lambda-backend", "process", timeout=100)
    result.assert_outcomes(passed=1, failed=1, errors=1)
    for message in ("in setup", "no label"):
        result.stdout.fnmatch_lines(
            [
                "E * KeyError: 'label'",
                "*- Lambda -*",
                f"labels 256 MB, cold: ValueError: {message}",
                "stack trace:",
                "*app.py*in handler*",
                "log:",
                "START RequestId: *",
                "about to fail",
                "REPORT RequestId: *",
            ]
        )
    result.stdout.no_fnmatch_line("*ValueError: wanted*")


def test_xdist(project: Path, pytester: pytest.Pytester) -> None:
    """Figures of workers reach the controller's summary, JUnit properties and report."""
    pytester.makepyfile(test_f=TESTS, test_g=TESTS)
    arguments = ("-n", "2", "--dist", "loadfile", "-k", "example or golden or too_much", "--lambda-backend", "process")
    given = ("--lambda-report", "report.json", "--junitxml", "junit.xml", "--lambda-template", "template.yaml")
    result = pytester.runpytest_subprocess(*arguments, *given, timeout=100)
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines_random(["test_f.py::test_golden", "test_g.py::test_golden", "report: *report.json"])
    figures(project)
    report = json.loads((project / "report.json").read_text())
    assert {one["name"].partition("::")[0] for one in report["functions"]} >= {
        "labels in test_f.py",
        "labels in test_g.py",
    }
    samples = [one for function in report["functions"] for one in function["evidence"]["samples"]]
    assert not any(one["concurrent"] for one in samples if one["case_id"] is None)


def test_wrong_limits(project: Path, pytester: pytest.Pytester) -> None:
    """A usage error with the nearest names, before anything runs; in a worker of xdist the file's own error."""
    pytester.makepyfile(
        test_wrong="""
        import pytest
        @pytest.mark.lambda_limit("memory.max", max=400)
        def test_a(): raise SystemExit
        @pytest.mark.lambda_limit("memory.max_mb", maximum=400)
        def test_b(): raise SystemExit
        @pytest.mark.lambda_limit("memory.max_mb", 400)
        def test_c(): raise SystemExit
        def test_d(): raise SystemExit
        """
    )
    lines = ["*lambda_limit: unknown metric 'memory.max'", "hint: Did you mean memory.max_mb*", "*it takes one metric*"]
    result = pytester.runpytest_subprocess(timeout=60)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(lines)
    result = pytester.runpytest_subprocess("-n", "1", timeout=60)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(lines)


def test_wrong_options(project: Path, pytester: pytest.Pytester) -> None:
    """Refused before anything runs, with the reason and a hint."""
    given = ("--lambda-report", "nowhere/report.json", "--lambda-report", "report.json")
    result = pytester.runpytest_subprocess(*given, timeout=60)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --lambda-report *: there is no folder *", "hint: Make the folder first."])


def test_a_project_that_does_not_use_it(project: Path, pytester: pytest.Pytester) -> None:
    """Only the plugin's own file is loaded, and nothing at all with `-p no:`; `--co` starts and writes nothing."""
    pytester.makeconftest(
        """
        import sys
        def pytest_unconfigure():
            print("loaded:", *sorted(name for name in sys.modules if name.partition(".")[0] == "emulator"), ".")
        """
    )
    pytester.makepyfile(test_plain="def test_plain(): pass")
    result = pytester.runpytest_subprocess("-s", "--co", "--lambda-report", "report.json", timeout=60)
    result.stdout.fnmatch_lines(["nothing was measured, so *report.json was not written"])
    assert not (project / "report.json").exists()
    result = pytester.runpytest_subprocess("-s", timeout=60)
    result.stdout.fnmatch_lines(["loaded: emulator emulator.pytest_plugin ."])
    result = pytester.runpytest_subprocess("-s", "-p", "no:emulator.pytest_plugin", timeout=60)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["loaded: ."])


def test_stopped(project: Path, pytester: pytest.Pytester) -> None:
    """`-x` ends the run at a failed limit; Ctrl-C in the midst of an invocation leaves nothing behind."""
    mark = project / "mark"
    pytester.makepyfile(
        test_a=TESTS,
        test_b=f"""
        def test_b(lambda_function):
            lambda_function("F", timeout_s=100).invoke({{"mark": {str(mark)!r}}})
        """,
    )
    before = traces()
    result = pytester.runpytest_subprocess("-x", "-k", "too_much or test_b", "--lambda-backend", "process", timeout=60)
    result.assert_outcomes(failed=1)
    assert not mark.exists()
    command = [sys.executable, "-c", RUN, "test_b.py", "--lambda-backend", "process"]
    with subprocess.Popen(
        command, cwd=project, env=variables({}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            wait_for(mark.exists)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, out
    assert "KeyboardInterrupt" in out
    assert left_since(before) == set()
