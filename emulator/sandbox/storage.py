"""`/tmp` of one sandbox: an ext4 file system of exactly the promised size on a loop device.

Its pages are file pages of a disk, so they are not the function's memory, and the kernel answers ENOSPC at its size.
The file is unlinked once the loop device holds it and the device frees itself at its last close, so nothing is left
behind whatever becomes of us.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from emulator.errors import BackendError
from emulator.limits import MIB
from emulator.sandbox import loop_device

_BLOCK: Final = 4096
_SLACK_BLOCKS: Final = 8  # the extent tree of one file that fills the disk
_ROUNDS: Final = 8
_SUPERBLOCK_OFFSET: Final = 1024


def missing_tools() -> tuple[str, ...]:
    """What making the file system needs and the machine lacks; empty where it can be made, as any user."""
    return tuple(name for name in ("mkfs.ext4", "debugfs") if _tool(name) is None)


def may_attach() -> bool:
    """Whether this process may bind a file to a loop device by itself."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and os.access("/dev/loop-control", os.R_OK | os.W_OK)


class Disk(Protocol):
    """A loop device that holds an empty ext4 file system."""

    @property
    def device(self) -> str:
        """`/dev/loopN`."""

    def close(self) -> None:
        """Let the device go; it is freed when the container that mounts it is gone too."""


class TmpDisk:
    """A disk of `size_mb` MB of free space that this process made and holds; BackendError where it cannot."""

    def __init__(self, size_mb: int, folder: Path) -> None:
        with new_image(size_mb, folder) as image:
            try:
                self.device, self._fd = loop_device.attach(str(image))
            except OSError as error:
                message = f"the disk of {size_mb} MB for ephemeral storage was not attached: {error.strerror or error}"
                raise BackendError(message, hint="Run `preflight doctor`.") from error

    def close(self) -> None:
        """Close the descriptor that keeps the device."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextmanager
def new_image(size_mb: int, folder: Path) -> Iterator[Path]:
    """A file that holds the file system; its name is gone at the end, the file when nobody holds it any more."""
    image = folder / f"tmp-{os.urandom(8).hex()}.ext4"
    try:
        make_file_system(image, size_mb)
        yield image
    except OSError as error:
        hint = "Free some disk space." if error.errno == errno.ENOSPC else "Run `preflight doctor`."
        message = f"the disk for ephemeral storage of {size_mb} MB could not be made: {error.strerror or error}"
        raise BackendError(message, hint=hint) from error
    finally:
        image.unlink(missing_ok=True)


def make_file_system(image: Path, size_mb: int) -> None:
    """Write a sparse ext4 file whose free space is `size_mb` MB and whose root is `drwxrwxrwt root root`."""
    wanted = size_mb * MIB // _BLOCK + _SLACK_BLOCKS
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
        file.truncate(blocks * _BLOCK)
    features = "^has_journal,^resize_inode,64bit"
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", str(_BLOCK), "-O", features, "-E", "root_owner=0:0", str(image))


def _tool(name: str) -> str | None:
    # Debian keeps these in /usr/sbin, which is not on the PATH of an ordinary shell.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/opt/homebrew/opt/e2fsprogs/sbin")


def _run(name: str, *arguments: str, script: str = "") -> None:
    path = _tool(name)
    if path is None:
        raise BackendError(f"{name} is not installed", hint="Install e2fsprogs.")
    done = subprocess.run([path, *arguments], input=script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackendError(f"{name} failed: {done.stderr.strip()}", hint="Run `preflight doctor`.")
