"""The other emulators, and the image that they and ours run on.

SAM and RIE come in the package `aws-sam-cli`. Ours starts from the base image as it is. SAM wants the same image with
RIE in it, under a name it derives itself, and builds that where it is missing, with tools that our base image has not:
so the same layer is put on top here. RIE starts the runtime through `/var/runtime/bootstrap`, which AWS's image has and
ours has not: where it is missing, a script of one line is added.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import docker.errors

from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox import owner
from emulator.sandbox.docker_engine import engine_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker import DockerClient

    from emulator.sandbox.image_find import BaseImage

_REPOSITORY: Final = "lambda-preflight/bench-"
RIE_COMMAND: Final = ("/var/rapid/aws-lambda-rie", "--log-level", "error")  # as SAM starts it
_RIE_PLACE: Final = "lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-"
_HINT: Final = "`make bench` installs both from requirements/bench.txt; or leave this out with --skip."


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Where SAM's command and RIE's binary are; `version` is SAM's, and RIE's is the one it comes with."""

    sam: Path
    rie: Path
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerImage:
    """The image derived from `base`: `invoke_image` is what SAM is told, `rapid` the name under which it finds RIE."""

    base: BaseImage
    invoke_image: str
    rapid: str
    added: tuple[str, ...]


def find(sam: Path, architecture: str) -> Peers:
    """The peers of an environment that has `aws-sam-cli`; ConfigurationError with a hint where they are missing."""
    sam = sam.absolute()  # it is run from another folder
    if not sam.exists():
        raise ConfigurationError(f"there is no {sam}", hint=_HINT)
    found = sorted(sam.resolve().parent.parent.glob(_RIE_PLACE + architecture))
    if not found:
        raise ConfigurationError(f"no RIE for {architecture} belongs to {sam}", hint=_HINT)
    try:
        told = subprocess.run([sam, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigurationError(f"{sam} does not run: {error}", hint=_HINT) from error
    return Peers(sam=sam, rie=found[0], version=told.stdout.strip())


@contextmanager
def derived_image(client: DockerClient, base: BaseImage, rie: Path, architecture: str) -> Iterator[PeerImage]:
    """The image for SAM and RIE, gone afterwards with every container that came from it."""
    sweep(client)
    repository = f"{_REPOSITORY}{owner.owner()}"
    image = f"{repository}:base"
    # SAM's own way to name it: LambdaImage.build in samcli/local/docker/lambda_image.py.
    rapid = f"{repository}:rapid-{architecture}"
    added = {"var/rapid/aws-lambda-rie": rie.read_bytes()}
    if base.origin == "local":
        added["var/runtime/bootstrap"] = bootstrap(base.command)
    try:
        with engine_errors("the image for SAM and RIE could not be made"):
            client.images.get(base.id).tag(repository, "base")
            _build(client, rapid, base.id, added)
        yield PeerImage(base=base, invoke_image=image, rapid=rapid, added=tuple(f"/{path}" for path in added))
    finally:
        with engine_errors("the image for SAM and RIE could not be removed"):
            for reference in (rapid, image):
                _remove(client, reference)


def bootstrap(command: Iterable[str]) -> bytes:
    """The script that AWS's images have: RIE runs it without arguments, with the handler in `_HANDLER`."""
    return f'#!/bin/sh\nexec {" ".join(command)} "$_HANDLER"\n'.encode()


def build_context(base: str, files: Mapping[str, bytes], labels: Mapping[str, str]) -> bytes:
    """A tar for the engine's builder: `files`, executable, each at its path on top of the image `base`.

    Labels replace those of the base, which would make the emulator take this for a base image of its own.
    """
    lines = [f"FROM {base}", *(f"COPY {number} /{path}" for number, path in enumerate(files))]
    if labels:
        lines.append(" ".join(("LABEL", *(f'{name}="{value}"' for name, value in labels.items()))))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        _add(archive, "Dockerfile", "\n".join(lines).encode(), 0o644)
        for number, content in enumerate(files.values()):
            _add(archive, str(number), content, 0o755)
    return packed.getvalue()


def sweep(client: DockerClient) -> None:
    """Remove the images of runs that died without removing them, with the containers that came from them."""
    with engine_errors("images of earlier runs could not be removed"):
        for image in client.images.list():
            for name in image.tags:
                if owner.orphaned(maker(name)):
                    _remove(client, name)


def maker(image: str) -> str:
    """Who made an image of ours, by its name; empty for every other image."""
    repository = image.rpartition(":")[0]
    return repository.removeprefix(_REPOSITORY) if repository.startswith(_REPOSITORY) else ""


def _build(client: DockerClient, tag: str, base: str, files: Mapping[str, bytes]) -> None:
    inherited = client.images.get(base).labels
    context = io.BytesIO(build_context(base, files, dict.fromkeys(inherited, "")))
    told = client.api.build(
        fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True, pull=False, decode=True
    )
    for line in told:
        if "error" in line:
            hint = "See `docker system df`, or run `preflight doctor`."
            raise BackendError(f"the image for SAM and RIE could not be made: {line['error']}", hint=hint)


def _remove(client: DockerClient, name: str) -> None:
    """Remove a name, its image where that was the last one, and the containers that were started by that name."""
    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        return
    for left in client.api.containers(all=True, filters={"ancestor": name}):
        if left["Image"] == name:
            client.api.remove_container(left["Id"], force=True, v=True)
    client.images.remove(name)


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))
