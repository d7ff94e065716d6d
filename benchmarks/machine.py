"""Facts about where a run took place: figures without them cannot be compared."""

from __future__ import annotations

import gzip
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from emulator.sandbox.docker_engine import Engine

_PACKAGES: Final = ("lambda-preflight", "awslambdaric", "docker")
_LOOK_AGAIN_S: Final = 0.003
_ROOT: Final = Path(__file__).parents[1]


def facts(engine: Engine) -> Mapping[str, Any]:
    """Everything that does not change during a run; None where this machine does not tell."""
    return {
        "at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "memory_mb": _memory_mb(),
        "kernel": f"{platform.system()} {platform.release()}",
        "hz": _timer_frequency(),
        "engine": engine.version,
        "engine_cgroup": engine.cgroup,
        "engine_storage": engine.info.get("Driver"),
        "engine_runtime": engine.info.get("DefaultRuntime"),
        "python": sys.version.split()[0],
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


def load() -> tuple[float, ...] | None:
    """Load averages over 1, 5 and 15 minutes: above the number of CPUs, absolute times mean little."""
    return tuple(round(value, 2) for value in os.getloadavg()) if hasattr(os, "getloadavg") else None


def busy_cpu_s() -> float | None:
    """CPU seconds that the whole machine has spent since it started; None where it does not tell."""
    counted = Path("/proc/stat")
    return busy_of(counted.read_text(), os.sysconf("SC_CLK_TCK")) if counted.exists() else None


def busy_of(statistics: str, ticks_per_s: int) -> float:
    """From the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).

    Time stolen by the host counts: it is as lost to a function as that of other processes here.
    """
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, statistics.split(maxsplit=9)[1:9])
    return (user + nice + system + irq + softirq + steal) / ticks_per_s


def hz_of(configuration: str) -> int | None:
    """CONFIG_HZ of a kernel's configuration: CPU accounting by ticks is as coarse as that."""
    found = re.search(r"^CONFIG_HZ=(\d+)$", configuration, re.MULTILINE)
    return int(found[1]) if found else None


def await_quiet(limit_s: float) -> bool:
    """Wait until nothing but this thread wants a CPU, for so long at most; whether it came to be."""
    counted, end = Path("/proc/loadavg"), time.monotonic() + limit_s
    if not counted.exists():
        return False
    while runnable_of(counted.read_text()) > 1:
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_AGAIN_S)
    return True


def runnable_of(load: str) -> int:
    """Tasks that run or want to, this one included: the fourth field of /proc/loadavg, before its slash (proc(5))."""
    return int(load.split()[3].partition("/")[0])


def scheduler() -> str:
    """What divides the CPU on this kernel: EEVDF since Linux 6.6, CFS before (Lambda's kernel is 5.10)."""
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    if platform.system() != "Linux" or found is None:
        return "unknown"
    return "EEVDF" if (int(found[1]), int(found[2])) >= (6, 6) else "CFS"


def _timer_frequency() -> int | None:
    packed, plain = Path("/proc/config.gz"), Path(f"/boot/config-{platform.release()}")
    if packed.exists():
        return hz_of(gzip.decompress(packed.read_bytes()).decode())
    return hz_of(plain.read_text()) if plain.exists() else None


def _cpu_model() -> str:
    listed = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.*)$", listed.read_text(), re.MULTILINE) if listed.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def _memory_mb() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1024 * 1024)


def _commit() -> str | None:
    """The commit that was measured, with a plus sign where the tree has changes on top."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        told = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # a machine without git
        return None
    return told.stdout.strip() or None
