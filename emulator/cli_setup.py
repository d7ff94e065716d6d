"""From options to what a command works with: the template's place, the backend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from emulator import settled
from emulator.cli_output import note
from emulator.errors import ConfigurationError
from emulator.sandbox import Choice, open_backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.config import FunctionConfig
    from emulator.sandbox.base import Backend, Ending


def here() -> Path:
    """The current folder; ConfigurationError where it has been removed."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        message = "the current folder does not exist any more"
        raise ConfigurationError(message, hint="Name a template by its whole path: --template FILE") from error


class FunctionOptions(TypedDict):
    """What names one function on the command line; a command's own options have these among them."""

    name: str
    template_path: Path | None
    parameters: dict[str, str]
    variables: Path | None


def function(options: FunctionOptions) -> FunctionConfig:
    """The function of the template that was named, or of the one here."""
    path = options["template_path"] or settled.default_path(here())
    return settled.function(path, options["name"], parameters=options["parameters"], variables=options["variables"])


def backend(
    choice: Choice, on_progress: Callable[[str], None], *, ending: Ending, network: str | None = None
) -> Backend:
    """The backend that was asked for, or the one that this machine has; progress and a fallback are told."""
    return open_backend(
        choice,
        network=network,
        ending="keep" if os.environ.get("PREFLIGHT_KEEP_SANDBOX") else ending,
        on_progress=on_progress,
        on_fallback=lambda why: note(f"{why}; using the process backend"),
    )


def refuse_without_quota(opened: Backend) -> None:
    """ConfigurationError where the backend holds no CPU share: whatever the size, it would show one machine's speed."""
    if opened.capabilities.cpu == "none":
        message = f"the {opened.name} backend does not hold the CPU share here, so sizes would not differ"
        raise ConfigurationError(
            message, hint="Use Docker, or a user who may write a control group: `preflight doctor`."
        )
