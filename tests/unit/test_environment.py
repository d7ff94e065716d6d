"""One execution environment whose function does well: phases, figures, log, over a scripted runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.environment import Order
from emulator.sandbox.base import Figures
from tests.bench import END, MIB, REPORT, REQUEST_ID, START, Bench, invoke, opened
from tests.fakes import FakeRuntime, echo
from tests.hand_loop import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give a bench that is cleared after the test."""
    with opened(monkeypatch) as made:
        yield made


async def cold_then_warm(runtime: FakeRuntime) -> None:
    """Run as the real function of 2026 did (id 58766576805), and faster the second time."""
    runtime.take(0.53439, cpu_seconds=0.5, memory_bytes=100 * MIB)
    runtime.log(b"loading\n")
    for seconds in (1.4489, 0.1):
        await runtime.next()
        runtime.take(seconds, cpu_seconds=seconds / 10, memory_bytes=109 * MIB)
        runtime.log(b"working\n")
        await runtime.respond(b'"done"')
    await runtime.next()


def test_cold_and_warm(bench: Bench) -> None:
    """The REPORT lines are those of the real function: Init Duration on the first call alone, and billed with it."""
    environment, _ = bench.environment(cold_then_warm, figures=Figures(memory_peak_bytes=0, cpu_seconds=0.0))
    cold, warm = invoke(environment), invoke(environment)
    assert cold.log == (
        f"loading\n{START}working\n{END}"
        f"{REPORT}Duration: 1448.90 ms\tBilled Duration: 1984 ms\t"
        "Memory Size: 256 MB\tMax Memory Used: 109 MB\tInit Duration: 534.39 ms\t\n"
    )
    assert warm.log == (
        f"{START}working\n{END}"
        f"{REPORT}Duration: 100.00 ms\tBilled Duration: 100 ms\t"
        "Memory Size: 256 MB\tMax Memory Used: 109 MB\t\n"
    )
    assert cold.ok
    assert cold.cold
    assert not warm.cold
    assert (cold.body, cold.payload) == (b'"done"', "done")


def test_figures_are_of_the_phase_they_are_named_for(bench: Bench) -> None:
    """CPU time is each invocation's own, init's stands apart, and the peak is the environment's so far."""
    environment, _ = bench.environment(
        cold_then_warm, figures=Figures(memory_peak_bytes=7, cpu_seconds=0.01, throttled_seconds=0.0)
    )
    cold, warm = invoke(environment).usage, invoke(environment).usage
    assert cold.max_memory_bytes == warm.max_memory_bytes == 109 * MIB
    assert cold.cpu_seconds == pytest.approx(0.14489)
    assert warm.cpu_seconds == pytest.approx(0.01)
    assert cold.init_cpu_seconds == pytest.approx(0.51)
    assert warm.init_cpu_seconds is None
    assert (cold.throttled_seconds, warm.throttled_seconds) == (0.0, 0.0)


def test_what_the_kernel_does_not_tell_stays_unknown(bench: Bench) -> None:
    """None stays None, and the REPORT line has no memory figure."""
    environment, _ = bench.environment(cold_then_warm)
    result = invoke(environment)
    usage = result.usage
    assert (usage.max_memory_bytes, usage.cpu_seconds, usage.throttled_seconds) == (None, None, None)
    assert "Max Memory Used" not in result.log


def test_counters_that_go_back_are_not_negative_time(bench: Bench) -> None:
    """A counter that was read from somewhere else the second time gives zero."""

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        runtime.take(0.1, cpu_seconds=-5.0)
        await runtime.respond(b"1")
        await runtime.next()

    environment, _ = bench.environment(runtime, figures=Figures(cpu_seconds=6.0))
    assert invoke(environment).usage.cpu_seconds == 0.0


def test_figures_that_come_late_are_not_compared(bench: Bench) -> None:
    """A counter that could not be read before the event says nothing of the event."""

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        runtime.sandbox.now = Figures(cpu_seconds=6.0, memory_peak_bytes=MIB)
        await runtime.respond(b"1")
        await runtime.next()

    environment, _ = bench.environment(runtime)
    usage = invoke(environment).usage
    assert usage.cpu_seconds is None
    assert usage.max_memory_bytes == MIB


def test_throttled_from_the_end_of_init(bench: Bench) -> None:
    """Init runs at full speed; the share applies before the event is handed over, once."""
    environment, sandbox = bench.environment(echo)
    invoke(environment)
    invoke(environment)
    assert [call for call in sandbox.calls if call != "flush"] == ["go", "throttle on"]


def test_the_log_is_complete_before_the_report(bench: Bench) -> None:
    """What the runtime wrote before it answered is waited for in each invocation."""
    environment, sandbox = bench.environment(echo)
    for count in (1, 2):
        invoke(environment)
        assert sandbox.calls.count("flush") >= count


