"""Lambda's own lines in the JSON log format: which there are, what they hold, and which levels let them through.

Records as real functions wrote them: python3.12 of 2024-06-17 (ids 3784738943 of the stored files), nodejs18.x of
2024-05-20 (35584419994), a timeout of 2026-07-09 (55551217042) and nodejs22.x of 2026-10-08 (71517255706). Levels:
"Log levels", AWS Lambda Developer Guide, 2026-07.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from emulator.config import SystemLogLevel
from emulator.logs import MIB, Phase, Report, Status, megabytes

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.lifecycle import Spans

_ORDER: Final[tuple[SystemLogLevel, ...]] = ("DEBUG", "INFO", "WARN")
_INITIALIZATION: Final = "on-demand"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformEvent:
    """One system event; `level` is what Lambda assigns to it."""

    type: str
    record: Mapping[str, Any]
    level: SystemLogLevel

    def admitted(self, lowest: SystemLogLevel) -> bool:
        """Whether a function with this system log level gets to see it."""
        return _ORDER.index(self.level) >= _ORDER.index(lowest)

    def line(self, now: float) -> str:
        """One line of compact JSON, in UTC with milliseconds; `now` is Unix time."""
        document = {"time": stamp(now), "type": self.type, "record": self.record}
        return json.dumps(document, separators=(",", ":")) + "\n"


def stamp(now: float) -> str:
    """Unix time as Lambda writes it."""
    # Cut, not rounded: the fraction must never reach a full second.
    milliseconds = int(now * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(milliseconds // 1000))}.{milliseconds % 1000:03}Z"


def init_start(config: FunctionConfig, phase: Phase) -> PlatformEvent:
    """Without `runtimeVersion`, which only Lambda's own runtimes have; that alone would make its level INFO."""
    record = {
        "initializationType": _INITIALIZATION,
        "phase": phase,
        "functionName": config.name,
        "functionVersion": "$LATEST",
        "instanceMaxMemory": config.memory_mb * MIB,
    }
    return PlatformEvent(type="platform.initStart", record=record, level="DEBUG")


def init_end(init_ms: float, *, phase: Phase, status: Status, error_type: str | None) -> tuple[PlatformEvent, ...]:
    """What the runtime did, then how long it took."""
    common = {"initializationType": _INITIALIZATION, "phase": phase, **_outcome(status, error_type)}
    level = _level(status, "DEBUG")
    report = {**common, "metrics": {"durationMs": round(init_ms, 3)}}
    return (
        PlatformEvent(type="platform.initRuntimeDone", record=common, level=level),
        PlatformEvent(type="platform.initReport", record=report, level=level),
    )


def extension(name: str, state: str, events: Sequence[str], error_type: str | None) -> PlatformEvent:
    """How an extension stands at the end of init."""
    record: dict[str, Any] = {"name": name, "state": state, "events": list(events)}
    if error_type is not None:
        record["errorType"] = error_type
    return PlatformEvent(type="platform.extension", record=record, level="INFO")


def telemetry_subscription(name: str, types: Sequence[str]) -> PlatformEvent:
    """An extension has subscribed."""
    record = {"name": name, "state": "Subscribed", "types": list(types)}
    return PlatformEvent(type="platform.telemetrySubscription", record=record, level="INFO")


def dropped(records: int, size: int) -> PlatformEvent:
    """Events that a subscriber did not take in time."""
    reason = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."
    record = {"reason": reason, "droppedRecords": records, "droppedBytes": size}
    return PlatformEvent(type="platform.logsDropped", record=record, level="WARN")


def start(request_id: str, function_arn: str) -> PlatformEvent:
    """`functionArn` is there since 2026."""
    record = {"requestId": request_id, "functionArn": function_arn, "version": "$LATEST"}
    return PlatformEvent(type="platform.start", record=record, level="INFO")


def end(report: Report, produced_bytes: int) -> tuple[PlatformEvent, ...]:
    """What the runtime did, then the figures of the REPORT line, not rounded to hundredths.

    An exception of the handler's is a success here: the runtime caught it and answered (AWS's maintainer in
    aws-samples/aws-lambda-extensions issue 85, 2023-07-27).
    """
    outcome = _outcome(report.status, report.error_type)
    metrics: dict[str, Any] = {
        "durationMs": round(report.duration_ms, 3),
        "billedDurationMs": report.billed_ms,
        "memorySizeMB": report.memory_mb,
    }
    if report.max_memory_bytes is not None:
        metrics["maxMemoryUsedMB"] = megabytes(report.max_memory_bytes)
    if report.init_ms is not None:
        metrics["initDurationMs"] = round(report.init_ms, 3)
    return (
        runtime_done(
            report.request_id,
            report.duration_ms,
            produced_bytes,
            report.status,
            report.error_type,
            spans=report.spans,
        ),
        PlatformEvent(
            type="platform.report",
            record={"requestId": report.request_id, "metrics": metrics, **outcome},
            level=_level(report.status, "INFO"),
        ),
    )


def runtime_done(  # noqa: PLR0913 - what the record holds
    request_id: str,
    duration_ms: float,
    produced_bytes: int,
    status: Status = "success",
    error_type: str | None = None,
    *,
    spans: Spans | None = None,
) -> PlatformEvent:
    """The runtime is done, and extensions may not be."""
    metrics = {"durationMs": round(duration_ms, 3), "producedBytes": produced_bytes}
    record: dict[str, Any] = {"requestId": request_id, **_outcome(status, error_type)}
    if spans is not None:
        record["spans"] = _spans(spans, time.time() - time.perf_counter())
    record["metrics"] = metrics
    return PlatformEvent(type="platform.runtimeDone", record=record, level=_level(status, "DEBUG"))


def _spans(spans: Spans, offset: float) -> list[dict[str, Any]]:
    """Names, and what lies between which instants, as in a real record of 2024-05-20 (stored file 35584419994).

    `offset` is what Unix time is ahead. `runtimeOverhead` is up to the request for the next event.
    """
    ends = [
        ("responseLatency", spans.dispatched, spans.began),
        ("responseDuration", spans.began, spans.answered),
        ("runtimeOverhead", spans.answered, spans.back),
    ]
    return [
        {"name": name, "start": stamp(begin + offset), "durationMs": round((end - begin) * 1000, 3)}
        for name, begin, end in ends
        if end is not None
    ]


def _outcome(status: Status, error_type: str | None) -> dict[str, str]:
    if status == "error" and error_type is not None:
        return {"status": status, "errorType": error_type}
    return {"status": status}


def _level(status: Status, success: SystemLogLevel) -> SystemLogLevel:
    return success if status == "success" else "WARN"
