"""The image: a runtime's, AWS's own where the engine has it and else made here, or a function's. None is pulled."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from emulator import cache
from emulator.errors import BackendError, ConfigurationError, QuotaError
from emulator.limits import check
from emulator.sandbox.base import OS_ONLY_RUNTIMES, SandboxSpec
from emulator.sandbox.docker_engine import Engine
from emulator.sandbox.image_find import (
    MACHINE_NAMES,
    BaseImage,
    Progress,
    if_ours,
    inspect_all,
    reference_of,
    repository_and_tag,
)

AWS_REPOSITORY = "public.ecr.aws/lambda"
# Lambda's names of architectures to the engine's, which are Go's.
_ENGINE_NAMES = {"x86_64": "amd64", "arm64": "arm64"}


def ensure(engine: Engine, runtime: str, architecture: str, on_progress: Progress | None = None) -> BaseImage:
    """The image for a runtime: found in a few milliseconds, or made in a few seconds the first time.

    `BackendError` where the engine has none of AWS's and this machine cannot make one of its own.
    """
    if runtime not in OS_ONLY_RUNTIMES and re.fullmatch(r"python3\.\d{1,2}", runtime) is None:
        message = f"Runtime {runtime!r} cannot be emulated: only those of Python 3 and OS-only ones can"
        hint = "use a Runtime such as python3.12, or provided.al2023 with a bootstrap"
        raise ConfigurationError(message, hint=hint, about="Runtime")
    if architecture not in _ENGINE_NAMES:
        message = f"Architectures cannot be {architecture!r}"
        raise ConfigurationError(message, hint=f"use one of {', '.join(_ENGINE_NAMES)}")
    repository, tag = repository_and_tag(runtime)
    python = "" if runtime in OS_ONLY_RUNTIMES else tag
    key = cache.recall(f"image-{runtime}")
    names = [f"{AWS_REPOSITORY}/{repository}:{name}" for name in (tag, f"{tag}-{architecture}")]
    seen = inspect_all(engine, names if key is None else [*names, reference_of(runtime, key)])
    found = _aws_image(dict(zip(names, seen, strict=False)), python, architecture)
    if found is not None:
        return found
    ours = None if key is None else if_ours(seen[-1], key)
    try:
        _refuse_other_machine(architecture, python=bool(python))
        if key is None or ours is None:
            key, ours = _made(engine, runtime, on_progress or _silent)
    except BackendError as error:
        pull = f"`docker pull --platform linux/{_ENGINE_NAMES[architecture]} {names[0]}`"
        error.hint = f"{error.hint}; or fetch AWS's own image: {pull}" if error.hint else f"fetch AWS's image: {pull}"
        raise
    command = (f"/var/lang/bin/python{python}", "/var/runtime/bootstrap.py") if python else ()
    reference = reference_of(runtime, key)
    return BaseImage(id=ours["Id"], origin="local", reference=reference, python=python, command=command)


def function_image(engine: Engine, spec: SandboxSpec) -> BaseImage:
    """The image of a function with `PackageType: Image`, as the engine has it now, with what ImageConfig overrides.

    Each of the three overrides its own ("Create a Lambda function using a container image", guide, 2026-07), unlike the
    engine's own command line, where another ENTRYPOINT takes CMD away.
    """
    reference = spec.image or ""
    told = inspect_all(engine, [reference])[0]
    if told is None:
        message = (
            f"{spec.function_name}: Source image {reference} does not exist on the engine, and none is ever pulled"
        )
        hint = f"build it (`sam build`, or `docker build -t {reference} .`), or fetch it: `docker pull {reference}`"
        raise ConfigurationError(message, hint=hint)
    for violation in check("image", {"Uncompressed image": int(told.get("Size") or 0)}):
        raise QuotaError(f"{spec.function_name}: {violation.message}", hint=violation.hint)
    architecture = MACHINE_NAMES.get(told["Architecture"], told["Architecture"])
    if architecture != spec.architecture:
        message = (
            f"{spec.function_name}: the image {reference} is for {architecture}, the function for {spec.architecture}"
        )
        platform = f"--platform linux/{_ENGINE_NAMES.get(spec.architecture, spec.architecture)}"
        raise ConfigurationError(message, hint=f"set Architectures to {architecture}, or build with {platform}")
    config: Mapping[str, Any] = told["Config"]
    command = (*(spec.entry_point or config.get("Entrypoint") or ()), *(spec.command or config.get("Cmd") or ()))
    if not command:
        message = f"{spec.function_name}: the image {reference} says neither ENTRYPOINT nor CMD"
        raise ConfigurationError(message, hint="set them in the image, or EntryPoint and Command in ImageConfig")
    return BaseImage(
        id=told["Id"],
        origin="function",
        reference=reference,
        python="",
        command=command,
        folder=spec.working_directory or config.get("WorkingDir") or "/",
        variables=frozenset(setting.partition("=")[0] for setting in config.get("Env") or ()),
    )


def _silent(_: str) -> None:
    """Progress that nobody follows."""


def _aws_image(seen: Mapping[str, Mapping[str, Any] | None], python: str, architecture: str) -> BaseImage | None:
    """AWS's image of the right architecture: a tag without one holds whatever was pulled last."""
    for reference, told in seen.items():
        if told is not None and told["Architecture"] == _ENGINE_NAMES[architecture]:
            # Its bootstrap starts the client on $_HANDLER and takes no notice of arguments.
            bootstrap = ("/var/runtime/bootstrap",) if python else ()
            return BaseImage(id=told["Id"], origin="aws", reference=reference, python=python, command=bootstrap)
    return None


def _made(engine: Engine, runtime: str, on_progress: Progress) -> tuple[str, Mapping[str, Any]]:
    from emulator.sandbox import image_make  # noqa: PLC0415 - its imports take longer than finding an image

    return image_make.find_or_make(engine, runtime, on_progress)


def _refuse_other_machine(architecture: str, *, python: bool) -> None:
    machine = MACHINE_NAMES.get(os.uname().machine.lower())
    if machine != architecture:
        message = f"this machine is {os.uname().machine}: it has no programs for Architectures: {architecture}"
        # A bootstrap is a program for the other machine; Python is this one's own, whatever the function is for.
        ways = [f"set Architectures to {machine}"] if machine else []
        ways += [f"use `--backend process`, which runs it on {os.uname().machine} and says so"] if python else []
        raise BackendError(message, hint="; or ".join(ways))
    if sys.platform != "linux":
        message = "a base image can be made from this machine's programs on Linux only"
        raise BackendError(message, hint="use --backend process")
