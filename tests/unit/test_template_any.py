"""Whatever a file says, `emulator.template` gives a template, a function or a `ConfigurationError`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulator import template
from emulator.errors import ConfigurationError
from tests.templates import write

if TYPE_CHECKING:
    import pytest

_NAMES = ["F", "G", "Layer", "P", "List", "C", "D", "M", "AWS::Region", "AWS::NoValue"]
_CALLS = [
    "Ref",
    "Fn::Sub",
    "Fn::Join",
    "Fn::Select",
    "Fn::Split",
    "Fn::If",
    "Fn::FindInMap",
    "Fn::GetAtt",
    "Fn::Base64",
]
_CONDITION_CALLS = ["Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals", "Condition", "Ref", "Fn::If"]
_ATOM = st.sampled_from([*_NAMES, "F.Arn", "${P}", "${F.Arn}", "${!x}", "src", "", "Arn", 0, 1, 1.5, True, None])


def _calls(names: list[str], inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    arguments = inner | st.lists(inner, min_size=1, max_size=3)
    return st.tuples(st.sampled_from(names), arguments).map(lambda pair: dict([pair]))


_VALUE = st.recursive(
    _ATOM,
    lambda inner: (
        _calls(_CALLS, inner)
        | st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Variables", "Size", "Ref", "<<", *_NAMES]), inner, max_size=3)
    ),
    max_leaves=6,
)
_CONDITION = st.recursive(_ATOM, lambda inner: _calls(_CONDITION_CALLS, inner), max_leaves=6)
_PROPERTIES = st.fixed_dictionaries(
    {
        "Handler": st.just("a.b") | _VALUE,
        "Runtime": st.just("python3.13"),
        "Environment": st.fixed_dictionaries({"Variables": _VALUE}),
    },
    optional=dict.fromkeys(["CodeUri", "Code", "Layers", "MemorySize", "Architectures", "FunctionName"], _VALUE),
)
_FUNCTION = st.fixed_dictionaries(
    {
        "Type": st.sampled_from(["AWS::Serverless::Function", "AWS::Lambda::Function"]),
        "Properties": _PROPERTIES | _VALUE,
    },
    optional={"Condition": st.sampled_from(["C", "D"]), "IgnoreGlobals": _VALUE},
)
_LAYER = st.fixed_dictionaries(
    {
        "Type": st.just("AWS::Serverless::LayerVersion"),
        "Properties": st.fixed_dictionaries({"ContentUri": st.just("layer") | _VALUE}),
    }
)
_PARAMETER = st.fixed_dictionaries(
    {"Type": st.sampled_from(["String", "Number", "CommaDelimitedList", "x"])},
    optional={"Default": _ATOM, "AllowedValues": st.lists(_ATOM, max_size=3) | _VALUE},
)
_TEMPLATE = st.fixed_dictionaries(
    {
        "Resources": st.fixed_dictionaries({"F": _FUNCTION, "G": _FUNCTION | _VALUE, "Layer": _LAYER | _VALUE}),
        "Parameters": st.fixed_dictionaries({"P": _PARAMETER, "List": _PARAMETER | _VALUE}),
        "Conditions": st.fixed_dictionaries({"C": _CONDITION, "D": _CONDITION | _VALUE}),
        "Mappings": st.fixed_dictionaries({"M": st.dictionaries(st.sampled_from(_NAMES), _VALUE, max_size=2) | _VALUE}),
    },
    optional={"Globals": st.fixed_dictionaries({"Function": _PROPERTIES}) | _VALUE},
)


@given(
    text=st.text()
    | _VALUE.map(json.dumps)
    | _TEMPLATE.map(json.dumps)
    | _TEMPLATE.map(yaml.safe_dump)
    | _TEMPLATE.map(lambda tree: yaml.safe_dump(tree).replace("Fn::", "!")),
    name=st.sampled_from(["template.yaml", "template.json"]),
)
def test_any_file_is_a_template_or_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    """No text makes another exception come out, whatever is asked of it afterwards, and every error names the file."""
    path = write(tmp_path_factory.getbasetemp(), text.encode("utf-8", "replace").decode(), name)
    said: list[str] = []

    def ask(question: Callable[[], object]) -> object:
        try:
            return question()
        except ConfigurationError as error:
            said.append(error.message)
            return None

    loaded = ask(lambda: template.load(path))
    if isinstance(loaded, template.Template):
        for function_name in (*loaded.names, *loaded.aliases, "Layer", ""):
            ask(partial(loaded.find, function_name))
        ask(loaded.all)
    assert [message for message in said if not message.startswith(str(path))] == []
