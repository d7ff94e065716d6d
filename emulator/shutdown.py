"""The Shutdown phase: who is told that the environment ends, and how long each may take before SIGKILL.

"Lambda execution environment lifecycle" and "Lambda Extensions API", AWS Lambda Developer Guide, 2026-07 and 2023-05:
nothing for a function without extensions, whose runtime gets no SIGTERM either; 500 ms with internal extensions;
2,000 ms with external ones, of which the runtime has 300.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from emulator.sandbox.base import Exit, Sandbox

if TYPE_CHECKING:
    from emulator.lifecycle import Heard

Reason = Literal["SPINDOWN", "TIMEOUT", "FAILURE"]
"""What SHUTDOWN tells extensions: idle for too long, the function's timeout, or the end of runtime or extension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds from the beginning of the phase: for the runtime after SIGTERM, and for everybody."""

    runtime_s: float
    total_s: float


_NONE: Final = Limits(runtime_s=0.0, total_s=0.0)
_INTERNAL: Final = Limits(runtime_s=0.5, total_s=0.5)
_EXTERNAL: Final = Limits(runtime_s=0.3, total_s=2.0)


class Extensions(Protocol):
    """The extensions of one environment that have registered in this life, as far as its end concerns them."""

    @property
    def internal(self) -> int:
        """How many there are inside the runtime's process; they end with it, and get no SHUTDOWN."""

    @property
    def external(self) -> int:
        """How many processes of their own there are."""

    def shut_down(self, reason: Reason, limit: float) -> None:
        """Send SHUTDOWN to those who want it; return when all have ended, or `time.perf_counter()` is at `limit`."""


class Server(Protocol):
    """Serves this life while somebody waits."""

    def wait(self, limit: float) -> Heard | Exit | None:
        """See `RuntimeServer.wait`."""


def limits(extensions: Extensions | None) -> Limits:
    """How long the phase may take with these extensions."""
    if extensions is None or not (extensions.internal or extensions.external):
        return _NONE
    return _EXTERNAL if extensions.external else _INTERNAL


def shut_down(sandbox: Sandbox, server: Server, extensions: Extensions | None, reason: Reason) -> None:
    """Let runtime and extensions end by themselves, as far as they may; whoever calls kills what is left after it.

    The sandbox must not be frozen. At a timeout the runtime is killed at once, and after a failure it is dead.
    """
    allowed = limits(extensions)
    if extensions is None or not allowed.total_s:
        return
    begin = time.perf_counter()
    if reason == "SPINDOWN" and sandbox.signal(signal.SIGTERM):
        while heard := server.wait(begin + allowed.runtime_s):
            if isinstance(heard, Exit) and heard.extension is None:
                break
    if extensions.external:
        sandbox.signal(signal.SIGKILL)
        extensions.shut_down(reason, begin + allowed.total_s)
