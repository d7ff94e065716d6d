"""`preflight start-lambda` through boto3, on both backends."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.command import COMMAND, TEMPLATE, WAIT_S, preflight, wait_for
from tests.serving import BACKENDS, CODE, Client, Served, refused, served

MIB = 1024 * 1024
ARN = "arn:aws:lambda:us-east-1:123456789012:function"

OWN_TEMPLATE = f"""
Parameters:
  PythonRuntime: {{Type: String}}
Globals:
  Function: {{Runtime: !Ref PythonRuntime, CodeUri: {CODE}, MemorySize: 256, Timeout: 30}}
Resources:
  Queue: {{Type: AWS::SQS::Queue}}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Handler: well.echo
      EventInvokeConfig:
        DestinationConfig:
          OnSuccess: {{Type: SQS, Destination: !GetAtt Queue.Arn}}
  Raises:
    Type: AWS::Serverless::Function
    Properties:
      Handler: ill.raises
      DeadLetterQueue: {{Type: SQS, TargetArn: !GetAtt Queue.Arn}}
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        DestinationConfig:
          OnFailure: {{Type: SQS, Destination: !GetAtt Queue.Arn}}
  Never:
    Type: AWS::Serverless::Function
    Properties:
      Handler: well.echo
      ReservedConcurrentExecutions: 0
      DeadLetterQueue: {{Type: SQS, TargetArn: !GetAtt Queue.Arn}}
  Single:
    Type: AWS::Serverless::Function
    Properties: {{Handler: ill.sleeps, ReservedConcurrentExecutions: 1}}
  Sleeps:
    Type: AWS::Serverless::Function
    Properties: {{Handler: ill.sleeps, FunctionName: sleeps-by-name}}
"""


def payload(response: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON of any shape
    """What the function answered."""
    return json.loads(response["Payload"].read())


def test_synchronous(client: Client) -> None:
    """The event comes back, with everything that an SDK reads."""
    response = client.invoke(FunctionName="Echo", Payload=b'{"a": "\xc3\xa9"}')
    assert (response["StatusCode"], response["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in response
    assert "LogResult" not in response
    assert payload(response) == {"a": "\u00e9"}
    uuid.UUID(response["ResponseMetadata"]["RequestId"])


@pytest.mark.parametrize(
    "name", ["Context", "Context:$LATEST", "123456789012:function:Context", f"{ARN}:Context:$LATEST"]
)
def test_names(client: Client, name: str) -> None:
    """Every form; the function sees its request's id, and the qualifier that was named."""
    response = client.invoke(FunctionName=name)
    seen = payload(response)
    assert seen["aws_request_id"] == response["ResponseMetadata"]["RequestId"]
    assert seen["invoked_function_arn"] == f"{ARN}:Context" + (":$LATEST" if name.endswith("$LATEST") else "")


def test_no_event(client: Client) -> None:
    """Is an empty object."""
    assert payload(client.invoke(FunctionName="Echo")) == {}


def test_client_context(client: Client) -> None:
    """Reaches the handler."""
    context = base64.b64encode(json.dumps({"custom": {"k": "\u20ac"}}, indent=1).encode()).decode()
    assert payload(client.invoke(FunctionName="Context", ClientContext=context))["client"] == {"k": "\u20ac"}


def test_exception(client: Client) -> None:
    """200 with a header, and the runtime's own account."""
    response = client.invoke(FunctionName="Raises")
    assert (response["StatusCode"], response["FunctionError"]) == (200, "Unhandled")
    seen = payload(response)
    assert (seen["errorType"], seen["errorMessage"]) == ("ValueError", "this function always fails")
    assert seen["requestId"] == response["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    ("name", "event", "error_type", "message"),
    [
        ("Sleeps", {"seconds": 60}, "Sandbox.Timedout", "RequestId: {id} Error: Task timed out after 1.00 seconds"),
        ("ExitOne", {}, "Runtime.ExitError", "RequestId: {id} Error: Runtime exited with error: exit status 1"),
        ("OutOfMemory", {}, "Runtime.OutOfMemory", "RequestId: {id} Error: Runtime exited with error: signal: killed"),
        (
            "LargeAnswer",
            {"bytes": 6 * MIB + 101},
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        ),
    ],
)
def test_what_the_platform_says(client: Client, name: str, event: object, error_type: str, message: str) -> None:
    """Two keys, and the id of the request."""
    response = client.invoke(FunctionName=name, Payload=json.dumps(event))
    assert response["FunctionError"] == "Unhandled"
    request_id = response["ResponseMetadata"]["RequestId"]
    assert payload(response) == {"errorType": error_type, "errorMessage": message.format(id=request_id)}


def test_the_largest_event_and_answer(client: Client) -> None:
    """6 MB in, and 100 bytes more out."""
    event = b'"' + b"x" * (6 * MIB - 2) + b'"'
    response = client.invoke(FunctionName="LargeAnswer", Payload=json.dumps({"bytes": 6 * MIB + 100}))
    assert len(response["Payload"].read()) == 6 * MIB + 100
    assert client.invoke(FunctionName="Echo", Payload=event)["Payload"].read() == event


