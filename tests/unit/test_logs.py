"""The lines around a function's output, byte for byte as AWS wrote them, and what is billed."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from awslambdaric import bootstrap
from hypothesis import given
from hypothesis import strategies as st

from emulator import logs
from emulator.logs import Report

if TYPE_CHECKING:
    from typing import Literal

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A real line from a public repository, collected 2026-11: when it was written and where, its figures."""

    when: str
    report: Report
    line: str


REPORTS = [
    Seen(
        when="2025-05-12 python3.11 warm (ubc-cirrus-lab dataset)",
        report=Report(
            request_id="94f4a28a-dbe3-4114-9f2b-0b3ae40f4dbc",
            duration_ms=155.51,
            billed_ms=156,
            memory_mb=1769,
            max_memory_bytes=40 * MIB,
        ),
        line="REPORT RequestId: 94f4a28a-dbe3-4114-9f2b-0b3ae40f4dbc\t"
        "Duration: 155.51 ms\tBilled Duration: 156 ms\t"
        "Memory Size: 1769 MB\tMax Memory Used: 40 MB\t\n",
    ),
    Seen(
        when="2026 cold (id 58766576805)",
        report=Report(
            request_id="b4feda01-4e66-40ff-a833-2c11f3c8c290",
            duration_ms=1448.90,
            billed_ms=1984,
            memory_mb=256,
            max_memory_bytes=109 * MIB,
            init_ms=534.39,
        ),
        line="REPORT RequestId: b4feda01-4e66-40ff-a833-2c11f3c8c290\t"
        "Duration: 1448.90 ms\tBilled Duration: 1984 ms\t"
        "Memory Size: 256 MB\tMax Memory Used: 109 MB\tInit Duration: 534.39 ms\t\n",
    ),
    Seen(
        when="2026-07 timeout, cold (id 58558758467)",
        report=Report(
            request_id="d602a1ed-503f-4ff7-9639-650e773dbbee",
            duration_ms=600_000.0,
            billed_ms=600_477,
            memory_mb=1536,
            max_memory_bytes=1035 * MIB,
            init_ms=476.75,
            status="timeout",
        ),
        line="REPORT RequestId: d602a1ed-503f-4ff7-9639-650e773dbbee\t"
        "Duration: 600000.00 ms\tBilled Duration: 600477 ms\t"
        "Memory Size: 1536 MB\tMax Memory Used: 1035 MB\tInit Duration: 476.75 ms\tStatus: timeout\n",
    ),
    Seen(
        when="2026 timeout of 3 s, cold (id 56144997678)",
        report=Report(
            request_id="1f60b20c-8ed7-41ed-9945-08dcafcc74ee",
            duration_ms=3000.0,
            billed_ms=3403,
            memory_mb=128,
            max_memory_bytes=73 * MIB,
            init_ms=402.04,
            status="timeout",
            error_type="Sandbox.Timedout",
        ),
        line="REPORT RequestId: 1f60b20c-8ed7-41ed-9945-08dcafcc74ee\t"
        "Duration: 3000.00 ms\tBilled Duration: 3403 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 73 MB\tInit Duration: 402.04 ms\tStatus: timeout\n",
    ),
    Seen(
        when="2026-10 out of memory, cold (id 71311102296)",
        report=Report(
            request_id="3b9e07c5-5fa2-47ad-af06-e44d2b64ec8f",
            duration_ms=344_356.22,
            billed_ms=344_756,
            memory_mb=1024,
            max_memory_bytes=1024 * MIB,
            init_ms=399.33,
            status="error",
            error_type="Runtime.OutOfMemory",
        ),
        line="REPORT RequestId: 3b9e07c5-5fa2-47ad-af06-e44d2b64ec8f\t"
        "Duration: 344356.22 ms\tBilled Duration: 344756 ms\t"
        "Memory Size: 1024 MB\tMax Memory Used: 1024 MB\tInit Duration: 399.33 ms\tStatus: error\t"
        "Error Type: Runtime.OutOfMemory\n",
    ),
    Seen(
        when="2025-12-15 import error, init run again in the invocation (id 67189750501)",
        report=Report(
            request_id="334ddbf5-4c1b-4904-a1ec-75ded4da6de1",
            duration_ms=111.94,
            billed_ms=112,
            memory_mb=256,
            max_memory_bytes=44 * MIB,
            status="error",
            error_type="Runtime.ImportModuleError",
        ),
        line="REPORT RequestId: 334ddbf5-4c1b-4904-a1ec-75ded4da6de1\t"
        "Duration: 111.94 ms\tBilled Duration: 112 ms\t"
        "Memory Size: 256 MB\tMax Memory Used: 44 MB\tStatus: error\tError Type: Runtime.ImportModuleError\n",
    ),
    Seen(
        when="2026-09-23 after an init that ran out of time (id 69036898723)",
        report=Report(
            request_id="ca70bee3-29fb-4f33-9e21-3e8dd4c4a37b",
            duration_ms=5545.81,
            billed_ms=5546,
            memory_mb=3008,
            max_memory_bytes=385 * MIB,
        ),
        line="REPORT RequestId: ca70bee3-29fb-4f33-9e21-3e8dd4c4a37b\t"
        "Duration: 5545.81 ms\tBilled Duration: 5546 ms\t"
        "Memory Size: 3008 MB\tMax Memory Used: 385 MB\t\n",
    ),
    Seen(
        when="undated crash in the handler, cold, java (id 63611388468)",
        report=Report(
            request_id="5b3aa800-5ff2-4756-89f4-8b01418f8b79",
            duration_ms=1248.31,
            billed_ms=1542,
            memory_mb=128,
            max_memory_bytes=94 * MIB,
            init_ms=293.05,
            status="error",
            error_type="Runtime.ExitError",
        ),
        line="REPORT RequestId: 5b3aa800-5ff2-4756-89f4-8b01418f8b79\t"
        "Duration: 1248.31 ms\tBilled Duration: 1542 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 94 MB\tInit Duration: 293.05 ms\tStatus: error\t"
        "Error Type: Runtime.ExitError\n",
    ),
]

