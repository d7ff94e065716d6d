"""How the emulator talks with a container's entry point: *go*, the log, and the end of the runtime.

Two ways. Named pipes in a mounted folder, where emulator and engine share a machine: what the runtime wrote before it
answered is in the pipe already, so the log of an invocation is complete without waiting. Otherwise the engine's attach
stream, see `docker_attached`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import threading
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from emulator.sandbox.base import Exit
from emulator.sandbox.log_pipe import LogPipe

MOUNT: Final = "/run/preflight"
# Extensions have telemetry sent to `sandbox.localdomain` (guide, "Telemetry API", 2023-05).
HOSTNAME: Final = "sandbox"
_CPUS_ONLINE: Final = "/sys/devices/system/cpu/online"
_HOSTS: Final = f"127.0.0.1\tlocalhost {HOSTNAME} {HOSTNAME}.localdomain\n::1\tlocalhost\n"
END_S: Final = 1.0
_SIGNAL_BASE: Final = 128
_LAST_SIGNAL: Final = 64

# PID 1 stays when the runtime ends, so that the kernel's counters can still be read, and is not the runtime itself,
# since the kernel ignores signals for PID 1 that would end any other process. It is a shell: a language run-time
# would count as the function's memory.
# A second shell, in the background, ends all that runs when the emulator has gone: PID 1 would wait for a function that
# hangs for ever.
# The subshell keeps the shell's own words on a death by signal ("Killed") out of the function's log. HOME and HOSTNAME
# are the engine's additions: Lambda sets neither.
ADDED: Final = ("HOME", "HOSTNAME")
BARE: Final = f"unset {' '.join(ADDED)}"
# A program that cannot be started is told apart from one that ends with 126 or 127, as scripts do.
FOUND: Final = (
    'found() { case $1 in */*) [ -e "$1" ] || return 1; [ -f "$1" ] && [ -x "$1" ] || return 2;; '
    '*) command -v "$1" >/dev/null || return 1;; esac; }'
)
ABSENT_STATUS: Final = 256
DENIED_STATUS: Final = 257
# Only as the first process of a namespace, where "all" are the function's: anywhere else it would be the machine's.
END_ALL: Final = "[ $$ = 1 ] && kill -9 -1"
PIPES_ENTRY: Final = (
    # All are opened while the emulator lives for sure: a pipe that nobody holds would block whoever opens it.
    f"exec 3<{MOUNT}/go 4>{MOUNT}/status; {FOUND}; read -r _ <&3 || exit 125; {BARE}; "
    f"(read -r _ <&3; {END_ALL}) </dev/null >/dev/null 2>&1 4>&- & "
    f'if found "$1"; then (exec "$@" </dev/null >{MOUNT}/log 2>&1 3<&- 4>&-); echo $? >&4; '
    "else echo $((255 + $?)) >&4; fi; read -r _ <&3"
)


def keeping(entry: str, names: Container[str]) -> str:
    """The script without the removal of those of the engine's additions that the function or its image sets itself."""
    added = [name for name in ADDED if name not in names]
    return entry if len(added) == len(ADDED) else entry.replace(BARE, f"unset {' '.join(added)}" if added else ":")


