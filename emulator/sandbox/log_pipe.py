"""Carries what a runtime prints from one pipe or FIFO to a callback, and can say "that was all until now"."""

from __future__ import annotations

import array
import fcntl
import os
import select
import termios
import threading
from collections.abc import Callable
from contextlib import suppress

_CHUNK = 1 << 16


class LogPipe:
    """Reads `fd` on a thread of its own from `start` on, gives each piece to `on_log`, and owns `fd` from now on.

    `on_log` comes under the lock that `flush` takes: in the order written, never twice at once. It must not call
    back into this object.
    """

    def __init__(self, fd: int, on_log: Callable[[bytes], None]) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._on_log = on_log
        self._lock = threading.Lock()
        self._closed = False
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="log-pipe", daemon=True)

    def start(self) -> None:
        """Begin to read; apart from making it, so that an interrupt in between leaves no reader without an owner."""
        self._thread.start()

    def flush(self) -> None:
        """Return once every byte that was in the pipe at the time of the call has gone to `on_log`."""
        with self._lock:
            if not self._closed:
                self._drain(_readable(self._fd))

    def close(self) -> None:
        """Flush, stop the thread and close the descriptor; nothing reaches `on_log` after this returns."""
        with self._lock:
            if self._closed:
                return
            self._drain(_readable(self._fd))
            self._closed = True
            os.write(self._wake_write, b"x")
        if self._thread.ident is None:  # never started
            self._close_descriptors()
        elif threading.current_thread() is not self._thread:
            self._thread.join()

    def _drain(self, at_least: int) -> bool:
        """Hand over up to `at_least` bytes and what comes with them; False at the end of the file."""
        taken = 0
        while taken < at_least:
            try:
                piece = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                return True
            if not piece:
                return False
            taken += len(piece)
            self._on_log(piece)
        return True

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        try:
            while True:
                poll.poll()
                with self._lock:
                    if self._closed:
                        return
                    more = self._drain(1)
                if not more:
                    # The writers are gone: only `close` is left to wait for.
                    poll.unregister(self._fd)
        finally:
            self._close_descriptors()

    def _close_descriptors(self) -> None:
        for fd in (self._fd, self._wake_read, self._wake_write):
            with suppress(OSError):
                os.close(fd)


def _readable(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]
