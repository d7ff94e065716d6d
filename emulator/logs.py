"""The lines Lambda writes around a function's own output: formatting only, nothing here measures.

Formats from real log lines of 2024 to 2026 (tabs included) and "Viewing logs", AWS Lambda Developer Guide, 2026-07.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from emulator.lifecycle import Spans

Status = Literal["success", "error", "timeout"]
Phase = Literal["init", "invoke"]

MIB: Final = 1024 * 1024
_TAIL_BYTES: Final = 4096
_TRACEBACK: Final = "\rTraceback (most recent call last):"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of one REPORT line; None is left out of the line, as Lambda leaves out what it does not know."""

    request_id: str
    duration_ms: float
    billed_ms: int
    memory_mb: int
    max_memory_bytes: int | None
    init_ms: float | None = None
    status: Status = "success"
    error_type: str | None = None
    spans: Spans | None = None


def start_line(request_id: str) -> str:
    """The line that opens an invocation."""
    return f"START RequestId: {request_id} Version: $LATEST\n"


def end_line(request_id: str) -> str:
    """The line that closes an invocation."""
    return f"END RequestId: {request_id}\n"


def report_line(report: Report) -> str:
    """The REPORT line: durations with two decimals, memory in whole MB, tabs between the fields."""
    fields = [
        f"REPORT RequestId: {report.request_id}",
        f"Duration: {report.duration_ms:.2f} ms",
        f"Billed Duration: {report.billed_ms} ms",
        f"Memory Size: {report.memory_mb} MB",
    ]
    if report.max_memory_bytes is not None:
        fields.append(f"Max Memory Used: {megabytes(report.max_memory_bytes)} MB")
    if report.init_ms is not None:
        fields.append(f"Init Duration: {report.init_ms:.2f} ms")
    if report.status == "success":
        return "\t".join(fields) + "\t\n"
    fields.append(f"Status: {report.status}")
    if report.status == "error" and report.error_type is not None:
        fields.append(f"Error Type: {report.error_type}")
    return "\t".join(fields) + "\n"


def init_report_line(init_ms: float, *, phase: Phase, status: Status, error_type: str | None = None) -> str:
    """The INIT_REPORT line, which Lambda writes only where init failed or ran out of time."""
    fields = [f"INIT_REPORT Init Duration: {init_ms:.2f} ms", f"Phase: {phase}", f"Status: {status}"]
    if error_type is not None:
        fields.append(f"Error Type: {error_type}")
    return "\t".join(fields) + "\n"


def extension_line(name: str, state: str, events: Sequence[str], error_type: str | None = None) -> str:
    """How an extension stands at the end of init; Lambda writes it before the first START."""
    fields = [f"EXTENSION\tName: {name}", f"State: {state}", f"Events: [{', '.join(events)}]"]
    if error_type is not None:
        fields.append(f"Error Type: {error_type}")
    return "\t".join(fields) + "\n"


def telemetry_line(name: str, types: Sequence[str]) -> str:
    """An extension has subscribed to telemetry (a real log of 2023-02-18, stored file 7855861646)."""
    listed = ", ".join(one.title() for one in types)
    return f"TELEMETRY\tName: {name}\tState: Subscribed\tTypes: [{listed}]\n"


def billed_ms(duration_ms: float, init_ms: float | None) -> int:
    """Duration and Init Duration together, rounded up to 1 ms (AWS blog on INIT billing, 2025-04-29)."""
    # The sum is rounded to a nanosecond first: 0.1 + 0.2 must not be billed as one millisecond more.
    return math.ceil(round(duration_ms + (init_ms or 0.0), 6))


def megabytes(size: int) -> int:
    """Bytes as Lambda's whole MB of 1,024 KB, rounded up: a peak of 128.2 MB does not fit 128 MB."""
    return -(-size // MIB)


def tail(log: str) -> str:
    """The last 4 KB as base64, as the header X-Amz-Log-Result carries them; a character may be cut in two."""
    return base64.b64encode(log.encode("utf-8", "replace")[-_TAIL_BYTES:]).decode("ascii")


def as_cloudwatch_shows(log: str) -> str:
    """The runtime client's error records with their own line ends.

    Where it writes to standard output it joins a record's lines with carriage returns and no-break spaces, so that
    the record stays one event (awslambdaric 4, `bootstrap.py`); CloudWatch shows it as the lines it was.
    """
    if _TRACEBACK not in log:
        return log
    return "\n".join(_record(line) for line in log.split("\n"))


def _record(line: str) -> str:
    if _TRACEBACK not in line:
        return line
    return "\n".join(_indented(part) for part in line.split("\r"))


def _indented(line: str) -> str:
    """Leading no-break spaces as the blanks they stand for; those further on are the function's own."""
    text = line.lstrip("\u00a0")
    return " " * (len(line) - len(text)) + text
