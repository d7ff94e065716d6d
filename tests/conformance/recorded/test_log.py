"""The log as CloudWatch shows it: lines, their order, fields, tabs and rounding, in text and in JSON."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any

import pytest

from tests.conformance.recorded.cloud import ARN, CODE, RUNTIME, Answer, Cloud
from tests.conformance.recorded.sources import (
    BILLING,
    CLIENT,
    COLD_REPORT,
    DEATH_REPORT,
    IMPORT_LOG,
    JSON_LOG,
    LEVELS,
    LIFECYCLE,
    MODEL,
    PYTHON_LOG,
    QUOTAS,
    RECORDED,
    TIMEOUT_REPORT,
    WARM_REPORT,
    case,
    recorded,
)

MS = r"\d+\.\d\d ms"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def report(answer: Answer, memory_mb: int, tail: str) -> str:
    """The pattern of a REPORT line up to Max Memory Used, and what comes after it."""
    head = rf"REPORT RequestId: {answer.request_id}\tDuration: {MS}\tBilled Duration: \d+ ms\t"
    return rf"{head}Memory Size: {memory_mb} MB\tMax Memory Used: \d+ MB\t{tail}"


def documents(answer: Answer) -> list[dict[str, Any]]:
    """The lines of a JSON log that are JSON."""
    return [json.loads(line) for line in answer.log.splitlines() if line.startswith("{")]


@recorded(COLD_REPORT)
def test_cold_and_warm(aws: Cloud) -> None:
    """START, END, REPORT; Init Duration on the first REPORT alone, and a tab at the end of both."""
    first, second = aws.invoke("TalkTwice"), aws.invoke("TalkTwice")
    for answer, tail in ((first, rf"Init Duration: {MS}\t"), (second, "")):
        lines = answer.log.splitlines()
        assert lines[0] == f"START RequestId: {answer.request_id} Version: $LATEST"
        assert lines[-2] == f"END RequestId: {answer.request_id}"
        assert re.fullmatch(report(answer, 1769, tail), lines[-1]), lines[-1]
        assert answer.log.endswith("\t\n")
        assert "INIT_REPORT" not in answer.log


def billed(total_ms: float, rounding_ms: float) -> set[str]:
    """What may be billed for figures that were rounded: the sum is rounded up before they are, as in 0.4 % on AWS."""
    return {f"{math.ceil(round(total_ms + off, 6))} ms" for off in (-rounding_ms, 0.0, rounding_ms)}


@recorded(BILLING)
def test_billed_with_init(aws: Cloud) -> None:
    """The sum of Duration and Init Duration, rounded up."""
    fields = aws.invoke("TalkOnce").report
    total = sum(float(fields[name].removesuffix(" ms")) for name in ("Duration", "Init Duration"))
    assert fields["Billed Duration"] in billed(total, 0.01)


@recorded(WARM_REPORT)
def test_billed_without_init(aws: Cloud) -> None:
    """Duration rounded up, however often."""
    for _ in range(20):
        fields = aws.invoke("Echo").report
        if "Init Duration" not in fields:
            assert fields["Billed Duration"] in billed(float(fields["Duration"].removesuffix(" ms")), 0.005)


@recorded(PYTHON_LOG)
def test_max_memory_used(aws: Cloud) -> None:
    """Whole megabytes, the highest of all invocations of the environment, and no more than there is."""
    before = aws.invoke("Look512", {"python": "0"}).report
    high = aws.invoke("Look512", {"python": "len(bytearray(200 * 1024 * 1024))"}).report
    after = aws.invoke("Look512", {"python": "0"}).report
    used = [int(fields["Max Memory Used"].removesuffix(" MB")) for fields in (before, high, after)]
    assert 0 < used[0] < 200 < used[1] <= used[2] <= 512
    assert {fields["Memory Size"] for fields in (before, high, after)} == {"512 MB"}


@recorded(TIMEOUT_REPORT)
def test_timeout(aws: Cloud) -> None:
    """Duration is the timeout, the status has no error type and no tab after it; no line of the old style."""
    answer = aws.once("Sleeps", {"seconds": 60})
    lines = answer.log.splitlines()
    tail = rf"(Init Duration: {MS}\t)?Status: timeout"
    assert re.fullmatch(report(answer, 1769, tail).replace(rf"Duration: {MS}", r"Duration: 1000\.00 ms", 1), lines[-1])
    assert lines[-2] == f"END RequestId: {answer.request_id}"
    assert "Task timed out" not in answer.log


@pytest.mark.parametrize(
    ("name", "event", "memory_mb", "error_type", "says"),
    [
        case("exit", RECORDED, "Exits", {"do": "exit", "status": 1}, 1769, "Runtime.ExitError", None),
        case("out of memory", DEATH_REPORT, "OutOfMemory", {}, 128, "Runtime.OutOfMemory", "taking all the memory"),
    ],
)
def test_death(  # noqa: PLR0913, PLR0917 - a row of the table
    aws: Cloud, name: str, event: object, memory_mb: int, error_type: str, says: str | None
) -> None:
    """Status and type on the REPORT line, what was printed before it, and no line of the old style."""
    answer = aws.once(name, event)
    tail = rf"(Init Duration: {MS}\t)?Status: error\tError Type: {re.escape(error_type)}"
    assert re.fullmatch(report(answer, memory_mb, tail), answer.log.splitlines()[-1]), answer.log
    assert "Runtime exited" not in answer.log
    assert says is None or says in answer.log


@recorded(DEATH_REPORT)
def test_memory_of_a_death_by_memory(aws: Cloud) -> None:
    """All there is or a little less."""
    used = int(aws.once("OutOfMemory", {}).report["Max Memory Used"].removesuffix(" MB"))
    # A watcher sees the last look before it kills, 10 ms of growth early or late.
    assert (126 if aws.capabilities.memory == "kernel" else 90) <= used <= 128


@recorded(IMPORT_LOG)
def test_init_that_fails(aws: Cloud) -> None:
    """Warning, error, INIT_REPORT: once more inside the invocation, before START; no Init Duration."""
    answer = aws.once("ImportFailure")
    type_ = "Runtime.ImportModuleError"
    message = "Unable to import module 'import_failure': No module named 'a_module_that_is_not_there'"
    record = (
        rf"\[WARNING\]\t{TIME}\t\tLAMBDA_WARNING: Unhandled exception\. [^\n]*\n"
        rf"\[ERROR\] {type_}: {message}\nTraceback \(most recent call last\):\n"
    )
    lines = (
        rf"(?:{record}INIT_REPORT Init Duration: {MS}\tPhase: (?:init|invoke)\tStatus: error\tError Type: {type_}\n)+"
    )
    last = report(answer, 1769, rf"Status: error\tError Type: {type_}")
    assert re.fullmatch(rf"{lines}START [^\n]*\nEND [^\n]*\n{last}\n", answer.log), answer.log
    assert "Phase: invoke" in answer.log


@recorded(CLIENT)
def test_exception(aws: Cloud) -> None:
    """The runtime client's record, between START and END; REPORT has no status."""
    answer = aws.invoke("Raises")
    start, *record, end, last = answer.log.splitlines()
    assert (start.split()[0], end.split()[0]) == ("START", "END")
    assert record[:2] == ["[ERROR] ValueError: this function always fails", "Traceback (most recent call last):"]
    assert re.fullmatch(rf'  File "{re.escape(aws.code(CODE))}/ill.py", line \d+, in raises', record[2])
    assert "Status" not in last


