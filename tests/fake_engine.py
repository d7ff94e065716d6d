"""An engine of a few lines: answers by method and path, in place of a socket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from emulator.sandbox.docker_calls import EngineRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Call:
    """One call as it was made."""

    def __init__(self, method: str, path: str, query: Mapping[str, str] | None, body: Any) -> None:  # noqa: ANN401 - JSON
        self.method = method
        self.path = path
        self.query = dict(query or {})
        self.body = body


class FakeCalls:
    """Stands in for `docker_calls.Calls`; routes are regular expressions over `METHOD path`, all calls are kept.

    What has no route answers 404, as the engine does; `trouble` is raised instead of any answer.
    """

    def __init__(self) -> None:
        self.made: list[Call] = []
        self.trouble: Exception | None = None
        self.closed = 0
        self.stopped = False
        self._routes: list[tuple[re.Pattern[str], Callable[[re.Match[str], Call], Any]]] = []

    def route(self, pattern: str, answer: Callable[[re.Match[str], Call], Any]) -> None:
        """Answer calls that match; later routes go first."""
        self._routes.insert(0, (re.compile(pattern), answer))

    def call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Answer by the first route."""
        call = Call(method, path, query, body)
        self.made.append(call)
        if self.trouble is not None:
            raise self.trouble
        for pattern, answer in self._routes:
            match = pattern.fullmatch(f"{method} {path}")
            if match is not None:
                return answer(match, call)
        raise EngineRefused(404, f"no such thing: {path}")

    def begin(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None
    ) -> FakePending:
        """Answer when asked for the result."""
        return FakePending(lambda: self.call(method, path, query=query, body=body))

    def listens(self) -> bool:
        """Until it is stopped."""
        return not self.stopped

    def close(self) -> None:
        """Counted."""
        self.closed += 1

    def bodies(self, method: str, path: str) -> list[Any]:
        """What was sent there."""
        return [call.body for call in self.made if (call.method, call.path) == (method, path)]


class FakePending:
    """A call that is made when its result is asked for, or when nobody is going to ask."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call

    def result(self) -> Any:  # noqa: ANN401 - JSON
        """Make it."""
        return self._call()

    def close(self) -> None:
        """Make it, and forget what came of it."""
        self._call()
