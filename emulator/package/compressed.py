"""How large the zip of a folder would be: every file is really compressed, and remembered until it changes.

Deflate at zlib's level 6, one entry for each file, as `sam` and `aws cloudformation package` do (as Python's
zipfile): the size is theirs to the byte, but for what they leave out. A core compresses 20 to 40 MB in a second, so all
cores do it, and what a file came to is kept in the cache.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from emulator.package.tree import Entry, Tree

LEVEL: Final = 6
_CHUNK: Final = 1024 * 1024
_TOLD_FROM: Final = 10_000_000
_LOCAL_HEADER: Final = 30
_CENTRAL_HEADER: Final = 46
_END: Final = 22
_ZIPPED: Final = "zipped"


def zipped_bytes(tree: Tree, on_progress: Callable[[str], None] | None = None) -> int:
    """What the zip of this tree has; folders are not part of it, a link is its text. What takes long is told."""
    if tree.zipped_bytes is not None:
        return tree.zipped_bytes
    members = [entry for entry in tree.entries if entry.kind != "folder"]
    missing = [entry for entry in members if tree.memo.recall(entry, _ZIPPED) is None]
    to_do = sum(entry.size for entry in missing)
    if on_progress is not None and to_do > _TOLD_FROM:
        on_progress(f"compressing {to_do / 1e6:,.0f} MB, to say how large the zip is")
    missing.sort(key=lambda entry: -entry.size)  # the longest first, so that all cores end together
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for entry, size in zip(missing, pool.map(lambda entry: _compressed(tree, entry), missing), strict=True):
                tree.memo.keep(entry, _ZIPPED, size)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C: whoever waits for minutes has had enough
            raise
    headers = sum(_LOCAL_HEADER + _CENTRAL_HEADER + 2 * len(os.fsencode(entry.path)) for entry in members)
    return _END + headers + sum(int(tree.memo.recall(entry, _ZIPPED)) for entry in members)


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
