"""What `preflight tune` shows: text for a terminal, JSON, a page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from emulator import html_page, plots
from emulator.pricing.report import dollars
from emulator.text_table import text_table
from emulator.tune import smallest, tuning
from emulator.tune.decision import SURE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.calibration import Calibration
    from emulator.intervals import Estimate
    from emulator.tune.smallest import Smallest
    from emulator.tune.tuning import LeftOut, Recommendation, SizeResult, Slo

_PERCENT: Final = 100
_HEADERS: Final = (
    *(
        "memory MB",
        "p50 ms",
        "± %",
        "p95 ms",
        "p99 ms",
        "billed ms",
        "init ms",
        "max used MB",
        "throttled",
        "a million",
    ),
    *("runs", "disturbed", "errors"),
)
_PREDICTED: Final = ("on Lambda p50 ms", "on Lambda a million")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Everything a sweep found. `smallest` is None where it was not looked for."""

    function: str
    backend: str
    strategy: str
    results: tuple[SizeResult, ...]
    left_out: tuple[LeftOut, ...]
    recommended: Recommendation
    slo: Slo | None
    smallest: Smallest | None
    calibration: Calibration | None
    prices: str
    seconds: float


def as_dict(found: Tuning) -> dict[str, Any]:
    """The object of `--json` and of a .json file."""
    return {
        "function": found.function,
        "backend": found.backend,
        "strategy": found.strategy,
        "slo": None if found.slo is None else asdict(found.slo),
        "recommended_memory_mb": found.recommended.memory_mb,
        "reason": found.recommended.reason,
        "alike_mb": list(found.recommended.alike),
        "agreement": found.recommended.agreement,
        "by_strategy": dict(found.recommended.by_strategy),
        "sizes": [tuning.as_dict(each) for each in found.results],
        "left_out": [asdict(each) for each in found.left_out],
        "smallest": None if found.smallest is None else smallest.as_dict(found.smallest),
        "calibration": None if found.calibration is None else found.calibration.as_dict(),
        "prices": found.prices,
        "seconds": round(found.seconds, 1),
    }


def as_json(found: Tuning) -> str:
    """One line."""
    return json.dumps(as_dict(found))


def as_text(found: Tuning) -> str:
    """The table, what was left out, and what to take."""
    headers, rows = _table(found)
    return "\n".join([text_table(headers, rows), "", *sentences(found)])


def sentences(found: Tuning) -> list[str]:
    """What to take, and what the figures rest on."""
    told = [f"left out: {each.memory_mb:,} MB: {each.reason}" for each in found.left_out]
    told += [
        f"{each.memory_mb:,} MB does not run every invocation: {_errors(each)}" for each in found.results if each.errors
    ]
    least = found.smallest
    if least is not None and least.memory_mb is None:
        told.append(f"no size answers every event: {least.error}")
    elif least is not None:
        why = f"; {least.fails_at:,} MB does not ({least.error})" if least.fails_at else ""
        told.append(f"smallest memory that answers every event: {least.memory_mb:,} MB{why}")
    if found.calibration is not None:
        factor = found.calibration.duration
        how = f"{factor.value:.2f}{_range(factor)}, calibrated {found.calibration.date}"
        told.append(f"on Lambda: predicted by a factor of {how}")
    disturbed = sum(each.disturbed for each in found.results)
    if disturbed:
        told.append(f"other work on this machine disturbed {disturbed} invocations, which are left out of the figures")
    if disturbed > sum(each.warm for each in found.results):
        told.append("that is most of them: the percentiles may be better on a quiet machine")
    told.append(f"prices: {found.prices}; measured in {found.seconds:.0f} s on the {found.backend} backend")
    taken = found.recommended
    what = "nothing" if taken.memory_mb is None else f"{taken.memory_mb:,} MB"
    if found.slo is None and taken.by_strategy:
        told.append("by strategy: " + ", ".join(f"{name} {size:,} MB" for name, size in taken.by_strategy.items()))
    told.append(f"recommended: {what}: {taken.reason}")
    if taken.agreement is not None and taken.agreement < SURE:
        told.append(
            f"the time was up before that was sure: {taken.agreement:.0%} of what these rounds might have shown lead "
            "to the same size; a longer --budget makes it surer"
        )
    return told


def as_page(found: Tuning) -> bytes:
    """One HTML file with charts."""
    headers, rows = _table(found)
    marked = [n for n, each in enumerate(found.results) if each.memory_mb == found.recommended.memory_mb]
    parts = [html_page.paragraph("\n".join(sentences(found))), html_page.table(headers, rows, marked)]
    sizes = [size for each in found.results if (size := _size(each, found.recommended.memory_mb)) is not None]
    if sizes:
        texts = ("Cost against latency", "Latency by memory size", "Memory used by memory size")
        drawn = zip(texts, plots.sweep_charts(sizes), strict=True)
        parts.append(html_page.beside([html_page.chart(chart, text, title=text) for text, chart in drawn]))
    return html_page.page(f"{found.function}: memory sizes", parts)


def _table(found: Tuning) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    rows = [_row(each) for each in found.results]
    if found.calibration is None:
        return _HEADERS, rows
    more = [
        (_with_range(each.predicted_median, "{:.1f}"), _with_range(each.predicted_usd, "${:.3f}"))
        for each in found.results
    ]
    return (*_HEADERS, *_PREDICTED), [(*row, *added) for row, added in zip(rows, more, strict=True)]


def _row(found: SizeResult) -> tuple[str, ...]:
    return (
        f"{found.memory_mb}",
        _number(found.median.value if found.median else None),
        _number(None if found.width is None else found.width / 2 * _PERCENT),
        _number(found.p95_ms),
        _number(found.p99_ms),
        _number(found.billed_ms),
        _number(found.init_p50_ms, 0),
        _number(found.max_memory_mb, 0),
        "-" if found.throttled_share is None else f"{found.throttled_share * _PERCENT:.0f} %",
        "-" if found.usd_per_million is None else dollars(found.usd_per_million),
        f"{found.cold}+{found.warm}",
        f"{found.disturbed}",
        _errors(found) or "-",
    )


def _size(found: SizeResult, recommended: int | None) -> plots.Size | None:
    if found.median is None or found.p95_ms is None or found.p99_ms is None or found.usd_per_million is None:
        return None
    return plots.Size(
        memory_mb=found.memory_mb,
        usd=found.usd_per_million,
        p50_ms=found.median.value,
        p95_ms=found.p95_ms,
        p99_ms=found.p99_ms,
        max_memory_mb=found.max_memory_mb,
        recommended=found.memory_mb == recommended,
    )


def _errors(found: SizeResult) -> str:
    return ", ".join(f"{name} x{count}" for name, count in found.errors.items())


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _with_range(found: Estimate | None, shape: str) -> str:
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return shape.format(found.value)
    return f"{shape.format(found.value)} ({shape.format(found.low)}-{shape.format(found.high)})"


def _range(found: Estimate) -> str:
    return "" if found.low is None or found.high is None else f" ({found.low:.2f} to {found.high:.2f})"
