"""`/tmp` of one sandbox: an ext4 file system of exactly the promised size on a loop device.

Its pages are file pages of a disk, so they are not the function's memory, and the kernel answers ENOSPC at its size.
The file is unlinked once the loop device holds it and the device frees itself at its last close, so nothing is left
behind whatever becomes of us.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from emulator import cache
from emulator.errors import BackendError
from emulator.sandbox import ext4, loop_device

_RECIPE: Final = 2  # part of a kept file system's name: raise it when the same size should give another one
_SUPERBLOCK: Final = (1024, struct.Struct("<4xI48xH"))  # where it lies; blocks in all, magic number (fs/ext4/ext4.h)
_MAGIC: Final = 0xEF53
_CHUNK: Final = 1 << 20
_NEEDED: Final = 1 << 21 | 1 << 19  # capability.h: CAP_SYS_ADMIN, CAP_SYS_PTRACE


def may_administer() -> bool:
    """Whether this process is root who may enter a container's namespaces, and read its processes' figures.

    Root in a container is usually root without these capabilities.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, where there is nothing to enter or to attach either
        return False
    effective = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return effective & _NEEDED == _NEEDED


def may_attach() -> bool:
    """Whether this process may bind a file to a loop device by itself."""
    return may_administer() and os.access("/dev/loop-control", os.R_OK | os.W_OK)


class Fill:
    """What has been put into the `/tmp` of a sandbox's own; None until `begin` has seen it empty."""

    def __init__(self) -> None:
        self._empty: int | None = None

    def begin(self, pid: int | None) -> None:
        """Nothing has been put there yet; later calls change nothing, since a reset keeps what is there."""
        if self._empty is None:
            self._empty = _taken(pid)

    def used(self, pid: int | None) -> int | None:
        """Bytes in it now, as the process sees it; None out of reach."""
        taken = _taken(pid)
        return None if taken is None or self._empty is None else max(0, taken - self._empty)


def _taken(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        found = os.statvfs(f"/proc/{pid}/root/tmp")  # a few microseconds: it is asked at each invocation
    except OSError:  # the process has ended, or is not ours to look at
        return None
    return (found.f_blocks - found.f_bfree) * found.f_frsize


class Disk(Protocol):
    """A loop device that holds an empty ext4 file system."""

    @property
    def device(self) -> str:
        """`/dev/loopN`."""

    def close(self) -> None:
        """Let the device go; it is freed when the container that mounts it is gone too."""


class NotAttached(BackendError):
    """The kernel gave this process no loop device."""


class TmpDisk:
    """A disk of `size_mb` MB of free space that this process made and holds; BackendError where it cannot."""

    def __init__(self, size_mb: int, folder: Path) -> None:
        with new_image(size_mb, folder) as image:
            try:
                self.device, self._fd = loop_device.attach(str(image))
            except OSError as error:
                message = f"the disk of {size_mb} MB for ephemeral storage was not attached: {error.strerror or error}"
                raise NotAttached(message, hint="Run `preflight doctor`.") from error

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
        _fill(image, size_mb)
        yield image
    except OSError as error:
        hint = "Free some disk space." if error.errno == errno.ENOSPC else "Run `preflight doctor`."
        message = f"the disk for ephemeral storage of {size_mb} MB could not be made: {error.strerror or error}"
        raise BackendError(message, hint=hint) from error
    finally:
        image.unlink(missing_ok=True)


def _fill(image: Path, size_mb: int) -> None:
    """An empty file system is made once for each size and copied from then on: some hundred KB, without a program."""
    place = cache.folder()
    kept = None if place is None else place / "disks" / f"ext4-{_RECIPE}-{size_mb}"
    if kept is None or not _copy(kept, image):
        ext4.make_file_system(image, size_mb)
        if kept is not None:
            _keep(image, kept)


def _keep(image: Path, kept: Path) -> None:
    """A cache that cannot be written is no cache: the next one is made anew."""
    new = kept.with_name(f"{kept.name}.{os.urandom(6).hex()}")  # threads and processes make the same size at once
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            if _copy(image, new):
                new.replace(kept)
        finally:
            new.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> bool:
    """Copy a sparse file's data and leave its holes; False where the source is no whole file system."""
    try:
        reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        size = os.fstat(reading).st_size
        if not _is_whole(reading, size):
            return False
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(writing, size)
            for begin, end in _extents(reading, size):
                for at in range(begin, end, _CHUNK):
                    _write(writing, os.pread(reading, min(_CHUNK, end - at), at), at)
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    return True


def _is_whole(descriptor: int, size: int) -> bool:
    place, fields = _SUPERBLOCK
    try:
        blocks, magic = fields.unpack(os.pread(descriptor, fields.size, place))
    except (OSError, struct.error):  # a folder, or a file that ends before
        return False
    return bool(magic == _MAGIC and blocks * ext4.BLOCK == size)


def _extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    while end < size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, end


def _write(descriptor: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written
