"""What the commands print: one line on the backend, results as JSON, and progress on what takes long."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.status import Status

    from emulator.config import FunctionConfig
    from emulator.invocation import FunctionError, InvocationResult, Usage
    from emulator.sandbox.base import Backend, Capabilities


def capability_line(backend: Backend) -> str:
    """One line that says which backend runs and what it does not hold, for every human output."""
    return capability_text(backend.name, backend.capabilities)


def capability_text(name: str, capabilities: Capabilities) -> str:
    """The same for a run that is over."""
    return f"{name} backend: {capability_summary(capabilities)}"


def capability_summary(capabilities: Capabilities) -> str:
    """`memory, cpu by the kernel; memory watched; tmp NOT enforced`, empty groups left out."""
    groups: dict[str, list[str]] = {"kernel": [], "watched": [], "none": []}
    for limit, how in capabilities.as_dict().items():
        groups[how].append(limit.replace("_", " "))
    if not groups["watched"] and not groups["none"]:
        return "every limit enforced by the kernel"
    words = {"kernel": "enforced by the kernel", "watched": "watched", "none": "NOT enforced"}
    return "; ".join(f"{', '.join(names)} {words[how]}" for how, names in groups.items() if names)


def notes(config: FunctionConfig, backend: Backend) -> Iterator[str]:
    """What is not as on Lambda for this function on this machine, in sentences."""
    cpus = os.cpu_count() or 1
    if config.cpu_share > cpus:
        yield f"{config.memory_mb} MB has {config.cpu_share:.1f} vCPUs on Lambda, and this machine has {cpus}"
    machine = os.uname().machine.lower()
    ours = {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)
    if config.architecture != ours and backend.name == "process":
        yield f"the function is for {config.architecture} and runs on {ours} here"
    if backend.name == "process" and backend.capabilities.tmp == "none":
        yield "what the function writes to /tmp stays in this machine's own /tmp"
    if os.environ.get("PREFLIGHT_KEEP_SANDBOX") and backend.name == "process":
        yield "PREFLIGHT_KEEP_SANDBOX: a process leaves nothing to keep"


def cpu_line(usage: Usage) -> str:
    """What Lambda's REPORT line does not tell: the CPU time of the invocation, and how long it was held back."""
    parts = {
        "CPU time": usage.cpu_seconds,
        "throttled": usage.throttled_seconds,
        "init's CPU time": usage.init_cpu_seconds,
    }
    told = [f"{name} {seconds * 1000:.2f} ms" for name, seconds in parts.items() if seconds is not None]
    return f"({', '.join(told)})" if told else "(CPU time not measured)"


def error_line(error: FunctionError) -> str:
    """Why the function failed, for whoever sends the payload elsewhere: Lambda's own log may not say it."""
    return f"(failed: {error.type}: {error.message})" if error.message else f"(failed: {error.type})"


def result_object(result: InvocationResult, config: FunctionConfig, backend: Backend) -> Mapping[str, Any]:
    """The object of `--json`; a figure that was not measured is null."""
    timings, usage = result.timings, result.usage
    error = result.error
    return {
        "payload": _payload(result),
        "error": None if error is None else {"type": error.type, "message": error.message},
        "report": {
            "request_id": result.request_id,
            "init_ms": _rounded(timings.init_ms),
            "duration_ms": _rounded(timings.duration_ms),
            "billed_ms": timings.billed_ms,
            "memory_mb": config.memory_mb,
            "max_memory_mb": _scaled(usage.max_memory_bytes, 1 / (1024 * 1024)),
            "cpu_ms": _scaled(usage.cpu_seconds, 1000),
            "throttled_ms": _scaled(usage.throttled_seconds, 1000),
            "init_cpu_ms": _scaled(usage.init_cpu_seconds, 1000),
        },
        "backend": backend.name,
        "capabilities": backend.capabilities.as_dict(),
        "log": result.log,
    }


def _payload(result: InvocationResult) -> Any:  # noqa: ANN401 - JSON of any shape
    """The payload, or its text where it holds what is no JSON: Python's own `NaN` and `Infinity`."""
    try:
        json.dumps(result.payload, allow_nan=False)
    except ValueError:
        return result.body.decode("utf-8", "replace")
    return result.payload


def json_line(value: Mapping[str, Any]) -> str:
    """One line of JSON, in ASCII, so that it survives any terminal and any pipe."""
    return json.dumps(value)


class Progress:
    """Says what takes long, on standard error: a spinner on a terminal, plain lines elsewhere, nothing when quick."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done()

    def say(self, what: str) -> None:
        """Something is being done that a person would wait for."""
        if self._quiet:
            return
        if not sys.stderr.isatty():
            print(what, file=sys.stderr, flush=True)  # noqa: T201 - this is what prints
            return
        if self._status is None:
            from rich.console import Console  # noqa: PLC0415 - a quarter of a second that most commands need not pay

            self._status = Console(stderr=True, no_color="NO_COLOR" in os.environ).status(what)
            self._status.start()
        else:
            self._status.update(what)

    def done(self) -> None:
        """Clear the spinner."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else round(value * factor, 3)
