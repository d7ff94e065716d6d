"""Requests to the Lambda API as the calls that they mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.http1 import HttpRequest
from emulator.serving.api_errors import ApiError
from emulator.serving.function_names import FunctionName
from emulator.serving.invoke_routes import AccountSettings, Call, Describe, DescribeUrl, Invoke, ListFunctions, route

KNOWN = {"F": "F"}
PATH = "/2015-03-31/functions/F/invocations"
STREAM = "/2021-11-15/functions/F/response-streaming-invocations"
MIB = 1024 * 1024
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
FULL_TRACE = f"Self=1-5759e988-bd862e3fe1be46a994272793;{TRACE};Lineage=a:1|b:2"


def request(
    target: str = PATH, *, method: str = "POST", headers: Mapping[str, str] | None = None, body: bytes | None = b"{}"
) -> HttpRequest:
    """A request as the server has read it."""
    return HttpRequest(method=method, target=target, headers=headers or {}, body=body, keep_alive=True)


def invoked(headers: Mapping[str, str] | None = None, body: bytes | None = b"{}", target: str = PATH) -> Invoke:
    """The call of an Invoke."""
    call = route(request(target, headers=headers, body=body), KNOWN)
    assert isinstance(call, Invoke)
    return call


def refused(given: HttpRequest) -> ApiError:
    """Why there is no call."""
    with pytest.raises(ApiError) as caught:
        route(given, KNOWN)
    return caught.value


def assert_call_or_refusal(given: HttpRequest) -> None:
    """Whatever the client's fault is, it is the client's."""
    found: Call | ApiError
    try:
        found = route(given, KNOWN)
    except ApiError as error:
        found = error
    if isinstance(found, ApiError):
        assert found.status in range(400, 500)
        assert found.response("id").body


def test_invoke_as_it_comes_without_headers() -> None:
    """Synchronous, without log, and the bytes of the event untouched."""
    body = b' {"b" : 1.50,\n"a":"\xc3\xa9"} '
    function = FunctionName(name="F", qualifier=None)
    assert invoked(body=body) == Invoke(function=function, invocation_type="RequestResponse", payload=body)


def test_no_event_is_an_empty_object() -> None:
    """A function is always given one."""
    assert invoked(body=b"").payload == b"{}"


@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
def test_invocation_types(kind: str) -> None:
    """The three of the API."""
    assert invoked({"x-amz-invocation-type": kind}).invocation_type == kind


@pytest.mark.parametrize(
    ("header", "member", "values"),
    [
        ("x-amz-invocation-type", "invocationType", "RequestResponse, Event, DryRun"),
        ("x-amz-log-type", "logType", "None, Tail"),
    ],
)
@pytest.mark.parametrize("value", ["event", "Event, Event", "x"])
def test_any_other_value_is_refused(header: str, member: str, values: str, value: str) -> None:
    """With those that there are."""
    error = refused(request(headers={header: value}))
    assert (error.status, error.type) == (400, "ValidationException")
    assert error.message.startswith(f"1 validation error detected: Value '{value}' at '{member}' failed")
    assert f"[{values}]" in error.message


def test_a_streamed_invocation() -> None:
    """Is an Invoke in everything but the form of its answer, and nobody can ask for it asynchronously."""
    headers = {"x-amz-log-type": "Tail", "x-amzn-trace-id": TRACE}
    found = invoked(headers, b"[1]", f"{STREAM}?Qualifier=$LATEST")
    assert (found.streamed, found.invocation_type, found.tail, found.payload) == (True, "RequestResponse", True, b"[1]")
    assert (found.trace_id, found.function.qualifier) == (TRACE, "$LATEST")
    assert invoked({"x-amz-invocation-type": "DryRun"}, target=STREAM).invocation_type == "DryRun"
    error = refused(request(STREAM, headers={"x-amz-invocation-type": "Event"}))
    assert (error.status, error.type) == (400, "ValidationException")
    assert "enum value set: [RequestResponse, DryRun]" in error.message
    for body in (b"{", None):
        assert refused(request(STREAM, body=body)).status == refused(request(body=body)).status


def test_log_tail() -> None:
    """Asked for or not."""
    assert invoked({"x-amz-log-type": "Tail"}).tail
    assert not invoked({"x-amz-log-type": "None"}).tail


@pytest.mark.parametrize(
    ("kind", "size", "fits"),
    [
        ("RequestResponse", 6 * MIB - 1, True),
        ("RequestResponse", 6 * MIB, True),
        ("DryRun", 6 * MIB, True),
        ("Event", MIB, True),
        ("Event", MIB + 1, False),
        ("Event", 6 * MIB, False),
    ],
)
def test_the_size_of_an_event(kind: str, size: int, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    """6 MB where somebody waits, 1 MB where nobody does."""
    given = request(headers={"x-amz-invocation-type": kind}, body=b'"' + b"x" * (size - 2) + b'"')
    if fits:
        assert isinstance(route(given, KNOWN), Invoke)
        return
    error = refused(given)
    assert (error.status, error.type) == (413, "RequestEntityTooLargeException")
    assert error.message == f"{size} byte payload is too large for the Event invocation type (limit {MIB} bytes)"


def test_a_body_that_the_server_did_not_keep() -> None:
    """It is over 6 MB, whatever else may be wrong."""
    error = refused(request("/2015-03-31/functions/nope/invocations", body=None))
    assert error.message == f"Request must be smaller than {6 * MIB} bytes for the InvokeFunction operation"


def test_an_event_that_is_no_json() -> None:
    """Also where nothing would run."""
    for kind in ("RequestResponse", "Event", "DryRun"):
        error = refused(request(headers={"x-amz-invocation-type": kind}, body=b"{'a': 1}"))
        assert (error.status, error.type) == (400, "InvalidRequestContentException")
        assert error.message.startswith("Could not parse request body into json: Could not parse payload into json: ")
        assert "Unexpected character (''' (code 39))" in error.message


def test_client_context() -> None:
    """Decoded, and written so that it fits one header line."""
    document = {"custom": {"k": "line\nbreak \u20ac"}}
    encoded = base64.b64encode(json.dumps(document, indent=2).encode()).decode()
    found = invoked({"x-amz-client-context": encoded}).client_context
    assert found is not None
    assert found.isascii()
    assert "\n" not in found
    assert json.loads(found) == document
    assert invoked({"x-amz-client-context": encoded, "x-amz-invocation-type": "Event"}).client_context is None


@pytest.mark.parametrize("context", ["????", "e30", "eA==", "W10=", "bnVsbA==", "/w==", "eyJhIjpOYU59"])
def test_client_context_that_is_none(context: str) -> None:
    """No base64, no JSON, no object, no UTF-8, not a number."""
    error = refused(request(headers={"x-amz-client-context": context}))
    assert (error.status, error.type) == (400, "InvalidRequestContentException")
    assert error.message == "Client context must be a valid Base64-encoded JSON object."


@pytest.mark.parametrize(("length", "fits"), [(3580, True), (3584, False)])
def test_the_size_of_a_client_context(length: int, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    """3,583 bytes of base64, which always come in fours."""
    context = base64.b64encode(json.dumps({"a": "x" * (length * 3 // 4 - 9)}).encode()).decode()
    assert len(context) == length
    given = request(headers={"x-amz-client-context": context})
    if fits:
        assert isinstance(route(given, KNOWN), Invoke)
    else:
        assert "3583" in refused(given).message


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (TRACE, TRACE),
        (TRACE.partition(";")[0], TRACE.partition(";")[0]),
        (FULL_TRACE, FULL_TRACE),
        ("", None),
        ("nonsense", None),
        ("Root=1-5759e988-xyz", None),
        (TRACE + ";x=\u00e9", None),
        (TRACE + ";x=" + "y" * 2000, None),
    ],
)
def test_trace_header(header: str, expected: str | None) -> None:
    """Passed on where it is one; what is none is replaced later, as X-Ray does."""
    assert invoked({"x-amzn-trace-id": header}).trace_id == expected


def test_a_request_id_must_be_a_uuid() -> None:
    """As the model says of InvalidRequestContentException."""
    assert invoked({"x-amzn-requestid": "f3528a66-01af-405e-bce6-60390f02e2c7"}).payload == b"{}"
    assert refused(request(headers={"x-amzn-requestid": "mine"})).type == "InvalidRequestContentException"


@pytest.mark.parametrize(
    "target",
    [
        PATH,
        PATH + "?Qualifier=$LATEST",
        PATH + "?Qualifier=%24LATEST",
        "/2015-03-31/functions/F%3A%24LATEST/invocations",
        "/2015-03-31/functions/F:$LATEST/invocations",
        f"/2015-03-31/functions/{quote('arn:aws:lambda:us-east-1:123456789012:function:F', safe='')}/invocations",
        "http://localhost:3001" + PATH,
        PATH + "?Qualifier=",
        PATH + "/",
    ],
)
def test_the_forms_of_a_path(target: str) -> None:
    """Percent-encoded as SDKs do it, or not; whole, as for a proxy."""
    assert invoked(target=target).function.name == "F"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "/2015-03-31/functions/F",
            Describe(function=FunctionName(name="F", qualifier=None), configuration_only=False),
        ),
        (
            "/2015-03-31/functions/F/configuration?Qualifier=$LATEST",
            Describe(function=FunctionName(name="F", qualifier="$LATEST"), configuration_only=True),
        ),
        ("/2021-10-31/functions/F/url", DescribeUrl(function=FunctionName(name="F", qualifier=None))),
        ("/2015-03-31/functions", ListFunctions(first=0, most=50)),
        ("/2015-03-31/functions/?MaxItems=7&Marker=14", ListFunctions(first=14, most=7)),
        ("/2015-03-31/functions/?MaxItems=10000", ListFunctions(first=0, most=50)),
        ("/2016-08-19/account-settings/", AccountSettings()),
    ],
)
def test_reads(target: str, expected: Call) -> None:
    """What clients ask first."""
    assert route(request(target, method="GET", body=b""), KNOWN) == expected


@pytest.mark.parametrize("query", ["MaxItems=0", "MaxItems=10001", "MaxItems=x", "MaxItems=-1", "Marker=x"])
def test_pages_that_cannot_be(query: str) -> None:
    """A refusal of the client's."""
    assert refused(request(f"/2015-03-31/functions/?{query}", method="GET", body=b"")).status == 400


