"""What the service does at its limits, and when it is closed with calls under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from emulator import runtime_server
from emulator.config import FunctionConfig
from emulator.errors import BackendError, QuotaError, Throttled
from emulator.sandbox.base import Exit, SandboxSpec
from emulator.service import LambdaService
from tests.fakes import FakeBackend, FakeRuntime, FakeSandbox, FakeServer, echo

PATIENCE_S = 30


class Gate:
    """A runtime that waits for the test before it answers."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.open = threading.Event()

    async def runtime(self, runtime: FakeRuntime) -> None:
        """Say that it is there, and answer when the test lets it."""
        while True:
            await runtime.next()
            self.inside.release()
            assert self.open.wait(PATIENCE_S)
            await runtime.respond(b"1")

    def wait_for(self, count: int) -> None:
        """Until so many are inside."""
        for _ in range(count):
            assert self.inside.acquire(timeout=PATIENCE_S)


class SlowBackend(FakeBackend):
    """Takes as long as the test likes to make a sandbox."""

    def __init__(self) -> None:
        super().__init__(echo)
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def prepare(self, spec: SandboxSpec) -> FakeSandbox:
        """When the test lets it."""
        self.asked.set()
        assert self.go_on.wait(PATIENCE_S)
        return super().prepare(spec)


def until_closing(service: LambdaService) -> None:
    """Call G, which is throttled, until the service says that it is closing."""
    while True:
        with suppress(Throttled):
            service.invoke("G", b"{}")


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FunctionConfig:
    """Give a small function, on a machine without HTTP."""
    monkeypatch.setattr(runtime_server, "RuntimeServer", FakeServer)
    return FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=tmp_path)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Give a thread for each caller."""
    with ThreadPoolExecutor(8) as made:
        yield made


@pytest.mark.parametrize(
    ("reserved", "limit", "reason"),
    [
        (2, 1000, "ReservedFunctionConcurrentInvocationLimitExceeded"),
        (None, 2, "ConcurrentInvocationLimitExceeded"),
    ],
)
def test_one_more_than_the_limit(
    config: FunctionConfig, pool: ThreadPoolExecutor, reserved: int | None, limit: int, reason: str
) -> None:
    """Is refused without an environment, and comes through once one has ended."""
    gate = Gate()
    backend = FakeBackend(gate.runtime)
    functions = {"F": replace(config, reserved_concurrency=reserved)}
    with LambdaService(functions, backend, concurrency=limit) as service:
        held = [pool.submit(service.invoke, "F", b"{}") for _ in range(2)]
        gate.wait_for(2)
        with pytest.raises(Throttled) as caught:
            service.invoke("F", b"{}")
        assert caught.value.reason == reason
        assert len(backend.sandboxes) == 2
        gate.open.set()
        assert all(future.result(PATIENCE_S).ok for future in held)
        assert service.invoke("F", b"{}").ok


def test_what_fails_is_over_too(config: FunctionConfig) -> None:
    """A call that the backend could not serve gives its place back."""
    backend = FakeBackend(echo)
    with LambdaService({"F": config}, backend, concurrency=1) as service:
        backend.refusal = BackendError("no engine")
        for _ in range(3):
            with pytest.raises(BackendError, match="no engine"):
                service.invoke("F", b"{}")
        with pytest.raises(QuotaError):
            service.invoke("F", b"x" * 7_000_000)
        backend.refusal = None
        assert service.invoke("F", b"{}").ok
        assert service.concurrency.running == 0


def test_closed_while_an_environment_is_made(config: FunctionConfig, pool: ThreadPoolExecutor) -> None:
    """Closing waits for it; it is closed before the backend is, and its caller is told."""
    backend = SlowBackend()
    functions = {"F": config, "G": replace(config, name="G", reserved_concurrency=0)}
    service = LambdaService(functions, backend)
    call = pool.submit(service.invoke, "F", b"{}")
    assert backend.asked.wait(PATIENCE_S)
    closing = pool.submit(service.close)
    with pytest.raises(BackendError, match="stopping"):
        until_closing(service)
    backend.go_on.set()
    closing.result(PATIENCE_S)
    with pytest.raises(BackendError, match="stopping"):
        call.result(PATIENCE_S)
    [sandbox] = backend.sandboxes
    assert sandbox.calls == ["close"]
    assert backend.closed == 1


def test_closed_for_good(config: FunctionConfig) -> None:
    """No call after that makes anything."""
    backend = FakeBackend(echo)
    service = LambdaService({"F": config}, backend)
    service.close()
    with pytest.raises(BackendError, match="stopping"):
        service.invoke("F", b"{}")
    assert backend.sandboxes == []


class Log:
    """A log that can be looked at from within."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, lines: str) -> None:
        """More of it."""
        self.text += lines


