"""Answers that hold for as long as the files they depend on stay as they are."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emulator import cache
from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lambda-preflight"


def test_nothing_is_known_at_first() -> None:
    """None is no answer."""
    assert cache.recall("q") is None


def test_an_answer_is_kept(tmp_path: Path) -> None:
    """For the question that was asked, and the last one counts."""
    for answer in ("a", "b"):
        cache.remember("q", answer, cache.stamps([tmp_path]))
    assert (cache.recall("q"), cache.recall("r")) == ("b", None)


def grow(path: Path) -> None:
    """Change the size alone."""
    before = path.stat()
    path.write_text("longer than it was")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def touch(path: Path) -> None:
    """Change the time alone."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def rewrite(path: Path) -> None:
    """Another content of the same size at the same time, as archives and builds write it."""
    before = path.stat()
    path.write_text("trohs")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def link(path: Path) -> None:
    """The same content and time, elsewhere."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("change", [grow, touch, rewrite, link, lambda path: path.unlink()])
def test_a_change_makes_it_forgotten(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """Size, time, place, or that it is there at all."""
    file = tmp_path / "file"
    file.write_text("short")
    cache.remember("q", "a", cache.stamps([tmp_path / "other", file]))
    assert cache.recall("q") == "a"
    change(file)
    assert cache.recall("q") is None


def test_what_appears_is_a_change(tmp_path: Path) -> None:
    """That it was not there was part of the answer."""
    cache.remember("q", "a", cache.stamps([tmp_path / "file"]))
    assert cache.recall("q") == "a"
    (tmp_path / "file").touch()
    assert cache.recall("q") is None


def test_another_python_asks_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer depends on who asked."""
    cache.remember("q", "a", cache.stamps([]))
    monkeypatch.setattr(sys, "executable", "/another/python")
    assert cache.recall("q") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"who": []}', '{"who": 1, "stamps": [], "answer": 1}'])
def test_what_cannot_be_read_is_no_answer(home: Path, text: str) -> None:
    """Whoever wrote it."""
    cache.remember("q", "a", cache.stamps([]))
    (file,) = (home / "answers").iterdir()
    file.write_text(text)
    assert cache.recall("q") is None


def test_a_cache_that_cannot_be_written_is_none(home: Path) -> None:
    """Nothing is remembered, and nothing is wrong."""
    home.parent.write_text("a file where the cache should be")
    cache.remember("q", "a", cache.stamps([]))
    assert cache.recall("q") is None


@pytest.mark.parametrize(("value", "base"), [("", ".cache"), ("relative/path", ".cache"), ("/var/cache", "/var/cache")])
def test_cache_folder_follows_the_xdg_specification(
    value: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is to be ignored, as is an empty one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache.folder() == tmp_path / base / "lambda-preflight"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept and nothing is wrong, but for what cannot do without a folder."""

    def nowhere() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    cache.remember("q", "a", {})
    assert (cache.recall("q"), cache.folder()) == (None, None)
    with pytest.raises(ConfigurationError) as caught:
        cache.needed_folder()
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")


def test_two_installations_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither takes the place of the other's answers, which would have both find them anew each time."""
    cache.remember("q", "ours", {})
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "executable", "/another/python")
        cache.remember("q", "theirs", {})
        assert cache.recall("q") == "theirs"
    assert cache.recall("q") == "ours"
