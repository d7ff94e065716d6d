"""The log of one execution environment: Lambda's lines and the function's, in the order they came, in either format."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from emulator import logs

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.platform_log import PlatformEvent


class Audience(Protocol):
    """Hears what is logged, as events and lines."""

    def happened(self, events: Sequence[PlatformEvent]) -> None:
        """Lambda's own, whatever the log levels."""

    def said(self, kind: str, line: str) -> None:
        """A line of the `function`'s or an `extension`'s."""


class Journal:
    """`add` takes what the function writes, from any thread; the other methods write Lambda's own lines.

    What background threads wrote since the last invocation comes at the head of the next one's, as on Lambda.
    """

    def __init__(self, config: FunctionConfig, on_log: Callable[[str], None] | None) -> None:
        self._config = config
        self._json = config.logging.format == "JSON"
        self._lock = threading.Lock()
        self._parts: list[bytes] = []
        self._on_log = on_log
        self._line = b""
        self.audience: Audience | None = None
        """Who is told of everything in this life besides."""
        self._function_line = self._extension_line = b""
        self._unfinished = b""
        """The beginning of a line of the function's, where lines are looked at before they count."""

    def init_started(self, phase: logs.Phase) -> None:
        """Nothing in text: INIT_START holds a runtime version, which only Lambda's own runtimes have."""
        if self._json or self.audience is not None:
            from emulator import platform_log  # noqa: PLC0415 - the text format needs none of it

            self._tell([platform_log.init_start(self._config, phase)])

    def init_ended(
        self, init_ms: float, phase: logs.Phase, status: logs.Status = "success", error_type: str | None = None
    ) -> None:
        """INIT_REPORT, in text only where init failed."""
        if self._json or self.audience is not None:
            from emulator import platform_log  # noqa: PLC0415 - see above

            self._tell(platform_log.init_end(init_ms, phase=phase, status=status, error_type=error_type))
        if not self._json and status != "success":
            self._write(logs.init_report_line(init_ms, phase=phase, status=status, error_type=error_type))

    def extension(self, name: str, state: str, events: Sequence[str], error_type: str | None) -> None:
        """EXTENSION."""
        if self._json or self.audience is not None:
            from emulator import platform_log  # noqa: PLC0415 - see above

            self._tell([platform_log.extension(name, state, events, error_type)])
        if not self._json:
            self._write(logs.extension_line(name, state, events, error_type))

    def subscribed(self, name: str, types: Sequence[str]) -> None:
        """TELEMETRY."""
        if self._json or self.audience is not None:
            from emulator import platform_log  # noqa: PLC0415 - see above

            self._tell([platform_log.telemetry_subscription(name, types)])
        if not self._json:
            self._write(logs.telemetry_line(name, types))

    def started(self, request_id: str, function_arn: str) -> None:
        """START."""
        if self._json or self.audience is not None:
            from emulator import platform_log  # noqa: PLC0415 - see above

            self._tell([platform_log.start(request_id, function_arn)])
        if not self._json:
            self._write(logs.start_line(request_id))

    def ended(self, report: logs.Report, produced_bytes: int) -> None:
        """END and REPORT; `produced_bytes` is the size of the runtime's answer, 0 for an error."""
        if self._json or self.audience is not None:
            from emulator import platform_log  # noqa: PLC0415 - see above

            self._tell(platform_log.end(report, produced_bytes))
        if not self._json:
            self._write(logs.end_line(report.request_id) + logs.report_line(report))

    def add(self, piece: bytes) -> None:
        """What the runtime wrote, cut anywhere; whole lines go to `on_log` as they come."""
        if self.audience is not None:
            self._function_line = self._hand_over("function", self._function_line + piece)
        with self._lock:
            if not self._json:
                self._append(piece)
                return
            lines, end, self._unfinished = (self._unfinished + piece).rpartition(b"\n")
            if end:
                self._append_admitted(lines + end)

    def add_extension(self, piece: bytes) -> None:
        """What external extensions wrote: whole lines alone, so that none stands within one of the function's."""
        text = self._extension_line + piece
        rest = self._hand_over("extension", text)
        self._extension_line = rest
        with self._lock:
            if len(text) > len(rest):
                self._append(text[: len(text) - len(rest)])

    def _hand_over(self, kind: str, text: bytes) -> bytes:
        """Whole lines to the audience; what is left."""
        *lines, rest = text.split(b"\n")
        if self.audience is not None:
            for line in lines:
                self.audience.said(kind, logs.as_cloudwatch_shows(line.decode("utf-8", "replace")) + "\n")
        return rest

    def text(self) -> str:
        """All of it as CloudWatch shows it, which is then forgotten."""
        with self._lock:
            self._finish_line()
            whole, self._parts = b"".join(self._parts), []
        return logs.as_cloudwatch_shows(whole.decode("utf-8", "replace"))

    def _tell(self, events: Sequence[PlatformEvent]) -> None:
        if self.audience is not None:
            self.audience.happened(events)
        for event in events:
            if self._json and event.admitted(self._config.logging.system_level or "INFO"):
                self._write(event.line(time.time()))

    def _write(self, line: str) -> None:
        """One of our own lines, on a line of its own."""
        with self._lock:
            self._finish_line()
            if self._parts and not self._parts[-1].endswith(b"\n"):
                self._append(b"\n")
            self._append(line.encode())

    def _finish_line(self) -> None:
        unfinished, self._unfinished = self._unfinished, b""
        self._append_admitted(unfinished)

    def _append_admitted(self, lines: bytes) -> None:
        """Those of the function's lines that its log level lets through."""
        if not lines:
            return
        from emulator.application_log import admitted  # noqa: PLC0415 - see above

        lowest = self._config.logging.application_level or "INFO"
        kept = b"".join(line for line in _lines(lines) if admitted(line, lowest))
        if kept:
            self._append(kept)

    def _append(self, piece: bytes) -> None:
        self._parts.append(piece)
        if self._on_log is None:
            return
        lines, end, self._line = (self._line + piece).rpartition(b"\n")
        if end:
            self._on_log(logs.as_cloudwatch_shows((lines + end).decode("utf-8", "replace")))


def _lines(text: bytes) -> list[bytes]:
    r"""By line feeds alone: in the runtime client's text records `\r` stands within a line."""
    *whole, rest = text.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])
