"""The values of one invocation: what is derived from what was measured."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.invocation import FunctionError, InvocationResult, Timings, Usage

if TYPE_CHECKING:
    from typing import Any

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

RESULT = InvocationResult(
    request_id="1",
    body=b"{}",
    error=None,
    timings=Timings(init_ms=None, duration_ms=1.0, billed_ms=1),
    usage=Usage(),
    log="",
)


@given(value=JSON)
def test_payload_is_the_body_as_json(value: Any) -> None:  # noqa: ANN401 - JSON of any shape
    """Whatever a handler can answer comes back as the value it was."""
    assert replace(RESULT, body=json.dumps(value).encode()).payload == value


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b"not JSON", "not JSON"),
        (b"", ""),
        (b'{"cut":', '{"cut":'),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "caf\ufffd"),
        (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
    ],
)
def test_payload_that_is_not_json_is_text(body: bytes, payload: str) -> None:
    """A handler may answer with bytes; what is not UTF-8 among them is marked, never an error."""
    assert replace(RESULT, body=body).payload == payload


def test_payload_nested_too_deep_is_text() -> None:
    """JSON that Python's own reader gives up on is still shown."""
    body = b"[" * 100_000 + b"]" * 100_000
    assert replace(RESULT, body=body).payload == body.decode()


def test_ok_is_the_absence_of_an_error() -> None:
    """An error document in the body does not make a failure, an error does."""
    assert replace(RESULT, body=b'{"errorMessage": "mine"}').ok
    assert not replace(RESULT, error=FunctionError(type="ValueError", message="")).ok


@pytest.mark.parametrize(("init_ms", "cold"), [(None, False), (0.0, True), (95.46, True)])
def test_cold_is_an_init_phase_of_its_own(init_ms: float | None, cold: bool) -> None:  # noqa: FBT001 - a column
    """Even an init too short to be seen is one; None is none."""
    assert replace(RESULT, timings=replace(RESULT.timings, init_ms=init_ms)).cold is cold


def test_results_do_not_change() -> None:
    """Whoever holds a result may rely on it."""
    with pytest.raises(FrozenInstanceError):
        RESULT.log = "other"  # type: ignore[misc]  # that it is refused is what is tested


def test_nothing_measured_is_none() -> None:
    """A figure that nobody took is None and never 0."""
    usage = Usage()
    assert [usage.max_memory_bytes, usage.cpu_seconds, usage.throttled_seconds, usage.init_cpu_seconds] == [None] * 4
