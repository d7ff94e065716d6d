"""One execution environment whose function fails, in every way there is, in AWS's words and order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from emulator.errors import BackendError, DiedIdle
from emulator.life import LAST_WORD_S
from emulator.sandbox.base import Exit, Figures
from tests.bench import END, MIB, REPORT, REQUEST_ID, START, Bench, error_of, invoke, opened
from tests.fakes import FakeRuntime, Runtime, echo, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.lifecycle import Heard


IMPORT_ERROR = {
    "errorMessage": "Unable to import module 'app': No module named 'x'",
    "errorType": "Runtime.ImportModuleError",
    "requestId": "",
    "stackTrace": [],
}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give a bench that is cleared after the test."""
    with opened(monkeypatch) as made:
        yield made


def ends(exit_: Exit) -> Runtime:
    """Give a runtime that ends in this way 100 ms after it got its event, and says so."""

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        runtime.take(0.1, memory_bytes=30 * MIB)
        runtime.log(b"oh")
        runtime.end(exit_)

    return runtime


@pytest.mark.parametrize(
    ("exit_", "type_", "reason"),
    [
        (Exit(status=0), "Runtime.ExitError", "Runtime exited without providing a reason"),
        (Exit(status=1), "Runtime.ExitError", "Runtime exited with error: exit status 1"),
        (Exit(signal=11), "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"),
        (Exit(signal=9, out_of_memory=True), "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"),
    ],
)
def test_the_runtime_ends_during_an_invocation(bench: Bench, exit_: Exit, type_: str, reason: str) -> None:
    """Type and message are AWS's, REPORT says error and type, and nothing of the environment is left running."""
    environment, sandbox = bench.environment(ends(exit_), figures=Figures(memory_peak_bytes=0))
    result = invoke(environment)
    assert error_of(result) == (type_, f"RequestId: {REQUEST_ID} Error: {reason}")
    assert result.log == (
        f"{START}oh\n{END}"
        f"{REPORT}Duration: 100.00 ms\tBilled Duration: 100 ms\tMemory Size: 256 MB\t"
        f"Max Memory Used: 30 MB\tInit Duration: 0.00 ms\tStatus: error\tError Type: {type_}\n"
    )
    assert not environment.warm
    assert sandbox.calls[-1] == "kill"
    assert sandbox.servers[-1].closed


def test_after_a_crash_init_runs_inside_the_invocation(bench: Bench) -> None:
    """The environment is reset; init counts as Duration, throttled afterwards, and there is no Init Duration."""

    async def slow(runtime: FakeRuntime) -> None:
        runtime.take(0.5)
        await echo(runtime)

    environment, sandbox = bench.environment(ends(Exit(status=1)), slow)
    invoke(environment)
    result = invoke(environment, b"[7]")
    assert (result.ok, result.payload, result.cold) == (True, [7], False)
    assert result.timings.duration_ms == pytest.approx(500.0)
    assert "INIT_REPORT" not in result.log
    calls = [call for call in sandbox.calls if call != "flush"]
    assert calls == ["go", "throttle on", "kill", "reset", "go", "throttle on"]
    assert invoke(environment).timings.duration_ms == 0.0


async def answers_then_hangs(runtime: FakeRuntime) -> None:
    """Answer one event and never ask for another."""
    event = await runtime.next()
    await runtime.respond(event.body)


async def hangs(runtime: FakeRuntime) -> None:
    """Take one event and never answer."""
    runtime.take(0.40204, memory_bytes=73 * MIB)
    await runtime.next()
    runtime.log(b"thinking")


def test_timeout(bench: Bench) -> None:
    """Duration is exactly the timeout, as in the real line of 2026 (id 56144997678), and the process is killed."""
    environment, sandbox = bench.environment(hangs, memory_mb=128, figures=Figures(memory_peak_bytes=0))
    result = invoke(environment)
    assert error_of(result) == ("Sandbox.Timedout", f"RequestId: {REQUEST_ID} Error: Task timed out after 3.00 seconds")
    assert result.log == (
        f"{START}thinking\n{END}"
        f"{REPORT}Duration: 3000.00 ms\tBilled Duration: 3403 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 73 MB\tInit Duration: 402.04 ms\tStatus: timeout\n"
    )
    assert sandbox.calls[-1] == "kill"


