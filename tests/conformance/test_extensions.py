"""External and internal extensions, through their whole life.

"Using the Lambda Extensions API", AWS Lambda Developer Guide, 2023-05, and "Lambda execution environment lifecycle",
2026-07; error types as in AWS's runtime interface emulator, 2026-01.
"""

from __future__ import annotations

import json
import re
import signal
import time
from contextlib import closing
from typing import Any

import pytest

from emulator.environment import Environment, Order
from emulator.invocation import InvocationResult
from emulator.spec import sandbox_spec
from emulator.variables import function_arn
from tests.conformance.conftest import Lab
from tests.exchanges import FakeReceiver


def told(log: str, name: str = "recorder") -> list[dict[str, Any]]:
    """What an extension wrote, line by line."""
    # Within a line, where it came between the function's text and its line end.
    decoder = json.JSONDecoder()
    return [decoder.raw_decode(log, found.end())[0] for found in re.finditer(rf"{name} (?={{)", log)]


def events(log: str, name: str = "recorder") -> list[dict[str, Any]]:
    """The events it got."""
    return [line["event"] for line in told(log, name) if "event" in line]


def life(lab: Lab, name: str, said: list[str]) -> Environment:
    """An environment of the test's own, whose log goes to `said` to its end."""
    config = lab.functions[name]
    return Environment(config, lab.backend.prepare(sandbox_spec(config)), said.append)


def order(name: str) -> Order:
    """An invocation."""
    return Order(request_id="8f507cfc", payload=b"{}", function_arn=function_arn(name), trace_id="Root=1-2-3")


def test_a_life_with_external_extensions(lab: Lab) -> None:
    """They register before the runtime starts, get INVOKE with every invocation if they want it, and SHUTDOWN."""
    said: list[str] = []
    with closing(life(lab, "Extended", said)) as environment:
        first, second = environment.invoke(order("Extended")), environment.invoke(order("Extended"))
    assert (first.error, second.error) == (None, None), first.log
    lines = first.log.splitlines()
    ready = [line for line in lines if line.startswith("EXTENSION")]
    assert ready == [
        "EXTENSION\tName: quiet\tState: Ready\tEvents: [SHUTDOWN]",
        "EXTENSION\tName: recorder\tState: Ready\tEvents: [INVOKE, SHUTDOWN]",
    ]
    assert lines.index(ready[1]) < lines.index("START RequestId: 8f507cfc Version: $LATEST")
    registered = told(first.log)[0]
    assert registered["function"] == {
        "functionName": "Extended",
        "functionVersion": "$LATEST",
        "handler": "extended.handler",
        "accountId": "123456789012",
    }
    assert (registered["handler"], registered["colour"]) == (None, "blue")
    log = "".join(said)
    invoked, again, shutdown = events(log)
    assert [event["eventType"] for event in (invoked, again)] == ["INVOKE", "INVOKE"]
    assert invoked["requestId"] == "8f507cfc"
    assert invoked["invokedFunctionArn"] == function_arn("Extended")
    assert invoked["tracing"] == {"type": "X-Amzn-Trace-Id", "value": "Root=1-2-3"}
    assert (shutdown["eventType"], shutdown["shutdownReason"]) == ("SHUTDOWN", "SPINDOWN")
    assert "Terminated" not in log
    assert shutdown["deadlineMs"] > invoked["deadlineMs"] - 60_000
    assert [event["shutdownReason"] for event in events(log, "quiet")] == ["SPINDOWN"]


def test_init_and_invocation_last_until_extensions_are_done(lab: Lab) -> None:
    """Init Duration and Duration have the 300 ms that this one takes each time."""
    result = lab.cold("ExtendedSleepy")
    assert result.error is None, result.log
    assert result.timings.init_ms is not None
    assert result.timings.init_ms >= 300
    assert result.timings.duration_ms >= 300


@pytest.mark.parametrize(
    ("name", "error_type", "state"),
    [
        ("ExtendedCrashes", "Extension.Crash", "Exited"),
        ("ExtendedRefuses", "Extension.InitError", "InitError"),
        ("ExtendedLocked", "Extension.LaunchError", "LaunchError"),
        ("ExtendedFromWindows", "Extension.LaunchError", "LaunchError"),
        ("ExtendedEleven", "Extension.LaunchError", "LaunchError"),
    ],
)
def test_failures_in_init(lab: Lab, name: str, error_type: str, state: str) -> None:
    """INIT_REPORT for both tries, and the answer is the platform's."""
    result = lab.cold(name)
    assert result.error is not None
    assert result.error.type == error_type, result.log
    reports = re.findall(
        r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: (\w+)\tStatus: error\tError Type: (\S+)", result.log
    )
    assert reports == [("init", error_type), ("invoke", error_type)]
    assert f"\tState: {state}\t" in result.log
    assert result.log.splitlines()[-1].endswith(f"Status: error\tError Type: {error_type}")


