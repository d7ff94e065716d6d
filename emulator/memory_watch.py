"""Looks at a sandbox's memory again and again while it serves an invocation, on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from emulator.sandbox.base import Sandbox

OnMemory = Callable[[float, int], None]
"""Told milliseconds since the invocation began and the peak until then, in bytes, on another thread."""
_EVERY_S: Final = 0.005


class MemoryWatch:
    """A context in which `on_memory` is told. Nobody else may ask the sandbox for figures meanwhile."""

    def __init__(self, sandbox: Sandbox, on_memory: OnMemory) -> None:
        self._sandbox = sandbox
        self._on_memory = on_memory
        self._begin = time.perf_counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            at_ms = (time.perf_counter() - self._begin) * 1000
            peak = self._sandbox.figures().memory_peak_bytes
            if peak is not None:
                self._on_memory(at_ms, peak)
            if self._over.wait(_EVERY_S):
                return
