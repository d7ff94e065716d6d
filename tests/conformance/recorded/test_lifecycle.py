"""What an environment keeps and loses, and when it is initialised: over calls, failures, resets and concurrency."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.recorded.cloud import Answer, Cloud
from tests.conformance.recorded.sources import (
    IMPORT_LOG,
    LIFECYCLE,
    RECORDED_2024,
    SCALING,
    case,
    recorded,
)

STREAM = "os.environ['AWS_LAMBDA_LOG_STREAM_NAME']"


def counts(answer: Answer) -> tuple[int, int]:
    """How often this runtime process was called, and how often this environment."""
    assert not answer.failed, answer.body
    return answer.payload["global"], answer.payload["tmp"]


@recorded(LIFECYCLE)
def test_globals_and_tmp_stay(aws: Cloud) -> None:
    """From one invocation to the next, over an exception too."""
    assert counts(aws.invoke("Warm")) == (1, 1)
    assert counts(aws.invoke("Warm")) == (2, 2)
    failed = aws.invoke("Warm", {"do": "raise", "message": "no"})
    assert failed.failed
    assert counts(again := aws.invoke("Warm")) == (4, 4)
    assert "Init Duration" not in again.report


@pytest.mark.parametrize(
    ("name", "death"),
    [
        case("exit", RECORDED_2024, "Exits", {"do": "exit", "status": 1}),
        case("timeout", LIFECYCLE, "TimesOut", {"do": "sleep", "seconds": 60}),
        case("out of memory", LIFECYCLE, "Exhausts", {"do": "exhaust"}),
    ],
)
def test_reset(aws: Cloud, name: str, death: object) -> None:
    """`/tmp` is kept and globals are gone; the init is suppressed: inside Duration, without a line of its own."""
    aws.invoke(name)
    before = counts(aws.invoke(name))
    assert before[0] >= 2 or name == "Exits"
    assert aws.invoke(name, death).failed
    after = aws.invoke(name)
    assert counts(after) == (1, before[1] + 2)
    assert [line.split()[0] for line in after.log.splitlines()] == ["START", "END", "REPORT"]
    assert "Init Duration" not in after.report
    assert counts(aws.invoke(name)) == (2, before[1] + 3)


@recorded(LIFECYCLE)
def test_suppressed_init_is_in_the_duration(aws: Cloud) -> None:
    """And so is billed: longer than what is warm takes."""
    name = "Exits"
    aws.invoke(name, {"do": "exit", "status": 1})
    suppressed, *warm = [aws.invoke(name) for _ in range(6)]
    durations = [float(answer.report["Duration"].removesuffix(" ms")) for answer in (suppressed, *warm)]
    assert durations[0] > 3 * min(durations[1:])


@recorded(IMPORT_LOG)
def test_init_that_fails_once(aws: Cloud) -> None:
    """It is run again inside the invocation, which succeeds without an Init Duration."""
    answer = aws.invoke("InitOnce")
    assert answer.payload == "imported at the second try"
    reports = re.findall(r"^INIT_REPORT .*Phase: (\w+)\tStatus: (\w+)\tError Type: (\S+)$", answer.log, re.MULTILINE)
    assert reports == [("init", "error", "RuntimeError")]
    assert "Init Duration" not in answer.report


@recorded(SCALING)
def test_one_environment_per_concurrent_call(aws: Cloud) -> None:
    """Two at once are in two, each with a log stream of its own."""
    with ThreadPoolExecutor() as pool:
        seen = list(pool.map(lambda _: aws.look(f"[time.sleep(0.5), {STREAM}][1]"), range(2)))
    assert len(set(seen)) == 2


@recorded(SCALING)
def test_calls_one_after_the_other_share_one(aws: Cloud) -> None:
    """The environment that was used last is used again."""
    assert len({aws.look(STREAM) for _ in range(5)}) == 1


@recorded(LIFECYCLE)
def test_a_crash_touches_no_other(aws: Cloud) -> None:
    """An invocation beside it goes on, in an environment that stays warm."""
    expression = "[globals().setdefault('kept', os.getpid()), time.sleep(0.6)][0]"
    with ThreadPoolExecutor() as pool:
        beside = pool.submit(aws.look, expression)
        crash = pool.submit(aws.invoke, "Exits", {"do": "exit", "status": 1})
        assert crash.result().failed
        assert isinstance(beside.result(), int)


@recorded(LIFECYCLE)
def test_background_threads_stop_between_invocations(aws: Cloud) -> None:
    """They stand still while nothing is invoked, and go on with the next invocation."""
    name = "Background"
    aws.invoke(name, {"do": "start", "wait": 0.3})
    aws.invoke(name, {"do": "forget"})
    threads = aws.invoke(name, {"wait": 0.3}).payload
    assert threads["ticks"] > 10
    aws.invoke(name, {"do": "forget"})
    aws.look("time.sleep(1.8)")  # somebody else's; meanwhile this one is idle
    after = aws.invoke(name, {"wait": 0.3}).payload
    assert after["pid"] == threads["pid"]
    assert after["gap"] > 0.5
