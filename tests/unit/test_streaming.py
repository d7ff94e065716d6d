"""How fast the parts of an answer go, and how many there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.limits import MIB
from emulator.streaming import BURST_BYTES, BYTES_PER_SECOND, PacedStream
from tests.exchanges import FakeReceiver
from tests.hand_loop import STARTED, FakeClock


class Line:
    """A stream whose clock only its own waiting moves."""

    def __init__(self, seconds: float = 1e6) -> None:
        self.clock = FakeClock()
        self.receiver = FakeReceiver()
        self.limit = STARTED + seconds
        self.stream = PacedStream(self.receiver, self.limit, clock=self.clock.perf_counter, sleep=self.sleep)
        self.stream.begin("text/plain")

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0
        self.clock.now += seconds

    @property
    def waited(self) -> float:
        """Since the beginning."""
        return self.clock.now - STARTED


def test_the_first_six_megabytes() -> None:
    """Go at once, with the instant up to which they may take."""
    line = Line()
    for _ in range(6):
        assert line.stream.part(bytes(MIB))
    assert (line.waited, len(line.receiver.parts)) == (0, 6)
    assert (line.receiver.limits, line.receiver.content_type) == ({line.limit}, "text/plain")


@given(sizes=st.lists(st.integers(1, 3 * MIB), max_size=20))
def test_what_follows(sizes: list[int]) -> None:
    """No faster than 2 MB a second, however it is cut; nothing is lost."""
    line = Line()
    for size in sizes:
        assert line.stream.part(bytes(size))
    assert line.waited == pytest.approx(max(0, sum(sizes) - BURST_BYTES) / BYTES_PER_SECOND)
    assert [len(part) for part in line.receiver.parts] == sizes


def test_a_slow_function_does_not_wait() -> None:
    """Only what comes too fast is held up."""
    line = Line()
    line.stream.part(bytes(BURST_BYTES))
    for _ in range(3):
        line.clock.now += 10
        before = line.clock.now
        line.stream.part(bytes(BYTES_PER_SECOND))
        assert line.clock.now - before == pytest.approx(1)


def test_the_instant_at_which_time_is_up() -> None:
    """Nobody waits beyond it, and what was not sent by then is not."""
    line = Line(seconds=3)
    assert line.stream.part(bytes(20 * MIB))
    assert (line.waited, line.receiver.parts) == (3, [])
    assert line.stream.part(b"x")
    assert (line.waited, line.receiver.parts) == (3, [])


def test_two_hundred_megabytes() -> None:
    """Are taken, and not a byte more."""
    line = Line()
    for _ in range(50):
        assert line.stream.part(bytes(4 * MIB))
    assert not line.stream.part(b"x")
    assert len(line.receiver.parts) == 50
