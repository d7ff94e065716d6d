"""Which installed distributions a handler uses, as far as source, compiled code and metadata tell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from emulator.package.binaries import Binary
from emulator.package.contents import Contents, Key
from emulator.package.imports import Module
from emulator.package.parts import Distribution, normal
from emulator.package.tree import Entry, Tree

_REQUIRES: Final = re.compile(rb"^Requires-Dist:\s*([\w.-]+)([^\r\n]*)", re.MULTILINE)
_LEAST_LIBRARY: Final = 2


@dataclass(frozen=True, kw_only=True)
class Use:
    """`unused` distributions, with the reason why they may be used after all, empty where there is none."""

    contents: Contents
    unused: Mapping[Key, str]

    @cached_property
    def natives(self) -> Mapping[str, tuple[Binary, ...]]:
        """Compiled files by the distribution's info folder."""
        found = defaultdict[str, list[Binary]](list)
        for binary in self.contents.binaries:
            owner = self.contents.owner(binary.tree, binary.entry)
            if owner is not None:
                found[owner.info].append(binary)
        return {info: tuple(binaries) for info, binaries in found.items()}

    def has_other_native(self, owner: Distribution, binary: Binary) -> bool:
        """Whether an extension module of the distribution is imported that is not this library."""
        reach = self.contents.reach
        reached = {module.entry.path for module in reach.modules.values() if module.native} if reach else set()
        return any(one is not binary and one.entry.path in reached for one in self.natives[owner.info])

    def mentions(self, owner: Distribution, library: Binary) -> bool:
        """Whether any other file of the distribution has the library's name in it, version left out."""
        name = library.file[: library.file.index(".so") + 3].encode()
        others = [one.entry for one in self.natives[owner.info] if one is not library]
        others += [entry for entry in owner.entries if entry.path.endswith((".py", ".json", ".txt", ".cfg"))]
        return any(holds(library.tree, entry, (name,)) for entry in others if not entry.path.startswith(owner.info))


def holds(tree: Tree, entry: Entry, texts: Collection[bytes]) -> frozenset[bytes]:
    """Those of the texts that the file has anywhere."""
    known = {text: tree.memo.recall(entry, f"holds {text.decode('latin-1')}") for text in texts}
    if None in known.values():
        content = tree.read(entry.path)
        for text in texts:
            known[text] = text in content
            tree.memo.keep(entry, f"holds {text.decode('latin-1')}", known[text])
    return frozenset(text for text, there in known.items() if there)


def usage(contents: Contents, keep: frozenset[str]) -> Use:
    """Judge every distribution; where there is no telling what is imported, none is unused."""
    reach = contents.reach
    if reach is None:
        return Use(contents=contents, unused={})
    used: set[Key] = set()
    perhaps: dict[Key, str] = {}
    for name, module in reach.modules.items():
        owner = _owner(contents, module)
        if owner is not None and name not in reach.optional:
            used.add(_key(module.tree, owner))
        elif owner is not None:
            perhaps.setdefault(_key(module.tree, owner), f"{reach.optional[name]} imports it where it is there")
    used |= {_key(tree, one) for tree, one in contents.installed if normal(one.name) in keep}
    _add_libraries(contents, used)
    requires = {_key(tree, one): _requirements(tree, one) for tree, one in contents.installed}
    by_name = {normal(one.name): (tree, one) for tree, one in contents.installed}
    keys = [_key(tree, one) for tree, one in contents.installed]
    unused = {key: perhaps.get(key, "") for key in keys if key not in used}
    own = [name for name in reach.dynamic if _owner(contents, reach.modules[name]) is None]
    if own:
        return Use(
            contents=contents, unused=dict.fromkeys(unused, f"{own[0]} may import it by a name made at run time")
        )
    for tree, one in contents.installed:
        if _key(tree, one) in used:
            for name in requires[_key(tree, one)]:
                found = by_name.get(name)
                if found is not None and unused.get(_key(*found)) == "":
                    unused[_key(*found)] = _why(contents, reach.dynamic, one, found)
    _spread(unused, requires, by_name)
    return Use(contents=contents, unused=unused)


def _key(tree: Tree, distribution: Distribution) -> Key:
    return tree.name, distribution.info


def _owner(contents: Contents, module: Module) -> Distribution | None:
    return contents.owner(module.tree, module.entry)


def _add_libraries(contents: Contents, used: set[Key]) -> None:
    """A distribution is used too where a compiled file of one that is used needs a library of it."""
    where: dict[str, Key] = {}
    needs = defaultdict[Key, set[str]](set)
    for binary in contents.binaries:
        owner = contents.owner(binary.tree, binary.entry)
        if owner is not None:
            key = _key(binary.tree, owner)
            where |= dict.fromkeys((binary.file, binary.soname), key)
            needs[key].update(binary.needed)
    pending = list(used)
    while pending:
        for name in needs[pending.pop()]:
            found = where.get(name)
            if found is not None and found not in used:
                used.add(found)
                pending.append(found)


