"""What comes of an Invoke that is in order: status, headers, ids, names, payloads."""

from __future__ import annotations

import base64
import json
import re
import uuid

import pytest

from tests.conformance.recorded.cloud import ARN, MIB, Cloud
from tests.conformance.recorded.sources import (
    CLIENT,
    MODEL,
    QUOTAS,
    RECORDED,
    RECORDED_VARIABLES,
    REQUEST_SIZE,
    RUNTIME_API,
    case,
    recorded,
)

REQUEST_LIMIT = 6 * MIB
RESPONSE_LIMIT = 6 * MIB + 100


@recorded(MODEL)
def test_request_response(aws: Cloud) -> None:
    """200, the version that ran, an id; no error, and no log that nobody asked for."""
    answer = aws.invoke("Echo", [1], LogType="None")
    assert (answer.response["StatusCode"], answer.response["ExecutedVersion"]) == (200, "$LATEST")
    assert not {"FunctionError", "LogResult"} & answer.response.keys()
    assert str(uuid.UUID(answer.request_id)) == answer.request_id
    assert answer.headers["x-amzn-requestid"] == answer.request_id
    assert answer.headers["content-type"] == "application/json"
    assert answer.payload == [1]


@pytest.mark.parametrize(
    "name",
    [
        case("name", MODEL, "Look"),
        case("name with qualifier", MODEL, "Look:$LATEST"),
        case("partial ARN", MODEL, "123456789012:function:Look"),
        case("partial ARN with qualifier", MODEL, "123456789012:function:Look:$LATEST"),
        case("ARN", MODEL, f"{ARN}:Look"),
        case("ARN with qualifier", MODEL, f"{ARN}:Look:$LATEST"),
    ],
)
def test_names(aws: Cloud, name: str) -> None:
    """The function sees the ARN that was meant, with the qualifier that was named."""
    expected = f"{ARN}:Look" + (":$LATEST" if name.endswith("$LATEST") else "")
    assert aws.look("context.invoked_function_arn", name) == expected


@recorded(MODEL)
def test_qualifier_as_parameter(aws: Cloud) -> None:
    """The query's does the same."""
    answer = aws.invoke("Look", {"python": "context.invoked_function_arn"}, Qualifier="$LATEST")
    assert answer.payload == f"{ARN}:Look:$LATEST"


@recorded(MODEL)
def test_dry_run(aws: Cloud) -> None:
    """204, no body, and the code is not run."""
    answer = aws.invoke("Look", {"python": "print('dry' + 'run')"}, InvocationType="DryRun")
    assert (answer.response["StatusCode"], answer.body) == (204, b"")
    assert not {"FunctionError", "LogResult", "ExecutedVersion"} & answer.response.keys()
    aws.look("print('after' + 'wards')")
    log = aws.served.log.read_text()
    assert ("dryrun" in log, "afterwards" in log) == (False, True)


@recorded(MODEL)
def test_event_is_accepted(aws: Cloud) -> None:
    """202 without a body or a version."""
    answer = aws.invoke("EventWell", {"n": 0}, InvocationType="Event")
    assert (answer.response["StatusCode"], answer.body) == (202, b"")
    assert not {"FunctionError", "LogResult", "ExecutedVersion"} & answer.response.keys()


@recorded(CLIENT)
def test_request_id(aws: Cloud) -> None:
    """The function's is the response's."""
    answer = aws.invoke("Look", {"python": "context.aws_request_id"})
    assert answer.payload == answer.request_id


@recorded(CLIENT)
def test_client_context(aws: Cloud) -> None:
    """Base64 of JSON, which the function has as an object."""
    given = {"custom": {"k": "\u20ac"}, "client": {"app_title": "t"}, "env": {"locale": "de"}}
    encoded = base64.b64encode(json.dumps(given).encode()).decode()
    event = {"python": "[context.client_context.custom, context.client_context.client.app_title]"}
    assert aws.invoke("Look", event, ClientContext=encoded).payload == [{"k": "\u20ac"}, "t"]


@recorded(CLIENT)
def test_no_client_context(aws: Cloud) -> None:
    """None, as is the identity without Cognito."""
    assert aws.look("[context.client_context, context.identity.cognito_identity_id]") == [None, None]


@pytest.mark.parametrize(
    ("length", "fits"),
    [
        case("the most that is whole", MODEL, 3580, True),  # noqa: FBT003 - columns of a table
        case("over 3583", MODEL, 3584, False),  # noqa: FBT003 - see above
    ],
)
def test_client_context_size(aws: Cloud, length: int, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    """Up to 3,583 bytes of Base64, which comes in groups of four."""
    rest = length // 4 * 3 - len('{"custom":{"k":""}}')
    encoded = base64.b64encode(b'{"custom":{"k":"' + b"x" * rest + b'"}}').decode()
    assert len(encoded) == length
    event = {"python": "len(context.client_context.custom['k'])"}
    if fits:
        assert aws.invoke("Look", event, ClientContext=encoded).payload == rest
        return
    with pytest.raises(aws.client.exceptions.InvalidRequestContentException):
        aws.invoke("Look", event, ClientContext=encoded)


@recorded(RUNTIME_API)
def test_trace_header_is_handed_on(aws: Cloud) -> None:
    """The root that a client names is the one in the function's variable."""
    root = "Root=1-5759e988-bd862e3fe1be46a994272793"

    def add(params: dict[str, dict[str, str]], **_: object) -> None:
        params["headers"]["X-Amzn-Trace-Id"] = f"{root};Parent=53995c3f42cd8ad8;Sampled=1"

    aws.client.meta.events.register("before-call.lambda.Invoke", add, unique_id="trace")
    try:
        seen = aws.look("os.environ['_X_AMZN_TRACE_ID']")
    finally:
        aws.client.meta.events.unregister("before-call.lambda.Invoke", unique_id="trace")
    assert seen.startswith(root)
    assert re.fullmatch(r"Root=[^;]+;Parent=[0-9a-f]{16};Sampled=1(;.*)?", seen)


@recorded(RECORDED_VARIABLES)
def test_trace_header_of_lambdas_own(aws: Cloud) -> None:
    """One is made where the client names none, anew for each invocation."""
    first, second = (aws.look("os.environ['_X_AMZN_TRACE_ID']") for _ in range(2))
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01](;.*)?", first)
    assert first != second


