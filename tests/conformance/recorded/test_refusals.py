"""What Lambda refuses before any code runs: status, type and words, as the SDK raises them."""

from __future__ import annotations

import pytest

from tests.conformance.recorded.cloud import ARN, MIB, Cloud
from tests.conformance.recorded.sources import (
    MODEL,
    NOT_JSON,
    QUOTAS,
    RECORDED_LIMITS,
    REQUEST_SIZE,
    VARIABLES,
    case,
    recorded,
)
from tests.serving import refused

NOT_FOUND = "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("name", "qualifier", "missing"),
    [
        case("a function", RECORDED_LIMITS, "nope", None, "nope:$LATEST"),
        case("a function by its ARN", RECORDED_LIMITS, f"{ARN}:nope", None, "nope:$LATEST"),
        case("a version", RECORDED_LIMITS, "Echo", "7", "Echo:7"),
        case("an alias", RECORDED_LIMITS, "Echo:live", None, "Echo:live"),
    ],
)
def test_not_found(aws: Cloud, name: str, qualifier: str | None, missing: str) -> None:
    """404 and the whole ARN, with the qualifier that was meant."""
    arguments = {"FunctionName": name} | ({} if qualifier is None else {"Qualifier": qualifier})
    expected = (404, NOT_FOUND, f"Function not found: {ARN}:{missing}")
    assert refused(aws.client.invoke, **arguments) == expected


@recorded(MODEL)
def test_the_sdks_class_and_members(aws: Cloud) -> None:
    """The exception's own class, an id, the type in a header and whose fault it was."""
    with pytest.raises(aws.client.exceptions.ResourceNotFoundException) as caught:
        aws.client.invoke(FunctionName="nope")
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"] == NOT_FOUND
    assert len(response["ResponseMetadata"]["RequestId"]) == 36
    assert response["Type"] == "User"
    assert response["Message"] == f"Function not found: {ARN}:nope:$LATEST"


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        case("a word", NOT_JSON, b"?", "Unexpected character ('?' (code 63))"),
        case("single quotes", NOT_JSON, b"{'a': 1}", "Unexpected character (''' (code 39))"),
        case("an open object", NOT_JSON, b'{"a": 1', "Unexpected end-of-input"),
        case("an unknown word", NOT_JSON, b"nope", "Unrecognized token 'nope'"),
        case("a comma too many", NOT_JSON, b"[1,]", "Unexpected character (']' (code 93))"),
        case("two documents", NOT_JSON, b"{} {}", ""),
        case("bytes that are no UTF-8", NOT_JSON, b'"\xff"', ""),
        case("Python's NaN", NOT_JSON, b"[NaN]", ""),
    ],
)
def test_not_json(aws: Cloud, payload: bytes, words: str) -> None:
    """400 in the words of AWS's own parser."""
    status, code, message = refused(aws.client.invoke, FunctionName="Echo", Payload=payload)
    assert (status, code) == (400, "InvalidRequestContentException")
    assert message.startswith(f"Could not parse request body into json: Could not parse payload into json: {words}")


@recorded(REQUEST_SIZE)
def test_request_too_large(aws: Cloud) -> None:
    """One byte over 6 MB."""
    payload = b'"' + b"x" * (6 * MIB - 1) + b'"'
    words = "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    assert refused(aws.client.invoke, FunctionName="Echo", Payload=payload) == (
        413,
        "RequestEntityTooLargeException",
        words,
    )


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        case("one less", QUOTAS, MIB - 1, True),  # noqa: FBT003 - columns of a table
        case("1,048,576 bytes", QUOTAS, MIB, True),  # noqa: FBT003 - see above
        case("one more", QUOTAS, MIB + 1, False),  # noqa: FBT003 - see above
    ],
)
def test_event_size(aws: Cloud, size: int, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    """1 MB since 2025-10, in the words of reports."""
    arguments = {"FunctionName": "Echo", "InvocationType": "Event", "Payload": b'"' + b"x" * (size - 2) + b'"'}
    if fits:
        assert aws.client.invoke(**arguments)["StatusCode"] == 202
    else:
        words = f"{size} byte payload is too large for the Event invocation type (limit 1048576 bytes)"
        assert refused(aws.client.invoke, **arguments) == (413, "RequestEntityTooLargeException", words)


@recorded(QUOTAS)
def test_size_of_a_dry_run(aws: Cloud) -> None:
    """The synchronous limit."""
    arguments = {"FunctionName": "Echo", "InvocationType": "DryRun"}
    assert aws.client.invoke(**arguments, Payload=b'"' + b"x" * (2 * MIB) + b'"')["StatusCode"] == 204
    assert refused(aws.client.invoke, **arguments, Payload=b'"' + b"x" * (6 * MIB) + b'"')[0] == 413


@pytest.mark.parametrize(
    ("arguments", "member", "allowed"),
    [
        case(
            "invocation type",
            MODEL,
            {"InvocationType": "Sometimes"},
            "invocationType",
            "[RequestResponse, Event, DryRun]",
        ),
        case("log type", MODEL, {"LogType": "Head"}, "logType", "[None, Tail]"),
    ],
)
def test_values_that_the_model_has_not(aws: Cloud, arguments: dict[str, str], member: str, allowed: str) -> None:
    """400, and which would do."""
    status, code, message = refused(aws.client.invoke, FunctionName="Echo", **arguments)
    assert (status, code) == (400, "ValidationException")
    assert f"at '{member}' failed to satisfy constraint" in message
    for value in allowed.strip("[]").split(", "):
        assert value in message


@recorded(MODEL)
def test_client_context_that_is_none(aws: Cloud) -> None:
    """Neither Base64 nor JSON."""
    words = "Client context must be a valid Base64-encoded JSON object."
    expected = (400, "InvalidRequestContentException", words)
    for context in ("?", "e30", "W10="):  # no Base64, without its padding, an array
        assert refused(aws.client.invoke, FunctionName="Echo", ClientContext=context) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        case("six layers", RECORDED_LIMITS, "SixLayers", "Cannot reference more than 5 layers."),
        case(
            "variables over 4 KB",
            RECORDED_LIMITS,
            "TooManyVariables",
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided exceeded the 4KB limit.",
        ),
        case(
            "a reserved variable",
            VARIABLES,
            "ReservedVariable",
            "variables you have provided contains reserved keys that are currently not supported for modification. "
            "Reserved keys used in this request: AWS_REGION",
        ),
        case("too much memory", QUOTAS, "TooLarge", "'memorySize' value 10241"),
        case("too little memory", QUOTAS, "TooSmall", "'memorySize' value 127"),
        case("too long a timeout", QUOTAS, "TooLong", "'timeout' value 901"),
    ],
)
def test_functions_that_could_not_be_deployed(aws: Cloud, name: str, words: str) -> None:
    """Are not served, and the reason is AWS's."""
    status, code, message = refused(aws.client.invoke, FunctionName=name)
    assert (status, code) == (400, "InvalidParameterValueException")
    assert words in message
