"""What browsers are told of a function's URL."""

from __future__ import annotations

import pytest

from emulator.http1 import HttpRequest
from emulator.serving.url_cors import is_preflight, merged, preflight_headers, response_headers
from emulator.url_config import CorsConfig

PAGE = "https://page.example"
OPEN = CorsConfig(allow_origins=("*",), allow_methods=("*",), allow_headers=("*",))
NARROW = CorsConfig(
    allow_origins=(PAGE,),
    allow_methods=("GET", "POST"),
    allow_headers=("X-Custom", "Date"),
    expose_headers=("Date",),
    allow_credentials=True,
    max_age_s=300,
)


def asking(method: str = "OPTIONS", **headers: str) -> HttpRequest:
    """A request; a header's name has `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(method=method, target="/", headers=named, body=b"", keep_alive=True)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (asking(origin=PAGE, access_control_request_method="PUT"), True),
        (asking(origin=PAGE), False),
        (asking(access_control_request_method="PUT"), False),
        (asking("POST", origin=PAGE, access_control_request_method="PUT"), False),
    ],
)
def test_what_a_preflight_is(request_: HttpRequest, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """OPTIONS with both headers; any other goes to the function."""
    assert is_preflight(request_) is expected


def test_everything_allowed() -> None:
    """What is asked for is named."""
    asked = asking(origin=PAGE, access_control_request_method="PUT", access_control_request_headers="x-a, x-b")
    assert preflight_headers(OPEN, asked) == {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Methods": "PUT",
        "Access-Control-Allow-Headers": "x-a, x-b",
    }


def test_some_allowed() -> None:
    """What is configured is named."""
    asked = asking(origin=PAGE, access_control_request_method="POST", access_control_request_headers="x-custom")
    assert preflight_headers(NARROW, asked) == {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET,POST",
        "Access-Control-Allow-Headers": "X-Custom,Date",
        "Access-Control-Max-Age": "300",
    }


def test_what_is_not_allowed() -> None:
    """Another page is told nothing; another method is not named."""
    other = asking(origin="https://other.example", access_control_request_method="POST")
    assert preflight_headers(NARROW, other) == {"Vary": "Origin"}
    deleting = preflight_headers(NARROW, asking(origin=PAGE, access_control_request_method="DELETE"))
    assert "Access-Control-Allow-Methods" not in deleting


def test_responses() -> None:
    """Have the configured headers, which win over the function's own in whatever case."""
    configured = response_headers(NARROW, {"origin": PAGE})
    assert configured == {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Expose-Headers": "Date",
        "Access-Control-Allow-Credentials": "true",
    }
    own = {"access-control-allow-origin": "*", "X": "1"}
    assert merged(own, configured) == {"X": "1", **configured}
    assert merged({"vary": "Accept"}, configured)["Vary"] == "Accept, Origin"
    assert merged({"vary": "Accept"}, {}) == {"vary": "Accept"}
    assert response_headers(NARROW, {}) == {"Vary": "Origin"}
