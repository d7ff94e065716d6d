"""Bytecode that Python would take, and what it costs at a cold start where it would not.

The code's folder is read-only on Lambda: what is compiled there is not kept and is compiled again at each cold start.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from emulator.package.runtimes import magic
from emulator.package.tree import Entry, Tree

# Compiling numpy's 4.4 MB of source took 61 to 78 ns of CPU a byte, with CPython 3.11.7, 3.12.1 and 3.13.0 on a core of
# an AMD EPYC (2026-11-25). This figure makes the price on every machine, so that two of them agree.
COMPILE_S_PER_BYTE: Final = 65e-9

_HEADER: Final = 16
_BY_HASH: Final = 0b01
_CHECKED: Final = 0b10
_CACHED: Final = re.compile(r"(.*/|)__pycache__/([^/]+)\.cpython-(\d)(\d+)\.pyc$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytecode:
    """Files by what becomes of their bytecode; `useless` are .pyc files that the runtime never takes.

    `timed` are right here, but hold the time of their source: in a zip it has two seconds' precision and no time zone.
    """

    missing: tuple[tuple[Tree, Entry], ...]
    stale: tuple[tuple[Tree, Entry], ...]
    timed: tuple[tuple[Tree, Entry], ...]
    useless: tuple[tuple[Tree, Entry], ...]


def examine(trees: Sequence[Tree], version: int) -> Bytecode:
    """Look at every .py and its .pyc for Python 3.`version`."""
    groups: dict[str, list[tuple[Tree, Entry]]] = {name: [] for name in ("missing", "stale", "timed", "useless")}
    for tree in trees:
        paths = {entry.path: entry for entry in tree.entries if entry.kind == "file"}
        for entry in paths.values():
            if entry.path.endswith(".py"):
                folder, _, file = entry.path.rpartition("/")
                cached = f"{folder}/" if folder else ""
                cached += f"__pycache__/{file[:-3]}.cpython-3{version}.pyc"
                state = _state(tree, entry, paths.get(cached), version)
                if state != "fine":
                    groups[state].append((tree, entry))
                if state == "stale":
                    groups["useless"].append((tree, paths[cached]))
            elif entry.path.endswith(".pyc") and _is_orphan(entry.path, paths, version):
                groups["useless"].append((tree, entry))
    return Bytecode(**{name: tuple(found) for name, found in groups.items()})


def _is_orphan(path: str, paths: Mapping[str, Entry], version: int) -> bool:
    """Made by another Python, optimised, or without its source beside it."""
    if "__pycache__/" not in path:
        return False
    match = _CACHED.match(path)
    if match is None:
        return True
    return f"{match[3]}{match[4]}" != f"3{version}" or f"{match[1]}{match[2]}.py" not in paths


def _state(tree: Tree, source: Entry, cached: Entry | None, version: int) -> str:
    if cached is None:
        return "missing" if source.size else "fine"
    header = tree.read(cached.path, _HEADER)
    expected = magic(version)
    if len(header) < _HEADER or (expected is not None and header[:4] != expected):
        return "stale"
    flags = int.from_bytes(header[4:8], "little")
    if flags & _BY_HASH:
        fine = not flags & _CHECKED or importlib.util.source_hash(tree.read(source.path)) == header[8:16]
        return "fine" if fine else "stale"
    seconds, size = (int.from_bytes(header[start : start + 4], "little") for start in (8, 12))
    # What time a zip's file gets depends on who unpacks it.
    same = tree.opened is not None or seconds == source.mtime_ns // 1_000_000_000 & 0xFFFFFFFF
    return "timed" if same and size == source.size & 0xFFFFFFFF else "stale"


def price(sources: Iterable[Entry]) -> float:
    """Seconds of CPU, at a whole core, that compiling these takes."""
    return COMPILE_S_PER_BYTE * sum(entry.size for entry in sources)
