"""Every way an invocation can end, in AWS's words: type, message, body, log and REPORT line.

Errors and bodies: LocalStack's snapshots against AWS of 2025-11-24 and 2025-11-25; out of memory: real logs of 2026-07
(adobe/helix issue 1001). Lines of a failed init: a real python3.11 function of 2025-12-15 (stored file 67189750501); of
an init over 10 s: real logs of 2026-09-23 and 2024-04-14 (69036898723, 42735808333).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest

from emulator.invocation import InvocationResult
from tests.conformance.conftest import Lab
from tests.conformance.log_lines import (
    FRAMES,
    WARNING,
    assert_figures,
    assert_log,
    end,
    error_record,
    init_report,
    report,
    start,
)


def test_success_cold_and_warm(lab: Lab) -> None:
    """Init Duration is on the first line of an environment and on no other."""
    first, second = lab.cold("Echo", {"a": [1]}), lab.invoke("Echo", {"b": None})
    assert (first.body, first.error) == (b'{"a": [1]}', None)
    assert (second.body, second.error) == (b'{"b": null}', None)
    config = lab.functions["Echo"]
    assert_log(first, start(first), end(first), report(first, config, cold=True))
    assert_log(second, start(second), end(second), report(second, config))
    assert_figures(first, config)
    assert_figures(second, config)
    assert (first.cold, second.cold) == (True, False)
    assert first.request_id != second.request_id


def test_context_is_lambdas(lab: Lab) -> None:
    """The handler is told request, name, version, ARN, memory as text, log names and the time that is left."""
    result = lab.invoke("Context")
    seen = result.payload
    assert seen["aws_request_id"] == result.request_id
    assert (seen["function_name"], seen["function_version"]) == ("Context", "$LATEST")
    assert re.fullmatch(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:Context", seen["invoked_function_arn"])
    assert seen["memory_limit_in_mb"] == str(lab.functions["Context"].memory_mb)
    assert seen["log_group_name"] == "/aws/lambda/Context"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen["log_stream_name"])
    assert 0 < seen["remaining_ms"] <= lab.functions["Context"].timeout_s * 1000
    assert seen["client"] is None


def test_request_id_and_client_context_are_handed_on(lab: Lab) -> None:
    """What the caller of the Invoke API may set reaches the handler."""
    id_ = "8f507cfc-0000-4697-b07a-ac58fc914c95"
    result = lab.service.invoke("Context", b"{}", request_id=id_, client_context='{"custom": {"k": "v"}}')
    assert result.request_id == id_
    assert result.payload["aws_request_id"] == id_
    assert result.payload["client"] == {"k": "v"}


def test_unhandled_exception(lab: Lab) -> None:
    """The runtime reports it, the environment lives on, and REPORT has no status."""
    first, second = lab.cold("Raises"), lab.invoke("Raises")
    path = f"{lab.task_root('Raises')}/ill.py"
    frames = rf'  File "{re.escape(path)}", line \d+, in raises\n    raise ValueError\(message\)'
    record = error_record("ValueError", "this function always fails", frames)
    config = lab.functions["Raises"]
    assert_log(first, start(first), record, end(first), report(first, config, cold=True))
    assert_log(second, start(second), record, end(second), report(second, config))
    for result in (first, second):
        assert_figures(result, config)
        assert result.error is not None
        assert (result.error.type, result.error.message) == ("ValueError", "this function always fails")
        assert list(result.payload) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert result.payload["requestId"] == result.request_id
        assert re.fullmatch(frames + "\n", "".join(result.payload["stackTrace"]))
        assert result.error.stack_trace == tuple(result.payload["stackTrace"])


def test_answer_that_is_not_json(lab: Lab) -> None:
    """The runtime cannot marshal it and says so, without a stack trace."""
    result = lab.invoke("NotSerializable")
    message = "Unable to marshal response: Object of type set is not JSON serializable"
    assert result.payload == {
        "errorMessage": message,
        "errorType": "Runtime.MarshalError",
        "requestId": result.request_id,
        "stackTrace": [],
    }
    config = lab.functions["NotSerializable"]
    record = error_record("Runtime.MarshalError", message)
    assert_log(result, start(result), record, end(result), report(result, config, cold=result.cold))
    assert_figures(result, config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A function whose init fails: the runtime's words, and what its record in the log goes on with."""

    name: str
    error_type: str
    message: str
    frames: str = ""
    body: bool = True


