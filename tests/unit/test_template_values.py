"""Tests of `emulator.template.values` and `parameters`: what intrinsic functions give, or say when they cannot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import template
from emulator.errors import ConfigurationError
from tests.templates import FUNCTION, load, settled, write

BEFORE = """
Parameters:
  Stage: {Type: String, Default: dev}
  Size: {Type: Number, Default: 1.50}
  Names: {Type: CommaDelimitedList, Default: "a, b,c"}
  Empty: {Type: String}
  Stored: {Type: "AWS::SSM::Parameter::Value<String>", Default: /a/b}
Mappings:
  Levels:
    dev: {Level: DEBUG, Hosts: [x, y]}
    us-east-1: {Level: INFO}
Conditions:
  IsDev: !Equals [!Ref Stage, dev]
  IsProd: {"Fn::Not": [{Condition: IsDev}]}
  Both: !And [!Condition IsDev, !Condition IsProd]
  Either: !Or [!Condition IsDev, !Condition Unresolvable]
  Unresolvable: !Equals [!ImportValue x, y]
  NoCondition: true
  Loop: !Not [!Condition Loop]
"""
AFTER = """
  Named:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: !Sub "${Stage}-named"}
  Nameless:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: !Ref AWS::NoValue}
  Nobody:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: ""}
  Circular:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: !Ref Round}
  Round:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: !Sub "${Circular}-x"}
  Layer: {Type: AWS::Serverless::LayerVersion}
  Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: mine}}
