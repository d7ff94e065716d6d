"""Whether an event is JSON, and if not, what Lambda's own parser says of it.

Lambda parses with Jackson; its sentences are from real answers of 2023 to 2026 and from Jackson 2.
"""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn

_VALUES: Final = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_SOURCE: Final = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
_TOKEN: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
# Python's message to what Jackson adds to "Unexpected character".
_EXPECTED: Final = {
    "Expecting property name enclosed in double quotes": "was expecting double-quote to start field name",
    "Illegal trailing comma before end of object": "was expecting double-quote to start field name",
    "Expecting ':' delimiter": "was expecting a colon to separate field name and value",
    "Expecting ',' delimiter": "was expecting comma to separate entries",
}


def trouble(payload: bytes) -> str | None:
    """None where the bytes are one JSON document in UTF-8, as a function's runtime will read them."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_utf8(error)
    try:
        # A number is taken as it is written: how large it may be is the runtime's business.
        json.loads(text, parse_int=str, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        return _sentence(error) + _place(text, error.pos)
    except _ConstantError as error:
        return _sentence_for_token(str(error)) + _place(text, text.find(str(error)))
    except RecursionError:
        return "Document nesting depth exceeds the maximum allowed" + _place(text, 0)
    return None


class _ConstantError(ValueError):
    """`NaN` and the like, which Python's parser takes and JSON has not."""


def _refuse(name: str) -> NoReturn:
    raise _ConstantError(name)


def _not_utf8(error: UnicodeDecodeError) -> str:
    before = error.object[: error.start].decode("utf-8")
    if error.reason == "unexpected end of data":
        return "Unexpected end-of-input in a multi-byte character" + _place(before, len(before))
    kind, at = ("start", error.start) if error.reason == "invalid start byte" else ("middle", error.end)
    byte = error.object[min(at, len(error.object) - 1)]
    return f"Invalid UTF-8 {kind} byte 0x{byte:x}" + _place(before, len(before))


def _sentence(error: json.JSONDecodeError) -> str:
    character = error.doc[error.pos : error.pos + 1]
    if error.msg.startswith("Unterminated string"):
        return "Unexpected end-of-input: was expecting closing quote for a string value"
    if not character:
        return "No content to map due to end-of-input" if not error.doc.strip() else "Unexpected end-of-input"
    if error.msg.startswith("Invalid control character"):
        code = f"(CTRL-CHAR, code {ord(character)})"
        return f"Illegal unquoted character ({code}): has to be escaped using backslash to be included in string value"
    if error.msg.startswith("Invalid \\"):
        return "Unrecognized character escape"
    token = _TOKEN.match(error.doc, error.pos)
    if error.msg == "Expecting value" and token is not None:
        return _sentence_for_token(token[0])
    expected = _EXPECTED.get(error.msg, f"expected a valid value {_VALUES}")
    return f"Unexpected character ('{character}' (code {ord(character)})): {expected}"


def _sentence_for_token(token: str) -> str:
    return f"Unrecognized token '{token}': was expecting {_VALUES}"


def _place(text: str, position: int) -> str:
    before = text[: max(0, position)]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"\n at [Source: {_SOURCE}; line: {line}, column: {column}]"