def test_tail(client: Client) -> None:
    """The log from START to REPORT."""
    response = client.invoke(FunctionName="Talk", LogType="Tail")
    lines = base64.b64decode(response["LogResult"]).decode().splitlines()
    request_id = response["ResponseMetadata"]["RequestId"]
    assert lines[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert "a line on standard output" in lines
    assert lines[-1].startswith(f"REPORT RequestId: {request_id}\t")


def test_dry_run(client: Client, lab: Served) -> None:
    """204, and nothing of it in the log."""
    response = client.invoke(FunctionName="Count", InvocationType="DryRun")
    assert (response["StatusCode"], response["Payload"].read()) == (204, b"")
    assert response["ResponseMetadata"]["RequestId"] not in lab.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"FunctionName": "nope"}, (404, "ResourceNotFoundException", f"Function not found: {ARN}:nope:$LATEST")),
        (
            {"FunctionName": "Echo", "Qualifier": "7"},
            (404, "ResourceNotFoundException", f"Function not found: {ARN}:Echo:7"),
        ),
        (
            {"FunctionName": "Echo", "Payload": b'"' + b"x" * 6 * MIB + b'"'},
            (
                413,
                "RequestEntityTooLargeException",
                "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
            ),
        ),
        (
            {"FunctionName": "Echo", "InvocationType": "Event", "Payload": b'"' + b"x" * MIB + b'"'},
            (
                413,
                "RequestEntityTooLargeException",
                f"{MIB + 2} byte payload is too large for the Event invocation type (limit 1048576 bytes)",
            ),
        ),
        (
            {"FunctionName": "Echo", "ClientContext": "?"},
            (400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."),
        ),
    ],
)
def test_refusals(client: Client, arguments: dict[str, Any], expected: tuple[int, str, str]) -> None:
    """As the SDK raises them."""
    assert refused(client.invoke, **arguments) == expected


def test_the_sdks_own_exception_classes(client: Client) -> None:
    """Are raised, so that a program can tell them apart."""
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="nope")
    with pytest.raises(
        client.exceptions.InvalidRequestContentException, match=r"Unexpected character \('\?' \(code 63\)\)"
    ):
        client.invoke(FunctionName="Echo", Payload=b"?")


def test_reads(client: Client) -> None:
    """As the SDK decodes them, its waiter and its paginator too."""
    found = client.get_function(FunctionName="Echo")
    assert found["Configuration"]["FunctionArn"] == f"{ARN}:Echo"
    assert client.get_function_configuration(FunctionName="Echo")["MemorySize"] == 256
    pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 10}))
    assert len(pages) == 3
    assert "Echo" in {function["FunctionName"] for page in pages for function in page["Functions"]}
    assert client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 1000
    client.get_waiter("function_active_v2").wait(FunctionName="Echo")
    status, code, message = refused(client.get_policy, FunctionName="Echo")
    assert (status, code) == (404, "UnknownOperationException")
    assert "is not offered by this emulator" in message


def test_twenty_at_once(client: Client) -> None:
    """Each has its own answer."""
    with ThreadPoolExecutor(20) as pool:
        for _ in range(2):
            responses = pool.map(lambda n: client.invoke(FunctionName="Echo", Payload=str(n)), range(20))
            assert [payload(response) for response in responses] == list(range(20))


