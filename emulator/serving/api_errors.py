"""The Lambda API's refusals, each with its status, type, words and the very members that SDKs decode.

Shapes from the API's model (botocore 1.43, 2026); messages as recorded against AWS or reported by its users, where the
function that makes them says nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from emulator.http1 import HttpResponse

# The model spells the member with a capital in these, and `message` in all others.
_CAPITAL: Final = frozenset({"RequestEntityTooLargeException", "ResourceNotFoundException", "ServiceException"})
_USER: Final[Mapping[str, str | None]] = MappingProxyType({"Type": "User"})


class ApiError(Exception):
    """A refusal; `members` are those of its JSON besides the message."""

    def __init__(self, *, status: int, type: str, message: str, members: Mapping[str, str | None] = _USER) -> None:  # noqa: A002 - the API's own word
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.members = members

    def response(self, request_id: str, *, keep_alive: bool = True) -> HttpResponse:
        """The answer that an SDK turns into its exception of this type."""
        key = "Message" if self.type in _CAPITAL else "message"
        headers = {
            "Content-Type": "application/json",
            "x-amzn-RequestId": request_id,
            "x-amzn-ErrorType": self.type,
        }
        body = json.dumps({**self.members, key: self.message}).encode()
        return HttpResponse(status=self.status, headers=headers, body=body, keep_alive=keep_alive)


def not_found(arn: str) -> ApiError:
    """No such function, version or alias (recorded by LocalStack against AWS, 2025-11)."""
    return ApiError(status=404, type="ResourceNotFoundException", message=f"Function not found: {arn}")


def no_url() -> ApiError:
    """The function has no URL (recorded by LocalStack against AWS, 2024-04)."""
    message = "The resource you requested does not exist."
    return ApiError(status=404, type="ResourceNotFoundException", message=message)


def elsewhere(region: str, ours: str) -> ApiError:
    """An ARN of another region (recorded by LocalStack against AWS, 2025-11)."""
    message = f"Functions from '{region}' are not reachable in this region ('{ours}')"
    return ApiError(status=404, type="ResourceNotFoundException", message=message)


def not_ours(arn: str) -> ApiError:
    """An ARN of another account, whose functions nobody has shared with us."""
    message = (
        f"User is not authorized to perform: lambda:InvokeFunction on resource: {arn} "
        "because no resource-based policy allows the lambda:InvokeFunction action"
    )
    return ApiError(status=403, type="AccessDeniedException", message=message, members={})


def invalid_parameter(message: str) -> ApiError:
    """A value that Lambda understands and does not take."""
    return ApiError(status=400, type="InvalidParameterValueException", message=message)


def constraint(value: str, member: str, constraint: str) -> ApiError:
    """A value that the API's model does not allow."""
    message = f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    return ApiError(status=400, type="ValidationException", message=message, members={})


def not_json(trouble: str) -> ApiError:
    """An event that is no JSON (real answers of 2024 to 2026)."""
    message = f"Could not parse request body into json: Could not parse payload into json: {trouble}"
    return ApiError(status=400, type="InvalidRequestContentException", message=message)


def bad_client_context() -> ApiError:
    """The header X-Amz-Client-Context (a real answer, whose Type is null)."""
    message = "Client context must be a valid Base64-encoded JSON object."
    return ApiError(status=400, type="InvalidRequestContentException", message=message, members={"Type": None})


def bad_header(message: str) -> ApiError:
    """Another header that Lambda does not take; the type is the model's, the words are ours."""
    return ApiError(status=400, type="InvalidRequestContentException", message=message)


def too_large(message: str) -> ApiError:
    """An event over its limit; the type is not the model's but the reported one (hyp3 #2241, 2024-05-02, others)."""
    return ApiError(status=413, type="RequestEntityTooLargeException", message=message, members={})


def throttled(message: str, reason: str) -> ApiError:
    """Too many at once (a real answer of 2021; the reasons are the model's)."""
    members = {"Reason": reason, "Type": "User"}
    return ApiError(status=429, type="TooManyRequestsException", message=message, members=members)


def service_failure(message: str) -> ApiError:
    """The emulator failed and not the function, nor the request."""
    return ApiError(status=500, type="ServiceException", message=message, members={"Type": "Server"})


def not_offered(operation: str, offered: str) -> ApiError:
    """What the real API may offer and this emulator does not: the words are ours, the type is AWS's."""
    message = f"{operation} is not offered by this emulator, which offers {offered}"
    return ApiError(status=404, type="UnknownOperationException", message=message, members={})


def method_not_allowed(method: str) -> ApiError:
    """A method that no function URL takes; the words are ours."""
    return ApiError(status=405, type="MethodNotAllowedException", message=f"{method} is not allowed here", members={})


def malformed(message: str, *, status: int = 400) -> ApiError:
    """What came is no HTTP/1.1."""
    return ApiError(status=status, type="BadRequestException", message=message, members={})
