"""Function names as clients write them: a name, a partial ARN or a full one, each with a qualifier or without.

Patterns from the API's model (NamespacedFunctionName, botocore 1.43, 2026).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from emulator.serving import api_errors
from emulator.variables import ACCOUNT, REGION, function_arn

LATEST: Final = "$LATEST"

_PATTERN: Final = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
# The same with names for the groups, and digits that are ASCII's.
_NAME: Final = re.compile(
    r"(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-[0-9]):)?"
    r"(?:(?P<account>[0-9]{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_.-]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+))?"
)
_QUALIFIER_PATTERN: Final = "(|[a-zA-Z0-9$_-]+)"
_QUALIFIER: Final = re.compile(r"[a-zA-Z0-9$_-]*")
_MOST_NAME: Final = 256
_MOST_QUALIFIER: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionName:
    """A function that is there; `qualifier` is None where the client named none, and then `$LATEST` is meant."""

    name: str
    qualifier: str | None


def resolve(text: str, qualifier: str, known: Mapping[str, str], *, unqualified: str | None = None) -> FunctionName:
    """The function that a client means, or ApiError in AWS's words.

    `text` is the name as in the path, `qualifier` the query's and empty where there is none. `known` is every name to
    the one that Lambda would give the function. `unqualified` stands in the error for a qualifier that nobody named.
    """
    if len(text) > _MOST_NAME:
        limit = f"Member must have length less than or equal to {_MOST_NAME}"
        raise api_errors.constraint(text, "functionName", limit)
    found = _NAME.fullmatch(text)
    if found is None:
        pattern = f"Member must satisfy regular expression pattern: {_PATTERN}"
        raise api_errors.constraint(text, "functionName", pattern)
    _check_qualifier(qualifier)
    own = found["qualifier"]
    if own and qualifier and own != qualifier:
        message = "The derived qualifier from the function name does not match the specified qualifier."
        raise api_errors.invalid_parameter(message)
    named = own or qualifier or None
    if found["region"] not in {None, REGION}:
        raise api_errors.elsewhere(found["region"], REGION)
    if found["account"] not in {None, ACCOUNT}:
        arn = function_arn(found["name"], named).replace(f":{ACCOUNT}:", f":{found['account']}:")
        raise api_errors.not_ours(arn)
    name = known.get(found["name"])
    if name is None or named not in {None, LATEST}:
        raise api_errors.not_found(function_arn(name or found["name"], named or unqualified))
    return FunctionName(name=name, qualifier=named)


def _check_qualifier(qualifier: str) -> None:
    if len(qualifier) > _MOST_QUALIFIER:
        limit = f"Member must have length less than or equal to {_MOST_QUALIFIER}"
        raise api_errors.constraint(qualifier, "qualifier", limit)
    if not _QUALIFIER.fullmatch(qualifier):
        pattern = f"Member must satisfy regular expression pattern: {_QUALIFIER_PATTERN}"
        raise api_errors.constraint(qualifier, "qualifier", pattern)
