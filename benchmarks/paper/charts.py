"""Latency by memory size beside the paper's curves, and cost by memory size, as SVG in the reader's light or dark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from benchmarks.paper.figures import PUBLISHED, QUANTILES
from emulator.html_page import themed_file
from emulator.plots import BLUE, GREEN, GREY, ORANGE, axes_of, drawn, plain_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.paper.figures import At

_SHAPES: Final = {"q50": "-", "q95": "--", "q99": ":"}
_COLOURS: Final = {"TinyBERT": ORANGE, "MobileBERT": GREY}


def latency(task: str, rows: tuple[At, ...]) -> bytes:
    """Our three quantiles, and those of the paper's two models."""
    with axes_of("memory size, MB", "Duration of a warm invocation, ms") as (figure, axes):
        axes.set_yscale("log")
        memory = [row.memory_mb for row in rows]
        for name in QUANTILES:
            values = [getattr(row, name) for row in rows]
            axes.plot(memory, values, color=BLUE, linestyle=_SHAPES[name], marker="o", label=f"ours, {name}")
        for model, sizes in PUBLISHED["figure"][task].items():
            for number, name in enumerate(QUANTILES):
                points = [int(size) for size in sizes], [quantiles[number] for quantiles in sizes.values()]
                label = f"{model} of the paper, {name}"
                axes.plot(*points, color=_COLOURS[model], linestyle=_SHAPES[name], marker=".", linewidth=1, label=label)
        _by_memory(axes, memory)
        plain_numbers(axes.yaxis)
        axes.legend(frameon=False, fontsize=7, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
        return themed_file(drawn(figure))


def cost(tasks: Mapping[str, tuple[At, ...]]) -> bytes:
    """US dollars for a million warm invocations."""
    with axes_of("memory size, MB", "US dollars a million invocations") as (figure, axes):
        for (task, rows), colour in zip(tasks.items(), (BLUE, GREEN), strict=True):
            memory = [row.memory_mb for row in rows]
            axes.plot(memory, [row.per_million_usd for row in rows], color=colour, marker="o", label=task)
            _by_memory(axes, memory)
        paper = PUBLISHED["cost"]["per_million_usd"]
        axes.plot([1024], [paper], color=ORANGE, marker="D", linestyle="none", label="the paper: 100 ms at 1 GB")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)
        return themed_file(drawn(figure))


def _by_memory(axes: Axes, memory: list[int]) -> None:
    axes.set_xticks(memory, [f"{size:,}" for size in memory])
