"""CloudFormation's intrinsic functions and conditions, as far as they can be settled without AWS.

Nothing is resolved until it is asked for: what the function in hand does not use may stay unresolvable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from emulator.errors import ConfigurationError
from emulator.template.parameters import parameter_value
from emulator.template.tree import (
    Intrinsic,
    Items,
    Node,
    Place,
    Table,
    Text,
    Value,
    as_items,
    as_table,
    as_text,
    choices,
)

SAM_FUNCTION: Final = "AWS::Serverless::Function"
CFN_FUNCTION: Final = "AWS::Lambda::Function"
FUNCTION_TYPES: Final = frozenset({SAM_FUNCTION, CFN_FUNCTION})
_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {SAM_FUNCTION: "FunctionName", CFN_FUNCTION: "FunctionName", "AWS::Logs::LogGroup": "LogGroupName"}
)
LAYER_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"AWS::Serverless::LayerVersion": "ContentUri", "AWS::Lambda::LayerVersion": "Content"}
)

_NO_VALUE: Final = "AWS::NoValue"
# Only a deployed stack has real ones; account, region and stack name are those of `sam local`.
PSEUDO_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AWS::AccountId": "123456789012",
        "AWS::Partition": "aws",
        "AWS::Region": "us-east-1",
        "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:"
        "stack/local/00000000-0000-0000-0000-000000000000",
        "AWS::StackName": "local",
        "AWS::URLSuffix": "amazonaws.com",
    }
)
_ARN: Final = "arn:aws:lambda:us-east-1:123456789012:"
_INDEX: Final = re.compile(r"[0-9]{1,9}")
_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z0-9_.:]+")
_NOT_HERE: Final = frozenset({"Fn::Base64", "Fn::Cidr", "Fn::Length", "Fn::ToJsonString"})
_NEEDS_AWS: Final = frozenset({"Fn::GetAZs", "Fn::ImportValue", "Fn::Transform"})
_WAY_OUT: Final = "Put a plain value there; an environment variable can have its own in the environment file."


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an intrinsic function can see: sections of the template, and values `given` for parameters.

    `trail` is what is being settled, to find circles.
    """

    parameters: Mapping[str, Node]
    mappings: Mapping[str, Node]
    conditions: Mapping[str, Node]
    resources: Mapping[str, Node]
    given: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    trail: tuple[str, ...] = ()

    def value(self, node: Node) -> Value | None:
        """Settle the node itself, not what is inside it; None for `AWS::NoValue`."""
        if not isinstance(node, Intrinsic):
            return node
        evaluate = _FUNCTIONS.get(node.name)
        if evaluate is None:
            raise _unresolvable(node)
        return evaluate(self, node)

    def needed(self, node: Node) -> Value:
        """Like `value`, where `AWS::NoValue` is an error."""
        value = self.value(node)
        if value is None:
            raise node.place.error(f"{_NO_VALUE} cannot stand here")
        return value

    def text(self, node: Node) -> str:
        """Settle the node to a scalar's text."""
        return as_text(self.needed(node))

    def items(self, node: Node) -> tuple[Value, ...]:
        """Settle the node and each of its items; items that are `AWS::NoValue` go away."""
        values = (self.value(item) for item in as_items(self.needed(node)))
        return tuple(value for value in values if value is not None)

    def type_of(self, logical_id: str) -> str:
        """The resource's type, empty where it is not a resource or says none."""
        kind = self._part(logical_id, "Type")
        return kind.text if isinstance(kind, Text) else ""

    def exists(self, logical_id: str) -> bool:
        """Whether the resource's own `Condition`, if it has one, holds."""
        condition = self._part(logical_id, "Condition")
        return condition is None or self.condition(as_text(condition), condition.place)

    def physical_name(self, logical_id: str) -> str:
        """What `Ref` gives: the name that the resource has, a layer's ARN, else the logical id, as `sam local` does."""
        kind = self.type_of(logical_id)
        if kind in LAYER_TYPES:
            return layer_arn(logical_id)
        properties, key = self._part(logical_id, "Properties"), _NAMES.get(kind)
        if key is None or not isinstance(properties, Table) or key not in properties.entries:
            return logical_id
        name = properties.entries[key]
        value = self._entered(f"{key} of {logical_id}", name.place).value(name)
        if value is not None and not as_text(value):
            raise name.place.error("there is no value", hint="Give it one, or remove the key.")
        return logical_id if value is None else as_text(value)

    def reference(self, name: str, place: Place) -> Value | None:
        """What `Ref` gives for a parameter, pseudo parameter or resource."""
        if name == _NO_VALUE:
            return None
        if name in PSEUDO_PARAMETERS:
            return Text(place=place, text=PSEUDO_PARAMETERS[name])
        if name in self.parameters:
            return parameter_value(name, self.parameters[name], self.given, place)
        if name in self.resources:
            return Text(place=place, text=self.physical_name(name))
        known = (*self.parameters, *self.resources, *PSEUDO_PARAMETERS)
        raise place.error(f"the template has no parameter or resource {name!r}", hint=choices(name, known))

    def attribute(self, name: str, attribute: str, place: Place) -> Text:
        """What `Fn::GetAtt` gives for the template's own functions and layers."""
        if name not in self.resources:
            raise place.error(f"the template has no resource {name!r}", hint=choices(name, self.resources))
        kind = self.type_of(name)
        if kind in FUNCTION_TYPES and attribute == "Arn":
            return Text(place=place, text=_ARN + f"function:{self.physical_name(name)}")
        if kind in LAYER_TYPES and attribute == "LayerVersionArn":
            return Text(place=place, text=layer_arn(name))
        raise place.error(f"Fn::GetAtt {name}.{attribute} ({kind}) cannot be resolved without AWS", hint=_WAY_OUT)

    def condition(self, name: str, place: Place) -> bool:
        """Evaluate a condition of the section Conditions by its name."""
        if name not in self.conditions:
            raise place.error(f"the template has no condition {name!r}", hint=choices(name, self.conditions))
        return self._entered(f"condition {name}", place).holds(self.conditions[name])

    def holds(self, node: Node) -> bool:
        """Evaluate `Fn::And`, `Fn::Equals`, `Fn::Not`, `Fn::Or` or `Condition`."""
        if isinstance(node, Table) and list(node.entries) == ["Condition"]:
            node = Intrinsic(place=node.place, name="Condition", argument=node.entries["Condition"])
        if not isinstance(node, Intrinsic) or node.name not in _CONDITIONS:
            raise node.place.error(f"a condition is needed here: {', '.join(sorted(_CONDITIONS))}")
        return _CONDITIONS[node.name](self, node)

    def _part(self, logical_id: str, key: str) -> Node | None:
        resource = self.resources[logical_id]
        return resource.entries.get(key) if isinstance(resource, Table) else None

    def _entered(self, what: str, place: Place) -> Scope:
        if what in self.trail:
            raise place.error(f"it refers to itself: {' -> '.join((*self.trail, what))}")
        return replace(self, trail=(*self.trail, what))


