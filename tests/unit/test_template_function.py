"""Tests of `emulator.template.function`: properties, layers and code folders of one function."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator import template
from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from tests.templates import FUNCTION, function_with, load, write

LAYERS = """
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layer/}
  Plain:
    Type: AWS::Lambda::LayerVersion
    Properties: {Content: !Sub "${Folder}/layer"}
  Conditional:
    Type: AWS::Serverless::LayerVersion
    Condition: Never
    Properties: {ContentUri: layer}
  Empty: {Type: AWS::Serverless::LayerVersion}
  Zipped:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layer.zip}
  Table: {Type: AWS::DynamoDB::Table}
"""
BEFORE = """
Parameters:
  Folder: {Type: String, Default: .}
  Memory: {Type: Number, Default: 512}
  Flag: {Type: String, Default: true}
Conditions:
  Never: !Equals [a, b]
"""


def refusal(folder: Path, properties: str, *, before: str = BEFORE, after: str = LAYERS) -> str:
    """What the error says after the file's name."""
    with pytest.raises(ConfigurationError) as caught:
        function_with(folder, properties, before=before, after=after)
    return caught.value.message.removeprefix(f"{folder}/template.yaml:")


def test_defaults(tmp_path: Path) -> None:
    """Lambda's own, and the template's folder for the code."""
    assert function_with(tmp_path, "") == FunctionConfig(
        name="F", handler="app.handler", runtime="python3.13", code=tmp_path.resolve()
    )


def test_every_property(tmp_path: Path) -> None:
    """Each lands in its field."""
    properties = """
CodeUri: src/
MemorySize: 1024
Timeout: 60
EphemeralStorage: {Size: 2048}
Architectures: [arm64]
ReservedConcurrentExecutions: 0
FunctionName: real-name
PackageType: Zip
Layers: [!Ref Layer]
Environment: {Variables: {A: b}}
"""
    assert function_with(tmp_path, properties, after=LAYERS) == FunctionConfig(
        name="real-name",
        handler="app.handler",
        runtime="python3.13",
        code=(tmp_path / "src").resolve(),
        architecture="arm64",
        memory_mb=1024,
        timeout_s=60,
        ephemeral_storage_mb=2048,
        reserved_concurrency=0,
        layers=((tmp_path / "layer").resolve(),),
        environment={"A": "b"},
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("512", 512),
        ("'512'", 512),
        ("!Ref Memory", 512),
        ("!Sub '${Memory}'", 512),
        ("-1", -1),
        ("0", 0),
        ("999999", 999999),
        ("!Ref AWS::NoValue", 128),
    ],
)
def test_whole_numbers(tmp_path: Path, written: str, expected: int) -> None:
    """Text of digits is one, as for CloudFormation; whether Lambda takes it is not asked here."""
    assert function_with(tmp_path, f"MemorySize: {written}", before=BEFORE).memory_mb == expected


