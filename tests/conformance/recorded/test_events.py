"""Events that nobody waits for: attempts, and what destinations and dead-letter queues are told. A minute is 0.06 s."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

from tests.command import wait_for
from tests.conformance.recorded.cloud import ARN, Cloud
from tests.conformance.recorded.sources import ASYNC_ERRORS, RECORDED_2022, THROTTLES, recorded


def submitted(aws: Cloud, name: str, event: object) -> str:
    """Hand over an event; its request's id."""
    return aws.invoke(name, event, InvocationType="Event").request_id


def record_of(aws: Cloud, file: str, request_id: str) -> dict[str, Any]:
    """The one record of this event."""
    wait_for(lambda: _told(aws, file, request_id))
    [found] = [row for row in aws.sent(file) if row["requestContext"]["requestId"] == request_id]
    return found


def letter_of(aws: Cloud, name: str, request_id: str) -> tuple[object, dict[str, str]]:
    """Body and attributes of the one message of this event."""
    wait_for(lambda: _told(aws, f"{name}.dead-letter", request_id))
    messages = [
        (json.loads(row["Body"]), {key: value["StringValue"] for key, value in row["MessageAttributes"].items()})
        for row in aws.sent(f"{name}.dead-letter")
    ]
    [found] = [message for message in messages if message[1]["RequestID"] == request_id]
    return found


def _told(aws: Cloud, file: str, request_id: str) -> bool:
    path = aws.folder / "sent" / f"{file}.jsonl"
    return path.exists() and request_id in path.read_text()


@recorded(RECORDED_2022)
def test_success(aws: Cloud) -> None:
    """The record of a destination, member by member."""
    request_id = submitted(aws, "EventWell", {"n": 1})
    record = dict(record_of(aws, "EventWell.on-success", request_id))
    stamp = str(record.pop("timestamp"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(stamp)
    assert abs(age) < dt.timedelta(hours=1)
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{ARN}:EventWell:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"n": 1},
    }


@recorded(RECORDED_2022)
def test_failure(aws: Cloud) -> None:
    """Retries exhausted, with the function's error."""
    request_id = submitted(aws, "EventFails", {"n": 2})
    record = record_of(aws, "EventFails.on-failure", request_id)
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorMessage"] == "this function always fails"
    assert record["responsePayload"]["requestId"] == request_id


@recorded(ASYNC_ERRORS)
def test_two_more_attempts(aws: Cloud) -> None:
    """Three in all, all with the event's request id."""
    request_id = submitted(aws, "EventFails", {"n": 3})
    context = record_of(aws, "EventFails.on-failure", request_id)["requestContext"]
    assert context["approximateInvokeCount"] == 3
    starts = re.findall(rf"^START RequestId: {request_id} ", aws.served.log.read_text(), re.MULTILINE)
    assert len(starts) == 3


@recorded(ASYNC_ERRORS)
def test_no_more_attempts_than_configured(aws: Cloud) -> None:
    """MaximumRetryAttempts: 0 is one attempt."""
    request_id = submitted(aws, "EventOnce", {"n": 4})
    assert record_of(aws, "EventOnce.on-failure", request_id)["requestContext"]["approximateInvokeCount"] == 1


@recorded(ASYNC_ERRORS)
def test_dead_letter(aws: Cloud) -> None:
    """The event as it came; id, status and message of the error as attributes."""
    request_id = submitted(aws, "EventFails", {"n": 5})
    body, attributes = letter_of(aws, "EventFails", request_id)
    assert body == {"n": 5}
    assert attributes == {
        "RequestID": request_id,
        "ErrorCode": "200",
        "ErrorMessage": "this function always fails",
    }


@recorded(THROTTLES)
def test_dead_letter_of_a_function_that_may_never_run(aws: Cloud) -> None:
    """Without an attempt: 429."""
    request_id = submitted(aws, "Never", {"n": 6})
    body, attributes = letter_of(aws, "Never", request_id)
    assert (body, attributes["ErrorCode"]) == ({"n": 6}, "429")
    assert request_id not in aws.served.log.read_text()
