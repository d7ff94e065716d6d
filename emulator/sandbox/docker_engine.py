"""Finds the Docker engine that answers and words its failures; the only place that decides which engine is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emulator import cache
from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox.docker_calls import TIMEOUT_S, Calls, EngineRefused, PackageCalls, SocketCalls

if TYPE_CHECKING:
    import docker

    from emulator.sandbox import docker_context

_UNIX: Final = "unix://"
_WITH_HOST: Final = frozenset({"tcp", "http", "https", "ssh"})
_ANY_VERSION: Final = "1.24"  # a ping has none, but the package wants to be told one
PRIVATE_SOCKET = Path("/run/lambda-preflight/docker.sock")  # where scripts/engine starts one
_DEFAULT_SOCKET = Path("/var/run/docker.sock")

NO_ENGINE_HINT = (
    "Start Docker, or run `sudo scripts/engine up` (Debian), or use `--backend process`, which enforces fewer limits."
)


_NOT_ALLOWED_HINT = "The engine's socket is not open to you: join its group (mostly `docker`), or use sudo."


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A Docker engine that answered; `local` when its socket is a file of this machine."""

    calls: Calls
    address: str
    api_version: str
    local: bool

    @cached_property
    def client(self) -> docker.DockerClient:
        """The docker package's client, for what is more than question and answer; made when first asked for."""
        return _client(self.address, self.api_version)

    def close(self) -> None:
        """Let go of every connection."""
        self.calls.close()
        made: docker.DockerClient | None = self.__dict__.get("client")
        if made is not None:
            made.close()

    @cached_property
    def info(self) -> Mapping[str, object]:
        """What the engine says of itself; asked for once and only if needed, since it takes a while."""
        with engine_errors("the engine did not say what it is"):
            told: Mapping[str, object] = self.calls.call("GET", "/info")
        return told

    @property
    def version(self) -> str:
        """The engine's own version."""
        return str(self.info.get("ServerVersion", "unknown"))

    @property
    def cgroup(self) -> str:
        """Version and driver of its control groups: `v2 systemd`."""
        return f"v{self.info.get('CgroupVersion', '?')} {self.info.get('CgroupDriver', '?')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an engine is looked for, and who says so: nobody for the usual places, of which all are tried."""

    address: str
    named_by: str | None = None
    context: docker_context.Context | None = None


def places(environ: Mapping[str, str], home: Path | None) -> tuple[Place, ...]:
    """In the order in which they are tried: the one that `docker` would ask, and no other where that one was chosen.

    BackendError for a Docker context that there is not.
    """
    if environ.get("DOCKER_HOST"):
        return (Place(address=environ["DOCKER_HOST"], named_by="DOCKER_HOST"),)
    context = _context(environ, home)
    if context is not None:
        return (Place(address=context.host, named_by=f"the Docker context {context.name}", context=context),)
    return tuple(Place(address=f"{_UNIX}{path}") for path in (_DEFAULT_SOCKET, PRIVATE_SOCKET) if path.exists())


def _context(environ: Mapping[str, str], home: Path | None) -> docker_context.Context | None:
    folder = environ.get("DOCKER_CONFIG") or (home and home / ".docker")
    # A context is not in use without one of these, which is how it is on most machines of a team's CI.
    if not environ.get("DOCKER_CONTEXT") and not (folder and os.access(Path(folder, "config.json"), os.R_OK)):
        return None
    from emulator.sandbox import docker_context  # noqa: PLC0415 - see above

    return docker_context.current(environ, home)


def connect() -> Engine:
    """The first engine that answers; BackendError with what was tried where none does.

    ConfigurationError for what is no address at all: nothing would ever answer there.
    """
    tried = []
    found = places(os.environ, cache.home())
    for place in found:
        _refuse_no_address(place)
        try:
            with engine_errors(place.address):
                return _open(place)
        except BackendError as error:
            by = "" if place.named_by is None else f", which {place.named_by} names"
            tried.append(f"{place.address}{by}: {_reason(error.__cause__ or error)}")
    detail = "; ".join(tried) if tried else "no socket was found"
    if "permission denied" in detail.lower():
        hint = _NOT_ALLOWED_HINT
    elif found and found[0].named_by is not None:
        leave = found[0].context.leave if found[0].context is not None else "unset DOCKER_HOST"
        hint = f"Start that engine, or have the usual places tried: {leave}. Or use `--backend process`."
    else:
        hint = NO_ENGINE_HINT
    raise BackendError(f"no Docker engine answers ({detail})", hint=hint)


