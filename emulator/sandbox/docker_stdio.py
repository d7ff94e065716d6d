"""How the emulator talks with a container's entry point: *go*, the log, and the end of the runtime.

Two ways. Named pipes in a mounted folder, where emulator and engine share a machine: what the runtime wrote before it
answered is in the pipe already, so the log of an invocation is complete without waiting. Otherwise the engine's attach
stream, whose end can only be awaited by a moment of silence.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from emulator.sandbox.base import Exit
from emulator.sandbox.log_pipe import LogPipe

MOUNT: Final = "/run/preflight"
_SIGNAL_BASE: Final = 128
_LAST_SIGNAL: Final = 64
_SETTLE_S: Final = 0.005
_SETTLE_LIMIT_S: Final = 0.5
_STATUS_MARK: Final = b"\x00preflight-exit "

# PID 1 stays when the runtime ends, so that the kernel's counters can still be read, and is not the runtime itself,
# since the kernel ignores signals for PID 1 that would end any other process. It is a shell: a language run-time
# would count as the function's memory.
# The subshell keeps the shell's own words on a death by signal ("Killed") out of the function's log.
# The subshell keeps the shell's own words on a death by signal ("Killed") out of the function's log. HOME and HOSTNAME
# are the engine's additions: Lambda sets neither.
_BARE: Final = "unset HOME HOSTNAME"
PIPES_ENTRY: Final = (
    f'read -r _ <{MOUNT}/go || exit 125; {_BARE}; (exec "$@" </dev/null >{MOUNT}/log 2>&1); '
    f"echo $? >{MOUNT}/status; read -r _ <{MOUNT}/go"
)
# One stream for both outputs and the mark, so that they keep their order.
ATTACH_ENTRY: Final = (
    f'read -r _ || exit 125; {_BARE}; exec 2>/dev/null; (exec "$@" </dev/null 2>&1); '
    'printf "\\0preflight-exit %s\\n" "$?"; read -r _'
)


def parse_status(status: int) -> Exit:
    """A shell's exit status as the end of the process it waited for: 128 + n means signal n."""
    signal = status - _SIGNAL_BASE
    return Exit(signal=signal) if 0 < signal <= _LAST_SIGNAL else Exit(status=status)


class Stdio(Protocol):
    """One container's standard streams, made before it starts."""

    entry: str
    """The shell script that is PID 1; its arguments are the runtime's command."""

    mounts: dict[str, str]
    """Host folder to mount read-only, by mount point."""

    def started(self, pid: int) -> None:
        """The container runs; `pid` is its first process as the engine sees it."""

    def go(self, on_log: Callable[[bytes], None], on_exit: Callable[[Exit | None], None]) -> None:
        """Let the runtime start; `on_exit(None)` means that the whole container went away."""

    def flush(self) -> None:
        """Return once everything written so far has gone to `on_log`."""

    def close(self) -> None:
        """Stop listening; may be called more than once."""


class Pipes:
    """Named pipes in a folder that the container mounts; the container ends by itself should the emulator die."""

    entry = PIPES_ENTRY

    def __init__(self, prefix: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=prefix))
        self._folder.chmod(0o755)
        self._fds: dict[str, int] = {}
        for name, mode in (("go", 0o644), ("log", 0o622), ("status", 0o622)):
            path = self._folder / name
            os.mkfifo(path)
            path.chmod(mode)
            # Opened for both ways: a pipe without a writer would read as ended for ever.
            self._fds[name] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.mounts = {MOUNT: str(self._folder)}
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
        self._watcher = threading.Thread(target=self._watch, args=(on_exit,), name="container-exit", daemon=True)
        self._watcher.start()
        os.write(self._fds["go"], b"go\n")

    def flush(self) -> None:
        """Drain the pipe."""
        if self._log is not None:
            self._log.flush()

    def close(self) -> None:
        """Close the pipes and remove the folder."""
        if self._closed:
            return
        self._closed = True
        os.write(self._wake_write, b"x")
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join()
        if self._log is not None:
            self._log.close()
            del self._fds["log"]  # it was the log pipe's
        held = [self._wake_read, self._wake_write, *self._fds.values()]
        for descriptor in held if self._pidfd is None else [*held, self._pidfd]:
            os.close(descriptor)
        shutil.rmtree(self._folder, ignore_errors=True)

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


