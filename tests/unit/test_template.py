"""Tests of `emulator.template`: finding functions, overrides and the environment file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulator import template
from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from tests.templates import FUNCTION, load, write

STACK = """
Parameters:
  Stage: {Type: String, Default: dev}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Resources:
  SentimentFunction:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Runtime: python3.13, FunctionName: !Sub "${Stage}-sentiment"}
  Broken:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Runtime: python3.13, CodeUri: nowhere, FunctionName: !ImportValue x}
  SimilarityFunction:
    Type: AWS::Lambda::Function
    Properties:
      Handler: c.d
      Runtime: python3.13
      Code: src
      Environment: {Variables: {TABLE: !GetAtt Table.Arn, OTHER: !Ref SentimentFunction}}
  OnlyProd:
    Type: AWS::Serverless::Function
    Condition: IsProd
    Properties: {Handler: e.f, Runtime: python3.13, FunctionName: only-prod}
  Table:
    Type: AWS::DynamoDB::Table
  Strange: text
"""


def complaint(call: Callable[[], object]) -> ConfigurationError:
    """The error that a call raises."""
    with pytest.raises(ConfigurationError) as caught:
        call()
    return caught.value


def test_names_are_those_of_functions_in_order(tmp_path: Path) -> None:
    """Reading the file settles none of them: broken ones and those whose condition does not hold are there too."""
    assert load(tmp_path, STACK).names == ("SentimentFunction", "Broken", "SimilarityFunction", "OnlyProd")


@pytest.mark.parametrize("name", ["SentimentFunction", "dev-sentiment"])
def test_a_function_is_found_by_both_names(tmp_path: Path, name: str) -> None:
    """Its own name is the one that Lambda gives it; a broken function beside it does no harm."""
    assert load(tmp_path, STACK).find(name).name == "dev-sentiment"


def test_a_logical_id_goes_before_another_function_s_name(tmp_path: Path) -> None:
    """As in `sam local`."""
    text = FUNCTION + "      FunctionName: G\n" + FUNCTION.split("Resources:\n")[1].replace("F:", "G:", 1)
    loaded = load(tmp_path, text + "      Timeout: 9\n")
    assert (loaded.find("G").timeout_s, loaded.find("F").timeout_s) == (9, 3)
    assert loaded.aliases == {"F": "F", "G": "G"}


def test_aliases_leave_out_what_cannot_be_settled(tmp_path: Path) -> None:
    """Names that need AWS, and names of functions that are not part of the stack."""
    logical_ids = {name: name for name in ("SentimentFunction", "Broken", "SimilarityFunction", "OnlyProd")}
    assert load(tmp_path, STACK).aliases == logical_ids | {"dev-sentiment": "SentimentFunction"}
    prod = load(tmp_path, STACK, {"Stage": "prod"}).aliases
    assert prod == logical_ids | {"prod-sentiment": "SentimentFunction", "only-prod": "OnlyProd"}


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("SentimentFuncton", "template.yaml: no function 'SentimentFuncton'", "Did you mean SentimentFunction"),
        ("dev-sentimnet", "template.yaml: no function 'dev-sentimnet'", "Did you mean dev-sentiment"),
        ("only-prod", "template.yaml: no function 'only-prod'", "Did you mean OnlyProd? There is: SentimentFunction, "),
        (
            "",
            "template.yaml: no function ''",
            "There is: SentimentFunction, Broken, SimilarityFunction, OnlyProd, dev-",
        ),
        ("Table", "template.yaml:24: Resources.Table: not a function but AWS::DynamoDB::Table", "There is: Sentiment"),
        ("Strange", "template.yaml:26: Resources.Strange: not a function but a resource without Type", "There is: "),
        ("OnlyProd", "template.yaml:20: Resources.OnlyProd: the function is not part of the stack", "--parameter-over"),
        ("Broken", "template.yaml:12: Resources.Broken.Properties.CodeUri: no such folder: nowhere", "relative to"),
        (
            "SimilarityFunction",
            "template.yaml:19: Resources.SimilarityFunction.Properties.Environment.Variables.TABLE",
            "e",
        ),
    ],
)
def test_what_is_not_found(tmp_path: Path, name: str, message: str, hint: str) -> None:
    """Nearest names are offered and all are listed."""
    error = complaint(lambda: load(tmp_path, STACK).find(name))
    assert error.message.startswith(f"{tmp_path}/{message}")
    assert hint in (error.hint or "")
    assert error.exit_code == 2


def test_a_template_without_functions_says_so(tmp_path: Path) -> None:
    """Functions that Fn::ForEach would make are not there, which is told."""
    error = complaint(lambda: load(tmp_path, "Resources: {}").find("F"))
    assert error.hint == "There is none at all."
    text = "Resources: {'Fn::ForEach::Each': [x, [a], {}], Table: {Type: AWS::DynamoDB::Table}}"
    assert "Fn::ForEach" in (complaint(lambda: load(tmp_path, text).find("F")).hint or "")


def test_given_variables_are_not_resolved(tmp_path: Path) -> None:
    """So a function that needs a table's ARN can run all the same."""
    config = load(tmp_path, STACK).find("SimilarityFunction", environment={"TABLE": "arn", "NEW": "x"})
    assert config.environment == {"OTHER": "dev-sentiment", "TABLE": "arn", "NEW": "x"}


