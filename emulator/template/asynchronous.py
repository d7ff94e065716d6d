"""What a template says of events that nobody waits for: `EventInvokeConfig`, and a queue for dead letters.

SAM has the first among a function's properties, CloudFormation as a resource that names the function.

A destination's ARN is mostly known to AWS alone, so whatever stands there is taken as its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from emulator.config import AsynchronousConfig
from emulator.errors import ConfigurationError
from emulator.template.tree import Intrinsic, Items, Node, Text, as_table, as_text
from emulator.template.values import Scope

_RESOURCE: Final = "AWS::Lambda::EventInvokeConfig"
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")


def asynchronous_config(scope: Scope, properties: Mapping[str, Node], name: str) -> AsynchronousConfig:
    """Settle what is said of the function of this name; its properties are merged with Globals already."""
    own = _table(scope, properties.get("EventInvokeConfig")) or _resource(scope, name)
    destinations = _table(scope, own.get("DestinationConfig"))
    defaults = AsynchronousConfig()
    retries, age = (_whole(scope, own.get(key)) for key in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds"))
    return AsynchronousConfig(
        retries=defaults.retries if retries is None else retries,
        max_age_s=defaults.max_age_s if age is None else age,
        on_success=_target(scope, destinations.get("OnSuccess"), "Destination"),
        on_failure=_target(scope, destinations.get("OnFailure"), "Destination"),
        dead_letter=_target(
            scope, properties.get("DeadLetterQueue") or properties.get("DeadLetterConfig"), "TargetArn"
        ),
    )


def _resource(scope: Scope, name: str) -> Mapping[str, Node]:
    """The properties of the resource that is about the function, called by its name or its ARN."""
    for logical_id, resource in scope.resources.items():
        if scope.type_of(logical_id) != _RESOURCE or not scope.exists(logical_id):
            continue
        properties = _table(scope, as_table(resource).get("Properties"))
        named = _settled(scope, properties.get("FunctionName"))
        if named is not None and named.rpartition(":function:")[2] == name:
            return properties
    return {}


def _settled(scope: Scope, node: Node | None) -> str | None:
    """None also for what cannot be settled: then it is no function of this template."""
    try:
        return None if node is None else scope.text(node)
    except ConfigurationError:
        return None


def _table(scope: Scope, node: Node | None) -> Mapping[str, Node]:
    value = None if node is None else scope.value(node)
    return {} if value is None else as_table(value)


def _whole(scope: Scope, node: Node | None) -> int | None:
    value = None if node is None else scope.value(node)
    if node is None or value is None:
        return None
    text = as_text(value)
    if not _WHOLE.fullmatch(text):
        raise node.place.error(f"{text!r} is not a whole number", hint="Write it in digits alone, for instance 2.")
    return int(text)


def _target(scope: Scope, node: Node | None, key: str) -> str | None:
    """The name of a destination; None where there is none."""
    if node is None:
        return None
    try:
        entries = _table(scope, node)
        if key in entries:
            node = entries[key]
            return scope.text(node)
    except ConfigurationError:
        return _as_written(node)
    # Without an ARN, SAM makes a queue or a topic of this type.
    return as_text(entries["Type"]) if "Type" in entries else None


def _as_written(node: Node) -> str:
    """`Queue.Arn` for `!GetAtt Queue.Arn`, in whichever form it is written."""
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Items):
        return ".".join(_as_written(item) for item in node.items)
    if isinstance(node, Intrinsic):
        return _as_written(node.argument)
    return node.place.path
