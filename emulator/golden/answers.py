"""The answer within a payload, by JMESPath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jmespath
import jmespath.exceptions

from emulator.errors import ConfigurationError


def finder(path: str) -> Callable[[Any], Any]:
    """A function from payload to answer, None where there is none; the whole payload for an empty path."""
    if not path:
        return lambda payload: payload
    try:
        compiled = jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:
        # The first of its lines; the others, which a colon announces, show the path once more.
        reason = str(error).splitlines()[0].removeprefix("Invalid jmespath expression: ").rstrip(":")
        message = f"the answer {path!r} is not a JMESPath: {reason}"
        raise ConfigurationError(message, hint='For instance: label, results[0].score, "max-score".') from error

    def find(payload: Any) -> Any:  # noqa: ANN401 - JSON of any shape
        try:
            return compiled.search(payload)
        except jmespath.exceptions.JMESPathError:  # a function of the path was given what it does not take
            return None

    return find
