"""What clients read before they invoke: functions and the account, as the SDK decodes them."""

from __future__ import annotations

import base64
import re

import pytest

from tests.conformance.recorded.cloud import ARN, CONCURRENCY, HERE, RESERVED, RUNTIME, Cloud
from tests.conformance.recorded.sources import LEVELS, MEMORY, MODEL, QUOTAS, RECORDED_LIMITS, case, recorded
from tests.serving import refused

MACHINE = "x86_64"  # the default of the API's model, wherever this runs


@recorded(MODEL)
def test_get_function(aws: Cloud) -> None:
    """Configuration and where the code is."""
    found = aws.client.get_function(FunctionName="Look")
    assert found["Code"]["RepositoryType"] == "S3"
    assert found["Code"]["Location"]
    assert found["Configuration"]["FunctionArn"] == f"{ARN}:Look"
    assert "Concurrency" not in found


@recorded(MODEL)
def test_get_function_tells_the_reserved_concurrency(aws: Cloud) -> None:
    """Zero too."""
    for name, reserved in (("Single", RESERVED), ("Never", 0)):
        assert aws.client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": reserved}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        case("name", MODEL, "FunctionName", "Look"),
        case("ARN", MODEL, "FunctionArn", f"{ARN}:Look"),
        case("runtime", MODEL, "Runtime", RUNTIME),
        case("handler", MODEL, "Handler", "look.handler"),
        case("timeout", MODEL, "Timeout", 30),
        case("memory", MODEL, "MemorySize", 1769),
        case("version", MODEL, "Version", "$LATEST"),
        case("state", MODEL, "State", "Active"),
        case("last update", MODEL, "LastUpdateStatus", "Successful"),
        case("package type", MODEL, "PackageType", "Zip"),
        case("architectures", MODEL, "Architectures", [MACHINE]),
        case("ephemeral storage", QUOTAS, "EphemeralStorage", {"Size": 512}),
        case("log group", MODEL, "LoggingConfig", {"LogFormat": "Text", "LogGroup": "/aws/lambda/Look"}),
        case("tracing", MODEL, "TracingConfig", {"Mode": "PassThrough"}),
    ],
)
def test_configuration(aws: Cloud, member: str, value: object) -> None:
    """GetFunctionConfiguration, member by member."""
    assert aws.client.get_function_configuration(FunctionName="Look")[member] == value


@recorded(MODEL)
def test_forms_of_members(aws: Cloud) -> None:
    """A digest in Base64, a date with milliseconds and zone, a role's ARN."""
    found = aws.client.get_function_configuration(FunctionName="Look")
    assert len(base64.b64decode(found["CodeSha256"], validate=True)) == 32
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", found["LastModified"])
    assert re.fullmatch(r"arn:aws:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+", found["Role"])
    assert found["CodeSize"] == sum(
        path.stat().st_size for path in HERE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )


@pytest.mark.parametrize(
    ("name", "member", "value"),
    [
        case("default memory", MEMORY, "Default", "MemorySize", 128),
        case("default timeout", QUOTAS, "Default", "Timeout", 3),
        case("most memory", QUOTAS, "Most", "MemorySize", 10240),
        case("longest timeout", QUOTAS, "Most", "Timeout", 900),
        case("most ephemeral storage", QUOTAS, "Most", "EphemeralStorage", {"Size": 10240}),
        case("variables", MODEL, "LookSet", "Environment", {"Variables": {"COLOUR": "blue", "LANG": "C"}}),
        case(
            "JSON log",
            LEVELS,
            "LookJson",
            "LoggingConfig",
            {
                "LogFormat": "JSON",
                "ApplicationLogLevel": "INFO",
                "SystemLogLevel": "INFO",
                "LogGroup": "/aws/lambda/LookJson",
            },
        ),
    ],
)
def test_other_functions(aws: Cloud, name: str, member: str, value: object) -> None:
    """Defaults, limits and what was set."""
    assert aws.client.get_function_configuration(FunctionName=name)[member] == value


@recorded(MODEL)
def test_layers(aws: Cloud) -> None:
    """In their order, each with an ARN and its size."""
    layers = aws.client.get_function_configuration(FunctionName="Merged")["Layers"]
    names = [re.fullmatch(r"arn:aws:lambda:us-east-1:\d{12}:layer:(\w+):\d+", layer["Arn"]) for layer in layers]
    assert [name[1] for name in names if name] == ["first", "second"]
    assert all(layer["CodeSize"] > 0 for layer in layers)


@pytest.mark.parametrize("call", [case(name, RECORDED_LIMITS, name) for name in ("function", "function_configuration")])
def test_reads_of_what_is_not_there(aws: Cloud, call: str) -> None:
    """404; the ARN has the qualifier only where one was named."""
    read = getattr(aws.client, f"get_{call}")
    words = f"Function not found: {ARN}:nope"
    assert refused(read, FunctionName="nope") == (404, "ResourceNotFoundException", words)
    assert refused(read, FunctionName="nope", Qualifier="1")[2] == f"{words}:1"


@recorded(MODEL)
def test_pages_of_functions(aws: Cloud) -> None:
    """As many as asked for, by name, and a marker for the next."""
    first = aws.client.list_functions(MaxItems=2)
    second = aws.client.list_functions(MaxItems=2, Marker=first["NextMarker"])
    names = [function["FunctionName"] for page in (first, second) for function in page["Functions"]]
    assert len(set(names)) == 4
    everyone = [
        function["FunctionName"]
        for page in aws.client.get_paginator("list_functions").paginate()
        for function in page["Functions"]
    ]
    assert everyone[:4] == names
    assert {"Look", "Echo", "Web"} <= set(everyone)
    assert "NextMarker" not in aws.client.list_functions(MaxItems=len(everyone))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        case("concurrency", QUOTAS, "ConcurrentExecutions", CONCURRENCY),
        case("unreserved", QUOTAS, "UnreservedConcurrentExecutions", CONCURRENCY - RESERVED),
        case("unzipped", RECORDED_LIMITS, "CodeSizeUnzipped", 262_144_000),
        case("zipped", RECORDED_LIMITS, "CodeSizeZipped", 52_428_800),
        case("code storage", QUOTAS, "TotalCodeSize", 300 * 1024**3),
    ],
)
def test_account(aws: Cloud, member: str, value: int) -> None:
    """GetAccountSettings, member by member."""
    assert aws.client.get_account_settings()["AccountLimit"][member] == value


@recorded(MODEL)
def test_waiters(aws: Cloud) -> None:
    """The SDK's own, which programs call after they have deployed."""
    for name in ("function_active_v2", "function_updated_v2", "function_exists"):
        aws.client.get_waiter(name).wait(FunctionName="Echo")


@recorded(MODEL)
def test_url_configuration(aws: Cloud) -> None:
    """Where a function has one, and 404 where it has none."""
    found = aws.client.get_function_url_config(FunctionName="Web")
    assert (found["FunctionUrl"].rstrip("/"), found["AuthType"]) == (aws.served.urls["Web"], "NONE")
    assert found["InvokeMode"] == "BUFFERED"
    assert refused(aws.client.get_function_url_config, FunctionName="Echo")[:2] == (404, "ResourceNotFoundException")
