"""One life of a sandbox without a container whose function has external extensions.

The shell stays, since extensions outlive the runtime in the Shutdown phase: it starts them at *go* and the runtime at
the next line, and tells how each has ended.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL
from typing import Final

from emulator.sandbox.cgroup import DEATH_S, ControlGroup, is_doomed
from emulator.sandbox.extension_scripts import FORGET, parse_end
from emulator.sandbox.log_pipe import LogPipe
from emulator.sandbox.process_guard import Guard
from emulator.sandbox.process_life import LIMIT_AND_WAIT, Callbacks, Life

# Its own words on a death by signal ("Terminated") are kept out of the function's log.
# A shell of its own becomes the runtime, so that its id can be told; a background job would ignore SIGINT.
_START_ALL: Final = f"""
exec 4>"$1" 5>"$1.log" 6>&2 2>/dev/null || exit 1
shift
_n=0
while [ "$1" != -- ]; do
  _n=$((_n + 1))
  ({FORGET}; cd /; "$1" </dev/null >&5 2>&1 4>&- 5>&- 6>&-; echo "$? $_n" >&4) &
  shift
done
shift
unset _n
read -r go || exit 0
/bin/sh -c 'echo "pid $$" >&4; exec "$@" </dev/null 2>&6 4>&- 5>&- 6>&-' sh "$@"
echo $? >&4
read -r go
"""
_LINE_BYTES: Final = 4096
_PID: Final = "pid "


class ExtendedLife(Life):
    """`status` is a path for the named pipe by which the shell tells."""

    script = LIMIT_AND_WAIT + _START_ALL

    def __init__(  # noqa: PLR0913 - a life's arguments and the extensions'
        self,
        extensions: tuple[Path, ...],
        status: Path,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        folder: Path,
        *,
        group: ControlGroup | None,
        watched_limit: int | None,
        guard: Guard | None = None,
    ) -> None:
        self._names = tuple(path.name for path in extensions)
        status.unlink(missing_ok=True)
        os.mkfifo(status)
        # Opened for both ways: the shell need not wait for a reader, nor the reader take a pause for the end.
        self._status_fd = os.open(status, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        said = Path(f"{status}.log")
        said.unlink(missing_ok=True)
        os.mkfifo(said)
        self._said_fd = os.open(said, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._said: LogPipe | None = None
        self._wake_read, self._wake_write = os.pipe()
        self._runtime: int | None = None
        self._over = threading.Event()
        self._teller: threading.Thread | None = None
        command = (str(status), *map(str, extensions), "--", *argv)
        try:
            super().__init__(command, environment, folder, group=group, watched_limit=watched_limit, guard=guard)
        except BaseException:
            self._close_descriptors()
            raise

    def go(self, callbacks: Callbacks) -> None:
        """Let the shell start the extensions."""
        said_fd, self._said_fd = self._said_fd, -1
        self._said = LogPipe(said_fd, callbacks.on_extension_log)
        self._said.start()
        super().go(callbacks)
        self._teller = threading.Thread(target=self._tell, args=(callbacks,), name="extension-exit", daemon=True)
        self._teller.start()

    def flush_log(self) -> None:
        """Both pipes."""
        super().flush_log()
        if self._said is not None:
            self._said.flush()

    def start_runtime(self) -> None:
        """The second line down the pipe."""
        with suppress(BrokenPipeError):  # the shell has gone, which the reaper tells
            os.write(self._go_fd, b"run\n")

    def signal(self, number: int) -> bool:
        """To the runtime, a child of the shell that we wait for."""
        with self._lock:
            if self._dying or self._runtime is None:
                return False
            with suppress(ProcessLookupError):
                os.kill(self._runtime, number)
                return True
        return False

    def thaw(self) -> None:
        """As any life; a death of the runtime's that was due is told of by the shell."""
        with self._lock:
            runtime = self._runtime
        doomed = runtime is not None and is_doomed(runtime)
        super().thaw()
        if doomed:
            self._over.wait(DEATH_S)

    def close(self) -> None:
        """Kill and let go of everything, the descriptors of our own too."""
        super().close()
        if self._wake_write >= 0:
            os.write(self._wake_write, b"x")
            if self._teller is not None:
                self._teller.join()
            if self._said is not None:
                self._said.close()
            self._close_descriptors()

    def _let_go(self, go_fd: int) -> None:
        self._go_fd = go_fd

    def _close_descriptors(self) -> None:
        for descriptor in (self._status_fd, self._said_fd, self._wake_read, self._wake_write):
            with suppress(OSError):
                os.close(descriptor)
        self._wake_write = -1

    def _tell(self, callbacks: Callbacks) -> None:
        poller = select.poll()
        poller.register(self._status_fd, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        told = b""
        while self._wake_read not in {descriptor for descriptor, _ in poller.poll()}:
            *lines, told = (told + os.read(self._status_fd, _LINE_BYTES)).split(b"\n")
            for line in lines:
                self._hear(line.decode("ascii"), callbacks)

    def _hear(self, line: str, callbacks: Callbacks) -> None:
        with self._lock:
            if line.startswith(_PID):
                self._runtime = int(line.removeprefix(_PID))
                return
            silent = self._silent
        ended = parse_end(line, self._names)
        if ended.extension is None:
            with self._lock:
                self._runtime = None
        if silent:
            return
        self.flush_log()
        counted = self._group is not None and bool(self._group.figures().oom_kills)
        callbacks.on_exit(replace(ended, out_of_memory=ended.signal == SIGKILL and counted))
        if ended.extension is None:
            self._over.set()
