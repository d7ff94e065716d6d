"""Makes a base image from what this machine has and hands it to the engine, once for each content."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator import cache
from emulator.errors import BackendError
from emulator.sandbox import interpreters, rootfs, rootfs_system
from emulator.sandbox.base import OS_ONLY_RUNTIMES
from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_engine import Engine, engine_errors
from emulator.sandbox.image_find import (
    LABEL,
    MACHINE_NAMES,
    Progress,
    if_ours,
    inspect_all,
    reference_of,
)
from emulator.sandbox.rootfs import Tree
from emulator.sandbox.sdk import sdk_version

_LINEAGE = "dev.lambda-preflight.lineage"
# Environment of Lambda's images (aws-lambda-base-images, 2026-08); those with a language add it to both paths.
_ENVIRONMENT = {
    "LANG": "en_US.UTF-8",
    "TZ": ":/etc/localtime",
    "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
}
_LANGUAGE = {
    "PATH": f"/var/lang/bin:{_ENVIRONMENT['PATH']}",
    "LD_LIBRARY_PATH": f"/var/lang/lib:{_ENVIRONMENT['LD_LIBRARY_PATH']}",
}
# A process that was just handed an image must still be able to start from it.
_KEPT_S = 3600
_GONE_OR_IN_USE = {404, 409}  # another process was first; a container still needs it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """One image that this machine gives: `key` stands for its content, images of one `lineage` replace each other."""

    runtime: str
    key: str
    source: str
    lineage: str
    gather: Callable[[], Tree]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    stamps: Mapping[str, cache.Stamp] | None
    """Of the files whose change changes the key, taken before it; None where it may change without one."""

    @property
    def reference(self) -> str:
        """What the image is called."""
        return reference_of(self.runtime, self.key)


def find_or_make(engine: Engine, runtime: str, on_progress: Progress) -> tuple[str, Mapping[str, Any]]:
    """The key of the content that this machine gives now, and the image that has it."""
    recipe = _system(runtime) if runtime in OS_ONLY_RUNTIMES else _python(runtime)
    seen = _ours(engine, recipe.reference, recipe.key)
    if seen is None:
        with _one_at_a_time():
            seen = _ours(engine, recipe.reference, recipe.key) or _make(engine, recipe, on_progress)
    if recipe.stamps is not None:
        cache.remember(f"image-{runtime}", recipe.key, recipe.stamps)
    return recipe.key, seen


def _python(runtime: str) -> _Recipe:
    interpreter = interpreters.find(runtime)
    version = ".".join(map(str, interpreter.version))
    versions = interpreters.client_versions() | {"boto3": sdk_version() or "none", "python": version}
    folders = [Path(entry) for entry in sys.path if entry]  # where the versions of what is added are found
    stamps = cache.stamps([*rootfs.watched(interpreter), rootfs.LD_CACHE, *folders])
    return _Recipe(
        runtime=runtime,
        key=rootfs.key(interpreter),
        source=f"Python {version}",
        lineage=_lineage(str(interpreter.executable)),
        gather=lambda: rootfs.gather(interpreter, interpreters.runtime_client(interpreter)),
        environment=_ENVIRONMENT | _LANGUAGE,
        labels={f"dev.lambda-preflight.{name}": found for name, found in versions.items()},
        # Another one than the emulator's own may stop being the first that is found.
        stamps=stamps if interpreters.is_own(interpreter) else None,
    )


def _system(runtime: str) -> _Recipe:
    """Both OS-only runtimes are the same programs here: this machine has them in one version."""
    stamps = cache.stamps(rootfs_system.watched())
    return _Recipe(
        runtime=runtime,
        key=rootfs_system.key(),
        source="shell, curl and small programs",
        lineage=_lineage(runtime),
        gather=rootfs_system.gather,
        environment=_ENVIRONMENT,
        labels={},
        stamps=stamps,
    )


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


def _make(engine: Engine, recipe: _Recipe, on_progress: Progress) -> Mapping[str, Any]:
    _refuse_other_engine(engine)
    on_progress(f"making the base image from this machine's {recipe.source}, once")
    repository, _, tag = recipe.reference.partition(":")
    try:
        tree = recipe.gather()
        with tempfile.TemporaryFile() as archive:
            rootfs.write_tar(tree, archive)
            on_progress(f"giving it to the engine: {archive.tell() / 1e6:.0f} MB")
            archive.seek(0)
            with engine_errors(f"the base image {recipe.reference} could not be given to the engine"):
                answer = engine.client.api.import_image_from_data(
                    archive, repository=repository, tag=tag, changes=_changes(recipe)
                )
    except OSError as error:
        message = f"the base image could not be put together: {error}"
        raise BackendError(message, hint="free some space in the folder for temporary files (TMPDIR)") from error
    _refuse_failure(answer, recipe.reference)
    seen = _ours(engine, recipe.reference, recipe.key)
    if seen is None:
        raise BackendError(f"the engine took {recipe.reference} and does not have it", hint="run `preflight doctor`")
    _remove_superseded(engine, recipe.lineage, seen["Id"])
    return seen


def _refuse_other_engine(engine: Engine) -> None:
    with engine_errors("the engine was asked what it is"):
        told = engine.calls.call("GET", "/version")
    machine = MACHINE_NAMES.get(os.uname().machine.lower())
    if told["Os"] != "linux" or MACHINE_NAMES.get(told["Arch"]) != machine:
        message = f"the engine runs {told['Os']}/{told['Arch']}: this machine's programs do not run there"
        raise BackendError(message, hint="use --backend process")


def _lineage(what: str) -> str:
    """Images of one lineage replace each other: the same interpreter or runtime, seen from the same environment."""
    return hashlib.sha256(f"{what}\n{sys.prefix}".encode()).hexdigest()[:16]


def _changes(recipe: _Recipe) -> list[str]:
    """Dockerfile instructions; values hold no blanks, so none needs quotes."""
    labels = {LABEL: recipe.key, _LINEAGE: recipe.lineage, **recipe.labels}
    changes = [f"ENV {name}={value}" for name, value in recipe.environment.items()]
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
