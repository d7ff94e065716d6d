"""The golden sets: of the form, size and balance that their guideline states, and apart from everything public."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from handlers.distill.scores import spearman

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "fixtures" / "golden"
PUBLIC = ROOT.parent / "shared" / "data"
LABELS = {"negative", "neutral", "positive"}
HARD = {"negation", "question", "typos", "emoji", "long", "near-duplicate", "antonym", "word-order", "numbers", "plain"}
TAGS = {"sentiment": HARD | {"sarcasm", "mixed", "neutral-statement"}, "similarity": HARD}
KEYS = {"sentiment": {"text"}, "similarity": {"sentence1", "sentence2"}}
LONG = {"sentiment": 60, "similarity": 30}


def read(name: str) -> list[dict[str, Any]]:
    """The cases of one set."""
    lines = (GOLDEN / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [cast("dict[str, Any]", json.loads(line)) for line in lines]


CASES = {name: read(name) for name in TAGS}


def squeeze(text: str) -> str:
    """What two texts share that differ in case, spaces and marks alone; emoji count."""
    return re.sub(r"[\W_]+", "", text.lower()) or text


@pytest.mark.parametrize("name", TAGS)
def test_every_case_has_the_form_that_evaluation_reads(name: str) -> None:
    """Four keys, an event that the handler knows, texts without stray spaces, ids counted from 1: none repeats."""
    for number, case in enumerate(CASES[name], 1):
        assert list(case) == ["id", "event", "expected", "tag"]
        assert case["id"] == f"{name[:3]}-{number:03}"
        assert set(case["event"]) == KEYS[name]
        assert all(text == text.strip() and text and "\n" not in text for text in case["event"].values())


def test_the_sets_are_as_large_as_promised() -> None:
    """At least 300 texts and 200 pairs."""
    assert len(CASES["sentiment"]) >= 300
    assert len(CASES["similarity"]) >= 200


def test_the_three_labels_are_balanced() -> None:
    """Each between 30 and 37 percent, as the guideline says; always guessing one gains nothing."""
    counts = Counter(case["expected"] for case in CASES["sentiment"])
    assert set(counts) == LABELS
    assert all(0.30 <= count / counts.total() <= 0.37 for count in counts.values()), counts


def test_the_grades_are_half_steps_spread_over_the_scale() -> None:
    """0 to 5 divided by 5, and no fifth of the scale with less than 11 percent."""
    grades = [case["expected"] * 5 for case in CASES["similarity"]]
    assert all(0 <= grade <= 5 and math.isclose(grade * 2, round(grade * 2)) for grade in grades)
    fifths = Counter(max(1, math.ceil(round(grade, 6))) for grade in grades)
    assert set(fifths) == {1, 2, 3, 4, 5}
    assert min(fifths.values()) / fifths.total() >= 0.11, fifths


@pytest.mark.parametrize("name", TAGS)
def test_every_hard_kind_is_there_and_in_the_guideline(name: str) -> None:
    """At least twelve cases a tag, or its score would say nothing."""
    counts = Counter(case["tag"] for case in CASES[name])
    guideline = (GOLDEN / "GUIDELINE.md").read_text("utf-8")
    assert set(counts) == TAGS[name]
    assert min(counts.values()) >= 12, counts
    assert all(f"| `{tag}` |" in guideline for tag in counts)


def test_a_tag_does_not_give_the_label_away() -> None:
    """Two labels at least under each tag, but for the one that is named after its label."""
    labels: dict[str, set[str]] = {}
    for case in CASES["sentiment"]:
        labels.setdefault(case["tag"], set()).add(case["expected"])
    assert {tag for tag, found in labels.items() if len(found) == 1} == {"neutral-statement"}


@pytest.mark.parametrize("name", TAGS)
def test_long_cases_are_long(name: str) -> None:
    """In words, by the guideline's table; nothing else is as long as the longest kind."""
    for case in CASES[name]:
        shortest = min(len(text.split()) for text in case["event"].values())
        assert (shortest >= LONG[name]) == (case["tag"] == "long"), case["id"]


@pytest.mark.parametrize("name", TAGS)
def test_no_case_is_there_twice(name: str) -> None:
    """Nor with other capitals or marks, nor a pair turned round."""

    def key(text: str) -> str:
        return squeeze(text) if name == "sentiment" else text

    seen = Counter(tuple(sorted(map(key, case["event"].values()))) for case in CASES[name])
    assert [texts for texts, count in seen.items() if count > 1] == []


def test_what_the_review_names_exists() -> None:
    """An id in the record of the review is one of a case."""
    named = set(re.findall(r"\bs(?:en|im)-\d{3}\b", (GOLDEN / "GUIDELINE.md").read_text("utf-8")))
    assert named <= {case["id"] for cases in CASES.values() for case in cases}
    assert len(named) > 20


def test_a_second_reader_agrees() -> None:
    """Who graded from the texts alone: each label the same, and once settled no grade further away than half a one."""
    second = json.loads((GOLDEN / "second-reading.json").read_text("utf-8"))
    grades = {name: {case["id"]: case["expected"] for case in cases} for name, cases in CASES.items()}
    assert {name: set(found) for name, found in second.items()} == {name: set(found) for name, found in grades.items()}
    assert second["sentiment"] == grades["sentiment"]
    similarity = grades["similarity"]
    far = [each for each, grade in second["similarity"].items() if abs(grade - similarity[each]) > 0.1 + 1e-9]
    assert far == []
    assert spearman(list(similarity.values()), [second["similarity"][each] for each in similarity]) > 0.97


def public_lines() -> Iterator[str]:
    """Every cell of every public data file that lies beside the repository."""
    for path in sorted(PUBLIC.glob("*/*")):
        if path.suffix in {".tsv", ".csv"} or path.stem.endswith("_text"):
            for line in path.read_text("utf-8", "replace").splitlines():
                yield from line.split("\t")


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public sets lie beside the repository on some machines")
def test_no_case_stands_in_a_public_set() -> None:
    """What a model may have been trained on does not test it."""
    ours = {squeeze(text): case["id"] for cases in CASES.values() for case in cases for text in case["event"].values()}
    public = {squeeze(line) for line in public_lines()}
    assert {ours[text] for text in public & set(ours)} == set()
    assert len(public) > 100_000
