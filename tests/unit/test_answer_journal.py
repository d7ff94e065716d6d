"""The journal of an evaluation: what an interrupted run leaves, and who may go on with it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.config import FunctionConfig
from emulator.golden.journal import function_key, open_journal

SHA = "a" * 64


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give the journals a place of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lambda-preflight" / "evaluations"


@pytest.fixture
def config(tmp_path: Path) -> FunctionConfig:
    """Give a function of one file."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(event, context): ...\n")
    return FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=tmp_path / "src")


def interrupted(*cases: str, earlier: tuple[str, ...] = ()) -> None:
    """Find the answers to `earlier`, answer these cases, and be stopped."""
    with open_journal(SHA, "key") as journal:
        assert journal.earlier == {case: {"payload": case.upper()} for case in earlier}
        for case in cases:
            journal.add(case, {"payload": case.upper()})
        raise KeyboardInterrupt


@pytest.mark.usefixtures("home")
def test_an_interrupted_run_goes_on() -> None:
    """Answer by answer; what is added then comes on top."""
    with pytest.raises(KeyboardInterrupt):
        interrupted("a", "b")
    with pytest.raises(KeyboardInterrupt):
        interrupted("c", earlier=("a", "b"))
    with open_journal(SHA, "key") as journal:
        assert list(journal.earlier) == ["a", "b", "c"]
    with open_journal(SHA, "key", fresh=True) as journal:
        assert journal.earlier == {}
    with open_journal(SHA, "other") as journal:
        assert journal.earlier == {}


def test_a_run_to_the_end_leaves_nothing(home: Path) -> None:
    """Nor does one that was stopped before its first answer."""
    with open_journal(SHA, "key") as journal:
        journal.add("a", {"payload": 1})
        assert len(list(home.iterdir())) == 1
        journal.finish()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(home.iterdir()) == []


def test_the_line_that_was_being_written_is_lost_alone(home: Path) -> None:
    """And what follows it is a line of its own."""
    with pytest.raises(KeyboardInterrupt):
        interrupted("a", "b")
    (path,) = home.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(KeyboardInterrupt):
        interrupted("c", earlier=("a",))
    with open_journal(SHA, "key") as journal:
        assert list(journal.earlier) == ["a", "c"]


@pytest.mark.usefixtures("home")
def test_two_runs_at_once_do_not_mix() -> None:
    """The second has no journal."""
    with open_journal(SHA, "key") as first, open_journal(SHA, "key") as second:
        assert first.path is not None
        assert second.path is None
        second.add("z", {})
        second.finish()
        first.add("a", {})
    with open_journal(SHA, "key") as journal:
        assert list(journal.earlier) == ["a"]


def test_no_place_is_no_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run needs none."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with open_journal(SHA, "key") as journal:
        assert journal.path is None
        journal.add("a", {})
        journal.finish()


def test_a_key_is_the_functions(config: FunctionConfig) -> None:
    """Whatever answers or figures depend on is in it; its name is not."""
    key = function_key(config, "docker")
    assert key == function_key(replace(config, name="G"), "docker")
    changed = [
        function_key(config, "process"),
        function_key(replace(config, memory_mb=256), "docker"),
        function_key(replace(config, environment={"A": "1"}), "docker"),
        function_key(replace(config, handler="app.other"), "docker"),
    ]
    source = config.code / "app.py"
    before = source.stat()
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    changed.append(function_key(config, "docker"))
    (config.code / "more.py").write_text("")
    changed.append(function_key(config, "docker"))
    assert len({key, *changed}) == 7
