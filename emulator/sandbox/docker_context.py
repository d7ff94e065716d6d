"""The Docker context in use: the engine that a bare `docker` asks where it is not at its usual place.

Docker Desktop, Colima, OrbStack and rootless engines are found this way. Read here, since importing the docker package
takes longer than most invocations, and its reader fails on a context that is gone ("Docker contexts", docs.docker.com,
2026; docker/cli, cli/context/store).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.errors import BackendError

_USUAL = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One that is not `default`; `leave` says how to be rid of it.

    `certificates` are the paths of ca, cert and key where it has them.
    """

    name: str
    host: str
    leave: str
    certificates: tuple[Path, Path, Path] | None = None
    verify: bool = True


def current(environ: Mapping[str, str], home: Path | None) -> Context | None:
    """The context that `docker` would take; None for `default`. BackendError for one that there is not."""
    given = environ.get("DOCKER_CONFIG")
    folder = Path(given) if given else home / ".docker" if home is not None else None
    if folder is None:
        return None
    name = environ.get("DOCKER_CONTEXT") or _object(folder / "config.json").get("currentContext") or _USUAL
    if name == _USUAL:
        return None
    leave = "unset DOCKER_CONTEXT" if environ.get("DOCKER_CONTEXT") else "`docker context use default`"
    own = hashlib.sha256(str(name).encode()).hexdigest()
    endpoint = _object(folder / "contexts" / "meta" / own / "meta.json").get("Endpoints", {}).get("docker", {})
    host = endpoint.get("Host")
    if not host:
        message = f"the Docker context {name} is in use, and {folder} does not say where its engine is"
        raise BackendError(message, hint=f"See `docker context ls`, or have the usual places tried: {leave}.")
    tls = folder / "contexts" / "tls" / own / "docker"
    files = (tls / "ca.pem", tls / "cert.pem", tls / "key.pem")
    return Context(
        name=str(name),
        host=str(host),
        leave=leave,
        certificates=files if all(file.exists() for file in files) else None,
        verify=not endpoint.get("SkipTLSVerify"),
    )


def _object(path: Path) -> dict[str, Any]:
    """A file's JSON object; an empty one where there is none, as `docker` takes it."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
