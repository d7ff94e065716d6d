"""Does what its event says, and counts: in a global, which a new process begins anew, and in a file of its /tmp."""

from __future__ import annotations

import ctypes
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_KEPT = Path(tempfile.gettempdir(), "preflight-machine")
_calls = 0


def handler(event: dict[str, Any], context: object) -> object:
    """Count, then do it."""
    global _calls  # noqa: PLW0603 - what a warm environment keeps is the subject here
    _calls += 1
    kept = int(_KEPT.read_text()) + 1 if _KEPT.exists() else 1
    _KEPT.write_text(str(kept))
    action = event.get("do")
    if action == "raise":
        raise ValueError(event["message"])
    if action == "exit":
        sys.exit(event["status"])
    if action == "segfault":
        ctypes.string_at(0)
    if action == "exhaust":
        blocks = []
        while True:
            blocks.append(bytearray(4 * 1024 * 1024))
    if action == "sleep":
        time.sleep(event["seconds"])
    return {"global": _calls, "tmp": kept, "echo": event.get("echo")}
