"""What becomes of an event that nobody waits for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emulator.asynchronous import Condition, Outcome, QueuedEvent, dead_letter, destination_record, next_step
from emulator.config import AsynchronousConfig, FunctionConfig
from emulator.errors import BackendError, Throttled
from emulator.invocation import FunctionError, InvocationResult, Timings, Usage

NOW = datetime(2026, 11, 25, 8, 30, 1, 23_456, tzinfo=UTC)
THROTTLED = Throttled("Rate Exceeded.", reason="ReservedFunctionConcurrentInvocationLimitExceeded")
LOST = BackendError("the engine went away")


def function(*, reserved: int | None = None, retries: int = 2, max_age_s: int = 21_600) -> FunctionConfig:
    """A function with these settings."""
    return FunctionConfig(
        name="F",
        handler="a.b",
        runtime="python3.13",
        code=Path("/nowhere"),
        reserved_concurrency=reserved,
        asynchronous=AsynchronousConfig(retries=retries, max_age_s=max_age_s),
    )


def result(body: bytes = b'{"answer": 42}', error: FunctionError | None = None) -> InvocationResult:
    """An answer of the function's."""
    timings = Timings(init_ms=None, duration_ms=1.0, billed_ms=1)
    return InvocationResult(request_id="id", body=body, error=error, timings=timings, usage=Usage(), log="")


OK = result()
FAILED = result(b'{"errorType": "ValueError"}', FunctionError(type="ValueError", message="no \u20ac"))


def event(*, attempts: int = 0, refusals: int = 0, payload: bytes = b'{"n": 1}') -> QueuedEvent:
    """An event that has come so far."""
    return QueuedEvent(
        function="F", payload=payload, request_id="the-id", queued_at=100.0, attempts=attempts, refusals=refusals
    )


@pytest.mark.parametrize(
    ("attempts", "retries", "expected"),
    [
        (1, 2, 60.0),
        (2, 2, 120.0),
        (3, 2, "RetriesExhausted"),
        (1, 1, 60.0),
        (2, 1, "RetriesExhausted"),
        (1, 0, "RetriesExhausted"),
    ],
)
def test_a_function_that_fails_is_tried_again(attempts: int, retries: int, expected: float | Condition) -> None:
    """After one minute, then after two, as often as its configuration says."""
    assert next_step(event(attempts=attempts), FAILED, function(retries=retries), 0.0) == expected


def test_an_answer_is_the_end() -> None:
    """At whichever attempt."""
    assert next_step(event(attempts=1), OK, function(), 0.0) == "Success"
    assert next_step(event(attempts=3), OK, function(), 1e6) == "Success"


@pytest.mark.parametrize("outcome", [THROTTLED, LOST])
def test_what_could_not_be_asked_goes_back_to_the_queue(outcome: Outcome) -> None:
    """From one second to five minutes, for as long as it is young enough, however often the function may be tried."""
    waits = [next_step(event(refusals=count), outcome, function(retries=0), 0.0) for count in range(1, 13)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert next_step(event(refusals=1000), outcome, function(), 21_000.0) == 300
    assert next_step(event(refusals=1000), outcome, function(), 21_301.0) == "EventAgeExceeded"


def test_no_concurrency_at_all_is_the_end() -> None:
    """Lambda does not try where it never could."""
    assert next_step(event(refusals=1), THROTTLED, function(reserved=0), 0.0) == "ZeroReservedConcurrency"
    assert next_step(event(refusals=1), THROTTLED, function(reserved=1), 0.0) == 1


def test_an_event_grows_old() -> None:
    """Where the next attempt would come too late there is none."""
    assert next_step(event(attempts=1), FAILED, function(max_age_s=60), 0.0) == 60
    assert next_step(event(attempts=1), FAILED, function(max_age_s=60), 0.5) == "EventAgeExceeded"


def test_age_is_in_lambdas_time() -> None:
    """Waits that were made shorter count as long as they are there."""
    waited = QueuedEvent(
        function="F", payload=b"", request_id="id", queued_at=100.0, attempts=1, waited_s=60.0, slept_s=0.6
    )
    assert waited.age_s(103.0) == pytest.approx(62.4)


def test_record_of_a_success() -> None:
    """As recorded against AWS."""
    record = destination_record(event(attempts=1), OK, "Success", NOW)
    assert record == {
        "version": "1.0",
        "timestamp": "2026-11-25T08:30:01.023Z",
        "requestContext": {
            "requestId": "the-id",
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:F:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"answer": 42},
    }


def test_record_of_a_failure() -> None:
    """With the function's own account of it."""
    record = destination_record(event(attempts=3), FAILED, "RetriesExhausted", NOW)
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"] == {"errorType": "ValueError"}


def test_record_without_an_answer() -> None:
    """Nothing is made up."""
    record = destination_record(event(refusals=1), THROTTLED, "ZeroReservedConcurrency", NOW)
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in record
    assert "responsePayload" not in record


@pytest.mark.parametrize("body", [b"not json", b"NaN", b"\xff", b"9" * 5000, b"[" * 100_000])
def test_record_of_what_is_no_json(body: bytes) -> None:
    """Its text, so that the record is JSON all the same."""
    record = destination_record(event(payload=body), result(body), "Success", NOW)
    assert record["requestPayload"] == record["responsePayload"] == body.decode("utf-8", "replace")
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize(
    ("outcome", "code", "message"),
    [(FAILED, "200", "no \u20ac"), (THROTTLED, "429", "Rate Exceeded."), (LOST, "500", "the engine went away")],
)
def test_dead_letter(outcome: Outcome, code: str, message: str) -> None:
    """The event itself, with three attributes."""
    letter = dead_letter(event(), outcome)
    assert letter["Body"] == '{"n": 1}'
    attributes = letter["MessageAttributes"]
    assert attributes["RequestID"] == {"StringValue": "the-id", "DataType": "String"}
    assert attributes["ErrorCode"] == {"StringValue": code, "DataType": "Number"}
    assert attributes["ErrorMessage"] == {"StringValue": message, "DataType": "String"}


def test_a_long_message_is_cut() -> None:
    """At 1 KB, and not within a character."""
    long = result(b"{}", FunctionError(type="E", message="x" + "\u20ac" * 1000))
    text = dead_letter(event(), long)["MessageAttributes"]["ErrorMessage"]["StringValue"]
    assert text == "x" + "\u20ac" * 341
