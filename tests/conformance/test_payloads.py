"""Events and answers: their sizes to the byte, and their values unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.errors import QuotaError
from tests.conformance.conftest import Lab
from tests.json_values import VALUES

pytestmark = pytest.mark.seldom_on("process-watched", reason="the Runtime API is the same with and without a watcher")

REQUEST_LIMIT = 6_291_456
RESPONSE_LIMIT = 6_291_556


@pytest.mark.parametrize("size", [REQUEST_LIMIT - 1, REQUEST_LIMIT])
def test_largest_requests(lab: Lab, size: int) -> None:
    """An event of up to 6 MB is handed over whole."""
    payload = json.dumps("e" * (size - 2)).encode()
    assert len(payload) == size
    result = lab.service.invoke("EchoFast", payload)
    assert result.error is None
    assert result.body == payload


def test_request_too_large(lab: Lab) -> None:
    """One byte more is refused in AWS's words, and no environment is used up."""
    payload = json.dumps("e" * (REQUEST_LIMIT - 1)).encode()
    assert len(payload) == REQUEST_LIMIT + 1
    with pytest.raises(QuotaError) as refused:
        lab.service.invoke("EchoFast", payload)
    assert refused.value.message == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"


@pytest.mark.parametrize("size", [RESPONSE_LIMIT - 1, RESPONSE_LIMIT])
def test_largest_answers(lab: Lab, size: int) -> None:
    """An answer of up to 6 MB and 100 bytes comes back whole."""
    result = lab.invoke("LargeAnswerFast", {"bytes": size})
    assert result.error is None
    assert len(result.body) == size


def test_answer_too_large(lab: Lab) -> None:
    """One byte more is Lambda's error, and the environment stays warm."""
    lab.invoke("LargeAnswerFast", {"bytes": 10})
    result = lab.invoke("LargeAnswerFast", {"bytes": RESPONSE_LIMIT + 1})
    assert result.error is not None
    assert result.error.type == "Function.ResponseSizeTooLarge"
    assert result.payload == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    after = lab.invoke("LargeAnswerFast", {"bytes": 12})
    assert (len(after.body), after.timings.init_ms) == (12, None)


@pytest.mark.parametrize("payload", [b"null", b"true", b"0", b'""', b"[]", b"{}", b'"\\ud83d\\ude00"', b" [ 1 ] "])
def test_smallest_events(lab: Lab, payload: bytes) -> None:
    """Any JSON document is an event."""
    result = lab.service.invoke("Echo", payload)
    assert result.error is None
    assert json.loads(result.body) == json.loads(payload)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(value=VALUES, ascii_only=st.booleans())
def test_any_json_comes_back(lab: Lab, value: Any, ascii_only: bool) -> None:  # noqa: FBT001, ANN401 - Hypothesis hands them over
    """Values, types and the order of keys survive the way in and out, in one warm environment."""
    result = lab.service.invoke("EchoFast", json.dumps(value, ensure_ascii=ascii_only).encode())
    assert result.error is None, result.log
    assert json.dumps(json.loads(result.body)) == json.dumps(value)
