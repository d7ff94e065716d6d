"""A container's entry point over the engine's attach stream, where the emulator may not enter its namespaces.

The stream carries the runtime's output, in which the entry point puts a mark on request: what came before it is all
there was. A mark can also tell what the container's processes have moved to and from disks, which their own user may
read and the emulator may not, unless it is root.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final

from emulator.sandbox.base import Exit
from emulator.sandbox.docker_stdio import BARE, END_ALL, END_S, FOUND, parse_status

_STDERR: Final = 2
_MARK: Final = re.compile(rb"\x00preflight-(?:exit (\d+) (\d+)|mark ?(\d*))\n")
_MARK_BEGINNING: Final = re.compile(rb"\x00(?:p|$)[a-z -]*\d*(?:(?<=\d) \d*)?\Z")
_MARK_TIMEOUT_S: Final = 10.0  # a throttled shell may take a while, and an engine that is gone takes for ever

# Into $_s. Nothing but the shell's own words: the base image has no other program.
DISK: Final = (
    "_disk() { _s=0; for _f in /proc/[0-9]*/io; do while read -r _k _v; do case $_k in "
    'read_bytes:|write_bytes:) _s=$((_s + _v));; esac; done <"$_f"; done 2>/dev/null; }'
)
ANSWERS: Final = (
    'while read -r _w <&3; do _s=; [ "$_w" != disk ] || _disk; printf "\\0preflight-mark %s\\n" "$_s"; done'
)
RUN: Final = (
    'if found "$1"; then (exec "$@" </dev/null 2>&1 3<&-); _w=$?; else _w=$((255 + $?)); fi; '
    '_disk; printf "\\0preflight-exit %s %s\\n" "$_w" "$_s"; wait'
)
# One stream for both outputs and the marks, so that they keep their order. The reader answers each line of input with
# a mark; it is the background job, since a shell has its background jobs ignore SIGINT.
ATTACH_ENTRY: Final = (
    f"{FOUND}; {DISK}; read -r _ || exit 125; {BARE}; exec 3<&0 2>/dev/null; ({ANSWERS}; {END_ALL}) & {RUN}"
)


class Attached:
    """The engine's attach stream, for an engine whose files are not ours: another machine, or a virtual one."""

    entry = ATTACH_ENTRY
    on_extension_log: Callable[[bytes], None] | None = None
    mark = _MARK
    mark_beginning = _MARK_BEGINNING

    def __init__(self) -> None:
        self.mounts: dict[str, str] = {}
        self._stream: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._on_log: Callable[[bytes], None] | None = None
        self._on_exit: Callable[[Exit | None], None] | None = None
        self._pending = b""
        self._asking = threading.Lock()
        self._marked = threading.Event()
        self._disk: int | None = None
        self._ended = False

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
        self._reader = threading.Thread(target=self._read, name="container-attach", daemon=True)
        self._reader.start()
        self._stream.sendall(b"go\n")

    def start_runtime(self) -> None:
        """It has started at *go*."""

    def flush(self) -> None:
        """Ask for a mark and wait until it comes."""
        if not self._ended:
            self._ask(b"mark\n")

    def disk_traffic(self) -> int | None:
        """By a mark that tells; by the one that told the end once the runtime has ended."""
        if self._ended or self._reader is threading.current_thread():
            return self._disk
        self._disk = None
        self._ask(b"disk\n")
        return self._disk

    def _ask(self, line: bytes) -> None:
        """Return when the mark has come, or nobody is there to make one."""
        if self._stream is None or self._reader is None:
            return
        with self._asking, contextlib.suppress(OSError):  # the container has just gone, and its output with it
            self._marked.clear()
            self._stream.sendall(line)
            self._marked.wait(_MARK_TIMEOUT_S)

    def await_end(self) -> None:
        """The reader ends with it."""
        if self._reader is not None:
            self._reader.join(END_S)

    def kill(self) -> bool:
        """It is out of reach."""
        return False

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
            body = None if header is None else _receive(stream, struct.unpack(">I", header[4:])[0])
            if body is None:
                break
            if header is not None and header[0] == _STDERR and self.on_extension_log is not None:
                self.on_extension_log(body)
            elif self._take(body):
                return
        self._log(self._pending)
        self._end(None)

    def _take(self, body: bytes) -> bool:
        """Hand the output on; True when a mark said that the runtime has ended."""
        text = self._pending + body
        while (mark := self.mark.search(text)) is not None:
            self._log(text[: mark.start()])
            text = text[mark.end() :]
            if self._means_end(mark):
                return True
        # The engine cuts the stream where its buffer ends, in the middle of a mark too.
        cut = self.mark_beginning.search(text)
        kept = len(text) if cut is None else cut.start()
        self._log(text[:kept])
        self._pending = text[kept:]
        return False

    def _means_end(self, mark: re.Match[bytes]) -> bool:
        """What a mark says; True where nothing more is to be read."""
        self._hear(mark[2] or mark[3])
        if mark[1] is not None:
            self._end(parse_status(int(mark[1])))
            return True
        return False

    def _hear(self, disk: bytes | None) -> None:
        """Let go of whoever waits for a mark."""
        if disk:
            self._disk = int(disk)
        self._marked.set()

    def _log(self, text: bytes) -> None:
        if text and self._on_log is not None:
            self._on_log(text)

    def _end(self, ended: Exit | None) -> None:
        self._ended = True
        self._marked.set()
        if self._on_exit is not None:
            self._on_exit(ended)


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
