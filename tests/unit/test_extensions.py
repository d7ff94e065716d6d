"""An environment with extensions, over scripted ones: what waits for whom, and what each failure looks like."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from emulator.environment import Environment
from emulator.sandbox.base import Exit
from tests.bench import Bench, invoke, opened, order
from tests.fakes import FakeRuntime, FakeSandbox, echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fakes import Runtime

EXTENSION = "/2020-01-01/extension/"
AGENT_READY = "EXTENSION\tName: agent\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give a bench that is cleared after the test."""
    with opened(monkeypatch) as made:
        yield made


def agent(work: Callable[[FakeRuntime, int], None], told: list[str] | None = None) -> Runtime:
    """An extension that does this work at each invocation, counted from 1."""

    async def play(runtime: FakeRuntime) -> None:
        body = b'{"events": ["INVOKE", "SHUTDOWN"]}'
        reply = await runtime.call(
            "POST", f"{EXTENSION}register", body=body, headers={"Lambda-Extension-Name": "agent"}
        )
        own = {"Lambda-Extension-Identifier": reply.headers["Lambda-Extension-Identifier"]}
        count = 0
        while True:
            event = json.loads((await runtime.call("GET", f"{EXTENSION}event/next", headers=own)).body)
            if event["eventType"] == "SHUTDOWN":
                if told is not None:
                    told.append(event["shutdownReason"])
                runtime.sandbox.tell(Exit(status=0, extension="agent"))
                return
            count += 1
            work(runtime, count)

    return play


def environment(bench: Bench, *lives: Runtime, crew: Runtime) -> tuple[Environment, FakeSandbox]:
    """One whose sandbox starts this extension."""
    made, sandbox = bench.environment(*lives, external=("agent",))
    sandbox.crew = (crew,)
    return made, sandbox


def test_an_invocation_lasts_until_the_extension_is_done(bench: Bench) -> None:
    """Its time is in Duration, and the line is there once."""
    made, sandbox = environment(bench, echo, crew=agent(lambda runtime, _: runtime.take(0.5)))
    first, second = invoke(made), invoke(made)
    assert first.log.startswith(AGENT_READY)
    assert "EXTENSION" not in second.log
    assert first.timings.duration_ms == pytest.approx(500)
    assert sandbox.calls[:2] == ["go", "start runtime"]


def test_the_timeout_covers_extensions(bench: Bench) -> None:
    """The answer is the caller's, REPORT has the status, and the next invocation begins anew."""
    told: list[str] = []

    def overdo(runtime: FakeRuntime, count: int) -> None:
        if count == 2:
            runtime.take(60)

    made, _ = environment(bench, echo, crew=agent(overdo, told))
    assert invoke(made).ok
    late = invoke(made, b"1")
    assert (late.ok, late.body) == (True, b"1")
    assert late.log.endswith("Status: timeout\n")
    assert told == ["TIMEOUT"]
    assert not invoke(made).log.startswith("INIT_REPORT")


@pytest.mark.parametrize(
    ("exit_", "error"),
    [
        (Exit(status=0, extension="agent"), "exit code 0"),
        (Exit(status=3, extension="agent"), "exit status 3"),
        (Exit(signal=9, extension="agent"), "signal: killed"),
    ],
)
def test_a_crash_in_init(bench: Bench, exit_: Exit, error: str) -> None:
    """The runtime is never started, in neither try."""

    async def crash(runtime: FakeRuntime) -> None:
        runtime.sandbox.tell(exit_)

    made, sandbox = environment(bench, echo, crew=crash)
    result = invoke(made)
    assert result.error is not None
    assert result.error.type == "Extension.Crash"
    assert result.error.message.endswith(f"Error: {error}")
    assert "INIT_REPORT Init Duration: 0.00 ms\tPhase: init\tStatus: error\tError Type: Extension.Crash\n" in result.log
    assert "EXTENSION\tName: agent\tState: Exited\tEvents: []\n" in result.log
    assert "start runtime" not in sandbox.calls


