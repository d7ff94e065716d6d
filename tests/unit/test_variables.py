"""The environment a function finds: Lambda's names and values, and what it may not set itself."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import variables
from emulator.config import FunctionConfig, LoggingConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = time.struct_time((2026, 3, 9, 23, 59, 59, 0, 68, 0))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))

# Variables of a python3.14 function, LocalStack's snapshot against AWS of 2026-01-12, without those that come later: by
# the sandbox (AWS_LAMBDA_RUNTIME_API), by the shell before the runtime (PWD, SHLVL) and by the runtime itself
# (_X_AMZN_TRACE_ID, PYTHONPATH).
DUMPED = {
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "LANG",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "SHLVL",
    "TZ",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
}


def function(environment: Mapping[str, str] | None = None) -> FunctionConfig:
    """Give the function `Hello` of 512 MB on Python 3.12."""
    return FunctionConfig(
        name="Hello",
        handler="app.handler",
        runtime="python3.12",
        code=Path(),
        memory_mb=512,
        environment=environment or MappingProxyType({}),
    )


def test_names_are_lambdas() -> None:
    """No name is missing and none is ours: no HOME, and the Runtime API's address is the sandbox's to add."""
    assert set(variables.function_variables(function(), NOW)) == DUMPED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.12"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_FUNCTION_NAME", "Hello"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/Hello"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
        ("TZ", ":UTC"),
        ("_HANDLER", "app.handler"),
    ],
)
def test_values_are_lambdas(name: str, value: str) -> None:
    """Those that say something about the function, its place and its time zone."""
    assert variables.function_variables(function(), NOW)[name] == value


def test_os_only_runtime() -> None:
    """No language's folders, and no AWS_EXECUTION_ENV ("Using environment variables", guide, 2026-07)."""
    found = variables.function_variables(replace(function(), runtime="provided.al2023"), NOW)
    assert set(found) == DUMPED - {"AWS_EXECUTION_ENV", "LC_CTYPE", "SHLVL"}
    assert found["PATH"] == "/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    assert "/var/lang" not in found["LD_LIBRARY_PATH"]
    assert found["_HANDLER"] == "app.handler"


def test_image() -> None:
    """Paths, language and handler are the image's own; its name in AWS_EXECUTION_ENV from user agents of 2025-03."""
    found = variables.function_variables(replace(function({"MODEL": "small"}), runtime="", image="app:1"), NOW)
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_Image"
    own = {"LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "SHLVL", "TZ"}
    assert set(found) == (DUMPED | {"MODEL"}) - own - {"_HANDLER"}


def test_the_functions_own_variables_are_added() -> None:
    """What is not reserved may be replaced too, as PATH may on Lambda."""
    found = variables.function_variables(function({"MODEL": "small", "PATH": "/opt/bin"}), NOW)
    assert (found["MODEL"], found["PATH"]) == ("small", "/opt/bin")
    assert set(found) == DUMPED | {"MODEL"}


def test_credentials_open_nothing() -> None:
    """They are there, so that a client can be made, and say what they are."""
    found = variables.function_variables(function(), NOW)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert "placeholder" in found[name].lower()


def test_log_stream_is_one_for_each_environment() -> None:
    """The day in UTC, the version and 32 digits that differ from environment to environment."""
    names = {variables.log_stream_name(NOW) for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(r"2026/03/09/\[\$LATEST\][0-9a-f]{32}", name) for name in names)


def test_function_arn() -> None:
    """The shape that handlers take apart: seven fields, the name last."""
    assert variables.function_arn("Hello") == "arn:aws:lambda:us-east-1:123456789012:function:Hello"


@pytest.mark.parametrize(
    "name",
    [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    ],
)
def test_reserved(name: str) -> None:
    """The guide's list of 2026-07, each found among others."""
    assert variables.reserved({"MINE": "1", name: "1"}) == [name]


@pytest.mark.parametrize(
    "name",
    ["LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TZ", "aws_region"],
)
def test_not_reserved(name: str) -> None:
    """Lambda lets a function set these, and names have a case."""
    assert variables.reserved({name: "1"}) == []


def test_reserved_names_are_sorted() -> None:
    """The message is the same whatever order the template had."""
    assert variables.reserved({"_HANDLER": "", "AWS_REGION": ""}) == ["AWS_REGION", "_HANDLER"]


@pytest.mark.parametrize(
    ("environment", "size"),
    [({}, 2), ({"A": "b"}, 9), ({"A": "é"}, 10), ({"A": "€"}, 11), ({"A": '"'}, 10), ({"A": "b", "C": "d"}, 17)],
)
def test_measured_bytes(environment: dict[str, str], size: int) -> None:
    """Quotes and commas count, and letters beyond ASCII count as UTF-8."""
    assert variables.measured_bytes(environment) == size


@given(environment=st.dictionaries(TEXT, TEXT, max_size=4))
def test_measured_bytes_hold_everything(environment: dict[str, str]) -> None:
    """Never less than the names and values, never more than JSON with blanks and escapes."""
    bare = sum(len(name.encode()) + len(value.encode()) for name, value in environment.items())
    spelt = len(json.dumps(environment).encode())
    assert bare <= variables.measured_bytes(environment) <= max(spelt, 2)


def test_logging_as_configured() -> None:
    """The runtime client reads format and level; a group of one's own has the function's name in its streams."""
    logging = LoggingConfig(format="JSON", application_level="DEBUG", system_level="WARN", group="/shared")
    found = variables.function_variables(replace(function(), logging=logging), NOW)
    assert found["AWS_LAMBDA_LOG_FORMAT"] == "JSON"
    assert found["AWS_LAMBDA_LOG_LEVEL"] == "DEBUG"
    assert found["AWS_LAMBDA_LOG_GROUP_NAME"] == "/shared"
    assert re.fullmatch(r"2026/03/09/Hello\[\$LATEST\][0-9a-f]{32}", found["AWS_LAMBDA_LOG_STREAM_NAME"])
    text = variables.function_variables(replace(function(), logging=LoggingConfig()), NOW)
    assert not {"AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"} & text.keys()
