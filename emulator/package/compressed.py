"""How large the zip of a folder would be: every file is really compressed, and remembered until it changes.

Deflate at zlib's level 6, one entry for each file, as `sam` and `aws cloudformation package` do (the default of Python's
zipfile): the size is theirs to the byte, but for what they leave out. A core compresses 20 to 40 MB in a second, so all
cores do it, and what a file came to is kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from emulator import cache
from emulator.package.tree import Entry, Tree

LEVEL: Final = 6
_CHUNK: Final = 1024 * 1024
_LOCAL_HEADER: Final = 30
_CENTRAL_HEADER: Final = 46
_END: Final = 22
_Kept = dict[str, list[int]]


def zipped_bytes(tree: Tree) -> int:
    """What the zip of this tree has; folders are not part of it, a link is its text."""
    if tree.zipped_bytes is not None:
        return tree.zipped_bytes
    members = [entry for entry in tree.entries if entry.kind != "folder"]
    kept = _recall(tree.root)
    missing = sorted((entry for entry in members if _known(kept, entry) is None), key=lambda entry: -entry.size)
    with ThreadPoolExecutor(os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()) as pool:
        try:
            sizes = list(pool.map(lambda entry: _compressed(tree, entry), missing))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C: whoever waits for minutes has had enough
            raise
    for entry, size in zip(missing, sizes, strict=True):
        kept[entry.path] = [*_stamp(entry), size]
    if missing:
        _remember(tree.root, {entry.path: kept[entry.path] for entry in members})
    headers = sum(_LOCAL_HEADER + _CENTRAL_HEADER + 2 * len(os.fsencode(entry.path)) for entry in members)
    return _END + headers + sum(kept[entry.path][-1] for entry in members)


def _compressed(tree: Tree, entry: Entry) -> int:
    """Deflate's output alone; zlib lets other threads run meanwhile."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    if entry.kind == "link":
        return len(deflate.compress(os.fsencode((tree.root / entry.path).readlink())) + deflate.flush())
    if not entry.size:
        return len(deflate.flush())
    total = 0
    with (tree.root / entry.path).open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            total += len(deflate.compress(chunk))
    return total + len(deflate.flush())


def _stamp(entry: Entry) -> list[int]:
    return [entry.size, entry.mtime_ns, entry.ctime_ns]


def _known(kept: _Kept, entry: Entry) -> int | None:
    found = kept.get(entry.path)
    return found[-1] if found is not None and found[:-1] == _stamp(entry) else None


def _place(root: Path) -> Path | None:
    where = cache.folder()
    question = f"{root.resolve()}\n{LEVEL}\n{zlib.ZLIB_RUNTIME_VERSION}"
    digest = hashlib.sha256(os.fsencode(question)).hexdigest()[:16]
    return None if where is None else where / "zipped" / f"{digest}.json"


def _recall(root: Path) -> _Kept:
    place = _place(root)
    try:
        kept = json.loads(place.read_text(encoding="ascii")) if place is not None else {}
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _remember(root: Path, kept: _Kept) -> None:
    """A cache that cannot be written is none."""
    place = _place(root)
    if place is None:
        return
    with suppress(OSError):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = place.with_name(f"{place.name}.{os.urandom(6).hex()}")
        new.write_text(json.dumps(kept), encoding="ascii")
        new.replace(place)
