"""A function's output: complete, in order, and with the invocation that it belongs to."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.conformance.conftest import Lab
from tests.conformance.log_lines import TIME, assert_log, end, report, start

pytestmark = pytest.mark.seldom_on("process-watched", reason="the log is the same with and without a watcher")

LINES = 16_384  # of 64 bytes: 1 MB


def test_every_way_to_print(lab: Lab) -> None:
    """Both streams and the logging module, in the order of the calls; END begins a line of its own."""
    result = lab.invoke("Talk")
    assert_log(
        result,
        start(result),
        "a line on standard output",
        "a line on standard error",
        rf"\[WARNING\]\t{TIME}\t{result.request_id}\ta warning by the logging module",
        "a line without an end",
        end(result),
        report(result, lab.functions["Talk"], cold=result.cold),
    )


def test_a_megabyte(lab: Lab) -> None:
    """Nothing is lost, doubled or out of order, and nothing of it comes with the next invocation."""
    lab.service.retire("Loud")
    for name in ("first", "second"):
        result = lab.invoke("Loud", {"name": name, "lines": LINES})
        assert result.payload == LINES
        lines = result.log.splitlines()
        assert re.fullmatch(start(result), lines[0])
        assert lines[1:-2] == [f"{name} {number:08}".ljust(63, ".") for number in range(LINES)]
        assert re.fullmatch(end(result), lines[-2])
    quiet = lab.invoke("Loud", {"name": "third", "lines": 0})
    assert_log(quiet, start(quiet), end(quiet), report(quiet, lab.functions["Loud"]))


def test_many_short_invocations(lab: Lab) -> None:
    """Each log has its own line, which was written just before the answer."""
    for number in range(200):
        result = lab.invoke("Loud", {"name": f"n{number}", "lines": 1})
        assert result.log.splitlines()[1] == f"n{number} {0:08}".ljust(63, ".")
        assert len(result.log.splitlines()) == 4


def test_output_after_the_answer(lab: Lab) -> None:
    """What a thread prints after its invocation is in the log of the next one: nothing is lost, nor comes twice."""
    first = lab.invoke("Later", {"text": "said in between", "seconds": 0.05})
    assert first.payload == "answered"
    time.sleep(0.3)
    second = lab.invoke("Later", {"wait": 0.3})
    assert second.log.splitlines().count("said in between") == 1
    assert "said in between" not in lab.invoke("Later").log


def test_output_of_a_death_is_complete(lab: Lab) -> None:
    """What was printed just before the end is there, however much it was."""
    result = lab.cold("LoudDeath", {"name": "last words", "lines": LINES // 4, "exit": 5})
    assert result.error is not None
    assert result.error.message.endswith("exit status 5")
    assert result.log.splitlines()[1:-2] == [f"last words {number:08}".ljust(63, ".") for number in range(LINES // 4)]


def test_json_format(lab: Lab) -> None:
    """Lambda's lines and the runtime client's are JSON, what is printed is not; levels as configured.

    "Log formats" and "Log levels", AWS Lambda Developer Guide, 2026-07; records as in `emulator.platform_log`.
    """
    result = lab.cold("TalkJson")
    lines: list[Any] = [json.loads(line) if line.startswith("{") else line for line in result.log.splitlines()]
    begun, out, error, warning, rest, done = lines
    assert (begun["type"], done["type"]) == ("platform.start", "platform.report")
    assert begun["record"]["requestId"] == result.request_id
    assert (out, error) == ("a line on standard output", "a line on standard error")
    assert warning["level"] == "WARNING"
    assert warning["message"] == "a warning by the logging module"
    assert warning["requestId"] == result.request_id
    assert rest == "a line without an end"
    assert done["record"]["status"] == "success"
    metrics = done["record"]["metrics"]
    assert metrics["billedDurationMs"] == result.timings.billed_ms
    assert metrics["initDurationMs"] == pytest.approx(result.timings.init_ms, abs=0.001)
    assert lab.invoke("TalkJson").log.count('"type":"platform.report"') == 1


def test_json_format_of_an_exception(lab: Lab) -> None:
    """The runtime client's record in JSON; Lambda's own lines are left out below WARN."""
    result = lab.cold("RaisesJson")
    [line] = result.log.splitlines()
    record = json.loads(line)
    # awslambdaric called it `log_level` before version 4.
    assert (record.get("level") or record["log_level"], record["errorType"]) == ("ERROR", "ValueError")
    assert record["requestId"] == result.request_id
