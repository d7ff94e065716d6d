"""Which external extensions could not be started, as far as that is seen beforehand, and how their ends are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from emulator.sandbox.base import Exit
from emulator.sandbox.docker_extensions import ended_as
from emulator.sandbox.extension_scripts import parse_end, refused
from tests.bench import SPEC

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b"#!/bin/sh\n"


def layer(folder: Path, *names: str, content: bytes = GOOD, mode: int = 0o755) -> Path:
    """A layer with these files."""
    extensions = folder / "extensions"
    extensions.mkdir(parents=True)
    for name in names:
        (extensions / name).write_bytes(content)
        (extensions / name).chmod(mode)
    return folder


@pytest.mark.parametrize(("count", "name"), [(9, None), (10, None), (11, "10"), (12, "10")])
def test_the_most_there_may_be(tmp_path: Path, count: int, name: str | None) -> None:
    """The eleventh in the order of their names is one too many."""
    names = tuple(f"{number:02}" for number in range(count))
    found = refused(replace(SPEC, extensions=names, layers=(layer(tmp_path, *names),)))
    assert (found and found.extension) == name
    if found is not None:
        assert (found.error_type, found.said) == ("Extension.LaunchError", "ErrTooManyExtensions")


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (GOOD, 0o755, None),
        (GOOD, 0o644, "permission denied"),
        (b"#!/bin/sh\r\n", 0o755, "no such file or directory"),
        (b"echo\n", 0o755, "exec format error"),
    ],
)
def test_what_the_kernel_would_say(tmp_path: Path, content: bytes, mode: int, said: str | None) -> None:
    """Of the last layer's file; a good one below it does not count."""
    layers = (layer(tmp_path / "below", "a"), layer(tmp_path / "above", "a", content=content, mode=mode))
    found = refused(replace(SPEC, extensions=("a",), layers=layers))
    assert (found and found.said) == (None if said is None else f"fork/exec /opt/extensions/a: {said}")


def test_those_of_an_image_are_only_counted() -> None:
    """Their files are not here."""
    assert refused(replace(SPEC, image="x", extensions=("a",))) is None
    assert refused(replace(SPEC, image="x", extensions=tuple("abcdefghijk"))) is not None


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("0", Exit(status=0)),
        ("3", Exit(status=3)),
        ("137", Exit(signal=9)),
        ("0 1", Exit(status=0, extension="a b")),
        ("127 2", Exit(status=127, extension="c")),
        ("143 2", Exit(signal=15, extension="c")),
    ],
)
def test_ends(line: str, end: Exit) -> None:
    """By number, since a name may hold anything but a slash."""
    names = ("a b", "c")
    assert parse_end(line, names) == ended_as(line, names) == end


@pytest.mark.parametrize(("status", "reason"), [(256, "no such file or directory"), (257, "permission denied")])
def test_what_an_image_cannot_start(status: int, reason: str) -> None:
    """The entry point finds out; the runtime's own status is somebody else's to word."""
    said = f"fork/exec /opt/extensions/c: {reason}"
    assert ended_as(f"{status} 1", ("c",)) == Exit(extension="c", error_type="Extension.LaunchError", said=said)
    assert ended_as(str(status), ("c",)) == Exit(status=status)
