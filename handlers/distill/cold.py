"""What a cold start costs beyond its imports: fresh processes, alternating, on exactly what would be deployed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HANDLERS = Path(__file__).resolve().parents[1]
LAYER = HANDLERS / ".build" / "layer" / "python"
SHARED = HANDLERS / "layer" / "python"

IMPORTS = "import onnxruntime, tokenizers, numpy"
INIT = "import app"
MEASURE = """
import time
wall, cpu = time.perf_counter(), time.process_time()
{statement}
print(1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu))
"""

ALLOWED_MS = 300.0
"""What the module's import may take beyond that of its libraries."""

MEMORY_MB = 1769
"""One vCPU's worth: the function takes one thread."""


class TooSlow(Exception):
    """An init phase takes longer than the models were made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Milliseconds of one statement in a fresh process."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """Rounds of importing the libraries alone and of the whole init phase of one function."""

    imports: Sequence[Spent]
    init: Sequence[Spent]

    def summary(self) -> dict[str, float]:
        """Medians in milliseconds, and the least of the init's wall time beyond the imports' least."""
        found: dict[str, float] = {"rounds": len(self.init)}
        for name, spent in (("imports", self.imports), ("init", self.init)):
            found[f"{name}_ms"] = statistics.median(each.wall for each in spent)
            found[f"{name}_cpu_ms"] = statistics.median(each.cpu for each in spent)
        found["beyond_ms"] = found["init_ms"] - found["imports_ms"]
        found["beyond_least_ms"] = min(each.wall for each in self.init) - min(each.wall for each in self.imports)
        return {name: round(value, 1) for name, value in found.items()}


def spend(statement: str, function: Path) -> Spent:
    """In a process that has on its path what the function has on Lambda, and nothing else."""
    path = os.pathsep.join(str(part) for part in (LAYER, SHARED, function))
    environment = {
        "PYTHONPATH": path,
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",  # says to the function that this is its init phase
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MB),
        "OPENBLAS_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-S", "-B", "-c", MEASURE.format(statement=statement)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    wall, cpu = ended.stdout.split()
    return Spent(wall=float(wall), cpu=float(cpu))


def measure(task: str, rounds: int) -> ColdStart:
    """Alternating, after one of each that warms the page cache; FileNotFoundError where the layer is not built."""
    if not LAYER.is_dir():
        raise FileNotFoundError(f"{LAYER} is missing: make handlers-build makes it")
    function = HANDLERS / task
    pairs = [(spend(IMPORTS, function), spend(INIT, function)) for _ in range(rounds + 1)][1:]
    return ColdStart(imports=[first for first, _ in pairs], init=[second for _, second in pairs])


def words(summary: Mapping[str, float]) -> str:
    """The line of a model card."""
    return (
        f"Init, median of {summary['rounds']:.0f} fresh processes at one thread: {summary['init_ms']:.0f} ms, of which "
        f"`{IMPORTS}` takes {summary['imports_ms']:.0f} ms\n(CPU time {summary['init_cpu_ms']:.0f} and "
        f"{summary['imports_cpu_ms']:.0f} ms); {ALLOWED_MS:.0f} ms beyond the imports are allowed. "
        "`python -m handlers.distill cold`."
    )


def read(path: Path) -> dict[str, dict[str, float]]:
    """What `cold` wrote, by task; empty where it was not done."""
    found: dict[str, dict[str, float]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found
