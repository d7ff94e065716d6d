"""Answers with the value of the Python expression in its event: what a function sees, looked at from inside."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

NAMES = {
    "Path": Path,
    "logging": logging,
    "multiprocessing": multiprocessing,
    "os": os,
    "resource": resource,
    "sys": sys,
    "time": time,
}


def handler(event: dict[str, Any], context: object) -> object:
    """The expression may name modules, `context`, and what is defined here."""
    return eval(event["python"], {**NAMES, **globals(), "context": context})  # noqa: S307 - the tests' own expressions


async def later(event: object, context: object) -> str:
    """Never awaited: AWS's client calls it, and has a coroutine."""
    return "later"


def failure(action: str) -> str:
    """Name and number of the error that an expression ends with; empty where it does not."""
    try:
        eval(action, {**NAMES, **globals()})  # noqa: S307 - see above
    except OSError as error:
        return f"{type(error).__name__} {error.errno}"
    return ""


def through_a_pipe() -> str:
    """What a child process sends: the way to use a second CPU that works on Lambda."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_send, args=(sending,))
    child.start()
    heard = str(receiving.recv())
    child.join()
    return heard


def _send(sending: Any) -> None:  # noqa: ANN401 - multiprocessing's class depends on the system
    sending.send("heard")
    sending.close()


def busy(seconds: float) -> float:
    """The share of a CPU that a busy loop gets."""
    cpu, wall = time.process_time(), time.monotonic()
    while time.monotonic() < wall + seconds:
        pass
    return (time.process_time() - cpu) / (time.monotonic() - wall)


def threads(count: int) -> int:
    """How many threads can be had at once, up to so many."""
    import _thread

    held, started = _thread.allocate_lock(), 0
    with held:
        for _ in range(count):
            try:
                _thread.start_new_thread(_pass, (held,))
            except RuntimeError:  # the limit, which is what is asked for
                break
            started += 1
    return started


def _pass(held: Any) -> None:  # noqa: ANN401 - a lock of _thread's
    with held:
        pass


def fill(path: str, size: int) -> list[int | None]:
    """Error number and bytes that went into a file before it."""
    left, block = size, bytes(65536)
    try:
        with Path(path).open("wb", buffering=0) as file:
            while left:
                left -= file.write(block[: min(left, len(block))])
            os.fsync(file.fileno())
    except OSError as error:
        return [error.errno, size - left]
    finally:
        Path(path).unlink()
    return [None, size]


def opened() -> int | None:
    """One more open file; None where there may be no more."""
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
