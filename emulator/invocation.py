"""What goes into one invocation and what comes out of it. `None` always means *not measured*."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

InvocationType = Literal["RequestResponse", "Event", "DryRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One event on its way to a function; `deadline_ms` is absolute Unix time in milliseconds, as Lambda sends it."""

    request_id: str
    payload: bytes
    function_arn: str
    deadline_ms: int
    trace_id: str
    client_context: str | None = None
    invocation_type: InvocationType = "RequestResponse"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionError:
    """Why the function failed, in AWS's words: `Runtime.ExitError`, `Sandbox.Timedout` or the exception's own type."""

    type: str
    message: str
    stack_trace: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """`init_ms` is None on a warm call and where init ran inside the invocation, as on AWS's REPORT line."""

    init_ms: float | None
    duration_ms: float
    billed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the kernel counted: the peak of the execution environment so far, CPU time of this invocation alone.

    `tmp_bytes` is what lay in `/tmp` at its end.
    """

    max_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    throttled_seconds: float | None = None
    init_cpu_seconds: float | None = None
    tmp_bytes: int | None = None

    @property
    def max_memory_mb(self) -> float | None:
        """The same peak in Lambda's MB of 1,024 KB, not rounded as on the REPORT line."""
        return None if self.max_memory_bytes is None else self.max_memory_bytes / 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the caller of Lambda receives; `body` is that, an error document included.

    What a receiver was given part by part is not in it.
    """

    request_id: str
    body: bytes
    error: FunctionError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResult(Answer):
    """The outcome of one invocation, once runtime and extensions are done with it."""

    timings: Timings
    usage: Usage
    log: str

    @property
    def ok(self) -> bool:
        """The function answered without `X-Amz-Function-Error`."""
        return self.error is None

    @property
    def cold(self) -> bool:
        """The invocation paid for an Init phase of its own."""
        return self.timings.init_ms is not None

    @property
    def payload(self) -> Any:  # noqa: ANN401 - JSON of any shape: the function's author knows it
        """The body as JSON; as text where a handler answered with bytes that are not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return self.body.decode("utf-8", "replace")
