"""A server for drills: functions that look around, crash and wait, and clients by the hundred."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from tests.census import Census, census
from tests.command import ROOT
from tests.serving import Client, Served, client_of, served

LOOK = ROOT / "tests" / "conformance" / "recorded" / "functions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """A server and a client that takes as many calls at once as are asked for."""

    served: Served
    client: Client

    @property
    def pid(self) -> int:
        """The emulator's."""
        return self.served.process.pid

    def count(self) -> Census:
        """What it holds now."""
        return census(self.pid)

    def invoke(self, python: str) -> dict[str, Any]:
        """Have the function evaluate this: the document it answers with, and whether that is an error."""
        response = self.client.invoke(FunctionName="Look", LogType="Tail", Payload=json.dumps({"python": python}))
        payload = json.loads(response["Payload"].read())
        return {"payload": payload, "failed": "FunctionError" in response}

    def ask(self, python: str) -> dict[str, Any] | Exception:
        """The same, or what went wrong with the call itself."""
        try:
            answer = self.invoke(python)
        except (ClientError, BotoCoreError) as error:
            failure: Exception = error
            return failure
        return answer

    def held(self) -> int:
        """How often a function has said that it is going to wait."""
        return self.served.log.read_text(encoding="utf-8").count("holding on\n")


@contextmanager
def drill(folder: Path, backend: str, *, memory_mb: int = 512, at_once: int = 50) -> Iterator[Drill]:
    """Serve one function that evaluates what it is sent; its timeout is long."""
    function = {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "Handler": "look.handler",
            "CodeUri": str(LOOK),
            "Runtime": {"Ref": "PythonRuntime"},
            "MemorySize": memory_mb,
            "Timeout": 600,
        },
    }
    document = {"Parameters": {"PythonRuntime": {"Type": "String"}}, "Resources": {"Look": function}}
    (folder / "template.yaml").write_text(yaml.safe_dump(document))
    with served(folder / "log", "-t", folder / "template.yaml", "--backend", backend) as one:
        client = client_of(one.address, at_once=at_once, patience_s=600)
        try:
            yield Drill(served=one, client=client)
        finally:
            client.close()
