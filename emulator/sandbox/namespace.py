"""Opens the Runtime API's socket inside a container's own network namespace, so that the container needs no network."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from emulator.errors import BackendError

_CLONE_NEWNET = 0x40000000


def listen_inside(pid: int, host: str, port: int, *, backlog: int = 1024) -> socket.socket:
    """A TCP socket that listens on `host:port` as process `pid` sees them; OSError where that cannot be had."""

    def listen() -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(backlog)
        except OSError:
            listener.close()
            raise
        return listener

    return _inside(pid, listen)


def connect_inside(pid: int, host: str, port: int, *, timeout_s: float) -> socket.socket:
    """A connection to `host:port` as process `pid` sees them; OSError where that cannot be had."""
    return _inside(pid, lambda: socket.create_connection((host, port), timeout_s))


def _inside(pid: int, make: Callable[[], socket.socket]) -> socket.socket:
    """A namespace belongs to a thread, so a thread of its own goes in, makes the socket and ends."""
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def enter() -> None:
        try:
            made.append(_enter(pid, make))
        except OSError as error:  # raised again where it is waited for
            failed.append(error)

    thread = threading.Thread(target=enter, name=f"netns-{pid}")
    thread.start()
    thread.join()
    for error in failed:
        raise error
    return made[0]


def _enter(pid: int, make: Callable[[], socket.socket]) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:  # os.setns exists from Python 3.12 on
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "setns")
    finally:
        os.close(descriptor)
    return make()


@contextmanager
def entering() -> Iterator[None]:
    """BackendError with a hint where the kernel does not let us in."""
    try:
        yield
    except OSError as error:
        message = f"the container's network namespace could not be entered: {error.strerror}"
        raise BackendError(message, hint="Run as root on the engine's own machine, or report this.") from error
