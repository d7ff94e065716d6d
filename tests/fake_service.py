"""Stands in for `LambdaService` where only its answers and their figures matter."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

from emulator.config import FunctionConfig
from emulator.invocation import FunctionError, InvocationResult, Timings, Usage
from emulator.sandbox.base import Figures, Sandbox
from emulator.service import LambdaService
from emulator.spec import sandbox_spec
from tests.fakes import FakeBackend

MIB = 1024 * 1024


def config(**others: Any) -> FunctionConfig:  # noqa: ANN401 - any field
    """A function of 512 MB."""
    made = FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=Path("src"), memory_mb=512)
    return replace(made, **others)


def result(  # noqa: PLR0913 - one keyword for each thing that a test looks at
    payload: object = None,
    *,
    cold: bool = False,
    error: FunctionError | None = None,
    duration_ms: float = 10.0,
    memory_mb: float = 100.0,
    log: str = "",
) -> InvocationResult:
    """One outcome with plausible figures."""
    return InvocationResult(
        request_id="r",
        body=json.dumps(payload).encode(),
        error=error,
        timings=Timings(init_ms=200.0 if cold else None, duration_ms=duration_ms, billed_ms=round(duration_ms)),
        usage=Usage(max_memory_bytes=int(memory_mb * MIB), cpu_seconds=0.004, throttled_seconds=0.0, tmp_bytes=0),
        log=log,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What was asked of the service."""

    what: str
    name: str
    payload: bytes = b""
    fresh: bool = False


class FakeService:
    """Answers with `answer(event)`, cold where no environment is warm; `calls` is what was asked, in order."""

    def __init__(self, answer: Callable[[Any], InvocationResult]) -> None:
        self.calls: list[Call] = []
        self.backend = FakeBackend()
        self.closed = False
        made = FakeBackend(figures=Figures(memory_peak_bytes=100 * MIB))
        self._sandbox = made.prepare(sandbox_spec(config()))
        self._answer = answer
        self._lock = threading.Lock()
        self._warm: dict[str, int] = {}

    def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        fresh: bool = False,
        around: Callable[[Sandbox], AbstractContextManager[object]] | None = None,
    ) -> InvocationResult:
        """As `LambdaService.invoke`, in a sandbox of 100 MB."""
        if around is not None:
            with around(self._sandbox):
                pass
        with self._lock:
            self.calls.append(Call(what="invoke", name=name, payload=payload, fresh=fresh))
            cold = fresh or not self._warm.get(name)
            if not cold:
                self._warm[name] -= 1
        found = self._answer(json.loads(payload))
        with self._lock:
            self._warm[name] = self._warm.get(name, 0) + 1
        return replace(found, timings=replace(found.timings, init_ms=200.0 if cold else None))

    def prepare(self, name: str, count: int) -> int:
        """Recorded."""
        self.calls.append(Call(what=f"prepare {count}", name=name))
        return count

    def retire(self, name: str) -> None:
        """No environment is warm any more."""
        self.calls.append(Call(what="retire", name=name))
        self._warm[name] = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def as_service(self) -> LambdaService:
        """For whoever wants the real one."""
        return cast("LambdaService", self)


class Steps:
    """Progress that is remembered."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self.steps = 0

    def begin(self, what: str, total: int) -> None:
        """Remembered."""
        self.begun.append((what, total))

    def step(self) -> None:
        """Counted."""
        self.steps += 1