@pytest.mark.parametrize(
    ("number", "line"),
    [
        case("standard output", CLIENT, 1, r"a line on standard output"),
        case("standard error", CLIENT, 2, r"a line on standard error"),
        case("logging", CLIENT, 3, rf"\[WARNING\]\t{TIME}\t[0-9a-f-]{{36}}\ta warning by the logging module"),
        case("a line without its end", CLIENT, 4, r"a line without an end"),
        case("END on a line of its own", CLIENT, 5, r"END RequestId: [0-9a-f-]{36}"),
    ],
)
def test_what_a_function_prints(aws: Cloud, number: int, line: str) -> None:
    """As it is, in the order it was printed; the logging module has its own form."""
    assert re.fullmatch(line, aws.invoke("Talk").log.splitlines()[number])


@recorded(CLIENT)
def test_level_of_the_root_logger(aws: Cloud) -> None:
    """WARNING, where nothing is configured."""
    expression = "[logging.getLogger().info('too quiet'), logging.getLogger().error('loud'), logging.getLogger().level]"
    answer = aws.invoke("Look", {"python": expression})
    assert answer.payload[2] == 30
    assert "too quiet" not in answer.log
    assert re.search(rf"^\[ERROR\]\t{TIME}\t{answer.request_id}\tloud$", answer.log, re.MULTILINE)


@recorded(MODEL)
def test_the_tail_is_four_kilobytes(aws: Cloud) -> None:
    """The last 4,096 bytes of the log, in Base64, however long it is."""
    answer = aws.invoke("Loud", {"name": "n", "lines": 200})
    tail = base64.b64decode(answer.response["LogResult"], validate=True)
    assert len(tail) == 4096
    assert tail.splitlines()[-1].startswith(b"REPORT RequestId: " + answer.request_id.encode())
    assert b"START" not in tail


@recorded(MODEL)
def test_a_log_that_is_shorter(aws: Cloud) -> None:
    """Whole, and of this invocation alone."""
    for number in range(3):
        answer = aws.invoke("Loud", {"name": f"n{number}", "lines": 2})
        words = [line.split()[0] for line in answer.log.splitlines()]
        assert words == ["START", f"n{number}", f"n{number}", "END", "REPORT"]


