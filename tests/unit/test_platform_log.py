"""Lambda's own lines in JSON: as recorded from real functions, and only those that the level lets through."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.config import LoggingConfig, SystemLogLevel
from emulator.lifecycle import Spans
from emulator.logs import Report
from emulator.platform_log import PlatformEvent, end, init_end, runtime_done, start
from emulator.sandbox.base import Exit, Figures
from tests.bench import MIB, REQUEST_ID, Bench, invoke, opened
from tests.fakes import FakeRuntime, Runtime, echo, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = LoggingConfig(format="JSON", application_level="INFO", system_level="DEBUG")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give a bench that is cleared after the test."""
    with opened(monkeypatch) as made:
        yield made


def test_report_of_a_real_cold_start() -> None:
    """A nodejs22.x function of 2026-10-08, stored file 71517255706, to the byte."""
    report = Report(
        request_id="79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36",
        duration_ms=1233.96,
        billed_ms=1698,
        memory_mb=256,
        max_memory_bytes=123 * MIB,
        init_ms=463.512,
    )
    assert end(report, 2)[1].line(1791444629.470) == (
        '{"time":"2026-10-08T07:30:29.470Z","type":"platform.report","record":{"requestId":'
        '"79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36","metrics":{"durationMs":1233.96,"billedDurationMs":1698,'
        '"memorySizeMB":256,"maxMemoryUsedMB":123,"initDurationMs":463.512},"status":"success"}}\n'
    )


def test_report_of_a_real_timeout() -> None:
    """A function of 2026-07-09, stored file 55551217042: Duration is the timeout, and there is no error type."""
    report = Report(
        request_id="aec7a529-47f9-4090-be01-c9ed91bf83cf",
        duration_ms=5000.0,
        billed_ms=5000,
        memory_mb=128,
        max_memory_bytes=94 * MIB,
        status="timeout",
        error_type="Sandbox.Timedout",
    )
    done, reported = end(report, 0)
    assert reported.line(1783577150.581) == (
        '{"time":"2026-07-09T06:05:50.581Z","type":"platform.report","record":{"requestId":'
        '"aec7a529-47f9-4090-be01-c9ed91bf83cf","metrics":{"durationMs":5000.0,"billedDurationMs":5000,'
        '"memorySizeMB":128,"maxMemoryUsedMB":94},"status":"timeout"}}\n'
    )
    assert done.record == {
        "requestId": report.request_id,
        "status": "timeout",
        "metrics": {"durationMs": 5000.0, "producedBytes": 0},
    }


def test_start_and_a_failed_init_of_real_functions() -> None:
    """The nodejs22.x function of 2026-10-08, and an init timeout of 2024-06-17 (stored file 3784738943)."""
    arn = "arn:aws:lambda:eu-central-1:825765399535:function:tenner-notifier"
    assert start("79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36", arn).line(1791444628.235) == (
        '{"time":"2026-10-08T07:30:28.235Z","type":"platform.start","record":{"requestId":'
        f'"79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36","functionArn":"{arn}","version":"$LATEST"}}}}\n'
    )
    assert init_end(10000.487, phase="init", status="timeout", error_type=None)[1].line(1718646486.348) == (
        '{"time":"2024-06-17T17:48:06.348Z","type":"platform.initReport","record":{"initializationType":"on-demand",'
        '"phase":"init","status":"timeout","metrics":{"durationMs":10000.487}}}\n'
    )


@given(st.floats(0, 4e9, allow_nan=False))
def test_time_is_utc_with_milliseconds(now: float) -> None:
    """Never 60 seconds, never 1000 milliseconds."""
    line = json.loads(PlatformEvent(type="x", record={}, level="INFO").line(now))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d\.\d{3}Z", line["time"])


@pytest.mark.parametrize(
    ("level", "lowest", "seen"),
    [
        ("DEBUG", "DEBUG", True),
        ("DEBUG", "INFO", False),
        ("INFO", "INFO", True),
        ("INFO", "WARN", False),
        ("WARN", "WARN", True),
        ("WARN", "DEBUG", True),
    ],
)
def test_levels(level: SystemLogLevel, lowest: SystemLogLevel, seen: bool) -> None:  # noqa: FBT001 - a column
    """A level lets through what is as grave or graver."""
    assert PlatformEvent(type="x", record={}, level=level).admitted(lowest) == seen


