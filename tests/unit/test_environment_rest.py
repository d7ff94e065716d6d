"""An environment at rest: frozen when the runtime has nothing to do, thawed for the next invocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emulator.errors import BackendError
from emulator.sandbox.base import FREEZE_AFTER_S, Exit
from tests.bench import Bench, invoke, opened
from tests.fakes import FakeRuntime, echo, silent

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give a bench that is cleared after the test."""
    with opened(monkeypatch) as made:
        yield made


def test_frozen_after_an_invocation_and_thawed_for_the_next(bench: Bench) -> None:
    """Once each, and the function notices nothing."""
    environment, sandbox = bench.environment(echo)
    for _ in range(3):
        assert invoke(environment, b'"x"').body == b'"x"'
        assert environment.idle_since == bench.clock.now
        assert environment.rest()
        assert sandbox.frozen
        assert environment.rest()  # nothing left to do
    invoke(environment)
    assert not sandbox.frozen
    assert [call for call in sandbox.calls if call in {"freeze", "thaw"}] == ["freeze", "thaw"] * 3
    assert environment.freeze_after_s == FREEZE_AFTER_S


def test_nothing_is_frozen_before_it_has_run(bench: Bench) -> None:
    """An environment made ready ahead has nothing that could run."""
    environment, sandbox = bench.environment(echo)
    assert environment.rest()
    assert sandbox.calls == []


async def lingers(runtime: FakeRuntime) -> None:
    """Answer, and go on for a second before it asks for the next event."""
    await runtime.next()
    await runtime.respond(b"1")
    await runtime.sandbox.linger()
    await echo(runtime)


def test_a_runtime_that_has_not_asked_for_the_next_event_runs_on(bench: Bench) -> None:
    """Lambda's Invoke phase ends with that request."""
    environment, sandbox = bench.environment(lingers)
    invoke(environment)
    assert not environment.rest()
    assert "freeze" not in sandbox.calls
    sandbox.go_on()
    assert environment.rest()
    assert sandbox.frozen
    assert invoke(environment, b"2").body == b"2"


def test_a_death_while_idle_is_left_to_the_next_invocation(bench: Bench) -> None:
    """Nothing is there to be frozen; the next invocation resets and runs init within."""
    environment, sandbox = bench.environment(echo)
    invoke(environment)
    sandbox.die(Exit(status=1))
    assert environment.rest()
    assert not sandbox.frozen
    result = invoke(environment, b"7")
    assert (result.body, result.cold) == (b"7", False)
    assert "reset" in sandbox.calls


def test_a_death_while_frozen_is_found_by_the_next_invocation(bench: Bench) -> None:
    """It is thawed, found dead, reset."""
    environment, sandbox = bench.environment(echo)
    invoke(environment)
    environment.rest()
    sandbox.die(Exit(signal=9))
    assert invoke(environment, b"7").body == b"7"
    assert [call for call in sandbox.calls if call in {"thaw", "reset"}] == ["thaw", "reset"]


def test_a_sandbox_that_was_lost_while_idle(bench: Bench) -> None:
    """The janitor does not swallow it: the next invocation raises."""
    environment, sandbox = bench.environment(echo)
    invoke(environment)
    sandbox.die(Exit(lost="somebody removed it"))
    assert environment.rest()
    with pytest.raises(BackendError, match="somebody removed it"):
        invoke(environment)


def test_after_a_timeout_nothing_is_left_to_freeze(bench: Bench) -> None:
    """Every process is dead by then."""
    environment, sandbox = bench.environment(silent)
    assert not invoke(environment).ok
    assert environment.rest()
    assert "freeze" not in sandbox.calls


def test_a_closed_environment_is_left_alone(bench: Bench) -> None:
    """The janitor may come too late."""
    environment, sandbox = bench.environment(echo)
    invoke(environment)
    environment.close()
    assert environment.rest()
    assert "freeze" not in sandbox.calls
