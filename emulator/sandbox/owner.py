"""Names that tell whether the process that made a thing still lives, so that the next one can sweep what it left."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

_PREFIX = "lambda-preflight"
_OWNER = re.compile(r"([0-9a-f]+)-([0-9]+)-([0-9]+)")
_NAME = re.compile(rf"{_PREFIX}-[a-z]+-({_OWNER.pattern})-")


def owner() -> str:
    """This process as `PLACE-PID-START`; process ids come back, their start times do not."""
    pid = os.getpid()
    return f"{_place()}-{pid}-{_start_time(pid)}"


def orphaned(label: str) -> bool:
    """Whether the owner is a dead process of this place; owners elsewhere are not ours to judge, nor what is none."""
    match = _OWNER.fullmatch(label)
    return match is not None and match[1] == _place() and _start_time(int(match[2])) != int(match[3])


def name_prefix(kind: str) -> str:
    """How the names of what this process makes begin: `lambda-preflight-KIND-OWNER-`."""
    return f"{_PREFIX}-{kind}-{owner()}-"


def abandoned(name: str) -> bool:
    """Whether a dead process of this place gave this name."""
    match = _NAME.match(name)
    return match is not None and orphaned(match[1])


def _place() -> str:
    """Process ids mean something within one PID namespace of one boot of one machine."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").replace("-", "")
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        boot, namespace = socket.gethostname().encode().hex().ljust(12, "0"), 0
    return f"{int(boot[:12], 16) ^ namespace:012x}"


def _start_time(pid: int) -> int | None:
    """In the kernel's ticks since boot, else in seconds; None where no such process lives."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    else:
        return int(stat.rpartition(")")[2].split()[19])  # the name before it may hold spaces and brackets
    import psutil  # noqa: PLC0415 - where there is no /proc; elsewhere its import would cost more than the question

    try:
        return int(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return -1  # it lives, and is somebody else's: then the name's maker is dead, for that one was ours
