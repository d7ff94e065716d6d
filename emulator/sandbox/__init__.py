"""Execution environments' isolation: the protocol in `base`, one module per backend, and the choice between them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from emulator.errors import BackendError, ConfigurationError

if TYPE_CHECKING:
    from emulator.sandbox.base import Backend, Ending

Choice = Literal["auto", "docker", "process"]
CHOICES: tuple[Choice, ...] = ("auto", "docker", "process")


def open_backend(
    choice: Choice,
    *,
    network: str | None = None,
    ending: Ending = "remove",
    on_progress: Callable[[str], None] | None = None,
    on_fallback: Callable[[str], None] | None = None,
) -> Backend:
    """The backend of that name; `auto` is Docker where an engine answers, else processes, told to `on_fallback`.

    BackendError where none can be had, ConfigurationError for an option that the backend cannot honour.
    """
    network = None if network == "none" else network  # which is what functions get unless they ask
    # A backend is imported when it is chosen: the docker package alone costs more than a warm invocation.
    elsewhere = sys.platform != "linux"  # there, engines run in a virtual machine, out of the emulator's reach
    if choice == "auto" and elsewhere and on_fallback is not None:
        on_fallback("the Docker backend needs an engine on this very machine")
    if choice == "docker" or (choice == "auto" and not elsewhere):
        try:
            return _docker(network=network, ending=ending, on_progress=on_progress)
        except BackendError as error:
            if choice == "docker":
                raise
            if on_fallback is not None:
                on_fallback(error.message)
    if network is not None:
        message = "the process backend cannot choose a network: its functions use this machine's"
        raise ConfigurationError(message, hint="Leave --network out, or start a Docker engine.")
    from emulator.sandbox.process import ProcessBackend  # noqa: PLC0415 - see above

    return ProcessBackend()


def _docker(*, network: str | None, ending: Ending, on_progress: Callable[[str], None] | None) -> Backend:
    from emulator.sandbox.docker import DockerBackend  # noqa: PLC0415 - see above
    from emulator.sandbox.docker_engine import connect  # noqa: PLC0415 - see above

    return DockerBackend(connect(), network=network, ending=ending, on_progress=on_progress)
