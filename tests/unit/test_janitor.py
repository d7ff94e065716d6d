"""When an idle environment is frozen and when it is closed, and that the janitor is there for it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import BackendError
from emulator.janitor import TICK_S, Janitor, Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1000.0


@dataclass(eq=False, slots=True, kw_only=True)
class Environment:
    """Idle since NOW; `willing` is what `rest` answers, one time after the other, and True in the end."""

    idle_since: float = NOW
    freeze_after_s: float = 0.01
    willing: list[bool] = field(default_factory=list)
    rests: int = 0
    reaped: int = 0

    def rest(self) -> bool:
        """Count, and answer."""
        self.rests += 1
        return self.willing.pop(0) if self.willing else True


def reap(environment: Environment) -> None:
    """Count."""
    environment.reaped += 1


def test_frozen_once_and_not_before_its_time() -> None:
    """At the time it names, to the hundredth of a second, and then left alone until it has served again."""
    environment, rounds = Environment(freeze_after_s=1.0), Rounds()
    assert rounds.look(NOW + 0.5, [environment], reap) == NOW + 1.0
    assert rounds.look(NOW + 0.999, [environment], reap) == NOW + 1.0
    assert environment.rests == 0
    assert rounds.look(NOW + 1.0, [environment], reap) is None
    assert rounds.look(NOW + 5.0, [environment], reap) is None
    assert environment.rests == 1
    environment.idle_since = NOW + 6.0
    assert rounds.look(NOW + 6.5, [environment], reap) == NOW + 7.0
    assert rounds.look(NOW + 7.0, [environment], reap) is None
    assert environment.rests == 2


def test_a_runtime_that_takes_its_time_is_asked_ever_more_seldom() -> None:
    """Twice as late each time, so that a minute costs a dozen questions."""
    environment, rounds = Environment(willing=[False] * 3), Rounds()
    due, asked = rounds.look(NOW, [environment], reap), []
    while due is not None:
        asked.append(round(due - NOW, 6))
        due = rounds.look(due, [environment], reap)
    assert asked == [0.01, 0.01 + TICK_S, 0.06, 0.12]
    assert environment.rests == 4


def test_closed_after_its_time() -> None:
    """Frozen first; closed when it has been idle for long enough, and not asked about again."""
    environment, rounds = Environment(), Rounds(reap_after_s=300.0)
    assert rounds.look(NOW + 0.01, [environment], reap) == NOW + 300.0
    assert rounds.look(NOW + 299.9, [environment], reap) == NOW + 300.0
    assert environment.reaped == 0
    assert rounds.look(NOW + 300.0, [environment], reap) is None
    assert (environment.rests, environment.reaped) == (1, 1)


def test_closing_without_freezing() -> None:
    """One does not need the other."""
    environment, rounds = Environment(), Rounds(freeze=False, reap_after_s=1.0)
    assert rounds.look(NOW + 0.5, [environment], reap) == NOW + 1.0
    rounds.look(NOW + 1.0, [environment], reap)
    assert (environment.rests, environment.reaped) == (0, 1)


@given(st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=8), st.floats(0.001, 50), st.floats(0, 150))
def test_nothing_is_due_in_the_past(since: list[float], reap_after_s: float, later: float) -> None:
    """Whatever is idle since whenever, the next look is still to come, and what is too old is gone."""
    idle = [Environment(idle_since=NOW + at) for at in since]
    following = Rounds(reap_after_s=reap_after_s).look(NOW + later, idle, reap)
    assert following is None or following > NOW + later
    for environment in idle:
        assert environment.reaped == (NOW + later >= environment.idle_since + reap_after_s)


class Watched:
    """A janitor over a list, and what it did."""

    def __init__(self, reap_: Callable[[Environment], None] = reap, *, reap_after_s: float | None = None) -> None:
        self.lock = threading.Lock()
        self.idle: list[Environment] = []
        self.looks = 0
        self.janitor = Janitor(Rounds(reap_after_s=reap_after_s), self._list, reap_)

    def _list(self) -> list[Environment]:
        self.looks += 1
        with self.lock:
            return list(self.idle)

    def give_back(self, environment: Environment) -> None:
        """As the service does."""
        with self.lock:
            environment.idle_since = time.perf_counter()
            self.idle.append(environment)
        if self.janitor.asleep:
            self.janitor.wake()


def was_frozen(environment: Environment) -> bool:
    """At least once."""
    return environment.rests > 0


def was_reaped(environment: Environment) -> bool:
    """At least once."""
    return environment.reaped > 0


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, for ten seconds."""
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.001)


@pytest.fixture
def watched() -> Watched:
    """Give a janitor that has nothing to do."""
    made = Watched()
    until(lambda: made.janitor.asleep)
    return made


def test_it_sleeps_while_nothing_is_idle(watched: Watched) -> None:
    """It looks no more, and what is given back wakes it."""
    looks = watched.looks
    time.sleep(3 * TICK_S)
    assert watched.looks == looks
    for environment in (Environment(), Environment()):
        watched.give_back(environment)
        until(partial(was_frozen, environment))
        until(lambda: watched.janitor.asleep)
    watched.janitor.stop()


def test_it_can_be_stopped_at_any_time(watched: Watched) -> None:
    """Asleep or not, twice too."""
    watched.give_back(Environment(freeze_after_s=1000.0))
    watched.janitor.stop()
    watched.janitor.stop()
    assert [thread.name for thread in threading.enumerate()].count("janitor") == 0


def test_an_environment_that_cannot_be_closed_is_not_its_end() -> None:
    """The others are looked after all the same."""

    def refuse(environment: Environment) -> None:
        reap(environment)
        raise BackendError("no")

    watched = Watched(refuse, reap_after_s=0.001)
    bad, good = Environment(), Environment()
    for environment in (bad, good):
        watched.give_back(environment)
        until(partial(was_reaped, environment))
    watched.janitor.stop()
