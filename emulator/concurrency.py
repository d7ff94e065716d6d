"""How many invocations may run at once: of a function that reserves a number, and of all the others together.

"Understanding Lambda function scaling", AWS Lambda Developer Guide, 2026-07. What a function reserves is taken from the
account's limit and is its own limit as well; the words of a refusal are those of real answers (`Rate Exceeded.`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from emulator.errors import Throttled

if TYPE_CHECKING:
    from emulator.config import FunctionConfig

ACCOUNT_LIMIT: Final = 1000  # "Lambda quotas", AWS Lambda Developer Guide, 2026-10; new accounts have less


class Concurrency:
    """Counts the invocations under way. It does not lock: its owner calls it inside a lock of its own."""

    def __init__(self, functions: Iterable[FunctionConfig], limit: int = ACCOUNT_LIMIT) -> None:
        reserved = ((config.name, config.reserved_concurrency) for config in functions)
        self._reserved = {name: count for name, count in reserved if count is not None}
        self._running: Counter[str] = Counter()
        self.limit = limit

    @property
    def running(self) -> int:
        """Invocations under way, of all functions."""
        return self._running.total()

    @property
    def unreserved(self) -> int:
        """What is left for the functions that reserve nothing."""
        return max(0, self.limit - sum(self._reserved.values()))

    def admit(self, name: str) -> None:
        """Count one more invocation of the function, or raise Throttled."""
        reserved = self._reserved.get(name)
        if reserved is not None and self._running[name] >= reserved:
            hint = f"{name} reserves {reserved} concurrent executions (ReservedConcurrentExecutions)."
            raise Throttled("Rate Exceeded.", reason="ReservedFunctionConcurrentInvocationLimitExceeded", hint=hint)
        if reserved is None and self._shared() >= self.unreserved:
            hint = f"{self.unreserved} invocations may run at once that no function has reserved."
            raise Throttled("Rate Exceeded.", reason="ConcurrentInvocationLimitExceeded", hint=hint)
        self._running[name] += 1

    def leave(self, name: str) -> None:
        """One invocation of the function is over."""
        self._running[name] -= 1

    def _shared(self) -> int:
        return sum(count for name, count in self._running.items() if name not in self._reserved)
