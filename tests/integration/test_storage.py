"""The file system for `/tmp`, made by the real tools: exactly the promised room, as any user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from emulator.sandbox import docker_container, ext4, storage

BLOCK = 4096
MIB = 1024 * 1024
SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"


def debugfs(image: Path, request: str) -> str:
    """Ask e2fsprogs' own tool."""
    tool = shutil.which("debugfs", path=SBIN)
    assert tool is not None
    done = subprocess.run([tool, "-R", request, str(image)], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.engine
@pytest.mark.parametrize("size_mb", [512, 513, 1024, 10_240])
def test_room(tmp_path: Path, size_mb: int) -> None:
    """As much as was promised once the kernel has taken its reserve, not a megabyte more, and sparse."""
    image = tmp_path / "image"
    ext4.make_file_system(image, size_mb)
    blocks = image.stat().st_size // BLOCK
    reserve = min(blocks // 50, 4096)  # fs/ext4/super.c, reserved clusters
    usable = (ext4.free_blocks(image) - reserve) * BLOCK
    assert size_mb * MIB <= usable < (size_mb + 1) * MIB
    assert image.stat().st_blocks * 512 < size_mb * MIB // 20


@pytest.mark.engine
def test_free_blocks_as_the_tools_count_them(tmp_path: Path) -> None:
    """The superblock was read right."""
    image = tmp_path / "image"
    ext4.make_file_system(image, 512)
    found = re.search(r"^Free blocks:\s+(\d+)$", debugfs(image, "stats"), re.MULTILINE)
    assert found is not None
    assert ext4.free_blocks(image) == int(found[1])


@pytest.mark.engine
def test_the_root_folder_is_tmp(tmp_path: Path) -> None:
    """`drwxrwxrwt root root`, and nothing is in it."""
    image = tmp_path / "image"
    ext4.make_file_system(image, 512)
    stat = debugfs(image, "stat /")
    assert re.search(r"Type: directory\s+Mode:\s+01777", stat)
    assert re.search(r"User:\s+0\s+Group:\s+0\b", stat)
    names = set(re.findall(r"\)\s+(\S+)", debugfs(image, "ls /")))
    assert "lost+found" not in debugfs(image, "ls /")
    assert names <= {".", ".."}


@pytest.mark.engine
@pytest.mark.skipif(not storage.may_attach(), reason="only root may attach a loop device")
def test_the_disk_has_no_page_cache_of_its_own() -> None:
    """On cgroup v2 the kernel charges that to the function too: a deleted file looked like memory."""
    folder = Path(docker_container.scratch_folder())
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            os.close(os.open(f"/proc/self/fd/{probe.fileno()}", os.O_RDWR | os.O_DIRECT))
    except OSError:
        pytest.skip(f"the file system of {folder} knows no direct I/O")
    with closing(storage.TmpDisk(512, folder)) as disk:
        assert Path("/sys/block", Path(disk.device).name, "loop", "dio").read_text() == "1\n"
