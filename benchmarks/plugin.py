"""What the pytest plugin costs a project that does not use it: pytest's whole process with it and without."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.rows import PLUGIN_MS, PLUGIN_NAME, Row
from benchmarks.stats import median_estimate
from emulator.errors import BackendError

if TYPE_CHECKING:
    from benchmarks.bed import Bed

_PAIRS: Final = 10  # for each repeat: a process takes half a second, and differs by more than what is looked for
_WITHOUT: Final = ("-p", "no:emulator.pytest_plugin")
_MS: Final = 1000


def measure(bed: Bed, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    """Pairs of the same empty test, each pair begun by the other side."""
    with_it: list[tuple[float, float]] = []
    without: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="preflight-plugin-") as folder:
        (Path(folder) / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        _run(folder, ())  # bytecode and page cache
        for number in range(repeats * _PAIRS):
            bed.say(f"plugin: pytest with and without, pair {number + 1} of {repeats * _PAIRS}")
            sides = [(with_it, ()), (without, _WITHOUT)]
            for samples, arguments in sides if number % 2 else sides[::-1]:
                samples.append(_run(folder, arguments))
    wall = [one[0] - other[0] for one, other in zip(with_it, without, strict=True)]
    cpu = [one[1] - other[1] for one, other in zip(with_it, without, strict=True)]
    rows = [
        Row(
            part="plugin",
            name=PLUGIN_NAME,
            unit="ms",
            estimate=median_estimate(wall),
            at_most=PLUGIN_MS,
            note="pytest of one empty test, pair by pair",
        ),
        Row(part="plugin", name="the same, CPU time", unit="ms", estimate=median_estimate(cpu)),
        Row(part="plugin", name="pytest without", unit="ms", estimate=median_estimate([one for one, _ in without])),
    ]
    return rows, {"with_wall_and_cpu_ms": with_it, "without_wall_and_cpu_ms": without}


def _run(folder: str, arguments: tuple[str, ...]) -> tuple[float, float]:
    """Wall and CPU milliseconds of the whole process."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise BackendError(f"pytest failed: {done.stdout[-200:]}", hint="Is the plugin installed? make bench does it.")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * _MS, cpu * _MS