@pytest.mark.seldom_on("docker-bridge", "process-watched", reason="the code is the same")
@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        (
            "ExtendedLocked",
            "EXTENSION\tName: recorder\tState: LaunchError\tEvents: []\tError Type: PermissionDenied",
            "fork/exec /opt/extensions/recorder: permission denied",
        ),
        (
            "ExtendedFromWindows",
            "EXTENSION\tName: from windows\tState: LaunchError\tEvents: []\tError Type: UnknownError",
            "fork/exec /opt/extensions/from windows: no such file or directory",
        ),
        (
            "ExtendedEleven",
            "EXTENSION\tName: of-11-10\tState: LaunchError\tEvents: []\tError Type: TooManyExtensions",
            "ErrTooManyExtensions",
        ),
    ],
)
def test_what_cannot_be_started_is_named(lab: Lab, name: str, line: str, reason: str) -> None:
    """As logs of AWS's have it: aws-samples/aws-lambda-extensions issues 38 (2021-03) and 54 (2021-09)."""
    result = lab.cold(name)
    assert result.error is not None
    assert result.error.message.endswith(f" Error: {reason}")
    assert line in result.log.splitlines()


@pytest.mark.seldom_on("docker-bridge", "process-watched", reason="the code is the same")
def test_ten_are_allowed(lab: Lab) -> None:
    """External ones ("Lambda quotas", 2026-10)."""
    result = lab.cold("ExtendedTen")
    assert result.error is None, result.log
    assert result.log.count("\tState: Ready\t") == 10


@pytest.mark.seldom_on("docker-bridge", "process-watched", reason="the code is the same")
def test_an_answer_does_not_wait_for_extensions(lab: Lab) -> None:
    """The caller has it while the environment is at work still: the next call needs another ("Invoke", guide, 2026-07).

    That time is in Duration all the same.
    """
    name = "ExtendedLingers"
    with lab.service.answer(name, b"{}") as first, lab.service.answer(name, b"{}") as second:
        pass
    assert not isinstance(first, InvocationResult)
    assert (first.error, second.error) == (None, None)
    assert first.body != second.body
    come_to_rest(lab, name, 2)
    assert lab.invoke(name).timings.duration_ms >= 1000


@pytest.mark.seldom_on("docker-bridge", "process-watched", reason="the code is the same")
def test_nor_does_a_streamed_answer(lab: Lab) -> None:
    """The parts are there, and the extension is not done."""
    receiver = FakeReceiver()
    with lab.service.answer("StreamsExtended", b"{}", receiver=receiver) as answer:
        pass
    assert not isinstance(answer, InvocationResult)
    assert answer.error is None
    assert b"".join(receiver.parts) == b"one two three"
    come_to_rest(lab, "StreamsExtended", 1)


def come_to_rest(lab: Lab, name: str, environments: int) -> None:
    """Wait until so many environments of a function are idle."""
    limit = time.monotonic() + 60
    while len(lab.service._warm[name]) < environments:  # noqa: SLF001 - nobody else knows
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.seldom_on("docker-bridge", reason="the control group is the same")
def test_extensions_stand_still_between_invocations(lab: Lab) -> None:
    """Threads of theirs too; they go on at the next one, and so does the life they are in."""
    first = lab.cold("ExtendedTicks")
    time.sleep(1)
    second = lab.invoke("ExtendedTicks")
    gaps = [line["gap"] for log in (first.log, second.log) for line in told(log, "ticks") if "gap" in line]
    assert 0.7 < gaps[1] < 3
    assert gaps[0] < gaps[1]
    assert first.payload == second.payload


@pytest.mark.seldom_on("docker-bridge", reason="the control group is the same")
def test_a_runtime_that_was_killed_while_it_stood_still(lab: Lab) -> None:
    """Extensions outlive it, and are told; the next invocation runs init within."""
    lab.cold("ExtendedTicks")
    [environment] = lab.service._warm["ExtendedTicks"]  # noqa: SLF001 - it stands still, and only it knows its process
    limit = time.monotonic() + 10
    while not environment._frozen:  # noqa: SLF001 - see above
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert environment._sandbox.signal(signal.SIGKILL)  # noqa: SLF001 - see above
    after = lab.invoke("ExtendedTicks")
    assert after.error is None, after.log
    assert not after.cold
    assert [event["shutdownReason"] for event in events(after.log, "ticks") if "shutdownReason" in event] == ["FAILURE"]