@recorded(JSON_LOG)
def test_json_start_and_report(aws: Cloud) -> None:
    """Time, type and record; no END, and nothing in text."""
    answer = aws.invoke("LookJson", {"python": "1"})
    start, last = (line for line in documents(answer) if line["type"] in {"platform.start", "platform.report"})
    assert len(answer.log.splitlines()) == len(documents(answer))
    expected = {"requestId": answer.request_id, "functionArn": f"{ARN}:LookJson", "version": "$LATEST"}
    assert start["record"] == expected
    assert all(re.fullmatch(TIME, line["time"]) for line in (start, last))
    record, metrics = last["record"], last["record"]["metrics"]
    assert (record["requestId"], record["status"]) == (answer.request_id, "success")
    assert {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB"} <= metrics.keys()
    total = metrics["durationMs"] + metrics.get("initDurationMs", 0.0)
    assert f"{metrics['billedDurationMs']} ms" in billed(total, 0.001)
    assert metrics["memorySizeMB"] == 1769


@recorded(PYTHON_LOG)
def test_json_of_the_logging_module(aws: Cloud) -> None:
    """Time stamp, level, message, logger and request id; INFO is let through."""
    answer = aws.invoke("LookJson", {"python": "logging.getLogger('mine').info('said %s', 'so')"})
    [line] = [line for line in documents(answer) if "message" in line]
    assert (line["level"], line["message"], line["logger"]) == ("INFO", "said so", "mine")
    assert line["requestId"] == answer.request_id
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", line["timestamp"])


@recorded(CLIENT)
def test_json_of_an_exception(aws: Cloud) -> None:
    """The runtime client's record, with its frames."""
    answer = aws.invoke("LookJson", {"python": "1/0"})
    [line] = [line for line in documents(answer) if "errorType" in line]
    assert (line["errorType"], line["errorMessage"]) == ("ZeroDivisionError", "division by zero")
    assert line["requestId"] == answer.request_id
    assert line["stackTrace"]
    assert (line.get("level") or line["log_level"]) == "ERROR"


@recorded(LEVELS)
def test_json_level_of_the_application(aws: Cloud) -> None:
    """What is below it is left out, and the variables tell the runtime so."""
    answer = aws.invoke("LookJson", {"python": "[logging.getLogger().debug('too quiet'), dict(os.environ)][1]"})
    assert "too quiet" not in answer.log
    variables = answer.payload
    assert (variables["AWS_LAMBDA_LOG_FORMAT"], variables["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "INFO")


@recorded(LEVELS)
def test_json_system_level_debug(aws: Cloud) -> None:
    """Init and the end of the runtime's part too; how, in which phase and by which runtime it was initialised."""
    told = documents(aws.invoke("LookDebug", {"python": "1"}))
    assert [line["type"] for line in told] == [
        "platform.initStart",
        "platform.initRuntimeDone",
        "platform.initReport",
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
    ]
    record = told[0]["record"]
    assert (record["initializationType"], record["phase"]) == ("on-demand", "init")
    assert RUNTIME.removeprefix("python") in record.get("runtimeVersion", RUNTIME)
    assert told[4]["record"]["status"] == "success"
    spans = told[4]["record"]["spans"]
    assert [span["name"] for span in spans][:2] == ["responseLatency", "responseDuration"]
    assert sum(span["durationMs"] for span in spans) <= told[5]["record"]["metrics"]["durationMs"] + 0.01
    assert told[3]["time"] <= spans[0]["start"] <= spans[1]["start"] <= told[4]["time"]


@recorded(LIFECYCLE)
def test_json_of_a_suppressed_init(aws: Cloud) -> None:
    """Its lines are telemetry's and not the log's."""
    assert aws.invoke("LookReset", {"python": "os._exit(1)"}).failed
    told = documents(aws.invoke("LookReset", {"python": "1"}))
    assert [line["type"] for line in told] == ["platform.start", "platform.runtimeDone", "platform.report"]
    assert "initDurationMs" not in told[-1]["record"]["metrics"]


@recorded(LEVELS)
def test_json_system_level_warn(aws: Cloud) -> None:
    """Lambda's own lines only where something was wrong."""
    assert documents(aws.invoke("LookWarn", {"python": "1"})) == []
    told = documents(aws.invoke("LookWarn", {"python": "os._exit(3)"}))
    assert [line["type"] for line in told] == ["platform.runtimeDone", "platform.report"]
    assert {line["record"]["status"] for line in told} == {"error"}
    assert told[-1]["record"]["errorType"] == "Runtime.ExitError"


@recorded(QUOTAS)
def test_variables_of_four_kilobytes(aws: Cloud) -> None:
    """Fit to the byte, and reach the function."""
    assert aws.look("len(os.environ['LONG'])", "ManyVariables") == 4096 - len('{"LONG":""}')