def test_after_a_timeout_init_runs_again(bench: Bench) -> None:
    """As after a crash."""
    environment, sandbox = bench.environment(hangs, echo)
    invoke(environment)
    result = invoke(environment)
    assert (result.ok, result.cold) == (True, False)
    assert "reset" in sandbox.calls


@pytest.mark.parametrize(("seconds", "status"), [(2.999, "success"), (3.001, "timeout")])
def test_the_timeout_at_its_edge(bench: Bench, seconds: float, status: str) -> None:
    """An answer just before the deadline counts; after it nothing does."""

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        runtime.take(seconds)
        if seconds < 3:
            await runtime.respond(b"1")
            await runtime.next()

    environment, _ = bench.environment(runtime)
    result = invoke(environment)
    assert result.ok is (status == "success")


async def too_late(runtime: FakeRuntime) -> None:
    """Answer when the time is up."""
    await runtime.next()
    runtime.take(3.001)
    await runtime.respond(b"1")
    await runtime.next()


def test_an_answer_after_the_deadline_is_too_late(bench: Bench) -> None:
    """Even if it is there by the time somebody looks."""
    environment, _ = bench.environment(too_late)
    result = invoke(environment)
    assert error_of(result)[0] == "Sandbox.Timedout"
    assert result.timings.duration_ms == 3000.0


async def cannot_import(runtime: FakeRuntime) -> None:
    """Fail to load the handler, report it and exit, as AWS's client does."""
    runtime.take(0.17139)
    runtime.log(b"[ERROR] Runtime.ImportModuleError\n")
    await runtime.fail_init(json.dumps(IMPORT_ERROR).encode())
    runtime.end(Exit(status=1))


def test_init_error(bench: Bench) -> None:
    """Init fails, is run again inside the invocation and fails again, in the order of the real log of 2025-12-15."""
    environment, _ = bench.environment(cannot_import)
    result = invoke(environment)
    said = "[ERROR] Runtime.ImportModuleError\n"
    tail = "Status: error\tError Type: Runtime.ImportModuleError\n"
    assert result.log == (
        f"{said}INIT_REPORT Init Duration: 171.39 ms\tPhase: init\t{tail}"
        f"{said}INIT_REPORT Init Duration: 171.39 ms\tPhase: invoke\t{tail}"
        f"{START}{END}{REPORT}Duration: 171.39 ms\tBilled Duration: 172 ms\tMemory Size: 256 MB\t{tail}"
    )
    assert result.payload == IMPORT_ERROR
    assert result.error is not None
    assert result.error.type == "Runtime.ImportModuleError"
    assert not result.cold


def test_init_error_of_a_runtime_that_stays(bench: Bench) -> None:
    """What it had written comes before the line that says how it ended, though no end of a process brings it along."""

    async def stays(runtime: FakeRuntime) -> None:
        runtime.log(b"why\n")
        await runtime.fail_init(b"{}")

    environment, sandbox = bench.environment(stays)
    log = invoke(environment).log
    assert log.startswith("why\nINIT_REPORT Init Duration: 0.00 ms\tPhase: init\t")
    assert "why\nINIT_REPORT Init Duration: 0.00 ms\tPhase: invoke\t" in log
    assert sandbox.calls[-1] == "kill"


def test_init_error_a_second_time(bench: Bench) -> None:
    """Every later invocation runs init once, inside itself."""
    environment, sandbox = bench.environment(cannot_import)
    invoke(environment)
    result = invoke(environment)
    assert "Phase: init" not in result.log
    assert result.log.count("INIT_REPORT") == 1
    assert result.log.count("Phase: invoke") == 1
    assert sandbox.calls.count("go") == 3


