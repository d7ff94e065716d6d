"""What a telemetry subscription may ask for, and when events are due."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.telemetry import Buffer, Subscription, Unacceptable, subscription

GOOD: dict[str, Any] = {
    "schemaVersion": "2022-07-01",
    "types": ["platform"],
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/a?b=c"},
}


def asked(**changes: object) -> Subscription:
    """A good body with these changes."""
    return subscription(json.dumps({**GOOD, **changes}).encode())


def test_defaults() -> None:
    """10,000 events, 256 KB, a second."""
    wanted = asked()
    assert (wanted.port, wanted.target, wanted.types) == (8080, "/a?b=c", ("platform",))
    assert (wanted.max_items, wanted.max_bytes, wanted.timeout_s) == (10_000, 262_144, 1.0)


@pytest.mark.parametrize(
    ("name", "least", "most"), [("maxItems", 1000, 10_000), ("maxBytes", 262_144, 1_048_576), ("timeoutMs", 25, 30_000)]
)
def test_limits_of_buffering(name: str, least: int, most: int) -> None:
    """At the limits, and one beyond."""
    asked(buffering={name: least})
    asked(buffering={name: most})
    for value in (least - 1, most + 1, "1000"):
        with pytest.raises(Unacceptable, match=name):
            asked(buffering={name: value})


def test_all_that_is_wrong_is_told() -> None:
    """As in the documentation's example."""
    destination = {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}
    with pytest.raises(Unacceptable, match="URI port is not provided; types should not be empty"):
        asked(types=[], destination=destination)


@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_any_body(body: bytes) -> None:
    """Refused, never a fault of ours."""
    with pytest.raises(Unacceptable):
        subscription(body)


@given(st.lists(st.binary(min_size=1, max_size=300_000), max_size=8))
def test_nothing_is_lost_or_reordered(events: list[bytes]) -> None:
    """What could not be delivered comes again, in its order, and no batch is too large unless one event is."""
    buffer = Buffer(asked())
    for event in events:
        buffer.add(event, 0.0)
    got: list[bytes] = []
    failed = False
    while buffer.wait_s(100.0) is not None:
        batch = buffer.take(0.0)
        assert len(batch) == 1 or sum(map(len, batch)) <= 262_144
        failed = not failed
        if failed:
            buffer.give_back(batch, 0.0)
        else:
            got += batch
    assert got == events
    assert buffer.dropped == 0
