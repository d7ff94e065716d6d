"""What a telemetry subscription may ask for, and when events are due."""

from __future__ import annotations

import json
import re
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
    """1,000 events, 256 KB, a second."""
    wanted = asked()
    assert (wanted.protocol, wanted.port, wanted.target, wanted.types) == ("HTTP", 8080, "/a?b=c", ("platform",))
    assert (wanted.max_items, wanted.max_bytes, wanted.timeout_s) == (1000, 262_144, 1.0)


@pytest.mark.parametrize(
    ("name", "least", "most"), [("maxItems", 1000, 10_000), ("maxBytes", 262_144, 1_048_576), ("timeoutMs", 25, 30_000)]
)
def test_limits_of_buffering(name: str, least: int, most: int) -> None:
    """At the limits and one within them, and one beyond."""
    for allowed in (least, least + 1, most - 1, most):
        asked(buffering={name: allowed})
    for value in (least - 1, most + 1, "1000"):
        with pytest.raises(Unacceptable, match=name):
            asked(buffering={name: value})


def test_all_that_is_wrong_is_told() -> None:
    """As in the documentation's example."""
    destination = {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}
    with pytest.raises(Unacceptable, match="URI port is not provided; types should not be empty"):
        asked(types=[], destination=destination)


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ({"protocol": "TCP"}, "port is not provided"),
        ({"protocol": "TCP", "port": 0}, "port should be between 1 and 65535"),
        ({"protocol": "TCP", "port": 65_536}, "port should be between 1 and 65535"),
        ({"protocol": "TCP", "port": True}, "port should be between 1 and 65535"),
        ({"protocol": "TCP", "port": "8080"}, "port should be between 1 and 65535"),
        ({"protocol": "TCP", "port": 9001}, "port 9001 is reserved"),
        ({"protocol": "UDP", "port": 8080}, "protocol should be HTTP or TCP"),
        ({"protocol": "HTTP", "URI": "http://sandbox:9001"}, "URI port 9001 is reserved"),
        ({"protocol": "HTTP", "URI": "http://example.com:80"}, "URI should be http://sandbox.localdomain:PORT"),
        ({"protocol": "HTTP", "URI": "http://[:80"}, "URI is not valid"),
        ("TCP", "protocol should be HTTP or TCP"),
    ],
)
def test_destinations_that_are_refused(destination: object, why: str) -> None:
    """Named in the refusal."""
    with pytest.raises(Unacceptable, match=re.escape(why)):
        asked(destination=destination)


@pytest.mark.parametrize("port", [1, 2, 9000, 9002, 65_534, 65_535])
def test_a_tcp_destination(port: int) -> None:
    """A port is all there is to it."""
    wanted = asked(destination={"protocol": "TCP", "port": port})
    assert (wanted.protocol, wanted.port) == ("TCP", port)


@pytest.mark.parametrize(("count", "wait"), [(999, 1.0), (1000, 0.0), (1001, 0.0)])
def test_a_batch_is_due_at_its_number(count: int, wait: float) -> None:
    """`maxItems`; what is more goes into the next one."""
    buffer = Buffer(asked())
    for _ in range(count):
        buffer.add(b"{}", 5.0)
    assert buffer.wait_s(5.0) == wait
    assert len(buffer.take(5.0)) == min(count, 1000)
    assert (buffer.wait_s(5.0) is None) == (count <= 1000)


@pytest.mark.parametrize(("size", "wait"), [(262_143, 1.0), (262_144, 0.0), (262_145, 0.0)])
def test_a_batch_is_due_at_its_size(size: int, wait: float) -> None:
    """`maxBytes`."""
    buffer = Buffer(asked())
    buffer.add(b"x" * 100, 5.0)
    buffer.add(b"x" * (size - 100), 5.0)
    assert buffer.wait_s(5.0) == wait
    assert len(buffer.take(5.0)) == (2 if size <= 262_144 else 1)


@pytest.mark.parametrize(("now", "wait"), [(5.0, 0.025), (5.024, 0.001), (5.025, 0.0), (5.026, 0.0)])
def test_a_batch_is_due_at_its_time(now: float, wait: float) -> None:
    """`timeoutMs`, from its first event on; at once where there is hurry."""
    buffer = Buffer(asked(buffering={"timeoutMs": 25}))
    assert buffer.wait_s(5.0) is None
    buffer.add(b"1", 5.0)
    buffer.add(b"2", 5.02)
    assert buffer.wait_s(now) == pytest.approx(wait)
    buffer.hurry()
    assert buffer.wait_s(5.0) == 0


@pytest.mark.parametrize(("count", "dropped"), [(9_999, 0), (10_000, 0), (10_001, 1)])
def test_what_nobody_takes_is_dropped(count: int, dropped: int) -> None:
    """Beyond ten batches; how many and how large is known."""
    buffer = Buffer(asked())
    for _ in range(count):
        buffer.add(b"{}", 0.0)
    assert (buffer.dropped, buffer.dropped_bytes) == (dropped, 2 * dropped)


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