def _requirements(tree: Tree, distribution: Distribution) -> frozenset[str]:
    """What it requires without extras, normalised; markers are not looked at, since all of it is installed here."""
    for name in ("METADATA", "PKG-INFO"):
        path = f"{distribution.info}/{name}"
        if any(entry.path == path for entry in distribution.entries):
            head = tree.read(path).partition(b"\n\n")[0]
            return frozenset(normal(m[1].decode()) for m in _REQUIRES.finditer(head) if b"extra" not in m[2])
    return frozenset()


def _why(contents: Contents, dynamic: frozenset[str], by: Distribution, found: tuple[Tree, Distribution]) -> str:
    """Why a requirement that no source imports may be imported; empty where nothing points to it."""
    reach = contents.reach
    assert reach is not None  # noqa: S101 - there would be nothing unused
    names = [name.encode() for name in _import_names(found[1])]
    for module in reach.modules.values():
        if _owner(contents, module) is not by:
            continue
        if module.name in dynamic:
            return f"no source imports it, but {module.name} imports by names made at run time"
        if module.native and holds(module.tree, module.entry, names):
            return f"no source imports it, but compiled code of {normal(by.name)} names it"
    return ""


def _import_names(distribution: Distribution) -> list[str]:
    """The packages and modules at its top; of a namespace, what is in it: google.protobuf."""
    packages = {
        entry.path[len(distribution.prefix) :].rpartition("/")[0]
        for entry in distribution.entries
        if entry.path.endswith("/__init__.py")
    }
    tops = [one for one in packages if not any(f"{one}/".startswith(f"{two}/") for two in packages if two != one)]
    modules = [
        path.partition(".")[0]
        for entry in distribution.entries
        if "/" not in (path := entry.path[len(distribution.prefix) :]) and path.endswith((".py", ".so"))
    ]
    return [one.replace("/", ".") for one in tops] + modules


def _spread(
    unused: dict[Key, str], requires: Mapping[Key, frozenset[str]], by_name: Mapping[str, tuple[Tree, Distribution]]
) -> None:
    """What an uncertain one requires is as uncertain."""
    names = {_key(*found): name for name, found in by_name.items()}
    pending = [key for key, why in unused.items() if why]
    while pending:
        key = pending.pop()
        for name in requires[key]:
            found = by_name.get(name)
            if found is not None and unused.get(_key(*found)) == "":
                unused[_key(*found)] = f"no source imports it, but {names[key]} requires it"
                pending.append(_key(*found))


def unused_folders(contents: Contents, use: Use) -> Iterator[tuple[str, list[tuple[Tree, Entry]]]]:
    """Packages within used distributions of which no module is reached, largest folders first told whole."""
    reach = contents.reach
    if reach is None:
        return
    by_owner = defaultdict[Key, set[str]](set)
    dynamic: set[Key] = set()
    for name, module in reach.modules.items():
        owner = _owner(contents, module)
        if owner is not None:
            key = _key(module.tree, owner)
            by_owner[key].add(module.entry.path)
            if name in reach.dynamic:
                dynamic.add(key)
    for tree, distribution in contents.installed:
        key = _key(tree, distribution)
        if key in by_owner and key not in dynamic and key not in use.unused:
            natives = [one for one in use.natives.get(distribution.info, ()) if one.entry.path in by_owner[key]]
            found = dict(_unreached(tree, distribution, by_owner[key]))
            dotted = {folder[len(distribution.prefix) : -1].replace("/", ".").encode(): folder for folder in found}
            # Compiled code imports too.
            named = {dotted[text] for one in natives for text in holds(tree, one.entry, dotted)}
            yield from ((folder, files) for folder, files in found.items() if folder not in named)


def _unreached(
    tree: Tree, distribution: Distribution, reached: set[str]
) -> Iterator[tuple[str, list[tuple[Tree, Entry]]]]:
    alive = {path[:end] for path in reached for end in _slashes(path)}
    holding = {
        entry.path[:end] for entry in distribution.entries if entry.path.endswith(".py") for end in _slashes(entry.path)
    }
    dead = holding - alive
    whole = sorted(one for one in dead if not any(one != two and one.startswith(two) for two in dead))
    for folder in whole:
        if folder.count("/") - distribution.prefix.count("/") < _LEAST_LIBRARY:
            continue  # a top-level package of its own, such as a second one beside the one that is used
        files = [(tree, entry) for entry in distribution.entries if entry.path.startswith(folder)]
        yield folder, files


def _slashes(path: str) -> Iterator[int]:
    end = path.find("/")
    while end >= 0:
        yield end + 1
        end = path.find("/", end + 1)
