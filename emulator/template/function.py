"""One function resource of a template, merged with `Globals.Function` and settled, as a `FunctionConfig`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from emulator.config import Architecture, FunctionConfig
from emulator.template.asynchronous import asynchronous_config
from emulator.template.logging_config import logging_config
from emulator.template.tree import Items, Node, Place, Table, Text, Value, as_items, as_table, as_text, choices, nearest
from emulator.template.values import LAYER_TYPES, SAM_FUNCTION, Scope, layer_arn

_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType({"x86_64": "x86_64", "arm64": "arm64"})
_BOTH: Final = (
    "Architectures",
    "Environment",
    "EphemeralStorage",
    "FunctionName",
    "Handler",
    "ImageConfig",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "PackageType",
    "ReservedConcurrentExecutions",
    "Runtime",
    "Timeout",
)
_READ_SAM: Final = (
    *(*_BOTH, "CodeUri", "DeadLetterQueue", "EventInvokeConfig", "FunctionUrlConfig"),
    *("ImageUri", "InlineCode"),
)
_READ_CFN: Final = (*_BOTH, "Code", "DeadLetterConfig")
_IMAGE_CONFIG: Final = ("Command", "EntryPoint", "WorkingDirectory")
# SAM refuses these in Globals (samtranslator 1.115, plugins/globals).
_NOT_GLOBAL: Final = ("FunctionName", "ImageConfig", "ImageUri", "InlineCode", "PackageType")
# Their values are judged once the command line has had its say.
CHECKED_LATER: Final = frozenset(
    {"Environment", "EphemeralStorage", "Handler", "Layers", "MemorySize", "Runtime", "Timeout"}
)
# Properties that do not matter here are nearest to ours with 0.70 (RuntimePolicy), slips of the pen with 0.73 and more.
_SLIP: Final = 0.72


@dataclass(frozen=True, slots=True, kw_only=True)
class _Properties:
    """A resource's properties, each settled when it is asked for."""

    scope: Scope
    kind: str
    place: Place
    entries: Mapping[str, Node]

    def value(self, key: str) -> Value | None:
        """None where the property is absent or `AWS::NoValue`."""
        return self.scope.value(self.entries[key]) if key in self.entries else None

    def text(self, key: str) -> str | None:
        value = self.value(key)
        return None if value is None else as_text(value)

    def required(self, key: str, hint: str) -> str:
        text = self.text(key)
        if not text:
            raise self.place.error(f"{key} is missing", hint=hint)
        return text

    def whole_number(self, key: str) -> int | None:
        value = self.value(key)
        return None if value is None else _whole_number(value)


def check_globals(node: Node) -> Mapping[str, Node]:
    """The properties of `Globals.Function`; those that SAM does not take there are errors."""
    entries = as_table(node)
    for key in _NOT_GLOBAL:
        if key in entries:
            raise entries[key].place.error("SAM does not take this in Globals", hint=f"Give each function its {key}.")
    _check_slips(entries, _READ_SAM, "Globals.Function")
    return entries


def function_config(
    scope: Scope, shared: Mapping[str, Node], logical_id: str, folder: Path, given: Mapping[str, str]
) -> FunctionConfig:
    """Settle one function. `shared` are the Globals, `folder` is what paths are relative to.

    Environment variables that are `given` replace the template's, which are then not resolved at all.
    """
    resource = scope.resources[logical_id]
    if not scope.exists(logical_id):
        raise resource.place.error(
            "the function is not part of the stack: its Condition does not hold",
            hint="Other values of the template's parameters may make it hold: --parameter-overrides NAME=VALUE",
        )
    properties = _properties(scope, shared, logical_id)
    packaged = _image(properties, folder) if _is_image(properties) else _archive(properties, folder)
    name = scope.physical_name(logical_id)
    memory, timeout = properties.whole_number("MemorySize"), properties.whole_number("Timeout")
    return FunctionConfig(
        name=name,
        handler=packaged.handler,
        runtime=packaged.runtime,
        code=packaged.code,
        image=packaged.image,
        entry_point=packaged.entry_point,
        command=packaged.command,
        working_directory=packaged.working_directory,
        layers=packaged.layers,
        architecture=_architecture(properties.value("Architectures"), scope),
        memory_mb=128 if memory is None else memory,
        timeout_s=3 if timeout is None else timeout,
        ephemeral_storage_mb=_ephemeral_storage(properties),
        environment=_environment(properties, given),
        reserved_concurrency=properties.whole_number("ReservedConcurrentExecutions"),
        asynchronous=asynchronous_config(scope, properties.entries, name),
        logging=logging_config(scope, properties.entries),
        places=MappingProxyType(
            {key: str(node.place) for key, node in properties.entries.items() if key in CHECKED_LATER}
        ),
    )


def function_properties(scope: Scope, shared: Mapping[str, Node], logical_id: str) -> Mapping[str, Node]:
    """The function's properties, merged with the Globals and not settled."""
    return _properties(scope, shared, logical_id).entries