@recorded(RUNTIME_API)
def test_deadline(aws: Cloud) -> None:
    """What is left of the timeout, counted from the start of the invocation, in whole milliseconds."""
    left = aws.look("context.get_remaining_time_in_millis()")
    assert isinstance(left, int)
    assert 20_000 < left <= 30_000


@recorded(RUNTIME_API)
def test_deadline_runs_out(aws: Cloud) -> None:
    """It goes down with the clock."""
    left = aws.look("[context.get_remaining_time_in_millis(), time.sleep(0.3), context.get_remaining_time_in_millis()]")
    assert 299 <= left[0] - left[2] < 10_000


@pytest.mark.parametrize(
    "size",
    [case("one less", QUOTAS, REQUEST_LIMIT - 1), case("6,291,456 bytes", REQUEST_SIZE, REQUEST_LIMIT)],
)
def test_largest_request(aws: Cloud, size: int) -> None:
    """Comes back whole."""
    payload = b'"' + b"x" * (size - 2) + b'"'
    assert aws.invoke("Echo", Payload=payload).body == payload


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        case("one less", RECORDED, RESPONSE_LIMIT - 1, True),  # noqa: FBT003 - columns of a table
        case("6,291,556 bytes", RECORDED, RESPONSE_LIMIT, True),  # noqa: FBT003 - see above
        case("one more", RECORDED, RESPONSE_LIMIT + 1, False),  # noqa: FBT003 - see above
    ],
)
def test_largest_response(aws: Cloud, size: int, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    """One byte more is the function's error, with status 200."""
    answer = aws.invoke("LargeAnswer", {"bytes": size})
    assert answer.failed != fits
    if fits:
        assert len(answer.body) == size
        return
    assert answer.response["StatusCode"] == 200
    assert answer.payload == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        case("null", CLIENT, b"null", b"null"),
        case("nothing", CLIENT, b"", b"{}"),
        case("false", CLIENT, b"false", b"false"),
        case("zero", CLIENT, b"-0", b"0"),
        case("a large integer", CLIENT, b"1" * 400, b"1" * 400),
        case("a small number", CLIENT, b"5e-324", b"5e-324"),
        case("a number with an exponent", CLIENT, b"[1E2]", b"[100.0]"),
        case("white space", CLIENT, b" \r\n\t[ 1 ,2 ] ", b"[1, 2]"),
        case("an empty string", CLIENT, b'""', b'""'),
        case("an escaped zero", CLIENT, b'"\\u0000"', b'"\\u0000"'),
        case("a key that is twice there", CLIENT, b'{"a": 1, "a": 2}', b'{"a": 2}'),
        case("depth", CLIENT, b"[" * 200 + b"]" * 200, b"[" * 200 + b"]" * 200),
    ],
)
def test_payloads(aws: Cloud, payload: bytes, expected: bytes) -> None:
    """As Python's own JSON reads and writes them, which AWS's runtime client uses."""
    assert aws.invoke("Echo", Payload=payload).body == expected


@pytest.mark.parametrize(
    "payload",
    [
        case("text beyond ASCII", CLIENT, '"\u00e9\u20ac\U0001f600"'.encode()),
        case("an escaped pair of surrogates", CLIENT, b'"\\ud83d\\ude00"'),
    ],
)
def test_text(aws: Cloud, payload: bytes) -> None:
    """The same text; whether it is escaped depends on the runtime's version (3.12 and later do not)."""
    answer = aws.invoke("Echo", Payload=payload)
    assert answer.payload == json.loads(payload)
    escapes = aws.look("sys.version_info[:2]") < [3, 12]
    assert answer.body.isascii() == escapes


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        case("None", CLIENT, "None", b"null"),
        case("a tuple", CLIENT, "(1, 'a')", b'[1, "a"]'),
        case("a Decimal", CLIENT, "__import__('decimal').Decimal('1.10')", b"1.10"),
        case("keys that are numbers", CLIENT, "{1: 2, None: 3}", b'{"1": 2, "null": 3}'),
        case("not a number", CLIENT, "float('nan')", b"NaN"),
        case("infinity", CLIENT, "-float('inf')", b"-Infinity"),
    ],
)
def test_results(aws: Cloud, expression: str, expected: bytes) -> None:
    """What a handler returns, as AWS's runtime client writes it."""
    answer = aws.invoke("Look", {"python": expression})
    assert (answer.failed, answer.body) == (False, expected)


@recorded(CLIENT)
def test_bytes_as_a_result(aws: Cloud) -> None:
    """Pass through as they are."""
    data = bytes(range(256))
    answer = aws.invoke("Bytes", {"base64": base64.b64encode(data).decode()})
    assert (answer.failed, answer.body) == (False, data)
