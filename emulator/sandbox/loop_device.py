"""Binds files to loop devices. Needs root, so it also runs by itself in a privileged helper container.

For that reason it imports nothing but the standard library: its own text is what the container executes.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import sys
import time
from pathlib import Path

# <linux/loop.h>
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LO_FLAGS_AUTOCLEAR = 4
# The file's own page cache would be one more copy of all that lies in /tmp, and on cgroup v2 the kernel charges it to
# the function as well (drivers/block/loop.c, Linux 5.14). Where the file's file system knows no direct I/O, the kernel
# goes without.
_LO_FLAGS_DIRECT_IO = 16
_BLOCK_SIZE = 4096  # the file system's; direct I/O would not be had with less than the disk's own
_LOOP_CONFIG = struct.Struct("=II232s64s")  # fd, block size, loop_info64, reserved
_LO_FLAGS_OFFSET = 52
_LOOP_MAJOR = 7
_BLOCK_DEVICE = 0o060660
_TRIES = 64
_PAUSE_S = 0.005


def attach(image: str) -> tuple[str, int]:
    """(device path, descriptor): the device frees itself when the descriptor and every mount are gone. OSError."""
    import fcntl  # noqa: PLC0415 - does not exist on every platform this module is imported on

    info = bytearray(232)
    struct.pack_into("=I", info, _LO_FLAGS_OFFSET, _LO_FLAGS_AUTOCLEAR | _LO_FLAGS_DIRECT_IO)
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            number = _free_number()
            path = f"/dev/loop{number}"
            if not Path(path).exists():
                os.mknod(path, _BLOCK_DEVICE, os.makedev(_LOOP_MAJOR, number))
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, _LOOP_CONFIG.pack(backing, _BLOCK_SIZE, bytes(info), b""))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:  # somebody else took this one between the two calls
                    raise
                time.sleep(_PAUSE_S)
            else:
                return path, device
    finally:
        os.close(backing)
    raise OSError(errno.EBUSY, "no free loop device could be had")


def serve() -> None:
    """Attach and detach as lines of JSON ask for it, until standard input ends; the devices then free themselves."""
    held: dict[str, int] = {}
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if "attach" in order:
                device, descriptor = attach(order["attach"])
                held[device] = descriptor
                answer = {"device": device}
            else:
                os.close(held.pop(order["detach"]))
                answer = {"device": order["detach"]}
        except OSError as error:
            answer = {"error": error.strerror or str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _free_number() -> int:
    import fcntl  # noqa: PLC0415 - does not exist on every platform this module is imported on

    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
    finally:
        os.close(control)


if __name__ == "__main__":
    serve()