def test_all_settles_every_function_of_the_stack(tmp_path: Path) -> None:
    """Those whose condition does not hold are not part of it; a broken one is an error here."""
    text = STACK.replace("CodeUri: nowhere, FunctionName: !ImportValue x", "CodeUri: src").replace(
        "Table.Arn", "Broken.Arn"
    )
    assert [config.name for config in load(tmp_path, text).all()] == ["dev-sentiment", "Broken", "SimilarityFunction"]
    assert [config.name for config in load(tmp_path, text, {"Stage": "prod"}).all()][-1] == "only-prod"
    assert "Broken" in complaint(lambda: load(tmp_path, STACK).all()).message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: the file is empty"),
        ("- a\n- b\n", "1: this is not a template: a mapping with Resources is needed"),
        ("text", "1: this is not a template: a mapping with Resources is needed"),
        ("!Ref x", "1: this is not a template: a mapping with Resources is needed"),
        ("{}", "1: Resources is missing"),
        ("# x\nTransform: AWS::Serverless-2016-10-31\n", "2: Resources is missing"),
        ("Resources:\n", "1: Resources: there is no value"),
        ("Resources: []", "1: Resources: a mapping is needed here, not a list"),
        ("Resources: {'Fn::ForEach::X': []}", "1: Resources: Fn::ForEach::X is not supported here"),
        ("Resources: {}\nParameters:\n", "2: Parameters: there is no value"),
        ("Resources: {}\nConditions: []\n", "2: Conditions: a mapping is needed here, not a list"),
        ("Resources: {}\nMappings: x\n", "2: Mappings: a mapping is needed here, not one value"),
        ("Resources: {}\nGlobals: x\n", "2: Globals: a mapping is needed here, not one value"),
        ("Resources: {}\nResources: {}\n", "2: the key 'Resources' stands here and on line 1"),
    ],
)
def test_what_is_no_template(tmp_path: Path, text: str, message: str) -> None:
    """Said when it is read, with the line."""
    assert complaint(lambda: load(tmp_path, text)).message == f"{tmp_path}/template.yaml:{message}"


def test_a_parameter_that_the_template_does_not_have(tmp_path: Path) -> None:
    """A slip of the pen would go unnoticed."""
    error = complaint(lambda: load(tmp_path, STACK, {"Stag": "prod"}))
    assert error.message == f"{tmp_path}/template.yaml:2: the template has no parameter 'Stag'"
    assert error.hint == "Did you mean Stage? There is: Stage."


