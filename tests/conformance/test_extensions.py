"""External and internal extensions, through their whole life.

"Using the Lambda Extensions API", AWS Lambda Developer Guide, 2023-05, and "Lambda execution environment lifecycle",
2026-07; error types as in AWS's runtime interface emulator, 2026-01.
"""

from __future__ import annotations

import json
import re
from contextlib import closing
from typing import Any

import pytest

from emulator.environment import Environment, Order
from emulator.service import _spec
from emulator.variables import function_arn
from tests.conformance.conftest import Lab


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
    return Environment(config, lab.backend.prepare(_spec(config)), said.append)


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
