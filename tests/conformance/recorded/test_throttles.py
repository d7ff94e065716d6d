"""Too many at once: 429, and why."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.command import wait_for
from tests.conformance.recorded.cloud import AHEAD, CONCURRENCY, RESERVED, Cloud
from tests.conformance.recorded.sources import SCALING, THROTTLES, recorded


@recorded(THROTTLES)
def test_reserved_concurrency_of_zero(aws: Cloud) -> None:
    """A function that may never run: 429 at once, with the reason."""
    with pytest.raises(aws.client.exceptions.TooManyRequestsException) as caught:
        aws.client.invoke(FunctionName="Never")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert caught.value.response["Error"]["Message"] == "Rate Exceeded."
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


@recorded(SCALING)
def test_dry_run_of_a_function_that_may_never_run(aws: Cloud) -> None:
    """It uses no concurrency."""
    assert aws.client.invoke(FunctionName="Never", InvocationType="DryRun")["StatusCode"] == 204


def hold(aws: Cloud, names: list[str], pool: ThreadPoolExecutor, seconds: float) -> None:
    """Keep one environment busy for each name; they have begun when this returns."""
    before = aws.served.log.read_text().count("holding on")
    event = {"python": f"[print('holding on'), time.sleep({seconds})]"}
    for name in names:
        pool.submit(aws.invoke, name, event)
    wait_for(lambda: aws.served.log.read_text().count("holding on") == before + len(names))


@recorded(SCALING)
def test_reserved_concurrency(aws: Cloud) -> None:
    """What is over a function's own share is refused, though the account has room."""
    with ThreadPoolExecutor() as pool:
        hold(aws, ["Single"], pool, 1.5)
        with pytest.raises(aws.client.exceptions.TooManyRequestsException) as caught:
            aws.client.invoke(FunctionName="Single")
        assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert aws.look("1") == 1


@recorded(SCALING)
def test_account_concurrency(aws: Cloud) -> None:
    """What others have reserved is not for the rest; the reserved share is there still."""
    for name in AHEAD:
        aws.begun[name].result()
    with ThreadPoolExecutor() as pool:
        hold(aws, ["Look"] * (CONCURRENCY - RESERVED), pool, 3)
        for name in ("Look", "Echo"):
            with pytest.raises(aws.client.exceptions.TooManyRequestsException) as caught:
                aws.client.invoke(FunctionName=name)
            assert caught.value.response["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert aws.look("2", "Single") == 2
    assert aws.look("3") == 3
