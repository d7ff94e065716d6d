"""An HTTP request as the event that a function behind a URL is given: payload format version 2.0. Pure.

"Invoking Lambda function URLs", AWS Lambda Developer Guide, 2026-07; what it leaves open is as in events recorded from
AWS on 2023-04-18 (aws-lambda-go, `lambdaurl/testdata`) and on 2025-11-24 (LocalStack's snapshots).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from emulator.http1 import HttpRequest
from emulator.variables import ACCOUNT

METHODS: Final = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "DELETE"})
"""The guide's list; no other reaches a function."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_TEXTS: Final = frozenset({"application/javascript", "application/json", "application/xml"})
_TEXT_SUFFIXES: Final = ("+json", "+xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What an event tells besides the request itself; `iam` adds the caller that a signature would name."""

    url_id: str
    peer: str
    port: int
    request_id: str
    trace_id: str
    at: datetime
    iam: bool = False


def url_id(name: str) -> str:
    """The function's: 32 lower-case letters and digits, the same every time, as on AWS."""
    return base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()[:32]


def request_event(request: HttpRequest, path: str, query: str, visit: Visit) -> dict[str, Any]:
    """The event; `path` and `query` are the target's, as they were sent. What is absent on AWS is absent here."""
    headers = _headers(request, visit)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": _text(path),
        "rawQueryString": _text(query),
    }
    if "cookie" in headers:
        event["cookies"] = [cookie for part in headers["cookie"].split(";") if (cookie := part.strip())]
    event["headers"] = headers
    if parameters := _parameters(query):
        event["queryStringParameters"] = parameters
    event["requestContext"] = _context(request, event["rawPath"], headers, visit)
    body, is_base64 = _body(request.body or b"", headers.get("content-type", ""))
    if body:
        event["body"] = body
    event["isBase64Encoded"] = is_base64
    return event


def _context(request: HttpRequest, path: str, headers: Mapping[str, str], visit: Visit) -> dict[str, Any]:
    at = visit.at.astimezone(UTC)
    context: dict[str, Any] = {"accountId": ACCOUNT if visit.iam else "anonymous", "apiId": visit.url_id}
    if visit.iam:
        context["authorizer"] = {"iam": _caller(headers.get("authorization", ""))}
    # On AWS the domain is what the Host header says, too.
    domain = headers.get("host", f"{visit.url_id}.lambda-url")
    return context | {
        "domainName": domain,
        "domainPrefix": visit.url_id,
        "http": {
            "method": request.method,
            "path": path,
            "protocol": f"HTTP/{request.version}",
            "sourceIp": visit.peer,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": visit.request_id,
        "routeKey": "$default",
        "stage": "$default",
        # Not strftime: a month's name would depend on the locale.
        "time": f"{at:%d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000",
        "timeEpoch": int(at.timestamp() * 1000),
    }


def _caller(authorization: str) -> dict[str, str | None]:
    """Who would have signed; nobody has checked it."""
    _, found, rest = authorization.partition("Credential=")
    return {
        "accessKey": rest.partition("/")[0] if found else "",
        "accountId": ACCOUNT,
        "callerId": "AIDAPREFLIGHTPLACEHOLDER",
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": f"arn:aws:iam::{ACCOUNT}:user/preflight",
        "userId": "AIDAPREFLIGHTPLACEHOLDER",
    }


def _headers(request: HttpRequest, visit: Visit) -> dict[str, str]:
    """Names in lower case, values of one name joined with commas; without those of the connection alone."""
    headers = {name: _text(value) for name, value in request.headers.items() if name not in _OF_THE_CONNECTION}
    if request.body and "content-length" not in headers:  # it came in chunks
        headers["content-length"] = str(len(request.body))
    before = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = visit.peer if before is None else f"{before}, {visit.peer}"
    headers["x-forwarded-port"] = str(visit.port)
    headers["x-forwarded-proto"] = "http"
    headers["x-amzn-trace-id"] = visit.trace_id
    return dict(sorted(headers.items()))


def _parameters(query: str) -> dict[str, str]:
    """Decoded; values of one name are joined with commas."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(_text(query), keep_blank_values=True, errors="replace"):
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    """The body as text where its type says that it is text and it is, else in base64."""
    kind = content_type.partition(";")[0].strip().lower()
    said_to_be_text = not body or kind.startswith("text/") or kind in _TEXTS or kind.endswith(_TEXT_SUFFIXES)
    text = _utf8(body) if said_to_be_text else None
    return (base64.b64encode(body).decode(), True) if text is None else (text, False)


def _utf8(body: bytes) -> str | None:
    """None where the bytes are no UTF-8."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _text(value: str) -> str:
    """What HTTP carried as bytes: UTF-8 where it is that."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
