"""Files that are whole or not there: written beside their place and moved into it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from emulator.errors import ConfigurationError


def check_target(path: Path, what: str) -> None:
    """Whether the file can be written, asked before anything runs: ConfigurationError where it cannot."""
    if path.is_dir():
        raise ConfigurationError(f"the {what} {path} is a folder", hint="Name a file in it.")
    folder = path.parent
    if not folder.is_dir():
        raise ConfigurationError(f"the {what} {path} has no folder to lie in", hint=f"Make it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"the folder of the {what} {path} cannot be written", hint="Name another place.")


def write_text(path: Path, text: str, what: str) -> None:
    """Write in UTF-8; whoever reads meanwhile sees the old file or the new one, and a failure leaves the old."""
    check_target(path, what)
    new = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        try:
            # Made by the name and not by tempfile, so that the user's umask says who may read it.
            with new.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigurationError(
            f"the {what} {path} cannot be written: {error.strerror}", hint="`df` shows a full disk."
        ) from error
