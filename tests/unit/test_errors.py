"""The emulator's own failures: which exit status, which message."""

from __future__ import annotations

import pytest

from emulator import errors
from emulator.errors import BackendError, ConfigurationError, Interrupted, PreflightError, QuotaError


def every_error() -> set[type[PreflightError]]:
    """Gather the classes of the module, the base included."""
    return {found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, PreflightError)}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (PreflightError, 4),
        (ConfigurationError, 2),
        (QuotaError, 2),
        (BackendError, 3),
        (Interrupted, 130),
    ],
)
def test_exit_status(kind: type[PreflightError], status: int) -> None:
    """Each way to fail has the exit status of the contract; 130 is what shells report for Ctrl-C."""
    assert kind("x").exit_code == status


def test_no_error_has_a_status_of_its_own() -> None:
    """0 means fine and 1 that the function or a gate failed, so no error of ours may use either."""
    assert {kind.exit_code for kind in every_error()} == {2, 3, 4, 130}


def test_message_and_hint() -> None:
    """The message is what `str` gives too, and the hint stays apart from it."""
    error = BackendError("no engine answers", hint="start one")
    assert (str(error), error.message, error.hint) == ("no engine answers", "no engine answers", "start one")


@pytest.mark.parametrize("kind", [PreflightError, ConfigurationError, QuotaError, BackendError, Interrupted])
def test_hint_is_optional(kind: type[PreflightError]) -> None:
    """Without a hint there is None, which prints nothing."""
    assert kind("x").hint is None


def test_a_quota_is_a_matter_of_configuration() -> None:
    """Who catches ConfigurationError catches what a quota refused, but not what a backend lacks."""
    assert issubclass(QuotaError, ConfigurationError)
    assert not issubclass(BackendError, ConfigurationError)
