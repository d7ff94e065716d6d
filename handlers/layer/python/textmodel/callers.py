"""One function for every kind of caller: a plain event, an HTTP request, messages of a queue.

*HTTP*: API Gateway's REST and HTTP APIs, function URLs and load balancers hand over a request whose body is the plain
event as JSON, in base64 where `isBase64Encoded` says so. The answer is 200 with JSON, bad input is 400 with `errorType`
and `errorMessage`.

*SQS*: each message's body is the plain event as JSON. Nobody waits for the answers, so each is one JSON line in the
log, and the messages that could not be answered are named in `batchItemFailures`: only those come back. The event
source mapping must have `FunctionResponseTypes: [ReportBatchItemFailures]` (Lambda developer guide, "Handling errors
for an SQS event source", 2026-07).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from textmodel.checking import InvalidInput, name_of

Answer = Callable[[object], dict[str, object]]
"""From a plain event to its answer; raises InvalidInput."""


def serve(event: object, answer: Answer) -> dict[str, object]:
    """Answer whoever calls, in the form that this caller understands.

    A refusal has no stack trace on Lambda: it is the caller's mistake, and where we noticed it tells them nothing.
    """
    show_traces(on=True)
    try:
        if isinstance(event, dict):
            if is_http(event):
                return serve_http(event, answer)
            if isinstance(event.get("Records"), list):
                return serve_queue(event["Records"], answer)
        return answer(event)
    except InvalidInput as refused:
        show_traces(on=False)
        raise refused.with_traceback(None) from None


def show_traces(*, on: bool) -> None:
    """Whether the runtime client writes frames to the log and into the answer (awslambdaric 4.0: `extract_tb`)."""
    if "AWS_LAMBDA_RUNTIME_API" not in os.environ:  # elsewhere the process is not ours
        return
    if not on:
        sys.tracebacklimit = 0
    elif hasattr(sys, "tracebacklimit"):
        del sys.tracebacklimit


def is_http(event: dict[str, object]) -> bool:
    """Payload format 1.0 has `httpMethod`, 2.0 has `requestContext.http`."""
    context = event.get("requestContext")
    return isinstance(context, dict) and ("httpMethod" in event or isinstance(context.get("http"), dict))


def serve_http(event: dict[str, object], answer: Answer) -> dict[str, object]:
    """A response in the form that both payload formats accept."""
    try:
        status, content = 200, answer(read_body(event.get("body"), base64=event.get("isBase64Encoded") is True))
    except InvalidInput as refused:
        status, content = 400, refusal(refused)
    headers = {"content-type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(content), "isBase64Encoded": False}


def refusal(refused: InvalidInput) -> dict[str, object]:
    """As Lambda itself shows an error to who invokes directly."""
    return {"errorType": type(refused).__name__, "errorMessage": str(refused)}


def read_body(body: object, *, base64: bool = False) -> object:
    """The JSON in a body."""
    if not isinstance(body, str):
        raise InvalidInput(f"the body is {name_of(body)}: expected a string that holds JSON")
    text = decode(body) if base64 else body
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 100,000 brackets
        raise InvalidInput(f"the body is JSON that cannot be read: {str(error).split(';')[0]}") from None


def decode(body: str) -> str:
    """What is in base64."""
    import base64  # noqa: PLC0415 - few callers need it

    try:
        return base64.b64decode(body, validate=True).decode()
    except ValueError as error:  # what base64 raises and what UTF-8 raises are both of it
        raise InvalidInput(f"the body is not UTF-8 in base64: {error}") from None


def serve_queue(records: list[object], answer: Answer) -> dict[str, object]:
    """Answer message by message; in a FIFO queue nothing after the first failure, so that the order stays.

    A record that is no message of SQS refuses them all: then nothing is lost, since Lambda delivers the batch again.
    """
    messages = [check_record(f"Records[{index}]", record) for index, record in enumerate(records)]
    failed: list[str] = []
    for message_id, body, fifo in messages:
        if fifo and failed:
            failed.append(message_id)
            continue
        try:
            line = answer(read_body(body))
        except InvalidInput as refused:
            line = refusal(refused)
            failed.append(message_id)
        print(json.dumps({"messageId": message_id, **line}))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def check_record(place: str, record: object) -> tuple[str, object, bool]:
    """Identifier, body, and whether it comes from a FIFO queue."""
    if not isinstance(record, dict):
        raise InvalidInput(f"{place} is {name_of(record)}: expected a message of SQS")
    if record.get("eventSource") != "aws:sqs":
        raise InvalidInput(f"{place} is not from SQS: its eventSource must be aws:sqs")
    message_id = record.get("messageId")
    if not isinstance(message_id, str) or not message_id:
        raise InvalidInput(f"{place}.messageId is {name_of(message_id)}: expected a string that is not empty")
    return message_id, record.get("body"), str(record.get("eventSourceARN", "")).endswith(".fifo")