def _properties(scope: Scope, shared: Mapping[str, Node], logical_id: str) -> _Properties:
    resource = scope.resources[logical_id]
    parts = as_table(resource)
    own = as_table(parts["Properties"]) if "Properties" in parts else {}
    kind = scope.type_of(logical_id)
    _check_slips(own, _READ_SAM if kind == SAM_FUNCTION else _READ_CFN, kind)
    if kind == SAM_FUNCTION:
        own = merged(_without_ignored(shared, parts.get("IgnoreGlobals")), own)
    if not own:
        raise resource.place.error("the function has no Properties", hint="It needs at least Handler and Runtime.")
    return _Properties(scope=scope, kind=kind, place=resource.place, entries=own)


def _without_ignored(shared: Mapping[str, Node], ignored: Node | None) -> Mapping[str, Node]:
    if ignored is None:
        return shared
    if isinstance(ignored, Text) and ignored.text == "*":
        return {}
    names = [as_text(item) for item in as_items(ignored)]
    for name in names:
        if name not in shared:
            raise ignored.place.error(f"Globals.Function has no {name}", hint=choices(name, shared))
    return {key: node for key, node in shared.items() if key not in names}


def merged(shared: Mapping[str, Node], own: Mapping[str, Node]) -> Mapping[str, Node]:
    """Properties as SAM merges them: maps are merged, lists joined, anything else is the function's own.

    Architectures are not joined, though they are a list (samtranslator 1.115, plugins/globals).
    """
    both = {key: _merged(shared[key], node) for key, node in own.items() if key in shared and key != "Architectures"}
    return {**shared, **own, **both}


def _merged(shared: Node, own: Node) -> Node:
    if isinstance(shared, Table) and isinstance(own, Table):
        both = {key: _merged(shared.entries[key], node) for key, node in own.entries.items() if key in shared.entries}
        return Table(place=own.place, entries={**shared.entries, **own.entries, **both})
    if isinstance(shared, Items) and isinstance(own, Items):
        return Items(place=own.place, items=(*shared.items, *own.items))
    return own


