"""One `preflight start-lambda` for the whole session of a backend, and what the cases ask it through boto3."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from emulator.sandbox.base import Capabilities
from tests.command import ROOT, WAIT_S, wait_for
from tests.conformance.conftest import BACKENDS, KNOWN_DIFFERENCES, OWN_CODE, RUNTIME, layer_folders
from tests.serving import CODE, Client, Served, served

HERE: Final = Path(__file__).with_name("functions")
ARN: Final = "arn:aws:lambda:us-east-1:123456789012:function"
CONCURRENCY: Final = 6
RESERVED: Final = 1
MIB: Final = 1024 * 1024
MOST_VARIABLE: Final = 4096 - len('{"LONG":""}')
AHEAD: Final = ("SlowOnce", "SlowInit")
"""Functions whose init takes over ten seconds: invoked before the first case, so that the others need not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the SDK made of one answer."""

    response: Mapping[str, Any]
    body: bytes

    @property
    def payload(self) -> Any:  # noqa: ANN401 - JSON of any shape
        """The body as a document."""
        return json.loads(self.body)

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in small letters."""
        found: Mapping[str, str] = self.response["ResponseMetadata"]["HTTPHeaders"]
        return found

    @property
    def request_id(self) -> str:
        """That of the header."""
        return str(self.response["ResponseMetadata"]["RequestId"])

    @property
    def failed(self) -> bool:
        """Whether the function did."""
        return "FunctionError" in self.response

    @property
    def log(self) -> str:
        """The tail that was asked for."""
        return base64.b64decode(self.response["LogResult"]).decode()

    @property
    def report(self) -> Mapping[str, str]:
        """The fields of the REPORT line."""
        line = self.log.splitlines()[-1]
        assert line.startswith("REPORT "), self.log
        return dict(field.split(": ", 1) for field in line.removeprefix("REPORT ").rstrip("\t").split("\t"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A server, the SDK's client for it, and what its backend holds."""

    served: Served
    client: Client
    backend: str
    capabilities: Capabilities
    folder: Path
    begun: Mapping[str, Future[Answer]]
    asked: dict[str, Answer]
    """Answers that `once` has had."""

    def invoke(self, name: str, event: object = None, **arguments: object) -> Answer:
        """Invoke with any JSON, and ask for the log."""
        given = {"FunctionName": name, "LogType": "Tail", "Payload": json.dumps({} if event is None else event)}
        response = self.client.invoke(**{**given, **arguments})
        return Answer(response=response, body=response["Payload"].read())

    def once(self, name: str, event: object = None) -> Answer:
        """The same, for the first case that wants to know; the others get that answer."""
        key = f"{name} {event or {}}"
        if key not in self.asked:
            self.asked[key] = self.invoke(name, event)
        return self.asked[key]

    def look(self, python: str, name: str = "Look") -> Any:  # noqa: ANN401 - JSON of any shape
        """The value of an expression inside the function."""
        answer = self.invoke(name, {"python": python})
        assert not answer.failed, answer.body
        return answer.payload

    def needs(self, *limits: str) -> None:
        """Skip the case where the backend says that it does not hold one of these."""
        for limit in limits:
            if self.capabilities.as_dict()[limit] == "none":
                pytest.skip(f"known difference of the {self.backend} backend, {limit}: {KNOWN_DIFFERENCES[limit]}")

    def code(self, folder: Path) -> str:
        """Where a function finds its code, which lies in `folder` here."""
        return "/var/task" if self.capabilities.read_only_root != "none" else str(folder)

    def sent(self, name: str) -> list[dict[str, Any]]:
        """The one or more documents that went to a destination or a queue, waited for."""
        path = self.folder / "sent" / f"{name}.jsonl"
        wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
        return [json.loads(line) for line in path.read_text().splitlines()]

    def over_http(self, name: str, body: bytes | None = None, **headers: str) -> tuple[int, Message, bytes]:
        """Status, headers and body of a function URL's answer; a header's name has `_` for `-`."""
        with closing(http.client.HTTPConnection(urlsplit(self.served.urls[name]).netloc, timeout=WAIT_S)) as connection:
            given = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request("GET" if body is None else "POST", "/a%20b?x=1&x=2&y=", body, given)
            response = connection.getresponse()
            return response.status, response.headers, response.read()


def template(layers: tuple[Path, Path]) -> dict[str, Any]:
    """Every function of the suite, as a SAM template."""
    functions = {
        **_looks(),
        **_fixtures(),
        **_broken(),
        **_reserved_and_asynchronous(),
        **_refused(),
        "Merged": _function("layered.handler", OWN_CODE, Layers=[{"Ref": "First"}, {"Ref": "Second"}]),
        "Reversed": _function("layered.handler", OWN_CODE, Layers=[{"Ref": "Second"}, {"Ref": "First"}]),
        "Hidden": _function("layered.handler", OWN_CODE, Layers=[{"Ref": "First"}]),
        "Web": _function("web.handler", FunctionUrlConfig={"AuthType": "NONE"}),
        "WebFails": _function("ill.raises", CODE, FunctionUrlConfig={"AuthType": "NONE"}),
        "Bytes": _function("web.raw"),
    }
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue"},
        "First": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": str(layers[0])}},
        "Second": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": str(layers[1])}},
    }
    return {
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {"PythonRuntime": {"Type": "String"}},
        "Resources": resources | functions,
    }


def _function(handler: str, code: Path = HERE, **properties: object) -> dict[str, Any]:
    given = {"Handler": handler, "CodeUri": str(code), "Runtime": {"Ref": "PythonRuntime"}}
    sizes = {"MemorySize": 1769, "Timeout": 30}
    return {"Type": "AWS::Serverless::Function", "Properties": {**given, **sizes, **properties}}


def _looks() -> dict[str, Any]:
    """The function that looks around, in several sizes and set-ups."""
    variables = {"COLOUR": "blue", "LANG": "C"}
    json_log = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO"}
    return {
        "Look": _function("look.handler"),
        "Look128": _function("look.handler", MemorySize=128),
        "Look512": _function("look.handler", MemorySize=512),
        "LookSet": _function("look.handler", Environment={"Variables": variables}),
        "LookJson": _function("look.handler", LoggingConfig=json_log),
        **{
            name: _function("look.handler", LoggingConfig=json_log | {"SystemLogLevel": "DEBUG"})
            for name in ("LookDebug", "LookReset")
        },
        "LookWarn": _function("look.handler", LoggingConfig=json_log | {"SystemLogLevel": "WARN"}),
        "Default": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"Handler": "look.handler", "CodeUri": str(HERE), "Runtime": {"Ref": "PythonRuntime"}},
        },
        "Most": _function(
            "look.handler", MemorySize=10240, Timeout=900, EphemeralStorage={"Size": 10240}, Layers=[{"Ref": "First"}]
        ),
        "ManyVariables": _function("look.handler", Environment={"Variables": {"LONG": "x" * MOST_VARIABLE}}),
        "Nested": _function("inner/nested.handler"),
        "Coroutine": _function("look.later"),
    }


