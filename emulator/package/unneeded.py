"""What a function does not need at run time, each file told once: whole packages, then parts of those that it uses.

Only what installers brought is judged; of one's own code, bytecode and left-overs of tools alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from emulator.package.binaries import Binary
from emulator.package.contents import Contents, Key
from emulator.package.parts import Distribution, normal
from emulator.package.tree import Entry, Tree
from emulator.package.used import Use, unused_folders, usage

_TESTS: Final = re.compile(r"(?:^|/)(?:tests?|_tests?)/")
_STUBS: Final = re.compile(r"\.(?:pyi|pxd|pyx|pxi)$|(?:^|/)py\.typed$")
_HEADERS: Final = re.compile(r"\.(?:h|hh|hpp|hxx|cuh|c|cc|cpp|cxx|f|f90|a|lib|cmake|pc|pdb)$")
LEFT_OVERS: Final = re.compile(
    r"(?:^|/)(?:\.git|\.hg|\.svn|\.venv|\.idea|\.vscode|\.aws-sam|\.tox|\.nox|\.pytest_cache|\.mypy_cache|\.ruff_cache|"
    r"\.hypothesis)/|(?:^|/)(?:\.DS_Store|Thumbs\.db|\.coverage|\.lock)$"
)
_METADATA_KEPT: Final = re.compile(
    r"/(?:METADATA|WHEEL|RECORD|entry_points\.txt|PKG-INFO|licen[sc]es/.*|(?:LICEN[SC]E|COPYING|NOTICE|AUTHORS)[^/]*)$",
    re.IGNORECASE,
)
_LIBRARY: Final = re.compile(r"lib[\w.+-]*\.so(?:\.[\d.]+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unneeded:
    """Files of one kind; `sure` is False where compiled code or computed names may import them after all."""

    code: str
    subject: str
    message: str
    files: tuple[tuple[Tree, Entry], ...]
    sure: bool = True

    @property
    def bytes(self) -> int:
        """What they weigh."""
        return sum(entry.size for _, entry in self.files)


@dataclass(slots=True, kw_only=True)
class _Sieve:
    """Files that nobody has claimed yet."""

    contents: Contents
    claimed: set[Key] = field(default_factory=set)

    def claim(self, files: Iterator[tuple[Tree, Entry]]) -> tuple[tuple[Tree, Entry], ...]:
        taken = []
        for tree, entry in files:
            key = (tree.name, entry.path)
            if key not in self.claimed and entry.kind != "folder":
                self.claimed.add(key)
                taken.append((tree, entry))
        return tuple(taken)

    def installed(self, wanted: Callable[[str, Distribution], bool]) -> tuple[tuple[Tree, Entry], ...]:
        """Claim the files of distributions whose path pleases."""
        return self.claim(
            (tree, entry)
            for tree, distribution in self.contents.installed
            for entry in distribution.entries
            if wanted(entry.path, distribution)
        )


def unneeded(contents: Contents, *, keep: frozenset[str] = frozenset()) -> Iterator[Unneeded]:
    """Everything that is not needed; nothing of the distributions in `keep` (normalised names) is unused."""
    sieve = _Sieve(contents=contents)
    use = usage(contents, keep)
    yield from _packages(sieve, use)
    yield from _libraries(sieve, use)
    yield from _by_kind(sieve)
    for folder, files in unused_folders(contents, use):
        taken = sieve.claim(iter(files))
        if taken:
            yield Unneeded(code="unused-part", subject=folder, message="never imported", files=taken)


def _packages(sieve: _Sieve, use: Use) -> Iterator[Unneeded]:
    for tree, distribution in sieve.contents.installed:
        why = use.unused.get((tree.name, distribution.info))
        if why is None:
            continue
        taken = sieve.claim((tree, entry) for entry in distribution.entries)
        sure = not why
        message = why or "installed and never imported"
        yield Unneeded(code="unused", subject=normal(distribution.name), message=message, files=taken, sure=sure)


def _by_kind(sieve: _Sieve) -> Iterator[Unneeded]:
    contents = sieve.contents
    reached = {module.entry.path for module in contents.reach.modules.values()} if contents.reach else set()
    tested = {match.string[: match.end()] for path in reached for match in _TESTS.finditer(path)}

    def is_test(path: str) -> bool:
        match = _TESTS.search(path)
        return match is not None and path[: match.end()] not in tested

    def metadata(path: str, distribution: Distribution) -> bool:
        return path.startswith(f"{distribution.info}/") and not _METADATA_KEPT.search(path)

    def script(path: str, distribution: Distribution) -> bool:
        return path.startswith(f"{distribution.prefix}bin/")

    useless = {(tree.name, entry.path) for tree, entry in contents.bytecode.useless} if contents.bytecode else set()
    kinds = (
        ("bytecode", "__pycache__", "bytecode that the runtime does not take: stale, or another Python's"),
        ("left-over", "left-overs", "of tools and version control"),
    )
    wanted: tuple[Callable[[Tree, Entry], bool], ...] = (
        lambda tree, entry: (tree.name, entry.path) in useless,
        lambda _, entry: LEFT_OVERS.search(entry.path) is not None,
    )
    for (code, subject, message), test in zip(kinds, wanted, strict=True):
        taken = sieve.claim((tree, entry) for tree in contents.trees for entry in tree.entries if test(tree, entry))
        if taken:
            yield Unneeded(code=code, subject=subject, message=message, files=taken)
    for code, subject, message, matches in (
        ("tests", "tests", "of installed packages", lambda path, _: is_test(path)),
        (
            "stubs",
            "stubs",
            "*.pyi, *.pxd and the like, for type checkers and compilers",
            lambda path, _: bool(_STUBS.search(path)),
        ),
        (
            "headers",
            "headers",
            "headers, sources and static libraries, for compilers",
            lambda path, _: bool(_HEADERS.search(path)),
        ),
        ("metadata", "*.dist-info", "all but METADATA, WHEEL, RECORD, entry points and licences", metadata),
        ("scripts", "bin/", "commands of installed packages", script),
    ):
        taken = sieve.installed(matches)
        if taken:
            yield Unneeded(code=code, subject=subject, message=message, files=taken)


def _libraries(sieve: _Sieve, use: Use) -> Iterator[Unneeded]:
    """Shared libraries that nothing names, beside an extension module that does without; and the same one twice."""
    contents = sieve.contents
    needed = {name.rpartition("/")[2] for binary in contents.binaries for name in binary.needed}
    for binary in contents.binaries:
        owner = contents.owner(binary.tree, binary.entry)
        if owner is None or not _LIBRARY.fullmatch(binary.file) or {binary.file, binary.soname} & needed:
            continue
        if use.has_other_native(owner, binary) and not use.mentions(owner, binary):
            taken = sieve.claim(iter([(binary.tree, binary.entry)]))
            if taken:
                message = f"{normal(owner.name)}: a library that no file of it names"
                yield Unneeded(code="unreferenced", subject=binary.file, message=message, files=taken)
    reached = {module.entry.path for module in contents.reach.modules.values()} if contents.reach else set()
    for twins in _twins(contents.binaries):
        spare = [one for one in twins if one.file not in needed | {one.soname} and one.entry.path not in reached]
        sure = 0 < len(spare) < len(twins)
        taken = sieve.claim((one.tree, one.entry) for one in (spare if sure else twins[1:]))
        if taken:
            message = f"the same bytes as {next(one for one in twins if not sure or one not in spare).entry.path}"
            subject = taken[0][1].path.rpartition("/")[2]
            yield Unneeded(code="duplicate", subject=subject, message=message, files=taken, sure=sure)


def _twins(binaries: tuple[Binary, ...]) -> Iterator[tuple[Binary, ...]]:
    by_size = defaultdict[int, list[Binary]](list)
    for binary in binaries:
        if binary.system == "Linux":
            by_size[binary.entry.size].append(binary)
    for same in by_size.values():
        if len(same) > 1:
            by_content = defaultdict[bytes, list[Binary]](list)
            for binary in same:
                by_content[hashlib.sha256(binary.tree.read(binary.entry.path)).digest()].append(binary)
            yield from (tuple(found) for found in by_content.values() if len(found) > 1)