def events(log: str) -> list[tuple[str, Any]]:
    """Type and record of each of Lambda's lines; what the function wrote stands as `function`."""
    found: list[tuple[str, Any]] = []
    for line in log.splitlines():
        document = json.loads(line) if line.startswith("{") else None
        found.append(("function", line) if document is None else (document["type"], document["record"]))
    return found


async def talks(runtime: FakeRuntime) -> None:
    """Take half a second to start, a quarter to answer, and print in both."""
    runtime.take(0.5, memory_bytes=10 * MIB)
    runtime.log(b"loading\n")
    while True:
        await runtime.next()
        runtime.take(0.25)
        runtime.log(b"working")
        await runtime.respond(b'"four"')


async def raises(runtime: FakeRuntime) -> None:
    """Answer with an exception, which the runtime caught."""
    await runtime.next()
    await runtime.fail(b'{"errorType": "ValueError", "errorMessage": "no"}')
    await runtime.next()


async def fails_to_load(runtime: FakeRuntime) -> None:
    """Report an import fault and leave."""
    await runtime.fail_init(b'{"errorType": "Runtime.ImportModuleError", "errorMessage": "no"}')
    runtime.end(Exit(status=1))


def test_every_event_of_a_cold_invocation(bench: Bench) -> None:
    """In the order of a real nodejs18.x function at DEBUG (2024-05-20, stored file 35584419994)."""
    environment, _ = bench.environment(talks, logging=JSON, figures=Figures(memory_peak_bytes=0))
    found = events(invoke(environment).log)
    assert [name for name, _ in found] == [
        "platform.initStart",
        "function",
        "platform.initRuntimeDone",
        "platform.initReport",
        "platform.start",
        "function",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert found[0][1] == {
        "initializationType": "on-demand",
        "phase": "init",
        "functionName": "F",
        "functionVersion": "$LATEST",
        "instanceMaxMemory": 256 * MIB,
    }
    assert found[3][1]["metrics"] == {"durationMs": 500.0}
    assert found[6][1]["metrics"] == {"durationMs": 250.0, "producedBytes": 6}
    assert found[7][1]["metrics"] == {
        "durationMs": 250.0,
        "billedDurationMs": 750,
        "memorySizeMB": 256,
        "maxMemoryUsedMB": 10,
        "initDurationMs": 500.0,
    }


@pytest.mark.parametrize(("back", "names"), [(None, 2), (12.8, 3)])
def test_spans(monkeypatch: pytest.MonkeyPatch, back: float | None, names: int) -> None:
    """By the clock of the wall; what was not waited for is not there."""
    monkeypatch.setattr(time, "time", lambda: 1_716_222_585.019)
    monkeypatch.setattr(time, "perf_counter", lambda: 12.819)
    spans = Spans(dispatched=12.5, began=12.75, answered=12.7505, back=back)
    record = runtime_done("r", 300.0, 40, spans=spans).record
    expected = [
        {"name": "responseLatency", "start": "2024-05-20T16:29:44.700Z", "durationMs": 250.0},
        {"name": "responseDuration", "start": "2024-05-20T16:29:44.950Z", "durationMs": 0.5},
        {"name": "runtimeOverhead", "start": "2024-05-20T16:29:44.950Z", "durationMs": 49.5},
    ]
    assert record["spans"] == expected[:names]
    assert list(record) == ["requestId", "status", "spans", "metrics"]


@pytest.mark.parametrize(
    ("level", "runtime", "expected"),
    [
        ("INFO", echo, ["platform.start", "platform.report"]),
        ("INFO", raises, ["platform.start", "platform.report"]),
        ("WARN", echo, []),
        ("WARN", raises, []),
        (
            "WARN",
            fails_to_load,
            ["platform.initRuntimeDone", "platform.initReport"] * 2 + ["platform.runtimeDone", "platform.report"],
        ),
        (
            "WARN",
            silent,
            ["platform.initRuntimeDone", "platform.initReport"] * 2 + ["platform.runtimeDone", "platform.report"],
        ),
    ],
)
def test_what_each_level_shows(bench: Bench, level: SystemLogLevel, runtime: Runtime, expected: list[str]) -> None:
    """An exception of the handler's is no failure of the platform's (see `platform_log.end`)."""
    logging = LoggingConfig(format="JSON", application_level="INFO", system_level=level)
    environment, _ = bench.environment(runtime, logging=logging)
    found = events(invoke(environment).log)
    assert [name for name, _ in found] == expected
    assert all(record["requestId"] == REQUEST_ID for _, record in found if "requestId" in record)
