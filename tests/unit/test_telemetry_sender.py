"""Delivery of telemetry over a carrier that the test plays: order, repetition, pauses, the end."""

from __future__ import annotations

import json
import queue
import threading
import time
from contextlib import closing

import pytest

from emulator.platform_log import PlatformEvent
from emulator.telemetry import Subscription, Unacceptable
from emulator.telemetry_sender import Sender, Telemetry

PATIENCE_S = 30


def subscription(**changes: object) -> Subscription:
    """Everything but function lines, at once."""
    settings: dict[str, object] = {
        "protocol": "HTTP",
        "port": 8080,
        "target": "/",
        "types": ("platform", "extension"),
        "max_items": 1000,
        "max_bytes": 262_144,
        "timeout_s": 0.0,
    }
    return Subscription(**{**settings, **changes})  # type: ignore[arg-type]  # fields of several types


class FakeCarrier:
    """Takes a batch when the test says so, and as it says."""

    def __init__(self) -> None:
        self.batches: queue.Queue[list[bytes]] = queue.Queue()
        self.answers: queue.Queue[str] = queue.Queue()

    def deliver(self, events: list[bytes]) -> bool:
        """Wait for the test."""
        self.batches.put(events)
        return self.answers.get(timeout=PATIENCE_S) == "taken"

    def close(self) -> None:
        """What is under way has failed."""
        self.answers.put("lost")


def test_what_was_not_taken_comes_again_and_pauses_wait_for_the_end() -> None:
    """A pause is refused while a batch is under way, and nothing goes while it lasts."""
    carrier = FakeCarrier()
    sender = Sender(subscription(), carrier)
    with closing(sender):
        sender.start()
        sender.offer("platform", b"1")
        sender.offer("function", b"not asked for")
        assert carrier.batches.get(timeout=PATIENCE_S) == [b"1"]
        assert not sender.pause(on=True)
        carrier.answers.put("lost")
        assert carrier.batches.get(timeout=PATIENCE_S) == [b"1"]
        sender.offer("extension", b"2")
        carrier.answers.put("taken")
        assert carrier.batches.get(timeout=PATIENCE_S) == [b"2"]
        carrier.answers.put("taken")
        limit = time.monotonic() + PATIENCE_S
        while not sender.pause(on=True):
            assert time.monotonic() < limit
        sender.offer("platform", b"3")
        assert carrier.batches.empty()
        assert sender.pause(on=False)
        assert carrier.batches.get(timeout=PATIENCE_S) == [b"3"]


def test_nobody_listens_on_a_tcp_port() -> None:
    """Refused there and then, while a server that speaks HTTP may come later."""

    def refuse(port: int) -> None:
        raise ConnectionRefusedError(port)

    telemetry = Telemetry(refuse)  # type: ignore[arg-type]  # it never returns
    with pytest.raises(Unacceptable, match=r"could not TCP dial provided address 127\.0\.0\.1:8080"):
        telemetry.subscribe(subscription(protocol="TCP"))
    telemetry.close()


def test_subscribers_hear_of_what_was_before_them() -> None:
    """Init is when extensions subscribe; over TCP each event is a line."""
    received: queue.Queue[bytes] = queue.Queue()
    lock = threading.Lock()

    class FakeSocket:
        def settimeout(self, seconds: float) -> None:
            """As a socket's."""

        def sendall(self, data: bytes) -> None:
            """Keep it."""
            with lock:
                received.put(data)

        def shutdown(self, how: int) -> None:
            """As a socket's."""

        def close(self) -> None:
            """As a socket's."""

    telemetry = Telemetry(lambda _: FakeSocket())  # type: ignore[arg-type,return-value]  # all that is used of one
    with closing(telemetry):
        telemetry.happened([PlatformEvent(type="platform.initStart", record={"phase": "init"}, level="INFO")])
        telemetry.said("extension", "hello\n")
        telemetry.subscribe(subscription(protocol="TCP"))
        data = b""
        while data.count(b"\n") < 2:
            data += received.get(timeout=PATIENCE_S)
    events = [json.loads(line) for line in data.splitlines()]
    assert [(event["type"], event["record"]) for event in events] == [
        ("platform.initStart", {"phase": "init"}),
        ("extension", "hello\n"),
    ]
