"""Every way the emulator itself fails; a function that fails is a value, `invocation.FunctionError`.

PreflightError            4  our own fault
├── ConfigurationError    2  usage, template, event or settings are wrong
│   └── QuotaError        2  a Lambda quota refused it
│       └── Throttled     2  so many invocations at once are not allowed
├── BackendError          3  no sandbox can be had, or it was lost
│   └── DiedIdle          3  while nobody used it, so that another one can serve
└── Interrupted         130  Ctrl-C or SIGTERM
"""

from __future__ import annotations


class PreflightError(Exception):
    """The emulator failed; `hint` says what to do next and `exit_code` is the command's exit status.

    `about` is the function's property that is to blame, where that is known to whoever does not know its place.
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str | None = None, about: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.about = about

    def place(self, where: str) -> None:
        """Say first where the property stands; what it is about is settled with that."""
        self.message, self.about = f"{where}: {self.message}", None
        self.args = (self.message,)


class ConfigurationError(PreflightError):
    """The request cannot be carried out as written: flags, template, event or environment file."""

    exit_code = 2


class QuotaError(ConfigurationError):
    """Lambda would refuse this; the message is AWS's own text where one is known."""


class Throttled(QuotaError):
    """Lambda would answer 429; `reason` is a value of its API's `ThrottleReason`."""

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class BackendError(PreflightError):
    """No sandbox can be had on this machine, or the engine that held one went away."""

    exit_code = 3


class DiedIdle(BackendError):
    """The execution environment was lost before the invocation began: nothing of that has been tried."""


class Interrupted(PreflightError):
    """The user stopped the command; 130 is what shells report for SIGINT."""

    exit_code = 130
