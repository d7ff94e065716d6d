"""What a container starts: the runtime's command, why that could not be started, and the streams it talks by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.sandbox import docker_container
from emulator.sandbox.base import WRAPPER_VARIABLE, Exit, SandboxSpec
from emulator.sandbox.docker_stdio import Pipes

if TYPE_CHECKING:
    from emulator.sandbox.docker_attached import Attached
    from emulator.sandbox.image_find import BaseImage


def program(spec: SandboxSpec, base: BaseImage) -> tuple[tuple[str, ...], Exit | None]:
    """The runtime's command, and how Lambda words that it could not start it, where that is seen beforehand."""
    wrapper = spec.environment.get(WRAPPER_VARIABLE)
    if not spec.os_only and not (wrapper and base.origin == "local"):  # AWS's own bootstrap looks for it itself
        return base.command, None
    from emulator.sandbox import entrypoint  # noqa: PLC0415 - most functions need none of it

    if wrapper and not spec.os_only:
        return entrypoint.wrapped(base.command, wrapper), None
    bootstrap = entrypoint.find_bootstrap(spec)
    return (bootstrap.inside,), None if bootstrap.refusal is None else Exit(invalid_entrypoint=bootstrap.refusal)


def refused_extension(spec: SandboxSpec) -> Exit | None:
    """The first of the external extensions that Lambda would not start, as far as that is seen beforehand."""
    if not spec.extensions:
        return None
    from emulator.sandbox import extension_scripts  # noqa: PLC0415 - most functions have no extension

    return extension_scripts.refused(spec)


def streams(spec: SandboxSpec, cpuset: str | None, *, inside: bool) -> Pipes | Attached:
    """Named pipes where the container's files are ours, else the engine's stream."""
    cpus = None if cpuset is None else len(cpuset.split(","))
    if not spec.extensions:
        if inside:
            return Pipes(docker_container.folder_prefix(), cpus=cpus)
        from emulator.sandbox.docker_attached import Attached  # noqa: PLC0415 - only where we may not enter

        return Attached()
    from emulator.sandbox import docker_extensions as made  # noqa: PLC0415 - most functions have no extension

    if not inside:
        return made.ExtendedAttached(spec.extensions)
    return made.ExtendedPipes(docker_container.folder_prefix(), spec.extensions, cpus=cpus)
