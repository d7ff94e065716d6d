"""Published measurements of real Lambda, each with its source and date in `published.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.stats import quantile

ONE_VCPU_MB: Final = 1769  # Lambda guide, "Configure function memory", 2026-07
_FILE: Final = Path(__file__).with_name("published.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One memory size of the staircase, in milliseconds: REPORT's Duration, and the handler's own clock."""

    memory_mb: int
    duration_mean: float
    duration_p10: float
    duration_p50: float
    duration_p90: float
    in_handler_mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Everything that is compared. `sha256` has the ratio to 1,769 MB by memory size, one for each published series."""

    full_speed_ms: float
    staircase: tuple[Step, ...]
    pauses_ms: Mapping[int, int]
    runs_ms: Mapping[float, int]
    pauses_memory_mb: int
    sha256: Mapping[int, tuple[float, ...]]
    init: Mapping[str, Mapping[int, float]]
    sources: Mapping[str, str]


def read() -> Published:
    """The file beside this module."""
    document: Mapping[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    staircase, pauses = document["staircase"], document["pauses"]
    series = [dict(rows) for rows in document["sha256"]["series"].values()]
    return Published(
        full_speed_ms=staircase["full_speed_ms"],
        staircase=tuple(Step(**dict(zip(staircase["columns"], row, strict=True))) for row in staircase["rows"]),
        pauses_ms={int(pause): count for pause, count in pauses["pause_ms_rounded_to_4"].items()},
        runs_ms={float(run): count for run, count in pauses["run_ms_rounded_to_half"].items()},
        pauses_memory_mb=pauses["memory_mb"],
        sha256={
            memory_mb: tuple(each[memory_mb] / each[ONE_VCPU_MB] for each in series)
            for memory_mb in series[0]
            if memory_mb != ONE_VCPU_MB
        },
        init={runtime: dict(rows) for runtime, rows in document["init"]["series"].items()},
        sources={name: f"{part['source']}, {part['measured']}" for name, part in document.items()},
    )


def naive_ms(full_speed_ms: float, memory_mb: int) -> float:
    """What a share of memory / 1,769 MB would give if it were as smooth as its name."""
    return full_speed_ms * max(1.0, ONE_VCPU_MB / memory_mb)


def chosen_sizes(published: Published, count: int) -> list[Step]:
    """So many published sizes below one vCPU, the smallest and the largest among them, evenly apart in their ratio."""
    below = [step for step in published.staircase if step.memory_mb < ONE_VCPU_MB]
    if count >= len(below):
        return below
    first, last = below[0].memory_mb, below[-1].memory_mb
    wanted = [first * (last / first) ** (number / (count - 1)) for number in range(count)]
    nearest = {min(below, key=lambda step: abs(step.memory_mb - each)).memory_mb for each in wanted}
    return [step for step in below if step.memory_mb in nearest]


def spread_pct(values: tuple[float, ...]) -> float:
    """Half of what lies between the least and the greatest of AWS's own figures, in percent of their median."""
    return (max(values) - min(values)) / 2 / quantile(values, 0.5) * 100
