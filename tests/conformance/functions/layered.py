"""Imports from layers: `both` is in both of them, `only_first` and `only_second` in one each, `mine` here too."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """The value of each module, and where modules are searched."""
    return {
        "values": {name: importlib.import_module(name).VALUE for name in event["modules"]},
        "path": sys.path,
        "opt": sorted(path.name for path in Path("/opt").glob("*")),
        "data": [Path(path).read_text() for path in event.get("read", [])],
    }
