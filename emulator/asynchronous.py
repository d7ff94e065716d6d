"""What Lambda does with an event that nobody waits for: when it tries again, and what it tells whom in the end. Pure.

"Error handling for asynchronous invocation" and "Capturing records of asynchronous invocations", AWS Lambda Developer
Guide, 2026-07; the record's shape as recorded by LocalStack against AWS on 2022-09-01.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from emulator.errors import PreflightError, Throttled
from emulator.invocation import InvocationResult
from emulator.variables import function_arn

if TYPE_CHECKING:
    from emulator.config import FunctionConfig

Condition = Literal["Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency"]
Outcome = InvocationResult | PreflightError
"""What one attempt came to: the function's answer, or why it could not be asked (throttled, or the backend failed)."""

_LATEST: Final = "$LATEST"
_RETRY_S: Final = 60.0  # before the second attempt; twice that before the third
_FIRST_BACKOFF_S: Final = 1.0
_MOST_BACKOFF_S: Final = 300.0
_MOST_ERROR_BYTES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedEvent:
    """An event and what became of it so far; all its attempts have one request id.

    `waited_s` is in Lambda's time, `slept_s` is how long that was here.
    """

    function: str
    payload: bytes
    request_id: str
    queued_at: float
    qualifier: str | None = None
    trace_id: str | None = None
    attempts: int = 0
    refusals: int = 0
    waited_s: float = 0.0
    slept_s: float = 0.0

    def age_s(self, now: float) -> float:
        """How old Lambda would call it: the waits count as long as they are there."""
        return now - self.queued_at - self.slept_s + self.waited_s


def next_step(event: QueuedEvent, outcome: Outcome, config: FunctionConfig, age_s: float) -> float | Condition:
    """Seconds to wait before the next attempt, or how the event ended. `event` has this attempt counted already.

    A function that failed is tried again as often as its configuration says; where it could not be asked at all, the
    event goes back to the queue until it is too old.
    """
    settings = config.asynchronous
    if isinstance(outcome, InvocationResult):
        if outcome.ok:
            return "Success"
        if event.attempts > settings.retries:
            return "RetriesExhausted"
        wait_s = _RETRY_S * event.attempts
    elif isinstance(outcome, Throttled) and config.reserved_concurrency == 0:
        return "ZeroReservedConcurrency"
    else:
        wait_s = min(_MOST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** min(event.refusals - 1, 16))
    return "EventAgeExceeded" if age_s + wait_s > settings.max_age_s else wait_s


def destination_record(event: QueuedEvent, outcome: Outcome, condition: Condition, now: datetime) -> Mapping[str, Any]:
    """What goes to the on-success or on-failure destination; without a response where the function gave none."""
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": function_arn(event.function, event.qualifier or _LATEST),
            "condition": condition,
            "approximateInvokeCount": event.attempts,
        },
        "requestPayload": _value(event.payload),
    }
    if isinstance(outcome, InvocationResult):
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": _LATEST}
        if outcome.error is not None:
            context["functionError"] = "Unhandled"
        record |= {"responseContext": context, "responsePayload": _value(outcome.body)}
    return record


def dead_letter(event: QueuedEvent, outcome: Outcome) -> Mapping[str, Any]:
    """The message in a dead-letter queue, as SQS hands it out: the event, with the failure in three attributes."""
    code, message = _failure(outcome)
    cut = message.encode("utf-8", "replace")[:_MOST_ERROR_BYTES].decode("utf-8", "ignore")
    return {
        "Body": event.payload.decode("utf-8", "replace"),
        "MessageAttributes": {
            "RequestID": {"StringValue": event.request_id, "DataType": "String"},
            "ErrorCode": {"StringValue": str(code), "DataType": "Number"},
            "ErrorMessage": {"StringValue": cut, "DataType": "String"},
        },
    }


def _failure(outcome: Outcome) -> tuple[int, str]:
    if isinstance(outcome, Throttled):
        return 429, outcome.message
    if isinstance(outcome, PreflightError):
        return 500, outcome.message
    return 200, outcome.error.message if outcome.error is not None else ""


def _value(body: bytes) -> Any:  # noqa: ANN401 - JSON of any shape
    """The bytes as JSON, or their text where they are none, or none that Python can write again."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value