@pytest.fixture(scope="module", params=BACKENDS)
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """Serve functions with reservations and destinations, on an account of three, with waits of a minute in 0.06 s."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "template.yaml").write_text(OWN_TEMPLATE)
    arguments = ("-t", folder / "template.yaml", "--backend", request.param, "--concurrency", "3")
    retries = ("--retry-scale", "0.001", "--destinations", folder / "sent")
    with served(folder / "log", *arguments, *retries) as one:
        yield one, folder / "sent"


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The documents in a file of JSON lines; none where it is not there yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_event_that_succeeds(own: tuple[Served, Path]) -> None:
    """202 without a body, one attempt, one record."""
    one, sent = own
    response = one.client().invoke(FunctionName="Echo", InvocationType="Event", Payload=b'{"n": 1}')
    assert (response["StatusCode"], response["Payload"].read()) == (202, b"")
    wait_for(lambda: bool(lines_of(sent / "Echo.on-success.jsonl")))
    [record] = lines_of(sent / "Echo.on-success.jsonl")
    context = record["requestContext"]
    assert context["requestId"] == response["ResponseMetadata"]["RequestId"]
    assert (context["functionArn"], context["condition"]) == (f"{ARN}:Echo:$LATEST", "Success")
    assert record["requestPayload"] == record["responsePayload"] == {"n": 1}


def test_event_that_fails(own: tuple[Served, Path]) -> None:
    """One more attempt, as its configuration says, under the same id; then destination and dead-letter queue."""
    one, sent = own
    response = one.client().invoke(FunctionName="Raises", InvocationType="Event", Payload=b'{"n": 2}')
    request_id = response["ResponseMetadata"]["RequestId"]
    wait_for(lambda: bool(lines_of(sent / "Raises.dead-letter.jsonl")))
    [record] = lines_of(sent / "Raises.on-failure.jsonl")
    context = record["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetriesExhausted", 2)
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    [letter] = lines_of(sent / "Raises.dead-letter.jsonl")
    assert json.loads(letter["Body"]) == {"n": 2}
    assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "this function always fails"
    assert len(re.findall(f"^START RequestId: {request_id} ", one.log.read_text(), re.MULTILINE)) == 2


def test_a_function_that_may_not_run(own: tuple[Served, Path]) -> None:
    """429 at once; an event goes straight to the dead letters."""
    one, sent = own
    client = one.client()
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        client.invoke(FunctionName="Never")
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert caught.value.response["Error"]["Message"] == "Rate Exceeded."
    client.invoke(FunctionName="Never", InvocationType="Event")
    wait_for(lambda: bool(lines_of(sent / "Never.dead-letter.jsonl")))
    [letter] = lines_of(sent / "Never.dead-letter.jsonl")
    assert letter["MessageAttributes"]["ErrorCode"]["StringValue"] == "429"


def test_reserved_and_account_limits(own: tuple[Served, Path]) -> None:
    """One reserved, two for all the others: what is over is refused with its reason, and comes through later."""
    one = own[0]
    client = one.client()
    event = json.dumps({"seconds": 2})
    slept = one.log.read_text().count("going to sleep")
    with ThreadPoolExecutor(3) as pool:
        names = ("Single", "Sleeps", "sleeps-by-name")
        held = [pool.submit(client.invoke, FunctionName=name, Payload=event) for name in names]
        wait_for(lambda: one.log.read_text().count("going to sleep") == slept + len(names))
        reasons = {}
        for name in ("Single", "Echo"):
            with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
                client.invoke(FunctionName=name)
            reasons[name] = caught.value.response["Reason"]
        assert reasons == {
            "Single": "ReservedFunctionConcurrentInvocationLimitExceeded",
            "Echo": "ConcurrentInvocationLimitExceeded",
        }
        assert [payload(future.result()) for future in held] == ["awake"] * len(names)
    assert payload(client.invoke(FunctionName="Echo", Payload=b"1")) == 1


def test_listening_soon(tmp_path: Path) -> None:
    """A server that starts takes calls before Python has started a few times over."""
    begin = time.monotonic()
    for _ in range(10):
        subprocess.run([sys.executable, "-c", "import click"], check=True)
    ten_times = time.monotonic() - begin
    begin = time.monotonic()
    with served(tmp_path / "log", "-t", TEMPLATE, "--backend", "process"):
        assert time.monotonic() - begin < 3 * ten_times


def test_a_port_that_is_taken(own: tuple[Served, Path]) -> None:
    """One message with a hint, status 2."""
    done = preflight("start-lambda", "-t", TEMPLATE, "--backend", "process", "--port", str(own[0].port))
    assert (done.status, done.out) == (2, "")
    assert done.error == f"127.0.0.1:{own[0].port} cannot be listened on: Address already in use"
    assert "--port" in done.hint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--host", "no.such.host.invalid"), "no.such.host.invalid"),
        (("--port", "70000"), "70000"),
        (("--retry-scale", "-1"), "-1"),
        (("--destinations", TEMPLATE), "template.yaml"),
        (("-t", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_usage(arguments: tuple[str | Path, ...], words: str) -> None:
    """What cannot be is one message, status 2, and nothing is listened on."""
    done = preflight("start-lambda", "-t", TEMPLATE, "--backend", "process", "--port", "0", *arguments)
    assert (done.status, done.out) == (2, "")
    assert words in done.error
    assert "Traceback" not in done.err


def test_standard_output_that_nobody_reads() -> None:
    """Ends the server: whoever started it has gone."""
    arguments = ("start-lambda", "-t", TEMPLATE, "--backend", "process", "--port", "0")
    process = subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    try:
        assert process.wait(timeout=WAIT_S) == 141
    finally:
        process.kill()
        process.stderr.close()


def test_idle_environments_are_closed(tmp_path: Path) -> None:
    """Then the next invocation is cold again: a global that counts begins anew."""
    event = json.dumps({"folder": str(tmp_path)}).encode()
    with served(tmp_path / "log", "-t", TEMPLATE, "--backend", "process", "--idle-timeout", "1") as server:
        client = server.client()

        def count(after_s: float = 0) -> int:
            time.sleep(after_s)
            return int(json.loads(client.invoke(FunctionName="Count", Payload=event)["Payload"].read())["global"])

        assert [count(), count()] == [1, 2]
        wait_for(lambda: count(after_s=2.5) == 1)
