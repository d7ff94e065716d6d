"""`preflight start-lambda` and whatever an SDK can be made to send: it comes back as it was or is refused; no 5xx."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from tests.command import ROOT, WAIT_S
from tests.drills import LOOK
from tests.json_values import VALUES
from tests.serving import CODE, Client, Served, client_of, served

TEMPLATE = f"""
Parameters:
  PythonRuntime: {{Type: String}}
Globals:
  Function: {{Runtime: !Ref PythonRuntime, MemorySize: 1769, Timeout: 30}}
Resources:
  Echo:
    Type: AWS::Serverless::Function
    Properties: {{Handler: well.echo, CodeUri: {CODE}}}
  Bytes:
    Type: AWS::Serverless::Function
    Properties: {{Handler: web.raw, CodeUri: {LOOK}}}
  Web:
    Type: AWS::Serverless::Function
    Properties: {{Handler: web.handler, CodeUri: {LOOK}, FunctionUrlConfig: {{AuthType: NONE}}}}
"""
# What fits a header and a path as the SDK writes them.
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
NAMES = (
    st.sampled_from(["Echo", "Echo:$LATEST", "Echo:1", "nope", "arn:aws:lambda:us-east-1:123456789012:function:Echo"])
    | st.sampled_from(["arn:aws:lambda:eu-west-1:123456789012:function:Echo", ":", "a" * 300, "Echo:" + "q" * 200])
    | st.text(min_size=1, max_size=40)
)
QUALIFIERS = st.sampled_from(["$LATEST", "1", "live", ""]) | st.text(max_size=150)
EVENTS = st.sampled_from([b"", b"{}", b"[1", b'"\\ud800"', b"1e400", b"\xff", b"\xef\xbb\xbf1"]) | st.binary(
    max_size=60
)
any_request = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve three functions; no fault of ours is told at the end."""
    folder: Path = tmp_path_factory.mktemp("any")
    (folder / "template.yaml").write_text(TEMPLATE)
    with served(folder / "log", "-t", folder / "template.yaml", "--backend", "process", urls=1) as one:
        yield one
    assert one.process.returncode == 0
    assert f'File "{ROOT / "emulator"}' not in one.log.read_text()


@pytest.fixture(scope="module")
def client(lab: Served) -> Iterator[Client]:
    """Give an SDK's client that sends what it is told to, sensible or not."""
    with closing(client_of(lab.address, config=Config(parameter_validation=False))) as made:
        yield made


def asked(call: Callable[..., Any], **arguments: object) -> int | None:
    """The status of an answer or a refusal; None where the SDK itself would not send it."""
    try:
        response: dict[str, Any] = call(**arguments)
    except ClientError as error:
        return counted(error.response["ResponseMetadata"]["HTTPStatusCode"])
    except (ParamValidationError, ValueError):  # a line feed in a header, an ARN that is none
        event("not sent by the SDK")
        return None
    for name in ("Payload", "EventStream"):
        if (body := response.get(name)) is not None:
            (list if name == "EventStream" else type(body).read)(body)
            body.close()
    return counted(response["ResponseMetadata"]["HTTPStatusCode"])


def counted(status: int) -> int:
    """The status, which Hypothesis counts: `--hypothesis-show-statistics` tells how much of each there was."""
    event(f"status {status}")
    return status


@any_request
@given(value=VALUES, ascii_only=st.booleans())
def test_any_json(client: Client, value: Any, ascii_only: bool) -> None:  # noqa: FBT001, ANN401 - Hypothesis hands them over
    """Values, types and the order of keys come back."""
    response = client.invoke(FunctionName="Echo", Payload=json.dumps(value, ensure_ascii=ascii_only))
    assert "FunctionError" not in response
    assert json.dumps(json.loads(response["Payload"].read())) == json.dumps(value)


@any_request
@given(value=VALUES)
def test_any_json_streamed(client: Client, value: Any) -> None:  # noqa: ANN401 - see above
    """The same through an event stream."""
    response = client.invoke_with_response_stream(FunctionName="Echo", Payload=json.dumps(value))
    with closing(response["EventStream"]) as stream:
        parts = [one["PayloadChunk"]["Payload"] for one in stream if "PayloadChunk" in one]
    assert json.dumps(json.loads(b"".join(parts))) == json.dumps(value)


@any_request
@given(data=st.binary(max_size=3000))
@example(data=bytes(range(256)))
def test_any_bytes_out(client: Client, data: bytes) -> None:
    """A handler's bytes are the response's."""
    asked_for = json.dumps({"base64": base64.b64encode(data).decode()})
    response = client.invoke(FunctionName="Bytes", Payload=asked_for)
    assert ("FunctionError" in response, response["Payload"].read()) == (False, data)


@any_request
@given(data=st.binary(min_size=1, max_size=3000))
@example(data=bytes(range(256)))
def test_any_bytes_through_a_url(lab: Served, data: bytes) -> None:
    """In and out."""
    with closing(http.client.HTTPConnection(urlsplit(lab.urls["Web"]).netloc, timeout=WAIT_S)) as connection:
        connection.request("POST", "/", data, {"Content-Type": "application/octet-stream"})
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, data)


@any_request
@given(payload=EVENTS)
def test_any_bytes_in(client: Client, payload: bytes) -> None:
    """An event, or 400: what Python can read as JSON is taken, but for its own additions to it."""
    status = asked(client.invoke, FunctionName="Echo", Payload=payload)
    assert status in {200, 400}
    try:
        json.loads(payload.decode() or "{}", parse_constant=int)
    except ValueError:
        assert status == 400
    else:
        assert status == 200


@any_request
@given(
    name=st.just("Echo") | NAMES,
    options=st.fixed_dictionaries(
        {},
        optional={
            "Qualifier": QUALIFIERS,
            "InvocationType": st.sampled_from(["Event", "DryRun", "RequestResponse"]) | WORDS,
            "LogType": st.sampled_from(["Tail", "None"]) | WORDS,
            "ClientContext": st.sampled_from(["e30=", "bnVsbA=="]) | WORDS,
            "TenantId": WORDS,
            "Payload": EVENTS,
        },
    ),
    streamed=st.booleans(),
)
def test_any_invoke(client: Client, name: str, options: dict[str, Any], streamed: bool) -> None:  # noqa: FBT001 - see above
    """Whatever stands in its parameters, in either form."""
    call = client.invoke_with_response_stream if streamed else client.invoke
    status = asked(call, FunctionName=name, **options)
    assert status is None or status < 500


@any_request
@given(
    operation=st.sampled_from(
        ["get_function", "get_function_configuration", "get_function_url_config", "get_policy", "delete_function"]
    ),
    name=NAMES,
    options=st.fixed_dictionaries({}, optional={"Qualifier": QUALIFIERS}),
)
def test_any_read(client: Client, operation: str, name: str, options: dict[str, str]) -> None:
    """Of a function, and of what is not offered."""
    status = asked(getattr(client, operation), FunctionName=name, **options)
    assert status is None or status < 500


@any_request
@given(options=st.fixed_dictionaries({}, optional={"MaxItems": st.integers(), "Marker": st.text(max_size=30)}))
def test_any_page(client: Client, options: dict[str, Any]) -> None:
    """Of the list of functions."""
    status = asked(client.list_functions, **options)
    assert status is not None
    assert status < 500
