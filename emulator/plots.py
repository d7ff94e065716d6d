"""Charts as SVG or PNG, by matplotlib: a page with them needs no network, no script, and some tens of kilobytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Kind = Literal["svg", "png"]
Points = Sequence[tuple[float, float]]

# Colours that colour-blind readers tell apart (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#888888"
INK, SOFT_INK, LINE, PAPER = "#222222", "#444444", "#dddddd", "#ffffff"
BAND = "#cfe3f2"
WIDE: Final = (8.0, 4.5)  # inches
HALF: Final = (4.4, 2.9)  # half a page wide, and its letters still of a size to read on a telephone
_STYLE: Final[dict[Any, Any]] = {
    "axes.edgecolor": SOFT_INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    # Letters stay letters, so that a page can be searched; the same figures give the same bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "preflight",
}
_NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_APART: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A level line with its name, and where another line crosses it."""

    name: str
    y: float
    crossing: float | None


def levels_chart(line: Points, levels: Sequence[Level], asked: tuple[float, float], kind: Kind = "svg") -> bytes:
    """Lambda's cost against volume, both logarithmic, over the level cost of servers; where they cross is marked."""
    with axes_of("requests a month", "US dollars a month") as (figure, axes):
        axes.loglog([x for x, _ in line], [y for _, y in line], color=BLUE, label="Lambda")
        for number, level in enumerate(levels):
            axes.axhline(level.y, color=GREY, linewidth=0.7, linestyle="--")
            place = (line[0][0] * _APART**number, level.y)  # side by side: levels lie close
            axes.annotate(level.name, place, fontsize=7, va="bottom", color=SOFT_INK)
            if level.crossing is not None:
                axes.plot([level.crossing], [level.y], marker="o", color=ORANGE, markersize=4)
        axes.plot([asked[0]], [asked[1]], marker="D", color=GREEN, linestyle="none", label="asked for")
        axes.legend(frameon=False)
        return drawn(figure, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One memory size of a sweep; None for what was not measured."""

    memory_mb: int
    usd: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_memory_mb: float | None
    recommended: bool


def sweep_charts(sizes: Sequence[Size], kind: Kind = "svg") -> tuple[bytes, bytes, bytes]:
    """Cost against latency, latency by memory size, memory used by memory size; the recommended size is a diamond."""
    return _cost_and_latency(sizes, kind), _latency_bands(sizes, kind), _memory_used(sizes, kind)


def _cost_and_latency(sizes: Sequence[Size], kind: Kind) -> bytes:
    with axes_of("median Duration, ms", "US dollars a million", HALF) as (figure, axes):
        axes.set_xscale("log")
        axes.plot([size.p50_ms for size in sizes], [size.usd for size in sizes], color=GREY, linewidth=0.7)
        for size in sizes:
            marker, colour = ("D", GREEN) if size.recommended else ("o", BLUE)
            axes.plot([size.p50_ms], [size.usd], marker=marker, color=colour)
            name = f"{size.memory_mb} MB{', recommended' if size.recommended else ''}"
            axes.annotate(name, (size.p50_ms, size.usd), xytext=(5, 5), textcoords="offset points", fontsize=8)
        axes.margins(x=0.15, y=0.15)  # for the names
        axes.set_ylim(bottom=0)
        plain_numbers(axes.xaxis)
        return drawn(figure, kind)


def _latency_bands(sizes: Sequence[Size], kind: Kind) -> bytes:
    memory = [size.memory_mb for size in sizes]
    with axes_of("memory size, MB", "Duration, ms", HALF) as (figure, axes):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.fill_between(memory, [size.p50_ms for size in sizes], [size.p99_ms for size in sizes], color=BAND)
        axes.plot(memory, [size.p50_ms for size in sizes], color=BLUE, marker="o", label="p50")
        axes.plot(memory, [size.p95_ms for size in sizes], color=ORANGE, marker=".", label="p95")
        axes.plot(memory, [size.p99_ms for size in sizes], color=GREY, marker=".", label="p99")
        axes.set_xticks(memory, [str(each) for each in memory], rotation=45, ha="right")
        plain_numbers(axes.yaxis)
        axes.xaxis.minorticks_off()
        axes.legend(frameon=False)
        return drawn(figure, kind)


def _memory_used(sizes: Sequence[Size], kind: Kind) -> bytes:
    known = [(str(size.memory_mb), size.max_memory_mb) for size in sizes if size.max_memory_mb is not None]
    with axes_of("memory size, MB", "Max Memory Used, MB", HALF) as (figure, axes):
        axes.bar([name for name, _ in known], [used for _, used in known], color=BLUE, width=0.5)
        axes.grid(visible=False, axis="x")
        return drawn(figure, kind)


def plain_numbers(axis: Axis) -> None:
    """1, 2, 5, 10 on a logarithmic axis, not powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter  # noqa: PLC0415 - as matplotlib itself

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


@contextmanager
def axes_of(x: str, y: str, size: tuple[float, float] = WIDE) -> Iterator[tuple[Figure, Axes]]:
    """A figure of that size in inches, with one pair of axes named so; draw and `drawn` within."""
    from matplotlib import rc_context  # noqa: PLC0415 - a second that only those pay who want a chart
    from matplotlib.figure import Figure  # noqa: PLC0415 - see above

    with rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.grid(visible=True, color=LINE, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        yield figure, axes


def drawn(figure: Figure, kind: Kind = "svg") -> bytes:
    """The file's bytes."""
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=144, metadata=_NO_METADATA if kind == "svg" else {})
    return content.getvalue()
