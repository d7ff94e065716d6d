"""Memory while an invocation is served."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from emulator.memory_watch import MemoryWatch
from emulator.sandbox.base import Figures, SandboxSpec
from tests.fakes import FakeSandbox, echo
from tests.hand_loop import FakeClock


@pytest.mark.parametrize(("peak", "told"), [(7, {7}), (None, set())])
def test_figures_are_told_until_the_end(tmp_path: Path, peak: int | None, told: set[int]) -> None:
    """One at least, however short it was; nothing where the kernel does not tell; no thread is left."""
    spec = SandboxSpec(
        function_name="F",
        handler="app.handler",
        runtime="python3.13",
        code=tmp_path,
        layers=(),
        memory_mb=128,
        cpu_share=0.1,
        tmp_mb=512,
        environment={},
    )
    sandbox = FakeSandbox(spec, [echo], FakeClock(), figures=Figures(memory_peak_bytes=peak))
    points: list[tuple[float, int]] = []
    with MemoryWatch(sandbox, lambda at_ms, size: points.append((at_ms, size))):
        pass
    assert {size for _, size in points} == told
    assert all(at_ms >= 0 for at_ms, _ in points)
    assert "memory-watch" not in {thread.name for thread in threading.enumerate()}
