"""What becomes of idle environments: frozen and closed behind the caller's back, without a call ever noticing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from emulator import runtime_server
from emulator.config import FunctionConfig
from emulator.service import LambdaService
from tests.fakes import FakeBackend, FakeServer, echo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fakes import FakeSandbox


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    """Give a backend of echoing functions, without HTTP."""
    monkeypatch.setattr(runtime_server, "RuntimeServer", FakeServer)
    return FakeBackend(echo)


@pytest.fixture
def functions(tmp_path: Path) -> dict[str, FunctionConfig]:
    """Give one small function."""
    return {"F": FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=tmp_path)}


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, for ten seconds."""
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.001)


def was_closed(sandbox: FakeSandbox) -> bool:
    """Whether it is gone."""
    return "close" in sandbox.calls


def test_frozen_while_idle(backend: FakeBackend, functions: dict[str, FunctionConfig]) -> None:
    """And thawed by the next call, as often as one comes."""
    with LambdaService(functions, backend) as service:
        service.invoke("F", b"1")
        [sandbox] = backend.sandboxes
        for number in range(3):
            until(lambda: sandbox.frozen)
            assert sandbox.calls.count("thaw") == number
            assert service.invoke("F", b"1").body == b"1"
    assert not sandbox.frozen


def test_closed_after_its_time(backend: FakeBackend, functions: dict[str, FunctionConfig]) -> None:
    """The next call is cold, in a new environment."""
    with LambdaService(functions, backend, reap_after_s=0.05) as service:
        assert service.invoke("F", b"1").cold
        until(lambda: was_closed(backend.sandboxes[0]))
        assert service.invoke("F", b"1").cold
        assert len(backend.sandboxes) == 2


def test_an_environment_that_serves_is_not_closed(backend: FakeBackend, functions: dict[str, FunctionConfig]) -> None:
    """However long ago it was made: idleness counts from the last answer."""
    with LambdaService(functions, backend, reap_after_s=0.5) as service:
        end = time.monotonic() + 1.2
        calls = 0
        while time.monotonic() < end:
            calls += 1
            assert service.invoke("F", b"1").cold == (calls == 1)
            time.sleep(0.01)
    assert len(backend.sandboxes) == 1


def test_nobody_is_employed_where_nothing_is_asked_for(
    backend: FakeBackend, functions: dict[str, FunctionConfig]
) -> None:
    """Nor where nothing was ever invoked."""
    others = janitors()  # of services that other tests of this process share
    with LambdaService(functions, backend, freeze=False) as service:
        service.invoke("F", b"1")
        assert janitors() == others
    with LambdaService(functions, backend) as service:
        assert janitors() == others
        service.invoke("F", b"1")
        assert janitors() == others + 1
    assert janitors() == others


def test_calls_from_many_threads(backend: FakeBackend, functions: dict[str, FunctionConfig]) -> None:
    """Freezing and closing at every turn, no call is lost or answered twice."""
    with LambdaService(functions, backend, reap_after_s=0.02) as service:
        wrong: list[bytes] = []

        def call(number: int) -> None:
            for turn in range(30):
                payload = b"%d" % (number * 1000 + turn)
                body = service.invoke("F", payload).body
                if body != payload:
                    wrong.append(body)
                time.sleep(0.001 * (turn % 25))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert all(was_closed(sandbox) for sandbox in backend.sandboxes)


def janitors() -> int:
    """How many there are."""
    return [thread.name for thread in threading.enumerate()].count("janitor")
