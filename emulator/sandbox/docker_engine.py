"""Finds the Docker engine that answers and words its failures; the only place that decides which engine is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import docker
import docker.errors
import requests.exceptions
from docker.context import ContextAPI

from emulator.errors import BackendError

PRIVATE_SOCKET = Path("/run/lambda-preflight/docker.sock")  # where scripts/engine starts one
_DEFAULT_SOCKET = Path("/var/run/docker.sock")
_CONNECT_TIMEOUT_S = 60

NO_ENGINE_HINT = (
    "Start Docker, or run `sudo scripts/engine up` (Debian), or use `--backend process`, which enforces fewer limits."
)


_NOT_ALLOWED_HINT = "The engine's socket is not open to you: join its group (mostly `docker`), or use sudo."


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A Docker engine that answered; `local` when its socket is a file of this machine."""

    client: docker.DockerClient
    address: str
    local: bool

    @cached_property
    def info(self) -> Mapping[str, object]:
        """What the engine says of itself; asked for once and only if needed, since it takes a while."""
        with engine_errors("the engine did not say what it is"):
            told: Mapping[str, object] = self.client.info()
        return told

    @property
    def version(self) -> str:
        """The engine's own version."""
        return str(self.info.get("ServerVersion", "unknown"))

    @property
    def cgroup(self) -> str:
        """Version and driver of its control groups: `v2 systemd`."""
        return f"v{self.info.get('CgroupVersion', '?')} {self.info.get('CgroupDriver', '?')}"


def candidates(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Addresses in the order they are tried; DOCKER_HOST alone when it is set."""
    if environ.get("DOCKER_HOST"):
        return (environ["DOCKER_HOST"],)
    found = [f"unix://{_DEFAULT_SOCKET}"] if _DEFAULT_SOCKET.exists() else []
    context = ContextAPI.get_current_context() if (Path.home() / ".docker" / "config.json").exists() else None
    if context is not None and context.Host and context.Host not in (f"unix://{_DEFAULT_SOCKET}", *found):
        found.insert(0, context.Host)
    if PRIVATE_SOCKET.exists():
        found.append(f"unix://{PRIVATE_SOCKET}")
    return tuple(found)


def connect() -> Engine:
    """The first engine that answers; BackendError with what was tried where none does."""
    tried = []
    for address in candidates(os.environ):
        client = None
        try:
            client = docker.DockerClient(base_url=address, version=_version(address), timeout=_CONNECT_TIMEOUT_S)
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            if client is not None:
                client.close()
            tried.append(f"{address}: {_reason(error)}")
        else:
            return Engine(
                client=client, address=address, local=address.startswith("unix://") and sys.platform == "linux"
            )
    detail = "; ".join(tried) if tried else "no socket was found"
    hint = _NOT_ALLOWED_HINT if "permission denied" in detail.lower() else NO_ENGINE_HINT
    raise BackendError(f"no Docker engine answers ({detail})", hint=hint)


def _version(address: str) -> str:
    """The engine's API version, by a ping: `version="auto"` makes it run two programs to tell theirs as well."""
    with closing(docker.APIClient(base_url=address, timeout=_CONNECT_TIMEOUT_S)) as api:
        answer = api.get(f"{api.base_url}/_ping", timeout=_CONNECT_TIMEOUT_S)
        answer.raise_for_status()
        return str(answer.headers["Api-Version"])


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turns what the docker package raises into one BackendError that says what was being done."""
    try:
        yield
    except docker.errors.APIError as error:
        explanation = str(error.explanation or error)
        full = "no space left on device" in explanation.lower()
        hint = "Free some disk space." if full else "Run `preflight doctor`."
        raise BackendError(f"{doing}: {explanation}", hint=hint) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        message = f"{doing}: the Docker engine does not answer ({_reason(error)})"
        raise BackendError(message, hint=NO_ENGINE_HINT) from error


def _reason(error: BaseException) -> str:
    """The innermost cause, which is the one a person can act on."""
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