INIT_REPORTS: list[tuple[float, Literal["init", "invoke"], logs.Status, str | None, str]] = [
    # 2026-09-23 (id 69036898723)
    (9999.56, "init", "timeout", None, "INIT_REPORT Init Duration: 9999.56 ms\tPhase: init\tStatus: timeout\n"),
    # 2025-12-15 (id 67189750501), the same environment's two phases
    (
        171.39,
        "init",
        "error",
        "Runtime.ImportModuleError",
        "INIT_REPORT Init Duration: 171.39 ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n",
    ),
    (
        99.91,
        "invoke",
        "error",
        "Runtime.ImportModuleError",
        "INIT_REPORT Init Duration: 99.91 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ImportModuleError\n",
    ),
    # 2025 (https://qiita.com/kijuky/items/fffac99c93fef2382866)
    (
        154.03,
        "init",
        "error",
        "Runtime.ExitError",
        "INIT_REPORT Init Duration: 154.03 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n",
    ),
    # 2024-04-14 (id 42735808333)
    (3003.83, "invoke", "timeout", None, "INIT_REPORT Init Duration: 3003.83 ms\tPhase: invoke\tStatus: timeout\n"),
]

MILLISECONDS = st.floats(min_value=0, max_value=900_000)
HUNDREDTHS = st.integers(min_value=0, max_value=90_000_000)
# What stands in an error's message or in a line of source; no-break spaces are the user's own here.
WORDS = st.text("abz:'\"\\ \t\u00a0é€{}", min_size=1, max_size=30).map(lambda text: f"x{text}x")


@pytest.mark.parametrize("seen", REPORTS, ids=lambda seen: seen.when)
def test_report_line_is_the_real_one(seen: Seen) -> None:
    """The same figures give the same bytes, trailing tab included."""
    assert logs.report_line(seen.report) == seen.line


@pytest.mark.parametrize("seen", REPORTS, ids=lambda seen: seen.when)
def test_billed_is_the_real_one(seen: Seen) -> None:
    """Duration and Init Duration of the real lines (all later than 2025-08-01 or warm) give their Billed Duration."""
    report = seen.report
    assert logs.billed_ms(report.duration_ms, report.init_ms) == report.billed_ms


@pytest.mark.parametrize(("init_ms", "phase", "status", "error_type", "line"), INIT_REPORTS)
def test_init_report_line_is_the_real_one(
    init_ms: float, phase: Literal["init", "invoke"], status: logs.Status, error_type: str | None, line: str
) -> None:
    """Failed inits as AWS logs them."""
    assert logs.init_report_line(init_ms, phase=phase, status=status, error_type=error_type) == line


def test_start_and_end_lines() -> None:
    """As in the guide's sample log, with the one version there is here."""
    assert logs.start_line("8f5") == "START RequestId: 8f5 Version: $LATEST\n"
    assert logs.end_line("8f5") == "END RequestId: 8f5\n"


def test_memory_that_was_not_measured_is_left_out() -> None:
    """No figure is made up."""
    report = Report(request_id="1", duration_ms=1, billed_ms=1, memory_mb=128, max_memory_bytes=None)
    assert (
        logs.report_line(report)
        == "REPORT RequestId: 1\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 128 MB\t\n"
    )


def test_error_without_a_type() -> None:
    """The status alone."""
    report = Report(request_id="1", duration_ms=1, billed_ms=1, memory_mb=128, max_memory_bytes=MIB, status="error")
    assert logs.report_line(report).endswith("Max Memory Used: 1 MB\tStatus: error\n")


