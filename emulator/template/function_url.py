"""What a template says of a function's URL: `FunctionUrlConfig` in SAM, in CloudFormation a resource of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar, get_args

from emulator.errors import ConfigurationError
from emulator.template.tree import Node, as_table, as_text
from emulator.template.values import Scope
from emulator.url_config import AuthType, CorsConfig, FunctionUrlConfig, InvokeMode

_RESOURCE: Final = "AWS::Lambda::Url"
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_MOST_AGE_S: Final = 86_400  # the API's model (botocore 1.43.11, 2026)
_BOOLEANS: Final = {"true": True, "false": False}
_Word = TypeVar("_Word", bound=str)


def function_url_config(scope: Scope, properties: Mapping[str, Node], name: str) -> FunctionUrlConfig | None:
    """Settle the URL of the function of this name, whose properties are merged with Globals already; None for none."""
    own = _table(scope, properties.get("FunctionUrlConfig"))
    if own is None:
        own = _resource(scope, name)
    if own is None:
        return None
    defaults = FunctionUrlConfig()
    cors = _table(scope, own.get("Cors"))
    return FunctionUrlConfig(
        auth_type=_word(scope, own.get("AuthType"), get_args(AuthType), defaults.auth_type),
        invoke_mode=_word(scope, own.get("InvokeMode"), get_args(InvokeMode), defaults.invoke_mode),
        cors=None if cors is None else _cors(scope, cors),
    )


def _resource(scope: Scope, name: str) -> Mapping[str, Node] | None:
    """The properties of the resource that is about the function, called by its name or its ARN."""
    for logical_id, resource in scope.resources.items():
        if scope.type_of(logical_id) != _RESOURCE or not scope.exists(logical_id):
            continue
        properties = _table(scope, as_table(resource).get("Properties")) or {}
        try:
            target = scope.text(properties["TargetFunctionArn"])
        except (ConfigurationError, KeyError):  # then it is no function of this template
            continue
        if target.rpartition(":function:")[2] == name:
            return properties
    return None


def _cors(scope: Scope, entries: Mapping[str, Node]) -> CorsConfig:
    credentials = _word(scope, entries.get("AllowCredentials"), ("false", "true"), "false")
    return CorsConfig(
        allow_credentials=_BOOLEANS[credentials],
        allow_headers=_texts(scope, entries.get("AllowHeaders")),
        allow_methods=_texts(scope, entries.get("AllowMethods")),
        allow_origins=_texts(scope, entries.get("AllowOrigins")),
        expose_headers=_texts(scope, entries.get("ExposeHeaders")),
        max_age_s=_seconds(scope, entries.get("MaxAge")),
    )


def _table(scope: Scope, node: Node | None) -> Mapping[str, Node] | None:
    value = None if node is None else scope.value(node)
    return None if value is None else as_table(value)


def _texts(scope: Scope, node: Node | None) -> tuple[str, ...]:
    if node is None or scope.value(node) is None:
        return ()
    return tuple(as_text(item) for item in scope.items(node))


def _word(scope: Scope, node: Node | None, allowed: tuple[_Word, ...], otherwise: _Word) -> _Word:
    value = None if node is None else scope.value(node)
    if node is None or value is None:
        return otherwise
    text = as_text(value)
    for word in allowed:
        if text == word:
            return word
    raise node.place.error(f"{text!r} is none of {', '.join(allowed)}")


def _seconds(scope: Scope, node: Node | None) -> int | None:
    value = None if node is None else scope.value(node)
    if node is None or value is None:
        return None
    text = as_text(value)
    if not _WHOLE.fullmatch(text) or int(text) > _MOST_AGE_S:
        raise node.place.error(f"{text!r} is not a number of seconds from 0 to {_MOST_AGE_S}")
    return int(text)
