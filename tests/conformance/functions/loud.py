"""Prints a lot: now, or behind the back of the invocation."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any


def handler(event: dict[str, Any], context: object) -> int:
    """Print `lines` numbered lines of 64 bytes each, every other one on standard error."""
    for number in range(event["lines"]):
        line = f"{event['name']} {number:08}"
        print(line.ljust(63, "."), file=sys.stderr if number % 2 else sys.stdout)
    return int(event["lines"])


def later(event: dict[str, Any], context: object) -> str:
    """Answer after `wait` seconds; a thread prints `text` after `seconds`."""

    def speak() -> None:
        time.sleep(event["seconds"])
        print(event["text"])  # noqa: T201 - this is what prints

    if event.get("text"):
        threading.Thread(target=speak).start()
    time.sleep(event.get("wait", 0))
    return "answered"


def die(event: dict[str, Any], context: object) -> None:
    """Print, and leave at once."""
    handler(event, context)
    sys.exit(event["exit"])