def _fixtures() -> dict[str, Any]:
    """Functions that others use too."""
    return {
        "Echo": _function("well.echo", CODE),
        **{name: _function("well.talk", CODE) for name in ("Talk", "TalkOnce", "TalkTwice")},
        "Streams": _function("streams.nothing", CODE),
        "Raises": _function("ill.raises", CODE),
        "Sleeps": _function("ill.sleeps", CODE, Timeout=1),
        "OutOfMemory": _function("ill.out_of_memory", CODE, MemorySize=128),
        "LargeAnswer": _function("ill.large_answer", CODE),
        "SlowOnce": _function("slow_once.handler", OWN_CODE, Timeout=5),
        "SlowInit": _function("slow_init.handler", CODE, Timeout=2),
        "InitOnce": _function("init_once.handler", OWN_CODE),
        "Loud": _function("loud.handler", OWN_CODE),
        "Background": _function("background.handler", OWN_CODE),
        **{name: _function("machine.handler", OWN_CODE, Timeout=2) for name in ("Warm", "Exits", "TimesOut")},
        "Exhausts": _function("machine.handler", OWN_CODE, MemorySize=128),
    }


def _broken() -> dict[str, Any]:
    """Functions that cannot be initialised, or are not there."""
    missing = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/not-there"}
    return {
        "ImportFailure": _function("import_failure.handler", CODE),
        "RaisesAtImport": _function("raises_at_import.handler", CODE),
        "ExitAtImport": _function("exit_at_import.handler", CODE),
        "BadSyntax": _function("bad_syntax.handler", CODE.with_name("broken")),
        "HandlerMissing": _function("well.nowhere", CODE),
        "NoDot": _function("handler", CODE),
        "BuiltIn": _function("sys.exit", CODE),
        "WrapperMissing": _function("well.echo", CODE, Environment={"Variables": missing}),
    }