def test_init_that_works_at_last(bench: Bench) -> None:
    """A failed init that works inside the invocation is served, and the next call is warm."""
    environment, sandbox = bench.environment(cannot_import, echo)
    result = invoke(environment, b'"x"')
    assert (result.ok, result.payload, result.cold) == (True, "x", False)
    assert result.log.count("INIT_REPORT") == 1
    assert "Status" not in result.log.splitlines()[-1]
    assert "INIT_REPORT" not in invoke(environment).log
    assert sandbox.calls.count("go") == 2


def test_the_runtime_ends_during_init(bench: Bench) -> None:
    """An exit at import is an exit error, in both phases."""

    async def runtime(runtime: FakeRuntime) -> None:
        runtime.take(0.15403)
        runtime.end(Exit(signal=11))

    environment, _ = bench.environment(runtime)
    result = invoke(environment)
    words = f"RequestId: {REQUEST_ID} Error: Runtime exited with error: signal: segmentation fault"
    assert error_of(result) == ("Runtime.ExitError", words)
    line = "INIT_REPORT Init Duration: 154.03 ms\tPhase: {}\tStatus: error\tError Type: Runtime.ExitError\n"
    assert result.log.startswith(line.format("init") + line.format("invoke") + START)


def test_init_out_of_time(bench: Bench) -> None:
    """After 10 s it is killed and run again inside the invocation; REPORT then has no Init Duration (2026-09-23)."""

    async def late(runtime: FakeRuntime) -> None:
        runtime.take(5.0)
        await runtime.next()
        runtime.take(0.54581)
        await runtime.respond(b"1")
        await runtime.next()

    environment, sandbox = bench.environment(silent, late, timeout_s=30, memory_mb=3008)
    result = invoke(environment)
    assert result.log == (
        "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout\n"
        f"{START}{END}{REPORT}Duration: 5545.81 ms\tBilled Duration: 5546 ms\tMemory Size: 3008 MB\t\n"
    )
    assert result.ok
    assert [call for call in sandbox.calls if call != "flush"] == ["go", "kill", "reset", "go", "throttle on"]


async def asks_too_late(runtime: FakeRuntime) -> None:
    """Finish init when its time is up."""
    runtime.take(10.5)
    await runtime.next()


async def reports_too_late(runtime: FakeRuntime) -> None:
    """Fail to load the handler when the time for it is up."""
    runtime.take(10.5)
    await runtime.fail_init(json.dumps(IMPORT_ERROR).encode())


@pytest.mark.parametrize("late", [asks_too_late, reports_too_late])
def test_an_init_that_ends_too_late(bench: Bench, late: Runtime) -> None:
    """Even if its end is known by the time somebody looks, its time was up before, and it is run again."""
    environment, sandbox = bench.environment(late, echo, timeout_s=30)
    result = invoke(environment)
    assert result.ok
    assert result.log.startswith(f"INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout\n{START}")
    assert [call for call in sandbox.calls if call != "flush"] == ["go", "kill", "reset", "go", "throttle on"]


def test_init_out_of_time_twice(bench: Bench) -> None:
    """The second init has the function's timeout."""
    environment, _ = bench.environment(silent, timeout_s=5)
    result = invoke(environment)
    assert error_of(result) == ("Sandbox.Timedout", f"RequestId: {REQUEST_ID} Error: Task timed out after 5.00 seconds")
    assert result.log == (
        "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout\n"
        "INIT_REPORT Init Duration: 5000.00 ms\tPhase: invoke\tStatus: timeout\n"
        f"{START}{END}{REPORT}Duration: 5000.00 ms\tBilled Duration: 5000 ms\tMemory Size: 256 MB\t"
        "Status: timeout\n"
    )


def test_init_and_invocation_share_one_timeout(bench: Bench) -> None:
    """What a repeated init has used is not there for the handler."""
    answered: list[int] = []

    async def slow(runtime: FakeRuntime) -> None:
        runtime.take(2.0)
        await runtime.next()
        answered.append(1)

    environment, _ = bench.environment(cannot_import, slow, timeout_s=3)
    result = invoke(environment)
    assert answered == [1]
    assert result.error is not None
    assert result.error.type == "Sandbox.Timedout"
    assert result.timings.duration_ms == 3000.0


