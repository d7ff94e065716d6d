"""Scores and their intervals, held to scikit-learn and scipy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from emulator.errors import ConfigurationError
from emulator.golden import scoring
from emulator.golden.evaluation import Score
from emulator.golden.scorers import NAMES, canonical, equal, find, is_number, label, score_case, shown
from emulator.golden.scoring import compare, estimate

LABELS = ("negative", "neutral", "positive")
HERE = Path()


@pytest.fixture(autouse=True, scope="module")
def _few_draws() -> Iterator[None]:
    """Intervals need not be fine here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_RESAMPLES", 60)
        yield


def scores(name: str, pairs: list[tuple[object, object]]) -> list[Score]:
    """Every pair scored."""
    scorer = find(name, HERE)
    made = [score_case(scorer, str(number), *pair) for number, pair in enumerate(pairs)]
    return [one for one in made if isinstance(one, Score)]


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from((*LABELS, "other"))), min_size=1, max_size=30))
@settings(max_examples=15, deadline=None)
def test_macro_f1_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    """Of the answers as they are, not of our cells."""
    expected, answered = zip(*pairs, strict=True)
    found = estimate(find("macro_f1", HERE), scores("macro_f1", list(pairs)))
    assert found is not None
    assert found.value == pytest.approx(f1_score(expected, answered, average="macro", zero_division=0.0))
    assert found.low is None or found.low <= found.value + 1e-9 or found.low <= (found.high or 0)


def test_a_failed_case_counts_as_wrong() -> None:
    """But its missing answer is no class of its own."""
    good: list[tuple[object, object]] = [("a", "a"), ("b", "b")]
    for name, value in (("accuracy", 2 / 4), ("macro_f1", 2 / 3)):
        found = estimate(find(name, HERE), scores(name, good), ["a", "b"])
        assert found is not None
        assert found.value == pytest.approx(value)
        assert found.n == 4


@pytest.mark.parametrize("name", ["spearman", "pearson"])
def test_correlations_are_scipys(name: str) -> None:
    """With an interval around them."""
    numbers = [number / 30 for number in range(30)]
    answers = [(number * 7 % 11) / 11 + number / 20 for number in range(30)]
    found = estimate(find(name, HERE), scores(name, list(zip(numbers, answers, strict=True))))
    expected = stats.spearmanr(numbers, answers) if name == "spearman" else stats.pearsonr(numbers, answers)
    assert found is not None
    assert found.value == pytest.approx(expected.statistic)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


@pytest.mark.parametrize("pairs", [[], [(0.1, 0.5), (0.2, 0.5), (0.3, 0.5)], [(0.1, 0.2), (0.2, 0.3)]])
def test_a_correlation_that_is_not_defined(pairs: list[tuple[object, object]]) -> None:
    """None, and no warning: a constant answer, too few cases, none."""
    assert estimate(find("pearson", HERE), scores("pearson", pairs)) is None


@pytest.mark.parametrize(("right", "n"), [(0, 20), (20, 20), (19, 20)])
def test_a_proportion_has_wilsons_interval(right: int, n: int) -> None:
    """It has a width where all are right: 20 of 20 is no proof of perfection."""
    pairs: list[tuple[object, object]] = [("a", "a" if number < right else "b") for number in range(n)]
    found = estimate(find("accuracy", HERE), scores("accuracy", pairs))
    assert found is not None
    assert found.value == right / n
    assert found.low is not None
    assert found.high is not None
    assert 0.0 <= found.low < found.high <= 1.0
    assert found.high - found.low > 0.1


def test_a_paired_interval_is_much_narrower() -> None:
    """Two models that err on the same cases: the difference is known ten times better than the scores."""
    expected = ["a" if number % 3 else "b" for number in range(600)]
    theirs = [one if number % 5 else "b" for number, one in enumerate(expected)]
    ours = ["b" if number in {7, 307} else one for number, one in enumerate(theirs)]
    scorer = find("accuracy", HERE)
    mine = scores("accuracy", list(zip(expected, ours, strict=True)))
    found = compare(scorer, mine, {str(number): one for number, one in enumerate(theirs)}, "fp32")
    alone = estimate(scorer, mine)
    assert alone is not None
    assert found.loss.value == pytest.approx(2 / 600)
    assert found.agreement == pytest.approx(598 / 600)
    assert found.largest_difference is None
    assert None not in (alone.low, alone.high, found.loss.low, found.loss.high)
    paired = (found.loss.high or 0) - (found.loss.low or 0)
    assert paired < ((alone.high or 0) - (alone.low or 0)) / 5


