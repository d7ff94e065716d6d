"""What the texts of cgroup v1, cgroup v2 and /proc say. Pure: the same functions serve files, exec and an engine's API.

**Which memory counts.** The kernel's peak of a group also counts page cache, which it would take back before it kills
anything: a 100 MB model file that was read once must not look like a need of 100 MB. On the other hand code and data
that the processes have mapped are used where they lie, and may be charged to somebody else who read them first, as
libraries of the base image are. What a function *needs* is

    need = max(peak - reclaimable, min(peak, anon)) + mapped
    anon = shmem + the largest (VmHWM - RssFile - RssShmem) of the live processes
    mapped = the largest RssFile of the live processes

- `peak` is v1 `memory.max_usage_in_bytes` or v2 `memory.peak` (Linux 5.19).
- `reclaimable` is the file cache that may have been in `peak`: what is charged to the group now, without shmem and
  tmpfs, which cannot be taken back when there is no swap (v1 `cache - shmem`; v2 `file - shmem + slab_reclaimable`; v1
  does not tell slab apart: about 1.3 KB for each file that the group was the first to look up stays in the figure), or,
  if that is more, all that the processes have read from and written to disks (/proc/PID/io, waited-for children
  included): a file in /tmp may have been written and deleted before we look. Where that may not be read (the emulator
  is neither root nor the function's user), a shell in the container is asked, see `docker_attached`.
- The first term holds for processes that are gone too, and is too low by the cache that came after the peak. The second
  mends that: it is exact for one process whose mapped files are steady, and knows nothing of processes that are gone.
  A sum over processes would count memory and libraries shared by fork twice, so the largest process counts.
- The result is never more than `peak + mapped`, and whoever knows the limit caps it there: at the limit, the kernel has
  taken mapped files back.
- Kernel memory (page tables, stacks, socket and pipe buffers) is in `peak` on v1 and v2, and rightly so: it counts
  against the limit.
- Counters are exact to the kernel's batching, 256 KB for each CPU.

Reading at the end of each invocation and keeping the largest need narrows all of this to one invocation. Without
`memory.peak` (v2 before 5.19) the current use takes its place: a spike within one invocation is then seen through
VmHWM alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from emulator.sandbox.base import Figures

V1_FILES = {
    "memory.max_usage_in_bytes": "memory",
    "memory.stat": "memory",
    "memory.oom_control": "memory",
    "cpuacct.usage": "cpuacct",
    "cpu.stat": "cpu",
}
V2_FILES = {
    "memory.peak": "memory",
    "memory.current": "memory",
    "memory.stat": "memory",
    "memory.events": "memory",
    "cpu.stat": "cpuacct",
}
# As `_field` looks for them: this runs at each invocation, and is a part of what a warm one costs.
_MEMORY_STAT = {
    name: f"\n{name} " for name in ("cache", "total_cache", "file", "shmem", "total_shmem", "slab_reclaimable")
}
_PEAK, _MAPPED, _SHARED = "\nVmHWM:", "\nRssFile:", "\nRssShmem:"
_DISK = ("\nread_bytes:", "\nwrite_bytes:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One line of /proc/PID/cgroup; no controllers for cgroup v2, `path` as the reader's cgroup namespace shows it."""

    controllers: frozenset[str]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One cgroup file system of /proc/PID/mountinfo; `root` is the group that is seen at `point`."""

    root: str
    point: str
    controllers: frozenset[str]
    unified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A group's folder and the mount point above which nothing of its hierarchy can be seen."""

    point: PurePosixPath
    folder: PurePosixPath


def parse_flat_keyed(text: str) -> dict[str, int]:
    """`key value` lines to a dictionary; lines whose value is not a whole number are left out."""
    pairs = (line.partition(" ") for line in text.splitlines())
    return {key: int(value) for key, _, value in pairs if value.isdecimal()}


def _lines(text: str) -> str:
    """The text as `_field` reads it: each line between two ends of lines."""
    return f"\n{text}\n"


def _field(lines: str, key: str) -> int | None:
    """The number after `key`, which begins with an end of line; taking dozens of lines apart takes far longer."""
    at = lines.find(key)
    if at < 0:
        return None
    at += len(key)
    number = lines[at : lines.index("\n", at)].removesuffix("kB").strip()
    return int(number) if number.isdecimal() else None


def parse_number(text: str | None) -> int | None:
    """The number of a one-number file; None for no file and for `max`."""
    if text is None:
        return None
    text = text.strip()
    return int(text) if text.isdecimal() else None


def parse_proc_cgroup(text: str) -> tuple[Membership, ...]:
    """The lines of /proc/PID/cgroup; named v1 hierarchies (`name=systemd`) are left out."""
    found = []
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        names, separator, path = rest.partition(":")
        controllers = frozenset(filter(None, names.split(",")))
        if separator and not any(name.startswith("name=") for name in controllers):
            found.append(Membership(controllers=controllers, path=path))
    return tuple(found)


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """The cgroup mounts of /proc/PID/mountinfo (proc(5)), in order."""
    mounts = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if not separator or len(fields) < 5 or len(tail) < 3 or tail[0] not in {"cgroup", "cgroup2"}:  # noqa: PLR2004 - proc(5): root and mount point are fields 4 and 5, type and options follow the dash
            continue
        options = tail[2].split(",")
        mounts.append(
            Mount(
                root=_unescape(fields[3]),
                point=_unescape(fields[4]),
                controllers=frozenset(options if tail[0] == "cgroup" else ()),
                unified=tail[0] == "cgroup2",
            )
        )
    return tuple(mounts)


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def locate(memberships: Iterable[Membership], mounts: Sequence[Mount]) -> dict[str, tuple[Place, ...]]:
    """For each controller where its group may be seen; the key of cgroup v2 is the empty string."""
    return {
        name: tuple(
            Place(point=PurePosixPath(mount.point), folder=PurePosixPath(mount.point, inside))
            for mount in mounts
            if (name in mount.controllers if name else mount.unified)
            and (inside := _below(mount.root, member.path)) is not None
        )
        for member in memberships
        for name in member.controllers or {""}
    }