def _check_slips(entries: Mapping[str, Node], read: tuple[str, ...], kind: str) -> None:
    """What we do not read is let pass, unless it looks like what we do: a slip would go unnoticed."""
    for key, node in entries.items():
        if key.startswith("Fn::"):
            raise node.place.error(f"{key} among properties is not supported here")
        meant = nearest(key, read, cutoff=_SLIP)
        if key not in read and meant:
            raise node.place.error(f"{kind} has no property {key}", hint=f"Did you mean {meant[0]}?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Package:
    code: Path
    handler: str = ""
    runtime: str = ""
    layers: tuple[Path, ...] = ()
    image: str | None = None
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = ""


def _is_image(properties: _Properties) -> bool:
    kind = properties.text("PackageType")
    if kind not in {None, "Zip", "Image"}:
        raise properties.entries["PackageType"].place.error(f"{kind!r} is neither Zip nor Image")
    return kind == "Image"


def _image(properties: _Properties, folder: Path) -> _Package:
    for key in ("Handler", "InlineCode", "Layers", "Runtime"):
        if properties.value(key) is not None:
            raise properties.entries[key].place.error("PackageType: Image does not go with this", hint="Remove it.")
    code, overriding = properties.value("Code"), properties.value("ImageConfig")
    config = replace(properties, entries={} if overriding is None else as_table(overriding))
    for key, node in config.entries.items():
        if key not in _IMAGE_CONFIG:
            raise node.place.error(f"ImageConfig has no {key}", hint=choices(key, _IMAGE_CONFIG))
    if code is not None:
        properties = replace(properties, place=code.place, entries=as_table(code))
    return _Package(
        code=folder.resolve(),
        image=properties.required("ImageUri", "Name an image that the engine has."),
        entry_point=_words(config, "EntryPoint"),
        command=_words(config, "Command"),
        working_directory=config.text("WorkingDirectory") or "",
    )


def _words(properties: _Properties, key: str) -> tuple[str, ...]:
    value = properties.value(key)
    return () if value is None else tuple(as_text(item) for item in properties.scope.items(value))


def _archive(properties: _Properties, folder: Path) -> _Package:
    image = "Add PackageType: Image."
    for key, hint in (("InlineCode", "Put the code in a file."), ("ImageUri", image), ("ImageConfig", image)):
        if properties.value(key) is not None:
            raise properties.entries[key].place.error("this is not supported for PackageType: Zip", hint=hint)
    code = properties.value("CodeUri" if properties.kind == SAM_FUNCTION else "Code")
    if code is None and properties.kind != SAM_FUNCTION:
        raise properties.place.error("Code is missing", hint="Code is a local folder here, for instance Code: src/")
    unpacked = folder.resolve() if code is None else _folder(code, folder)
    handler = properties.required("Handler", "Handler is module.function, for instance app.handler.")
    runtime = properties.required("Runtime", "Runtime is the language's version, for instance python3.13.")
    layers = properties.scope.items(properties.entries["Layers"]) if properties.value("Layers") is not None else ()
    return _Package(
        code=unpacked,
        handler=handler,
        runtime=runtime,
        layers=tuple(_layer(properties.scope, layer, folder) for layer in layers),
    )


def _layer(scope: Scope, value: Value, folder: Path) -> Path:
    text = as_text(value)
    own = {
        layer_arn(logical_id): logical_id for logical_id in scope.resources if scope.type_of(logical_id) in LAYER_TYPES
    }
    if text not in own:
        raise value.place.error(
            f"{text} is not a layer of this template",
            hint="Unpack the layer into a folder, declare it as AWS::Serverless::LayerVersion with that ContentUri, "
            "and put !Ref with its logical id here.",
        )
    resource = scope.resources[own[text]]
    if not scope.exists(own[text]):
        raise value.place.error(f"the layer {own[text]} is not part of the stack: its Condition does not hold")
    kind = scope.type_of(own[text])
    parts = as_table(resource)
    entries = as_table(parts["Properties"]) if "Properties" in parts else {}
    content = _Properties(scope=scope, kind=kind, place=resource.place, entries=entries).value(LAYER_TYPES[kind])
    if content is None:
        raise resource.place.error(f"{LAYER_TYPES[kind]} is missing", hint="It is the folder that becomes /opt.")
    return _folder(content, folder)


def _folder(value: Value, base: Path) -> Path:
    if isinstance(value, Table) and "ZipFile" in value.entries:
        raise value.place.error("inline code is not supported here", hint="Put the code in a file.")
    if isinstance(value, Table) and not {"Bucket", "S3Bucket"}.isdisjoint(value.entries):
        raise value.place.error("code in S3 cannot be had without AWS", hint="Name a local folder.")
    text = as_text(value)
    if _URL.match(text):
        raise value.place.error(f"{text} is not a local folder", hint="Name a local folder.")
    try:
        found = _as_written(base, text, (base / text).resolve(strict=True))
        is_folder = found.is_dir()
    except FileNotFoundError as error:
        hint = f"Paths are relative to the template's folder, {base.resolve()}."
        raise value.place.error(f"no such folder: {text}", hint=hint) from error
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a NUL in the path
        raise value.place.error(f"{text!r} cannot be read: {error}") from error
    if not is_folder:
        raise value.place.error(f"{text} is a file, not a folder", hint="Unpack it into a folder and name that.")
    return found


def _as_written(base: Path, text: str, resolved: Path) -> Path:
    """The folder by its own name, a link that points elsewhere tomorrow perhaps; resolved where `..` leaves a link."""
    written = Path(os.path.normpath(base.resolve() / text))
    return written if written.exists() and written.samefile(resolved) else resolved


def _architecture(value: Value | None, scope: Scope) -> Architecture:
    if value is None:
        return "x86_64"
    names = [as_text(item) for item in scope.items(value)]
    if len(names) != 1 or names[0] not in _ARCHITECTURES:
        raise value.place.error("Architectures is a list of one: x86_64 or arm64", hint="For instance: [arm64]")
    return _ARCHITECTURES[names[0]]


def _whole_number(value: Value) -> int:
    text = as_text(value)
    if not _WHOLE.fullmatch(text):
        raise value.place.error(f"{text!r} is not a whole number", hint="Write it in digits alone, for instance 512.")
    return int(text)


def _ephemeral_storage(properties: _Properties) -> int:
    value = properties.value("EphemeralStorage")
    if value is None:
        return 512
    size = replace(properties, place=value.place, entries=as_table(value)).whole_number("Size")
    if size is None:
        raise value.place.error("Size is missing", hint="For instance: EphemeralStorage: {Size: 1024}")
    return size


def _environment(properties: _Properties, given: Mapping[str, str]) -> Mapping[str, str]:
    scope, value = properties.scope, properties.value("Environment")
    parts = {} if value is None else as_table(value)
    for key, node in parts.items():
        if key != "Variables":
            raise node.place.error(
                "Environment holds nothing but Variables", hint="Variables: belongs between the two."
            )
    variables = scope.value(parts["Variables"]) if "Variables" in parts else None
    result: dict[str, str] = {}
    for name, node in ({} if variables is None else as_table(variables)).items():
        setting = None if name in given else scope.value(node)
        if setting is not None:
            result[name] = as_text(setting)
            check_variable(name, result[name], node.place)
    return MappingProxyType({**result, **given})


def check_variable(name: str, text: str, place: Place) -> None:
    """Refuse what no operating system takes as an environment variable."""
    if not name or "=" in name or "\0" in name + text:
        raise place.error(
            "this cannot be an environment variable", hint="A name is not empty and has no =; neither may hold a NUL."
        )