def parse_status(status: int) -> Exit:
    """A shell's exit status as the end of the process it waited for: 128 + n means signal n.

    `ABSENT_STATUS` and `DENIED_STATUS`, which no process can end with, stay what they are.
    """
    signal = status - _SIGNAL_BASE
    return Exit(signal=signal) if 0 < signal <= _LAST_SIGNAL else Exit(status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """How the entry point's shell is started, and the host's files to mount for it, by mount point."""

    command: tuple[str, ...]
    mounts: Mapping[str, str]


IMAGES_SHELL: Final = Shell(command=("/bin/sh",), mounts={})
"""The one that every runtime's image has."""


class Stdio(Protocol):
    """One container's standard streams, made before it starts."""

    entry: str
    """The shell script that is PID 1; its arguments are the runtime's command."""

    on_extension_log: Callable[[bytes], None] | None
    """Where external extensions' output goes; with the runtime's where it is None or cannot be told apart."""

    mounts: dict[str, str]
    """Host folder to mount read-only, by mount point."""

    def started(self, pid: int) -> None:
        """The container runs; `pid` is its first process as the engine sees it."""

    def go(self, on_log: Callable[[bytes], None], on_exit: Callable[[Exit | None], None]) -> None:
        """Let the runtime start; `on_exit(None)` means that the whole container went away."""

    def start_runtime(self) -> None:
        """Let the runtime start, where `go` was for external extensions alone."""

    def flush(self) -> None:
        """Return once everything written so far has gone to `on_log`."""

    def await_end(self) -> None:
        """The runtime is about to end: return when that has been told, or a second has passed."""

    def disk_traffic(self) -> int | None:
        """Bytes that all processes have read from and written to disks, by their own word; None if nobody answers."""

    def kill(self) -> bool:
        """SIGKILL the container's first process, and with it all others; False where only the engine can."""

    def close(self) -> None:
        """Stop listening; may be called more than once."""


def new_folder(prefix: str) -> Path:
    """A folder for temporary files that others may enter; `tempfile` itself is not imported on the way to a start.

    Its import brings `random` and `shutil` along.
    """
    for base in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp"):  # noqa: S108 - the names that follow are unique
        if base and os.access(base, os.W_OK | os.X_OK):
            folder = Path(base, f"{prefix}{os.urandom(6).hex()}")
            folder.mkdir(mode=0o700)
            folder.chmod(0o755)
            return folder
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory", "/tmp")  # noqa: S108 - see above


class Pipes:
    """Named pipes in a folder that the container mounts; the container ends by itself should the emulator die."""

    entry = PIPES_ENTRY
    on_extension_log: Callable[[bytes], None] | None = None

    def __init__(self, prefix: str, *, cpus: int | None = None) -> None:
        self._folder = new_folder(prefix)
        self._fds: dict[str, int] = {}
        for name, mode in (("go", 0o644), ("log", 0o622), ("status", 0o622)):
            path = self._folder / name
            os.mkfifo(path)
            path.chmod(mode)
            # Opened for both ways: a pipe without a writer would read as ended for ever.
            self._fds[name] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        # The engine writes none for a container that it gives no network.
        hosts = self._folder / "hosts"
        hosts.write_text(_HOSTS)
        hosts.chmod(0o644)
        self.mounts = {MOUNT: str(self._folder), "/etc/hosts": str(hosts)}
        if cpus is not None:
            # A cpuset alone does not do it: `os.cpu_count()` asks this file (glibc 2.35).
            shown = self._folder / "cpus"
            shown.write_text(f"0-{cpus - 1}\n" if cpus > 1 else "0\n")
            self.mounts[_CPUS_ONLINE] = str(shown)
        self._pidfd: int | None = None
        self._log: LogPipe | None = None
        self._watcher: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC)
        self._closed = False

    def started(self, pid: int) -> None:
        """Keep a handle of the container's first process, to notice its death."""
        self._pidfd = os.pidfd_open(pid)

    def go(self, on_log: Callable[[bytes], None], on_exit: Callable[[Exit | None], None]) -> None:
        """One line down the pipe, with no engine between."""
        self._log = LogPipe(self._fds["log"], on_log)
        self._log.start()
        self._watcher = threading.Thread(target=self._watch, args=(on_exit,), name="container-exit", daemon=True)
        self._watcher.start()
        os.write(self._fds["go"], b"go\n")

    def start_runtime(self) -> None:
        """It has started at *go*: these are for functions without extensions."""

    def flush(self) -> None:
        """Drain the pipe."""
        if self._log is not None:
            self._log.flush()

    def disk_traffic(self) -> int | None:
        """Who may enter a container's namespaces may read that in /proc, and asks nobody."""
        return None

    def await_end(self) -> None:
        """The watcher ends with it."""
        if self._watcher is not None:
            self._watcher.join(END_S)

    def kill(self) -> bool:
        """By the handle, which cannot mean another process."""
        if self._pidfd is None:
            return False
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return True

    def close(self) -> None:
        """Close the pipes and remove the folder."""
        if self._closed:
            return
        self._closed = True
        os.write(self._wake_write, b"x")
        if self._watcher is not None and self._watcher.ident not in {None, threading.get_ident()}:
            self._watcher.join()
        if self._log is not None:
            self._log.close()
            del self._fds["log"]  # it was the log pipe's
        held = [self._wake_read, self._wake_write, *self._fds.values()]
        for descriptor in held if self._pidfd is None else [*held, self._pidfd]:
            os.close(descriptor)
        with contextlib.suppress(OSError):  # whoever took it for abandoned was first
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)
            self._folder.rmdir()

    def _watch(self, on_exit: Callable[[Exit | None], None]) -> None:
        poller = select.poll()
        watched = [self._fds["status"], self._wake_read]
        for descriptor in watched if self._pidfd is None else [*watched, self._pidfd]:
            poller.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poller.poll()}
        if self._wake_read in ready:
            return
        ended: Exit | None = None
        if self._fds["status"] in ready:
            ended = parse_status(int(os.read(self._fds["status"], 64).split()[0]))
        self.flush()
        on_exit(ended)
