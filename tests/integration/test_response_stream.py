"""InvokeWithResponseStream through boto3, on both backends, with a function that is a runtime of its own."""

from __future__ import annotations

import base64
import json
import socket
import time
from contextlib import closing
from typing import Any

from emulator.http1 import encode_request
from tests.command import WAIT_S, wait_for
from tests.serving import Client, Served, refused

MIB = 1024 * 1024


def events_of(client: Client, name: str = "Streams", event: object = None, **arguments: str) -> list[dict[str, Any]]:
    """Everything that the SDK decodes."""
    payload = json.dumps(event or {})
    response = client.invoke_with_response_stream(FunctionName=name, Payload=payload, **arguments)
    assert (response["StatusCode"], response["ExecutedVersion"]) == (200, "$LATEST")
    with closing(response["EventStream"]) as stream:  # or its connection is left to be collected, with a warning
        return list(stream)


def body_of(events: list[dict[str, Any]]) -> bytes:
    """The payload, put together."""
    return b"".join(event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event)


def end_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The members of the last event."""
    complete: dict[str, Any] = events[-1]["InvokeComplete"]
    return complete


def test_parts_come_as_they_are_sent(lab: Served, client: Client) -> None:
    """The client has the first while the function has not sent the last; nothing in the log says so sooner."""
    event = {"parts": ["early", "late-\u20ac"], "pause_s": 3}
    before = lab.log.read_text().count("sending 'late")
    response = client.invoke_with_response_stream(FunctionName="Streams", Payload=json.dumps(event), LogType="Tail")
    stream = iter(response["EventStream"])
    first = next(stream)
    assert first["PayloadChunk"]["Payload"] == b"early"
    assert lab.log.read_text().count("sending 'late") == before
    rest = list(stream)
    response["EventStream"].close()
    assert body_of(rest) == "late-\u20ac".encode()
    end = end_of(rest)
    assert "ErrorCode" not in end
    log = base64.b64decode(end["LogResult"]).decode()
    assert "sending 'late" in log
    assert "REPORT RequestId: " + response["ResponseMetadata"]["RequestId"] in log
    assert response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-remapped-content-type"] == "text/plain"


def test_an_error_in_its_midst(client: Client) -> None:
    """What came before it has come; the environment goes on."""
    events = events_of(client, event={"parts": ["a", "b"], "end": "error"})
    assert body_of(events) == b"ab"
    assert end_of(events)["ErrorCode"] == "Unhandled"
    assert json.loads(end_of(events)["ErrorDetails"])["errorType"] == "Midstream"
    assert body_of(events_of(client)) == b"one two three"


def test_a_connection_that_breaks_off(client: Client) -> None:
    """Has AWS's name, and the next invocation is well."""
    events = events_of(client, event={"parts": ["half"], "end": "broken"})
    assert body_of(events) == b"half"
    assert end_of(events)["ErrorCode"] == "Runtime.TruncatedResponse"
    assert body_of(events_of(client)) == b"one two three"


def test_a_process_that_ends(client: Client) -> None:
    """Is told as the end of the process, not of its connection."""
    events = events_of(client, event={"parts": ["half"], "end": "exit"})
    assert body_of(events) == b"half"
    details = json.loads(end_of(events)["ErrorDetails"])
    assert details["errorType"] == "Runtime.ExitError"
    assert details["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert body_of(events_of(client)) == b"one two three"


def test_a_buffered_invocation_of_it(client: Client) -> None:
    """Gets all parts in one, or the error."""
    response = client.invoke(FunctionName="Streams", Payload=b"{}")
    assert response["Payload"].read() == b"one two three"
    response = client.invoke(FunctionName="Streams", Payload=b'{"end": "error"}')
    assert response["FunctionError"] == "Unhandled"
    assert json.loads(response["Payload"].read())["errorMessage"] == "no more"
    response = client.invoke(FunctionName="Streams", Payload=json.dumps({"bytes": 7 * MIB}))
    assert json.loads(response["Payload"].read())["errorType"] == "Function.ResponseSizeTooLarge"


def test_more_than_an_invoke_may_answer(client: Client) -> None:
    """8 MB come whole, the last two no faster than Lambda lets them go."""
    begin = time.monotonic()
    events = events_of(client, event={"parts": [], "bytes": 8 * MIB})
    assert len(body_of(events)) == 8 * MIB
    assert end_of(events) == {}
    assert time.monotonic() - begin > 0.9  # 2 MB at 2 MB a second


def test_functions_that_do_not_stream(client: Client) -> None:
    """Answer in one piece; errors are those of Invoke."""
    assert body_of(events_of(client, "Echo", {"a": 1})) == b'{"a": 1}'
    end = end_of(events_of(client, "Raises"))
    assert end["ErrorCode"] == "Unhandled"
    assert json.loads(end["ErrorDetails"])["errorMessage"] == "this function always fails"
    end = end_of(events_of(client, "Sleeps", {"seconds": 20}))
    assert json.loads(end["ErrorDetails"])["errorType"] == "Sandbox.Timedout"


def test_before_the_stream(client: Client) -> None:
    """Refusals and dry runs have none."""
    call = client.invoke_with_response_stream
    assert refused(call, FunctionName="nope")[:2] == (404, "ResourceNotFoundException")
    assert refused(call, FunctionName="Echo", Payload=b"{")[:2] == (400, "InvalidRequestContentException")
    assert refused(call, FunctionName="Echo", Payload=b'"' + b"x" * 7 * MIB + b'"')[:2] == (
        413,
        "RequestEntityTooLargeException",
    )
    dry = call(FunctionName="Echo", InvocationType="DryRun")
    assert dry["StatusCode"] == 204
    dry["EventStream"].close()  # else its connection is open until it is collected


def test_a_client_that_goes_away(lab: Served, client: Client) -> None:
    """Does not stop the function, and the next one is served."""
    event = {"parts": ["first", "second", "gone"], "pause_s": 0.3}
    path = "/2021-11-15/functions/Streams/response-streaming-invocations"
    with socket.create_connection(("127.0.0.1", lab.port), timeout=WAIT_S) as direct:
        direct.sendall(encode_request("POST", path, {}, json.dumps(event).encode()))
        assert direct.recv(12) == b"HTTP/1.1 200"
    wait_for(lambda: "sending 'gone'" in lab.log.read_text())
    assert body_of(events_of(client)) == b"one two three"