BROKEN = (
    Broken(
        name="ImportFailure",
        error_type="Runtime.ImportModuleError",
        message="Unable to import module 'import_failure': No module named 'a_module_that_is_not_there'",
    ),
    Broken(name="RaisesAtImport", error_type="RuntimeError", message="no settings were found", frames=FRAMES),
    Broken(
        name="BadSyntax",
        error_type="Runtime.UserCodeSyntaxError",
        message="Syntax error in module 'bad_syntax': expected ':' (bad_syntax.py, line 1)",
        frames=FRAMES,
    ),
    Broken(
        name="HandlerMissing",
        error_type="Runtime.HandlerNotFound",
        message="Handler 'nowhere' missing on module 'well'",
    ),
)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_init_that_the_runtime_reports(lab: Lab, broken: Broken) -> None:
    """Init fails, is run again inside the invocation and fails there; a second invocation runs it once more."""
    first, second = lab.cold(broken.name), lab.invoke(broken.name)
    config = lab.functions[broken.name]
    record = error_record(broken.error_type, re.escape(broken.message), broken.frames)
    ahead = (WARNING, record, init_report("init", "error", broken.error_type))
    inside = (WARNING, record, init_report("invoke", "error", broken.error_type))
    for result, head in ((first, ahead), (second, ())):
        last = report(result, config, status="error", error_type=broken.error_type)
        assert_log(result, *head, *inside, start(result), end(result), last)
        assert_figures(result, config)
        assert result.error is not None
        assert (result.error.type, result.error.message) == (broken.error_type, broken.message)
        assert list(result.payload) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert (result.payload["requestId"], result.timings.init_ms) == ("", None)
        assert bool(result.payload["stackTrace"]) == bool(broken.frames)


def test_exit_at_import(lab: Lab) -> None:
    """The runtime says nothing, so that Lambda's own words are all there is."""
    first, second = lab.cold("ExitAtImport"), lab.invoke("ExitAtImport")
    config = lab.functions["ExitAtImport"]
    ahead = (init_report("init", "error", "Runtime.ExitError"),)
    inside = init_report("invoke", "error", "Runtime.ExitError")
    for result, head in ((first, ahead), (second, ())):
        last = report(result, config, status="error", error_type="Runtime.ExitError")
        assert_log(result, *head, inside, start(result), end(result), last)
        assert_figures(result, config)
        assert_platform_error(result, "Runtime.ExitError", "Runtime exited with error: exit status 3")
        assert result.timings.init_ms is None


@pytest.mark.parametrize(
    ("name", "error_type", "reason", "says"),
    [
        ("ExitZero", "Runtime.ExitError", "Runtime exited without providing a reason", "leaving with 0"),
        ("ExitOne", "Runtime.ExitError", "Runtime exited with error: exit status 1", "leaving with 1"),
        (
            "Segfault",
            "Runtime.ExitError",
            "Runtime exited with error: signal: segmentation fault",
            "about to read address 0",
        ),
        (
            "OutOfMemory",
            "Runtime.OutOfMemory",
            "Runtime exited with error: signal: killed",
            "taking all the memory there is",
        ),
    ],
)
def test_runtime_that_dies(lab: Lab, name: str, error_type: str, reason: str, says: str) -> None:
    """What it had printed is in the log, the status on the REPORT line, and Init Duration where the start was cold."""
    result = lab.cold(name)
    config = lab.functions[name]
    last = report(result, config, cold=True, status="error", error_type=error_type)
    assert_log(result, start(result), says, end(result), last)
    assert_figures(result, config, memory=lab.capabilities.memory)
    assert_platform_error(result, error_type, reason)


