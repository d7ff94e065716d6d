"""What a run found, as values, in a JSON file beside the page that is made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

PUBLISHED: Final[Mapping[str, Any]] = json.loads(Path(__file__).with_name("published.json").read_text("utf-8"))
QUANTILES: Final = ("q50", "q95", "q99")


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """One function at one memory size: milliseconds of warm invocations, and US dollars.

    `break_even` is the volume a month from which the named server costs less, None where it never does.
    """

    memory_mb: int
    calls: int
    disturbed: int
    q50: float
    q95: float
    q99: float
    billed_ms: float
    init_ms: float
    per_million_usd: float
    server: str
    break_even: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything on the page that was measured. `tasks` has its keys from the paper's: sentiment, similarity."""

    machine: Mapping[str, Any]
    load: tuple[float, float]
    prices: str
    tasks: Mapping[str, tuple[At, ...]]

    def as_json(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def of(cls, text: str) -> Self:
        """Back from the file's text."""
        read = json.loads(text)
        tasks = {name: tuple(At(**each) for each in rows) for name, rows in read.pop("tasks").items()}
        return cls(tasks=tasks, load=tuple(read.pop("load")), **read)


def row_of(size: Mapping[str, Any], cost: Mapping[str, Any], server: str) -> At:
    """From one size of `preflight tune --json` and what `preflight cost --json` says of it."""
    beside = next(each for each in cost["servers"] if each["name"] == server)
    return At(
        memory_mb=size["memory_mb"],
        calls=size["warm"],
        disturbed=size["disturbed"],
        q50=round(size["median"]["value"], 2),
        q95=round(size["p95_ms"], 2),
        q99=round(size["p99_ms"], 2),
        billed_ms=round(size["billed_ms"], 2),
        init_ms=round(size["init_p50_ms"], 1),
        per_million_usd=round(size["usd_per_million"], 4),
        server=server,
        break_even=beside["break_even_requests"],
    )


def under(rows: tuple[At, ...], limit_ms: float) -> int | None:
    """The least memory from which on q99 stays under the limit; None where the largest is above."""
    found = None
    for row in sorted(rows, key=lambda each: each.memory_mb, reverse=True):
        if row.q99 >= limit_ms:
            break
        found = row.memory_mb
    return found
