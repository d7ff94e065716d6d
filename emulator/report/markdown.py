"""A report as Markdown (GitHub's), for a CI job's summary or a comment: the verdicts open, the rest folded away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from emulator.gates.verdicts import Verdict
from emulator.golden.evaluation import Evaluation
from emulator.golden.scorers import shown
from emulator.golden.text import interval as score_interval
from emulator.report.base import FunctionReport, Report
from emulator.report.facts import figure, interval, megabytes, run_facts, spread, subtitle
from emulator.report.text import rule_text, summary

_MARKS: Final = {"PASS": "\u2705", "FAIL": "\u274c", "WARN": "\u26a0\ufe0f", "NOT_MEASURED": "\u2754"}
# What CommonMark and GitHub's tables and formulas read as more than text: anywhere, and at the begin of an item.
_ANYWHERE: Final = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
_AT_THE_BEGIN: Final = re.compile(r"^(\d*)([-+](?![^\s-])|[.)](?!\S)|[#>=])")
_PARTS: Final = 10
_CASES: Final = 5  # a job summary is cut at 1 MiB: the other formats have all cases
_LONG: Final = 2000
_NOTHING: Final = "\u2013"  # an empty item below a paragraph would make it a heading


def as_markdown(report: Report) -> bytes:
    """UTF-8; whatever names and messages hold, they stay text and the tables stay whole."""
    lines = [f"## {_MARKS['FAIL' if report.failed else 'PASS']} Lambda Preflight: {escaped(summary(report))}", ""]
    for function in report.functions:
        lines += [*_function_lines(function), ""]
    lines += _folded("Where and how it was measured", _table(("", ""), list(run_facts(report))))
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def escaped(text: str) -> str:
    """One line of text that Markdown and HTML leave as it is."""
    line = " ".join(text.split())
    if len(line) > _LONG:
        line = line[: _LONG - 1] + "\u2026"
    marked = _AT_THE_BEGIN.sub(r"\1\\\2", _ANYWHERE.sub(r"\\\g<0>", line))
    return marked.replace("&", "&amp;").replace("<", "&lt;")


def _function_lines(function: FunctionReport) -> Iterator[str]:
    yield f"### {escaped(function.name)}"
    yield ""
    yield escaped(subtitle(function))
    yield ""
    if function.verdicts:
        rows = [_verdict_row(verdict) for verdict in function.verdicts]
        yield from _table(("verdict", "metric", "figure", "\u00b1 %", "gate"), rows, marks=True)
        yield ""
    for verdict in function.verdicts:
        if verdict.status != "PASS" or verdict.close:
            yield from _verdict_lines(verdict)
    for note in function.notes:
        yield f"- note: {escaped(note)}"
    yield ""
    yield from _details(function)


def _verdict_row(verdict: Verdict) -> tuple[str, ...]:
    measured = verdict.measurement
    word = f"{_MARKS[verdict.status]} {verdict.word}"
    return word, verdict.metric, figure(measured), spread(measured), rule_text(verdict)


def _verdict_lines(verdict: Verdict) -> Iterator[str]:
    yield f"- **{verdict.word} {escaped(verdict.metric)}**: {escaped(verdict.message)}"
    if verdict.status == "PASS":
        return
    if verdict.reason:
        yield f"  - why it matters: {escaped(verdict.reason)}"
    for line in verdict.look_at:
        yield f"  - {escaped(line) or _NOTHING}"


def _details(function: FunctionReport) -> Iterator[str]:
    evidence = function.evidence
    rows = [(one.name, figure(one), interval(one), str(one.n or ""), one.note) for one in function.measurements]
    yield from _folded("All figures", _table(("metric", "figure", "95 % interval", "n", ""), rows))
    if evidence.weight is not None:
        parts = evidence.weight.parts[:_PARTS]
        sizes = [(part.name, part.version or part.kind, part.archive, megabytes(part.bytes)) for part in parts]
        yield from _folded("Heaviest parts of the package", _table(("part", "", "in", "size"), sizes))
    if evidence.evaluation is not None:
        yield from _folded("Golden dataset", _evaluation_lines(evidence.evaluation))
    if evidence.imports:
        imports = [(one.module, f"{one.total_ms:.1f} ms", f"{one.own_ms:.1f} ms") for one in evidence.imports[:_PARTS]]
        yield from _folded("Slowest imports", _table(("module", "with what it imports", "its own"), imports))


def _evaluation_lines(evaluation: Evaluation) -> list[str]:
    score = "not defined" if evaluation.score is None else score_interval(evaluation.score)
    told = f"{evaluation.cases} cases of {evaluation.dataset}, {len(evaluation.failures)} without an answer"
    lines = [f"- {escaped(evaluation.scorer)}: {escaped(score)}", f"- {escaped(told)}"]
    comparison = evaluation.comparison
    if comparison is not None:
        agreement = f"{100 * comparison.agreement:.2f} % of the answers are equal"
        lost = f"score lost {score_interval(comparison.loss)}, paired"
        lines.append(f"- {escaped(f'against {comparison.reference}: {agreement}; {lost}')}")
    for failure in evaluation.failures[:_CASES]:
        error = f"{failure.error.type}: {failure.error.message}".removesuffix(": ")
        where = f"case {failure.case_id} (line {failure.line}) failed: {error}; event {shown(failure.event)}"
        lines.append(f"- {escaped(where)}")
    if len(evaluation.failures) > _CASES:
        lines.append(f"- and {len(evaluation.failures) - _CASES} more failed cases")
    return lines


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, marks: bool = False) -> list[str]:
    """A pipe table; with `marks` the first column is ours and holds no user's text."""
    lines = [f"| {' | '.join(headers)} |", f"|{'---|' * len(headers)}"]
    for row in rows:
        cells = [cell if marks and not place else escaped(cell) for place, cell in enumerate(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]
