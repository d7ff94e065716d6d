"""The journal of an evaluation that is under way, so that one which was interrupted can go on.

It lies in `evaluations/` below the cache folder, named by what makes answers interchangeable: the dataset's sha256 and
the function's key. It goes when the evaluation has ended.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from emulator import cache
from emulator.config import FunctionConfig

_VERSION: Final = 1
_KEPT: Final = (
    *("handler", "runtime", "architecture", "memory_mb", "timeout_s", "ephemeral_storage_mb", "image"),
    *("entry_point", "command", "working_directory"),
)


def function_key(config: FunctionConfig, backend: str) -> str:
    """The same for as long as nothing that the function's answers and figures depend on has changed.

    Files count by path, size and time of last change, as build tools do it.
    """
    digest = hashlib.sha256(f"{_VERSION} {backend}".encode())
    for name in _KEPT:
        digest.update(f"{name}={getattr(config, name)!r}\n".encode())
    for name, value in sorted(config.environment.items()):
        digest.update(f"{name}={value}\n".encode("utf-8", "surrogateescape"))
    for folder in (config.code, *config.layers) if config.image is None else ():
        for path in sorted(folder.rglob("*")):
            seen = path.lstat()
            digest.update(f"{path.relative_to(folder)} {seen.st_size} {seen.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()


class AnswerJournal:
    """One record for each answered case, in the order of the answers; `earlier` are those of an interrupted run."""

    def __init__(self, file: IO[bytes] | None, earlier: Mapping[str, Mapping[str, Any]], path: Path | None) -> None:
        self._file = file
        self.earlier = earlier
        self.path = path
        """None where no journal can be kept: an interrupted run then starts from the beginning."""

    def add(self, case_id: str, record: Mapping[str, Any]) -> None:
        """Kept at once: the next instant may be the last."""
        if self._file is not None:
            self._file.write(json.dumps({"case": case_id, **record}).encode() + b"\n")
            self._file.flush()

    def finish(self) -> None:
        """The evaluation has ended: there is nothing to go on with."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


@contextmanager
def open_journal(sha256: str, key: str, *, fresh: bool = False) -> Iterator[AnswerJournal]:
    """The journal of this dataset and function; `fresh` forgets what an interrupted run left.

    There is none where the cache cannot be written, or while another run of the same evaluation has it.
    """
    home = cache.folder()
    path = None if home is None else home / "evaluations" / f"{sha256[:16]}-{key[:16]}.jsonl"
    file = None if path is None else _locked(path)
    if path is None or file is None:
        yield AnswerJournal(None, {}, None)
        return
    with file:
        earlier = {} if fresh else _read(file)
        file.seek(0)
        if not earlier:
            file.truncate()
        else:
            _end_on_a_line(file)
        try:
            yield AnswerJournal(file, earlier, path)
        finally:
            if not os.fstat(file.fileno()).st_size:  # interrupted before the first answer
                path.unlink(missing_ok=True)


def _locked(path: Path) -> IO[bytes] | None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _read(file: IO[bytes]) -> dict[str, dict[str, Any]]:
    found = {}
    for raw in file:
        try:
            record = json.loads(raw)
            found[str(record.pop("case"))] = record
        except (ValueError, KeyError, AttributeError):  # the line that was being written when the run was killed
            continue
    return found


def _end_on_a_line(file: IO[bytes]) -> None:
    end = file.seek(0, os.SEEK_END)
    if end:
        file.seek(end - 1)
        if file.read(1) != b"\n":
            file.write(b"\n")
