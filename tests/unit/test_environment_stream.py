"""One execution environment whose function answers in parts, over a scripted runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from emulator.limits import MIB
from emulator.sandbox.base import Exit
from tests.bench import Bench, error_of, opened, order
from tests.exchanges import FakeReceiver
from tests.fakes import FakeRuntime, echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.environment import Environment
    from emulator.invocation import InvocationResult


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give a bench that is cleared after the test."""
    with opened(monkeypatch) as made:
        yield made


def received(environment: Environment) -> tuple[InvocationResult, FakeReceiver]:
    """Invoke for somebody who wants the parts."""
    receiver = FakeReceiver()
    return environment.invoke(replace(order(), receiver=receiver)), receiver


async def streams(runtime: FakeRuntime) -> None:
    """Answer in parts over half a second, every time."""
    while True:
        await runtime.next()
        runtime.log(b"streaming\n")
        runtime.take(0.5)
        await runtime.stream(b"one ", b"two ", last=b"three")


def test_parts(bench: Bench) -> None:
    """Go to the receiver up to the deadline; Duration is up to the end of them, and the environment stays warm."""
    environment, _ = bench.environment(streams)
    for _ in range(2):
        begin = bench.clock.now
        result, receiver = received(environment)
        assert (b"".join(receiver.parts), receiver.content_type) == (b"one two three", "text/plain")
        assert receiver.limits == {begin + 3}
        assert (result.body, result.ok) == (b"", True)
        assert result.timings.duration_ms == pytest.approx(500)
        assert "streaming\nEND" in result.log
        assert environment.warm


def test_nobody_wants_them(bench: Bench) -> None:
    """The answer is whole."""
    environment, _ = bench.environment(streams)
    assert environment.invoke(order()).body == b"one two three"


def test_a_function_that_does_not_stream(bench: Bench) -> None:
    """Answers in the result."""
    environment, _ = bench.environment(echo)
    result, receiver = received(environment)
    assert (result.body, receiver.parts) == (b"{}", [])


async def breaks_off(runtime: FakeRuntime) -> None:
    """Lose the connection, and go on."""
    await runtime.next()
    runtime.break_off(b"half")
    await runtime.next()
    await runtime.respond(b"again")
    await runtime.next()


def test_breaking_off(bench: Bench) -> None:
    """Is the platform's error, and no reset where the runtime lives."""
    environment, sandbox = bench.environment(breaks_off)
    result, receiver = received(environment)
    assert receiver.parts == [b"half"]
    assert error_of(result)[0] == "Runtime.TruncatedResponse"
    assert "Status: error\tError Type: Runtime.TruncatedResponse" in result.log
    assert environment.invoke(order()).body == b"again"
    assert "reset" not in sandbox.calls


async def dies(runtime: FakeRuntime) -> None:
    """Lose the connection because the process ends."""
    await runtime.next()
    runtime.break_off(b"half")
    runtime.end(Exit(status=3))


def test_the_end_of_the_process(bench: Bench) -> None:
    """Is why it broke off; the next invocation has a new one."""
    environment, sandbox = bench.environment(dies, echo)
    result, receiver = received(environment)
    assert receiver.parts == [b"half"]
    assert error_of(result)[0] == "Runtime.ExitError"
    assert environment.invoke(order()).body == b"{}"
    assert sandbox.calls.count("reset") == 1


async def too_much(runtime: FakeRuntime) -> None:
    """Write more than Lambda takes."""
    await runtime.next()
    await runtime.stream(*[bytes(5 * MIB)] * 41)
    await runtime.next()


def test_too_much(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 MB go, and then there is an error."""
    monkeypatch.setattr("emulator.streaming.BYTES_PER_SECOND", 1 << 60)
    environment, _ = bench.environment(too_much, timeout_s=900)
    result, receiver = received(environment)
    assert len(receiver.parts) == 40
    assert error_of(result) == (
        "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size (209715200 bytes).",
    )


async def endless(runtime: FakeRuntime) -> None:
    """Begin to answer, and never end."""
    await runtime.next()
    runtime.begin_stream("text/plain")
    await runtime.sandbox.loop.create_future()


def test_a_timeout_in_its_midst(bench: Bench) -> None:
    """Is a timeout like any other."""
    environment, _ = bench.environment(endless, echo)
    result, _ = received(environment)
    assert error_of(result)[0] == "Sandbox.Timedout"
    assert environment.invoke(order()).body == b"{}"
