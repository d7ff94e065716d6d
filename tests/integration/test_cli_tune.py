"""`preflight tune` and `preflight calibrate` as a user calls them, on a real engine."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.command import RUNTIME, TEMPLATE, Done, ended, preflight, started

GIVEN = ("-t", TEMPLATE, "--parameter-overrides", f"PythonRuntime={RUNTIME}")
# With no budget a sweep has one round.
QUICK = ("--cold", "1", "--warm", "5", "--budget", "0", "--backend", "docker")


def tune(name: str, *arguments: str | Path) -> Done:
    """Of a function of the fixtures."""
    return preflight("tune", name, *GIVEN, *arguments)


@pytest.mark.engine
def test_a_sweep_measures_recommends_and_writes(tmp_path: Path) -> None:
    """Sizes that cannot be had here are named, the others measured; the files tell the same."""
    files = [tmp_path / "t.json", tmp_path / "t.html"]
    outputs = [part for file in files for part in ("--output", file)]
    done = tune("Echo", "--memory", "128,512,10240", *QUICK, "--json", "--strategy", "cost", *outputs)
    assert done.status == 0, done.err
    document = json.loads(done.out)
    assert [each["memory_mb"] for each in document["sizes"]] == [128, 512]
    assert [each["memory_mb"] for each in document["left_out"]] == [10240]
    assert all(each["median"]["value"] > 0 and each["warm"] + each["disturbed"] == 5 for each in document["sizes"])
    assert document["recommended_memory_mb"] in {128, 512}
    assert document["recommended_memory_mb"] == document["by_strategy"]["cost"] == min(document["alike_mb"])
    assert 0 <= document["agreement"] <= 1
    assert json.loads(files[0].read_text()) == document
    assert files[1].read_text().count("<svg") == 3


@pytest.mark.engine
def test_the_golden_cases_are_the_events(tmp_path: Path) -> None:
    """Those that preflight.toml beside the template names, where no event is given: `{}` would fail every time."""
    template = tmp_path / "template.yaml"
    template.write_text(
        "Transform: AWS::Serverless-2016-10-31\nResources:\n  Touch:\n    Type: AWS::Serverless::Function\n"
        "    Properties:\n"
        f"      {{Handler: measure.touch_memory, Runtime: {RUNTIME}, CodeUri: {TEMPLATE.parent / 'code'}}}\n"
    )
    command = ("tune", "Touch", "-t", template, "--memory", "256", *QUICK, "--json")
    assert preflight(*command).status == 1
    (tmp_path / "preflight.toml").write_text('[functions.Touch]\ndataset = "golden.jsonl"\n[functions.Touch.gates]\n')
    refused = preflight(*command)
    assert refused.status == 2
    assert "golden.jsonl cannot be read" in refused.error
    (tmp_path / "golden.jsonl").write_text('{"event": {"mb": 1}, "expected": 1}\n{"event": {"mb": 2}, "expected": 2}\n')
    done = preflight(*command)
    assert done.status == 0, done.err
    assert "the golden cases of golden.jsonl" in done.err
    assert json.loads(done.out)["sizes"][0]["errors"] == {}


@pytest.mark.engine
def test_out_of_memory_is_a_result(tmp_path: Path) -> None:
    """200 MB do not fit into 128; bisection finds what is enough, and the page says so."""
    dataset = tmp_path / "golden.jsonl"
    dataset.write_text('{"id": "a", "event": {"mb": 150}, "expected": 150}\n')
    done = tune("TouchMemory", "--memory", "128,256", "--dataset", dataset, *QUICK, "--json")
    assert done.status == 0, done.err
    document = json.loads(done.out)
    first, second = document["sizes"]
    assert first["errors"] == {"Runtime.OutOfMemory": first["errors"]["Runtime.OutOfMemory"]}
    assert (first["runs"], second["runs"]) == (False, True)
    assert document["recommended_memory_mb"] == 256
    assert 150 < document["smallest"]["memory_mb"] < 220
    assert document["smallest"]["error"] == "Runtime.OutOfMemory"


@pytest.mark.engine
def test_no_size_keeps_the_slo(tmp_path: Path) -> None:
    """Status 1, and no size is made up."""
    event = tmp_path / "event.json"
    event.write_text('{"seconds": 0.05}')
    done = tune("Sleeps", "--memory", "512", "--slo", "p95=1ms", "-e", event, *QUICK)
    assert done.status == 1
    assert "recommended: nothing" in done.out


@pytest.mark.engine
def test_a_stopped_sweep_goes_on() -> None:
    """Ctrl-C keeps what was measured, and the same command says that it goes on."""
    command = ("tune", "Echo", *GIVEN, "--memory", "129,513", "--cold", "3", "--warm", "6", "--budget", "9")
    preflight(*command, "--fresh", "--budget", "0")  # so that no other test's sweep is in the way
    with started(*command) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "round 1, 5 to go" in line:
                break
        process.send_signal(signal.SIGINT)
        stopped = ended(process)
    assert stopped.status == 130
    done = preflight(*command)
    assert done.status == 0, done.err
    assert "going on with a sweep that was stopped" in done.err


@pytest.mark.engine
def test_a_calibration_is_kept_and_used(tmp_path: Path) -> None:
    """From REPORT lines to a prediction beside the figures, which stay as they were measured."""
    reports, kept = tmp_path / "reports.txt", tmp_path / "calibration.json"
    line = (
        "REPORT RequestId: 1\tDuration: {} ms\tBilled Duration: 1 ms\tMemory Size: 512 MB\tMax Memory Used: 40 MB\t\n"
    )
    reports.write_text("".join(line.format(value) for value in (100.0, 101.0, 102.0)))
    few = ("--cold", "1", "--warm", "4", "--backend", "docker")
    done = preflight("calibrate", "Echo", *GIVEN, "--report", reports, "--calibration", kept, *few, "--json")
    assert done.status == 0, done.err
    factor = json.loads(done.out)["duration"]["value"]
    assert factor > 1
    done = tune("Echo", "--memory", "512", *QUICK, "--calibration", kept, "--json")
    size = json.loads(done.out)["sizes"][0]
    assert size["predicted_median"]["value"] == pytest.approx(size["median"]["value"] * factor)
    text = tune("Echo", "--memory", "512", *QUICK, "--calibration", kept).out
    assert "on Lambda: predicted by a factor of" in text
    priced = preflight("cost", "Echo", *GIVEN, "--requests-per-month", "1e6", *few, "--calibration", kept, "--json")
    assert json.loads(priced.out)["predicted_usd"]["value"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tune", "--memory", "127"), "memorySize"),
        (("tune", "--memory", "many"), "is no list of megabytes"),
        (("tune", "--slo", "fast"), "is no percentile and limit"),
        (("tune", "--output", "t.xml"), "its suffix is none of"),
        (("tune", "--memory", "10240", "--budget", "-1"), "is not in the range"),
        (("tune", "--dataset", "none.jsonl"), "cannot be read"),
        (("calibrate", "--report", "none.txt"), "cannot be read"),
        (("tune", "--calibration", "none.json"), "has no calibration of Echo"),
    ],
)
def test_bad_input_is_refused_at_once(arguments: tuple[str, ...], message: str) -> None:
    """One message, status 2, nothing run."""
    done = preflight(arguments[0], "Echo", *GIVEN, *arguments[1:])
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