def test_numbers_are_compared_by_their_distance() -> None:
    """And the case with the largest is named."""
    pairs: list[tuple[object, object]] = [(0.1, 0.1), (0.5, 0.4), (0.9, 0.8), (0.2, 0.3)]
    found = compare(find("spearman", HERE), scores("spearman", pairs), {"0": 0.1, "1": 0.7, "2": 0.8, "9": 1}, "fp32")
    assert (found.n, found.largest_case) == (3, "1")
    assert found.largest_difference == pytest.approx(0.3)
    assert found.agreement == pytest.approx(2 / 3)


def test_the_same_answers_lose_nothing() -> None:
    """No case is the most different one."""
    pairs: list[tuple[object, object]] = [(0.1, 0.1), (0.5, 0.4), (0.9, 0.8)]
    same = {str(number): answer for number, (_, answer) in enumerate(pairs)}
    found = compare(find("pearson", HERE), scores("pearson", pairs), same, "fp32")
    assert (found.loss.value, found.largest_difference, found.largest_case) == (0.0, 0.0, None)


@pytest.mark.parametrize("reference", [{"x": 1}, {"0": "text"}])
def test_a_reference_for_something_else(reference: dict[str, object]) -> None:
    """None of the cases, or another kind of answer."""
    with pytest.raises(ConfigurationError, match="fp32"):
        compare(find("pearson", HERE), scores("pearson", [(0.1, 0.2)]), reference, "fp32")


@pytest.mark.parametrize(("name", "near"), [("acuracy", "accuracy"), ("f1_macro", "macro_f1"), ("zzz", "exact")])
def test_unknown_scorer(name: str, near: str) -> None:
    """The nearest is offered, else all."""
    with pytest.raises(ConfigurationError, match="no scorer") as refused:
        find(name, HERE)
    assert near in (refused.value.hint or "")


def test_a_custom_scorer(tmp_path: Path) -> None:
    """Found beside the settings; its figure is the mean."""
    (tmp_path / "half_right.py").write_text("def score(expected, answer):\n    return 0.5 * (expected == answer)\n")
    scorer = find("half_right:score", tmp_path)
    made = [score_case(scorer, str(number), 1, number % 2) for number in range(4)]
    found = estimate(scorer, [one for one in made if isinstance(one, Score)])
    assert found is not None
    assert found.value == 0.25


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_module_at_all:f", "ModuleNotFoundError"),
        ("scorer_of_ours:missing", "AttributeError"),
        ("scorer_of_ours:raises", "KeyError"),
        ("scorer_of_ours:text", "ValueError"),
        ("scorer_of_ours:endless", "inf"),
    ],
)
def test_a_custom_scorer_that_does_not_score(tmp_path: Path, name: str, says: str) -> None:
    """One message that names it and what it did."""
    (tmp_path / "scorer_of_ours.py").write_text(
        "def raises(e, a):\n    raise KeyError('x')\ndef text(e, a):\n    return 'x'\n"
        "def endless(e, a):\n    return 1e999\n"
    )
    with pytest.raises(ConfigurationError, match=name) as refused:
        score_case(find(name, tmp_path), "1", 1, 2)
    assert says in refused.value.message
    assert refused.value.hint


def test_numbers_where_numbers_are_needed() -> None:
    """A dataset of words is the user's mistake; an answer of words is the function's."""
    scorer = find("spearman", HERE)
    with pytest.raises(ConfigurationError, match="case 1"):
        score_case(scorer, "1", "a", 0.5)
    assert score_case(scorer, "1", 0.5, "a") == 'the answer "a" is not a number'


def test_equality_is_that_of_json() -> None:
    """1 is 1.0, true is not, and the order of keys says nothing."""
    assert equal(1, 1.0)
    assert not equal(1, True)  # noqa: FBT003 - a JSON value
    assert not equal(0, None)
    assert equal({"a": [1, 2.0], "b": None}, {"b": None, "a": [1.0, 2]})
    assert not equal("1", 1)


@given(st.floats() | st.integers() | st.booleans() | st.none() | st.text())
def test_texts_of_values(value: object) -> None:
    """A label of a string is itself; what is shown is short; only finite numbers are numbers."""
    assert label(value) == value if isinstance(value, str) else label(value) == canonical(value)
    assert len(shown(value)) <= 80
    assert not is_number(True)  # noqa: FBT003 - a JSON value
    assert not is_number(float("nan"))


def test_every_scorer_is_found() -> None:
    """By the name that the contract gives it."""
    assert {find(name, HERE).name for name in NAMES} == {"accuracy", "macro_f1", "spearman", "pearson", "exact"}
