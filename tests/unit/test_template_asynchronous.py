"""What a template says of events that nobody waits for."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.config import AsynchronousConfig
from emulator.errors import ConfigurationError
from tests.templates import function_with, load

QUEUE = "\n  Queue:\n    Type: AWS::SQS::Queue\n"
ARN = "arn:aws:sqs:us-east-1:123456789012:q"


def settings(folder: Path, properties: str, *, before: str = "") -> AsynchronousConfig:
    """Of the function F with these properties."""
    return function_with(folder, properties, before=before, after=QUEUE).asynchronous


def test_defaults(tmp_path: Path) -> None:
    """Lambda's own: two retries, six hours, nobody is told."""
    found = settings(tmp_path, "")
    assert found == AsynchronousConfig()
    assert (found.retries, found.max_age_s) == (2, 6 * 3600)


def test_everything(tmp_path: Path) -> None:
    """SAM's names; an ARN that only AWS knows is called by what stands there."""
    text = (
        "EventInvokeConfig:\n"
        "  MaximumRetryAttempts: 0\n"
        "  MaximumEventAgeInSeconds: 120\n"
        "  DestinationConfig:\n"
        "    OnSuccess: {Type: SQS, Destination: !GetAtt Queue.Arn}\n"
        f"    OnFailure: {{Type: SQS, Destination: '{ARN}'}}\n"
        "DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt [Queue, Arn]}"
    )
    assert settings(tmp_path, text) == AsynchronousConfig(
        retries=0, max_age_s=120, on_success="Queue.Arn", on_failure=ARN, dead_letter="Queue.Arn"
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("{Type: SNS}", "SNS"),
        ("{Type: SQS, Destination: !ImportValue the-queue}", "the-queue"),
        ("!If [Never, {Type: SQS}, !Ref AWS::NoValue]", None),
        ("{Destination: !Sub 'arn:${AWS::Region}'}", "arn:us-east-1"),
        ("!ImportValue all-of-it", "all-of-it"),
        ("{}", None),
    ],
)
def test_a_destination(tmp_path: Path, target: str, expected: str | None) -> None:
    """SAM makes one where there is only a type; what cannot be settled is there all the same."""
    text = f"EventInvokeConfig:\n  DestinationConfig:\n    OnFailure: {target}"
    before = "Conditions:\n  Never: !Equals [a, b]\n"
    assert settings(tmp_path, text, before=before).on_failure == expected


def test_globals_are_merged(tmp_path: Path) -> None:
    """As SAM does it."""
    shared = "Globals:\n  Function:\n    EventInvokeConfig:\n      MaximumRetryAttempts: 1\n"
    text = "EventInvokeConfig:\n  MaximumEventAgeInSeconds: 60"
    found = settings(tmp_path, text, before=shared)
    assert (found.retries, found.max_age_s) == (1, 60)


def test_cloudformation(tmp_path: Path) -> None:
    """Its name for the queue."""
    text = (
        "Resources:\n  F:\n    Type: AWS::Lambda::Function\n    Properties:\n"
        "      {Handler: a.b, Runtime: python3.13, Code: src/, DeadLetterConfig: {TargetArn: !GetAtt Queue.Arn}}\n"
        + QUEUE
    )
    assert load(tmp_path, text).find("F").asynchronous.dead_letter == "Queue.Arn"


@pytest.mark.parametrize("name", ["!Ref F", "!GetAtt F.Arn", "F"])
def test_cloudformations_resource(tmp_path: Path, name: str) -> None:
    """Names its function in any way; those of others, and what cannot be settled, are not ours."""

    def resource(function: str, retries: int) -> str:
        kind = "    Type: AWS::Lambda::EventInvokeConfig\n"
        return (
            f"{kind}    Properties: {{FunctionName: {function}, Qualifier: $LATEST, MaximumRetryAttempts: {retries}}}\n"
        )

    after = f"\n  Other:\n{resource('other', 2)}  Unknown:\n{resource('!ImportValue x', 2)}  Ours:\n{resource(name, 0)}"
    assert function_with(tmp_path, "", after=after).asynchronous.retries == 0


def test_a_number_that_is_none(tmp_path: Path) -> None:
    """With its place."""
    with pytest.raises(ConfigurationError, match=r"MaximumRetryAttempts: 'two' is not a whole number"):
        settings(tmp_path, "EventInvokeConfig:\n  MaximumRetryAttempts: two")