@pytest.mark.parametrize("key", ["MemorySize", "Timeout", "ReservedConcurrentExecutions", "EphemeralStorage.Size"])
@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("512.5", "'512.5' is not a whole number"),
        ("512.0", "'512.0' is not a whole number"),
        ("abc", "'abc' is not a whole number"),
        ("true", "'true' is not a whole number"),
        ("!Ref Flag", "'true' is not a whole number"),
        ("1_000", "'1_000' is not a whole number"),
        ("0512", "'0512' is not a whole number"),
        ("0x200", "'0x200' is not a whole number"),
        ("' 512'", "' 512' is not a whole number"),
        ("''", "'' is not a whole number"),
        ("\u0665\u0661\u0662", "'\u0665\u0661\u0662' is not a whole number"),
        ("9" * 5000, f"'{'9' * 5000}' is not a whole number"),
        ("[512]", "one value is needed here, not a list"),
        ("", "there is no value"),
    ],
)
def test_what_is_no_whole_number(tmp_path: Path, key: str, written: str, complaint: str) -> None:
    """Booleans are none, though Python says so."""
    properties = f"{key}: {written}" if "." not in key else f"EphemeralStorage:\n  Size: {written}"
    line = 13 if "." not in key else 14
    assert refusal(tmp_path, properties) == f"{line}: Resources.F.Properties.{key}: {complaint}"


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        ("EphemeralStorage: {}", "13: Resources.F.Properties.EphemeralStorage: Size is missing"),
        ("EphemeralStorage: 512", "13: Resources.F.Properties.EphemeralStorage: a mapping is needed here"),
        ("Architectures: arm64", "13: Resources.F.Properties.Architectures: a list is needed here, not one value"),
        ("Architectures: []", "13: Resources.F.Properties.Architectures: Architectures is a list of one"),
        ("Architectures: [arm64, x86_64]", "13: Resources.F.Properties.Architectures: Architectures is a list of one"),
        ("Architectures: [x86]", "13: Resources.F.Properties.Architectures: Architectures is a list of one"),
        ("PackageType: Tar", "13: Resources.F.Properties.PackageType: 'Tar' is neither Zip nor Image"),
        ("InlineCode: pass", "13: Resources.F.Properties.InlineCode: this is not supported"),
        ("ImageUri: x", "13: Resources.F.Properties.ImageUri: this is not supported for PackageType: Zip"),
        (
            "ImageConfig: {Command: [x]}",
            "13: Resources.F.Properties.ImageConfig: this is not supported for PackageType: Zip",
        ),
        ("FunctionName: ''", "13: Resources.F.Properties.FunctionName: there is no value"),
        ("FunctionName: [a]", "13: Resources.F.Properties.FunctionName: one value is needed here"),
        ("Environment: {A: b}", "13: Resources.F.Properties.Environment.A: Environment holds nothing but Variables"),
        ("Environment: [a]", "13: Resources.F.Properties.Environment: a mapping is needed here, not a list"),
        ("Environment: {Variables: [a]}", "13: Resources.F.Properties.Environment.Variables: a mapping is needed"),
        ("Environment:\n  Variables:", "14: Resources.F.Properties.Environment.Variables: there is no value"),
        ("Environment: {Variables: {A: [b]}}", "13: Resources.F.Properties.Environment.Variables.A: one value is"),
        ("Environment: {Variables: {A=B: c}}", "13: Resources.F.Properties.Environment.Variables.A=B: this cannot be"),
        ("Environment: {Variables: {'': c}}", "13: Resources.F.Properties.Environment.Variables.: this cannot be"),
        ('Environment: {Variables: {A: "\\0"}}', "13: Resources.F.Properties.Environment.Variables.A: this cannot be"),
        ("Layers: x", "13: Resources.F.Properties.Layers: a list is needed here, not one value"),
        ("Layers: [./layer]", "13: Resources.F.Properties.Layers[0]: ./layer is not a layer of this template"),
        ("Layers:\n  - !Ref Layer\n  - !Ref Table", "15: Resources.F.Properties.Layers[1]: Table is not a layer"),
        ("Layers: [!Ref Empty]", "25: Resources.Empty: ContentUri is missing"),
        ("Layers: [!Ref Zipped]", "28: Resources.Zipped.Properties.ContentUri: layer.zip is a file, not a folder"),
        ("Layers: [!Ref Conditional]", "13: Resources.F.Properties.Layers[0]: the layer Conditional is not part of"),
        (
            "Layers: [arn:aws:lambda:us-east-1:17:layer:Powertools:3]",
            "13: Resources.F.Properties.Layers[0]: arn:aws:lambda:us-east-1:17:layer:Powertools:3 is not a layer of",
        ),
        ("CodeUri: none", "13: Resources.F.Properties.CodeUri: no such folder: none"),
        ("CodeUri: layer.zip", "13: Resources.F.Properties.CodeUri: layer.zip is a file, not a folder"),
        ("CodeUri: layer.zip/x", "13: Resources.F.Properties.CodeUri: 'layer.zip/x' cannot be read: "),
        ("CodeUri: circle", "13: Resources.F.Properties.CodeUri: 'circle' cannot be read: "),
        ('CodeUri: "\\0"', "13: Resources.F.Properties.CodeUri: '\\x00' cannot be read: "),
        (f"CodeUri: {'x' * 300}", "13: Resources.F.Properties.CodeUri: 'xxx"),
        ("CodeUri: s3://bucket/key", "13: Resources.F.Properties.CodeUri: s3://bucket/key is not a local folder"),
        ("CodeUri: {Bucket: b, Key: k}", "13: Resources.F.Properties.CodeUri: code in S3 cannot be had without AWS"),
        ("CodeUri: [src]", "13: Resources.F.Properties.CodeUri: one value is needed here, not a list"),
        ("CodeUri:", "13: Resources.F.Properties.CodeUri: there is no value"),
        (
            "MemorySise: 1",
            "13: Resources.F.Properties.MemorySise: AWS::Serverless::Function has no property MemorySise",
        ),
        ("TimeOut: 1", "13: Resources.F.Properties.TimeOut: AWS::Serverless::Function has no property TimeOut"),
        ("Code: src", "13: Resources.F.Properties.Code: AWS::Serverless::Function has no property Code"),
        ("Fn::Transform: {}", "13: Resources.F.Properties.Fn::Transform: Fn::Transform among properties is not"),
    ],
)
def test_what_is_refused(tmp_path: Path, properties: str, complaint: str) -> None:
    """With line and key path."""
    (tmp_path / "layer.zip").touch()
    (tmp_path / "circle").symlink_to("circle")
    assert refusal(tmp_path, properties).startswith(complaint)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Type: AWS::Serverless::Function", "the function has no Properties"),
        ("Type: AWS::Serverless::Function\n    Properties:", "there is no value"),
        ("Type: AWS::Serverless::Function\n    Properties: {}", "the function has no Properties"),
        ("Type: AWS::Serverless::Function\n    Properties: {Runtime: python3.13}", "Handler is missing"),
        ("Type: AWS::Serverless::Function\n    Properties: {Runtime: python3.13, Handler: ''}", "Handler is missing"),
        ("Type: AWS::Serverless::Function\n    Properties: {Handler: a.b}", "Runtime is missing"),
        (
            "Type: AWS::Serverless::Function\n    Properties: {Handler: a.b, PackageType: Image}",
            "does not go with this",
        ),
        ("Type: AWS::Serverless::Function\n    Properties: {PackageType: Image}", "ImageUri is missing"),
        ("Type: AWS::Lambda::Function\n    Properties: {Handler: a.b, Runtime: python3.13}", "Code is missing"),
        ("Type: AWS::Lambda::Function\n    Properties: {Code: {ZipFile: x}}", "inline code is not supported here"),
        ("Type: AWS::Lambda::Function\n    Properties: {Code: {S3Bucket: x}}", "code in S3 cannot be had without AWS"),
        ("Type: AWS::Lambda::Function\n    Properties: {Code: {X: x}}", "one value is needed here, not a mapping"),
        (
            "Type: AWS::Lambda::Function\n    Properties: {CodeUri: src}",
            "AWS::Lambda::Function has no property CodeUri",
        ),
        ("Type: AWS::Lambda::Function\n    Properties: {PackageType: Image, Code: {}}", "ImageUri is missing"),
    ],
)
def test_functions_that_lack_something(tmp_path: Path, text: str, complaint: str) -> None:
    """The resource's own line stands for what is not there."""
    with pytest.raises(ConfigurationError, match=rf"template\.yaml:[2-4]: Resources\.F.*{complaint}"):
        load(tmp_path, f"Resources:\n  F:\n    {text}\n").find("F")


