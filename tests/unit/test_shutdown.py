"""The Shutdown phase: who is told, for how long, and that it comes once in a life."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from emulator.sandbox.base import Exit
from emulator.shutdown import Limits, Reason, limits
from tests.bench import Bench, invoke, opened
from tests.fakes import FakeRuntime, echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes import FakeSandbox
    from tests.hand_loop import FakeClock


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give a bench that is cleared after the test."""
    with opened(monkeypatch) as made:
        yield made


@dataclass(slots=True, kw_only=True)
class Extensions:
    """Some that need `takes` seconds after SHUTDOWN; `told` is the reason and the seconds they were given."""

    clock: FakeClock
    internal: int = 0
    external: int = 0
    takes: float = 0.0
    told: list[tuple[Reason, float]] = field(default_factory=list)

    def shut_down(self, reason: Reason, limit: float) -> None:
        """Take the time, or all there is."""
        self.told.append((reason, round(limit - self.clock.now, 6)))
        self.clock.now = min(limit, self.clock.now + self.takes)


def signals(sandbox: FakeSandbox) -> list[str]:
    """What was done to the sandbox to end it."""
    return [call for call in sandbox.calls if call.startswith(("signal", "kill", "close", "thaw"))]


@pytest.mark.parametrize(
    ("internal", "external", "expected"),
    [(0, 0, (0.0, 0.0)), (1, 0, (0.5, 0.5)), (9, 0, (0.5, 0.5)), (0, 1, (0.3, 2.0)), (2, 3, (0.3, 2.0))],
)
def test_limits(bench: Bench, internal: int, external: int, expected: tuple[float, float]) -> None:
    """0, 500 or 2,000 ms (AWS Lambda Developer Guide, 2026-07)."""
    found = limits(Extensions(clock=bench.clock, internal=internal, external=external))
    assert found == Limits(runtime_s=expected[0], total_s=expected[1])
    assert limits(None) == Limits(runtime_s=0.0, total_s=0.0)


@pytest.mark.parametrize("registered", [False, True])
def test_without_extensions_the_runtime_hears_nothing(bench: Bench, registered: bool) -> None:  # noqa: FBT001 - a column
    """No SIGTERM and no time."""
    extensions = Extensions(clock=bench.clock) if registered else None
    environment, sandbox = bench.environment(echo, extensions=extensions)
    invoke(environment)
    before = bench.clock.now
    environment.close()
    assert signals(sandbox) == ["close"]
    assert bench.clock.now == before


def test_internal_extensions_end_with_their_runtime(bench: Bench) -> None:
    """SIGTERM, and at most half a second for a runtime that goes on; a frozen one is thawed first."""
    environment, sandbox = bench.environment(echo, extensions=Extensions(clock=bench.clock, internal=1))
    invoke(environment)
    environment.rest()
    before = bench.clock.now
    environment.close()
    environment.close()
    assert signals(sandbox) == ["thaw", "signal 15", "close", "close"]
    assert bench.clock.now - before == pytest.approx(0.5)


def test_a_runtime_that_ends_in_time_is_not_waited_for(bench: Bench) -> None:
    """Its exit is heard."""
    environment, sandbox = bench.environment(echo, extensions=Extensions(clock=bench.clock, internal=1))
    invoke(environment)
    sandbox.on_sigterm = partial(sandbox.die, Exit(status=0))
    before = bench.clock.now
    environment.close()
    assert bench.clock.now == before


@pytest.mark.parametrize(("takes", "total"), [(0.25, 0.55), (1.7, 2.0), (60.0, 2.0)])
def test_external_extensions_have_what_the_runtime_leaves(bench: Bench, takes: float, total: float) -> None:
    """300 ms for the runtime, which is then killed, and 2,000 ms for all together."""
    extensions = Extensions(clock=bench.clock, external=1, takes=takes)
    environment, sandbox = bench.environment(echo, extensions=extensions)
    invoke(environment)
    before = bench.clock.now
    environment.close()
    assert signals(sandbox) == ["signal 15", "signal 9", "close"]
    assert extensions.told == [("SPINDOWN", 1.7)]
    assert bench.clock.now - before == pytest.approx(total)


async def dies(runtime: FakeRuntime) -> None:
    """Leave with the first event."""
    await runtime.next()
    runtime.end(Exit(status=1))


@pytest.mark.parametrize("reason", ["TIMEOUT", "FAILURE"])
def test_a_reset_tells_extensions_why(bench: Bench, reason: Reason) -> None:
    """TIMEOUT or FAILURE; the runtime gets no SIGTERM, and the next life has a phase of its own."""

    async def fails_the_second_time(runtime: FakeRuntime) -> None:
        await runtime.next()
        await runtime.respond(b"1")
        await runtime.next()
        if reason == "FAILURE":
            runtime.end(Exit(status=1))

    extensions = Extensions(clock=bench.clock, external=1)
    environment, sandbox = bench.environment(fails_the_second_time, echo, extensions=extensions)
    assert [invoke(environment).ok for _ in range(2)] == [True, False]
    assert [told for told, _ in extensions.told] == [reason]
    assert "signal 15" not in sandbox.calls
    assert invoke(environment).ok
    assert len(extensions.told) == 1
    environment.close()
    assert [told for told, _ in extensions.told] == [reason, "SPINDOWN"]


def test_a_life_that_never_began_has_no_shutdown(bench: Bench) -> None:
    """Made ready and closed."""
    extensions = Extensions(clock=bench.clock, external=1)
    environment, sandbox = bench.environment(echo, extensions=extensions)
    environment.close()
    assert (signals(sandbox), extensions.told) == (["close"], [])
