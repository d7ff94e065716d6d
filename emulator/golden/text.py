"""An evaluation for a person: lines of at most 78 columns, so that they can be indented, readable without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from emulator.golden.evaluation import Comparison, Evaluation, Failure
from emulator.golden.scorers import shown
from emulator.intervals import Estimate

_WIDTH: Final = 78
_FAILURES: Final = 5


def evaluation_lines(evaluation: Evaluation, *, cpu_flags: bool = True) -> Iterator[str]:
    """The score, the comparison, the first failed cases and how it was run."""
    done = evaluation.cases - len(evaluation.failures)
    score = "not defined: every answer is the same, or there is none"
    if evaluation.score is not None:
        score = interval(evaluation.score)
    yield f"{evaluation.scorer:<12} {score}"
    yield f"{'cases':<12} {evaluation.cases} ({done} answered, {len(evaluation.failures)} failed)"
    if evaluation.comparison is not None:
        yield from _comparison_lines(evaluation.comparison)
    rate = "" if evaluation.rate is None else f", {evaluation.rate:.1f} cases/s"
    resumed = f", {evaluation.resumed} from an interrupted run" if evaluation.resumed else ""
    number = evaluation.environments
    yield f"{'run':<12} {number} environment{'s' * (number > 1)}{rate}{resumed}"
    yield from folded(f"{'dataset':<12} ", f"{evaluation.dataset} (sha256 {evaluation.sha256[:12]})")
    if cpu_flags and evaluation.cpu_flags:
        yield from folded(f"{'CPU flags':<12} ", " ".join(evaluation.cpu_flags))
    for failure in evaluation.failures[:_FAILURES]:
        yield from _failure_lines(failure)
    if len(evaluation.failures) > _FAILURES:
        yield f"… and {len(evaluation.failures) - _FAILURES} more failed cases (--json has them all)"


def interval(estimate: Estimate) -> str:
    """`0.8123 (95 %: 0.7801 to 0.8392, n = 512)`."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4f} (n = {estimate.n})"
    return f"{estimate.value:.4f} (95 %: {estimate.low:.4f} to {estimate.high:.4f}, n = {estimate.n})"


def folded(label: str, text: str, width: int = _WIDTH) -> list[str]:
    """The text behind its label, further lines below it."""
    return textwrap.wrap(
        text, width, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False
    ) or [label.rstrip()]


def _comparison_lines(comparison: Comparison) -> Iterator[str]:
    yield f"{'reference':<12} {comparison.reference}: {comparison.reference_score:.4f} on {comparison.n} cases"
    yield f"{'agreement':<12} {100 * comparison.agreement:.2f} % of the answers are equal"
    if comparison.largest_difference is not None:
        yield from folded(
            f"{'difference':<12} ",
            f"at most {comparison.largest_difference:.6g} (case {comparison.largest_case})"
            if comparison.largest_case
            else "none between any two answers",
        )
    yield from folded(f"{'score lost':<12} ", f"{interval(comparison.loss)}, paired")


def _failure_lines(failure: Failure) -> Iterator[str]:
    error = f"{failure.error.type}: {failure.error.message}".removesuffix(": ")
    yield from folded("  ", f"case {failure.case_id} (line {failure.line}) failed: {error}")
    yield from folded("    ", f"event {shown(failure.event)}")
