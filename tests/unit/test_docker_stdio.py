"""What a shell's exit status says of the process it waited for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sandbox.base import Exit
from emulator.sandbox.docker_attached import ATTACH_ENTRY
from emulator.sandbox.docker_stdio import PIPES_ENTRY, keeping, parse_status


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (0, Exit(status=0)),
        (1, Exit(status=1)),
        (127, Exit(status=127)),
        (128, Exit(status=128)),
        (129, Exit(signal=1)),
        (137, Exit(signal=9)),
        (139, Exit(signal=11)),
        (143, Exit(signal=15)),
        (191, Exit(signal=63)),
        (192, Exit(signal=64)),
        (193, Exit(status=193)),
        (255, Exit(status=255)),
        (256, Exit(status=256)),
        (257, Exit(status=257)),
    ],
)
def test_status(status: int, end: Exit) -> None:
    """128 and a signal's number means that signal; there are 64 of them on Linux."""
    assert parse_status(status) == end


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (set(), "unset HOME HOSTNAME"),
        ({"HOME"}, "unset HOSTNAME"),
        ({"HOME", "HOSTNAME", "X"}, "read"),
        ({"X"}, "HOME"),
    ],
)
def test_keeping(names: set[str], line: str) -> None:
    """What the function has set is not taken away; nothing else of the script changes."""
    for entry in (PIPES_ENTRY, ATTACH_ENTRY):
        kept = keeping(entry, names)
        assert line in kept
        assert not any(name in kept for name in names)
        assert kept.count(";") == entry.count(";")


@given(status=st.integers(0, 255))
def test_any_status_says_one_thing(status: int) -> None:
    """Either a status or a signal, never both and never neither, and never more than was said."""
    end = parse_status(status)
    assert (end.status is None) != (end.signal is None)
    assert status in {end.status, 128 + (end.signal or 0)}
    assert not end.out_of_memory
    assert end.lost is None
