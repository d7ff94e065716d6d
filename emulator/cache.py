"""What the emulator can make again: the folder it lies in, and answers that hold for as long as certain files stay.

Finding an answer anew can take imports that cost more than a container's start; `recall` costs one small file and some
stats.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from emulator import __version__
from emulator.errors import ConfigurationError

# An answer must not outlive the code that found it, be that another version or one that is being worked on.
_SOURCES: Final = tuple(str(Path(__file__).parent / folder) for folder in ("", "sandbox", "template"))
Stamp = list[object] | None
"""Where a file truly lies, its size and times; None where there is none."""

_FORGOTTEN_AFTER_S: Final = 30 * 24 * 3600


def home() -> Path | None:
    """The user's folder; None for a user without one, as a bare number in a container is."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def folder() -> Path | None:
    """Where it lies: `lambda-preflight` below `$XDG_CACHE_HOME` or `~/.cache`; None where neither is to be had."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification tells readers to ignore a relative path
        own = home()
        if own is None:
            return None
        base = own / ".cache"
    return base / "lambda-preflight"


def needed_folder() -> Path:
    """The same for what cannot do without one: ConfigurationError where there is none."""
    found = folder()
    if found is None:
        message = "this user has no home directory to keep things in"
        raise ConfigurationError(message, hint="Set XDG_CACHE_HOME to a folder that you may write.")
    return found


def recall(question: str) -> str | None:
    """The answer that was remembered, if every file it depends on is still as it was then."""
    place = _place(question)
    if place is None:
        return None
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        same = kept["question"] == question and kept["who"] == _who()
        if same and all(_stamp(path) == stamp for path, stamp in kept["stamps"].items()):
            return str(kept["answer"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # never remembered, or by an emulator of another kind
    return None


def stamps(files: Iterable[Path]) -> dict[str, Stamp]:
    """How these files and folders, there or not, are now: to be taken before they are read."""
    return {str(path): _stamp(str(path)) for path in files}


def remember(question: str, answer: str, depends_on: Mapping[str, Stamp]) -> None:
    """Keep an answer for as long as these stamps are right; a cache that cannot be written is none.

    Only this user can read it.
    """
    place = _place(question)
    if place is None:
        return
    text = json.dumps({"question": question, "who": _who(), "stamps": dict(depends_on), "answer": answer})
    with suppress(OSError):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget_old(place.parent)
        new = place.with_name(f"{place.name}.{os.urandom(6).hex()}")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(place)


def _place(question: str) -> Path | None:
    where = folder()
    if where is None:
        return None
    # Each installation has its own: two that take turns would have each other's answers forgotten all the time.
    asked = f"{__file__}\n{sys.executable}\n{question}"
    return where / "answers" / f"{zlib.crc32(asked.encode('utf-8', 'surrogateescape')):08x}.json"


def _forget_old(answers: Path) -> None:
    limit = time.time() - _FORGOTTEN_AFTER_S
    with os.scandir(answers) as entries:
        for entry in entries:
            if entry.stat().st_mtime < limit:
                Path(entry.path).unlink(missing_ok=True)


def _who() -> list[object]:
    newest = 0
    for source in _SOURCES:
        with os.scandir(source) as entries:
            newest = max(newest, *(entry.stat().st_mtime_ns for entry in entries if entry.name.endswith(".py")))
    return [__version__, newest, sys.executable, sys.version]


def _stamp(path: str) -> Stamp:
    try:
        seen = os.stat(path)  # noqa: PTH116 - a dozen of these stand between the user and a start
    except OSError:
        return None
    # The time of the last change cannot be set, as a file's own time often is: by archives, builds and `touch -r`.
    return [os.path.realpath(path), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]