def layer_arn(logical_id: str) -> str:
    """The ARN that the template's own layer would have in its first version."""
    return f"{_ARN}layer:{logical_id}:1"


def _unresolvable(call: Intrinsic) -> ConfigurationError:
    if call.name in _CONDITIONS:
        return call.place.error(
            f"{call.name} is for the section Conditions", hint="Use Fn::If with a condition's name."
        )
    if call.name in _NEEDS_AWS:
        return call.place.error(f"{call.name} cannot be resolved without AWS", hint=_WAY_OUT)
    if call.name in _NOT_HERE or call.name.startswith("Fn::ForEach"):
        return call.place.error(f"{call.name} is not supported here", hint=_WAY_OUT)
    return call.place.error(f"there is no intrinsic function {call.name}", hint=choices(call.name, _FUNCTIONS))


def _arguments(scope: Scope, call: Intrinsic, *shape: str, most: int | None = None) -> tuple[Node, ...]:
    value = scope.value(call.argument)
    if not isinstance(value, Items) or not len(shape) <= len(value.items) <= (most or len(shape)):
        more = ", …" if most else ""
        raise call.place.error(f"{call.name} takes a list: [{', '.join(shape)}{more}]")
    return value.items


def _ref(scope: Scope, call: Intrinsic) -> Value | None:
    return scope.reference(as_text(call.argument), call.place)


def _get_att(scope: Scope, call: Intrinsic) -> Value:
    if isinstance(call.argument, Text) and "." in call.argument.text:
        name, attribute = call.argument.text.split(".", 1)
        return scope.attribute(name, attribute, call.place)
    first, second = _arguments(scope, call, "resource", "attribute")
    return scope.attribute(as_text(first), scope.text(second), call.place)