def test_an_error_of_the_handlers_has_no_status() -> None:
    """A type alone changes nothing while the platform did not step in."""
    report = Report(
        request_id="1", duration_ms=1, billed_ms=1, memory_mb=128, max_memory_bytes=MIB, error_type="ValueError"
    )
    assert logs.report_line(report).endswith("Max Memory Used: 1 MB\t\n")


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, 0), (1, 1), (MIB - 1, 1), (MIB, 1), (MIB + 1, 2), (128 * MIB, 128), (128 * MIB + 1, 129)],
)
def test_megabytes_round_up(size: int, shown: int) -> None:
    """A byte over is a megabyte more."""
    assert logs.megabytes(size) == shown


@given(duration=st.integers(0, 900_000), init=st.none() | st.integers(0, 10_000))
def test_whole_milliseconds_are_billed_as_they_are(duration: int, init: int | None) -> None:
    """There is nothing to round."""
    assert logs.billed_ms(float(duration), None if init is None else float(init)) == duration + (init or 0)


@given(duration=HUNDREDTHS, init=HUNDREDTHS)
def test_printed_figures_are_billed_exactly(duration: int, init: int) -> None:
    """The sum of two figures of two decimals is rounded up as on paper, whatever binary floats make of it."""
    assert logs.billed_ms(duration / 100, init / 100) == -(-(duration + init) // 100)


@given(duration=MILLISECONDS, init=st.none() | MILLISECONDS)
def test_billed_is_the_sum_rounded_up(duration: float, init: float | None) -> None:
    """Never less than the sum and never a millisecond more, within a nanosecond."""
    total = duration + (init or 0.0)
    assert total - 1e-6 <= logs.billed_ms(duration, init) < total + 1 + 1e-6


@pytest.mark.parametrize(
    ("duration_ms", "init_ms", "billed"),
    [
        (0.1, 0.2, 1),
        (1.1, 2.2, 4),
        (0.7, 0.1 + 0.2, 1),  # 1.0000000000000002 in binary
        (3000.0000000000005, None, 3000),
        (3000.00001, None, 3001),
        (0.0, None, 0),
        (0.0, 0.0, 0),
        (0.01, None, 1),
    ],
)
def test_billed_at_the_edge_of_a_millisecond(duration_ms: float, init_ms: float | None, billed: int) -> None:
    """The noise of binary floats is free of charge, a hundredth of a microsecond is not."""
    assert logs.billed_ms(duration_ms, init_ms) == billed


def client_record(kind: str, message: str, trace: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Let AWS's own client write an error record as it does inside a function."""
    bootstrap.log_error(bootstrap.make_error(message, kind, trace, "1"), bootstrap.StandardLogSink())
    return capsys.readouterr().out


TRACE = [
    '  File "/var/task/app.py", line 3, in handler\n    return total(event["items"])\n',
    '  File "/var/task/app.py", line 8, in total\n    raise ValueError("no items")\n',
]
SHOWN = """[ERROR] ValueError: no items
Traceback (most recent call last):
  File "/var/task/app.py", line 3, in handler
    return total(event["items"])
  File "/var/task/app.py", line 8, in total
    raise ValueError("no items")
"""


def test_the_clients_record_becomes_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A record that AWS's client wrote as one line comes out as the traceback it was, text around it untouched."""
    record = client_record("ValueError", "no items", TRACE, capsys)
    assert record.count("\n") == 1
    assert logs.as_cloudwatch_shows(f"before\r\n{record}after\u00a0\r\n") == f"before\r\n{SHOWN}after\u00a0\r\n"


def test_a_record_without_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """An import error has none."""
    record = client_record("Runtime.ImportModuleError", "Unable to import module 'app'", [], capsys)
    shown = "[ERROR] Runtime.ImportModuleError: Unable to import module 'app'\nTraceback (most recent call last):\n"
    assert logs.as_cloudwatch_shows(record) == shown


@given(message=WORDS, sources=st.lists(WORDS, max_size=3))
def test_a_record_keeps_the_users_text(message: str, sources: list[str]) -> None:
    """Only the line ends and the indentation are changed back; no-break spaces of the user's stay."""
    lines = [f"[ERROR] ValueError: {message}", "Traceback (most recent call last):"]
    lines += [f"    {source}" for source in sources]
    written = [bootstrap.replace_line_indentation(line, " ", bootstrap.ERROR_LOG_IDENT) for line in lines]
    record = bootstrap.ERROR_LOG_LINE_TERMINATE.join(written) + "\n"
    assert logs.as_cloudwatch_shows(record) == "\n".join(lines) + "\n"


@given(text=st.text() | st.text("\r\n\u00a0ab"))
def test_other_text_is_left_alone(text: str) -> None:
    """A log without such a record is shown as it was written, carriage returns and no-break spaces included."""
    assert logs.as_cloudwatch_shows(text) == text


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 10_000])
def test_the_tail_is_the_last_4_kb(size: int) -> None:
    """As base64; a character at the edge may be cut, as AWS cuts it."""
    log = "\u20ac" * (size // 3) + "x" * (size % 3)
    assert base64.b64decode(logs.tail(log)) == log.encode()[-4096:]
