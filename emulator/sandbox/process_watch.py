"""Memory and CPU time of a process tree where no control group can be had; looked at often, killed when too large.

A spike between two looks is not stopped, and only the peak of a process that still lives is told by the kernel. A
process that left the tree (a daemon) is not counted.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

INTERVAL_S = 0.01
_TREE_INTERVAL_S = 0.1
_GRACE = 10  # looking takes at most a tenth of a CPU, however large the tree
_STATUS = re.compile(r"^(VmHWM|RssAnon|RssFile|RssShmem):\s+(\d+) kB$", re.MULTILINE)
_ROLLUP = re.compile(r"^(Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+) kB$", re.MULTILINE)


class Watcher:
    """Watches `pid` and its descendants from `start` to `stop`, and kills `pid` when the tree needs over `limit` bytes.

    What counts against the limit is anonymous and shared memory, since the kernel could drop mapped files; they count
    in the peak (see `cgroup_texts`). Where /proc does not tell them apart (macOS) it is memory private to a process.
    """

    def __init__(self, pid: int, limit: int) -> None:
        self._pid = pid
        self._limit = limit
        self._peak: int | None = None
        self._cpu = 0.0
        self._exceeded = False
        self._tree: list[psutil.Process] = []
        self._tree_at = float("-inf")
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    @property
    def exceeded(self) -> bool:
        """Whether the limit was passed, and the process killed for it."""
        return self._exceeded

    def start(self) -> None:
        """Begin to look, every 10 ms."""
        self._thread.start()

    def stop(self) -> None:
        """Take a last look and signal nobody any more; `pid` may be reaped after this returns."""
        self.look()
        with self._lock:
            self._stopped.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def memory_peak(self) -> int | None:
        """The largest peak seen, in bytes."""
        self.look()
        return self._peak

    def cpu_seconds(self) -> float:
        """CPU time of the tree and of its descendants that were waited for; never runs backwards."""
        with self._lock:
            if not self._stopped.is_set():
                self._refresh()
                self._cpu = max(self._cpu, sum(cpu_seconds(process) for process in self._tree))
            return self._cpu

    def settle(self, cpu_seconds: float) -> None:
        """Take the total that the kernel told when it handed over the dead process."""
        with self._lock:
            self._cpu = max(self._cpu, cpu_seconds)

    def look(self) -> None:
        """Measure once, and kill if it is too much."""
        with self._lock:
            if self._stopped.is_set():
                return
            self._refresh()
            current, highest = tree_memory(self._tree)
            if highest is not None:
                self._peak = max(highest, self._peak or 0)
            if current is not None and current > self._limit and not self._exceeded:
                self._exceeded = True
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._tree_at < _TREE_INTERVAL_S:
            return
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._pid)
            self._tree = [root, *root.children(recursive=True)]
        self._tree_at = now

    def _run(self) -> None:
        pause = INTERVAL_S
        while not self._stopped.wait(pause):
            began = time.thread_time()
            self.look()
            pause = max(INTERVAL_S, _GRACE * (time.thread_time() - began))


def tree_memory(tree: list[psutil.Process]) -> tuple[int | None, int | None]:
    """What counts against the limit now, and the peak as far as it is known, in bytes; None where nothing is left.

    Several processes share what they had before a fork, so that each one's share of it is counted.
    """
    statuses = [status for process in tree if (status := _status(process.pid)) is not None]
    if not statuses:
        private = [size for process in tree if (size := _private(process)) is not None]
        return (sum(private), sum(private)) if private else (None, None)
    current = sum(status["RssAnon"] + status["RssShmem"] for status in statuses)
    if len(statuses) > 1:
        shares = [share for process in tree if (share := _proportional(process.pid)) is not None]
        current = sum(shares) if shares else current
    mapped = max(status["RssFile"] for status in statuses)
    return current, max(current + mapped, *(status["VmHWM"] for status in statuses))


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and of its children that it has waited for; 0 when it is gone."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    own: float = times.user + times.system
    if psutil.LINUX:
        with suppress(OSError):
            # The clock of another process (clock_getcpuclockid(3)): nanoseconds, where /proc has ticks of 10 ms.
            own = time.clock_gettime((~process.pid << 3) | 2)
    return own + float(getattr(times, "children_user", 0.0)) + float(getattr(times, "children_system", 0.0))


def _status(pid: int) -> dict[str, int] | None:
    """Bytes by name from /proc/PID/status; None on other systems, and for a process that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = {key: int(value) * 1024 for key, value in _STATUS.findall(text)}
    return found if len(found) == 4 else None  # noqa: PLR2004 - a zombie has none of the four


def _proportional(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    found = {key: int(value) * 1024 for key, value in _ROLLUP.findall(text)}
    return sum(found.values()) if "Pss_Anon" in found else None


def _private(process: psutil.Process) -> int | None:
    if psutil.LINUX:
        return None
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return None


def kill_family(pid: int, marker: tuple[str, str], *, seconds: float = 5.0) -> bool:
    """SIGKILL a process, its descendants, its process group and whoever has `marker` in the environment.

    Only a process that left the group and the tree and changed its environment gets away. False if one outlived
    `seconds`.
    """
    deadline = time.monotonic() + seconds
    descendants: list[psutil.Process] = []
    with suppress(psutil.Error):
        descendants = psutil.Process(pid).children(recursive=True)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    while family := [process for process in (*descendants, *_marked(marker)) if _alive(process)]:
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        if time.monotonic() > deadline:
            return False
        descendants = []
        time.sleep(0.001)
    return True


def kill_marked(marker: tuple[str, str]) -> None:
    """SIGKILL whoever has `marker` in the environment, stopped ones too."""
    for process in _marked(marker):
        with suppress(psutil.Error):
            process.kill()


def _marked(marker: tuple[str, str]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(marker[0]) == marker[1]:
                found.append(process)
    return found


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
