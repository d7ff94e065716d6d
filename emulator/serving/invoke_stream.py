"""The answer of InvokeWithResponseStream, sent while the function still writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emulator import logs
from emulator.lifecycle import TRUNCATED
from emulator.serving import descriptions, event_stream

if TYPE_CHECKING:
    from emulator.http_server import Exchange
    from emulator.invocation import Answer


class EventStreamAnswer:
    """Takes what a function streams as PayloadChunk events; `complete` sends the rest. `date` is for the head."""

    def __init__(self, exchange: Exchange, request_id: str, date: Callable[[], str]) -> None:
        self._exchange = exchange
        self._request_id = request_id
        self._date = date
        self._content_type = "application/octet-stream"

    def begin(self, content_type: str) -> None:
        """What the function calls its answer; it stands in a header of its own, for the message is an event stream."""
        self._content_type = content_type

    def part(self, data: bytes, limit: float) -> None:
        """Send it at once."""
        self._open()
        for event in event_stream.payload_chunks(data):
            self._exchange.send(event, limit)

    def complete(self, result: Answer, *, log: str | None) -> None:
        """What was not streamed, then InvokeComplete, with the tail of the log where one is given.

        A function that fails is an `Unhandled` with its document, as the header of Invoke says and as clients of AWS's
        tell it; only an answer that broke off has a code of its own (seen 2025-01).
        """
        self._open()
        code, details = None, None
        if result.error is None:
            for event in event_stream.payload_chunks(result.body):
                self._exchange.send(event)
        elif result.error.type == TRUNCATED:
            code, details = result.error.type, result.error.message
        else:
            code, details = "Unhandled", result.body.decode("utf-8", "replace")
        log_result = None if log is None else logs.tail(log)
        last = event_stream.invoke_complete(error_code=code, error_details=details, log_result=log_result)
        self._exchange.send(last)
        self._exchange.end()

    def _open(self) -> None:
        if self._exchange.begun:
            return
        headers = {
            "Date": self._date(),
            "Content-Type": event_stream.CONTENT_TYPE,
            "x-amzn-RequestId": self._request_id,
            "X-Amz-Executed-Version": descriptions.LATEST,
            "x-amzn-Remapped-Content-Type": self._content_type,
        }
        self._exchange.begin(200, headers)
