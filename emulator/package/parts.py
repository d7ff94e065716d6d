"""Which installed distribution, or which part of one's own code, each file belongs to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from emulator.package.tree import Entry, Tree
from emulator.package.weight import Kind, Part

_SITE: Final = re.compile(r"(python(?:/lib/python3\.\d+/site-packages)?/)")
_INFO: Final = re.compile(r"(.+/|)([^/]+?)-([^/-]+)\.(?:dist-info|egg-info)(/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """An installed distribution: its name as its metadata has it, and its files, metadata included."""

    name: str
    version: str
    prefix: str
    info: str
    entries: tuple[Entry, ...]

    @property
    def bytes(self) -> int:
        """The sum of its files."""
        return sum(entry.size for entry in self.entries)


def normal(name: str) -> str:
    """A distribution's name in the form of the simple index (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def site_prefix(path: str) -> str:
    """Where in a layer Python packages lie, with its slash; empty for what lies elsewhere, and in the code."""
    match = _SITE.match(path)
    return match[1] if match else ""


def distributions(tree: Tree) -> tuple[Distribution, ...]:
    """Every distribution whose metadata is there; without RECORD, the folders that bear its name are its own."""
    infos: dict[str, re.Match[str]] = {}
    by_top: dict[str, list[Entry]] = defaultdict(list)
    paths: dict[str, Entry] = {}
    for entry in tree.entries:
        if entry.kind == "folder":
            continue
        paths[entry.path] = entry
        match = _INFO.match(entry.path) if "-info" in entry.path else None
        if match and match[1] in {"", site_prefix(entry.path)}:
            infos.setdefault(match[0].rstrip("/"), match)
        prefix = site_prefix(entry.path)
        by_top[prefix + entry.path[len(prefix) :].partition("/")[0]].append(entry)
    return tuple(
        Distribution(
            name=match[2],
            version=match[3],
            prefix=match[1],
            info=info,
            entries=tuple(_owned(tree, info, match, paths, by_top)),
        )
        for info, match in infos.items()
    )


def _owned(
    tree: Tree, info: str, match: re.Match[str], paths: Mapping[str, Entry], by_top: Mapping[str, list[Entry]]
) -> Iterable[Entry]:
    prefix, name = match[1], match[2]
    own = {entry.path: entry for entry in by_top[info]}
    if f"{info}/RECORD" in paths:
        text = tree.read(f"{info}/RECORD").decode("utf-8", "replace")
        for line in text.splitlines():
            path = prefix + (line[1:].partition('"')[0] if line.startswith('"') else line.partition(",")[0])
            if path in paths:
                own[path] = paths[path]
            if path.endswith(".py"):  # bytecode that came later is in no RECORD
                folder, _, module = path.rpartition("/")
                stem = f"{folder}/__pycache__/{module[:-2]}" if folder else f"__pycache__/{module[:-2]}"
                own.update({cached: paths[cached] for cached in _cached(stem) if cached in paths})
    else:
        for top in (f"{prefix}{name}", f"{prefix}{name.lower()}", f"{prefix}{name}.py"):
            own.update({entry.path: entry for entry in by_top.get(top, ())})
    for top in (f"{prefix}{name}.libs", f"{prefix}{name.lower()}.libs"):
        own.update({entry.path: entry for entry in by_top.get(top, ())})
    return own.values()


def _cached(stem: str) -> Iterable[str]:
    return (f"{stem}cpython-3{minor}.pyc" for minor in range(8, 17))


def parts(
    installed: Iterable[tuple[Tree, Distribution]],
    trees: Iterable[Tree],
    owners: Mapping[tuple[str, str], Distribution],
) -> tuple[Part, ...]:
    """Everything in the trees, each file in one part; heaviest first."""
    sums: dict[tuple[str, str, Kind, str | None], list[int]] = {
        (tree.name, normal(one.name), "package", one.version): [0, 0] for tree, one in installed
    }
    for tree in trees:
        for entry in tree.entries:
            if entry.kind == "folder":
                continue
            owner = owners.get((tree.name, entry.path))
            if owner is not None:
                total = sums[tree.name, normal(owner.name), "package", owner.version]
            else:
                prefix = site_prefix(entry.path)
                top, slash, _ = entry.path[len(prefix) :].partition("/")
                kind: Kind = "folder" if slash else "file"
                total = sums.setdefault((tree.name, prefix + top + slash, kind, None), [0, 0])
            total[0] += entry.size
            total[1] += 1
    found = (
        Part(name=name, bytes=size, files=files, kind=kind, archive=archive, version=version)
        for (archive, name, kind, version), (size, files) in sums.items()
    )
    return tuple(sorted(found, key=lambda part: (-part.bytes, part.archive, part.name)))
