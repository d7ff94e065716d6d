"""What is JSON for Lambda, and how it says that something is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.serving.event_json import trouble

VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=json_values)
def test_any_json_is_taken(value: object) -> None:
    """Written with escapes and without."""
    assert trouble(json.dumps(value).encode()) is None
    assert trouble(json.dumps(value, ensure_ascii=False).encode()) is None


@given(data=st.binary(max_size=100))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    """What is taken is what Python's own parser takes, but for NaN and its kin."""
    found = trouble(data)
    if found is None:
        json.loads(data.decode("utf-8"))
    else:
        assert "; line: " in found


def test_a_number_of_any_length_is_taken() -> None:
    """What to make of it is the function's business."""
    assert trouble(b"9" * 10_000) is None


@pytest.mark.parametrize(
    ("payload", "sentence", "line", "column"),
    [
        ("nope", f"Unrecognized token 'nope': was expecting {VALUES}", 1, 1),
        ("{} x", f"Unexpected character ('x' (code 120)): expected a valid value {VALUES}", 1, 4),
        ("\u00b7", f"Unexpected character ('\u00b7' (code 183)): expected a valid value {VALUES}", 1, 1),
        ('{"a": }', f"Unexpected character ('}}' (code 125)): expected a valid value {VALUES}", 1, 7),
        ("{a: 1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name", 1, 2),
        (
            '{"a" 1}',
            "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value",
            1,
            6,
        ),
        ("[1\n2]", "Unexpected character ('2' (code 50)): was expecting comma to separate entries", 2, 1),
        ('{"a":', "Unexpected end-of-input", 1, 6),
        ('["a', "Unexpected end-of-input: was expecting closing quote for a string value", 1, 2),
        ("  ", "No content to map due to end-of-input", 1, 3),
        ("[NaN]", f"Unrecognized token 'NaN': was expecting {VALUES}", 1, 2),
        (r'"\x"', "Unrecognized character escape", 1, 2),
    ],
)
def test_the_sentence_and_the_place(payload: str, sentence: str, line: int, column: int) -> None:
    """As Jackson words it; the source is not shown."""
    found = trouble(payload.encode())
    assert found is not None
    first, place = found.split("\n at [Source: REDACTED")
    assert first == sentence
    assert place.endswith(f"; line: {line}, column: {column}]")


def test_a_control_character_in_a_string() -> None:
    """Its number is told, for it cannot be shown."""
    found = trouble(b'"a\nb"')
    assert found is not None
    assert found.startswith("Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash")


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b'"\xff"', "Invalid UTF-8 start byte 0xff"),
        (b'"\xc3\x28"', "Invalid UTF-8 middle byte 0x28"),
        (b'"\xe2\x82', "Unexpected end-of-input in a multi-byte character"),
    ],
)
def test_what_is_not_utf8(payload: bytes, sentence: str) -> None:
    """The byte is named."""
    assert (trouble(payload) or "").startswith(sentence)


def test_endless_nesting() -> None:
    """No parser follows that."""
    assert (trouble(b"[" * 200_000) or "").startswith("Document nesting depth")
