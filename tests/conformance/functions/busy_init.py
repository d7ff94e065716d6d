"""Burns CPU time while it is imported, and then as its event says."""

from __future__ import annotations

import sys
import time
from typing import Any

INIT_CPU_SECONDS = 0.4

while time.process_time() < INIT_CPU_SECONDS:
    pass


def handler(event: dict[str, Any], context: object) -> float:
    """Burn CPU for `seconds` of wall time, then leave if told to."""
    end = time.monotonic() + event["seconds"]
    while time.monotonic() < end:
        pass
    if "exit" in event:
        sys.exit(event["exit"])
    return time.process_time()
