"""A request to the Lambda API as the call it means, or ApiError in AWS's words. Pure: nothing is invoked here.

Paths, headers and their limits from the API's model (botocore 1.43, 2026).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, cast, get_args
from urllib.parse import parse_qs, unquote

from emulator.http1 import HttpRequest
from emulator.invocation import InvocationType
from emulator.limits import Quota, quota
from emulator.serving import api_errors, event_json
from emulator.serving.function_names import LATEST, FunctionName, resolve

OFFERED: Final = (
    "Invoke, InvokeWithResponseStream, GetFunction, GetFunctionConfiguration, GetFunctionUrlConfig, ListFunctions "
    "and GetAccountSettings"
)

_MOST_CONTEXT: Final = 3583
_MOST_ITEMS: Final = 10_000
_PAGE_ITEMS: Final = 50  # "Returns a maximum of 50 functions per call" (ListFunctions, API reference, 2026)
_PAIR: Final = "[A-Za-z]+=[!-:<>-~]*"  # fields of a trace header: nothing that would not fit a header of ours
_TRACE: Final = re.compile(rf"(?:{_PAIR};)*Root=1-[0-9a-f]{{8}}-[0-9a-f]{{24}}(?:;{_PAIR})*;?")
_MOST_TRACE: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """Invoke a function; `client_context` is JSON that fits a header, `trace_id` None where none of use was given.

    `streamed` is InvokeWithResponseStream.
    """

    function: FunctionName
    invocation_type: InvocationType
    payload: bytes
    tail: bool = False
    client_context: str | None = None
    trace_id: str | None = None
    streamed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """GetFunction, or GetFunctionConfiguration where `configuration_only`."""

    function: FunctionName
    configuration_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeUrl:
    """GetFunctionUrlConfig."""

    function: FunctionName


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFunctions:
    """One page of all functions, from `first` on."""

    first: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """Limits and usage of the account."""


Call = Invoke | Describe | DescribeUrl | ListFunctions | AccountSettings


def route(request: HttpRequest, known: Mapping[str, str]) -> Call:
    """The call that a request means; `known` is every name of a function to the one that Lambda would give it."""
    path, _, query = origin_form(request.target).partition("?")
    parameters = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    parts = [unquote(part) for part in path.strip("/").split("/")]
    match (request.method, *parts):
        case ("POST", "2015-03-31", "functions", name, "invocations"):
            return _invoke(request, name, parameters.get("Qualifier", ""), known)
        case ("POST", "2021-11-15", "functions", name, "response-streaming-invocations"):
            return _invoke(request, name, parameters.get("Qualifier", ""), known, streamed=True)
        case ("GET", "2015-03-31", "functions", name, *rest) if rest in ([], ["configuration"]):
            function = resolve(name, parameters.get("Qualifier", ""), known)
            return Describe(function=function, configuration_only=bool(rest))
        case ("GET", "2021-10-31", "functions", name, "url"):
            return DescribeUrl(function=resolve(name, parameters.get("Qualifier", ""), known))
        case ("GET", "2015-03-31", "functions"):
            return _list(parameters)
        case ("GET", "2016-08-19", "account-settings"):
            return AccountSettings()
    raise api_errors.not_offered(f"{request.method} {path}", OFFERED)


def origin_form(target: str) -> str:
    """Proxies' clients write the whole address where path and query belong (RFC 9112, 3.2.2)."""
    _, scheme, rest = target.partition("://")
    if target.startswith("/") or not scheme:
        return target
    return "/" + rest.partition("/")[2]


def _invoke(
    request: HttpRequest, name: str, qualifier: str, known: Mapping[str, str], *, streamed: bool = False
) -> Invoke:
    headers = request.headers
    if request.body is None:
        raise _too_large(quota("Request"))
    function = resolve(name, qualifier, known, unqualified=LATEST)
    types = ("RequestResponse", "DryRun") if streamed else get_args(InvocationType)
    invocation_type = _one_of(headers, "invocationType", "x-amz-invocation-type", types)
    log_type = _one_of(headers, "logType", "x-amz-log-type", ("None", "Tail"))
    is_event = invocation_type == "Event"
    row = quota("Asynchronous request" if is_event else "Request")
    if not row.admits(len(request.body)):
        raise _too_large(row, len(request.body))
    if request.body and (trouble := event_json.trouble(request.body)) is not None:
        raise api_errors.not_json(trouble)
    _check_request_id(headers.get("x-amzn-requestid"))
    context = _client_context(headers.get("x-amz-client-context", ""))
    return Invoke(
        function=function,
        invocation_type=cast("InvocationType", invocation_type),
        payload=request.body or b"{}",  # a function always has an event
        tail=log_type == "Tail",
        # "for synchronous invocations only" (API reference of Invoke, 2026)
        client_context=None if is_event else context,
        trace_id=trace_header(headers),
        streamed=streamed,
    )


def trace_header(headers: Mapping[str, str]) -> str | None:
    """The client's X-Ray trace header, where it is one."""
    trace_id = headers.get("x-amzn-trace-id", "")
    return trace_id if len(trace_id) <= _MOST_TRACE and _TRACE.fullmatch(trace_id) else None


def _one_of(headers: Mapping[str, str], member: str, header: str, allowed: tuple[str, ...]) -> str:
    """The header's value, or the first of those allowed where it is absent."""
    value = headers.get(header) or allowed[0]
    if value not in allowed:
        raise api_errors.constraint(value, member, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
    return value


def _too_large(row: Quota, size: int | None = None) -> api_errors.ApiError:
    """`size` is None for a body that was not read to its end, which only the synchronous sentence does without."""
    return api_errors.too_large(row.message.format(value=size, maximum=row.maximum))


def _check_request_id(given: str | None) -> None:
    if given is None:
        return
    try:
        uuid.UUID(given)
    except ValueError:
        raise api_errors.bad_header("The 'x-amzn-RequestId' header is not a valid UUID string.") from None


def _client_context(encoded: str) -> str | None:
    """The client's JSON object, written anew so that it fits one header whatever it holds."""
    if not encoded:
        return None
    if len(encoded) > _MOST_CONTEXT:
        message = f"Client context must be at most {_MOST_CONTEXT} bytes of Base64, and it has {len(encoded)}."
        raise api_errors.bad_header(message)
    try:
        document = json.loads(base64.b64decode(encoded, validate=True).decode("utf-8"), parse_constant=_refuse)
    except (ValueError, binascii.Error, RecursionError):
        raise api_errors.bad_client_context() from None
    if not isinstance(document, dict):
        raise api_errors.bad_client_context()
    return json.dumps(document, separators=(",", ":"))


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _list(parameters: Mapping[str, str]) -> ListFunctions:
    most, marker = parameters.get("MaxItems", ""), parameters.get("Marker", "")
    if most and not (most.isascii() and most.isdigit() and 1 <= int(most[:9]) <= _MOST_ITEMS):
        raise api_errors.constraint(most, "maxItems", f"Member must be between 1 and {_MOST_ITEMS}")
    if marker and not (marker.isascii() and marker.isdigit() and len(marker) <= len(str(_MOST_ITEMS))):
        raise api_errors.invalid_parameter(f"Invalid marker: {marker}")
    return ListFunctions(first=int(marker or 0), most=min(int(most[:9]) if most else _PAGE_ITEMS, _PAGE_ITEMS))
