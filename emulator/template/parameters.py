"""A template's parameters: the given value or the Default, checked against Type and AllowedValues."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from emulator.template.tree import Items, Node, Place, Text, Value, as_items, as_table, as_text, choices

_STORED: Final = re.compile(r"AWS::SSM::Parameter::Value<(.+)>")
_NUMBER: Final = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_PLAIN_TYPES: Final = ("String", "Number", "CommaDelimitedList")


def parameter_value(name: str, node: Node, given: Mapping[str, str], place: Place) -> Value:
    """Settle one parameter; the value stands at `place`, where it is used.

    For `AWS::SSM::Parameter::Value<…>` the given value is the value itself: locally there is no store to ask.
    """
    declared = as_table(node)
    if "Type" not in declared:
        raise node.place.error("Type is missing", hint="Most parameters are of Type: String.")
    kind = as_text(declared["Type"])
    stored = _STORED.fullmatch(kind)
    if stored and name not in given:
        raise place.error(
            f"the value of parameter {name} cannot be resolved without AWS: {kind}",
            hint=f"Give it one: --parameter-overrides {name}=VALUE",
        )
    if name in given:
        text = given[name]
    elif "Default" in declared:
        text = as_text(declared["Default"])
    else:
        raise place.error(
            f"the parameter {name} has no value", hint=f"Give it one, --parameter-overrides {name}=VALUE, or a Default."
        )
    return _typed(node.place, stored[1] if stored else kind, _allowed(declared), Text(place=place, text=text))


def _allowed(declared: Mapping[str, Node]) -> list[str] | None:
    return [as_text(item) for item in as_items(declared["AllowedValues"])] if "AllowedValues" in declared else None


def _typed(declared_at: Place, kind: str, allowed: list[str] | None, whole: Text) -> Value:
    if kind not in _PLAIN_TYPES and not kind.startswith(("List<", "AWS::")):
        raise declared_at.error(f"{kind!r} is not a type of parameter", hint=choices(kind, _PLAIN_TYPES))
    is_list = kind == "CommaDelimitedList" or kind.startswith("List<")
    parts = [part.strip() for part in whole.text.split(",")] if is_list else [whole.text]
    for part in parts:
        if kind in {"Number", "List<Number>"} and not _NUMBER.fullmatch(part):
            raise declared_at.error(f"{part!r} is not a number, as Type: {kind} asks")
        if allowed is not None and part not in allowed:
            raise declared_at.error(f"{part!r} is not one of AllowedValues", hint=f"Allowed: {', '.join(allowed)}.")
    return (
        Items(place=whole.place, items=tuple(Text(place=whole.place, text=part) for part in parts))
        if is_list
        else whole
    )
