"""How many invocations may run at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.concurrency import ACCOUNT_LIMIT, Concurrency
from emulator.config import FunctionConfig
from emulator.errors import Throttled


def function(name: str, reserved: int | None = None) -> FunctionConfig:
    """A function that reserves so many."""
    return FunctionConfig(
        name=name, handler="a.b", runtime="python3.13", code=Path("/nowhere"), reserved_concurrency=reserved
    )


def refused(concurrency: Concurrency, name: str) -> str:
    """The reason why one more is refused."""
    with pytest.raises(Throttled, match=r"^Rate Exceeded\.$") as caught:
        concurrency.admit(name)
    assert caught.value.hint
    return caught.value.reason


@pytest.mark.parametrize("reserved", [0, 1, 3])
def test_a_reservation_is_a_limit(reserved: int) -> None:
    """Of this function alone, 0 included."""
    concurrency = Concurrency([function("F", reserved), function("G")])
    for _ in range(reserved):
        concurrency.admit("F")
    assert refused(concurrency, "F") == "ReservedFunctionConcurrentInvocationLimitExceeded"
    concurrency.admit("G")
    if reserved:
        concurrency.leave("F")
        concurrency.admit("F")


def test_the_account_has_a_limit() -> None:
    """Of all functions that reserve nothing, together."""
    concurrency = Concurrency([function("F"), function("G"), function("H", 2)], limit=5)
    assert concurrency.unreserved == 3
    for name in ("F", "G", "F"):
        concurrency.admit(name)
    assert refused(concurrency, "F") == refused(concurrency, "G") == "ConcurrentInvocationLimitExceeded"
    concurrency.admit("H")
    concurrency.leave("G")
    concurrency.admit("F")
    assert concurrency.running == 4


def test_the_limit_is_lambdas() -> None:
    """1,000, and what is reserved may even be more."""
    assert Concurrency([]).limit == ACCOUNT_LIMIT == 1000
    assert Concurrency([function("F", 2000)]).unreserved == 0


@given(
    reserved=st.dictionaries(st.sampled_from("ABC"), st.none() | st.integers(0, 3), min_size=1),
    limit=st.integers(0, 8),
    steps=st.lists(st.tuples(st.sampled_from("ABC"), st.booleans())),
)
def test_never_over_a_limit(reserved: dict[str, int | None], limit: int, steps: list[tuple[str, bool]]) -> None:
    """Whatever comes and goes; and what is refused would have been over one."""
    concurrency = Concurrency([function(name, count) for name, count in reserved.items()], limit)
    running: Counter[str] = Counter()
    free = max(0, limit - sum(count for count in reserved.values() if count is not None))
    for name, comes in steps:
        if name not in reserved:
            continue
        own = reserved[name]
        used = running[name] if own is not None else sum(running[one] for one in reserved if reserved[one] is None)
        if comes:
            try:
                concurrency.admit(name)
            except Throttled:
                assert used >= (free if own is None else own)
            else:
                running[name] += 1
                assert used + 1 <= (free if own is None else own)
        elif running[name]:
            concurrency.leave(name)
            running[name] -= 1
    assert concurrency.running == running.total()
