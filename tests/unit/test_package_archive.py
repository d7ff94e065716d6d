"""The zip that is uploaded: the same bytes each time, and what Lambda needs of modes."""

from __future__ import annotations

import os
import random
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.package import archive
from emulator.package.tree import read
from tests.packages import fill

NAMES = st.sampled_from(["a", "B", "b.py", "python", "x.so", "ü"])
FILES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=200), min_size=1, max_size=8
)


@settings(max_examples=40)
@given(files=FILES, seed=st.randoms(use_true_random=False), when=st.integers(0, 4_000_000_000))
def test_the_same_files_make_the_same_zip(files: dict[str, bytes], seed: random.Random, when: int) -> None:
    """Whatever the order in which they were written, their times, and who may read them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        flat = {name.replace("/", ".d/") + ".f": content for name, content in files.items()}  # none is file and folder
        fill(root / "one", flat)
        shuffled = sorted(flat.items(), key=lambda _: seed.random())
        for path in fill(root / "two", dict(shuffled)).rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
            os.utime(path, (when, when))
        sums = {archive.write(root / name, root / f"{name}.zip") for name in ("one", "two")}
        assert len(sums) == 1
        assert (root / "one.zip").read_bytes() == (root / "two.zip").read_bytes()
        with zipfile.ZipFile(root / "one.zip") as made:
            assert made.namelist() == sorted(flat)
            assert {name: made.read(name) for name in made.namelist()} == flat
        assert read(root / "one.zip", "code").unzipped_bytes == read(root / "one", "code").unzipped_bytes


def test_modes_links_and_empty_folders(tmp_path: Path) -> None:
    """Readable by all; to be run by all where anyone may; links stay links."""
    folder = fill(tmp_path / "code", {"bootstrap": "#!/bin/sh\n", "app.py": "", "lib/x": "1"})
    (folder / "bootstrap").chmod(0o700)
    (folder / "app.py").chmod(0o600)
    (folder / "link").symlink_to("lib/x")
    (folder / "linked").symlink_to("lib")
    (folder / "empty").mkdir()
    archive.write(folder, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as made:
        modes = {info.filename: info.external_attr >> 16 for info in made.infolist()}
        assert made.read("link") == b"lib/x"
        assert {info.date_time for info in made.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert list(modes) == ["app.py", "bootstrap", "empty/", "lib/x", "link", "linked"]
    assert stat.S_ISLNK(modes["link"])
    assert stat.S_ISLNK(modes["linked"])
    assert stat.S_IMODE(modes["bootstrap"]) == 0o755
    assert stat.S_IMODE(modes["app.py"]) == 0o644


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """The caller puts it into its place."""
    (tmp_path / "out.zip").write_text("mine")
    with pytest.raises(FileExistsError):
        archive.write(fill(tmp_path / "code", {"a": "1"}), tmp_path / "out.zip")
    shutil.rmtree(tmp_path / "code")
    assert (tmp_path / "out.zip").read_text() == "mine"
