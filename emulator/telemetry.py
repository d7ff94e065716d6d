"""Telemetry API 2022-07-01: what a subscription asks for, and when the events that wait for it are due. Pure.

"Lambda Telemetry API reference", AWS Lambda Developer Guide, 2026 (schema versions, buffering and its limits, the
example of a refusal) and "Accessing real-time telemetry data for extensions", 2023-05 (destination). That TCP has a
`port` instead of the URI is in the schema of AWS's runtime interface emulator, 2026-01. Words of other refusals than
the example's are from memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

PATH: Final = "/2022-07-01/telemetry"
LOGS_PATH: Final = "/2020-08-15/logs"
SCHEMAS: Final = ("2022-07-01", "2022-12-13", "2025-01-29")
TYPES: Final = ("platform", "function", "extension")
_HOSTS: Final = frozenset({"sandbox.localdomain", "sandbox", "localhost", "127.0.0.1"})
_OURS: Final = 9001  # the Runtime API's own
_DEFAULTS: Final = {"maxItems": 1000, "maxBytes": 262_144, "timeoutMs": 1000}
_LIMITS: Final = {"maxItems": (1000, 10_000), "maxBytes": (262_144, 1_048_576), "timeoutMs": (25, 30_000)}
_LAST_PORT: Final = 65_535
_MS: Final = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One extension's; `target` is path and query of its own server where that speaks HTTP."""

    protocol: Literal["HTTP", "TCP"]
    port: int
    target: str
    types: tuple[str, ...]
    max_items: int
    max_bytes: int
    timeout_s: float


class Unacceptable(ValueError):
    """A subscription that Lambda refuses; the text says all that is wrong with it."""


def subscription(body: bytes) -> Subscription:
    """What the body of a PUT asks for."""
    try:
        told: Any = json.loads(body)
    except ValueError as error:
        raise Unacceptable("the request's body is not JSON") from error
    if not isinstance(told, dict):
        raise Unacceptable("the request's body is not an object")
    wrong: list[str] = []
    if told.get("schemaVersion") not in SCHEMAS:
        wrong.append(f"schemaVersion should be one of {', '.join(SCHEMAS)}")
    destination = told.get("destination")
    if not isinstance(destination, dict):
        destination = {}
    tcp = destination.get("protocol") == "TCP"
    port, target = (_tcp if tcp else _http)(destination, wrong)
    types = _types(told.get("types"), wrong)
    limits = _buffering(told.get("buffering"), wrong)
    if wrong:
        raise Unacceptable("; ".join(wrong))
    return Subscription(
        protocol="TCP" if tcp else "HTTP",
        port=port,
        target=target,
        types=types,
        max_items=limits["maxItems"],
        max_bytes=limits["maxBytes"],
        timeout_s=limits["timeoutMs"] / _MS,
    )


def _http(destination: dict[str, Any], wrong: list[str]) -> tuple[int, str]:
    if destination.get("protocol") != "HTTP":
        wrong.append("protocol should be HTTP or TCP")
    try:
        parts = urlsplit(str(destination.get("URI") or ""))
        port = parts.port
    except ValueError:
        wrong.append("URI is not valid")
        return 0, "/"
    if parts.scheme != "http" or parts.hostname not in _HOSTS:
        wrong.append("URI should be http://sandbox.localdomain:PORT")
    if port is None:
        wrong.append("URI port is not provided")
    elif port == _OURS:
        wrong.append(f"URI port {_OURS} is reserved")
    target = parts.path or "/"
    return port or 0, f"{target}?{parts.query}" if parts.query else target


def _tcp(destination: dict[str, Any], wrong: list[str]) -> tuple[int, str]:
    port = destination.get("port")
    if port is None:
        wrong.append("port is not provided")
    elif isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= _LAST_PORT:
        wrong.append(f"port should be between 1 and {_LAST_PORT}")
    elif port == _OURS:
        wrong.append(f"port {_OURS} is reserved")
    else:
        return port, ""
    return 0, ""


def _types(told: object, wrong: list[str]) -> tuple[str, ...]:
    types = [str(one) for one in told] if isinstance(told, list) else []
    if not types:
        wrong.append("types should not be empty")
    wrong += [f"type {one} is not supported" for one in types if one not in TYPES]
    return tuple(dict.fromkeys(types))


def _buffering(told: object, wrong: list[str]) -> dict[str, int]:
    limits = dict(_DEFAULTS)
    for name, value in (told if isinstance(told, dict) else {}).items():
        if name not in _LIMITS:
            continue
        least, most = _LIMITS[name]
        if isinstance(value, int) and least <= value <= most:
            limits[name] = value
        else:
            wrong.append(f"{name} should be between {least} and {most}")
    return limits


class Buffer:
    """The events that wait for one subscriber; `now` is any clock's seconds. Over ten times its size it drops."""

    def __init__(self, wanted: Subscription) -> None:
        self._wanted = wanted
        self._events: list[bytes] = []
        self._bytes = 0
        self._since = 0.0
        self._hurried = False
        self.dropped = 0
        """How many could not be kept since `take` told of them last."""
        self.dropped_bytes = 0

    def add(self, event: bytes, now: float) -> None:
        """One event as JSON."""
        if self._bytes + len(event) > 10 * self._wanted.max_bytes or len(self._events) >= 10 * self._wanted.max_items:
            self.dropped += 1
            self.dropped_bytes += len(event)
            return
        if not self._events:
            self._since = now
        self._events.append(event)
        self._bytes += len(event)

    def hurry(self) -> None:
        """What is there is due now."""
        self._hurried = True

    def wait_s(self, now: float) -> float | None:
        """Seconds until something is due, 0 for now; None where nothing is there."""
        if not self._events:
            return None
        full = len(self._events) >= self._wanted.max_items or self._bytes >= self._wanted.max_bytes
        return 0.0 if full or self._hurried else max(0.0, self._since + self._wanted.timeout_s - now)

    def take(self, now: float) -> list[bytes]:
        """What goes into one request: up to `max_items` and `max_bytes`, one at least."""
        count = size = 0
        for event in self._events[: self._wanted.max_items]:
            if count and size + len(event) > self._wanted.max_bytes:
                break
            count, size = count + 1, size + len(event)
        taken, self._events = self._events[:count], self._events[count:]
        self._bytes -= size
        self._since = now
        self._hurried = self._hurried and bool(self._events)
        return taken

    def give_back(self, events: list[bytes], now: float) -> None:
        """They could not be delivered, and are due again after a while."""
        self._events = events + self._events
        self._bytes += sum(len(event) for event in events)
        self._since = now
        self._hurried = False
