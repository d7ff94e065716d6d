"""Refusals as an SDK decodes them: botocore's own parser reads each with the API's own model."""

from __future__ import annotations

from typing import Any

import botocore.loaders
import botocore.model
import botocore.parsers
import pytest

from emulator.serving import api_errors
from emulator.serving.api_errors import ApiError

ALL = [
    api_errors.not_found("arn:x"),
    api_errors.elsewhere("eu-west-1", "us-east-1"),
    api_errors.invalid_parameter("a parameter"),
    api_errors.not_json("trouble"),
    api_errors.bad_client_context(),
    api_errors.bad_header("a header"),
    api_errors.throttled("Rate Exceeded.", "ConcurrentInvocationLimitExceeded"),
    api_errors.service_failure("broken"),
]
OUTSIDE_THE_MODEL = [
    api_errors.not_ours("arn:x"),
    api_errors.too_large("large"),
    api_errors.constraint("v", "member", "must"),
    api_errors.not_offered("GET /x", "that"),
    api_errors.malformed("no HTTP"),
]


def name(error: ApiError) -> str:
    """For the test's id."""
    return error.type


@pytest.fixture(scope="module")
def service() -> botocore.model.ServiceModel:
    """Give the Lambda API's model."""
    description = botocore.loaders.Loader().load_service_model("lambda", "service-2")
    return botocore.model.ServiceModel(description, "lambda")


def decoded(error: ApiError, service: botocore.model.ServiceModel) -> dict[str, Any]:
    """What botocore makes of it."""
    response = error.response("the-request-id")
    operation = service.operation_model("Invoke")
    headers = {key.lower(): value for key, value in response.headers.items()}
    given = {"status_code": response.status, "headers": headers, "body": response.body}
    parsed: dict[str, Any] = botocore.parsers.create_parser("rest-json").parse(given, operation.output_shape)
    return parsed


@pytest.mark.parametrize("error", ALL + OUTSIDE_THE_MODEL, ids=name)
def test_type_message_and_request_id(error: ApiError, service: botocore.model.ServiceModel) -> None:
    """Where an SDK looks for them."""
    found = decoded(error, service)
    assert found["Error"] == {"Code": error.type, "Message": error.message}
    assert found["ResponseMetadata"]["RequestId"] == "the-request-id"
    assert found["ResponseMetadata"]["HTTPStatusCode"] == error.status


@pytest.mark.parametrize("error", ALL, ids=name)
def test_status_and_members_are_the_models(error: ApiError, service: botocore.model.ServiceModel) -> None:
    """Every member that we send is one that the model has, and the status is the model's."""
    shape = service.shape_for(error.type)
    assert shape.metadata["error"]["httpStatusCode"] == error.status
    assert error.members.keys() <= shape.members.keys()
    message = next(member for member in shape.members if member.lower() == "message")
    assert f'"{message}": '.encode() in error.response("id").body


def test_the_reasons_of_a_throttle_are_the_models(service: botocore.model.ServiceModel) -> None:
    """Of its enumeration."""
    reasons = service.shape_for("ThrottleReason").enum
    assert {"ConcurrentInvocationLimitExceeded", "ReservedFunctionConcurrentInvocationLimitExceeded"} <= set(reasons)
