"""What the cases of a golden dataset come to: a score and its interval, by scikit-learn and scipy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import ConfigurationError
from emulator.golden.evaluation import Comparison, Score
from emulator.golden.scorers import Scorer, equal, is_number, label, score_case
from emulator.intervals import LEVEL, SEED, Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Indices = NDArray[np.intp]
    Statistic = Callable[[Indices], float]
    """The score of the cases at these places, of which some may come twice."""

FAILED: Final = "\0failed"
"""The answer of a case that has none, where it counts as wrong."""
_RESAMPLES: Final = 1000
_LEAST: Final = 3


def estimate(scorer: Scorer, scores: Sequence[Score], failures: Sequence[Any] = ()) -> Estimate | None:
    """The score of all cases with its 95 % interval; None where there is none: no case, or all answers one number.

    `failures` are what the cases that failed were expected to answer. They count as wrong, but for a correlation.
    """
    if scorer.kind != "correlation":
        scores = [
            *scores,
            *(Score(case_id="", expected=expected, answer=FAILED, value=0.0) for expected in failures),
        ]
    if not scores:
        return None
    if scorer.binary:
        return _proportion(sum(score.value > 0 for score in scores), len(scores))
    statistic, value = _statistic(scorer, scores)
    return None if math.isnan(value) else _resampled(statistic, value, len(scores))


def compare(scorer: Scorer, scores: Sequence[Score], reference: Mapping[str, Any], name: str) -> Comparison:
    """Ours against the reference's answers to the same cases; ConfigurationError where they share none."""
    ours = [score for score in scores if score.case_id in reference]
    if not ours:
        raise ConfigurationError(f"the reference {name} answers none of the cases", hint="Are its ids the dataset's?")
    theirs = [_theirs(scorer, score, reference[score.case_id], name) for score in ours]
    pairs = list(zip(ours, theirs, strict=True))
    apart = [
        (abs(float(our.answer) - float(their.answer)), our.case_id)
        for our, their in pairs
        if is_number(our.answer) and is_number(their.answer)
    ]
    largest = max(apart, key=lambda pair: pair[0]) if len(apart) == len(pairs) else (None, None)
    our_statistic, our_value = _statistic(scorer, ours)
    their_statistic, their_value = _statistic(scorer, theirs)
    # One draw for both: what makes a case hard is then the same on both sides and cancels.
    loss = _resampled(lambda drawn: their_statistic(drawn) - our_statistic(drawn), their_value - our_value, len(pairs))
    return Comparison(
        reference=name,
        n=len(pairs),
        agreement=sum(equal(our.answer, their.answer) for our, their in pairs) / len(pairs),
        largest_difference=largest[0],
        largest_case=largest[1] if largest[0] else None,
        reference_score=their_value,
        loss=loss,
    )


def _theirs(scorer: Scorer, ours: Score, answer: object, name: str) -> Score:
    made = score_case(scorer, ours.case_id, ours.expected, answer)
    if isinstance(made, str):
        raise ConfigurationError(f"{name}: case {ours.case_id}: {made}", hint="Was it written for another answer?")
    return made


def _proportion(right: int, n: int) -> Estimate:
    """Wilson's interval holds near 0 and 1 too, where resampling finds none."""
    from scipy import stats  # noqa: PLC0415 - half a second that only figures need

    found = stats.binomtest(right, n).proportion_ci(LEVEL, method="wilson")
    return Estimate(value=right / n, n=n, low=float(found.low), high=float(found.high), method="wilson")


def _statistic(scorer: Scorer, scores: Sequence[Score]) -> tuple[Statistic, float]:
    """The score as a function of which cases are drawn, and its value for each case once."""
    import numpy as np  # noqa: PLC0415 - see above

    if scorer.kind == "mean":
        values = np.array([score.value for score in scores], dtype=np.float64)
        statistic: Statistic = lambda drawn: float(values[drawn].mean())  # noqa: E731 - one of three
    elif scorer.kind == "f1":
        statistic = _macro_f1([(label(score.expected), label(score.answer)) for score in scores])
    else:
        statistic = _correlation(scorer.name, [(float(one.expected), float(one.answer)) for one in scores])
    return statistic, statistic(np.arange(len(scores)))


def _macro_f1(pairs: Sequence[tuple[str, str]]) -> Statistic:
    """scikit-learn's, over the few different pairs of labels, weighted by how often each was drawn."""
    import numpy as np  # noqa: PLC0415 - see above
    from sklearn.metrics import f1_score  # noqa: PLC0415 - a second that only this needs

    names = sorted({name for pair in pairs for name in pair})
    code = {name: number for number, name in enumerate(names)}
    cells = sorted({(code[expected], code[answer]) for expected, answer in pairs})
    place = {cell: number for number, cell in enumerate(cells)}
    where = np.array([place[code[expected], code[answer]] for expected, answer in pairs])
    expected, answered = np.array(cells, dtype=np.intp).T

    def statistic(drawn: Indices) -> float:
        weights = np.bincount(where[drawn], minlength=len(cells))
        there = weights > 0
        labels = sorted({*expected[there].tolist(), *answered[there].tolist()} - {code.get(FAILED)})
        found = f1_score(
            expected[there],
            answered[there],
            labels=labels,
            sample_weight=weights[there],
            average="macro",
            zero_division=0.0,
        )
        return float(found)

    return statistic


def _correlation(name: str, pairs: Sequence[tuple[float, float]]) -> Statistic:
    """NaN where one side does not vary."""
    import numpy as np  # noqa: PLC0415 - see above
    from scipy import stats  # noqa: PLC0415 - see above

    expected, answered = np.array(pairs, dtype=np.float64).T

    def statistic(drawn: Indices) -> float:
        one, other = expected[drawn], answered[drawn]
        if len(drawn) < _LEAST or np.ptp(one) == 0 or np.ptp(other) == 0:
            return math.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.ConstantInputWarning)
            warnings.simplefilter("ignore", stats.NearConstantInputWarning)
            found = stats.spearmanr(one, other) if name == "spearman" else stats.pearsonr(one, other)
            return float(found.statistic)

    return statistic


def _resampled(statistic: Statistic, value: float, n: int) -> Estimate:
    """With a bootstrap interval over the cases, where there are enough of them."""
    if n < _LEAST or math.isnan(value):
        return Estimate(value=value, n=n)
    import numpy as np  # noqa: PLC0415 - see above
    from scipy import stats  # noqa: PLC0415 - see above

    with warnings.catch_warnings():
        # Draws in which nothing varies have no correlation: they are NaN, and are left out below.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        drawn = stats.bootstrap(
            (np.arange(n),),
            statistic,
            n_resamples=_RESAMPLES,
            confidence_level=LEVEL,
            method="percentile",
            vectorized=False,
            rng=np.random.default_rng(SEED),
        ).bootstrap_distribution
    told = drawn[~np.isnan(drawn)]
    if not len(told):
        return Estimate(value=value, n=n)
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(told, [tail, 100 - tail])
    return Estimate(value=value, n=n, low=float(low), high=float(high), method="bootstrap")
