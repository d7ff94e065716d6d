"""`/tmp` as a disk: what it needs, and what is told and left behind where it cannot be had."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.errors import BackendError
from emulator.sandbox import loop_device, storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make file systems without any tool: an empty file each."""
    monkeypatch.setattr(storage, "make_file_system", lambda image, _: image.write_bytes(b""))


def failing(number: int) -> Callable[..., None]:
    """Give a function that fails as the system does."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(low=st.integers(0, 2**32 - 1), high=st.integers(0, 2**32 - 1))
def test_free_blocks(tmp_path: Path, low: int, high: int) -> None:
    """Both halves of the superblock's count, where ext4 has them."""
    superblock = bytearray(1024)
    struct.pack_into("<I", superblock, 0x0C, low)
    struct.pack_into("<I", superblock, 0x158, high)
    image = tmp_path / "image"
    image.write_bytes(b"\xff" * 1024 + superblock + b"\xff" * 1024)
    assert storage.free_blocks(image) == low + high * 2**32


def test_missing_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that is not found is named, on the PATH or in the folders where Debian hides them."""
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert storage.missing_tools() == ("mkfs.ext4", "debugfs")
    monkeypatch.setattr(shutil, "which", lambda name, path=None: "/usr/sbin/x" if path else None)
    assert storage.missing_tools() == ()
    monkeypatch.setattr(shutil, "which", lambda name, path=None: name if name == "debugfs" else None)
    assert storage.missing_tools() == ("mkfs.ext4",)


def test_a_tool_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is named, with the package to install."""
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(BackendError, match=r"mkfs\.ext4") as caught:
        storage.make_file_system(tmp_path / "image", 512)
    assert "e2fsprogs" in (caught.value.hint or "")


def test_only_root_may_attach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loop devices are not for everybody."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not storage.may_attach()


@pytest.mark.usefixtures("no_tools")
def test_an_image_leaves_no_name(tmp_path: Path) -> None:
    """It is there while it is used."""
    with storage.new_image(512, tmp_path) as image:
        assert image.exists()
        assert image.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_tools")
def test_an_image_leaves_no_name_after_trouble(tmp_path: Path) -> None:
    """Whatever goes wrong while it is used."""

    def interrupted() -> None:
        with storage.new_image(512, tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_tools")
def test_images_do_not_share_a_name(tmp_path: Path) -> None:
    """Two are made at once."""
    with storage.new_image(512, tmp_path) as one, storage.new_image(512, tmp_path) as other:
        assert one != other


@pytest.mark.parametrize(("number", "hint"), [(errno.ENOSPC, "disk space"), (errno.EACCES, "preflight doctor")])
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, hint: str) -> None:
    """It is not the machine's nature that is at fault then, and the hint says what to do."""
    monkeypatch.setattr(storage, "make_file_system", failing(number))
    with pytest.raises(BackendError, match="512 MB") as caught:
        storage.TmpDisk(512, tmp_path)
    assert os.strerror(number) in caught.value.message
    assert hint in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_tools")
def test_a_device_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reason is the system's, and no file stays."""
    monkeypatch.setattr(loop_device, "attach", failing(errno.EPERM))
    with pytest.raises(BackendError, match="Operation not permitted"):
        storage.TmpDisk(512, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_tools")
def test_a_disk_is_let_go_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Closing twice must not close what has got the same number since."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    monkeypatch.setattr(loop_device, "attach", lambda _: ("/dev/loop7", descriptor))
    disk = storage.TmpDisk(512, tmp_path)
    assert disk.device == "/dev/loop7"
    assert list(tmp_path.iterdir()) == []
    disk.close()
    again = os.open(os.devnull, os.O_RDONLY)
    disk.close()
    os.fstat(again)
    os.close(again)
