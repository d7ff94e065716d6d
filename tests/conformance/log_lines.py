"""The shape of Lambda's log, line by line, and what a REPORT line must agree with."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from emulator.limits import MIB

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.invocation import InvocationResult

MS: Final = r"\d+\.\d\d ms"
TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
WARNING: Final = rf"\[WARNING\]\t{TIME}\t\tLAMBDA_WARNING: Unhandled exception\. [^\n]*"
TRACEBACK: Final = r"Traceback \(most recent call last\):"
FRAMES: Final = r"(?:  [^\n]*\n)*?  [^\n]*"


def start(result: InvocationResult) -> str:
    """The START line of this invocation."""
    return rf"START RequestId: {result.request_id} Version: \$LATEST"


def end(result: InvocationResult) -> str:
    """The END line of this invocation."""
    return f"END RequestId: {result.request_id}"


def report(
    result: InvocationResult, config: FunctionConfig, *, cold: bool = False, status: str = "", error_type: str = ""
) -> str:
    """The REPORT line: tab after the last field of a success, none after a status (real lines of 2025 and 2026)."""
    fields = [
        f"REPORT RequestId: {result.request_id}",
        f"Duration: {MS}",
        r"Billed Duration: \d+ ms",
        f"Memory Size: {config.memory_mb} MB",
        r"Max Memory Used: \d+ MB",
    ]
    if cold:
        fields.append(f"Init Duration: {MS}")
    if not status:
        return r"\t".join(fields) + r"\t"
    fields.append(f"Status: {status}")
    if error_type:
        fields.append(f"Error Type: {re.escape(error_type)}")
    return r"\t".join(fields)


def init_report(phase: str, status: str, error_type: str = "") -> str:
    """The INIT_REPORT line, which Lambda writes where init failed."""
    fields = [f"INIT_REPORT Init Duration: {MS}", f"Phase: {phase}", f"Status: {status}"]
    if error_type:
        fields.append(f"Error Type: {re.escape(error_type)}")
    return r"\t".join(fields)


def error_record(type_: str, message: str, frames: str = "") -> str:
    """The runtime client's record of an exception."""
    lines = [rf"\[ERROR\] {re.escape(type_)}: {message}", TRACEBACK]
    return "\n".join([*lines, frames] if frames else lines)


def assert_log(result: InvocationResult, *patterns: str) -> None:
    """The whole log is these lines, in this order, and nothing else."""
    whole = "".join(f"{pattern}\n" for pattern in patterns)
    assert re.fullmatch(whole, result.log), f"not\n{whole}\nbut\n{result.log}"


def assert_figures(result: InvocationResult, config: FunctionConfig, *, memory: str = "kernel") -> None:
    """The REPORT line says what the result says, and its figures agree with each other.

    `memory` is how the limit is held: what a watcher sees can be over it.
    """
    line = result.log.splitlines()[-1]
    fields = dict(field.split(": ", 1) for field in line.removeprefix("REPORT ").rstrip("\t").split("\t"))
    timings, usage = result.timings, result.usage
    assert fields["Duration"] == f"{timings.duration_ms:.2f} ms"
    assert fields["Billed Duration"] == f"{timings.billed_ms} ms"
    assert fields.get("Init Duration") == (None if timings.init_ms is None else f"{timings.init_ms:.2f} ms")
    total = timings.duration_ms + (timings.init_ms or 0.0)
    assert timings.billed_ms == math.ceil(round(total, 6))
    assert timings.duration_ms > 0
    assert usage.max_memory_bytes is not None
    assert fields["Max Memory Used"] == f"{math.ceil(usage.max_memory_bytes / MIB)} MB"
    assert usage.max_memory_bytes > 0
    assert memory != "kernel" or usage.max_memory_bytes <= config.memory_mb * MIB
    assert usage.cpu_seconds is not None
    assert usage.cpu_seconds >= 0
    assert (usage.init_cpu_seconds is None) == (timings.init_ms is None)
