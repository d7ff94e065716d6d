"""Tests of Globals: how `emulator.template.function` merges them into a function, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.template.function import merged
from emulator.template.tree import Intrinsic, Items, Node, Place, Table, Text
from tests.templates import function_with

LAYERS = """
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layer/}
  Plain:
    Type: AWS::Lambda::LayerVersion
    Properties: {Content: src}
"""


def test_globals(tmp_path: Path) -> None:
    """Maps merged, lists joined, else the function's own; Architectures are never joined."""
    before = """
Globals:
  Function:
    Runtime: python3.11
    Timeout: 9
    MemorySize: 256
    Layers: [!Ref Layer]
    Architectures: [x86_64]
    Environment: {Variables: {A: global, B: global}}
    Tags: !ImportValue nowhere
"""
    properties = """
MemorySize: !Ref AWS::NoValue
Layers: [!Ref Plain]
Architectures: [arm64]
Environment: {Variables: {B: own, C: own}}
"""
    config = function_with(tmp_path, properties, before=before, after=LAYERS)
    assert (config.timeout_s, config.memory_mb, config.architecture) == (9, 128, "arm64")
    assert (config.runtime, [layer.name for layer in config.layers]) == ("python3.13", ["layer", "src"])
    assert list(config.environment.items()) == [("A", "global"), ("B", "own"), ("C", "own")]


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [("'*'", (3, 128)), ("[Timeout]", (3, 256)), ("[]", (9, 256)), ("[Timeout, MemorySize]", (3, 128))],
)
def test_ignore_globals(tmp_path: Path, ignored: str, expected: tuple[int, int]) -> None:
    """SAM's resource attribute, all of them or by name."""
    before = "Globals: {Function: {Timeout: 9, MemorySize: 256}}"
    config = function_with(tmp_path, "", before=before, after=f"    IgnoreGlobals: {ignored}\n")
    assert (config.timeout_s, config.memory_mb) == expected


@pytest.mark.parametrize(
    ("shared", "after", "complaint"),
    [
        ("{FunctionName: x}", "", "1: Globals.Function.FunctionName: SAM does not take this in Globals"),
        ("{PackageType: Image}", "", "1: Globals.Function.PackageType: SAM does not take this in Globals"),
        ("{Memorysize: 1}", "", "1: Globals.Function.Memorysize: Globals.Function has no property Memorysize"),
        ("{Timeout: soon}", "", "1: Globals.Function.Timeout: 'soon' is not a whole number"),
        ("[]", "", "1: Globals.Function: a mapping is needed here, not a list"),
        ("", "", "1: Globals.Function: there is no value"),
        ("{Timeout: 1}", "    IgnoreGlobals: [Time]\n", "8: Resources.F.IgnoreGlobals: Globals.Function has no Time"),
        ("{Timeout: 1}", "    IgnoreGlobals: Timeout\n", "8: Resources.F.IgnoreGlobals: a list is needed here"),
    ],
)
def test_globals_that_are_refused(tmp_path: Path, shared: str, after: str, complaint: str) -> None:
    """SAM refuses them too; a wrong value is told where it stands."""
    with pytest.raises(ConfigurationError) as caught:
        function_with(tmp_path, "", before=f"Globals: {{Function: {shared}}}", after=after)
    assert caught.value.message.startswith(f"{tmp_path}/template.yaml:{complaint}")


_PLACE = Place(file="t", line=1)
_KEYS = st.sampled_from(["Architectures", "Environment", "Layers", "Timeout"])
_NODES: st.SearchStrategy[Node] = st.recursive(
    st.builds(Text, place=st.just(_PLACE), text=st.sampled_from("abc"))
    | st.builds(
        Intrinsic,
        place=st.just(_PLACE),
        name=st.just("Ref"),
        argument=st.builds(Text, place=st.just(_PLACE), text=st.just("x")),
    ),
    lambda inner: (
        st.builds(Items, place=st.just(_PLACE), items=st.lists(inner, max_size=3).map(tuple))
        | st.builds(Table, place=st.just(_PLACE), entries=st.dictionaries(_KEYS, inner, max_size=3))
    ),
    max_leaves=8,
)
_PROPERTIES = st.dictionaries(_KEYS, _NODES)


@given(shared=_PROPERTIES, own=_PROPERTIES)
def test_merging_globals_obeys_laws(shared: dict[str, Node], own: dict[str, Node]) -> None:
    """Nothing is lost, nothing is invented, and each pair of values meets by its kind."""
    result = merged(shared, own)
    assert merged(shared, {}) == shared
    assert merged({}, own) == own
    assert list(result) == list(dict.fromkeys([*shared, *own]))
    for key, node in result.items():
        if key not in own or key not in shared:
            assert node == (own.get(key) or shared.get(key))
            continue
        mine, theirs = own[key], shared[key]
        if isinstance(mine, Items) and isinstance(theirs, Items) and key != "Architectures":
            assert isinstance(node, Items)
            assert node.items == theirs.items + mine.items
        elif isinstance(mine, Table) and isinstance(theirs, Table) and key != "Architectures":
            assert isinstance(node, Table)
            assert list(node.entries) == list(dict.fromkeys([*theirs.entries, *mine.entries]))
        else:
            assert node == mine


@given(first=_PROPERTIES, second=_PROPERTIES, third=_PROPERTIES)
def test_merging_lists_is_associative(first: dict[str, Node], second: dict[str, Node], third: dict[str, Node]) -> None:
    """Lists come out the same whichever two are joined first."""
    one, two, three = (
        {key: Items(place=_PLACE, items=(node,)) for key, node in properties.items()}
        for properties in (first, second, third)
    )
    assert merged(merged(one, two), three) == merged(one, merged(two, three))
