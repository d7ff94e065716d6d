"""Makes the base image from a CPython of this machine and hands it to the engine, once for each content."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emulator import cache
from emulator.errors import BackendError
from emulator.sandbox import interpreters, rootfs
from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_engine import Engine, engine_errors
from emulator.sandbox.image_find import (
    LABEL,
    LOCAL_REPOSITORY,
    MACHINE_NAMES,
    Progress,
    if_ours,
    inspect_all,
    reference_of,
)
from emulator.sandbox.interpreters import Interpreter
from emulator.sandbox.sdk import sdk_version

_LINEAGE = "dev.lambda-preflight.lineage"
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
_GONE_OR_IN_USE = {404, 409}  # another process was first; a container still needs it


def find_or_make(engine: Engine, runtime: str, on_progress: Progress) -> tuple[str, Mapping[str, Any]]:
    """The key of the content that this machine gives now, and the image that has it."""
    interpreter = interpreters.find(runtime)
    folders = [Path(entry) for entry in sys.path if entry]  # where the versions of what is added are found
    stamps = cache.stamps([*rootfs.watched(interpreter), rootfs.LD_CACHE, *folders])
    key = rootfs.key(interpreter)
    reference = reference_of(interpreter.python, key)
    seen = _ours(engine, reference, key)
    if seen is None:
        with _one_at_a_time():
            seen = _ours(engine, reference, key) or _make(engine, interpreter, key, reference, on_progress)
    if interpreters.is_own(interpreter):  # another one may stop being the first that is found
        cache.remember(f"image-{runtime}", key, stamps)
    return key, seen


def _ours(engine: Engine, reference: str, key: str) -> Mapping[str, Any] | None:
    return if_ours(inspect_all(engine, [reference])[0], key)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Processes of this user make images one after another, so that the second finds what the first has made."""
    folder = cache.needed_folder()
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
    machine = MACHINE_NAMES.get(os.uname().machine.lower())
    if told["Os"] != "linux" or MACHINE_NAMES.get(told["Arch"]) != machine:
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
        for found in engine.calls.call("GET", "/images/json", query=query):
            if found["Id"] == current or found["Created"] > time.time() - _KEPT_S:
                continue
            try:
                engine.calls.call("DELETE", f"/images/{found['Id']}")
            except EngineRefused as refused:
                if refused.status not in _GONE_OR_IN_USE:
                    raise