def test_a_read_of_what_is_not_there() -> None:
    """The ARN has no qualifier that nobody named."""
    error = refused(request("/2015-03-31/functions/nope", method="GET", body=b""))
    assert error.message == "Function not found: arn:aws:lambda:us-east-1:123456789012:function:nope"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", PATH),
        ("PUT", PATH),
        ("POST", "/2015-03-31/functions"),
        ("DELETE", "/2015-03-31/functions/F"),
        ("GET", "/2015-03-31/functions/F/policy"),
        ("GET", STREAM),
        ("POST", "/2015-03-31/functions/F/response-streaming-invocations"),
        ("GET", "/"),
        ("OPTIONS", "*"),
        ("CONNECT", "host:443"),
        ("GET", "//["),
    ],
)
def test_what_is_not_offered(method: str, target: str) -> None:
    """Said in so many words, with what is."""
    error = refused(request(target, method=method, body=b""))
    assert (error.status, error.type) == (404, "UnknownOperationException")
    assert error.message.startswith(f"{method} ")
    assert "GetFunctionConfiguration" in error.message


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    name=st.sampled_from(["F", "F:$LATEST", "F:1", "nope"]) | st.text(max_size=20),
    tail=st.sampled_from(["", "/", "/invocations", "/configuration"]) | st.text(max_size=20),
    query=st.sampled_from(["", "?Qualifier=$LATEST", "?Qualifier=1", "?MaxItems=1"]) | st.text(max_size=20),
    headers=st.dictionaries(
        st.sampled_from(
            ["x-amz-invocation-type", "x-amz-log-type", "x-amz-client-context", "x-amzn-trace-id", "x-amzn-requestid"]
        ),
        st.sampled_from(["Event", "DryRun", "Tail", "e30="]) | st.text(max_size=20),
    ),
    body=st.sampled_from([b"{}", b"", None]) | st.binary(max_size=20),
)
def test_whatever_a_client_sends(  # noqa: PLR0913, PLR0917 - each part of a request
    method: str, name: str, tail: str, query: str, headers: dict[str, str], body: bytes | None
) -> None:
    """A call, or a refusal that is the client's own fault."""
    assert_call_or_refusal(
        request(f"/2015-03-31/functions/{name}{tail}{query}", method=method, headers=headers, body=body)
    )


@given(target=st.text(max_size=60), method=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=8))
def test_whatever_the_target(target: str, method: str) -> None:
    """Any text at all."""
    assert_call_or_refusal(request(target, method=method))
