"""Files that `--output` names: their kind by suffix, refused before anything is run, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from emulator.errors import ConfigurationError

Makers = Mapping[str, Callable[[], bytes]]
"""Suffix to what makes the file's bytes, called only where such a file is wanted."""


def check(paths: Sequence[Path], suffixes: Sequence[str]) -> None:
    """ConfigurationError where one of the files has another suffix, or cannot be written."""
    known = ", ".join(suffixes)
    for path in paths:
        if path.suffix.lower() not in suffixes:
            raise ConfigurationError(f"--output {path}: its suffix is none of {known}", hint=f"Choose among {known}.")
        check_place(path)


def check_place(path: Path, option: str = "--output") -> None:
    """ConfigurationError where the file that this option names cannot be written."""
    if path.is_dir():
        raise ConfigurationError(f"{option} {path} is a folder", hint="Name a file.")
    if not os.access(path.absolute().parent, os.W_OK):
        message = f"{option} {path} cannot be written: there is no folder {path.absolute().parent} to write in"
        raise ConfigurationError(message, hint="Make the folder first.")


def write(paths: Sequence[Path], makers: Makers) -> None:
    """Write each file as its suffix says; ConfigurationError where one cannot be, and then the old one stays."""
    for path in paths:
        write_whole(path, makers[path.suffix.lower()]())


def write_whole(path: Path, content: bytes, option: str = "--output") -> None:
    """Whoever reads meanwhile sees the old file or the new one; ConfigurationError leaves the old one."""
    new = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        new.write_bytes(content)
        new.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{option} {path}: {error.strerror}", hint="`df` shows a full disk.") from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
