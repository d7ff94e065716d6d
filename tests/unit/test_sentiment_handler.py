"""The sentiment function without its model: what it accepts, what it refuses and how it shapes an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textmodel.callers import serve
from textmodel.checking import InvalidInput

from handlers.sentiment import app
from tests.fake_model import FakeModel
from tests.unit.test_textmodel import JSON_VALUES

EVENTS = sorted((Path(__file__).parents[2] / "fixtures" / "events").glob("sentiment-*.json"))


def opinion(tokens: list[int]) -> list[float]:
    """The longer the text the better it is."""
    positive = len(tokens) / 300
    return [0.9 - positive, 0.1, positive]


def refusal(event: object) -> str:
    """The message that an event is refused with."""
    with pytest.raises(InvalidInput) as caught:
        app.parse(event)
    return str(caught.value)


def answer(event: object) -> Any:  # noqa: ANN401 - JSON
    """From a fresh model."""
    return app.answer(app.parse(event), FakeModel(opinion))


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (None, "the event is null: expected {"),
        (3.5, "the event is a number: expected {"),
        ("text", "the event is a string: expected {"),
        (["a"], "the event is an array: expected {"),
        ({}, "text is missing: expected {"),
        ({"comment": "a"}, "text is missing: expected {"),
        ({"text": None}, "text is null: expected {"),
        ({"text": True}, "text is a boolean: expected {"),
        ({"text": 3}, "text is a number: expected {"),
        ({"text": ["a"]}, "text is an array: expected {"),
        ({"text": {"text": "a"}}, "text is an object: expected {"),
        ({"text": ""}, "text is empty: it must hold a text"),
        ({"text": " \t\n\u3000"}, "text is empty: it must hold a text"),
        ({"text": " ab\ud83d"}, "text is not valid Unicode: lone surrogate at character 3"),
        ({"text": "a", "texts": ["a"]}, "the event has both texts and text: expected {"),
        ({"texts": None}, "texts is null: expected {"),
        ({"texts": "ab"}, "texts is a string: expected {"),
        ({"texts": {"0": "a"}}, "texts is an object: expected {"),
        ({"texts": []}, "texts has length 0: 1 to 256 texts are answered at once"),
        ({"texts": ["a", 42]}, "texts[1] is a number: expected {"),
        ({"texts": ["a", "  "]}, "texts[1] is empty: it must hold a text"),
        ({"texts": [["a"]]}, "texts[0] is an array: expected {"),
    ],
)
def test_a_bad_event_is_refused_with_the_place_and_what_was_expected(event: object, message: str) -> None:
    """The message starts with the part of the event that is wrong."""
    assert refusal(event).startswith(message)


@pytest.mark.parametrize(("count", "fine"), [(1, True), (255, True), (256, True), (257, False)])
def test_texts_have_a_limit(count: int, *, fine: bool) -> None:
    """The limit itself is still answered."""
    event = {"texts": ["a"] * count}
    if fine:
        assert len(answer(event)["results"]) == count
    else:
        assert refusal(event) == "texts has length 257: 1 to 256 texts are answered at once"


@pytest.mark.parametrize(
    ("probabilities", "label"),
    [([0.6, 0.3, 0.1], "negative"), ([0.2, 0.5, 0.3], "neutral"), ([0.1, 0.2, 0.7], "positive")],
)
def test_the_likeliest_label_is_the_answer(probabilities: list[float], label: str) -> None:
    """In the order of the model's outputs."""
    negative, neutral, positive = probabilities
    scores = {"negative": negative, "neutral": neutral, "positive": positive}
    assert app.answer(app.parse({"text": "a"}), FakeModel(lambda _: probabilities)) == {
        "label": label,
        "scores": scores,
    }


@given(st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), min_size=1, max_size=8))
def test_a_batch_answers_each_text_as_if_alone(texts: list[str]) -> None:
    """The batch form is the single form, repeated."""
    assert answer({"texts": texts})["results"] == [answer({"text": text}) for text in texts]


@pytest.mark.parametrize("text", ["x " * 300, "x" * 5_001])
def test_a_long_text_is_answered_as_far_as_it_was_read(text: str) -> None:
    """And says so, whether tokens or characters were too many; a short one says nothing."""
    assert answer({"text": text})["truncated"] is True
    assert answer({"texts": [text, "short"]})["results"][0]["truncated"] is True
    assert "truncated" not in answer({"texts": [text, "short"]})["results"][1]


@given(JSON_VALUES | st.fixed_dictionaries({"text": JSON_VALUES}) | st.fixed_dictionaries({"texts": JSON_VALUES}))
def test_any_json_is_either_answered_or_refused(event: object) -> None:
    """Nothing that JSON can spell raises anything but InvalidInput."""
    try:
        texts = app.parse(event).texts
    except InvalidInput:
        return
    assert all(text.content.strip() for text in texts)


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_the_fixtures_are_what_their_names_say(path: Path) -> None:
    """Only the events named bad are refused."""
    event = json.loads(path.read_text("utf-8"))
    if "-bad" in path.stem:
        assert refusal(event)
    else:
        assert serve(event, lambda plain: app.answer(app.parse(plain), FakeModel(opinion)))


def test_the_fixtures_cover_every_form() -> None:
    """A plain text, a batch, a request, a queue, and what is refused."""
    names = {path.stem.removeprefix("sentiment-") for path in EVENTS}
    assert names >= {"praise", "batch", "http", "sqs", "bad-empty", "bad-missing", "bad-type"}