def test_paths_are_relative_to_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command runs, and however the template is named."""
    write(tmp_path, FUNCTION + "      CodeUri: src\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert template.load(Path("../template.yaml")).find("F").code == (tmp_path / "src").resolve()
    assert complaint(lambda: template.load(Path("../none.yaml"))).message == "../none.yaml: no such file"


_BOTH_NAMES = {"F": "F", "G": "G", "real-f": "F"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", {}),
        ('{"F": {}}', {}),
        ('{"F": {"A": "a"}}', {"A": "a"}),
        ('{"G": {"A": "a"}}', {}),
        ('{"G": {"A": ["not looked at"]}}', {}),
        ('{"Parameters": {"A": "p", "B": "p"}, "F": {"B": "f"}}', {"A": "p", "B": "f"}),
        ('{"F": {"B": "f"}, "Parameters": {"A": "p", "B": "p"}}', {"A": "p", "B": "f"}),
        ('{"real-f": {"A": "n", "B": "n"}}', {"A": "n", "B": "n"}),
        ('{"F": {"A": "f"}, "real-f": {"A": "n", "B": "n"}}', {"A": "f", "B": "n"}),
        ('{"F": {"A": true, "B": false, "C": 1, "D": 1.50, "E": 1e3, "G": -2}}', None),
        ('{"F": {"Ref": "x"}}', {"Ref": "x"}),
        ('{"F": {"A": ""}}', {"A": ""}),
    ],
)
def test_the_environment_file(tmp_path: Path, text: str, expected: dict[str, str] | None) -> None:
    """Parameters are for all, the function's own block wins, and values get the form that `sam local` gives them."""
    if expected is None:
        expected = {"A": "true", "B": "false", "C": "1", "D": "1.5", "E": "1000.0", "G": "-2"}
    path = write(tmp_path, text, "env.json")
    for name in ("F", "real-f"):
        assert template.load_environment_file(path, _BOTH_NAMES, name) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('{"A": "a"}', "1: A: not a mapping of variables", '{"FunctionLogicalId": {"NAME": "value"}'),
        ('{"Parameters": 1}', "1: Parameters: not a mapping of variables", '{"FunctionLogicalId": {"NAME": "value"}'),
        ('{\n"f": {}}', "2: f: the template has no such function", "Did you mean F? There is: F, G, real-f."),
        ('{"F": {\n"A": null}}', "2: F.A: there is no value", "Give it one"),
        ('{"F": {"A": ["a"]}}', "1: F.A: one value is needed here, not a list", ""),
        ('{"F": {"A": {"b": "c"}}}', "1: F.A: one value is needed here, not a mapping", ""),
        ('{"F": {"A=B": "c"}}', "1: F.A=B: this cannot be an environment variable", ""),
        ('{"F": {"A": "\\u0000"}}', "1: F.A: this cannot be an environment variable", ""),
        ('{"F": {"A": NaN}}', "1: not JSON: NaN", ""),
        ('{"F": {"A": "a"}, "F": {}}', "1: the key 'F' stands here and on line 1", ""),
        ("[]", "1: a mapping is needed here, not a list", ""),
        ("", "1: the file is empty", ""),
        ("A=b\n", "1:1: not JSON: Expecting value", ""),
    ],
)
def test_an_environment_file_that_is_wrong(tmp_path: Path, text: str, message: str, hint: str) -> None:
    """With line and key."""
    path = write(tmp_path, text, "env.json")
    error = complaint(lambda: template.load_environment_file(path, _BOTH_NAMES, "F"))
    assert error.message == f"{path}:{message}"
    assert hint in (error.hint or "")


def test_an_environment_file_that_is_not_there(tmp_path: Path) -> None:
    """The path is named."""
    error = complaint(lambda: template.load_environment_file(tmp_path / "env.json", {"F": "F"}, "F"))
    assert error.message == f"{tmp_path}/env.json: no such file"


# YAML's other line breaks (\x85 and the like) are left out: PyYAML does not read back what it writes of them.
_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0=$\x85\u2028\u2029"), min_size=1)
_PROPERTIES = st.fixed_dictionaries(
    {"Handler": _WORDS, "Runtime": st.sampled_from(["python3.11", "python3.13", "nodejs22.x"])},
    optional={
        "MemorySize": st.integers(-(10**17), 10**17),
        "Timeout": st.integers(0, 1000).map(str),
        "Architectures": st.sampled_from(["arm64", "x86_64"]).map(lambda name: [name]),
        "CodeUri": st.sampled_from(["src", "./src/", ".", "src/../layer"]),
        "EphemeralStorage": st.integers().filter(lambda number: abs(number) < 10**17).map(lambda size: {"Size": size}),
        "ReservedConcurrentExecutions": st.integers(0, 1000),
        "Environment": st.dictionaries(_WORDS, _WORDS | st.booleans() | st.integers()).map(
            lambda all_: {"Variables": all_}
        ),
        "Layers": st.lists(st.just({"Ref": "Layer"}), max_size=3),
        "Description": _WORDS,
    },
)


@given(properties=_PROPERTIES, flow=st.booleans(), indent=st.sampled_from([None, 2, "\t"]))
def test_yaml_and_json_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, properties: dict[str, object], indent: int | str | None, *, flow: bool
) -> None:
    """A function's properties give one configuration, in whichever form and style they are written."""
    folder = tmp_path_factory.getbasetemp()
    resources = {
        "F": {"Type": "AWS::Serverless::Function", "Properties": properties},
        "Layer": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "layer"}},
    }
    as_yaml = yaml.safe_dump({"Resources": resources}, default_flow_style=flow, allow_unicode=True)
    as_json = json.dumps({"Resources": resources}, indent=indent)
    configs: list[FunctionConfig] = [
        template.load(write(folder, text, name)).find("F")
        for text, name in ((as_yaml, "template.yaml"), (as_json, "template.json"), (as_json, "template.yml"))
    ]
    assert configs[0] == configs[1] == configs[2]
    assert configs[0].handler == properties["Handler"]
    assert configs[0].memory_mb == properties.get("MemorySize", 128)