def test_an_extension_that_leaves_resets(lab: Lab) -> None:
    """The answer was the runtime's; REPORT says what came after it, and the next invocation begins anew."""
    first, second, third = (lab.invoke("ExtendedLeaves") for _ in range(3))
    assert [one.error for one in (first, second, third)] == [None, None, None]
    assert "Status" not in first.log.splitlines()[-1]
    assert second.log.splitlines()[-1].endswith("Status: error\tError Type: Extension.ExitError")
    assert "Status" not in third.log.splitlines()[-1]
    assert not third.cold
    assert first.payload != third.payload


def test_a_timeout_is_told(lab: Lab) -> None:
    """SHUTDOWN with its reason, when the runtime has been killed."""
    said: list[str] = []
    with closing(life(lab, "ExtendedHangs", said)) as environment:
        result = environment.invoke(order("ExtendedHangs"))
    assert result.error is not None
    assert result.error.type == "Sandbox.Timedout"
    assert events("".join(said), "hangs")[-1]["shutdownReason"] == "TIMEOUT"


def test_json_has_an_event_for_each(lab: Lab) -> None:
    """`platform.extension`."""
    result = lab.cold("ExtendedJson")
    found = [json.loads(line) for line in result.log.splitlines() if '"platform.extension"' in line]
    assert [line["record"] for line in found] == [{"name": "logs", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}]


def test_an_internal_extension(lab: Lab) -> None:
    """It lives in the runtime's process, may not have SHUTDOWN, and must register before the first event."""
    result = lab.cold("ExtendedWithin")
    assert result.error is None, result.log
    payload = result.payload
    assert isinstance(payload, dict)
    assert payload == {
        "refused": "Extension.InvalidEventType",
        "status": 200,
        "function": {
            "functionName": "ExtendedWithin",
            "functionVersion": "$LATEST",
            "handler": "extended_within.handler",
        },
        "again": "Extension.InvalidExtensionState",
        "late": [403, "Extension.RegistrationClosed"],
        "stranger": "Extension.UnknownExtensionIdentifier",
        "events": payload["events"],
    }
    assert "EXTENSION\tName: within\tState: Ready\tEvents: [INVOKE]\n" in result.log
    assert lab.payload("ExtendedWithin")["events"][:1] == ["INVOKE"]


def test_telemetry(lab: Lab) -> None:
    """Platform events and the function's lines reach the extension's own server, `runtimeDone` before the end."""
    said: list[str] = []
    with closing(life(lab, "ExtendedTelemetry", said)) as environment:
        first, second = (environment.invoke(order("ExtendedTelemetry")) for _ in range(2))
    assert (first.error, second.error) == (None, None), first.log
    assert "Status" not in first.log.splitlines()[-1], first.log
    assert "TELEMETRY\tName: telemetry\tState: Subscribed\tTypes: [Platform, Function, Extension]\n" in first.log
    types = [event["type"] for event in told("".join(said), "telemetry")]
    assert types.count("platform.start") == types.count("platform.runtimeDone") == 2
    assert {"platform.initStart", "platform.telemetrySubscription", "platform.extension", "platform.report"} <= {*types}
    assert "function" in types


def test_one_written_to_the_documentation_in_python(lab: Lab) -> None:
    """Nothing but http.client and a socket: it registers, has a dead port refused, and gets telemetry over TCP."""
    said: list[str] = []
    with closing(life(lab, "ExtendedDocumented", said)) as environment:
        result = environment.invoke(order("ExtendedDocumented"))
    assert result.error is None, result.log
    heard = told("".join(said), "documented")
    assert heard[0] == {"refused": [400, "ValidationError"]}
    assert {"subscribed": "OK"} in heard
    assert [line["event"]["eventType"] for line in heard if "event" in line] == ["INVOKE", "SHUTDOWN"]
    records = {line["type"]: line["record"] for line in heard if "type" in line}
    assert records["function"] == "the function's own line\n"
    assert records["platform.start"]["requestId"] == "8f507cfc"
    done = records["platform.runtimeDone"]
    assert (done["requestId"], done["status"], done["metrics"]["producedBytes"]) == ("8f507cfc", "success", 18)
    assert records["platform.report"]["metrics"]["durationMs"] >= done["metrics"]["durationMs"]
    assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert sum(span["durationMs"] for span in done["spans"]) == pytest.approx(done["metrics"]["durationMs"], abs=0.01)
    assert all(span["durationMs"] >= 0 for span in done["spans"])


def test_one_written_to_the_documentation_in_a_shell(lab: Lab) -> None:
    """With curl, beside a custom runtime that is a shell script too."""
    said: list[str] = []
    with closing(life(lab, "CustomExtended", said)) as environment:
        results = [environment.invoke(order("CustomExtended")) for _ in range(2)]
    assert [result.error for result in results] == [None, None], results[0].log
    heard = told("".join(said), "documented.sh")
    assert [event["eventType"] for event in heard] == ["INVOKE", "INVOKE", "SHUTDOWN"]
    assert [event.get("shutdownReason") for event in heard] == [None, None, "SPINDOWN"]
