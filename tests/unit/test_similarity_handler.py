"""The similarity function without its model: what it accepts, what it refuses and how it shapes an answer."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.similarity import app

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVENTS = Path(__file__).parents[2] / "fixtures" / "events"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
)


class FakeEncoder:
    """One token a word between [CLS] and [SEP]; the vector is as long as told, at an angle that the text decides."""

    def __init__(self, length: float = 1.0) -> None:
        self.length = length
        self.embedded: Counter[int] = Counter()

    def tokenise(self, content: str) -> list[int]:
        """101, the words' lengths, 102."""
        return [101, *map(len, content.split()), 102]

    def embed(self, tokens: list[int]) -> NDArray[np.float64]:
        """Two numbers."""
        angle = sum(tokens)
        self.embedded[angle] += 1
        return np.array([math.cos(angle), math.sin(angle)]) * self.length


def pair(sentence1: object, sentence2: object = "fine") -> dict[str, object]:
    """An event of the single form."""
    return {"sentence1": sentence1, "sentence2": sentence2}


def refusal(event: object) -> str:
    """The message that an event without a token too many is refused with."""
    with pytest.raises(app.InvalidInput) as caught:
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
        (pair(""), "sentence1 is empty: it must hold a sentence"),
        (pair("a", " \t\n\u3000"), "sentence2 is empty: it must hold a sentence"),
        (pair("ab\ud83d"), "sentence1 is not valid Unicode: lone surrogate at character 2"),
        ({"pairs": [], **pair("a")}, "the event has both pairs and a sentence: expected {"),
        ({"pairs": [["a", "b"]], "sentence2": "a"}, "the event has both pairs and a sentence: expected {"),
        ({"pairs": None}, "pairs is null: expected {"),
        ({"pairs": {"0": ["a", "b"]}}, "pairs is an object: expected {"),
        ({"pairs": "ab"}, "pairs is a string: expected {"),
        ({"pairs": []}, "pairs has length 0: 1 to 256 pairs are answered at once"),
        ({"pairs": [["a", "b"], "ab"]}, "pairs[1] is a string: expected {"),
        ({"pairs": [["a", "b"], {"0": "a"}]}, "pairs[1] is an object: expected {"),
        ({"pairs": [["a", "b"], ["a"]]}, "pairs[1] has length 1: a pair is two sentences"),
        ({"pairs": [["a", "b", "c"]]}, "pairs[0] has length 3: a pair is two sentences"),
        ({"pairs": [["a", "b"], ["a", 1]]}, "pairs[1][1] is a number: expected {"),
        ({"pairs": [["", "b"]]}, "pairs[0][0] is empty: it must hold a sentence"),
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
        assert app.parse(event).pairs


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
    except app.InvalidInput:
        return
    assert all(text.content.strip() for pair in pairs for text in pair)


def test_a_refusal_carries_no_trail_through_our_code() -> None:
    """Lambda sends the traceback to the caller, whom only the message helps."""
    with pytest.raises(app.InvalidInput) as caught:
        app.handler({"pairs": [["a", 1]]}, None)
    assert [entry.name for entry in caught.traceback[1:]] == ["handler"]


def test_unknown_keys_are_ignored() -> None:
    """A caller may send more than the function reads."""
    assert app.parse({**pair("a", "b"), "id": 7}) == app.parse(pair("a", "b"))


@pytest.mark.parametrize(("characters", "fine"), [(49_999, True), (50_000, True), (50_001, False)])
def test_characters_have_a_limit(characters: int, *, fine: bool) -> None:
    """The limit itself is still answered."""
    event = pair("x" * characters)
    if fine:
        assert len(app.parse(event).pairs[0][0].content) == characters
    else:
        assert refusal(event) == "sentence1 has 50001 characters: at most 50000 (and 512 tokens)"


@pytest.mark.parametrize(("count", "fine"), [(1, True), (255, True), (256, True), (257, False)])
def test_pairs_have_a_limit(count: int, *, fine: bool) -> None:
    """The limit itself is still answered."""
    event = {"pairs": [["a", "b"]] * count}
    if fine:
        assert len(app.parse(event).pairs) == count
    else:
        assert refusal(event) == "pairs has length 257: 1 to 256 pairs are answered at once"


@pytest.mark.parametrize(("tokens", "fine"), [(511, True), (512, True), (513, False)])
def test_tokens_have_a_limit(tokens: int, *, fine: bool) -> None:
    """A text of 512 tokens, special ones included, is answered; one more is refused and never cut."""
    request = app.parse(pair("short", "x " * (tokens - 2)))
    if fine:
        assert "similarity" in app.answer(request, FakeEncoder())
    else:
        with pytest.raises(app.InvalidInput, match=r"^sentence2 has 513 tokens: at most 512, \[CLS\] and \[SEP\] incl"):
            app.answer(request, FakeEncoder())


def test_a_text_without_a_single_token_is_empty() -> None:
    """What the tokenizer drops whole, control characters for instance, is refused as empty is."""

    class Deaf(FakeEncoder):
        def tokenise(self, content: str) -> list[int]:
            return [101, 102] if content == "\x00" else super().tokenise(content)

    with pytest.raises(app.InvalidInput, match=r"^pairs\[1\]\[0\] is empty: nothing in it is a letter"):
        app.answer(app.parse({"pairs": [["a", "b"], ["\x00", "b"]]}), Deaf())


def test_a_refused_sentence_is_named_where_it_first_stands() -> None:
    """A repeated sentence is checked once, and its first place is the one to look at."""
    long = "x " * 600
    with pytest.raises(app.InvalidInput, match=r"^pairs\[0\]\[1\] has 602 tokens"):
        app.answer(app.parse({"pairs": [["a", long], [long, "b"]]}), FakeEncoder())


def test_nothing_is_computed_for_an_event_that_is_refused() -> None:
    """A batch with one text too long costs no inference at all."""
    encoder = FakeEncoder()
    with pytest.raises(app.InvalidInput):
        app.answer(app.parse({"pairs": [["a", "b"], ["a", "x " * 600]]}), encoder)
    assert not encoder.embedded


SENTENCES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=8))
def test_a_batch_answers_each_pair_as_if_alone(pairs: list[tuple[str, str]]) -> None:
    """The batch form is the single form, repeated, and computes no sentence twice."""
    batch = FakeEncoder()
    answered: Any = app.answer(app.parse({"pairs": [list(both) for both in pairs]}), batch)
    assert answered["results"] == [app.answer(app.parse(pair(*both)), FakeEncoder()) for both in pairs]
    assert batch.embedded.total() == len({sentence for both in pairs for sentence in both})


@pytest.mark.parametrize(("length", "expected"), [(1.001, 1.0), (1.0, 1.0), (0.5, 0.25)])
def test_rounding_errors_do_not_leave_the_range(length: float, expected: float) -> None:
    """A cosine that floating point puts above 1 is 1."""
    assert app.answer(app.parse(pair("same", "same")), FakeEncoder(length)) == {"similarity": expected}


@pytest.mark.parametrize(
    ("memory_mb", "threads"), [(128, 1), (1768, 1), (1769, 1), (1770, 2), (3538, 2), (3539, 3), (10240, 6)]
)
def test_threads_follow_the_memory_size(memory_mb: int, threads: int) -> None:
    """One thread for each vCPU of the memory size, as Lambda has six at most."""
    assert app.thread_count(memory_mb) == threads