def test_out_of_memory_used_it_all(lab: Lab) -> None:
    """The peak at such a death is the memory size or little less."""
    result = lab.invoke("OutOfMemory")
    assert result.usage.max_memory_bytes is not None
    # The kernel holds it to the page; a watcher sees the last look before the kill, 10 ms of growth early.
    least = 0.99 if lab.capabilities.memory == "kernel" else 0.75
    assert result.usage.max_memory_bytes >= least * 128 * 1024 * 1024


def test_timeout(lab: Lab) -> None:
    """Duration is the timeout to the hundredth, as on AWS's lines since 2025, and the status has no error type."""
    result = lab.cold("Sleeps", {"seconds": 20})
    config = lab.functions["Sleeps"]
    last = report(result, config, cold=True, status="timeout")
    assert_log(result, start(result), "going to sleep", end(result), last)
    assert_figures(result, config)
    assert result.timings.duration_ms == 1000.0
    assert_platform_error(result, "Sandbox.Timedout", "Task timed out after 1.00 seconds")


def assert_platform_error(result: InvocationResult, error_type: str, reason: str) -> None:
    """The body that Lambda writes where the runtime could not: two keys, in this order."""
    assert result.error is not None
    message = f"RequestId: {result.request_id} Error: {reason}"
    assert (result.error.type, result.error.message) == (error_type, message)
    assert json.loads(result.body) == {"errorType": error_type, "errorMessage": message}
    assert list(json.loads(result.body)) == ["errorType", "errorMessage"]


@pytest.mark.waits_for("SlowOnce")
def test_init_over_ten_seconds_once(lab: Lab) -> None:
    """Init is killed at 10 s and run again inside the invocation, in time: a success without Init Duration."""
    result = lab.begun["SlowOnce"].result()
    config = lab.functions["SlowOnce"]
    lines = ("loading for a minute", init_report("init", "timeout"), start(result), end(result))
    assert_log(result, *lines, report(result, config))
    assert_figures(result, config)
    assert (result.payload, result.error) == ("initialised at the second try", None)
    assert init_ms_of(result) == [10_000.0]
    assert result.timings.duration_ms < 5000


@pytest.mark.soak
def test_init_over_ten_seconds_twice(lab: Lab) -> None:
    """Init times out, and again inside the invocation, at the function's timeout."""
    result = lab.cold("SlowInit")
    config = lab.functions["SlowInit"]
    says = "loading for a minute"
    last = report(result, config, status="timeout")
    first, again = init_report("init", "timeout"), init_report("invoke", "timeout")
    assert_log(result, says, first, says, again, start(result), end(result), last)
    assert_figures(result, config)
    assert_platform_error(result, "Sandbox.Timedout", "Task timed out after 2.00 seconds")
    assert init_ms_of(result) == [10_000.0, 2_000.0]
    assert result.timings.duration_ms == 2000.0


def init_ms_of(result: InvocationResult) -> list[float]:
    """The durations of the log's INIT_REPORT lines, to 50 ms: the process is killed a moment later."""
    found = re.findall(r"INIT_REPORT Init Duration: (\S+) ms", result.log)
    return [round(float(value) / 50) * 50 for value in found]


def test_init_that_fails_once(lab: Lab) -> None:
    """It is run again inside the invocation, where it succeeds: an answer, without Init Duration.

    "Lambda execution environment lifecycle", AWS Lambda Developer Guide, 2026-07; the lines as of a real python3.11
    function of 2025-12-15 (stored file 67189750501).
    """
    result = lab.cold("InitOnce")
    config = lab.functions["InitOnce"]
    record = error_record("RuntimeError", "not yet", FRAMES)
    lines = (WARNING, record, init_report("init", "error", "RuntimeError"))
    assert_log(result, *lines, start(result), end(result), report(result, config))
    assert_figures(result, config)
    assert (result.payload, result.timings.init_ms) == ("imported at the second try", None)
    assert lab.payload("InitOnce") == "imported at the second try"
