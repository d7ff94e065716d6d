"""What has been found out about each file of a tree, kept in the cache until the file changes.

Compressing, parsing and searching cost seconds in a large package, and are the same every time. A file is the same
where size, time of the last write and time of the last change are: the last cannot be set by archives or `touch`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from emulator import __version__, cache

# Raise it when what is kept, or how it is found out, changes.
_RECIPE: Final = 2


class Stamped(Protocol):
    """What a file is known by."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int


class Memo:
    """Values that JSON has, by file and by what was asked; not for values that may be None."""

    def __init__(self, root: Path) -> None:
        self._place = _place(root)
        self._kept = _read(self._place)
        self._changed = False

    def recall(self, entry: Stamped, question: str) -> Any:  # noqa: ANN401 - JSON of any shape
        """The answer, None where there is none or the file has changed since."""
        kept = self._kept.get(entry.path)
        return kept[1].get(question) if kept is not None and kept[0] == _stamp(entry) else None

    def keep(self, entry: Stamped, question: str, answer: object) -> None:
        """Remember it, once `save` is called."""
        kept = self._kept.get(entry.path)
        if kept is None or kept[0] != _stamp(entry):
            kept = self._kept[entry.path] = (_stamp(entry), {})
        kept[1][question] = answer
        self._changed = True

    def save(self, entries: Iterable[Stamped]) -> None:
        """Write what is known of these and forget the rest; a cache that cannot be written is none."""
        if self._place is None or not self._changed:
            return
        kept = {entry.path: self._kept[entry.path] for entry in entries if entry.path in self._kept}
        with suppress(OSError):
            self._place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._place.with_name(f"{self._place.name}.{os.urandom(6).hex()}")
            new.write_text(json.dumps(kept), encoding="ascii")
            new.replace(self._place)
        self._changed = False


def _stamp(entry: Stamped) -> list[int]:
    return [entry.size, entry.mtime_ns, entry.ctime_ns]


def _place(root: Path) -> Path | None:
    where = cache.folder()
    question = f"{_RECIPE}\n{__version__}\n{root.resolve()}\n{zlib.ZLIB_RUNTIME_VERSION}\n{sys.version}"
    digest = hashlib.sha256(os.fsencode(question)).hexdigest()[:16]
    return None if where is None else where / "packages" / f"{digest}.json"


def _read(place: Path | None) -> dict[str, tuple[list[int], dict[str, Any]]]:
    if place is None:
        return {}
    try:
        kept = json.loads(place.read_text(encoding="ascii"))
        return {path: (stamp, answers) for path, (stamp, answers) in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # never kept, or half of it
