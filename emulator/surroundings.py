"""Reads what this machine is and what else it does while something is measured: /proc, and the emulator's own group."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emulator.machine import Disturbance, Machine
from emulator.sandbox.cgroup import ControlGroup

PROC: Final = Path("/proc")
# Which instructions the kernels of ONNX Runtime, and so the last digits of int8 results, depend on (MLAS, 1.2x).
_TELLING_FLAGS: Final = re.compile(r"(?:avx\w*|amx\w*|fma|f16c|sse4_[12]|asimd\w*|i8mm|bf16|sve\w*)", re.ASCII)
_STEAL_PCT: Final = 2.0
_OTHERS_PCT: Final = 15.0
_THROTTLED_PCT: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Counters at one instant, in seconds since some point that does not matter; None where the machine is silent."""

    at: float
    total: float | None = None
    """CPU time of all CPUs, idle included."""
    busy: float | None = None
    steal: float | None = None
    own: float = 0.0
    """Of this process and its children that have ended."""
    pressure: float | None = None
    throttled: float | None = None
    load: float | None = None


def read_machine(proc: Path = PROC, *, timer_hz: int | None = None) -> Machine:
    """What this machine is."""
    cpu = _text(proc / "cpuinfo") or ""
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpu, re.MULTILINE)
    model = re.search(r"^model name\s*:\s*(.*)$", cpu, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", _text(proc / "meminfo") or "", re.MULTILINE)
    return Machine(
        system=platform.system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu=model[1].strip() if model else platform.processor() or platform.machine(),
        cpus=os.cpu_count() or 1,
        cpu_flags=tuple(sorted(set(filter(_TELLING_FLAGS.fullmatch, flags[1].split())))) if flags else (),
        memory_mb=int(memory[1]) // 1024 if memory else None,
        timer_hz=timer_hz,
    )


def read(proc: Path = PROC, group: ControlGroup | None = None) -> Reading:
    """The counters now; `group` is the emulator's own control group."""
    times = os.times()
    stat = re.search(r"^cpu\s+(.*)$", _text(proc / "stat") or "", re.MULTILINE)
    total = busy = steal = None
    if stat:
        ticks = [int(field) / os.sysconf("SC_CLK_TCK") for field in stat[1].split()[:8]]
        user, nice, system, idle, iowait, irq, softirq, steal = (ticks + [0.0] * 8)[:8]
        total, busy = sum(ticks), user + nice + system + irq + softirq
        del idle, iowait
    stalled = re.search(r"^some .*total=(\d+)", _text(proc / "pressure/cpu") or "", re.MULTILINE)
    load = _text(proc / "loadavg")
    return Reading(
        at=time.perf_counter(),
        total=total,
        busy=busy,
        steal=steal,
        own=times.user + times.system + times.children_user + times.children_system,
        pressure=int(stalled[1]) / 1e6 if stalled else None,
        throttled=group.figures(memory=False).throttled_seconds if group is not None else None,
        load=float(load.split()[0]) if load else None,
    )


def watch(proc: Path = PROC) -> Callable[[float], Disturbance]:
    """Begin to watch; the returned function ends it, told how many seconds of CPU the functions themselves took."""
    group = ControlGroup.of_process(os.getpid()) if proc == PROC else None
    before = read(proc, group)
    return lambda sandboxes_s: between(before, read(proc, group), sandboxes_s)


def between(before: Reading, after: Reading, sandboxes_s: float) -> Disturbance:
    """What happened between two readings, less what we and the functions did ourselves."""
    seconds = after.at - before.at
    total = _less(before.total, after.total)
    busy = _less(before.busy, after.busy)
    others = None if busy is None else max(0.0, busy - (after.own - before.own) - sandboxes_s)
    steal_pct = _percent(_less(before.steal, after.steal), total)
    others_pct = _percent(others, total)
    pressure_pct = _percent(_less(before.pressure, after.pressure), seconds)
    throttled_pct = _percent(_less(before.throttled, after.throttled), seconds)
    notes = []
    if steal_pct is not None and steal_pct > _STEAL_PCT:
        notes.append(f"the hypervisor gave {steal_pct:.0f} % of the CPU time to other machines")
    if others_pct is not None and others_pct > _OTHERS_PCT:
        notes.append(f"other processes took {others_pct:.0f} % of all CPUs (the engine's own work included)")
    if throttled_pct is not None and throttled_pct > _THROTTLED_PCT:
        notes.append(f"the emulator itself was held back by a CPU quota for {throttled_pct:.0f} % of the time")
    return Disturbance(
        seconds=seconds,
        steal_pct=steal_pct,
        others_pct=others_pct,
        load=before.load,
        pressure_pct=pressure_pct,
        throttled_pct=throttled_pct,
        notes=tuple(notes),
    )


def _less(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)


def _percent(part: float | None, whole: float | None) -> float | None:
    # Both are counted in ticks, so within a moment shorter than one the part can be more than the whole.
    return None if part is None or not whole else min(100.0, 100 * part / whole)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux, or a kernel without it
        return None
