"""The entry point of a container whose function has external extensions, in both ways of `docker_stdio`."""

from __future__ import annotations

import os
import re
import select
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from emulator.sandbox import entrypoint
from emulator.sandbox.base import EXTENSIONS_FOLDER, Exit
from emulator.sandbox.docker_attached import ANSWERS, DISK, RUN, Attached
from emulator.sandbox.docker_stdio import ABSENT_STATUS, BARE, DENIED_STATUS, END_ALL, END_S, FOUND, MOUNT, Pipes
from emulator.sandbox.extension_scripts import FORGET, LAUNCH_ERROR, parse_end
from emulator.sandbox.log_pipe import LogPipe

# The arguments are the paths of the extensions, `--` and the runtime's command. Before the runtime starts nobody but
# PID 1 reads the pipe: it ends with the emulator itself.
PIPES_ENTRY: Final = (
    f"exec 3<{MOUNT}/go 4>{MOUNT}/status; {FOUND}; read -r _ <&3 || exit 125; {BARE}; _n=0; "
    'while [ "$1" != -- ]; do _n=$((_n + 1)); '
    f'({FORGET}; cd /; if found "$1"; then "$1" </dev/null >{MOUNT}/extensions 2>&1 3<&- 4>&-; echo "$? $_n" >&4; '
    'else echo "$((255 + $?)) $_n" >&4; fi) 3<&- 2>/dev/null & '
    f"shift; done; shift; unset _n; read -r _ <&3 || {{ {END_ALL}; exit 125; }}; "
    f"(read -r _ <&3; {END_ALL}) </dev/null >/dev/null 2>&1 4>&- & "
    f'if found "$1"; then (exec "$@" </dev/null >{MOUNT}/log 2>&1 3<&- 4>&-); echo $? >&4; '
    "else echo $((255 + $?)) >&4; fi; read -r _ <&3"
)
# Every line but `run` asks for a mark, before the runtime starts too.
ATTACH_ENTRY: Final = (
    f"{FOUND}; {DISK}; read -r _ || exit 125; {BARE}; exec 3<&0 5>&2 2>/dev/null; _n=0; "
    'while [ "$1" != -- ]; do _n=$((_n + 1)); '
    f'({FORGET}; cd /; if found "$1"; then "$1" </dev/null >&5 2>&1 3<&- 5>&-; '
    'printf "\\0preflight-ended %s %s\\n" "$?" "$_n"; '
    'else printf "\\0preflight-ended %s %s\\n" "$((255 + $?))" "$_n"; fi) 3<&- & '
    "shift; done; shift; unset _n; "
    'while read -r _w <&3 && [ "$_w" != run ]; do printf "\\0preflight-mark\\n"; done; '
    f"({ANSWERS}; {END_ALL}) & {RUN.replace('3<&-', '3<&- 5>&-')}"
)
_LINE_BYTES: Final = 4096
_REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {ABSENT_STATUS: entrypoint.ABSENT, DENIED_STATUS: entrypoint.DENIED}
)


def ended_as(line: str, names: tuple[str, ...]) -> Exit:
    """How a process ended, or an extension of an image's could not begin; the runtime's keeps its status for that."""
    ended = parse_end(line, names)
    reason = None if ended.status is None else _REASONS.get(ended.status)
    if ended.extension is None or reason is None:
        return ended
    said = entrypoint.could_not_start(f"{EXTENSIONS_FOLDER}/{ended.extension}", reason)
    return Exit(extension=ended.extension, error_type=LAUNCH_ERROR, said=said)


class ExtendedPipes(Pipes):
    """Tells of the end of each extension until the runtime has ended, and after."""

    entry = PIPES_ENTRY

    def __init__(self, prefix: str, names: tuple[str, ...], *, cpus: int | None = None) -> None:
        super().__init__(prefix, cpus=cpus)
        self._names = names
        self._over = threading.Event()
        path = self._folder / "extensions"
        os.mkfifo(path)
        path.chmod(0o622)
        self._fds["extensions"] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._said: LogPipe | None = None

    def go(self, on_log: Callable[[bytes], None], on_exit: Callable[[Exit | None], None]) -> None:
        """Listen to the extensions first."""
        self._said = LogPipe(self._fds.pop("extensions"), self.on_extension_log or on_log)
        self._said.start()
        super().go(on_log, on_exit)

    def flush(self) -> None:
        """Drain both pipes."""
        super().flush()
        if self._said is not None:
            self._said.flush()

    def close(self) -> None:
        """Close the other pipe too."""
        super().close()
        if self._said is not None:
            self._said.close()

    def await_end(self) -> None:
        """The watcher goes on for the extensions."""
        self._over.wait(END_S)

    def start_runtime(self) -> None:
        """The second line down the pipe."""
        os.write(self._fds["go"], b"run\n")

    def _watch(self, on_exit: Callable[[Exit | None], None]) -> None:
        status = self._fds["status"]
        poller = select.poll()
        for descriptor in (status, self._wake_read, *(() if self._pidfd is None else (self._pidfd,))):
            poller.register(descriptor, select.POLLIN)
        told = b""
        while True:
            ready = {descriptor for descriptor, _ in poller.poll()}
            if self._wake_read in ready:
                return
            self.flush()
            if status not in ready:  # PID 1 is gone, and everybody with it
                on_exit(None)
                return
            *lines, told = (told + os.read(status, _LINE_BYTES)).split(b"\n")
            for line in lines:
                ended = ended_as(line.decode("ascii"), self._names)
                on_exit(ended)
                if ended.extension is None:
                    self._over.set()


class ExtendedAttached(Attached):
    """The same over the engine's stream."""

    entry = ATTACH_ENTRY
    mark = re.compile(rb"\x00preflight-(?:exit (\d+) (\d+)|mark ?(\d*)|ended (\d+ \d+))\n")

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = names
        self._over = threading.Event()

    def await_end(self) -> None:
        """The reader goes on for the extensions."""
        self._over.wait(END_S)

    def start_runtime(self) -> None:
        """The word that is not asking for a mark."""
        if self._stream is not None:
            self._stream.sendall(b"run\n")

    def _means_end(self, mark: re.Match[bytes]) -> bool:
        """Never: extensions outlive the runtime."""
        told = mark[1] or mark[4]
        if mark[4] is None:
            self._hear(mark[2] or mark[3])
        if told is not None and self._on_exit is not None:
            ended = ended_as(told.decode("ascii"), self._names)
            self._on_exit(ended)
            if ended.extension is None:
                self._over.set()
        return False
