"""YAML or JSON text to a tree (`template.tree`). PyYAML does the syntax; lines, duplicates and merge keys are ours."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml

from emulator.errors import ConfigurationError
from emulator.template.tree import Intrinsic, Items, Kind, Node, Place, Table, Text

_YAML: Final = "tag:yaml.org,2002:"
_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {f"{_YAML}int": "number", f"{_YAML}float": "number", f"{_YAML}bool": "boolean", f"{_YAML}null": "null"}
)
_BOOLEANS: Final = MappingProxyType(
    {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
)
# libyaml crashes the process on some 100,000 levels; real templates have fewer than 30.
_DEPTH: Final = 100
_EMPTY: Final = "It was to be a SAM template, or an --env-vars file."


def read(path: Path) -> Node:
    """Parse a template; a file that begins like JSON is read as JSON where it is valid, for its escapes and tabs."""
    text = _read_text(path)
    if path.suffix.casefold() == ".json":
        return _from_json(text, path)
    if text.lstrip().startswith("{") and _is_json(text):
        return _from_json(text, path)
    return _convert(_compose_yaml(text, path), path)


def read_json(path: Path) -> Node:
    """Parse JSON that holds no intrinsic functions: `{"Ref": "x"}` is a mapping like any other."""
    return _from_json(_read_text(path), path, intrinsics=False)


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such file", hint="Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{path}: cannot be read: {reason}", hint="Is it the right file?") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Place(file=str(path), line=line).error("not UTF-8 text", hint="Save the file as UTF-8.") from error
    if not text.strip():
        raise Place(file=str(path), line=1).error(
            "the file is empty", hint="It was to be a SAM template, or an --env-vars file."
        )
    return text


def _too_deep(path: Path, line: int) -> ConfigurationError:
    return Place(file=str(path), line=line).error(f"nested deeper than {_DEPTH} levels")


def _compose_yaml(text: str, path: Path) -> yaml.Node:
    loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH:
                raise _too_deep(path, event.start_mark.line + 1 if event.start_mark else 1)
        node: yaml.Node | None = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, path) from error
    except yaml.reader.ReaderError as error:
        found = yaml.reader.Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, found.start()) + 1 if found else 1
        raise Place(file=str(path), line=line).error(f"not YAML: {error.reason}") from error
    if node is None:
        raise Place(file=str(path), line=1).error(
            "the file is empty", hint="It was to be a SAM template, or an --env-vars file."
        )
    return node


def _syntax_error(error: yaml.MarkedYAMLError, path: Path) -> ConfigurationError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    if error.context and error.context_mark and error.context_mark.line + 1 != line:
        problem += f" (what it belongs to begins on line {error.context_mark.line + 1})"
    tabs = "\\t" in problem or "cannot start any token" in problem
    return ConfigurationError(
        f"{path}:{line}:{column}: not YAML: {problem}",
        hint="YAML is indented with spaces, never with tabs; quote values that begin with @, % or `."
        if tabs
        else "Look at that line and the one before it: indentation, quotes and brackets.",
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_int=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _from_json(text: str, path: Path, *, intrinsics: bool = True) -> Node:
    try:
        json.loads(text, parse_int=str)
    except json.JSONDecodeError as error:
        message = f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}"
        raise ConfigurationError(
            message, hint="JSON has double quotes, and no comma before a closing bracket."
        ) from error
    except RecursionError as error:
        raise _too_deep(path, 1) from error
    return _convert(_JsonComposer(text, path).document(), path, intrinsics=intrinsics)


class _JsonComposer:
    """YAML nodes with marks from text that `json` has accepted, so that nothing here needs to check syntax.

    PyYAML itself does not read all of JSON: tabs, surrogate pairs and long keys fail.
    """

    _SPACE: Final = re.compile(r"[ \t\r\n]*")
    _BARE: Final = re.compile(r"[-+.\w]+")

    def __init__(self, text: str, path: Path) -> None:
        self._text = text
        self._path = path
        self._line_ends = [found.start() for found in re.finditer("\n", text)]
        self._strings = json.JSONDecoder()

    def document(self) -> yaml.Node:
        return self._node(self._skip(0), 1)[0]

    def _skip(self, at: int) -> int:
        found = self._SPACE.match(self._text, at)
        return found.end() if found else at

    def _mark(self, at: int) -> yaml.Mark:
        return yaml.Mark(str(self._path), at, bisect_right(self._line_ends, at - 1), 0, None, 0)

    def _node(self, at: int, depth: int) -> tuple[yaml.Node, int]:
        first = self._text[at]
        if first in "{[" and depth > _DEPTH:
            raise _too_deep(self._path, self._mark(at).line + 1)
        if first == "{":
            return self._object(at, depth)
        if first == "[":
            return self._array(at, depth)
        mark = self._mark(at)
        if first == '"':
            value, end = self._strings.raw_decode(self._text, at)
            return yaml.ScalarNode(f"{_YAML}str", value, mark, mark), end
        found = self._BARE.match(self._text, at)
        bare = found.group() if found else ""
        if bare.endswith(("NaN", "Infinity")):  # Python's own extension, which `json` has let pass
            raise Place(file=str(self._path), line=mark.line + 1).error(f"not JSON: {bare}")
        name = {"true": "bool", "false": "bool", "null": "null"}.get(bare, "float")
        return yaml.ScalarNode(_YAML + name, bare, mark, mark), at + len(bare)

    def _object(self, at: int, depth: int) -> tuple[yaml.Node, int]:
        mark, pairs = self._mark(at), []
        at = self._skip(at + 1)
        while self._text[at] != "}":
            key, at = self._node(at, depth + 1)
            at = self._skip(self._skip(at) + 1)
            value, at = self._node(at, depth + 1)
            pairs.append((key, value))
            at = self._next(at)
        return yaml.MappingNode(f"{_YAML}map", pairs, mark, mark), at + 1

    def _array(self, at: int, depth: int) -> tuple[yaml.Node, int]:
        mark, values = self._mark(at), []
        at = self._skip(at + 1)
        while self._text[at] != "]":
            value, at = self._node(at, depth + 1)
            values.append(value)
            at = self._next(at)
        return yaml.SequenceNode(f"{_YAML}seq", values, mark, mark), at + 1

    def _next(self, at: int) -> int:
        at = self._skip(at)
        return self._skip(at + 1) if self._text[at] == "," else at


def _convert(node: yaml.Node, path: Path, *, intrinsics: bool = True) -> Node:
    top = Place(file=str(path), line=node.start_mark.line + 1)
    return _Converter(intrinsics=intrinsics).node(node, top)


class _Converter:
    """Turns PyYAML's nodes into ours. What an alias names is converted once and stands where its anchor stands."""

    def __init__(self, *, intrinsics: bool) -> None:
        self._intrinsics = intrinsics
        self._done: dict[int, Node] = {}
        self._pairs_done: dict[int, dict[str, tuple[int, yaml.Node]]] = {}
        self._open: set[int] = set()

    def node(self, node: yaml.Node, place: Place) -> Node:
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open:
            raise place.error("the alias refers to the value that it is part of")
        self._open.add(id(node))
        result = self._tagged(node, place)
        self._open.remove(id(node))
        self._done[id(node)] = result
        return result

    def _tagged(self, node: yaml.Node, place: Place) -> Node:
        tag = node.tag
        if tag.startswith(_YAML):
            return self._plain(node, place)
        name = tag.removeprefix("!")
        name = name if name in {"Ref", "Condition"} else f"Fn::{name}"
        return Intrinsic(place=place, name=name, argument=self._plain(node, place))

    def _plain(self, node: yaml.Node, place: Place) -> Node:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            nodes = [
                self.node(item, Place(file=place.file, line=item.start_mark.line + 1, path=f"{place.path}[{number}]"))
                for number, item in enumerate(node.value)
            ]
            return Items(place=place, items=tuple(nodes))
        kind = _KINDS.get(node.tag, "string")
        text = str(node.value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise place.error("the text holds half of a surrogate pair", hint="Write the character itself.")
        return Text(place=place, text=_BOOLEANS.get(text.casefold(), text) if kind == "boolean" else text, kind=kind)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Node:
        pairs = self._pairs(node, place)
        if self._intrinsics and len(pairs) == 1:
            [(name, (_, argument))] = pairs.items()
            if name == "Ref" or name.startswith("Fn::"):
                return Intrinsic(place=place, name=name, argument=self.node(argument, place))
        prefix = f"{place.path}." if place.path else ""
        entries = {
            key: self.node(value, Place(file=place.file, line=line, path=prefix + key))
            for key, (line, value) in pairs.items()
        }
        return Table(place=place, entries=MappingProxyType(entries))

    def _pairs(self, node: yaml.MappingNode, place: Place) -> dict[str, tuple[int, yaml.Node]]:
        if id(node) in self._pairs_done:
            return self._pairs_done[id(node)]
        own: dict[str, tuple[int, yaml.Node]] = {}
        merged: dict[str, tuple[int, yaml.Node]] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            here = Place(file=place.file, line=line, path=place.path)
            if key.tag == f"{_YAML}merge":
                merged = {**self._merged(value, here), **merged}
                continue
            if not isinstance(key, yaml.ScalarNode) or not key.tag.startswith(_YAML):
                raise here.error("a key must be plain text")
            if key.value in own:
                raise here.error(
                    f"the key {key.value!r} stands here and on line {own[key.value][0]}", hint="Remove one of the two."
                )
            own[key.value] = (line, value)
        self._pairs_done[id(node)] = result = {**merged, **own}
        return result

    def _merged(self, value: yaml.Node, place: Place) -> dict[str, tuple[int, yaml.Node]]:
        result: dict[str, tuple[int, yaml.Node]] = {}
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if id(source) in self._open:
                raise place.error("the alias refers to the value that it is part of")
            if not isinstance(source, yaml.MappingNode):
                raise place.error("only mappings can be merged with <<")
            self._open.add(id(source))
            result = {**self._pairs(source, place), **result}
            self._open.remove(id(source))
        return result
