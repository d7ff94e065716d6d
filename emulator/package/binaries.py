"""What a compiled file was made for, read from its headers by pyelftools (pure Python, 1 ms a file)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from emulator.package.tree import Entry, Tree

MACHINES: Final = {"EM_X86_64": "x86_64", "EM_AARCH64": "arm64"}
_LIBRARY: Final = re.compile(r"\.(?:so|pyd|dylib|dll)(?:\.[\d.]+)?$")
_ELF: Final = b"\x7fELF"
_FORMATS: Final = (
    (b"\xcf\xfa\xed\xfe", "macOS"),
    (b"\xce\xfa\xed\xfe", "macOS"),
    (b"\xca\xfe\xba\xbe", "macOS"),
    (b"MZ", "Windows"),
)
_GLIBC: Final = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A compiled file. `system` is `Linux`, `macOS` or `Windows`; the rest is known of Linux's alone.

    `glibc` is the newest version of the C library that one of its symbols asks for, None where none does.
    """

    tree: Tree
    entry: Entry
    system: str
    machine: str = ""
    soname: str = ""
    needed: tuple[str, ...] = ()
    glibc: tuple[int, int] | None = None
    fault: str = ""

    @property
    def file(self) -> str:
        """Its name without folders."""
        return self.entry.path.rpartition("/")[2]

    @property
    def musl(self) -> bool:
        """Whether it is linked against musl, as on Alpine."""
        return any("musl" in name for name in self.needed) or "-musl." in self.file or "-musl-" in self.file


def binaries(tree: Tree) -> Iterator[Binary]:
    """Every compiled file: libraries and modules by their names, programs by their permission to run."""
    for entry in tree.entries:
        if entry.kind != "file" or entry.size < len(_ELF):
            continue
        runs = entry.mode & 0o111 and not entry.path.endswith((".py", ".pyc", ".sh"))
        if not runs and not _LIBRARY.search(entry.path):
            continue
        kept = tree.memo.recall(entry, "binary")
        if kept is None:
            kept = _look(tree, entry)
            tree.memo.keep(entry, "binary", kept)
        if kept:
            glibc, needed = kept.get("glibc"), tuple(kept.get("needed", ()))
            known = {name: kept[name] for name in ("system", "machine", "soname", "fault") if name in kept}
            yield Binary(tree=tree, entry=entry, needed=needed, glibc=tuple(glibc) if glibc else None, **known)


def _look(tree: Tree, entry: Entry) -> dict[str, Any]:
    """A Binary's fields as JSON has them; empty for what is none."""
    magic = tree.read(entry.path, len(_ELF))
    if magic == _ELF:
        with tree.open(entry.path) as file:
            return _elf(file)
    return next(({"system": system} for start, system in _FORMATS if magic.startswith(start)), {})


def _elf(file: BinaryIO) -> dict[str, Any]:
    needed: list[str] = []
    soname = ""
    try:
        elf = ELFFile(file)
        machine = elf["e_machine"]
        for segment in elf.iter_segments("PT_DYNAMIC"):
            if isinstance(segment, DynamicSegment):
                for tag in segment.iter_tags():
                    # The names that pyelftools gives a tag depend on the tag, which its types do not say.
                    if tag.entry.d_tag == "DT_NEEDED":
                        needed.append(str(getattr(tag, "needed", "")))
                    elif tag.entry.d_tag == "DT_SONAME":
                        soname = str(getattr(tag, "soname", ""))
        versions = elf.get_section_by_name(".gnu.version_r")
        glibc = _newest(versions) if isinstance(versions, GNUVerNeedSection) else None
    except (ELFError, ValueError, KeyError, OSError, AttributeError, UnicodeDecodeError) as error:
        return {"system": "Linux", "fault": f"{type(error).__name__}: {error}".rstrip(": ")}
    named = MACHINES.get(machine, str(machine).removeprefix("EM_").lower())
    return {"system": "Linux", "machine": named, "soname": soname, "needed": needed, "glibc": glibc}


def _newest(section: GNUVerNeedSection) -> tuple[int, int] | None:
    found = [
        (int(match[1]), int(match[2]))
        for _, versions in section.iter_versions()
        for version in versions
        if (match := _GLIBC.fullmatch(version.name))
    ]
    return max(found, default=None)
