"""The paper's Figure 3 on our functions: from what the commands say to the page, and the page that lies in docs/."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.paper import charts, page
from benchmarks.paper.figures import PUBLISHED, At, Figures, row_of, under

DOCS = Path(__file__).parents[2] / "docs"
SIZE: dict[str, Any] = {
    "memory_mb": 512,
    "warm": 300,
    "disturbed": 7,
    "median": {"value": 9.876},
    "p95_ms": 20.004,
    "p99_ms": 30.0,
    "billed_ms": 12.5,
    "init_p50_ms": 199.96,
    "usd_per_million": 0.30417,
}
COST: dict[str, Any] = {
    "servers": [{"name": "other", "break_even_requests": 1}, {"name": "small", "break_even_requests": 50_000_000}]
}


def row(memory_mb: int, q99: float = 30.0, *, usd: float = 0.3, break_even: int | None = 50_000_000) -> At:
    """One size of a run."""
    found = row_of(SIZE, COST, "small")
    return replace(found, memory_mb=memory_mb, q99=q99, per_million_usd=usd, break_even=break_even)


def run(*rows: At) -> Figures:
    """A run in which both functions had the same figures."""
    machine = {"at": "2026-01-02T03:04:05+00:00", "cpu": "A CPU", "cpus": 2, "kernel": "Linux 6", "engine": "1.2"}
    tasks = dict.fromkeys(PUBLISHED["figure"], rows)
    return Figures(machine=machine, load=(0.1, 1.0), prices="us-east-1, 2026-09-19", tasks=tasks)


def test_a_row() -> None:
    """Quantiles as `tune` tells them, the break-even with the server that was asked for."""
    found = row_of(SIZE, COST, "small")
    assert (found.q50, found.q95, found.q99, found.calls, found.disturbed) == (9.88, 20.0, 30.0, 300, 7)
    assert (found.per_million_usd, found.break_even, found.server) == (0.3042, 50_000_000, "small")


def test_figures_come_back() -> None:
    """From their own JSON, None too."""
    figures = run(row(256), row(512, break_even=None))
    assert Figures.of(figures.as_json()) == figures


@pytest.mark.parametrize(
    ("quantiles", "least"),
    [
        ({256: 99.9, 512: 50, 1024: 20}, 256),
        ({256: 100.0, 512: 99.9, 1024: 20}, 512),
        ({256: 50, 512: 100.1, 1024: 20}, 1024),
        ({256: 50, 512: 50, 1024: 100}, None),
    ],
)
def test_from_which_size_on(quantiles: dict[int, float], least: int | None) -> None:
    """A larger size that breaks the limit ends it, whatever smaller ones do."""
    assert under(tuple(row(memory, q99) for memory, q99 in quantiles.items()), 100) == least


def test_the_page_tells_each_size() -> None:
    """Ours beside the paper's, a dash where it shows nothing, and the cheapest size."""
    text = page.as_markdown(run(row(256, usd=0.5), row(512, usd=0.25, break_even=None)))
    assert "| 512 | 9.9 | 20.0 | 30.0 | 23 / 47 / 55 | 145 / 209 / 236 | 300 | 7 |" in text
    assert "| 256 | 9.9 | 20.0 | 30.0 | - | - | 300 | 7 |" in text
    assert "| SimilarityFunction | 512 | 12.5 | 200 | 0.250 | 32,000,000 | never |" in text
    assert "`SentimentFunction` is cheapest at 512 MB: $0.25 a million, 7.5 times less than the paper's sum." in text
    assert "measured 2026-01-02" in text.lower()


def test_charts_have_every_curve() -> None:
    """As SVG whose letters are letters."""
    rows = (row(256), row(512))
    drawn = charts.latency("sentiment", rows).decode()
    assert [drawn.count(f"ours, {name}") for name in ("q50", "q95", "q99")] == [1, 1, 1]
    assert drawn.count("TinyBERT of the paper, q99") == 1
    assert "the paper: 100 ms at 1 GB" in charts.cost(run(*rows).tasks).decode()


def test_the_page_in_docs_is_of_its_figures() -> None:
    """Nobody has typed into it; the charts have every size."""
    figures = Figures.of((DOCS / "paper" / "figures.json").read_text("utf-8"))
    assert (DOCS / "paper-figure-3.md").read_text("utf-8") == page.as_markdown(figures)
    for task, rows in figures.tasks.items():
        assert [each.memory_mb for each in rows] == [256, 512, 1024, 1536, 2048]
        assert (DOCS / "paper" / f"{task}.svg").read_text("utf-8").count("1,024") >= 1