def _sub(scope: Scope, call: Intrinsic) -> Value:
    own: Mapping[str, Node] = {}
    pattern = call.argument
    if isinstance(pattern, Items):
        pattern, table = _arguments(scope, call, "text", "mapping of names to values")
        own = as_table(scope.needed(table))

    def substitute(found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("!"):
            return f"${{{name[1:]}}}"
        if name in own:
            return scope.text(own[name])
        if not _VARIABLE_NAME.fullmatch(name):
            raise call.place.error(f"Fn::Sub cannot take ${{{name}}}", hint=f"For that very text write ${{!{name}}}.")
        if "." in name:
            logical_id, attribute = name.split(".", 1)
            return scope.attribute(logical_id, attribute, call.place).text
        value = scope.reference(name, call.place)
        if value is None:
            raise call.place.error(f"{_NO_VALUE} cannot stand here")
        return as_text(value)

    return Text(place=call.place, text=_VARIABLE.sub(substitute, as_text(pattern)))


def _join(scope: Scope, call: Intrinsic) -> Value:
    between, parts = _arguments(scope, call, "delimiter", "list of values")
    return Text(place=call.place, text=as_text(between).join(as_text(part) for part in scope.items(parts)))


def _split(scope: Scope, call: Intrinsic) -> Value:
    between, whole = _arguments(scope, call, "delimiter", "text")
    if not as_text(between):
        raise call.place.error("Fn::Split needs a delimiter")
    parts = scope.text(whole).split(as_text(between))
    return Items(place=call.place, items=tuple(Text(place=call.place, text=part) for part in parts))


def _select(scope: Scope, call: Intrinsic) -> Value:
    number, values = _arguments(scope, call, "index", "list of values")
    index, items = scope.text(number), scope.items(values)
    if not _INDEX.fullmatch(index) or int(index) >= len(items):
        raise call.place.error(f"Fn::Select: no item {index!r} in a list of {len(items)}, counted from 0")
    return items[int(index)]


def _if(scope: Scope, call: Intrinsic) -> Value | None:
    name, yes, no = _arguments(scope, call, "condition's name", "value if true", "value if false")
    return scope.value(yes if scope.condition(as_text(name), call.place) else no)


def _find_in_map(scope: Scope, call: Intrinsic) -> Value:
    name, *keys = _arguments(scope, call, "map", "first key", "second key")
    found: Node = Table(place=call.place, entries=scope.mappings)
    for key in (scope.text(node) for node in (name, *keys)):
        entries = as_table(found)
        if key not in entries:
            raise call.place.error(f"Fn::FindInMap finds no {key!r}", hint=choices(key, entries))
        found = entries[key]
    return scope.needed(found)


def _equals(scope: Scope, call: Intrinsic) -> bool:
    one, other = _arguments(scope, call, "value", "value")
    return scope.text(one) == scope.text(other)


def _and(scope: Scope, call: Intrinsic) -> bool:
    return all(scope.holds(node) for node in _arguments(scope, call, "condition", "condition", most=10))


def _or(scope: Scope, call: Intrinsic) -> bool:
    return any(scope.holds(node) for node in _arguments(scope, call, "condition", "condition", most=10))


def _not(scope: Scope, call: Intrinsic) -> bool:
    [node] = _arguments(scope, call, "condition")
    return not scope.holds(node)


def _named(scope: Scope, call: Intrinsic) -> bool:
    return scope.condition(as_text(call.argument), call.place)


_FUNCTIONS: Final[Mapping[str, Callable[[Scope, Intrinsic], Value | None]]] = MappingProxyType(
    {
        "Ref": _ref,
        "Fn::FindInMap": _find_in_map,
        "Fn::GetAtt": _get_att,
        "Fn::If": _if,
        "Fn::Join": _join,
        "Fn::Select": _select,
        "Fn::Split": _split,
        "Fn::Sub": _sub,
    }
)
_CONDITIONS: Final[Mapping[str, Callable[[Scope, Intrinsic], bool]]] = MappingProxyType(
    {"Condition": _named, "Fn::And": _and, "Fn::Equals": _equals, "Fn::Not": _not, "Fn::Or": _or}
)
