"""Makes an ext4 file system of exactly a given free space in a sparse file, as any user, by e2fsprogs."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from emulator.errors import BackendError
from emulator.limits import MIB

BLOCK: Final = 4096
_SLACK_BLOCKS: Final = 8  # the extent tree of one file that fills the disk
_ROUNDS: Final = 8
_SUPERBLOCK_OFFSET: Final = 1024


def missing_tools() -> tuple[str, ...]:
    """What making the file system needs and the machine lacks; empty where it can be made, as any user."""
    return tuple(name for name in ("mkfs.ext4", "debugfs") if tool(name) is None)


def tool(name: str) -> str | None:
    """Where a program lies; Debian keeps these in /usr/sbin, which is not on the PATH of an ordinary shell."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    for folder in (*folders, "/usr/sbin", "/sbin", "/opt/homebrew/opt/e2fsprogs/sbin"):
        path = os.path.join(folder, name)  # noqa: PTH118 - a dozen of these stand between the user and a start
        if os.access(path, os.X_OK):
            return path
    return None


def make_file_system(image: Path, size_mb: int) -> None:
    """Write a sparse ext4 file whose free space is `size_mb` MB and whose root is `drwxrwxrwt root root`."""
    wanted = size_mb * MIB // BLOCK + _SLACK_BLOCKS
    blocks = _first_guess(wanted)
    for _ in range(_ROUNDS):
        _format(image, blocks)
        short = wanted + _kernel_reserve(blocks) - free_blocks(image)
        if -_SLACK_BLOCKS <= short <= 0:
            break
        blocks += short
    _run("debugfs", "-w", "-f", "-", str(image), script="rmdir lost+found\nset_inode_field / mode 041777\n")


def _first_guess(wanted: int) -> int:
    """Blocks in all that leave about `wanted` free: an inode of 256 bytes for 16 KB, three blocks for each group."""
    blocks = wanted
    for _ in range(3):
        blocks = wanted + _kernel_reserve(blocks) + blocks // 64 + 3 * (blocks // 32768 + 1) + 16
    return blocks


def _kernel_reserve(blocks: int) -> int:
    """Blocks that ext4 keeps back for itself at mount: 2 %, 4,096 at most (fs/ext4/super.c, reserved clusters)."""
    return min(blocks // 50, 4096)


def free_blocks(image: Path) -> int:
    """Free blocks of 4,096 bytes by the superblock of an ext4 file."""
    with image.open("rb") as file:
        file.seek(_SUPERBLOCK_OFFSET)
        superblock = file.read(1024)
    low = struct.unpack_from("<I", superblock, 0x0C)[0]
    high = struct.unpack_from("<I", superblock, 0x158)[0]
    return int(low + (high << 32))


def _format(image: Path, blocks: int) -> None:
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(blocks * BLOCK)
    features = "^has_journal,^resize_inode,64bit"
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", str(BLOCK), "-O", features, "-E", "root_owner=0:0", str(image))


def _run(name: str, *arguments: str, script: str = "") -> None:
    import subprocess  # noqa: PLC0415 - only where a size is needed for the first time

    path = tool(name)
    if path is None:
        raise BackendError(f"{name} is not installed", hint="Install e2fsprogs.")
    done = subprocess.run([path, *arguments], input=script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackendError(f"{name} failed: {done.stderr.strip()}", hint="Run `preflight doctor`.")