def test_the_event_has_deadline_and_caller(bench: Bench) -> None:
    """The deadline is Unix time in milliseconds, the function's timeout after the start of the invocation."""
    headers: list[dict[str, str]] = []

    async def runtime(runtime: FakeRuntime) -> None:
        runtime.take(0.25)
        for _ in range(2):
            reply = await runtime.next()
            headers.append(dict(reply.headers))
            runtime.take(1.0)
            await runtime.respond(reply.body)
        await runtime.next()

    environment, _ = bench.environment(runtime, timeout_s=3)
    with_context = Order(
        request_id=REQUEST_ID, payload=b"{}", function_arn="arn:aws:lambda:x", trace_id="Root=1", client_context="{}"
    )
    invoke(environment)
    environment.invoke(with_context)
    deadlines = [int(found["Lambda-Runtime-Deadline-Ms"]) for found in headers]
    assert deadlines == [int((EPOCH + 3.25) * 1000), int((EPOCH + 4.25) * 1000)]
    assert headers[0]["Lambda-Runtime-Aws-Request-Id"] == REQUEST_ID
    assert headers[0]["Lambda-Runtime-Invoked-Function-Arn"] == "arn:aws:lambda:x"
    assert headers[0]["Lambda-Runtime-Trace-Id"] == "Root=1"
    assert [found.get("Lambda-Runtime-Client-Context") for found in headers] == [None, "{}"]


def test_an_exception_is_an_answer(bench: Bench) -> None:
    """The runtime's own document is passed on as it came, REPORT has no status, and the environment stays warm."""
    body = b'{"errorMessage": "no", "errorType": "ValueError", "requestId": "1", "stackTrace": ["  File a\\n", "b"]}'

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        await runtime.fail(body)
        await echo(runtime)

    environment, sandbox = bench.environment(runtime)
    result = invoke(environment)
    assert result.error is not None
    assert (result.error.type, result.error.message) == ("ValueError", "no")
    assert result.error.stack_trace == ("  File a\n", "b")
    assert result.body == body
    assert "Status:" not in result.log
    assert environment.warm
    assert not invoke(environment).cold
    assert sandbox.calls.count("go") == 1


@pytest.mark.parametrize(
    ("body", "header", "type_", "message"),
    [
        (b"not JSON", None, "Function.Unknown", ""),
        (b"not JSON", "Custom.Broken", "Custom.Broken", ""),
        (b"[1]", None, "Function.Unknown", ""),
        (b"{}", None, "Function.Unknown", ""),
        (b'{"errorType": "A", "errorMessage": 5}', "B", "A", "5"),
        (b'{"errorType": null, "errorMessage": null, "stackTrace": null}', None, "Function.Unknown", ""),
        (b'{"errorMessage": "m", "stackTrace": "text"}', None, "Function.Unknown", "m"),
        (b"\xff", None, "Function.Unknown", ""),
    ],
)
def test_an_error_that_says_little(bench: Bench, body: bytes, header: str | None, type_: str, message: str) -> None:
    """A runtime that is not AWS's may report anything; the header's type stands in, and the body is passed on."""

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        await runtime.fail(body, {"Lambda-Runtime-Function-Error-Type": header} if header else None)
        await runtime.next()

    environment, _ = bench.environment(runtime)
    result = invoke(environment)
    assert result.error is not None
    assert (result.error.type, result.error.message, result.error.stack_trace) == (type_, message, ())
    assert result.body == body


def test_what_is_written_after_the_answer_comes_next_time(bench: Bench) -> None:
    """At the head of the next invocation's log, as on Lambda."""

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        await runtime.respond(b"1")
        await runtime.next()
        await runtime.respond(b"2")
        await runtime.next()

    environment, sandbox = bench.environment(runtime)
    first = invoke(environment)
    sandbox.say(b"from a thread\n")
    second = invoke(environment)
    assert "from a thread" not in first.log
    assert second.log.startswith(f"from a thread\n{START}")


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([b"caf\xc3", b"\xa9\n"], "café\n"),
        ([b"no end"], "no end\n"),
        ([b"a", b"b", b"\n", b"c\n"], "ab\nc\n"),
        ([b"bad \xff byte\n"], "bad \ufffd byte\n"),
        ([], ""),
        ([b"a\r\n", b"\n"], "a\r\n\n"),
    ],
)
def test_output_comes_in_pieces(bench: Bench, pieces: list[bytes], shown: str) -> None:
    """Letters that were cut are whole again, and our lines begin on a line of their own."""

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        for piece in pieces:
            runtime.log(piece)
        await runtime.respond(b"1")
        await runtime.next()

    environment, _ = bench.environment(runtime)
    assert invoke(environment).log.startswith(f"{START}{shown}{END}REPORT")


