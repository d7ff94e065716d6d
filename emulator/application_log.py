"""Which of a function's own lines a log level lets through, in the JSON log format.

"Log-level filtering", AWS Lambda Developer Guide, 2026: a line counts as INFO unless it is a JSON object with a valid
`level` and a valid RFC 3339 timestamp. So a bare `print` is INFO too, and is gone where the level is WARN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

from emulator.config import ApplicationLogLevel

_ORDER: Final[tuple[ApplicationLogLevel, ...]] = get_args(ApplicationLogLevel)
# Python's own names for two of them are what AWS's runtime client writes.
_OTHER_NAMES: Final[Mapping[str, ApplicationLogLevel]] = MappingProxyType({"WARNING": "WARN", "CRITICAL": "FATAL"})
_LEVELS: Final[Mapping[str, ApplicationLogLevel]] = MappingProxyType(
    {**{word: word for word in _ORDER}, **_OTHER_NAMES}
)
_TIMESTAMPS: Final = ("timestamp", "time")
_RFC_3339: Final = re.compile(
    r"\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])[Tt ]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]\d\d:[0-5]\d)"
)


def level_of(line: bytes) -> ApplicationLogLevel:
    """The level that Lambda assigns to a line of output."""
    if not line.lstrip().startswith(b"{"):
        return "INFO"
    try:
        found: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError):
        return "INFO"
    stamped = any(_RFC_3339.fullmatch(str(found.get(key, ""))) for key in _TIMESTAMPS)
    return _LEVELS.get(str(found.get("level")).upper(), "INFO") if stamped else "INFO"


def admitted(line: bytes, lowest: ApplicationLogLevel) -> bool:
    """Whether a function with this application log level gets to see the line."""
    return _ORDER.index(level_of(line)) >= _ORDER.index(lowest)