def test_a_response_over_the_quota(bench: Bench) -> None:
    """AWS's words of 2025-11-24 with its number; the environment stays."""

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        assert (await runtime.respond(None)).status == 413
        await echo(runtime)

    environment, sandbox = bench.environment(runtime)
    result = invoke(environment)
    assert error_of(result) == (
        "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    )
    assert "Status: error\tError Type: Function.ResponseSizeTooLarge\n" in result.log
    assert invoke(environment).ok
    assert sandbox.calls.count("go") == 1


def test_a_lost_sandbox_is_not_the_functions_fault(bench: Bench) -> None:
    """It is an error of ours, with the reason and a hint."""
    environment, _ = bench.environment(ends(Exit(lost="the container was removed by somebody else")))
    with pytest.raises(BackendError, match="the container was removed by somebody else") as caught:
        invoke(environment)
    assert caught.value.hint


def test_a_sandbox_lost_while_idle(bench: Bench) -> None:
    """Noticed at the next invocation."""
    environment, sandbox = bench.environment(echo)
    invoke(environment)
    sandbox.die(Exit(lost="the engine went away"))
    with pytest.raises(DiedIdle, match="the engine went away"):
        invoke(environment)


def test_the_news_of_a_death_may_come_after_the_end_of_the_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle runtime that has hung up is given the moment that the news takes, and no event."""
    environment, sandbox = bench.environment(echo)
    invoke(environment)
    [server] = sandbox.servers
    waits: list[float] = []

    def hear_late(limit: float) -> Heard | Exit | None:
        waits.append(limit - bench.clock.now)
        return Exit(lost="somebody killed it") if waits[-1] > 0 else None

    monkeypatch.setattr(server.api, "_waiting", None)
    monkeypatch.setattr(server, "wait", hear_late)
    monkeypatch.setattr(server.api, "dispatch", pytest.fail)
    with pytest.raises(DiedIdle, match="somebody killed it"):
        invoke(environment)
    assert waits == [0, pytest.approx(LAST_WORD_S)]


def test_a_death_between_invocations(bench: Bench) -> None:
    """The next invocation runs in a reset environment and is served."""
    environment, sandbox = bench.environment(echo)
    invoke(environment)
    sandbox.die(Exit(signal=9))
    result = invoke(environment, b"[1]")
    assert (result.ok, result.payload, result.cold) == (True, [1], False)
    assert "reset" in sandbox.calls
    assert [bool(server.closed) for server in sandbox.servers] == [True, False]


def test_a_runtime_that_does_not_come_back(bench: Bench) -> None:
    """One that has answered and never asks again is given up after a while and reset."""
    environment, sandbox = bench.environment(answers_then_hangs, echo)
    assert invoke(environment, b'"first"').payload == "first"
    before = bench.clock.now
    result = invoke(environment, b'"second"')
    assert bench.clock.now == before + 10
    assert (result.payload, result.cold) == ("second", False)
    assert "reset" in sandbox.calls


def test_an_exit_right_after_the_answer(bench: Bench) -> None:
    """The answer stands; the exit is the next invocation's matter."""

    async def runtime(runtime: FakeRuntime) -> None:
        event = await runtime.next()
        await runtime.respond(event.body)
        runtime.end(Exit(status=1))

    environment, sandbox = bench.environment(runtime, echo)
    assert invoke(environment).ok
    assert invoke(environment).ok
    assert sandbox.calls.count("reset") == 1


def test_only_the_sandboxs_own_address_is_answered(bench: Bench) -> None:
    """The Runtime API is told who may call it, in every life."""
    environment, sandbox = bench.environment(ends(Exit(status=1)), echo, peer="10.0.0.2")
    invoke(environment)
    assert invoke(environment).ok
    assert sandbox.peer == "10.0.0.2"


def test_every_life_has_a_server_of_its_own(bench: Bench) -> None:
    """A process of an earlier life can never answer for a later one."""
    environment, sandbox = bench.environment(ends(Exit(status=1)), ends(Exit(signal=9)), echo)
    for _ in range(3):
        invoke(environment)
    assert len(sandbox.servers) == 3
    assert [bool(served.closed) for served in sandbox.servers] == [True, True, False]
