"""The files of a package, read from a folder or a zip without unpacking it."""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Literal

from emulator.errors import ConfigurationError
from emulator.package.memo import Memo

_ENCRYPTED = 0x1
_UNPACKABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FILE_MODE = 0o644


@dataclass(slots=True, kw_only=True)
class Entry:
    """One file, link or folder; not frozen, since tens of thousands are made. `path` is relative, with slashes.

    `size` is what Lambda counts: of a link, its text. `mode` has the permissions alone.
    """

    path: str
    kind: Literal["file", "link", "folder"]
    size: int
    mode: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """All entries, sorted by path; `zipped_bytes` is known where it is a zip already."""

    name: str
    root: Path
    entries: tuple[Entry, ...]
    zipped_bytes: int | None = None
    opened: zipfile.ZipFile | None = field(default=None, repr=False)
    memo: Memo = field(repr=False)

    @property
    def unzipped_bytes(self) -> int:
        """The sum of file sizes, each file once."""
        return sum(entry.size for entry in self.entries)

    @property
    def files(self) -> int:
        """How many there are, links too."""
        return sum(entry.kind != "folder" for entry in self.entries)

    def read(self, path: str, size: int = -1) -> bytes:
        """The first bytes of a file, all by default."""
        if self.opened is not None:
            try:
                with self.opened.open(path) as member:
                    return member.read(size)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                message = f"{self.root}: {path} cannot be unpacked: {error}"
                raise ConfigurationError(message, hint="Is the zip whole?") from error
        with open(os.path.join(self.root, path), "rb", buffering=0) as file:  # noqa: PTH118, PTH123 - 20,000 of these
            return file.read(size) if size >= 0 else file.readall()

    def open(self, path: str) -> BinaryIO:
        """For reading here and there; a zip's member is unpacked into memory."""
        return io.BytesIO(self.read(path)) if self.opened is not None else (self.root / path).open("rb")


def read(path: Path, name: str) -> Tree:
    """A folder or a zip; ConfigurationError for anything else, and for what Lambda or a packer could not read."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ConfigurationError(f"there is no {path}", hint="Name a function, a folder or a zip.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        return _folder(path, name)
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path} is neither a folder nor a file", hint="Name a folder or a zip.")
    return _zip(path, name, found.st_size)


def _folder(root: Path, name: str) -> Tree:
    try:
        entries = sorted(_walk(root), key=lambda entry: entry.path)
    except PermissionError as error:
        message = f"{error.filename} cannot be read"
        raise ConfigurationError(message, hint="Lambda's user must be able to read it too: chmod -R a+rX.") from error
    if not any(entry.kind != "folder" for entry in entries):
        raise ConfigurationError(f"{root} is empty: there is nothing to deploy", hint="Has it been built?")
    return Tree(name=name, root=root, entries=tuple(entries), memo=Memo(root))


def _walk(root: Path) -> Iterator[Entry]:
    pending = [(os.fspath(root), "")]
    while pending:
        folder, prefix = pending.pop()
        with os.scandir(folder) as listed:
            for item in listed:
                seen = item.stat(follow_symlinks=False)
                path = prefix + item.name
                kind: Literal["file", "link", "folder"] = "file"
                if stat.S_ISDIR(seen.st_mode):
                    kind = "folder"
                    pending.append((item.path, f"{path}/"))
                elif stat.S_ISLNK(seen.st_mode):
                    kind = "link"
                    _refuse_circle(root, item.path)
                elif not stat.S_ISREG(seen.st_mode):
                    message = f"{item.path} is neither file, folder nor link"
                    raise ConfigurationError(message, hint="A deployment package cannot hold it: remove it.")
                yield Entry(
                    path=path,
                    kind=kind,
                    size=0 if kind == "folder" else seen.st_size,
                    mode=stat.S_IMODE(seen.st_mode),
                    mtime_ns=seen.st_mtime_ns,
                    ctime_ns=seen.st_ctime_ns,
                )


def _refuse_circle(root: Path, path: str) -> None:
    """Packers follow links: one that leads to itself or to a folder around it never ends."""
    hint = "Packers follow links and would never end: remove it."
    try:
        target = Path(path).resolve(strict=True)
    except FileNotFoundError:
        return  # leads nowhere; told as a finding
    except (OSError, RuntimeError) as error:
        if isinstance(error, PermissionError):
            return
        raise ConfigurationError(f"{path} is a link that leads in a circle", hint=hint) from error
    if Path(path).parent.resolve().is_relative_to(target) and target.is_relative_to(root.resolve()):
        raise ConfigurationError(f"{path} is a link to a folder that it lies in: a circle", hint=hint)


def _zip(path: Path, name: str, size: int) -> Tree:
    try:
        opened = zipfile.ZipFile(path)
        entries = sorted((_member(path, info) for info in opened.infolist()), key=lambda entry: entry.path)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ConfigurationError(f"{path} is no zip that can be read: {error}", hint="Is it whole?") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    if not any(entry.kind != "folder" for entry in entries):
        raise ConfigurationError(f"{path} is empty: there is nothing to deploy", hint="Has it been built?")
    for before, after in pairwise(entries):
        if before.path == after.path:
            raise ConfigurationError(f"{path} holds {before.path} twice", hint="Make the zip anew.")
    return Tree(name=name, root=path, entries=tuple(entries), zipped_bytes=size, opened=opened, memo=Memo(path))


def _member(path: Path, info: zipfile.ZipInfo) -> Entry:
    name = info.orig_filename
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or (len(name) > 1 and name[1] == ":"):
        raise ConfigurationError(f"{path} holds {name!r}, which leads out of it", hint="Make the zip anew.")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _UNPACKABLE:
        raise ConfigurationError(f"{path}: {name} is encrypted or packed in a way that Lambda does not read")
    mode = info.external_attr >> 16
    kind: Literal["file", "link", "folder"] = "folder" if info.is_dir() else "link" if stat.S_ISLNK(mode) else "file"
    return Entry(
        path=info.filename.rstrip("/"),
        kind=kind,
        size=info.file_size,
        mode=stat.S_IMODE(mode) if mode else _FILE_MODE,
        mtime_ns=info.CRC,  # a zip's file is known by its checksum
        ctime_ns=0,
    )
