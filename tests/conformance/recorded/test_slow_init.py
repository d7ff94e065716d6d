"""An init of more than ten seconds: once, and again inside the invocation. Begun before the first case of all."""

from __future__ import annotations

import re

import pytest

from tests.conformance.recorded.cloud import Cloud
from tests.conformance.recorded.sources import INIT_TIMEOUT_LOG, RECORDED, SECOND_TIMEOUT_LOG, recorded


@recorded(INIT_TIMEOUT_LOG)
def test_init_over_ten_seconds(aws: Cloud) -> None:
    """Killed at ten seconds and run again under the function's timeout; the ten seconds are not billed."""
    answer = aws.begun["SlowOnce"].result()
    assert answer.payload == "initialised at the second try"
    lines = answer.log.splitlines()
    found = re.fullmatch(r"INIT_REPORT Init Duration: (\S+) ms\tPhase: init\tStatus: timeout", lines[1])
    assert found, answer.log
    assert float(found[1]) == pytest.approx(10_000, abs=100)
    assert [line.split()[0] for line in lines[1:]] == ["INIT_REPORT", "START", "END", "REPORT"]
    assert "Init Duration" not in answer.report
    assert int(answer.report["Billed Duration"].removesuffix(" ms")) <= 5_000


@recorded(SECOND_TIMEOUT_LOG)
def test_init_over_ten_seconds_and_the_timeout(aws: Cloud) -> None:
    """Two INIT_REPORT lines, of both phases, and a REPORT that ends at the timeout."""
    answer = aws.begun["SlowInit"].result()
    found = re.findall(r"^INIT_REPORT Init Duration: (\S+) ms\tPhase: (\w+)\tStatus: (\w+)$", answer.log, re.MULTILINE)
    assert [row[1:] for row in found] == [("init", "timeout"), ("invoke", "timeout")]
    assert [float(row[0]) for row in found] == pytest.approx([10_000, 2_000], abs=100)
    assert answer.report["Duration"] == "2000.00 ms"
    assert answer.report["Status"] == "timeout"


@recorded(RECORDED)
def test_init_that_takes_too_long_twice(aws: Cloud) -> None:
    """Ten seconds, then the function's timeout, whose error it is."""
    answer = aws.begun["SlowInit"].result()
    message = f"RequestId: {answer.request_id} Error: Task timed out after 2.00 seconds"
    assert answer.response["FunctionError"] == "Unhandled"
    assert answer.payload == {"errorType": "Sandbox.Timedout", "errorMessage": message}
