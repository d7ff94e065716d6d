"""A folder as a zip of the same bytes each time: sorted, in 1980, of uniform modes, and whole or not there."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from pathlib import Path
from typing import Final

from emulator.package.compressed import LEVEL

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_CHUNK: Final = 1024 * 1024


def write(folder: Path, to: Path) -> str:
    """Write all files below the folder to a new zip and return its sha256.

    Readable by all, to be run by all where anyone may; links as links; folders only where they are empty. zlib's
    versions may compress differently, so the same bytes come from the same machine, or one with the same zlib.
    """
    with zipfile.ZipFile(to, "x", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for path, name in _members(folder):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = _UNIX
            info.compress_type = zipfile.ZIP_DEFLATED
            seen = path.lstat()
            if stat.S_ISLNK(seen.st_mode):
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(info, os.fsencode(path.readlink()))
            elif stat.S_ISDIR(seen.st_mode):
                info.external_attr = (stat.S_IFDIR | 0o755) << 16 | 0x10
                archive.writestr(info, b"")
            else:
                info.external_attr = (stat.S_IFREG | (0o755 if seen.st_mode & 0o111 else 0o644)) << 16
                info.file_size = seen.st_size  # so that it need not be told again after the file
                with path.open("rb") as source, archive.open(info, "w") as target:
                    while chunk := source.read(_CHUNK):
                        target.write(chunk)
    with to.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _members(folder: Path) -> list[tuple[Path, str]]:
    found = []
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink()]
        found += [(here / name, (here / name).relative_to(folder).as_posix()) for name in (*files, *links)]
        if not files and not folders and here != folder:
            found.append((here, here.relative_to(folder).as_posix() + "/"))
    return sorted(found, key=lambda member: member[1])
