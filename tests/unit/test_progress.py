"""How far a run is, on a terminal and elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from emulator.progress import Bar

if TYPE_CHECKING:
    import pytest


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """One for each stretch."""
    with Bar() as bar:
        bar.begin("cold starts", 5)
        bar.step()
        bar.say("making the image")
    assert capsys.readouterr().err.splitlines() == ["cold starts (5)", "making the image"]


def test_nothing_where_a_machine_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """Quiet is quiet."""
    with Bar(quiet=True) as bar:
        bar.begin("cold starts", 5)
        bar.step()
        bar.say("making the image")
    assert capsys.readouterr() == ("", "")


def test_a_bar_with_rate_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts, and is gone at the end."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Bar() as bar:
        bar.begin("golden cases", 2)
        bar.step()
        bar.begin("warm calls", 1)
        bar.step()
    shown = capsys.readouterr().err
    assert "warm calls" in shown
    assert "1/1" in shown
    assert "/s" in shown or "0:00:00" in shown
