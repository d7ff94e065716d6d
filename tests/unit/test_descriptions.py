"""Functions as the API describes them: botocore knows every member, and none has the wrong type."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import pytest

from emulator.config import AsynchronousConfig, FunctionConfig, LoggingConfig
from emulator.serving import descriptions
from emulator.serving.descriptions import code_facts


@pytest.fixture
def config(tmp_path: Path) -> FunctionConfig:
    """Give a function with everything."""
    for name in ("code", "layer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text("x = 1\n")
    return FunctionConfig(
        name="F",
        handler="app.handler",
        runtime="python3.13",
        code=tmp_path / "code",
        layers=(tmp_path / "layer",),
        environment={"A": "b"},
        reserved_concurrency=5,
        asynchronous=AsynchronousConfig(dead_letter="arn:aws:sqs:us-east-1:123456789012:q"),
    )


def described(config: FunctionConfig) -> dict[str, Any]:
    """Its FunctionConfiguration."""
    layers = {layer: code_facts(layer).size for layer in config.layers}
    return descriptions.configuration(config, code_facts(config.code), layers)


def problems(value: object, shape: str) -> list[str]:
    """What botocore finds wrong with a value of this shape; members it does not know are wrong too."""
    description = botocore.loaders.Loader().load_service_model("lambda", "service-2")
    model = botocore.model.ServiceModel(description, "lambda").shape_for(shape)
    report = botocore.validate.ParamValidator().validate(value, model)
    return [report.generate_report()] if report.has_errors() else []


def test_the_model_knows_it_all(config: FunctionConfig) -> None:
    """Of a zip and of an image."""
    assert problems(described(config), "FunctionConfiguration") == []
    assert problems(descriptions.function(config, described(config)), "GetFunctionResponse") == []
    image = replace(config, image="app:latest", handler="", runtime="", layers=())
    assert problems(descriptions.function(image, described(image)), "GetFunctionResponse") == []
    account = descriptions.account_settings(concurrency=10, unreserved=5, code_size=7, functions=1)
    assert problems(account, "GetAccountSettingsResponse") == []


def test_an_image(config: FunctionConfig) -> None:
    """What ImageConfig overrides is told, where it overrides; the files of the template's folder are not its code."""
    image = replace(config, image="app:latest", handler="", runtime="", layers=())
    facts = descriptions.image_facts("app:latest", image.code)
    assert "ImageConfigResponse" not in descriptions.configuration(image, facts, {})
    found = descriptions.configuration(replace(image, entry_point=("/start",), working_directory="/app"), facts, {})
    assert found["ImageConfigResponse"] == {"ImageConfig": {"EntryPoint": ["/start"], "WorkingDirectory": "/app"}}
    assert (found["PackageType"], found["CodeSize"]) == ("Image", 0)
    assert problems(found, "FunctionConfiguration") == []


def test_the_figures_are_the_functions(config: FunctionConfig) -> None:
    """What its author would look at."""
    found = described(config)
    assert (found["FunctionName"], found["Handler"], found["Runtime"]) == ("F", "app.handler", "python3.13")
    assert (found["MemorySize"], found["Timeout"], found["EphemeralStorage"]) == (128, 3, {"Size": 512})
    assert (found["State"], found["LastUpdateStatus"], found["Version"]) == ("Active", "Successful", "$LATEST")
    assert found["Environment"] == {"Variables": {"A": "b"}}
    assert found["Layers"] == [{"Arn": "arn:aws:lambda:us-east-1:123456789012:layer:layer:1", "CodeSize": 6}]
    assert descriptions.function(config, found)["Concurrency"] == {"ReservedConcurrentExecutions": 5}


def test_how_it_logs(config: FunctionConfig) -> None:
    """Format, levels and group as the template has them; no levels in text."""
    assert described(config)["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/F"}
    logging = LoggingConfig(format="JSON", application_level="DEBUG", system_level="WARN", group="/mine")
    assert described(replace(config, logging=logging))["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "DEBUG",
        "SystemLogLevel": "WARN",
        "LogGroup": "/mine",
    }


def test_the_hash_is_of_names_and_contents(tmp_path: Path) -> None:
    """The time does not matter, nor what a run leaves behind."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "a.py").write_text("1")
    (folder / "link").symlink_to("nowhere")
    first = code_facts(folder)
    os.utime(folder / "a.py", (1.0, 1.0))
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("x")
    assert code_facts(folder).sha256 == first.sha256
    (folder / "a.py").write_text("2")
    second = code_facts(folder)
    assert second.sha256 != first.sha256
    (folder / "a.py").rename(folder / "b.py")
    assert code_facts(folder).sha256 not in {first.sha256, second.sha256}


def test_the_revision_follows_code_and_configuration(config: FunctionConfig) -> None:
    """And nothing else."""
    first = described(config)["RevisionId"]
    assert described(config)["RevisionId"] == first
    assert described(replace(config, memory_mb=256))["RevisionId"] != first
    (config.code / "app.py").write_text("x = 2\n")
    assert described(config)["RevisionId"] != first


def test_an_empty_folder(tmp_path: Path) -> None:
    """Has a time of its own."""
    assert code_facts(tmp_path).size == 0