@pytest.mark.parametrize("fails", [False, True])
def test_the_answer_comes_before_the_report(config: FunctionConfig, fails: bool) -> None:  # noqa: FBT001 - a case
    """Figures, END and REPORT are for afterwards; they come all the same where sending the answer fails."""
    log = Log()
    with LambdaService({"F": config}, FakeBackend(echo), on_log=log) as service:
        with suppress(ConnectionError), service.answer("F", b"1") as answer:
            assert (answer.body, answer.error) == (b"1", None)
            assert "START" in log.text
            assert "END" not in log.text
            if fails:
                raise ConnectionError
        assert "END" in log.text.partition("START")[2].partition("REPORT")[0]
        assert service.concurrency.running == 0


@pytest.mark.parametrize(("reserved", "limit"), [(1, 1000), (None, 1)])
def test_a_call_upon_the_answer(
    config: FunctionConfig, pool: ThreadPoolExecutor, reserved: int | None, limit: int
) -> None:
    """Neither is it throttled, nor does it get a cold environment: it waits for the end of the one before."""
    backend = FakeBackend(echo)
    functions = {"F": replace(config, reserved_concurrency=reserved)}
    with LambdaService(functions, backend, concurrency=limit) as service:
        for number in range(20):
            with service.answer("F", b"1"):
                following = pool.submit(service.invoke, "F", b"2")
                if number == 0:
                    with pytest.raises(TimeoutError):
                        following.result(0.05)
            result = following.result(PATIENCE_S)
            assert (result.body, result.cold) == (b"2", False)
        assert len(backend.sandboxes) == 1


def test_what_has_failed_is_cleared_away_before_the_answer(config: FunctionConfig) -> None:
    """After a crash the next call is reset while nobody waits for an answer of the one before."""

    async def crashes(runtime: FakeRuntime) -> None:
        await runtime.next()
        runtime.end(Exit(status=1))

    backend = FakeBackend(crashes)
    with LambdaService({"F": config}, backend) as service, service.answer("F", b"1") as answer:
        assert answer.error is not None
        assert answer.error.type == "Runtime.ExitError"
        assert "kill" in backend.sandboxes[0].calls
        assert service.concurrency.running == 0


def test_closed_upon_the_answer(config: FunctionConfig, pool: ThreadPoolExecutor) -> None:
    """REPORT is still to be seen."""
    log = Log()
    service = LambdaService({"F": config}, FakeBackend(echo), on_log=log)
    with service.answer("F", b"1"):
        closing = pool.submit(service.close)
        with pytest.raises(TimeoutError):
            closing.result(0.05)
    closing.result(PATIENCE_S)
    assert "REPORT" in log.text


def test_one_that_died_while_idle(config: FunctionConfig) -> None:
    """Is not picked: the call gets the next warm one, or a cold one, and the dead are closed."""
    backend = FakeBackend(echo)
    with LambdaService({"F": config}, backend, freeze=False) as service:
        with service.answer("F", b"1"):
            assert service.invoke("F", b"1", fresh=True).cold
        first, second = backend.sandboxes
        first.die(Exit(lost="somebody killed it"))  # the one used last
        assert not service.invoke("F", b"2").cold
        assert first.calls[-1] == "close"
        assert "close" not in second.calls
        second.die(Exit(lost="the engine was restarted"))
        assert service.invoke("F", b"3").cold
        assert second.calls[-1] == "close"
        assert len(backend.sandboxes) == 3
        assert service.concurrency.running == 0