def _reserved_and_asynchronous() -> dict[str, Any]:
    """Functions with a concurrency of their own, and with somebody to tell."""
    queue = {"Fn::GetAtt": ["Queue", "Arn"]}
    to_queue = {"Type": "SQS", "Destination": queue}
    letters = {"Type": "SQS", "TargetArn": queue}
    both = {"DestinationConfig": {"OnSuccess": to_queue, "OnFailure": to_queue}}
    return {
        "Single": _function("look.handler", ReservedConcurrentExecutions=RESERVED),
        "Never": _function("look.handler", ReservedConcurrentExecutions=0, DeadLetterQueue=letters),
        "EventWell": _function("well.echo", CODE, EventInvokeConfig=both),
        "EventFails": _function("ill.raises", CODE, DeadLetterQueue=letters, EventInvokeConfig=both),
        "EventOnce": _function("ill.raises", CODE, EventInvokeConfig=both | {"MaximumRetryAttempts": 0}),
    }


def _refused() -> dict[str, Any]:
    """Functions that Lambda would not have taken."""
    return {
        "SixLayers": _function("look.handler", Layers=[{"Ref": "First"}] * 6),
        "TooManyVariables": _function("look.handler", Environment={"Variables": {"LONG": "x" * (MOST_VARIABLE + 1)}}),
        "ReservedVariable": _function("look.handler", Environment={"Variables": {"AWS_REGION": "eu-west-1"}}),
        "TooLarge": _function("look.handler", MemorySize=10241),
        "TooSmall": _function("look.handler", MemorySize=127),
        "TooLong": _function("look.handler", Timeout=901),
    }


@contextmanager
def cloud(backend: str, folder: Path) -> Iterator[Cloud]:
    """Start it in this folder, begin what takes long, and see at the end that no fault was ours."""
    folder.chmod(0o755)  # a function is another user
    (folder / "template.yaml").write_text(yaml.safe_dump(template(layer_folders(folder))))
    opened = BACKENDS[backend]()
    capabilities = opened.capabilities
    opened.close()
    arguments = ("-t", folder / "template.yaml", "--backend", backend, "--concurrency", str(CONCURRENCY))
    asynchronous = ("--retry-scale", "0.001", "--destinations", folder / "sent")
    with (
        served(folder / "log", *arguments, *asynchronous, urls=2) as one,
        closing(one.client()) as client,
        ThreadPoolExecutor() as pool,
    ):
        found = Cloud(
            served=one, client=client, backend=backend, capabilities=capabilities, folder=folder, begun={}, asked={}
        )
        yield replace(found, begun={name: pool.submit(found.invoke, name) for name in AHEAD})
    assert one.process.returncode == 0
    assert f'File "{ROOT / "emulator"}' not in one.log.read_text()  # no traceback of our own


__all__ = [
    "AHEAD",
    "ARN",
    "CODE",
    "CONCURRENCY",
    "HERE",
    "MIB",
    "OWN_CODE",
    "RESERVED",
    "RUNTIME",
    "Answer",
    "Cloud",
    "cloud",
]
