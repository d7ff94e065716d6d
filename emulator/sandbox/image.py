"""The base image: AWS's own where the engine has it, else one made from a CPython here. Nothing is ever pulled."""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox import interpreters, rootfs
from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_engine import Engine, engine_errors
from emulator.sandbox.interpreters import Interpreter
from emulator.sandbox.sdk import sdk_version

Progress = Callable[[str], None]

AWS_REPOSITORY = "public.ecr.aws/lambda/python"
LOCAL_REPOSITORY = "lambda-preflight/python"
LABEL = "dev.lambda-preflight.image"
_LINEAGE = "dev.lambda-preflight.lineage"
# Lambda's names of architectures to the engine's (which are Go's) and to the machine's own.
_ENGINE_NAMES = {"x86_64": "amd64", "arm64": "arm64"}
_MACHINE_NAMES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
# Environment of Lambda's Python images (aws-lambda-base-images, 2026-08); PYTHONPATH as the service adds it.
_ENVIRONMENT = {
    "LANG": "en_US.UTF-8",
    "TZ": ":/etc/localtime",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "LD_LIBRARY_PATH": (
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
    ),
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "PYTHONPATH": "/var/runtime",
}
# A process that was just handed an image must still be able to start from it.
_KEPT_S = 3600
_NOT_FOUND = 404
_CONFLICT = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """What a sandbox starts from: `id` to run, and `command`, to which the handler's name is appended."""

    id: str
    origin: Literal["aws", "local"]
    reference: str
    python: str
    command: tuple[str, ...]


def ensure(engine: Engine, runtime: str, architecture: str, on_progress: Progress | None = None) -> BaseImage:
    """The image for a runtime: found in a few milliseconds, or made in a few seconds the first time.

    `BackendError` where the engine has none of AWS's and this machine cannot make one of its own.
    """
    interpreters.python_version(runtime)
    if architecture not in _ENGINE_NAMES:
        message = f"Architectures cannot be {architecture!r}"
        raise ConfigurationError(message, hint=f"use one of {', '.join(_ENGINE_NAMES)}")
    found = _aws_image(engine, runtime, architecture)
    if found is not None:
        return found
    try:
        return _local_image(engine, runtime, architecture, on_progress or _silent)
    except BackendError as error:
        tag = f"{AWS_REPOSITORY}:{runtime.removeprefix('python')}"
        pull = f"`docker pull --platform linux/{_ENGINE_NAMES[architecture]} {tag}`"
        error.hint = f"{error.hint}; or fetch AWS's own image: {pull}" if error.hint else f"fetch AWS's image: {pull}"
        raise


def _silent(_: str) -> None:
    """Progress that nobody follows."""


def _inspect(engine: Engine, reference: str) -> Mapping[str, Any] | None:
    with engine_errors(f"the engine was asked for {reference}"):
        try:
            seen: Mapping[str, Any] = engine.calls.call("GET", f"/images/{reference}/json")
        except EngineRefused as refused:
            if refused.status == _NOT_FOUND:
                return None
            raise
        return seen


def _aws_image(engine: Engine, runtime: str, architecture: str) -> BaseImage | None:
    """AWS's image of the right architecture: a tag without one holds whatever was pulled last."""
    python = runtime.removeprefix("python")
    for tag in (python, f"{python}-{architecture}"):
        reference = f"{AWS_REPOSITORY}:{tag}"
        seen = _inspect(engine, reference)
        if seen is not None and seen["Architecture"] == _ENGINE_NAMES[architecture]:
            # Its bootstrap starts the client on $_HANDLER and takes no notice of arguments.
            bootstrap = ("/var/runtime/bootstrap",)
            return BaseImage(id=seen["Id"], origin="aws", reference=reference, python=python, command=bootstrap)
    return None


def _local_image(engine: Engine, runtime: str, architecture: str, on_progress: Progress) -> BaseImage:
    _refuse_other_machine(architecture)
    interpreter = interpreters.find(runtime)
    key = rootfs.key(interpreter)
    reference = f"{LOCAL_REPOSITORY}:{interpreter.python}-{key[:12]}"
    seen = _ours(engine, reference, key)
    if seen is None:
        with _one_at_a_time():
            seen = _ours(engine, reference, key) or _make(engine, interpreter, key, reference, on_progress)
    command = (f"/var/lang/bin/python{interpreter.python}", "-m", "awslambdaric")
    return BaseImage(id=seen["Id"], origin="local", reference=reference, python=interpreter.python, command=command)


def _refuse_other_machine(architecture: str) -> None:
    machine = _MACHINE_NAMES.get(platform.machine().lower())
    if machine != architecture:
        message = f"this machine is {platform.machine()}: it has no Python for Architectures: {architecture}"
        hint = f"set Architectures to {machine}" if machine else "use --backend process"
        raise BackendError(message, hint=hint)
    if sys.platform != "linux":
        message = "a base image can be made from this machine's Python on Linux only"
        raise BackendError(message, hint="use --backend process")