def test_one_that_never_registers(bench: Bench) -> None:
    """Init runs out of time twice: its own 10 s, then the function's timeout."""

    async def sulk(runtime: FakeRuntime) -> None:
        pass

    made, _ = environment(bench, echo, crew=sulk)
    result = invoke(made)
    assert result.error is not None
    assert result.error.type == "Sandbox.Timedout"
    assert "Phase: init\tStatus: timeout" in result.log


def test_a_death_between_invocations(bench: Bench) -> None:
    """The next invocation resets first."""
    made, sandbox = environment(bench, echo, crew=agent(lambda *_: None))
    assert invoke(made).ok
    sandbox.tell(Exit(status=1, extension="agent"))
    assert invoke(made).ok
    assert "reset" in sandbox.calls


def test_the_end_is_told_and_waited_for(bench: Bench) -> None:
    """SPINDOWN, to an environment that was idle."""
    told: list[str] = []
    made, _ = environment(bench, echo, crew=agent(lambda *_: None, told))
    invoke(made)
    before = bench.clock.now
    made.close()
    assert told == ["SPINDOWN"]
    assert bench.clock.now - before == pytest.approx(0.3)  # the runtime's, which does not end at SIGTERM


def test_the_answer_comes_first(bench: Bench) -> None:
    """It is there before the extension has done its work, which `finish` waits for; until then nothing is frozen."""

    async def slow(runtime: FakeRuntime) -> None:
        reply = await runtime.call(
            "POST", f"{EXTENSION}register", body=b'{"events": ["INVOKE"]}', headers={"Lambda-Extension-Name": "agent"}
        )
        own = {"Lambda-Extension-Identifier": reply.headers["Lambda-Extension-Identifier"]}
        await runtime.call("GET", f"{EXTENSION}event/next", headers=own)
        await runtime.sandbox.linger()
        runtime.take(0.5)
        await runtime.call("GET", f"{EXTENSION}event/next", headers=own)

    made, sandbox = environment(bench, echo, crew=slow)
    begun = made.begin(order(b"1"))
    assert (begun.body, begun.error, begun.rest) == (b"1", None, "extensions")
    assert made.rest()
    assert "freeze" not in sandbox.calls
    sandbox.go_on()
    result = begun.finish()
    assert result.timings.duration_ms == pytest.approx(500)
    assert made.rest()
    assert sandbox.frozen


def test_nobody_waits_for_those_who_want_no_invocation(bench: Bench) -> None:
    """SHUTDOWN alone does not prolong one."""

    async def quiet(runtime: FakeRuntime) -> None:
        reply = await runtime.call(
            "POST", f"{EXTENSION}register", body=b'{"events": ["SHUTDOWN"]}', headers={"Lambda-Extension-Name": "agent"}
        )
        own = {"Lambda-Extension-Identifier": reply.headers["Lambda-Extension-Identifier"]}
        await runtime.call("GET", f"{EXTENSION}event/next", headers=own)

    made, _ = environment(bench, echo, crew=quiet)
    begun = made.begin(order(b"1"))
    assert begun.rest == "brief"
    assert begun.finish().ok


def test_a_launch_that_failed(bench: Bench) -> None:
    """In its line, with what the system said in the answer; those after it were never there."""
    said = "fork/exec /opt/extensions/agent: permission denied"

    async def denied(runtime: FakeRuntime) -> None:
        runtime.sandbox.tell(Exit(extension="agent", error_type="Extension.LaunchError", said=said))

    made, sandbox = bench.environment(echo, external=("agent", "later"))
    sandbox.crew = (denied,)
    result = invoke(made)
    assert result.error is not None
    assert (result.error.type, result.error.message.partition("Error: ")[2]) == ("Extension.LaunchError", said)
    assert "EXTENSION\tName: agent\tState: LaunchError\tEvents: []\tError Type: PermissionDenied\n" in result.log
    assert "Name: later" not in result.log
