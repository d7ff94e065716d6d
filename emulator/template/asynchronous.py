"""What a template says of events that nobody waits for: `EventInvokeConfig`, and a queue for dead letters.

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

_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")


def asynchronous_config(scope: Scope, properties: Mapping[str, Node]) -> AsynchronousConfig:
    """Settle a function's properties, merged with Globals; SAM's and CloudFormation's names are both read."""
    own = _table(scope, properties.get("EventInvokeConfig"))
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


def _table(scope: Scope, node: Node | None) -> Mapping[str, Node]:
    value = None if node is None else scope.value(node)
    return {} if value is None else as_table(value)


def _whole(scope: Scope, node: Node | None) -> int | None:
    value = None if node is None else scope.value(node)
    if node is None or value is None:
        return None
    text = as_text(value)
    if not _WHOLE.fullmatch(text):
        raise node.place.error(f"{text!r} is not a whole number")
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