def test_a_plain_cloudformation_function(tmp_path: Path) -> None:
    """`Code` is a local folder, and Globals are not for it."""
    text = """
Globals: {Function: {Timeout: 9, Handler: x.y}}
Resources:
  F:
    Type: AWS::Lambda::Function
    Properties: {Code: src, Handler: a.b, Runtime: nodejs22.x}
"""
    config = load(tmp_path, text).find("F")
    assert config == FunctionConfig(name="F", handler="a.b", runtime="nodejs22.x", code=(tmp_path / "src").resolve())


@pytest.mark.parametrize(
    "text",
    [
        "Type: AWS::Serverless::Function\n    Properties: {PackageType: Image, ImageUri: !Sub 'app:${AWS::Region}'}",
        "Type: AWS::Lambda::Function\n    Properties: {PackageType: Image, Code: {ImageUri: 'app:us-east-1'}}",
    ],
)
def test_images(tmp_path: Path, text: str) -> None:
    """Handler and runtime are the image's own affair."""
    config = load(tmp_path, f"Resources:\n  F:\n    {text}\n").find("F")
    assert (config.image, config.handler, config.runtime, config.layers) == ("app:us-east-1", "", "", ())


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::Serverless::Function", "ImageUri: app"),
        ("AWS::Lambda::Function", "Code: {ImageUri: app}"),
    ],
)
def test_image_config(tmp_path: Path, kind: str, properties: str) -> None:
    """What takes the place of the image's own ENTRYPOINT, CMD and WORKDIR, each by itself."""
    given = "EntryPoint: [/app/start, !Ref AWS::Region], Command: [a.b], WorkingDirectory: /app"
    whole = f"Type: {kind}, Properties: {{PackageType: Image, {properties}, ImageConfig: {{{given}}}}}"
    config = load(tmp_path, f"Resources: {{F: {{{whole}}}}}").find("F")
    assert (config.entry_point, config.command) == (("/app/start", "us-east-1"), ("a.b",))
    assert config.working_directory == "/app"
    one = f"Type: {kind}, Properties: {{PackageType: Image, {properties}, ImageConfig: {{Command: [x, y]}}}}"
    config = load(tmp_path, f"Resources: {{F: {{{one}}}}}").find("F")
    assert (config.entry_point, config.command, config.working_directory) == ((), ("x", "y"), "")


