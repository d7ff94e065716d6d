"""What an image brings as external extensions, found out once for each image: its id is that of its content."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from typing import IO, cast

from emulator import cache
from emulator.errors import BackendError
from emulator.sandbox import docker_container
from emulator.sandbox.base import EXTENSIONS_FOLDER
from emulator.sandbox.docker_engine import Engine, engine_errors
from emulator.sandbox.owner import owner


def extensions_of(engine: Engine, image: str) -> tuple[str, ...]:
    """The files of `/opt/extensions`, in the order of their names; the engine lists only what a container has."""
    question = f"extensions-of-{image}"
    kept = cache.recall(question)
    if kept is not None:
        return tuple(json.loads(kept))
    labels = {docker_container.LABEL: "probe", docker_container.OWNER_LABEL: owner()}
    body = {"Image": image, "Entrypoint": ["/nothing"], "Labels": labels, "NetworkDisabled": True}
    with engine_errors(f"the files of {image} could not be listed"):
        container = str(engine.calls.call("POST", "/containers/create", body=body)["Id"])
        try:
            names = _listed(engine, container)
        finally:
            docker_container.remove(engine.calls, container)
    cache.remember(question, json.dumps(names), {})
    return names


def _listed(engine: Engine, container: str) -> tuple[str, ...]:
    from docker.errors import NotFound  # noqa: PLC0415 - see docker_calls

    try:
        pieces, _ = engine.client.api.get_archive(container, EXTENSIONS_FOLDER)
    except NotFound:
        return ()
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Reader(pieces)), mode="r|") as archive:
            names = {member.name.partition("/")[2] for member in archive if not member.isdir()}
    except tarfile.TarError as error:
        raise BackendError(
            f"the engine's archive of {EXTENSIONS_FOLDER} cannot be read: {error}", hint="Try again."
        ) from error
    return tuple(sorted(name for name in names if name and "/" not in name))


class _Reader:
    """The pieces of a stream as the file that `tarfile` reads from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int) -> bytes:
        """Up to so many bytes, fewer at the end."""
        while len(self._left) < size and (piece := next(self._pieces, b"")):
            self._left += piece
        taken, self._left = self._left[:size], self._left[size:]
        return taken
