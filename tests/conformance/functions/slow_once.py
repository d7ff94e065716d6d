"""Takes longer than the Init phase may, but only in a new environment: a file in its /tmp tells."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

_been_here = Path(tempfile.gettempdir(), "preflight-been-here")
if not _been_here.exists():
    _been_here.write_text("")
    print("loading for a minute")  # noqa: T201 - the log is compared
    time.sleep(60)


def handler(event: object, context: object) -> str:
    """Say which try this was."""
    return "initialised at the second try"
