"""A report as one HTML page that opens offline: verdicts first, then what they rest on, drawn and in tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from emulator import html_page
from emulator.evidence import Evidence
from emulator.golden.evaluation import Evaluation
from emulator.golden.scorers import label, shown
from emulator.golden.text import interval as score_interval
from emulator.metrics import METRICS
from emulator.report import blocks as report_blocks
from emulator.report import charts as report_charts
from emulator.report.base import FunctionReport, Report
from emulator.report.facts import figure, interval, megabytes, run_facts, spread, subtitle
from emulator.report.text import summary

_PARTS: Final = 15
_CASES: Final = 50  # the JSON report has all of them
_IMPORTS: Final = 15
_WHAT: Final = {metric.name: metric.what for metric in METRICS}


def as_page(report: Report) -> bytes:
    """UTF-8; nothing in it is loaded from elsewhere, and nothing of it runs."""
    disturbed = () if report.disturbance is None else report.disturbance.notes
    doubt = "wall times are doubtful, CPU times hold better."
    parts = [html_page.paragraph(f"Disturbed: {note}; {doubt}") for note in disturbed]
    for function in report.functions:
        parts += _function(function)
    parts.append(html_page.heading("Where and how it was measured"))
    parts.append(html_page.table(("", ""), list(run_facts(report)), words=(1,)))
    return html_page.page(f"Lambda Preflight: {summary(report)}", parts)


def _function(function: FunctionReport) -> Iterator[str]:
    evidence = function.evidence
    yield html_page.heading(function.name)
    yield html_page.paragraph(subtitle(function), muted=True)
    if function.verdicts:
        yield report_blocks.verdicts(function.verdicts)
    for note in function.notes:
        yield html_page.paragraph(f"Note: {note}")
    yield from _package(evidence)
    yield html_page.beside(list(_charts(function)))
    if evidence.evaluation is not None:
        yield from _golden(evidence.evaluation)
    if evidence.imports:
        rows = [(one.module, f"{one.total_ms:.1f}", f"{one.own_ms:.1f}") for one in evidence.imports[:_IMPORTS]]
        yield html_page.heading("Slowest imports, ms", 3)
        yield html_page.table(("module", "with what it imports", "its own"), rows, words=(0,), stacked=True)
    yield html_page.heading("All figures", 3)
    figures = [
        (one.name, figure(one), interval(one), spread(one), str(one.n or ""), one.note or _WHAT[one.name])
        for one in function.measurements
    ]
    yield html_page.table(("metric", "figure", "95 % interval", "\u00b1 %", "n", ""), figures, words=(5,), stacked=True)


def _package(evidence: Evidence) -> Iterator[str]:
    weight = evidence.weight
    if weight is None:
        yield html_page.paragraph("The package was not weighed.", muted=True)
        return
    yield report_blocks.treemap(weight)
    rows = [
        (part.name, part.version or part.kind, part.archive, f"{part.files:,}", megabytes(part.bytes))
        for part in weight.parts[:_PARTS]
    ]
    left = len(weight.parts) - len(rows)
    title = "The parts" if left <= 0 else f"The {_PARTS} heaviest of {len(weight.parts)} parts"
    yield html_page.folded(
        title, [html_page.table(("part", "", "in", "files", "size"), rows, words=(0,), stacked=True)]
    )


def _charts(function: FunctionReport) -> Iterator[str]:
    """What was not measured is said in the drawing's place."""
    evidence, name = function.evidence, function.name
    count = len(evidence.cold)
    caption = f"{count} start{'s' * (count != 1)}, page cache {evidence.page_cache}; each step of the line is one."
    yield _chart(report_charts.cold_starts(evidence), name, "Cold starts", caption)
    caption = f"{len(evidence.warm)} calls that were alone; dots are the median, the 95th and the 99th percentile."
    yield _chart(report_charts.latency(evidence), name, "Latency of warm calls", caption)
    worst = evidence.worst
    which = "" if worst is None or worst.case_id is None else f" (case {worst.case_id})"
    if evidence.timeline:
        caption = f"The event that needed most{which}, sent once more to a new environment."
        yield _chart(report_charts.memory(evidence), name, "Memory over time", caption)
    else:
        caption = f"The peak of each environment after each invocation, no time series; the highest is marked{which}."
        yield _chart(report_charts.memory(evidence), name, "Max Memory Used", caption)
    evaluation = evidence.evaluation
    if evaluation is not None and report_charts.is_numeric(evaluation):
        caption = f"{len(evaluation.scores)} cases that were answered; on the dashed line both are the same."
        yield _chart(report_charts.scatter(evaluation), name, "Golden cases", caption)
    elif evaluation is not None and (matrix := report_blocks.confusion(evaluation)) is not None:
        yield matrix


def _chart(svg: bytes | None, name: str, title: str, caption: str) -> str:
    if svg is None:
        return html_page.paragraph(f"{title}: not measured.", muted=True)
    return html_page.chart(svg, f"{title} of {name}. {caption}", title, caption)


def _golden(evaluation: Evaluation) -> Iterator[str]:
    score = "not defined" if evaluation.score is None else score_interval(evaluation.score)
    yield html_page.heading("Golden dataset", 3)
    told = f"{evaluation.dataset}: {evaluation.cases} cases, {len(evaluation.failures)} without an answer."
    lines = [f"{evaluation.scorer}: {score}", told]
    comparison = evaluation.comparison
    if comparison is not None:
        lines.append(
            f"Against {comparison.reference}: {100 * comparison.agreement:.2f} % of the answers are equal; "
            f"score lost {score_interval(comparison.loss)}, paired."
        )
    yield html_page.paragraph("\n".join(lines))
    if not report_charts.is_numeric(evaluation) and report_blocks.confusion(evaluation) is None:
        yield _confusions(evaluation)
    failed = evaluation.failures[:_CASES]
    if failed:
        rows = [
            (one.case_id, str(one.line), f"{one.error.type}: {one.error.message}", shown(one.event)) for one in failed
        ]
        more = f", the first {_CASES} of {len(evaluation.failures)}" if len(evaluation.failures) > _CASES else ""
        table = html_page.table(("case", "line", "error", "event"), rows, words=(0, 2, 3), stacked=True)
        yield html_page.folded(f"Cases without an answer{more}", [table])


def _confusions(evaluation: Evaluation) -> str:
    """In place of a matrix of too many labels: what was taken for what most often."""
    pairs = Counter((label(one.expected), label(one.answer)) for one in evaluation.scores)
    wrong = [(*pair, str(count)) for pair, count in pairs.most_common() if pair[0] != pair[1]][:_CASES]
    if not wrong:
        return html_page.paragraph("Every answer was the expected one.")
    return html_page.table(("expected", "answered", "cases"), wrong, words=(0, 1))
