"""Cannot be imported the first time in a new environment: a file in its /tmp tells."""

from __future__ import annotations

import tempfile
from pathlib import Path

_been_here = Path(tempfile.gettempdir(), "preflight-been-here-too")
if not _been_here.exists():
    _been_here.write_text("")
    message = "not yet"
    raise RuntimeError(message)


def handler(event: object, context: object) -> str:
    """Say which try this was."""
    return "imported at the second try"
