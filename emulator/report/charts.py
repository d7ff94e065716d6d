"""A function's figures as drawings, each None where it was not measured. No text of a user's is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from emulator.evidence import Evidence, Sample
from emulator.golden.evaluation import Evaluation
from emulator.golden.scorers import is_number
from emulator.plots import BLUE, GREEN, GREY, HALF, INK, ORANGE, SOFT_INK, axes_of, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MIB: Final = 1024 * 1024
_FEW: Final = 25  # so few points are drawn one by one
_MANY: Final = 1500  # more are thinned out: a drawing of ten thousand points is megabytes
_PERCENTILES: Final = (50, 95, 99)
_SMALL: Final = 9.0  # points
_NUMERIC: Final = {"spearman", "pearson"}


def cold_starts(evidence: Evidence) -> bytes | None:
    """How Init Duration and its CPU time are spread: the share of starts that took at most so long."""
    durations = [sample.init_ms for sample in evidence.cold if sample.init_ms is not None]
    if not durations:
        return None
    with axes_of("ms", "share of the starts, %", HALF) as (figure, axes):
        _spread(axes, durations, BLUE, "Init Duration")
        cpu = [sample.init_cpu_ms for sample in evidence.cold if sample.init_cpu_ms is not None]
        if cpu:
            _spread(axes, cpu, GREEN, "CPU time of init")
        axes.set_xlim(left=0)
        axes.set_ylim(0, 104)
        _legend(axes)
        return drawn(figure)


def latency(evidence: Evidence) -> bytes | None:
    """Percentiles of warm Duration and CPU time, with the median, the 95th and the 99th marked."""
    durations = [sample.duration_ms for sample in evidence.warm]
    if not durations:
        return None
    with axes_of("percentile of the warm calls", "ms", HALF) as (figure, axes):
        marked = _percentiles(axes, durations, BLUE, "Duration")
        for percent, at in zip(_PERCENTILES, marked, strict=True):
            right = percent == _PERCENTILES[-1]  # away from the one before it, which lies close
            axes.annotate(
                f"p{percent}",
                (percent, at),
                xytext=(4, 0) if right else (-4, 3),
                textcoords="offset points",
                ha="left" if right else "right",
                va="center" if right else "bottom",
                fontsize=_SMALL,
                color=SOFT_INK,
            )
        cpu = [sample.cpu_ms for sample in evidence.warm if sample.cpu_ms is not None]
        if cpu:
            _percentiles(axes, cpu, GREEN, "CPU time")
        axes.set_xticks([0, 25, *_PERCENTILES[:2]])
        axes.set_xlim(0, 110)
        axes.set_ylim(bottom=0)
        _legend(axes)
        return drawn(figure)


def memory(evidence: Evidence) -> bytes | None:
    """How memory grows in the event that needs most of it, or the peaks of all invocations in the order of the run."""
    if evidence.timeline:
        return _timeline(evidence)
    told = [sample for sample in evidence.samples if sample.memory_bytes is not None]
    if not told:
        return None
    with axes_of("invocation, in the order of the run", "MB", HALF) as (figure, axes):
        points = _thinned([(number, _peak_mb(sample)) for number, sample in enumerate(told, 1)])
        axes.plot(*zip(*points, strict=True), color=BLUE, linewidth=1.2, label="peak until then")
        cold = [(number, _peak_mb(sample)) for number, sample in enumerate(told, 1) if sample.start == "cold"]
        if cold:
            shown = _thinned(cold)
            axes.plot(*zip(*shown, strict=True), "o", color=GREEN, markersize=4, label="cold start")
        worst = max(range(len(told)), key=lambda place: told[place].memory_bytes or 0)
        axes.plot([worst + 1], [_peak_mb(told[worst])], "D", color=ORANGE, markersize=5, label="the highest")
        axes.locator_params(axis="x", integer=True)
        axes.set_xlim(0, 1.03 * len(told) + 0.5)
        _memory_size(axes, evidence)
        return drawn(figure)


def scatter(evaluation: Evaluation) -> bytes | None:
    """Answer over what was expected, where both are numbers; the diagonal is where they are the same."""
    if not is_numeric(evaluation):
        return None
    points = [(float(score.expected), float(score.answer)) for score in evaluation.scores]
    step = max(1, len(points) // _MANY)
    with axes_of("expected", "answered", HALF) as (figure, axes):
        low, high = min(map(min, points)), max(map(max, points))
        axes.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle="--", label="the same")
        size = 5 if len(points) <= _FEW else 3
        axes.plot(*zip(*points[::step], strict=True), "o", color=BLUE, markersize=size, alpha=0.6, label="a case")
        _legend(axes)
        return drawn(figure)


def is_numeric(evaluation: Evaluation) -> bool:
    """Whether the cases are points of a plane: expected and answered are numbers, and the scorer takes them so."""
    pairs = [(score.expected, score.answer) for score in evaluation.scores]
    if not pairs or not all(is_number(value) for pair in pairs for value in pair):
        return False
    return evaluation.scorer in _NUMERIC or any(not float(value).is_integer() for pair in pairs for value in pair)


def _spread(axes: Axes, values: Sequence[float], colour: str, label: str) -> None:
    ordered = sorted(values)
    shares = [100 * (place + 1) / len(ordered) for place in range(len(ordered))]
    style: dict[str, Any] = {"marker": "o", "markersize": 4.5} if len(ordered) <= _FEW else {}
    axes.plot(
        [ordered[0], *ordered],
        [0, *shares],
        drawstyle="steps-post",
        color=colour,
        linewidth=1.4,
        label=label,
        markevery=slice(1, None),
        **style,
    )


def _percentiles(axes: Axes, values: Sequence[float], colour: str, label: str) -> Sequence[float]:
    """Draws the line, and gives the marked ones."""
    import numpy as np  # noqa: PLC0415 - a tenth of a second that only reports pay

    percents = np.linspace(0, 100, 201)
    axes.plot(percents, np.percentile(values, percents), color=colour, linewidth=1.4, label=label)
    marked: list[float] = np.percentile(values, _PERCENTILES).tolist()
    axes.plot(_PERCENTILES, marked, "o", color=colour, markersize=4)
    return marked


def _timeline(evidence: Evidence) -> bytes:
    with axes_of("ms since the invocation began", "MB", HALF) as (figure, axes):
        points = _thinned([(point.at_ms, point.bytes / _MIB) for point in evidence.timeline])
        axes.plot(*zip(*points, strict=True), color=BLUE, linewidth=1.4, label="peak until then")
        axes.set_xlim(left=0)
        _memory_size(axes, evidence)
        return drawn(figure)


def _memory_size(axes: Axes, evidence: Evidence) -> None:
    """The line that must not be reached; from 0 on, so that distances are what they look like."""
    size = evidence.config.memory_mb
    axes.axhline(size, color=INK, linewidth=0.9, linestyle="--")
    axes.annotate(
        f"memory size {size:,} MB",
        (0.995, size),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=_SMALL,
        color=SOFT_INK,
    )
    axes.set_ylim(0, 1.06 * max(size, axes.get_ylim()[1]))
    _legend(axes)


def _peak_mb(sample: Sample) -> float:
    return (sample.memory_bytes or 0) / _MIB


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The highest of each stretch: no peak is lost."""
    step = -(-len(points) // _MANY)
    return [max(points[begin : begin + step], key=lambda point: point[1]) for begin in range(0, len(points), step)]


def _legend(axes: Axes) -> None:
    """Above the drawing: nothing lies behind it there."""
    axes.legend(
        frameon=False,
        fontsize=_SMALL,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.5,
    )
