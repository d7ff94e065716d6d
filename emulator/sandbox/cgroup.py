"""One control group, v1 or v2: its figures, its CPU quota, its freezer, its end.

Where groups may be made is in `cgroup_make`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from emulator.errors import BackendError
from emulator.limits import CPU_PERIOD_US
from emulator.sandbox.base import Figures
from emulator.sandbox.cgroup_texts import (
    V1_FILES,
    V2_FILES,
    Place,
    ProcessTexts,
    disk_traffic,
    figures_from_texts,
    locate,
    parse_mountinfo,
    parse_proc_cgroup,
)

V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids", "freezer")
UNIFIED_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")  # cpuacct is part of every v2 group
_CPU_FILES = ("cpuacct.usage", "cpu.stat")
_MIN_QUOTA_US = 1_000  # the kernel refuses less
_KILL_SECONDS = 5.0
_SIGKILL_BIT = 1 << (signal.SIGKILL - 1)
DEATH_S = 1.0
"""How long a doomed process may take to be gone and told of."""
_BUFFER = 1 << 16
_BATCH = 256 * 1024  # the kernel's counters are exact to that, for each CPU
_Number = TypeVar("_Number", int | None, float | None)


class ControlGroup:
    """One group by its folders: controller to folder, one and the same folder for all of them on v2.

    `missing` says what could not be had of it when it was made, one reason each. `ask_disk` is asked for the processes'
    disk traffic where this process may not read it, and may know none at the moment.
    Holds a few open files until `close` or `remove`, so that `figures` costs tens of microseconds.
    """

    def __init__(self, folders: Mapping[str, Path], *, unified: bool, missing: tuple[str, ...] = ()) -> None:
        self.folders = dict(folders)
        self.unified = unified
        self.missing = missing
        self.ask_disk: Callable[[], int | None] = _nobody
        self._last = Figures()
        self._disk = 0
        self._own_period = False
        self._left_out: frozenset[str] = frozenset()
        self._files: dict[str, int] = {}
        for name, controller in (V2_FILES if unified else V1_FILES).items():
            if controller in self.folders:
                with suppress(OSError):
                    self._files[name] = os.open(self.folders[controller] / name, os.O_RDONLY | os.O_CLOEXEC)
        # Opened anew for each reading: on v1 an open list of processes stays as it was for a second.
        self._procs = str(self._any_folder() / "cgroup.procs")

    @classmethod
    def of_process(cls, pid: int) -> ControlGroup | None:
        """The group a process is in; None where there are no control groups or this process may not see them.

        A process in the root group yields the machine's figures.
        """
        hierarchies = hierarchies_of(pid)
        folders = {name: Path(place.folder) for name, place in hierarchies.items()}
        if not folders:
            return None
        if "" in folders:
            return cls(dict.fromkeys(UNIFIED_CONTROLLERS, folders[""]), unified=True)
        return cls(folders, unified=False)

    def leave_out(self, processes: Iterable[int]) -> None:
        """Do not look at these as long as there are others: they are small, and looking takes its time.

        Once the others are gone, what those have read and written is told by whoever waited for them.
        """
        self._left_out = frozenset(map(str, processes))

    def figures(self, *, memory: bool = True) -> Figures:
        """Counters since the group was made; the last known ones once it was removed here. Never raises.

        Of a group that somebody else has removed nobody knows the CPU time. The memory figure is the largest need seen
        by any call so far, see `cgroup_texts`; without `memory` it is left as it was, which takes a third of the time.
        """
        wanted = self._files if memory else {name: self._files[name] for name in _CPU_FILES if name in self._files}
        texts = {name: text for name, fd in wanted.items() if (text := _pread(fd)) is not None}
        if wanted and not texts:
            return replace(self._last, cpu_seconds=None, throttled_seconds=None)
        processes = self._process_texts() if texts and memory else []
        self._disk = max(self._disk, disk_traffic(processes))
        now = figures_from_texts(texts, processes, disk_before=self._disk)
        highest, peak = self._last.memory_peak_bytes, now.memory_peak_bytes
        blind = bool(processes) and not any(each.io for each in processes)
        if blind and peak is not None and peak > (highest or 0):
            # Only where it matters: who answers takes some of the function's CPU time for it.
            told = self.ask_disk() if highest is None or peak - highest >= _BATCH else None
            if told is not None:
                self._disk = max(self._disk, told)
                peak = figures_from_texts(texts, processes, disk_before=self._disk).memory_peak_bytes
            elif highest is not None:
                peak = highest
        self._last = Figures(
            memory_peak_bytes=max((each for each in (peak, highest) if each is not None), default=None),
            cpu_seconds=_latest(now.cpu_seconds, self._last.cpu_seconds),
            throttled_seconds=_latest(now.throttled_seconds, self._last.throttled_seconds),
            oom_kills=_latest(now.oom_kills, self._last.oom_kills),
        )
        return self._last

    def set_cpu(self, share: float | None) -> None:
        """Limit CPU time to `share` vCPUs in periods of 20 ms; None lifts the limit. Raises `BackendError`.

        The kernel grants no less than 1 ms in a period, 0.05 vCPUs.
        """
        quota = None if share is None else max(_MIN_QUOTA_US, round(CPU_PERIOD_US * share))
        folder = self.folders.get("cpu")
        if folder is None:
            message = "this control group has no CPU controller"
            raise BackendError(message, hint="`preflight doctor` shows what this machine can enforce")
        try:
            if self.unified:
                write_file(folder / "cpu.max", f"{'max' if quota is None else quota} {CPU_PERIOD_US}")
                return
            if not self._own_period:
                # Unlimited first: a new period must not make an old quota exceed the parent's share for a moment.
                write_file(folder / "cpu.cfs_quota_us", "-1")
                write_file(folder / "cpu.cfs_period_us", str(CPU_PERIOD_US))
                self._own_period = True
            write_file(folder / "cpu.cfs_quota_us", "-1" if quota is None else str(quota))
        except OSError as error:
            message = f"cannot set the CPU quota in {folder}: {error.strerror}"
            raise BackendError(message, hint="run as root, or use a delegated control group") from error

    def writable(self) -> bool:
        """Whether `set_cpu` may be expected to work."""
        folder = self.folders.get("cpu")
        return folder is not None and os.access(folder / ("cpu.max" if self.unified else "cpu.cfs_quota_us"), os.W_OK)

    def freezable(self) -> bool:
        """Whether `freeze` may be expected to work: there is a freezer (none for the root group), and it is ours."""
        file = self._freezer()
        return file is not None and os.access(file, os.W_OK)

    def freeze(self) -> None:
        """Stop every process of the group where it stands; raises OSError where there is no freezer."""
        self._set_frozen(frozen=True)

    def thaw(self) -> None:
        """Let a frozen group run on."""
        self._set_frozen(frozen=False)

    def _set_frozen(self, *, frozen: bool) -> None:
        file = self._freezer()
        if file is None:
            raise FileNotFoundError(os.strerror(2), "freezer")
        words = ("0", "1") if self.unified else ("THAWED", "FROZEN")
        write_file(file, words[frozen])

    def _freezer(self) -> Path | None:
        if self.unified:
            return self._any_folder() / "cgroup.freeze"
        folder = self.folders.get("freezer")
        return None if folder is None else folder / "freezer.state"

    def processes(self) -> tuple[int, ...]:
        """The live processes of this group and of groups below it, by their ids in this PID namespace."""
        found: list[int] = []
        for path, _, names in os.walk(self._any_folder()):
            if "cgroup.procs" in names:
                with suppress(OSError):
                    found += (int(line) for line in Path(path, "cgroup.procs").read_text(encoding="ascii").split())
        return tuple(pid for pid in found if pid > 0)

    def kill(self) -> bool:
        """SIGKILL every process, also those forked meanwhile; False if some outlived five seconds."""
        with suppress(OSError):
            write_file(self._any_folder() / "cgroup.kill", "1")
        with suppress(OSError):
            self.freeze()
        deadline = time.monotonic() + _KILL_SECONDS
        while pids := self.processes():
            for pid in pids:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            # On v1 a frozen process dies only once it runs again.
            with suppress(OSError):
                self.thaw()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0005)
        with suppress(OSError):
            self.thaw()
        return True

    def close(self) -> None:
        """Let go of the open files; `figures` then gives the last known values."""
        for fd in self._files.values():
            os.close(fd)
        self._files = {}

    def remove(self) -> bool:
        """Read the figures a last time and remove the group and any below it; False if it is still in use."""
        self.figures()
        self.close()
        kept = [folder for folder in dict.fromkeys(self.folders.values()) if not remove_tree(folder)]
        return not kept

    def join_files(self) -> tuple[Path, ...]:
        """The files into which a process writes `0` to become a member."""
        return tuple(folder / "cgroup.procs" for folder in dict.fromkeys(self.folders.values()))

    def _any_folder(self) -> Path:
        return self.folders.get("memory") or next(iter(self.folders.values()))

    def _process_texts(self) -> list[ProcessTexts]:
        pids = (_read_whole(self._procs) or "").split()
        found = []
        for pid in [pid for pid in pids if pid not in self._left_out] or pids:
            status = _read_whole(f"/proc/{pid}/status")
            if status is not None:
                found.append(ProcessTexts(status=status, io=_read_whole(f"/proc/{pid}/io") or ""))
        return found


def _nobody() -> int | None:
    return None


def _read_whole(path: str) -> str | None:
    """A small file's text; None where it is gone or not for us."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, _BUFFER).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(fd)


