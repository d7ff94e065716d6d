"""Cross-origin requests to a function's URL, answered from its `Cors` configuration. Pure.

"Cross-origin resource sharing (CORS)" in "Creating and managing Lambda function URLs", AWS Lambda Developer Guide,
2026-07: the configured headers are added to every response, and win over the function's own. How a preflight is
answered that is not allowed is not documented: without those headers here, which is how browsers are told no.
"""

from __future__ import annotations

from collections.abc import Mapping

from emulator.http1 import HttpRequest
from emulator.url_config import CorsConfig

_ANY = "*"
_REQUESTED_METHOD = "access-control-request-method"
_REQUESTED_HEADERS = "access-control-request-headers"


def is_preflight(request: HttpRequest) -> bool:
    """Whether a browser asks what it may do; the function is not invoked for this."""
    return request.method == "OPTIONS" and "origin" in request.headers and _REQUESTED_METHOD in request.headers


def preflight_headers(cors: CorsConfig, request: HttpRequest) -> dict[str, str]:
    """What the browser is told; nothing of what it may do where its origin may do nothing."""
    headers = response_headers(cors, request.headers)
    if "Access-Control-Allow-Origin" not in headers:
        return headers
    headers.pop("Access-Control-Expose-Headers", None)
    method = request.headers[_REQUESTED_METHOD]
    if _ANY in cors.allow_methods or method in cors.allow_methods:
        # A list of `*` means itself where credentials go along (Fetch standard), so what was asked for is named.
        headers["Access-Control-Allow-Methods"] = method if _ANY in cors.allow_methods else ",".join(cors.allow_methods)
    asked = request.headers.get(_REQUESTED_HEADERS)
    if asked is not None and _ANY in cors.allow_headers:
        headers["Access-Control-Allow-Headers"] = asked
    elif cors.allow_headers:
        headers["Access-Control-Allow-Headers"] = ",".join(cors.allow_headers)
    if cors.max_age_s is not None:
        headers["Access-Control-Max-Age"] = str(cors.max_age_s)
    return headers


def response_headers(cors: CorsConfig, request: Mapping[str, str]) -> dict[str, str]:
    """What every response to these request headers has."""
    headers = {"Vary": "Origin"}
    origin = request.get("origin")
    if origin is None or not (_ANY in cors.allow_origins or origin in cors.allow_origins):
        return headers
    headers["Access-Control-Allow-Origin"] = origin
    if cors.expose_headers:
        headers["Access-Control-Expose-Headers"] = ",".join(cors.expose_headers)
    if cors.allow_credentials:
        headers["Access-Control-Allow-Credentials"] = "true"
    return headers


def merged(own: Mapping[str, str], configured: Mapping[str, str]) -> dict[str, str]:
    """A response's headers with the configured ones, which win whatever the case of a name; both say what varies."""
    names = {name.lower() for name in configured}
    kept = {name: value for name, value in own.items() if name.lower() not in names}
    varies = [value for name, value in own.items() if name.lower() == "vary"]
    if varies and "Vary" in configured:
        return {**kept, **configured, "Vary": ", ".join((*varies, configured["Vary"]))}
    return {**kept, **configured}