def _refuse_no_address(place: Place) -> None:
    kind, separator, rest = place.address.partition("://")
    if kind in {"unix", "npipe"}:
        fine = bool(separator and rest)
    elif kind in _WITH_HOST and separator:
        from urllib.parse import urlsplit  # noqa: PLC0415 - most engines are a socket of this machine

        try:
            told = urlsplit(place.address)
            fine = bool(told.hostname) and (told.port is not None or kind == "ssh")
        except ValueError:  # a port that is no number, or too large; a bracket that is not closed
            fine = False
    else:
        fine = False
    if not fine:
        way = place.context.leave if place.context is not None else f"unset {place.named_by}"
        message = f"{place.address!r}, which {place.named_by} names, is not an engine's address"
        hint = f"It looks like unix:///var/run/docker.sock, tcp://HOST:2375 or ssh://USER@HOST. Mend it, or: {way}."
        raise ConfigurationError(message, hint=hint)


def _open(place: Place) -> Engine:
    address = place.address
    if address.startswith(_UNIX):
        calls = SocketCalls(address.removeprefix(_UNIX))
        try:
            version = calls.negotiate()
        except BaseException:
            calls.close()
            raise
        return Engine(calls=calls, address=address, api_version=version, local=sys.platform == "linux")
    version = _version(place)
    client = _client(address, version, place.context)
    engine = Engine(calls=PackageCalls(client), address=address, api_version=version, local=False)
    engine.__dict__["client"] = client
    return engine


def _client(address: str, version: str, context: docker_context.Context | None = None) -> docker.DockerClient:
    from importlib.util import find_spec  # noqa: PLC0415 - see docker_calls

    import docker  # noqa: PLC0415 - see docker_calls

    if address.startswith("ssh://") and find_spec("paramiko") is None:
        raise BackendError("the docker package needs paramiko for ssh://", hint="pip install 'docker[ssh]'")
    tls = _tls(context) if address.startswith(("tcp://", "https://")) else None
    return docker.DockerClient(base_url=address, version=version, timeout=TIMEOUT_S, tls=tls or False)


def _tls(context: docker_context.Context | None) -> docker.tls.TLSConfig | None:
    """The context's own certificates; without a context, those of the environment."""
    from docker.tls import TLSConfig  # noqa: PLC0415 - see docker_calls
    from docker.utils import kwargs_from_env  # noqa: PLC0415 - see docker_calls

    if context is None:
        tls: TLSConfig | None = kwargs_from_env().get("tls")
        return tls
    if context.certificates is None:
        return None
    ca, certificate, key = map(str, context.certificates)
    return TLSConfig(client_cert=(certificate, key), ca_cert=ca, verify=context.verify)


def _version(place: Place) -> str:
    """The engine's API version, by a ping: `version="auto"` makes it run two programs to tell theirs as well."""
    client = _client(place.address, _ANY_VERSION, place.context)
    try:
        answer = client.api.get(f"{client.api.base_url}/_ping", timeout=TIMEOUT_S)
        answer.raise_for_status()
        return str(answer.headers["Api-Version"])
    finally:
        client.close()


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turns what an engine's calls and the docker package raise into one BackendError that says what was being done."""
    try:
        yield
    except EngineRefused as error:
        raise _refused(doing, error.explanation) from error
    except OSError as error:  # among them all that requests raises
        message = f"{doing}: the Docker engine does not answer ({_reason(error)})"
        raise BackendError(message, hint=NO_ENGINE_HINT) from error
    except Exception as error:
        if not _of_the_package(error):
            raise
        explanation = getattr(error, "explanation", None)
        if explanation is None:
            message = f"{doing}: the Docker engine does not answer ({_reason(error)})"
            raise BackendError(message, hint=NO_ENGINE_HINT) from error
        raise _refused(doing, str(explanation)) from error


def _refused(doing: str, explanation: str) -> BackendError:
    full = "no space left on device" in explanation.lower()
    return BackendError(f"{doing}: {explanation}", hint="Free some disk space." if full else "Run `preflight doctor`.")


def _of_the_package(error: Exception) -> bool:
    """Its errors exist only where it has been imported, and it is not imported to find out."""
    errors = sys.modules.get("docker.errors")
    return errors is not None and isinstance(error, errors.DockerException)


def _reason(error: BaseException) -> str:
    """The innermost cause, which is the one a person can act on."""
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
