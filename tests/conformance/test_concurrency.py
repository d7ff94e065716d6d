"""Several invocations of one function at once: an execution environment each, and none in another's way."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from emulator.invocation import InvocationResult
from tests.conformance.conftest import Lab

AT_ONCE = 8
WAIT_S = 1.0  # long enough for all of them to be under way


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for each caller."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as made:
        yield made


def call(lab: Lab, pool: ThreadPoolExecutor, id_: str, **event: object) -> Future[InvocationResult]:
    """Begin an invocation that says who it is."""
    return pool.submit(lab.invoke, "Who", {"id": id_, **event})


def assert_own_log(result: InvocationResult, id_: str) -> None:
    """The log is this invocation's and nobody else's."""
    lines = result.log.splitlines()
    assert lines[:3] == [f"START RequestId: {result.request_id} Version: $LATEST", f"begin {id_}", f"end {id_}"]
    assert lines[3] == f"END RequestId: {result.request_id}"
    assert len(lines) == 5


def test_eight_at_once(lab: Lab, pool: ThreadPoolExecutor) -> None:
    """Eight calls run in eight environments, each with its own answer and log; afterwards they serve again, warm."""
    lab.service.retire("Who")
    assert lab.service.prepare("Who", AT_ONCE) == AT_ONCE
    ids = [f"first-{number}" for number in range(AT_ONCE)]
    first = [begun.result() for begun in [call(lab, pool, id_, seconds=WAIT_S) for id_ in ids]]
    assert len({result.payload["environment"] for result in first}) == AT_ONCE
    for id_, result in zip(ids, first, strict=True):
        assert result.payload["id"] == id_
        assert result.payload["request_id"] == result.request_id
        assert result.timings.init_ms is not None
        assert_own_log(result, id_)
    assert len({result.request_id for result in first}) == AT_ONCE
    ids = [f"second-{number}" for number in range(AT_ONCE)]
    second = [begun.result() for begun in [call(lab, pool, id_, seconds=WAIT_S) for id_ in ids]]
    assert {result.payload["environment"] for result in second} == {result.payload["environment"] for result in first}
    for id_, result in zip(ids, second, strict=True):
        assert result.payload["id"] == id_
        assert result.timings.init_ms is None
        assert_own_log(result, id_)
    lab.service.retire("Who")


def test_environment_used_last_serves_first(lab: Lab) -> None:
    """One after the other they all go to the same environment."""
    lab.service.retire("Who")
    seen = {lab.payload("Who", {"id": str(number)})["environment"] for number in range(5)}
    assert len(seen) == 1


def test_a_crash_touches_nobody_else(lab: Lab, pool: ThreadPoolExecutor) -> None:
    """While one environment dies another finishes its invocation, and is warm afterwards."""
    lab.service.retire("Who")
    lab.service.prepare("Who", 2)
    steady = call(lab, pool, "steady", seconds=2 * WAIT_S)
    dying = call(lab, pool, "dying", seconds=WAIT_S / 4, exit=9)
    died = dying.result()
    assert not steady.done()
    assert died.error is not None
    assert died.error.message.endswith("exit status 9")
    result = steady.result()
    assert result.error is None
    assert_own_log(result, "steady")
    again = lab.invoke("Who", {"id": "again"})
    assert again.payload["environment"] == result.payload["environment"]
    assert again.timings.init_ms is None
    lab.service.retire("Who")


def test_prepared_environments_are_cold_and_used_once(lab: Lab) -> None:
    """`prepare` makes what is missing; its environments wait without having initialised, and are taken one by one."""
    lab.service.retire("Who")
    assert lab.service.prepare("Who", 2) == 2
    assert lab.service.prepare("Who", 2) == 2
    first = lab.invoke("Who", {"id": "a"}, fresh=True)
    assert first.timings.init_ms is not None
    assert lab.service.prepare("Who", 0) == 1
    second = lab.invoke("Who", {"id": "b"}, fresh=True)
    assert second.timings.init_ms is not None
    assert lab.service.prepare("Who", 0) == 0
    assert first.payload["environment"] != second.payload["environment"]
    lab.service.retire("Who")


def test_init_duration_is_not_the_time_to_make_a_sandbox(lab: Lab) -> None:
    """Its clock starts at *go*: an environment made ahead and one made on the spot take about as long to initialise."""
    lab.service.retire("Who")
    spot = [lab.invoke("Who", {"id": "spot"}, fresh=True) for _ in range(3)]
    lab.service.prepare("Who", 3)
    ahead = [lab.invoke("Who", {"id": "ahead"}, fresh=True) for _ in range(3)]
    times = [min(result.timings.init_ms or 0.0 for result in some) for some in (spot, ahead)]
    assert max(times) < 4 * min(times)
    lab.service.retire("Who")