def is_doomed(pid: int) -> bool:
    """Whether SIGKILL awaits a process that stands still, as on v1 till it is thawed, or it has died uncollected."""
    status = _read_whole(f"/proc/{pid}/status") or ""
    if "\nState:\tZ" in status:
        return True
    pending = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd:", "ShdPnd:"))]
    return any(mask & _SIGKILL_BIT for mask in pending)


def hierarchies_of(pid: int | str) -> dict[str, Place]:
    """Controller to place for the groups of a process on v1, the key `""` alone on v2; empty where none can be seen.

    On a hybrid machine the version that has the memory controller is taken.
    """
    try:
        memberships = parse_proc_cgroup(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"))
        mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    except OSError:
        return {}
    seen = {
        name: place
        for name, places in locate(memberships, mounts).items()
        if (place := next((place for place in places if Path(place.folder, "cgroup.procs").exists()), None))
    }
    if "memory" in seen:
        return {name: place for name, place in seen.items() if name in V1_CONTROLLERS}
    return {"": seen[""]} if "" in seen else {}


def remove_tree(folder: Path, *, seconds: float = 1.0) -> bool:
    """Remove an empty group and the groups below it, waiting for processes that are still ending."""
    deadline = time.monotonic() + seconds
    while True:
        for path, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):
                Path(path).rmdir()
        if not folder.exists():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)


def _pread(fd: int) -> str | None:
    try:
        return os.pread(fd, _BUFFER, 0).decode("ascii", "replace")
    except OSError:
        return None  # the group is gone


def write_file(path: Path, text: str) -> None:
    """Give the kernel one setting in one write, never creating the file; raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _latest(now: _Number, before: _Number) -> _Number:
    return before if now is None else now
