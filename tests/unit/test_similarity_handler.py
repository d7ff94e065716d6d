"""The similarity function without its model: what it accepts, what it refuses and how it shapes an answer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textmodel.callers import serve
from textmodel.checking import InvalidInput

from handlers.similarity import app
from tests.fake_model import FakeModel
from tests.unit.test_textmodel import JSON_VALUES

EVENTS = Path(__file__).parents[2] / "fixtures" / "events"


def at_angle(length: float = 1.0) -> FakeModel:
    """Two numbers: a vector as long as told, at an angle that the text decides."""
    return FakeModel(lambda tokens: [math.cos(sum(tokens)) * length, math.sin(sum(tokens)) * length])


def pair(sentence1: object, sentence2: object = "fine") -> dict[str, object]:
    """An event of the single form."""
    return {"sentence1": sentence1, "sentence2": sentence2}


def refusal(event: object) -> str:
    """The message that an event is refused with."""
    with pytest.raises(InvalidInput) as caught:
        app.parse(event)
    return str(caught.value)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (None, "the event is null: expected {"),
        (3.5, "the event is a number: expected {"),
        (True, "the event is a boolean: expected {"),
        ("text", "the event is a string: expected {"),
        ([["a", "b"]], "the event is an array: expected {"),
        ({}, "sentence1 is missing: expected {"),
        ({"sentence1": "a"}, "sentence2 is missing: expected {"),
        ({"sentence2": "a"}, "sentence1 is missing: expected {"),
        ({"text": "a"}, "sentence1 is missing: expected {"),
        (pair(None), "sentence1 is null: expected {"),
        (pair("a", math.nan), "sentence2 is a number: expected {"),
        (pair(["a"]), "sentence1 is an array: expected {"),
        (pair({"text": "a"}), "sentence1 is an object: expected {"),
        (pair(""), "sentence1 is empty: it must hold a text"),
        (pair("a", " \t\n\u3000"), "sentence2 is empty: it must hold a text"),
        (pair("ab\ud83d"), "sentence1 is not valid Unicode: lone surrogate at character 2"),
        ({"pairs": [], **pair("a")}, "the event has both pairs and sentence1: expected {"),
        ({"pairs": [["a", "b"]], "sentence2": "a"}, "the event has both pairs and sentence2: expected {"),
        ({"pairs": None}, "pairs is null: expected {"),
        ({"pairs": {"0": ["a", "b"]}}, "pairs is an object: expected {"),
        ({"pairs": "ab"}, "pairs is a string: expected {"),
        ({"pairs": []}, "pairs has length 0: 1 to 256 pairs are answered at once"),
        ({"pairs": [["a", "b"], "ab"]}, "pairs[1] is a string: expected {"),
        ({"pairs": [["a", "b"], {"0": "a"}]}, "pairs[1] is an object: expected {"),
        ({"pairs": [["a", "b"], ["a"]]}, "pairs[1] has length 1: a pair is two sentences"),
        ({"pairs": [["a", "b", "c"]]}, "pairs[0] has length 3: a pair is two sentences"),
        ({"pairs": [["a", "b"], ["a", 1]]}, "pairs[1][1] is a number: expected {"),
        ({"pairs": [["", "b"]]}, "pairs[0][0] is empty: it must hold a text"),
    ],
)
def test_a_bad_event_is_refused_with_the_place_and_what_was_expected(event: object, message: str) -> None:
    """The message starts with the part of the event that is wrong."""
    assert refusal(event).startswith(message)


@pytest.mark.parametrize("path", sorted(EVENTS.glob("similarity-*.json")), ids=lambda path: path.stem)
def test_the_fixtures_are_what_their_names_say(path: Path) -> None:
    """Only the events named bad are refused."""
    event = json.loads(path.read_text("utf-8"))
    if "-bad" in path.stem:
        assert refusal(event)
    else:
        assert serve(event, lambda plain: app.answer(app.parse(plain), at_angle()))


def test_the_fixtures_cover_both_forms_and_refusals() -> None:
    """At least two single pairs, one batch and one bad event."""
    events = {path.stem: json.loads(path.read_text("utf-8")) for path in EVENTS.glob("similarity-*.json")}
    good = [event for name, event in events.items() if "-bad" not in name]
    assert sum("sentence1" in event for event in good) >= 2
    assert sum("pairs" in event for event in good) >= 1
    assert len(good) < len(events)


@given(JSON_VALUES | st.fixed_dictionaries({"pairs": JSON_VALUES}) | st.builds(pair, JSON_VALUES, JSON_VALUES))
def test_any_json_is_either_answered_or_refused(event: object) -> None:
    """Nothing that JSON can spell raises anything but InvalidInput."""
    try:
        pairs = app.parse(event).pairs
    except InvalidInput:
        return
    assert all(text.content.strip() for pair in pairs for text in pair)


def test_a_refusal_carries_no_trail_through_our_code() -> None:
    """Lambda sends the traceback to the caller, whom only the message helps."""
    with pytest.raises(InvalidInput) as caught:
        app.handler({"pairs": [["a", 1]]}, None)
    assert [entry.name for entry in caught.traceback[1:]] == ["handler", "serve"]


def test_unknown_keys_are_ignored() -> None:
    """A caller may send more than the function reads."""
    assert app.parse({**pair("a", "b"), "id": 7}) == app.parse(pair("a", "b"))


@pytest.mark.parametrize(("count", "fine"), [(1, True), (255, True), (256, True), (257, False)])
def test_pairs_have_a_limit(count: int, *, fine: bool) -> None:
    """The limit itself is still answered."""
    event = {"pairs": [["a", "b"]] * count}
    if fine:
        assert len(app.parse(event).pairs) == count
    else:
        assert refusal(event) == "pairs has length 257: 1 to 256 pairs are answered at once"


@pytest.mark.parametrize("sentence", ["x " * 300, "x" * 5_001])
def test_a_long_sentence_is_answered_as_far_as_it_was_read(sentence: str) -> None:
    """And its pair says so, on whichever side it stands; another pair says nothing."""
    for long in (pair(sentence, "short"), pair("short", sentence)):
        assert app.answer(app.parse(long), at_angle())["truncated"] is True
    answered: Any = app.answer(app.parse({"pairs": [["a", "b"], [sentence, "b"]]}), at_angle())
    assert ["truncated" in result for result in answered["results"]] == [False, True]


def test_nothing_is_computed_for_an_event_that_is_refused() -> None:
    """A batch with one text that is empty to the tokenizer costs no inference at all."""
    model = at_angle()
    with pytest.raises(InvalidInput, match=r"^pairs\[1\]\[1\] is empty: nothing in it is a letter"):
        app.answer(app.parse({"pairs": [["a", "b"], ["a", "\x00"]]}), model)
    assert not model.runs


SENTENCES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=8))
def test_a_batch_answers_each_pair_as_if_alone(pairs: list[tuple[str, str]]) -> None:
    """The batch form is the single form, repeated, and computes no sentence twice."""
    batch = at_angle()
    answered: Any = app.answer(app.parse({"pairs": [list(both) for both in pairs]}), batch)
    assert answered["results"] == [app.answer(app.parse(pair(*both)), at_angle()) for both in pairs]
    assert batch.runs.total() == len({sentence for both in pairs for sentence in both})


@pytest.mark.parametrize("length", [1.001, 1.0, 0.5])
def test_rounding_errors_do_not_leave_the_range(length: float) -> None:
    """A sentence is exactly like itself, whatever the length of its vector."""
    assert app.answer(app.parse(pair("same", "same")), at_angle(length)) == {"similarity": 1.0}
