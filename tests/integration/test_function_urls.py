"""Functions behind URLs, over HTTP as any client speaks it, on both backends."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator import template
from emulator.http1 import HttpResponse, encode_request
from tests.command import ROOT, TEMPLATE, WAIT_S, preflight, wait_for
from tests.serving import BACKENDS, CODE, Served, answers_to, refused, served

MIB = 1024 * 1024
PAGE = "https://page.example"
APP = """
import json

def handler(event, context):
    asked = json.loads(event.get("body") or "null")
    return {"seen": event, "id": context.aws_request_id} if asked is None else asked
"""
OWN_TEMPLATE = f"""
Parameters:
  PythonRuntime: {{Type: String}}
Globals:
  Function: {{Runtime: !Ref PythonRuntime, CodeUri: {CODE}, MemorySize: 256, Timeout: 30}}
Resources:
  Web:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: app/
      Handler: app.handler
      FunctionUrlConfig:
        AuthType: NONE
        Cors: {{AllowOrigins: [{PAGE}], AllowMethods: ["*"], AllowHeaders: ["*"], MaxAge: 60}}
  Streams:
    Type: AWS::Serverless::Function
    Properties:
      Handler: streams.nothing
      FunctionUrlConfig: {{AuthType: AWS_IAM, InvokeMode: RESPONSE_STREAM}}
  Raises:
    Type: AWS::Serverless::Function
    Properties: {{Handler: ill.raises, FunctionUrlConfig: {{AuthType: NONE}}}}
  Never:
    Type: AWS::Serverless::Function
    Properties: {{Handler: well.echo, ReservedConcurrentExecutions: 0}}
  Plain:
    Type: AWS::Serverless::Function
    Properties: {{Handler: well.echo}}
"""


@pytest.fixture(scope="module", params=BACKENDS)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve functions of which three have a URL in the template, and one is given one."""
    folder = tmp_path_factory.mktemp("urls")
    folder.chmod(0o755)  # a function is another user
    (folder / "app").mkdir()
    (folder / "app" / "app.py").write_text(APP)
    (folder / "template.yaml").write_text(OWN_TEMPLATE)
    arguments = ("-t", folder / "template.yaml", "--backend", request.param, "--function-url", "Never")
    with served(folder / "log", *arguments, urls=4) as one:
        yield one
    assert one.process.returncode == 0
    assert f'File "{ROOT / "emulator"}' not in one.log.read_text()  # no traceback of our own


def connect(lab: Served, name: str) -> http.client.HTTPConnection:
    """A client of this function's."""
    return http.client.HTTPConnection(urlsplit(lab.urls[name]).netloc, timeout=WAIT_S)