class Attached:
    """The engine's attach stream, for an engine whose files are not ours: another machine, or a virtual one."""

    entry = ATTACH_ENTRY

    def __init__(self) -> None:
        self.mounts: dict[str, str] = {}
        self._stream: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._last_byte = 0.0
        self._on_log: Callable[[bytes], None] | None = None
        self._on_exit: Callable[[Exit | None], None] | None = None
        self._pending = b""

    def connect(self, stream: socket.socket) -> None:
        """Take the hijacked connection of the engine's attach call, made before the container starts."""
        self._stream = stream

    def started(self, pid: int) -> None:
        """Nothing to do: the stream ends with the container."""

    def go(self, on_log: Callable[[bytes], None], on_exit: Callable[[Exit | None], None]) -> None:
        """One line to the container's standard input."""
        if self._stream is None:
            raise RuntimeError("go before connect")
        self._on_log, self._on_exit = on_log, on_exit
        self._last_byte = time.monotonic()
        self._reader = threading.Thread(target=self._read, name="container-attach", daemon=True)
        self._reader.start()
        self._stream.sendall(b"go\n")

    def flush(self) -> None:
        """Wait until nothing has come for a moment: the stream has no mark to wait for."""
        limit = time.monotonic() + _SETTLE_LIMIT_S
        asked = time.monotonic()
        while time.monotonic() < limit:
            quiet_since = max(self._last_byte, asked)
            if time.monotonic() - quiet_since >= _SETTLE_S:
                return
            time.sleep(_SETTLE_S / 2)

    def close(self) -> None:
        """Close the stream; the entry point reads the end of its input and stops."""
        stream, self._stream = self._stream, None
        self._on_log = self._on_exit = None
        if stream is None:
            return
        with contextlib.suppress(OSError):  # the container may have closed its side already
            stream.shutdown(socket.SHUT_RDWR)
        stream.close()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join()

    def _read(self) -> None:
        stream = self._stream
        while stream is not None:
            header = _receive(stream, 8)
            if header is None:
                break
            body = _receive(stream, struct.unpack(">I", header[4:])[0])
            if body is None:
                break
            self._last_byte = time.monotonic()
            if self._take(body):
                return
        if self._pending and self._on_log is not None:
            self._on_log(self._pending)
        if self._on_exit is not None:
            self._on_exit(None)

    def _take(self, body: bytes) -> bool:
        """Hand the output on; True when the entry point's own mark said that the runtime has ended."""
        text, mark, status = (self._pending + body).partition(_STATUS_MARK)
        if mark and not status.endswith(b"\n"):
            self._pending = mark + status
            mark = b""
        elif not mark:  # the engine cuts the stream where its buffer ends, in the middle of the mark too
            kept = next((n for n in range(len(_STATUS_MARK) - 1, 0, -1) if text.endswith(_STATUS_MARK[:n])), 0)
            text, self._pending = text[: len(text) - kept], text[len(text) - kept :]
        if text and self._on_log is not None:
            self._on_log(text)
        if mark and self._on_exit is not None:
            self._on_exit(parse_status(int(status)))
        return bool(mark)


def _receive(stream: socket.socket, count: int) -> bytes | None:
    """Exactly `count` bytes; None when the stream ended or was closed."""
    parts = b""
    while len(parts) < count:
        try:
            part = stream.recv(count - len(parts))
        except OSError:
            return None
        if not part:
            return None
        parts += part
    return parts
