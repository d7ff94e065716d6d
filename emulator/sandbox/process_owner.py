"""Names that tell whether the process that made a thing still lives, so that the next one can sweep what it left."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from pathlib import Path

import psutil

_PREFIX = "lambda-preflight-process"
_NAME = re.compile(rf"{_PREFIX}-([0-9a-f]+)-([0-9]+)-([0-9]+)-")


def name_prefix() -> str:
    """`lambda-preflight-process-PLACE-PID-START-`; process ids come back, their start times do not."""
    pid = os.getpid()
    return f"{_PREFIX}-{_place()}-{pid}-{_start_time(pid)}-"


def abandoned(name: str) -> bool:
    """Whether a dead process of this place gave this name; names from elsewhere are not ours to judge."""
    match = _NAME.match(name)
    return match is not None and match[1] == _place() and _start_time(int(match[2])) != int(match[3])


def _place() -> str:
    """Process ids mean something within one PID namespace of one boot of one machine."""
    try:
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")]
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts = [socket.gethostname()]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


def _start_time(pid: int) -> int | None:
    """In the kernel's ticks since boot, else in seconds; None where no such process lives."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    else:
        return int(stat.rpartition(")")[2].split()[19])  # the name before it may hold spaces and brackets
    try:
        return int(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return -1  # it lives, and is somebody else's: then the name's maker is dead, for that one was ours