def _ours(engine: Engine, reference: str, key: str) -> Mapping[str, Any] | None:
    seen = _inspect(engine, reference)
    labels = (seen["Config"].get("Labels") or {}) if seen is not None else {}
    return seen if labels.get(LABEL) == key else None


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Processes of this user make images one after another, so that the second finds what the first has made."""
    folder = interpreters.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "image.lock").open("w")
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror or error}"
        raise BackendError(message, hint="point XDG_CACHE_HOME at a folder that you may write") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(
    engine: Engine, interpreter: Interpreter, key: str, reference: str, on_progress: Progress
) -> Mapping[str, Any]:
    _refuse_other_engine(engine)
    version = ".".join(str(part) for part in interpreter.version)
    on_progress(f"making the base image from this machine's Python {version}, once")
    folder = interpreters.runtime_client(interpreter)
    lineage = _lineage(interpreter)
    try:
        tree = rootfs.gather(interpreter, folder)
        with tempfile.TemporaryFile() as archive:
            rootfs.write_tar(tree, archive)
            on_progress(f"giving it to the engine: {archive.tell() / 1e6:.0f} MB")
            archive.seek(0)
            with engine_errors(f"the base image {reference} could not be given to the engine"):
                answer = engine.client.api.import_image_from_data(
                    archive,
                    repository=LOCAL_REPOSITORY,
                    tag=reference.rpartition(":")[2],
                    changes=_changes(interpreter, key, lineage),
                )
    except OSError as error:
        message = f"the base image could not be put together: {error}"
        raise BackendError(message, hint="free some space in the folder for temporary files (TMPDIR)") from error
    _refuse_failure(answer, reference)
    seen = _ours(engine, reference, key)
    if seen is None:
        raise BackendError(f"the engine took {reference} and does not have it", hint="run `preflight doctor`")
    _remove_superseded(engine, lineage, seen["Id"])
    return seen


def _refuse_other_engine(engine: Engine) -> None:
    with engine_errors("the engine was asked what it is"):
        told = engine.calls.call("GET", "/version")
    machine = _MACHINE_NAMES.get(platform.machine().lower())
    if told["Os"] != "linux" or _MACHINE_NAMES.get(told["Arch"]) != machine:
        message = f"the engine runs {told['Os']}/{told['Arch']}: this machine's Python does not run there"
        raise BackendError(message, hint="use --backend process")


def _lineage(interpreter: Interpreter) -> str:
    """Images of one lineage replace each other: the same interpreter, seen from the same environment."""
    return hashlib.sha256(f"{interpreter.executable}\n{sys.prefix}".encode()).hexdigest()[:16]


def _changes(interpreter: Interpreter, key: str, lineage: str) -> list[str]:
    """Dockerfile instructions; values hold no blanks, so none needs quotes."""
    labels = {LABEL: key, _LINEAGE: lineage, "dev.lambda-preflight.python": ".".join(map(str, interpreter.version))}
    versions = interpreters.client_versions() | {"boto3": sdk_version() or "none"}
    labels |= {f"dev.lambda-preflight.{name}": version for name, version in versions.items()}
    changes = [f"ENV {name}={value}" for name, value in _ENVIRONMENT.items()]
    return [*changes, "WORKDIR /var/task", *(f"LABEL {name}={value}" for name, value in labels.items())]


def _refuse_failure(answer: str, reference: str) -> None:
    """The engine answers 200 before it has read the image; what went wrong later stands in the text."""
    for line in answer.splitlines():
        told = json.loads(line) if line.strip() else {}
        if "error" in told:
            full = "no space left" in told["error"]
            hint = "free some disk space: `docker system df` shows what takes it" if full else "run `preflight doctor`"
            raise BackendError(f"the engine could not take the base image {reference}: {told['error']}", hint=hint)


def _remove_superseded(engine: Engine, lineage: str, current: str) -> None:
    """Remove what this lineage no longer needs, but nothing that is new or that a container still uses."""
    with engine_errors("superseded base images could not be removed"):
        query = {"filters": json.dumps({"label": [f"{_LINEAGE}={lineage}"]})}
        for image in engine.calls.call("GET", "/images/json", query=query):
            if image["Id"] == current or image["Created"] > time.time() - _KEPT_S:
                continue
            try:
                engine.calls.call("DELETE", f"/images/{image['Id']}")
            except EngineRefused as refused:
                # 404: another process was first. 409: a container still needs it.
                if refused.status not in {_NOT_FOUND, _CONFLICT}:
                    raise
