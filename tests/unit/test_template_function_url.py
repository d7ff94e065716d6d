"""What a template says of functions' URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.errors import ConfigurationError
from emulator.url_config import CorsConfig, FunctionUrlConfig
from tests.templates import load

HEAD = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n"
PLAIN = "      {Handler: a.b, Runtime: python3.13, CodeUri: src/}\n"


def url(folder: Path, text: str, *, before: str = "", after: str = "") -> FunctionUrlConfig | None:
    """Of the function F with this FunctionUrlConfig."""
    properties = (
        f"      Handler: a.b\n      Runtime: python3.13\n      CodeUri: src/\n      FunctionUrlConfig: {text}\n"
    )
    return load(folder, before + HEAD + properties + after).url("F")


def test_none(tmp_path: Path) -> None:
    """A function without."""
    assert load(tmp_path, HEAD + PLAIN).url("F") is None
    assert url(tmp_path, "!Ref AWS::NoValue") is None


def test_the_least(tmp_path: Path) -> None:
    """Lambda's defaults."""
    assert url(tmp_path, "{AuthType: NONE}") == FunctionUrlConfig()


def test_everything(tmp_path: Path) -> None:
    """With values from elsewhere in the template."""
    text = """
        AuthType: AWS_IAM
        InvokeMode: !Ref Mode
        Cors:
          AllowCredentials: true
          AllowHeaders: [X-A, !Sub "${Mode}"]
          AllowMethods: ["*"]
          AllowOrigins: !Split [",", "https://a.example,https://b.example"]
          ExposeHeaders: [Date]
          MaxAge: 60"""
    before = "Parameters: {Mode: {Type: String, Default: RESPONSE_STREAM}}\n"
    assert url(tmp_path, text, before=before) == FunctionUrlConfig(
        auth_type="AWS_IAM",
        invoke_mode="RESPONSE_STREAM",
        cors=CorsConfig(
            allow_credentials=True,
            allow_headers=("X-A", "RESPONSE_STREAM"),
            allow_methods=("*",),
            allow_origins=("https://a.example", "https://b.example"),
            expose_headers=("Date",),
            max_age_s=60,
        ),
    )


def test_globals(tmp_path: Path) -> None:
    """Are merged."""
    before = "Globals: {Function: {FunctionUrlConfig: {InvokeMode: RESPONSE_STREAM}}}\n"
    found = url(tmp_path, "{AuthType: NONE}", before=before)
    assert found == FunctionUrlConfig(invoke_mode="RESPONSE_STREAM")


@pytest.mark.parametrize("target", ["!Ref F", "!GetAtt F.Arn", "F"])
def test_cloudformations_resource(tmp_path: Path, target: str) -> None:
    """Names its function in any way; those of others, and what cannot be settled, are not ours."""

    def resource(name: str, function: str) -> str:
        return (
            f"  {name}:\n    Type: AWS::Lambda::Url\n"
            f"    Properties: {{TargetFunctionArn: {function}, AuthType: NONE, InvokeMode: RESPONSE_STREAM}}\n"
        )

    others = resource("Other", "other") + resource("Unknown", "!ImportValue x")
    assert load(tmp_path, HEAD + PLAIN + others).url("F") is None
    found = load(tmp_path, HEAD + PLAIN + others + resource("Ours", target)).url("F")
    assert found == FunctionUrlConfig(invoke_mode="RESPONSE_STREAM")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{AuthType: NOBODY}", "AuthType: 'NOBODY' is none of NONE, AWS_IAM"),
        ("{AuthType: NONE, InvokeMode: FAST}", "InvokeMode: 'FAST' is none of BUFFERED, RESPONSE_STREAM"),
        ("{Cors: {MaxAge: 86401}}", "MaxAge: '86401' is not a number of seconds from 0 to 86400"),
        ("{Cors: {MaxAge: soon}}", "MaxAge: 'soon' is not a number"),
        ("{Cors: {AllowCredentials: perhaps}}", "AllowCredentials: 'perhaps' is none of false, true"),
        ("{Cors: {AllowOrigins: '*'}}", "a list is needed here"),
        ("{Cors: '*'}", "a mapping is needed here"),
    ],
)
def test_what_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    """Is told with its place; the function itself can be had."""
    with pytest.raises(ConfigurationError, match=message):
        url(tmp_path, text)


def test_the_function_does_not_need_it(tmp_path: Path) -> None:
    """Whoever only invokes it is not kept from that."""
    loaded = load(tmp_path, HEAD + PLAIN.replace("}", ", FunctionUrlConfig: !ImportValue x}"))
    assert loaded.find("F").handler == "a.b"
    with pytest.raises(ConfigurationError, match="cannot be resolved"):
        loaded.url("F")