def ask(
    lab: Served, name: str, method: str = "GET", target: str = "/", body: bytes | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request; a header's name has `_` for `-`."""
    with closing(connect(lab, name)) as client:
        client.request(method, target, body, {key.replace("_", "-"): value for key, value in headers.items()})
        response = client.getresponse()
        return response, response.read()


def web(lab: Served, answer: object, method: str = "POST") -> tuple[http.client.HTTPResponse, bytes]:
    """What comes of this answer of the function's."""
    return ask(lab, "Web", method, "/", json.dumps(answer).encode(), content_type="application/json")


def test_what_the_function_sees(lab: Served) -> None:
    """The request; its id is the one in the response and in the log."""
    response, body = ask(lab, "Web", "GET", "/a%20b/c?x=1&x=2", cookie="a=1; b=2", x_mine="yes")
    document: dict[str, Any] = json.loads(body)
    event = document["seen"]
    assert (event["rawPath"], event["queryStringParameters"], event["cookies"]) == (
        "/a%20b/c",
        {"x": "1,2"},
        ["a=1", "b=2"],
    )
    assert event["headers"]["x-mine"] == "yes"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert document["id"] == event["requestContext"]["requestId"] == response.headers["x-amzn-RequestId"]
    wait_for(lambda: f"END RequestId: {document['id']}" in lab.log.read_text())  # it comes after the answer


def test_what_the_client_sees(lab: Served) -> None:
    """Status, headers, each cookie apart, bytes."""
    answer = {
        "statusCode": 201,
        "headers": {"X-A": "1"},
        "cookies": ["a=1", "b=2"],
        "body": "aGk=",
        "isBase64Encoded": True,
    }
    response, body = web(lab, answer)
    assert (response.status, response.reason, body) == (201, "Created", b"hi")
    assert response.headers["X-A"] == "1"
    assert response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    for value, expected in (("text", b"text"), ({"a": [1, 2]}, b'{"a":[1,2]}'), (3, b"3")):
        response, body = web(lab, value)
        assert (response.status, response.headers["Content-Type"], body) == (200, "application/json", expected)


def test_failures(lab: Served) -> None:
    """As on AWS, each on a connection that goes on."""
    for response, body in (ask(lab, "Raises"), web(lab, {"statusCode": "?"})):
        assert (response.status, body) == (502, b"Internal Server Error")
    response, body = ask(lab, "Never")
    assert (response.status, json.loads(body)["message"]) == (429, "Rate Exceeded.")
    response, body = ask(lab, "Web", "POST", "/", b"x" * (6 * MIB + 1))
    assert (response.status, response.headers["x-amzn-ErrorType"]) == (413, "RequestEntityTooLargeException")


def test_head_and_empty_answers(lab: Served) -> None:
    """Have no body, and the next request on the connection is answered."""
    with closing(connect(lab, "Web")) as client:
        for method, body, status in (("HEAD", None, 200), ("POST", b'{"statusCode": 204}', 204), ("GET", None, 200)):
            client.request(method, "/", body, {"Content-Type": "application/json"})
            response = client.getresponse()
            assert response.status == status
            assert bool(response.read()) == (method == "GET")


def test_cors(lab: Served) -> None:
    """A preflight is answered without the function; its responses have the header."""
    invoked = lab.log.read_text().count("START")
    asked = {"origin": PAGE, "access_control_request_method": "PUT", "access_control_request_headers": "x-a"}
    response, body = ask(lab, "Web", "OPTIONS", "/", None, **asked)
    assert (response.status, body, response.headers["Access-Control-Allow-Origin"]) == (200, b"", PAGE)
    assert response.headers["Access-Control-Allow-Methods"] == "PUT"
    assert response.headers["Access-Control-Max-Age"] == "60"
    assert lab.log.read_text().count("START") == invoked
    response, body = ask(lab, "Web", "GET", "/", None, origin=PAGE)
    assert response.headers["Access-Control-Allow-Origin"] == PAGE


def test_a_streamed_response(lab: Served) -> None:
    """The client has head and first part while the function still writes."""
    event = {
        "parts": ["early", "late"],
        "pause_s": 3,
        "content_type": "application/vnd.awslambda.http-integration-response",
        "prelude": {"statusCode": 202, "headers": {"Content-Type": "text/event-stream"}, "cookies": ["a=1"]},
    }
    before = lab.log.read_text().count("sending 'late'")
    with closing(connect(lab, "Streams")) as client:
        client.request("POST", "/", json.dumps(event), {"Content-Type": "application/json"})
        response = client.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (202, "text/event-stream")
        assert response.headers["Set-Cookie"] == "a=1"
        assert response.read1(100) == b"early"
        assert lab.log.read_text().count("sending 'late'") == before
        assert response.read() == b"late"
        # The connection carries the next one: no prelude, and an old type.
        client.request("POST", "/", "{}", {"Content-Type": "application/json"})
        response = client.getresponse()
        assert (response.status, response.headers["Content-Type"], response.read()) == (
            200,
            "text/plain",
            b"one two three",
        )


def test_a_streamed_response_that_breaks_off(lab: Served) -> None:
    """The client can tell."""
    for end in ("broken", "error", "exit"):
        with closing(connect(lab, "Streams")) as client:
            client.request("POST", "/", json.dumps({"parts": ["half"], "end": end}), {"Content-Type": "text/json"})
            response = client.getresponse()
            assert response.status == 200
            with pytest.raises(http.client.IncompleteRead) as caught:
                response.read()
            assert caught.value.partial == b"half"
    response, body = ask(lab, "Streams", "POST", "/", b'{"parts": [], "end": "exit"}', content_type="text/json")
    assert (response.status, body) == (502, b"Internal Server Error")


def test_the_invoke_api_beside_them(lab: Served) -> None:
    """Serves the same functions; who listens is told, and what is not checked."""
    client = lab.client()
    assert json.loads(client.invoke(FunctionName="Plain", Payload=b"[1]")["Payload"].read()) == [1]
    found = client.get_function_url_config(FunctionName="Web")
    assert (found["FunctionUrl"], found["AuthType"]) == (lab.urls["Web"] + "/", "NONE")
    assert found["Cors"]["AllowOrigins"] == [PAGE]
    assert client.get_function_url_config(FunctionName="Streams")["InvokeMode"] == "RESPONSE_STREAM"
    assert refused(client.get_function_url_config, FunctionName="Plain")[:2] == (404, "ResourceNotFoundException")
    client.close()
    assert set(lab.urls) == {"Web", "Streams", "Raises", "Never"}
    assert "the URL of Streams has AuthType AWS_IAM" in lab.log.read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl(lab: Served) -> None:
    """As somebody would try it."""
    command = [
        "curl",
        "-sS",
        "-i",
        "--max-time",
        "60",
        lab.urls["Web"],
        "-d",
        '"hello"',
        "-H",
        "content-type: text/json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("HTTP/1.1 200 OK")
    assert done.stdout.endswith("\n\nhello")


def exchange(lab: Served, name: str, data: bytes) -> list[HttpResponse]:
    """Send this and no more; every answer until the server hangs up."""
    return answers_to(urlsplit(lab.urls[name]).port or 0, data, MIB)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]),
    target=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    names=st.lists(
        st.sampled_from(["Content-Type", "Cookie", "X-Amzn-Trace-Id", "X-Forwarded-For", "Origin", "Host"]),
        unique=True,
        max_size=4,
    ),
    values=st.lists(
        st.sampled_from(["application/json", "text/plain", "a=b;;=;c", "\u00e9\t\u00ff", "", PAGE])
        | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=30),
        min_size=4,
        max_size=4,
    ),
    body=st.binary(max_size=40),
)
def test_whatever_a_client_sends(  # noqa: PLR0913, PLR0917 - each part of a request
    lab: Served, method: str, target: str, names: list[str], values: list[str], body: bytes
) -> None:
    """Reaches the function, or is the client's own fault; 502 is only for what the function makes of it."""
    headers = dict(zip(names, values, strict=False))
    for response in exchange(lab, "Never", encode_request(method, "/" + target, headers, body)):
        assert response.status in {200, 400, 405, 429}, response
    for response in exchange(lab, "Web", encode_request("GET", "/" + target, headers)):
        assert response.status in {200, 400}, response


