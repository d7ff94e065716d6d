"""Function names as clients write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.serving.api_errors import ApiError
from emulator.serving.function_names import FunctionName, resolve

KNOWN = {"real-name": "real-name", "LogicalId": "real-name"}
ARN = "arn:aws:lambda:us-east-1:123456789012:function"


@pytest.mark.parametrize(
    "text",
    [
        "real-name",
        "LogicalId",
        "function:real-name",
        "123456789012:function:real-name",
        "us-east-1:123456789012:function:real-name",
        f"{ARN}:real-name",
    ],
)
def test_every_form_of_a_name(text: str) -> None:
    """With a qualifier in the name, in the query, in both, and without any."""
    assert resolve(text, "", KNOWN) == FunctionName(name="real-name", qualifier=None)
    expected = FunctionName(name="real-name", qualifier="$LATEST")
    assert resolve(f"{text}:$LATEST", "", KNOWN) == expected
    assert resolve(text, "$LATEST", KNOWN) == expected
    assert resolve(f"{text}:$LATEST", "$LATEST", KNOWN) == expected


@pytest.mark.parametrize(
    ("text", "qualifier", "status", "error_type", "message"),
    [
        ("nope", "", 404, "ResourceNotFoundException", f"Function not found: {ARN}:nope:$LATEST"),
        ("nope", "$LATEST", 404, "ResourceNotFoundException", f"Function not found: {ARN}:nope:$LATEST"),
        ("LogicalId", "1", 404, "ResourceNotFoundException", f"Function not found: {ARN}:real-name:1"),
        ("real-name:prod", "", 404, "ResourceNotFoundException", f"Function not found: {ARN}:real-name:prod"),
        (
            f"{ARN}:real-name:$LATEST",
            "prod",
            400,
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        ),
        (
            "arn:aws:lambda:eu-west-1:123456789012:function:real-name",
            "",
            404,
            "ResourceNotFoundException",
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
    ],
)
def test_what_is_not_there(text: str, qualifier: str, status: int, error_type: str, message: str) -> None:
    """In AWS's words."""
    with pytest.raises(ApiError) as caught:
        resolve(text, qualifier, KNOWN, unqualified="$LATEST")
    assert (caught.value.status, caught.value.type, caught.value.message) == (status, error_type, message)


def test_a_function_of_somebody_else() -> None:
    """Its ARN is in the refusal."""
    with pytest.raises(
        ApiError, match="on resource: arn:aws:lambda:us-east-1:210987654321:function:real-name "
    ) as caught:
        resolve("210987654321:function:real-name", "", KNOWN)
    assert (caught.value.status, caught.value.type) == (403, "AccessDeniedException")


@pytest.mark.parametrize(
    ("text", "qualifier", "member"),
    [
        ("", "", "functionName"),
        ("a b", "", "functionName"),
        ("a:b:c:d", "", "functionName"),
        ("real-name\n", "", "functionName"),
        ("x" * 257, "", "functionName"),
        ("real-name:", "", "functionName"),
        ("arn:aws:s3:::bucket", "", "functionName"),
        ("real-name", "a b", "qualifier"),
        ("real-name", "x" * 129, "qualifier"),
    ],
)
def test_what_the_model_does_not_allow(text: str, qualifier: str, member: str) -> None:
    """The member is named, as AWS names it."""
    with pytest.raises(ApiError, match=f" at '{member}' failed to satisfy constraint: Member must ") as caught:
        resolve(text, qualifier, KNOWN)
    assert (caught.value.status, caught.value.type) == (400, "ValidationException")


@given(text=st.text(max_size=300), qualifier=st.text(max_size=140))
def test_any_text_is_a_name_or_a_refusal(text: str, qualifier: str) -> None:
    """And never our fault."""
    found: FunctionName | ApiError
    try:
        found = resolve(text, qualifier, KNOWN)
    except ApiError as error:
        found = error
    assert found.status in range(400, 500) if isinstance(found, ApiError) else found.name == "real-name"
