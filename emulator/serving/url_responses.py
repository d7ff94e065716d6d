"""A function's answer as the HTTP response of its URL: payload format version 2.0, or what Lambda infers. Pure.

"Invoking Lambda function URLs" and "Response streaming for Lambda functions", AWS Lambda Developer Guide, 2026-07. What
is inferred, and its form, as recorded by LocalStack against AWS on 2025-11-24: JSON without white space, a string
without its quotes, `application/json` where no type is given.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

HTTP_INTEGRATION: Final = "application/vnd.awslambda.http-integration-response"
"""The type of a streamed answer that begins with status and headers."""

_SEPARATOR: Final = bytes(8)
_MOST_PRELUDE: Final = 1024 * 1024  # as a request's head; AWS's limit is not documented
_MOST_DIGITS: Final = 19
_STATUS: Final = re.compile(r"[2-5][0-9][0-9]")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SPACE: Final = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
# Of the connection and ours to say; Lambda renames a function's own (seen in answers of 2023 to 2025).
_REMAPPED: Final = frozenset(
    {"connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


class InvalidResponse(Exception):
    """Lambda cannot make a response of this, and answers 502."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlResponse:
    """What the client gets; header names as the function wrote them."""

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...] = ()
    body: bytes = b""


def interpret(payload: bytes) -> UrlResponse:
    """What a function's whole answer means; InvalidResponse where it means nothing."""
    try:
        text = payload.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise InvalidResponse("no JSON") from error
    if isinstance(value, dict) and "statusCode" in value:
        return _read(value)
    body = value if isinstance(value, str) and text.lstrip().startswith('"') else _SPACE.sub(r"\1", text)
    return UrlResponse(status=200, headers={"Content-Type": "application/json"}, body=_bytes(body))


class Prelude:
    """Reads status and headers at the beginning of a streamed answer."""

    def __init__(self) -> None:
        self._seen = b""

    def feed(self, data: bytes) -> UrlResponse | None:
        """None until it is whole; what follows it is the body, and belongs to the caller from then on."""
        self._seen += data
        head, found, rest = self._seen.partition(_SEPARATOR)
        if not found:
            if len(self._seen) > _MOST_PRELUDE:
                raise InvalidResponse("the prelude does not end")
            return None
        try:
            value = json.loads(head.decode("utf-8"), parse_constant=_refuse, parse_int=_number)
        except (ValueError, RecursionError) as error:
            raise InvalidResponse("the prelude is no JSON") from error
        if not isinstance(value, dict):
            raise InvalidResponse("the prelude is no object")
        read = _read({"statusCode": 200, **value, "body": None})
        return UrlResponse(status=read.status, headers=read.headers, cookies=read.cookies, body=rest)


def _read(value: Mapping[str, Any]) -> UrlResponse:
    """A response of payload format version 2.0."""
    status, cookies = value["statusCode"], value.get("cookies") or []
    if not isinstance(status, int | str) or isinstance(status, bool) or not _STATUS.fullmatch(str(status)):
        raise InvalidResponse("statusCode")
    if not isinstance(cookies, list) or not all(isinstance(cookie, str) for cookie in cookies):
        raise InvalidResponse("cookies")
    return UrlResponse(
        status=int(status),
        headers=_headers(value.get("headers") or {}),
        cookies=tuple(_field(cookie) for cookie in cookies),
        body=_body(value.get("body"), value.get("isBase64Encoded", False)),
    )


def _headers(given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        raise InvalidResponse("headers")
    headers: dict[str, str] = {}
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            raise InvalidResponse(f"the header {name!r}")
        remapped = f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name
        headers[remapped] = _field(_scalar(value, name))
    if "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = "application/json"
    return headers


def _scalar(value: object, name: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidResponse(f"the header {name!r}")


def _field(value: str) -> str:
    """As it can stand in a head: bytes of UTF-8, one character each."""
    if _UNSAFE.search(value):
        raise InvalidResponse("a control character in a header")
    return _bytes(value).decode("latin-1")


def _body(value: object, is_base64: object) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, str):
        return _bytes(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    if is_base64 is not True:
        return _bytes(value)
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise InvalidResponse("the body is no base64") from error


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _number(digits: str) -> int | str:
    """A whole number; its text where it is longer than any that means something here."""
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _refuse(name: str) -> None:
    raise ValueError(name)