def _below(root: str, path: str) -> str | None:
    """`path` relative to the mount's root, without a leading slash; None where this mount does not show it."""
    if root == "/":
        # A path that climbs lies outside the reader's cgroup namespace, and so outside this mount.
        return None if path.startswith("/..") else path.lstrip("/")
    if path == root or path.startswith(root + "/"):
        inside = path[len(root) :].lstrip("/")
        return None if inside.split("/")[0] == ".." else inside
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTexts:
    """What /proc/PID/status and /proc/PID/io say of one live process; `io` is empty where it may not be read."""

    status: str
    io: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProcessMemory:
    anonymous: int
    mapped: int
    disk: int


def _process_memory(texts: ProcessTexts) -> _ProcessMemory | None:
    """Bytes of the process's peak that are neither mapped files nor shared memory, of mapped files, of disk traffic."""
    status = _lines(texts.status)
    peak = _field(status, _PEAK)
    if peak is None:
        return None
    mapped = _field(status, _MAPPED) or 0
    anonymous = peak - mapped - (_field(status, _SHARED) or 0)
    disk = disk_traffic((texts,))
    return _ProcessMemory(anonymous=max(0, anonymous) * 1024, mapped=mapped * 1024, disk=disk)


def memory_need(
    *, peak: int | None, current: int | None, reclaimable: int | None, anonymous: int | None, mapped: int
) -> int | None:
    """Bytes the group has truly needed, by the module's definition; `anonymous` already has the group's shmem."""
    terms = []
    highest = current if peak is None else peak
    if highest is not None and reclaimable is not None:
        terms.append(max(0, highest - reclaimable))
    if anonymous is not None:
        terms.append(anonymous if peak is None else min(peak, anonymous))
    return max(terms) + mapped if terms else None


def disk_traffic(processes: Iterable[ProcessTexts]) -> int:
    """Bytes that these processes are known to have read from and written to disks."""
    return sum(_field(lines, key) or 0 for lines in (_lines(each.io) for each in processes if each.io) for key in _DISK)


def figures_from_texts(
    texts: Mapping[str, str], processes: Iterable[ProcessTexts] = (), *, disk_before: int = 0
) -> Figures:
    """Figures of one reading: `texts` by file name as in V1_FILES and V2_FILES, `processes` the live ones.

    `disk_before` is the largest `disk_traffic` of earlier readings: dead processes do not tell theirs.
    """
    used, cpu = parse_number(texts.get("cpuacct.usage")), parse_flat_keyed(texts.get("cpu.stat", ""))
    seen = [memory for process in processes if (memory := _process_memory(process))]
    return Figures(
        memory_peak_bytes=_need(texts, seen, disk_before),
        cpu_seconds=_seconds(cpu, nanoseconds=used, microseconds="usage_usec"),
        throttled_seconds=_seconds(cpu, nanoseconds=cpu.get("throttled_time"), microseconds="throttled_usec"),
        oom_kills=parse_flat_keyed(texts.get("memory.oom_control", texts.get("memory.events", ""))).get("oom_kill"),
    )


def _need(texts: Mapping[str, str], processes: Sequence[_ProcessMemory], disk_before: int) -> int | None:
    lines = _lines(texts.get("memory.stat", ""))
    stat = {name: value for name, key in _MEMORY_STAT.items() if (value := _field(lines, key)) is not None}
    v1 = "cache" in stat
    shmem = stat.get("total_shmem", stat.get("shmem", 0)) if v1 else stat.get("shmem", 0)
    reclaimable = None
    if v1:
        reclaimable = max(0, stat.get("total_cache", stat["cache"]) - shmem)
    elif "file" in stat:
        reclaimable = max(0, stat["file"] - shmem) + stat.get("slab_reclaimable", 0)
    disk = [process.disk for process in processes]
    if reclaimable is not None:
        reclaimable = max(reclaimable, disk_before, sum(disk))
    return memory_need(
        peak=parse_number(texts.get("memory.max_usage_in_bytes", texts.get("memory.peak"))),
        current=parse_number(texts.get("memory.usage_in_bytes", texts.get("memory.current"))),
        reclaimable=reclaimable,
        anonymous=max(process.anonymous for process in processes) + shmem if processes else None,
        mapped=max((process.mapped for process in processes), default=0),
    )


def _seconds(cpu: Mapping[str, int], *, nanoseconds: int | None, microseconds: str) -> float | None:
    """From v1's nanoseconds, else from v2's key."""
    if nanoseconds is not None:
        return nanoseconds / 1e9
    return cpu[microseconds] / 1e6 if microseconds in cpu else None
