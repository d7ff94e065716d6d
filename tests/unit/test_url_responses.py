"""A function's answer as an HTTP response, against answers that were recorded from AWS."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.http1 import encode_response
from emulator.serving.url_responses import InvalidResponse, Prelude, UrlResponse, interpret

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def answer(**parts: object) -> UrlResponse:
    """What this object means."""
    return interpret(json.dumps(parts).encode())


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        ('{"hello": "world"}', b'{"hello":"world"}'),
        ('["hello", 3, true]', b'["hello",3,true]'),
        ('"hello"', b"hello"),
        ("3", b"3"),
        ("3.1", b"3.1"),
        ("true", b"true"),
        ("null", b"null"),
        ('{"statusCode": 200, "body": "body123"}', b"body123"),
        ('{"statusCode": 200, "body": "{\\"hello\\": \\"world\\"}"}', b'{"hello": "world"}'),
    ],
)
def test_recorded_answers(payload: str, body: bytes) -> None:
    """LocalStack's of 2025-11-24: 200, `application/json`, and these bytes."""
    found = interpret(payload.encode())
    assert (found.status, found.headers, found.body) == (200, {"Content-Type": "application/json"}, body)


def test_everything() -> None:
    """Of the guide's example, and the status as text (recorded too)."""
    found = answer(
        statusCode="418",
        headers={"Content-Type": "text/plain", "My-Custom-Header": "Custom Value", "X-Number": 1, "X-Yes": True},
        cookies=["Cookie_1=Value1; Expires=21 Oct 2021 07:48 GMT", "Cookie_2=Value2; Max-Age=78000"],
        body=base64.b64encode(b"\x00\xff").decode(),
        isBase64Encoded=True,
    )
    assert found == UrlResponse(
        status=418,
        headers={"Content-Type": "text/plain", "My-Custom-Header": "Custom Value", "X-Number": "1", "X-Yes": "true"},
        cookies=("Cookie_1=Value1; Expires=21 Oct 2021 07:48 GMT", "Cookie_2=Value2; Max-Age=78000"),
        body=b"\x00\xff",
    )


def test_a_body_that_is_no_text() -> None:
    """Is its JSON; an absent one is empty."""
    assert answer(statusCode=200, body={"a": [1, 2.5]}).body == b'{"a":[1,2.5]}'
    assert answer(statusCode=204).body == answer(statusCode=200, body=None).body == b""


def test_headers_of_the_connection() -> None:
    """Are renamed, as on AWS: they would break the response."""
    found = answer(statusCode=200, headers={"Content-Length": "99", "connection": "close", "X": "\u20ac"})
    assert found.headers == {
        "x-amzn-Remapped-Content-Length": "99",
        "x-amzn-Remapped-connection": "close",
        "X": "\u20ac".encode().decode("latin-1"),
        "Content-Type": "application/json",
    }


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no json",
        b"\xff",
        b"NaN",
        b"[" * 100_000,
        b'{"statusCode": 99}',
        b'{"statusCode": 101}',
        b'{"statusCode": 600}',
        b'{"statusCode": "two hundred"}',
        b'{"statusCode": null}',
        b'{"statusCode": true}',
        b'{"statusCode": 200.5}',
        b'{"statusCode": ' + b"9" * 5000 + b"}",
        b'{"statusCode": 200, "headers": "x"}',
        b'{"statusCode": 200, "headers": {"a b": "x"}}',
        b'{"statusCode": 200, "headers": {"": "x"}}',
        b'{"statusCode": 200, "headers": {"a": ["x"]}}',
        b'{"statusCode": 200, "headers": {"a": "x\\r\\nb: y"}}',
        b'{"statusCode": 200, "cookies": "a=b"}',
        b'{"statusCode": 200, "cookies": [1]}',
        b'{"statusCode": 200, "cookies": ["a\\n"]}',
        b'{"statusCode": 200, "body": "?", "isBase64Encoded": true}',
        b'{"statusCode": 200, "body": "\\u00e9", "isBase64Encoded": true}',
    ],
)
def test_no_response(payload: bytes) -> None:
    """502, whatever is wrong."""
    with pytest.raises(InvalidResponse):
        interpret(payload)


@given(value=JSON, indent=st.none() | st.integers(0, 3), ascii_only=st.booleans())
def test_any_json(value: Any, indent: int | None, ascii_only: bool) -> None:  # noqa: ANN401, FBT001 - JSON of any shape
    """Says the same without its white space; a text says itself."""
    payload = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace")
    found = interpret(payload)
    if isinstance(value, str):
        assert found.body == json.loads(payload).encode("utf-8", "replace")
    else:
        assert json.loads(found.body) == json.loads(payload)
        assert len(found.body) <= len(payload)


@given(
    status=JSON | st.integers(0, 700),
    headers=JSON | st.dictionaries(st.text(), st.text() | JSON),
    cookies=JSON | st.lists(st.text()),
    body=JSON,
    is_base64=JSON,
)
def test_any_response(status: object, headers: object, cookies: object, body: object, is_base64: object) -> None:
    """Is refused, or can be sent as it is."""
    try:
        found = answer(statusCode=status, headers=headers, cookies=cookies, body=body, isBase64Encoded=is_base64)
    except InvalidResponse:
        return
    assert encode_response(found.status, found.headers, found.body, cookies=found.cookies).startswith(b"HTTP/1.1 ")


@given(cut=st.integers(0, 80), body=st.binary(max_size=30))
def test_a_prelude(cut: int, body: bytes) -> None:
    """Is read however it comes; what follows is the body, NULs and all."""
    whole = b'{"statusCode": 201, "headers": {"X": "1"}, "cookies": ["a=b"]}' + bytes(8) + body
    prelude = Prelude()
    found = prelude.feed(whole[:cut])
    rest = whole[cut:]
    if found is None:
        found, rest = prelude.feed(rest), b""
    assert found is not None
    assert (found.status, found.cookies, found.headers["X"]) == (201, ("a=b",), "1")
    assert found.body + rest == body


def test_a_prelude_without_a_status() -> None:
    """200."""
    found = Prelude().feed(b"{}" + bytes(8))
    assert found is not None
    assert (found.status, found.body) == (200, b"")


@pytest.mark.parametrize(
    "data", [b"x" + bytes(8), b"[]" + bytes(8), b'{"statusCode": 1}' + bytes(8), b"\xff" + bytes(8), b" " * 1_100_000]
)
def test_no_prelude(data: bytes) -> None:
    """No JSON, no object, no status, or no end."""
    with pytest.raises(InvalidResponse):
        Prelude().feed(data)
