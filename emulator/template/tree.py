"""A template as a tree whose every value knows its line and key path; `!Ref x` and `{Ref: x}` look alike in it.

Scalars keep the text of the file, because CloudFormation passes text on: 1.50, 2012-10-17 and 22:22 are not numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from emulator.errors import ConfigurationError

Kind = Literal["string", "number", "boolean", "null"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands: lines count from 1, `path` is the dotted way of keys and empty at the top."""

    file: str
    line: int
    path: str = ""

    def error(self, message: str, *, hint: str | None = None) -> ConfigurationError:
        """Make an error whose message begins with file, line and key path."""
        return ConfigurationError(f"{self}: {message}", hint=hint)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path}" if self.path else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A scalar as it is written, except that YAML's booleans are `true` and `false`, as CloudFormation passes them."""

    place: Place
    text: str
    kind: Kind = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping in the order of the file; merge keys (`<<`) are already merged."""

    place: Place
    entries: Mapping[str, Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intrinsic:
    """A call of an intrinsic function, under its long name: `Ref`, `Condition` or `Fn::…`."""

    place: Place
    name: str
    argument: Node


Value = Text | Items | Table
Node = Value | Intrinsic


def as_text(node: Node) -> str:
    """The scalar's text, a null being an error."""
    if isinstance(node, Text) and node.kind != "null":
        return node.text
    raise _unlike("one value", node)


def as_items(node: Node) -> tuple[Node, ...]:
    """The list's nodes."""
    if isinstance(node, Items):
        return node.items
    raise _unlike("a list", node)


def as_table(node: Node) -> Mapping[str, Node]:
    """The mapping's nodes."""
    if isinstance(node, Table):
        return node.entries
    raise _unlike("a mapping", node)


def _unlike(needed: str, node: Node) -> ConfigurationError:
    if isinstance(node, Text) and node.kind == "null":
        return node.place.error("there is no value", hint="Give it one, or remove the key.")
    return node.place.error(f"{needed} is needed here, not {_WORDS[type(node)]}")


_WORDS: Final[Mapping[type, str]] = MappingProxyType(
    {Text: "one value", Items: "a list", Table: "a mapping", Intrinsic: "an intrinsic function"}
)


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> tuple[str, ...]:
    """Up to three known names that look like this one, best first; upper and lower case are the same here."""
    by_fold = {one.casefold(): one for one in known}
    import difflib  # noqa: PLC0415 - nobody waits for it unless something is misspelt

    return tuple(by_fold[fold] for fold in difflib.get_close_matches(name.casefold(), by_fold, cutoff=cutoff))


def choices(name: str, known: Iterable[str]) -> str:
    """A hint that offers the nearest names and lists them all."""
    names = list(known)
    like = nearest(name, names)
    meant = f"Did you mean {' or '.join(like)}? " if like else ""
    return meant + (f"There is: {', '.join(names)}." if names else "There is none at all.")
