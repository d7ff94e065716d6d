"""What a text must be to be answered, and the one exception that says why it is not."""

from __future__ import annotations

from typing import NamedTuple

MAX_CHARACTERS = 5_000
"""Longer texts are cut here before they are tokenised: 6 million characters took 1.7 GB and 12 s (tokenizers 0.23).

Four times what 256 tokens of English prose have."""

JSON_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


class InvalidInput(ValueError):
    """The event is not one that this function answers; the message names the part and what was expected of it."""


class Text(NamedTuple):
    """One text and where it stood in the event, for messages; `cut` if characters were left out."""

    place: str
    content: str
    cut: bool = False


def name_of(value: object) -> str:
    """A value's type as a writer of JSON calls it."""
    return JSON_NAMES.get(type(value), "not JSON")


def check_text(place: str, value: object, expected: str) -> Text:
    """One text without the white space around it, or InvalidInput that says what is wrong at `place`."""
    if not isinstance(value, str):
        raise InvalidInput(f"{place} is {name_of(value)}: {expected}")
    stripped = value.strip()
    if not stripped:
        raise InvalidInput(f"{place} is empty: it must hold a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair, and no tokenizer can read it
        raise InvalidInput(f"{place} is not valid Unicode: lone surrogate at character {error.start}") from None
    return Text(place, stripped[:MAX_CHARACTERS], len(stripped) > MAX_CHARACTERS)


def check_batch(place: str, value: object, limit: int, expected: str) -> list[object]:
    """A list of 1 to `limit` elements; they are not looked at."""
    if not isinstance(value, list):
        raise InvalidInput(f"{place} is {name_of(value)}: {expected}")
    if not 1 <= len(value) <= limit:
        raise InvalidInput(f"{place} has length {len(value)}: 1 to {limit} {place} are answered at once")
    return value


def check_keys(event: object, single: tuple[str, ...], batch: str, expected: str) -> dict[str, object]:
    """The event, if it has either all keys of the single form or the one of the batch form."""
    if not isinstance(event, dict):
        raise InvalidInput(f"the event is {name_of(event)}: {expected}")
    present = [key for key in single if key in event]
    if batch in event and present:
        raise InvalidInput(f"the event has both {batch} and {present[0]}: {expected}")
    for key in single:
        if batch not in event and key not in event:
            raise InvalidInput(f"{key} is missing: {expected}")
    return event
