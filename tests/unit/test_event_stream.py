"""Event stream messages, decoded again by the SDK's own reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from emulator.serving.event_stream import encode, invoke_complete, payload_chunks

NAME = st.text(min_size=1, max_size=60)
VALUE = st.text(max_size=200)


def decoded(data: bytes, step: int | None = None) -> list[Any]:
    """The messages that botocore finds, fed so many bytes at a time."""
    buffer, found = EventStreamBuffer(), []
    for begin in range(0, len(data), step or len(data) or 1):
        buffer.add_data(data[begin : begin + (step or len(data))])
        found.extend(buffer)
    return found


@given(headers=st.dictionaries(NAME, VALUE, max_size=5), payload=st.binary(max_size=300), step=st.integers(1, 400))
def test_round_trip(headers: dict[str, str], payload: bytes, step: int) -> None:
    """Any headers, any bytes, two messages in a row, however they are cut."""
    messages = decoded(encode(headers, payload) + encode({}, b""), step)
    assert [(message.headers, message.payload) for message in messages] == [(headers, payload), ({}, b"")]


@given(payload=st.binary(min_size=1, max_size=50), at=st.integers(0))
def test_a_bit_that_fell_over_is_noticed(payload: bytes, at: int) -> None:
    """The checksums are over everything that matters."""
    data = bytearray(encode({"a": "b"}, payload))
    place = 12 + at % (len(data) - 16)  # behind the lengths: a wrong one may only make the reader wait
    data[place] ^= 1
    with pytest.raises(ChecksumMismatch):
        decoded(bytes(data))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 6 * 1024 * 1024])
def test_payload_chunks(size: int) -> None:
    """Together they are the payload; none is empty."""
    payload = (b"0123456789" * (size // 10 + 1))[:size]
    messages = decoded(b"".join(payload_chunks(payload)))
    assert b"".join(message.payload for message in messages) == payload
    assert all(message.payload for message in messages)
    assert {message.headers[":event-type"] for message in messages} <= {"PayloadChunk"}


def test_invoke_complete() -> None:
    """With the members that there are."""
    [plain] = decoded(invoke_complete())
    assert (plain.headers[":event-type"], plain.headers[":message-type"]) == ("InvokeComplete", "event")
    assert json.loads(plain.payload) == {}
    [full] = decoded(invoke_complete(error_code="Unhandled", error_details="\u20ac", log_result="bG9n"))
    assert json.loads(full.payload) == {"ErrorCode": "Unhandled", "ErrorDetails": "\u20ac", "LogResult": "bG9n"}