def test_image_config_that_is_misspelt(tmp_path: Path) -> None:
    """A slip would go unnoticed."""
    text = (
        "Resources: {F: {Type: AWS::Serverless::Function, Properties: {PackageType: Image, ImageUri: a, ImageConfig: "
    )
    with pytest.raises(ConfigurationError, match="ImageConfig has no Entrypoint") as caught:
        load(tmp_path, text + "{Entrypoint: [x]}}}}").find("F")
    assert "EntryPoint" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "layers",
    [
        "[!Ref Layer, !Ref Plain]",
        "[!Sub '${Layer}', !If [Never, nothing, !Ref Plain]]",
        "[!Ref Layer, !Ref AWS::NoValue, !GetAtt Plain.LayerVersionArn]",
        "!If [Never, [], [!Ref Layer, !Ref Plain]]",
    ],
)
def test_layers(tmp_path: Path, layers: str) -> None:
    """Layers of the template, however they are referred to, in their order."""
    config = function_with(tmp_path, f"Layers: {layers}", before=BEFORE, after=LAYERS)
    assert config.layers == ((tmp_path / "layer").resolve(),) * 2


def test_properties_that_do_not_matter_are_not_resolved(tmp_path: Path) -> None:
    """Nothing that needs AWS stands in the way of what does not."""
    nothing = "ImageConfig: !Ref AWS::NoValue\nInlineCode: !Ref AWS::NoValue\nImageUri: !Ref AWS::NoValue"
    assert function_with(tmp_path, nothing) == function_with(tmp_path, "")
    unresolvable = "!ImportValue nowhere"
    ignored = [
        "Role",
        "Policies",
        "Events",
        "Tags",
        "Description",
        "Tracing",
        "VpcConfig",
        "SnapStart",
        "DeploymentPreference",
        "AutoPublishAlias",
        "RuntimeManagementConfig",
        "RuntimePolicy",
        "ProvisionedConcurrencyConfig",
        "FunctionUrlConfig",
        "CodeSigningConfigArn",
        "FileSystemConfigs",
        "DurableConfig",
        "TracingConfig",
        "SomethingNew",
    ]
    properties = "\n".join(f"{key}: {unresolvable}" for key in ignored)
    assert function_with(tmp_path, properties) == function_with(tmp_path, "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", "true"),
        ("False", "false"),
        ("1", "1"),
        ("1.50", "1.50"),
        ("2012-10-17", "2012-10-17"),
        ("22:22", "22:22"),
        ("0123", "0123"),
        ("1e3", "1e3"),
        ("''", ""),
        ("'null'", "null"),
    ],
)
def test_environment_values_are_text_as_written(tmp_path: Path, value: str, expected: str) -> None:
    """CloudFormation passes the text on; YAML's own types would change it."""
    assert function_with(tmp_path, f"Environment: {{Variables: {{A: {value}}}}}").environment == {"A": expected}


def test_a_function_whose_condition_does_not_hold(tmp_path: Path) -> None:
    """It is not part of the stack, so it cannot be invoked."""
    text = BEFORE.strip() + FUNCTION + "    Condition: Never\n"
    with pytest.raises(
        ConfigurationError, match=r"template.yaml:8: Resources\.F: the function is not part of the stack"
    ):
        load(tmp_path, text).find("F")


def test_a_number_that_is_none_has_a_hint(tmp_path: Path) -> None:
    """What to write instead."""
    with pytest.raises(ConfigurationError) as caught:
        function_with(tmp_path, 'MemorySize: "lots"')
    assert "for instance 512" in (caught.value.hint or "")


def test_values_that_are_judged_later_have_their_places(tmp_path: Path) -> None:
    """As the file was named; what the command line replaces stands in no file."""
    config = function_with(tmp_path, "MemorySize: 64\nTimeout: 5")
    path = tmp_path / "template.yaml"
    assert config.told("MemorySize") == f"{path}:8: Resources.F.Properties.MemorySize: F"
    assert config.told("Runtime") == f"{path}:7: Resources.F.Properties.Runtime: F"
    assert config.told("Layers") == "F"
    assert config.overridden(memory_mb=128).told("MemorySize") == "F"
    assert config.overridden(memory_mb=128).told("Timeout") == config.told("Timeout") != "F"


def test_the_hint_about_paths_names_the_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template of the current folder lies in `.`, which with a full stop behind it reads as the parent."""
    write(tmp_path, FUNCTION + "      CodeUri: nowhere/\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        template.load(Path("template.yaml")).find("F")
    assert caught.value.hint == f"Paths are relative to the template's folder, {tmp_path.resolve()}."