def free_row(length: int) -> int:
    """The first of so many ports in a row that are free, below those that the kernel hands out by itself."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    for first in range(lowest - length, 1024, -length):
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + length):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError("no ports in a row are free")


def test_ports_that_follow(tmp_path: Path) -> None:
    """The first free ones after the API's; one that is taken is passed over."""
    port = free_row(4)
    with socket.create_server(("127.0.0.1", port + 1)):
        arguments = ("-t", TEMPLATE, "--backend", "process", "--port", str(port), "--function-url", "Echo")
        with served(tmp_path / "log", *arguments, "--function-url", "Count", urls=2) as lab:
            assert lab.port == port
            assert [urlsplit(address).port for address in lab.urls.values()] == [port + 2, port + 3]


def test_every_function(tmp_path: Path) -> None:
    """Has one where that is asked for; all end with the server."""
    names = template.load(TEMPLATE).names
    arguments = ("-t", TEMPLATE, "--backend", "process", "--function-urls")
    with served(tmp_path / "log", *arguments, urls=len(names)) as lab:
        assert set(lab.urls) == set(names)
        response, body = ask(lab, "Echo", "GET", "/")
        assert (response.status, json.loads(body)["rawPath"]) == (200, "/")
        lab.process.terminate()
        assert lab.process.wait(WAIT_S) == 0


def test_usage() -> None:
    """A function that is not there."""
    done = preflight("start-lambda", "-t", TEMPLATE, "--backend", "process", "--port", "0", "--function-url", "Ecko")
    assert (done.status, done.out) == (2, "")
    assert done.error == "--function-url: no function 'Ecko'"
    assert done.hint.startswith("Did you mean Echo?")