"""
ARN = "arn:aws:lambda:us-east-1:123456789012"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("!Ref Stage", "dev"),
        ("!Ref Size", "1.50"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref AWS::AccountId", "123456789012"),
        ("!Ref AWS::Partition", "aws"),
        ("!Ref AWS::URLSuffix", "amazonaws.com"),
        ("!Ref AWS::StackName", "local"),
        (
            "!Ref AWS::StackId",
            "arn:aws:cloudformation:us-east-1:123456789012:stack/local/00000000-0000-0000-0000-000000000000",
        ),
        ("!Ref AWS::NoValue", None),
        ("!Ref F", "F"),
        ("!Ref Named", "dev-named"),
        ("!Ref Nameless", "Nameless"),
        ("!Ref Layer", f"{ARN}:layer:Layer:1"),
        ("!Ref Table", "Table"),
        ("!GetAtt F.Arn", f"{ARN}:function:F"),
        ("!GetAtt [Named, Arn]", f"{ARN}:function:dev-named"),
        ("{'Fn::GetAtt': [F, !Sub Arn]}", f"{ARN}:function:F"),
        ("{'Fn::GetAtt': F.Arn}", f"{ARN}:function:F"),
        ("!GetAtt Layer.LayerVersionArn", f"{ARN}:layer:Layer:1"),
        ("!Sub plain", "plain"),
        ("!Sub ''", ""),
        ("!Sub '${Stage}-${AWS::Region}-${F.Arn}'", f"dev-us-east-1-{ARN}:function:F"),
        ("!Sub '${!Stage} ${!a-b:c}'", "${Stage} ${a-b:c}"),
        ("!Sub '$${Stage} $Stage {Stage} ${Stage'", "$dev $Stage {Stage} ${Stage"),
        ("!Sub ['${Stage}/${Own}', {Stage: mine, Own: !Ref Stage}]", "mine/dev"),
        ("!Sub ['${a.b}', {a.b: c}]", "c"),
        ("!Sub [plain, {}]", "plain"),
        ("!Join ['-', [a, !Ref Stage, 1.0, true]]", "a-dev-1.0-true"),
        ("!Join ['', []]", ""),
        ("!Join [',', [a, !Ref AWS::NoValue, b]]", "a,b"),
        ("!Join ['+', !Ref Names]", "a+b+c"),
        ("!Join ['', !FindInMap [Levels, dev, Hosts]]", "xy"),
        ("!Select [0, [a, b]]", "a"),
        ("!Select ['1', [a, !Ref Stage]]", "dev"),
        ("!Select [2, !Ref Names]", "c"),
        ("!Select [1, !Split ['-', a-b-c]]", "b"),
        ("!Select [1, !Split ['-', !Join ['-', [a, b]]]]", "b"),
        ("!Join ['|', !Split ['--', 'a--b--']]", "a|b|"),
        ("!FindInMap [Levels, !Ref Stage, Level]", "DEBUG"),
        ("!FindInMap [!Sub Levels, !Ref AWS::Region, !Join ['', [Le, vel]]]", "INFO"),
        ("!If [IsDev, yes, no]", "true"),
        ("!If [IsProd, 1, 2]", "2"),
        ("!If [Both, 1, 2]", "2"),
        ("!If [Either, 1, 2]", "1"),
        ("!If [IsDev, a, !ImportValue nowhere]", "a"),
        ("!If [IsProd, a, !If [IsDev, !Ref AWS::NoValue, b]]", None),
    ],
)
def test_what_an_expression_gives(tmp_path: Path, expression: str, expected: str | None) -> None:
    """In short form and long form, nested, with lists and with `AWS::NoValue`."""
    assert settled(tmp_path, expression, before=BEFORE, after=AFTER) == expected


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("!ImportValue x", "Fn::ImportValue cannot be resolved without AWS"),
        ("!GetAZs ''", "Fn::GetAZs cannot be resolved without AWS"),
        ("{'Fn::Transform': {Name: x}}", "Fn::Transform cannot be resolved without AWS"),
        ("!Base64 x", "Fn::Base64 is not supported here"),
        ("!Equals [a, b]", "Fn::Equals is for the section Conditions"),
        ("!Condition IsDev", "Condition is for the section Conditions"),
        ("!Reff x", "there is no intrinsic function Fn::Reff"),
        ("!Ref Stag", "the template has no parameter or resource 'Stag'"),
        ("!Ref AWS::NotificationARNs", "the template has no parameter or resource 'AWS::NotificationARNs'"),
        ("!Ref [Stage]", "one value is needed here, not a list"),
        ("!Ref", "the template has no parameter or resource ''"),
        ("!Ref Empty", "the parameter Empty has no value"),
        ("!Ref Stored", "the value of parameter Stored cannot be resolved without AWS"),
        ("!Ref Names", "one value is needed here, not a list"),
        ("!GetAtt Table.Arn", "Fn::GetAtt Table.Arn (AWS::DynamoDB::Table) cannot be resolved without AWS"),
        ("!GetAtt F.Version", "Fn::GetAtt F.Version (AWS::Serverless::Function) cannot be resolved without AWS"),
        ("!GetAtt Nowhere.Arn", "the template has no resource 'Nowhere'"),
        ("!GetAtt F", "Fn::GetAtt takes a list: [resource, attribute]"),
        ("!GetAtt [F]", "Fn::GetAtt takes a list: [resource, attribute]"),
        ("!Sub '${Nowhere}'", "the template has no parameter or resource 'Nowhere'"),
        ("!Sub '${F.Nothing}'", "Fn::GetAtt F.Nothing"),
        ("!Sub '${HOME:-/root}'", "Fn::Sub cannot take ${HOME:-/root}"),
        ("!Sub '${}'", "Fn::Sub cannot take ${}"),
        ("!Sub '${ Stage }'", "Fn::Sub cannot take ${ Stage }"),
        ("!Sub '${AWS::NoValue}'", "AWS::NoValue cannot stand here"),
        ("!Sub ['${a}', {a: !Ref AWS::NoValue}]", "AWS::NoValue cannot stand here"),
        ("!Sub '${Names}'", "one value is needed here, not a list"),
        ("!Sub [a]", "Fn::Sub takes a list: [text, mapping of names to values]"),
        ("!Sub [a, b]", "a mapping is needed here, not one value"),
        ("!Sub {a: b}", "one value is needed here, not a mapping"),
        ("!Join [a, b, c]", "Fn::Join takes a list: [delimiter, list of values]"),
        ("!Join [',', a]", "a list is needed here, not one value"),
        ("!Join [',', [[a]]]", "one value is needed here, not a list"),
        ("!Split ['', a]", "Fn::Split needs a delimiter"),
        ("!Split [a, b]", "one value is needed here, not a list"),
        ("!Select [2, [a, b]]", "Fn::Select: no item '2' in a list of 2, counted from 0"),
        ("!Select [-1, [a]]", "Fn::Select: no item '-1' in a list of 1"),
        ("!Select [0, []]", "Fn::Select: no item '0' in a list of 0"),
        ("!Select [x, [a]]", "Fn::Select: no item 'x'"),
        ("!FindInMap [Level, dev, Level]", "Fn::FindInMap finds no 'Level'"),
        ("!FindInMap [Levels, prod, Level]", "Fn::FindInMap finds no 'prod'"),
        ("!FindInMap [Levels, dev, Name]", "Fn::FindInMap finds no 'Name'"),
        ("!FindInMap [Levels, dev]", "Fn::FindInMap takes a list: [map, first key, second key]"),
        ("!If [IsQA, a, b]", "the template has no condition 'IsQA'"),
        ("!If [IsDev, a]", "Fn::If takes a list: [condition's name, value if true, value if false]"),
        ("!If [Loop, a, b]", "it refers to itself: condition Loop -> condition Loop"),
        ("!If [NoCondition, a, b]", "a condition is needed here"),
        ("!If [Unresolvable, a, b]", "Fn::ImportValue cannot be resolved without AWS"),
        ("!Ref Circular", "it refers to itself: FunctionName of Circular -> FunctionName of Round -> FunctionName of"),
        ("!Ref Nobody", "there is no value"),
        ("[a]", "one value is needed here, not a list"),
        ("{a: b}", "one value is needed here, not a mapping"),
        ("{'Fn::Sub': a, 'Fn::Join': b}", "one value is needed here, not a mapping"),
        ("null", "there is no value"),
        ("", "there is no value"),
    ],
)
def test_what_cannot_be_settled_is_named(tmp_path: Path, expression: str, complaint: str) -> None:
    """With the file, a line and a key path before it."""
    with pytest.raises(ConfigurationError) as caught:
        settled(tmp_path, expression, before=BEFORE, after=AFTER)
    found = re.fullmatch(r".*template\.yaml:[0-9]+: [A-Z][A-Za-z0-9.\[\]]+: (.*)", caught.value.message)
    assert found is not None
    assert found[1].startswith(complaint)


def test_the_line_and_path_are_those_of_the_call(tmp_path: Path) -> None:
    """This very message is promised."""
    text = f"# a comment{FUNCTION}      Timeout: 3\n      MemorySize:\n        Fn::ImportValue: x\n"
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text).find("F")
    assert caught.value.message == (
        f"{tmp_path}/template.yaml:9: Resources.F.Properties.MemorySize: Fn::ImportValue cannot be resolved without AWS"
    )
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("!Ref Stagee", "Did you mean Stage? There is: Stage, Size, "),
        ("!Ref aws::region", "Did you mean AWS::Region"),
        ("!Subb x", "Did you mean Fn::Sub"),
        ("!If [isdev, a, b]", "Did you mean IsDev"),
        ("!FindInMap [Levels, deb, Level]", "Did you mean dev? There is: dev, us-east-1."),
        ("!Ref Empty", "--parameter-overrides Empty=VALUE"),
        ("!Ref Stored", "--parameter-overrides Stored=VALUE"),
        ("!Sub '${HOME:-x}'", "${!HOME:-x}"),
        ("!GetAtt Table.Arn", "environment file"),
    ],
)
def test_hints_say_what_to_do(tmp_path: Path, expression: str, hint: str) -> None:
    """Near names are offered, whatever their case."""
    with pytest.raises(ConfigurationError) as caught:
        settled(tmp_path, expression, before=BEFORE, after=AFTER)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("!Equals [a, a]", True),
        ("!Equals [a, A]", False),
        ("!Equals [1, '1']", True),
        ("!Equals [yes, 'true']", True),
        ("!Not [!Equals [a, a]]", False),
        ("!And [!Equals [a, a], !Equals [b, b]]", True),
        ("!And [!Equals [a, a], !Equals [a, b]]", False),
        ("!Or [!Equals [a, b], !Equals [a, a]]", True),
        ("!Or [!Equals [a, b], !Equals [b, a]]", False),
        ("!Or [{Condition: A}, !Condition A]", True),
        ("{Condition: A}", True),
        ("!And [" + ", ".join(["!Condition A"] * 10) + "]", True),
    ],
)
def test_conditions(tmp_path: Path, condition: str, *, holds: bool) -> None:
    """Values are compared as text."""
    before = f"Conditions:\n  A: !Equals [x, x]\n  C: {condition}\n"
    assert settled(tmp_path, "!If [C, true, false]", before=before) == str(holds).lower()


@pytest.mark.parametrize(
    "condition",
    [
        "true",
        "[a]",
        "!Ref A",
        "!Equals [a]",
        "!Equals [a, [b]]",
        "!Not []",
        "!Not [true]",
        "!Not [!Condition A, !Condition A]",
        "!And [!Condition A]",
        "!Or [" + ", ".join(["!Condition A"] * 11) + "]",
        "!And [" + ", ".join(["!Condition A"] * 11) + "]",
        "{Condition: Nowhere}",
        "{Condition: A, Other: A}",
    ],
)
def test_what_is_no_condition(tmp_path: Path, condition: str) -> None:
    """CloudFormation takes two to ten conditions in And and Or, and no bare booleans."""
    before = f"Conditions:\n  A: !Equals [x, x]\n  C: {condition}\n"
    with pytest.raises(ConfigurationError, match=r"template.yaml:3: Conditions\.C"):
        settled(tmp_path, "!If [C, a, b]", before=before)


@pytest.mark.parametrize(
    ("declared", "given_value", "expected"),
    [
        ("{Type: String, Default: a}", None, "a"),
        ("{Type: String, Default: a}", "b", "b"),
        ("{Type: String, Default: a}", "", ""),
        ("{Type: String, Default: true}", None, "true"),
        ("{Type: String, Default: 2012-10-17}", None, "2012-10-17"),
        ("{Type: String}", "b", "b"),
        ("{Type: String, Default: a, AllowedValues: [a, b]}", "b", "b"),
        ("{Type: Number, Default: 1, AllowedValues: [1, 2]}", "2", "2"),
        ("{Type: Number}", "-1.5e3", "-1.5e3"),
        ("{Type: AWS::EC2::Image::Id}", "ami-1", "ami-1"),
        ("{Type: 'AWS::SSM::Parameter::Value<String>', Default: /a}", "b", "b"),
    ],
)
def test_parameters(tmp_path: Path, declared: str, given_value: str | None, expected: str) -> None:
    """A given value goes before the Default."""
    text = f"Parameters:\n  P: {declared}{FUNCTION}      Environment: {{Variables: {{V: !Ref P}}}}\n"
    loaded = load(tmp_path, text, {} if given_value is None else {"P": given_value})
    assert loaded.find("F").environment == {"V": expected}


@pytest.mark.parametrize(
    ("kind", "given_value", "expected"),
    [
        ("CommaDelimitedList", "a, b ,c", "a|b|c"),
        ("List<String>", "a", "a"),
        ("List<Number>", "1,2", "1|2"),
        ("AWS::SSM::Parameter::Value<List<String>>", "a,b", "a|b"),
        ("AWS::SSM::Parameter::Value<CommaDelimitedList>", "a,b", "a|b"),
    ],
)
def test_parameters_that_are_lists(tmp_path: Path, kind: str, given_value: str, expected: str) -> None:
    """Spaces around the commas do not count."""
    before = f"Parameters:\n  P: {{Type: '{kind}'}}"
    text = f"{before}{FUNCTION}      Environment: {{Variables: {{V: !Join ['|', !Ref P]}}}}\n"
    assert load(tmp_path, text, {"P": given_value}).find("F").environment == {"V": expected}


@pytest.mark.parametrize(
    ("declared", "given_value", "complaint"),
    [
        ("{Type: Number, Default: 1}", "one", "2: Parameters.P: 'one' is not a number, as Type: Number asks"),
        ("{Type: Number, Default: true}", None, "2: Parameters.P: 'true' is not a number"),
        ("{Type: Number}", "", "2: Parameters.P: '' is not a number"),
        ("{Type: List<Number>}", "1,b", "2: Parameters.P: 'b' is not a number, as Type: List<Number> asks"),
        ("{Type: String, AllowedValues: [a, b]}", "c", "2: Parameters.P: 'c' is not one of AllowedValues"),
        ("{Type: CommaDelimitedList, AllowedValues: [a]}", "a,b", "2: Parameters.P: 'b' is not one of AllowedValues"),
        ("{Type: Strin}", "c", "2: Parameters.P: 'Strin' is not a type of parameter"),
        ("{Default: a}", None, "2: Parameters.P: Type is missing"),
        ("{Type: String, Default: [a]}", None, "2: Parameters.P.Default: one value is needed here, not a list"),
        (
            "{Type: String, Default: !Ref Q}",
            None,
            "2: Parameters.P.Default: one value is needed here, not an intrinsic",
        ),
        ("{Type: String, Default: null}", None, "2: Parameters.P.Default: there is no value"),
        ("text", None, "2: Parameters.P: a mapping is needed here, not one value"),
    ],
)
def test_parameters_that_are_wrong(tmp_path: Path, declared: str, given_value: str | None, complaint: str) -> None:
    """Given ones are checked when the template is read, defaults when they are used."""
    text = f"Parameters:\n  P: {declared}{FUNCTION}      Environment: {{Variables: {{V: !Ref P}}}}\n"
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text, {} if given_value is None else {"P": given_value}).find("F")
    assert caught.value.message.startswith(f"{tmp_path}/template.yaml:{complaint}")


_VARIABLES = {"Stage": "dev", "AWS::Region": "us-east-1", "F": "F", "F.Arn": f"{ARN}:function:F", "Own": "${F}"}
_PIECES = st.lists(
    st.tuples(st.just(""), st.text(st.characters(codec="utf-8", exclude_characters="{}$\0")))
    | st.tuples(st.just(""), st.sampled_from(["$", "{", "}", "$$", "{}"]))
    | st.tuples(st.just("variable"), st.sampled_from(sorted(_VARIABLES)))
    | st.tuples(st.just("literal"), st.text(st.characters(codec="utf-8", exclude_characters="{}$\0"))),
    max_size=8,
)


@given(pieces=_PIECES)
def test_sub_is_plain_replacement(tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, str]]) -> None:
    """Variables are replaced once, also where a value looks like one; `${!x}` becomes `${x}`; all else stays."""
    written, expected = "", ""
    for kind, text in pieces:
        if kind == "variable":
            written, expected = f"{written}${{{text}}}", expected + _VARIABLES[text]
        elif kind == "literal":
            written, expected = f"{written}${{!{text}}}", f"{expected}${{{text}}}"
        elif not (written.endswith("$") and text.startswith("{")):
            written, expected = written + text, expected + text
    folder = tmp_path_factory.getbasetemp()
    quoted = '"' + "".join(f"\\U{ord(character):08x}" for character in written) + '"'
    found = settled(
        folder, f"!Sub [{quoted}, {{Own: '${{F}}'}}]", before="Parameters: {Stage: {Type: String, Default: dev}}"
    )
    assert found == expected


def test_a_chain_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    """Python's limit of recursion does not come out as such."""
    chain = "".join(f"  C{number + 1}: !Not [!Condition C{number}]\n" for number in range(2000))
    text = f"Conditions:\n  C0: !Equals [a, a]\n{chain}{FUNCTION.lstrip()}      Timeout: !If [C2000, 1, 2]\n"
    with pytest.raises(ConfigurationError, match=r"Resources\.F: what this needs is nested too deeply"):
        load(tmp_path, text).find("F")


def test_the_same_in_json(tmp_path: Path) -> None:
    """Long forms only, as JSON has no tags."""
    text = """{"Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {
      "Handler": "a.b", "Runtime": "python3.13", "MemorySize": {"Fn::Select": [1, {"Fn::Split": ["-", "1-256"]}]},
      "Environment": {"Variables": {"A": {"Fn::GetAtt": ["F", "Arn"]}, "B": {"Fn::Sub": "${AWS::Region}"}}}}}}}"""

    config = template.load(write(tmp_path, text, "template.json")).find("F")
    assert config.memory_mb == 256
    assert config.environment == {"A": f"{ARN}:function:F", "B": "us-east-1"}
