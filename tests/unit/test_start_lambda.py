"""Which functions of a template are served, and what the person who starts the server is told."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.errors import ConfigurationError
from emulator.http_server import listen
from emulator.serving.start_lambda import Settings, catalogue, notes, with_urls
from emulator.url_config import FunctionUrlConfig
from tests.fakes import FakeBackend
from tests.templates import load, write

TEMPLATE = """
Conditions:
  Never: !Equals [a, b]
Globals:
  Function: {Handler: app.handler, Runtime: python3.13, CodeUri: src/}
Resources:
  Plain:
    Type: AWS::Serverless::Function
    Properties: {Timeout: 3}
  Named:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: real-name, MemorySize: 256}
  Large:
    Type: AWS::Serverless::Function
    Properties: {MemorySize: 20000}
  Image:
    Type: AWS::Serverless::Function
    Properties: {PackageType: Image, ImageUri: app}
    IgnoreGlobals: "*"
  Unresolvable:
    Type: AWS::Serverless::Function
    Properties: {Handler: !ImportValue nowhere}
  Conditional:
    Type: AWS::Serverless::Function
    Condition: Never
"""


def settings(destinations: Path | None = None) -> Settings:
    """As without flags."""
    return Settings(
        host="127.0.0.1", port=0, concurrency=1000, retry_scale=1.0, reap_after_s=330, destinations=destinations
    )


def test_what_can_be_served_is(tmp_path: Path) -> None:
    """The others are named with the reason; one whose condition does not hold is not there at all."""
    found = catalogue(load(tmp_path, TEMPLATE), None)
    assert sorted(found.functions) == ["Image", "Plain", "real-name"]
    assert sorted(found.refused) == ["Large", "Unresolvable"]
    assert "10240" in found.refused["Large"]
    assert found.names["Named"] == found.names["real-name"] == "real-name"
    assert found.names["Image"] == "Image"
    assert "Conditional" not in found.names


def test_nothing_to_serve(tmp_path: Path) -> None:
    """The first reason is the error; a template without any function has one of its own."""
    only = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {Handler: !ImportValue x}\n"
    with pytest.raises(ConfigurationError, match="cannot be resolved without AWS"):
        catalogue(load(tmp_path, only), None)
    with pytest.raises(ConfigurationError, match="there is no function"):
        catalogue(load(tmp_path, "Resources: {Q: {Type: AWS::SQS::Queue}}\n"), None)


def test_environment_file(tmp_path: Path) -> None:
    """Each function has its own block, and the common one."""
    variables = write(tmp_path, '{"Parameters": {"ALL": "1"}, "Named": {"OWN": "2"}}', "env.json")
    found = catalogue(load(tmp_path, TEMPLATE), variables)
    assert found.functions["Plain"].environment == {"ALL": "1"}
    assert found.functions["real-name"].environment == {"ALL": "1", "OWN": "2"}


def test_notes(tmp_path: Path) -> None:
    """What is not as the template has it; destinations that nobody keeps."""
    found = catalogue(load(tmp_path, TEMPLATE), None)
    told = list(notes(found, FakeBackend(), settings()))
    assert sum("cannot be served: " in note for note in told) == 2
    assert not any("--destinations" in note for note in told)
    with_queue = TEMPLATE.replace("{FunctionName: real-name,", "{DeadLetterQueue: {Type: SQS},")
    found = catalogue(load(tmp_path, with_queue), None)
    assert any("--destinations" in note for note in notes(found, FakeBackend(), settings()))
    assert not any("--destinations" in note for note in notes(found, FakeBackend(), settings(tmp_path)))


WITH_URLS = TEMPLATE.replace("{Timeout: 3}", "{FunctionUrlConfig: {AuthType: AWS_IAM, InvokeMode: RESPONSE_STREAM}}")


def test_urls(tmp_path: Path) -> None:
    """Those of the template as it has them, and those that are asked for, in the template's order."""
    found = catalogue(load(tmp_path, WITH_URLS), None)
    own = FunctionUrlConfig(auth_type="AWS_IAM", invoke_mode="RESPONSE_STREAM")
    assert with_urls(found, settings()).urls == {"Plain": own}
    assert any("Plain has AuthType AWS_IAM" in note for note in notes(found, FakeBackend(), settings()))
    asked = replace(settings(), urls=("Named", "Plain"))
    every = replace(settings(), all_urls=True)
    assert list(with_urls(found, asked).urls.items()) == [("Plain", own), ("real-name", FunctionUrlConfig())]
    assert list(with_urls(found, every).urls) == list(found.functions)
    for name in ("Nobody", "Large"):
        with pytest.raises(ConfigurationError, match=f"no function '{name}'"):
            with_urls(found, replace(settings(), urls=(name,)))


def test_a_url_that_cannot_be_had(tmp_path: Path) -> None:
    """The function is served all the same, and the reason is told."""
    found = catalogue(load(tmp_path, WITH_URLS.replace("AWS_IAM", "NOBODY")), None)
    assert "Plain" in found.functions
    assert found.urls == {}
    assert any("Plain has no URL: " in note and "NOBODY" in note for note in notes(found, FakeBackend(), settings()))


def test_a_port_that_is_taken() -> None:
    """One message, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ConfigurationError, match="cannot be listened on: Address already in use") as caught:
            listen("127.0.0.1", taken.getsockname()[1])
        assert "--port" in (caught.value.hint or "")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "999.1.1.1", "203.0.113.7", "a" * 70, "\udcff"])
def test_a_host_that_is_not_here(host: str) -> None:
    """Whether it is a name of nothing, an address of somebody else, or neither."""
    with pytest.raises(ConfigurationError) as caught:
        listen(host, 0)
    assert "--host" in (caught.value.hint or "")
