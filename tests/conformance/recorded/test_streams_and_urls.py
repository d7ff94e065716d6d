"""InvokeWithResponseStream as the SDK decodes it, and functions behind URLs with payload format 2.0."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from typing import Any

import pytest

from tests.conformance.recorded.cloud import MIB, Cloud
from tests.conformance.recorded.sources import MODEL, QUOTAS, RECORDED, RUNTIME_API, URLS, case, recorded
from tests.serving import refused


def streamed(aws: Cloud, name: str, event: object, **arguments: str) -> tuple[bytes, dict[str, Any]]:
    """The payload, put together, and the members of the last event."""
    response = aws.client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **arguments)
    assert (response["StatusCode"], response["ExecutedVersion"]) == (200, "$LATEST")
    with closing(response["EventStream"]) as stream:  # or its connection is left to be collected, with a warning
        *chunks, last = list(stream)
    return b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks), last["InvokeComplete"]


@recorded(MODEL)
def test_parts(aws: Cloud) -> None:
    """Chunks, then an end without an error."""
    assert streamed(aws, "Streams", {}) == (b"one two three", {})


@recorded(MODEL)
def test_log_of_a_stream(aws: Cloud) -> None:
    """In its last event."""
    end = streamed(aws, "Streams", {}, LogType="Tail")[1]
    assert base64.b64decode(end["LogResult"]).decode().splitlines()[-1].startswith("REPORT RequestId: ")


@pytest.mark.parametrize(
    ("name", "event", "before", "code", "error_type"),
    [
        case("in its midst", RUNTIME_API, "Streams", {"parts": ["a"], "end": "error"}, b"a", "Unhandled", "Midstream"),
        case(
            "broken off",
            RUNTIME_API,
            "Streams",
            {"parts": ["a"], "end": "broken"},
            b"a",
            "Runtime.TruncatedResponse",
            None,
        ),
        case("exception", MODEL, "Raises", {}, b"", "Unhandled", "ValueError"),
        case("timeout", RECORDED, "Sleeps", {"seconds": 60}, b"", None, "Sandbox.Timedout"),
    ],
)
def test_errors_of_a_stream(  # noqa: PLR0913, PLR0917 - a row of the table
    aws: Cloud, name: str, event: object, before: bytes, code: str | None, error_type: str | None
) -> None:
    """Code and details in its last event, after what came before."""
    payload, end = streamed(aws, name, event)
    assert payload == before
    assert code is None or end["ErrorCode"] == code
    assert error_type is None or json.loads(end["ErrorDetails"])["errorType"] == error_type


@recorded(QUOTAS)
def test_more_than_six_megabytes(aws: Cloud) -> None:
    """Streamed responses have 200 MB, of which the first six are as fast as they go."""
    payload, end = streamed(aws, "Streams", {"parts": [], "bytes": 6 * MIB + 200})
    assert (len(payload), end) == (6 * MIB + 200, {})


@recorded(MODEL)
def test_a_function_that_does_not_stream(aws: Cloud) -> None:
    """Its answer comes in one piece."""
    assert streamed(aws, "Echo", {"a": 1}) == (b'{"a": 1}', {})


@recorded(MODEL)
def test_a_stream_that_is_invoked_as_usual(aws: Cloud) -> None:
    """All parts in one answer."""
    assert aws.invoke("Streams").body == b"one two three"


@recorded(MODEL)
def test_refusals_of_a_stream(aws: Cloud) -> None:
    """Those of Invoke, before anything is streamed."""
    call = aws.client.invoke_with_response_stream
    assert refused(call, FunctionName="nope")[:2] == (404, "ResourceNotFoundException")
    assert refused(call, FunctionName="Never")[:2] == (429, "TooManyRequestsException")
    assert refused(call, FunctionName="Echo", Payload=b"{")[:2] == (400, "InvalidRequestContentException")


@recorded(MODEL)
def test_dry_run_of_a_stream(aws: Cloud) -> None:
    """204."""
    response = aws.client.invoke_with_response_stream(FunctionName="Echo", InvocationType="DryRun")
    with closing(response["EventStream"]):
        assert response["StatusCode"] == 204


@recorded(URLS)
def test_event_of_a_url(aws: Cloud) -> None:
    """Payload format 2.0, member by member."""
    status, headers, body = aws.over_http("Web", cookie="a=1; b=2", x_mine="yes")
    event = json.loads(body)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert (event["version"], event["routeKey"], event["isBase64Encoded"]) == ("2.0", "$default", False)
    assert (event["rawPath"], event["rawQueryString"]) == ("/a%20b", "x=1&x=2&y=")
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-mine"] == "yes"
    assert "body" not in event
    context = event["requestContext"]
    assert context["requestId"] == headers["x-amzn-requestid"]
    assert (context["stage"], context["routeKey"]) == ("$default", "$default")
    assert {"method", "path", "protocol", "sourceIp", "userAgent"} == context["http"].keys()
    assert context["http"]["method"] == "GET"
    assert {"accountId", "apiId", "domainName", "domainPrefix", "time", "timeEpoch"} <= context.keys()


@recorded(RECORDED)
def test_bytes_through_a_url(aws: Cloud) -> None:
    """In Base64 both ways."""
    data = bytes(range(256))
    status, _, body = aws.over_http("Web", data, content_type="application/octet-stream")
    assert (status, body) == (200, data)


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        case("text", URLS, "hello", 200, b"hello"),
        case("an object", URLS, {"a": 1}, 200, b'{"a":1}'),
        case("a whole response", URLS, {"statusCode": 418, "body": "tea", "headers": {"X-A": "1"}}, 418, b"tea"),
        case("Base64", RECORDED, {"statusCode": 200, "body": "AAE=", "isBase64Encoded": True}, 200, b"\0\1"),
    ],
)
def test_answers_through_a_url(aws: Cloud, answer: object, status: int, expected: bytes) -> None:
    """A response, or what is made one of."""
    found, _, body = aws.over_http("Web", json.dumps(answer).encode(), content_type="application/json")
    assert (found, body) == (status, expected)


@recorded(RECORDED)
def test_failure_behind_a_url(aws: Cloud) -> None:
    """502 in these very words."""
    status, _, body = aws.over_http("WebFails")
    assert (status, body) == (502, b"Internal Server Error")
