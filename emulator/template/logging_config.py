"""What a template says of a function's log: `LoggingConfig`, with the same keys in SAM and CloudFormation."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar, get_args

from emulator.config import ApplicationLogLevel, LogFormat, LoggingConfig, SystemLogLevel
from emulator.template.tree import Node, as_table, as_text, choices
from emulator.template.values import Scope

_Word = TypeVar("_Word", bound=str)
_KEYS: Final = ("ApplicationLogLevel", "LogFormat", "LogGroup", "SystemLogLevel")
_FORMATS: Final[Mapping[str, LogFormat]] = MappingProxyType({word: word for word in get_args(LogFormat)})
_APPLICATION: Final[Mapping[str, ApplicationLogLevel]] = MappingProxyType(
    {word: word for word in get_args(ApplicationLogLevel)}
)
_SYSTEM: Final[Mapping[str, SystemLogLevel]] = MappingProxyType({word: word for word in get_args(SystemLogLevel)})


def logging_config(scope: Scope, properties: Mapping[str, Node]) -> LoggingConfig:
    """Settle it; the properties are merged with Globals already.

    Levels are INFO for JSON where nothing is said ("Log levels", AWS Lambda Developer Guide, 2026-07).
    """
    value = scope.value(properties["LoggingConfig"]) if "LoggingConfig" in properties else None
    if value is None:
        return LoggingConfig()
    entries = as_table(value)
    for key, node in entries.items():
        if key not in _KEYS:
            raise node.place.error(f"LoggingConfig has no property {key}", hint=choices(key, _KEYS))
    written = _word(scope, entries.get("LogFormat"), _FORMATS) or "Text"
    application = _word(scope, entries.get("ApplicationLogLevel"), _APPLICATION)
    system = _word(scope, entries.get("SystemLogLevel"), _SYSTEM)
    if written == "JSON":
        application, system = application or "INFO", system or "INFO"
    for key, level in (("ApplicationLogLevel", application), ("SystemLogLevel", system)):
        if level is not None and written != "JSON":
            hint = "Add it, or remove the level."
            raise entries[key].place.error(f"{key} goes with LogFormat: JSON alone", hint=hint)
    group = scope.value(entries["LogGroup"]) if "LogGroup" in entries else None
    return LoggingConfig(
        format=written,
        application_level=application,
        system_level=system,
        group=None if group is None else as_text(group) or None,
    )


def _word(scope: Scope, node: Node | None, known: Mapping[str, _Word]) -> _Word | None:
    value = None if node is None else scope.value(node)
    if node is None or value is None:
        return None
    text = as_text(value)
    if text not in known:
        raise node.place.error(f"{text!r} is not one of {', '.join(known)}")
    return known[text]
