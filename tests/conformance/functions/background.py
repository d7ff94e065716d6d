"""Leaves a thread and a child process behind that note every few milliseconds that they run."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

_EVERY_S = 0.005
_CHILD = Path(tempfile.gettempdir(), "preflight-child")
_ticks: list[float] = []
_terms: list[int] = []
_child = 0


def handler(event: dict[str, Any], context: object) -> object:
    """Do what the event says, and tell the widest gap between two ticks, and how many there were since the last one."""
    do = event.get("do")
    if do == "start":
        threading.Thread(target=_tick, daemon=True).start()
    if do == "fork":
        _fork()
    if do == "spin":
        end = time.monotonic() + event["seconds"]
        while time.monotonic() < end:
            pass
    time.sleep(event.get("wait", 0))
    told = {"ticks": len(_ticks), "gap": _widest(_ticks), "child": _child_gap(), "pid": os.getpid()}
    if do == "forget":
        del _ticks[:]
    return told


def _tick() -> None:
    while True:
        _ticks.append(time.monotonic())
        time.sleep(_EVERY_S)


def _fork() -> None:
    global _child  # noqa: PLW0603 - one for the whole life
    _CHILD.write_text("")
    _child = os.fork()
    if _child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with suppress(BaseException):
            while True:
                with _CHILD.open("a") as file:
                    file.write(f"{time.monotonic()}\n")
                time.sleep(_EVERY_S)
        sys.exit()


def _child_gap() -> float:
    return _widest([float(line) for line in _CHILD.read_text().split()]) if _child else 0.0


def _widest(times: list[float]) -> float:
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)