def test_the_log_is_told_as_it_comes(bench: Bench) -> None:
    """Line by line while the handler still works, and at the end it is the log of the result."""
    said: list[str] = []

    async def runtime(runtime: FakeRuntime) -> None:
        runtime.sandbox.say(b"loading\n")
        assert said == ["loading\n"]
        await runtime.next()
        runtime.sandbox.say(b"caf\xc3")
        assert said[1:] == [START]
        runtime.sandbox.say(b"\xa9\r\nhalf a ")
        assert said[2:] == ["café\r\n"]
        runtime.sandbox.say(b"line")
        await runtime.respond(b"1")
        await runtime.next()

    environment, _ = bench.environment(runtime, on_log=said.append)
    log = invoke(environment).log
    assert "".join(said) == log
    assert "half a line\nEND" in log


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.binary(max_size=4)
        | st.sampled_from([b"\n", "é".encode(), b"[ERROR] E\rTraceback (most recent call last):\r\xc2\xa0 x\n"]),
        max_size=6,
    )
)
def test_what_is_told_is_the_log(bench: Bench, pieces: list[bytes]) -> None:
    """However it was cut, and over several invocations."""
    said: list[str] = []

    async def runtime(runtime: FakeRuntime) -> None:
        while True:
            for piece in pieces:
                runtime.sandbox.say(piece)
            await runtime.next()
            for piece in pieces:
                runtime.log(piece)
            await runtime.respond(b"1")

    environment, _ = bench.environment(runtime, on_log=said.append)
    logs = [invoke(environment).log for _ in range(2)]
    environment.close()
    assert "".join(said).startswith("".join(logs))


def test_error_records_are_shown_as_lines(bench: Bench) -> None:
    """The client's one-line record becomes the traceback that CloudWatch shows."""

    async def runtime(runtime: FakeRuntime) -> None:
        await runtime.next()
        runtime.log("[ERROR] E: m\rTraceback (most recent call last):\r\u00a0\u00a0File a\n".encode())
        await runtime.fail(b"{}")
        await runtime.next()

    environment, _ = bench.environment(runtime)
    assert "[ERROR] E: m\nTraceback (most recent call last):\n  File a\nEND" in invoke(environment).log


def test_a_foreign_address_cannot_act_for_the_runtime(bench: Bench) -> None:
    """A caller on the same network gets 403 and the invocation goes on."""
    statuses: list[int] = []

    async def runtime(runtime: FakeRuntime) -> None:
        event = await runtime.next()
        path = f"/invocation/{runtime.request_id}/response"
        statuses.append((await runtime.call("POST", path, body=b"forged", peer="10.0.0.3")).status)
        await runtime.respond(event.body)
        await runtime.next()

    environment, _ = bench.environment(runtime, peer="10.0.0.2")
    assert invoke(environment, b'"mine"').payload == "mine"
    assert statuses == [403]


def test_a_runtime_that_comes_back_late(bench: Bench) -> None:
    """It has nothing to be reset for."""

    async def slow(runtime: FakeRuntime) -> None:
        while True:
            event = await runtime.next()
            await runtime.respond(event.body)
            runtime.take(11.0)

    environment, sandbox = bench.environment(slow)
    assert invoke(environment).ok
    assert invoke(environment).timings.duration_ms == 0.0
    assert "reset" not in sandbox.calls


def test_warm(bench: Bench) -> None:
    """Only what has been initialised and has not failed since."""
    environment, _ = bench.environment(echo)
    assert not environment.warm
    invoke(environment)
    assert environment.warm


def test_the_sandbox_can_be_found(bench: Bench) -> None:
    """By the name that the backend gave."""
    environment, _ = bench.environment(echo)
    assert environment.sandbox == "fake-0"


def test_close_ends_everything(bench: Bench) -> None:
    """Server and sandbox, also when called twice and before any invocation."""
    environment, sandbox = bench.environment(echo)
    environment.close()
    environment.close()
    assert "close" in sandbox.calls
    assert "go" not in sandbox.calls
    assert all(served.closed for served in sandbox.servers)


def test_close_ends_the_sandbox_whatever_happens(bench: Bench) -> None:
    """A server that cannot be closed leaves no sandbox behind."""
    environment, sandbox = bench.environment(echo)
    invoke(environment)
    trouble = sandbox.servers[-1]
    trouble.trouble = TimeoutError("no answer")
    with pytest.raises(TimeoutError):
        environment.close()
    assert sandbox.calls[-1] == "close"
    trouble.trouble = None
