"""Where an engine is looked for: where `docker` would, and nowhere else once somebody has named a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox import docker_context, docker_engine
from emulator.sandbox.docker_context import Context
from emulator.sandbox.docker_engine import Place, places
from tests.docker_contexts import add_context, use_context

if TYPE_CHECKING:
    from pathlib import Path

COLIMA = "unix:///run/colima/docker.sock"
FAR = "tcp://far:2376"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home with two contexts, of which none is in use, and the usual places with an engine each."""
    for name in ("_DEFAULT_SOCKET", "PRIVATE_SOCKET"):
        (tmp_path / name).touch()
        monkeypatch.setattr(docker_engine, name, tmp_path / name)
    add_context(tmp_path / ".docker", "colima", COLIMA)
    add_context(tmp_path / ".docker", "far", FAR, certificates=True)
    return tmp_path


def usual(home: Path) -> tuple[Place, ...]:
    """The usual places, in their order."""
    return tuple(Place(address=f"unix://{home / name}") for name in ("_DEFAULT_SOCKET", "PRIVATE_SOCKET"))


def test_the_usual_places(home: Path) -> None:
    """Without a configuration, with one that names no context, the usual one, or nothing that can be read."""
    assert places({}, home) == usual(home)
    config = home / ".docker" / "config.json"
    for text in ("{}", '{"currentContext": ""}', '{"currentContext": "default"}', "[]", "{", ""):
        config.write_text(text)
        assert places({}, home) == usual(home)
    assert places({"DOCKER_CONTEXT": "default"}, home) == usual(home)
    assert places({}, None) == usual(home)
    docker_engine.PRIVATE_SOCKET.unlink()
    assert places({}, home) == usual(home)[:1]


def test_a_context_in_use_is_the_only_place(home: Path) -> None:
    """As `docker ps` would ask no other."""
    use_context(home / ".docker", "colima")
    (place,) = places({}, home)
    assert (place.address, place.named_by) == (COLIMA, "the Docker context colima")


def test_the_environment_goes_first(home: Path) -> None:
    """DOCKER_HOST before DOCKER_CONTEXT before the configuration, which DOCKER_CONFIG may have moved."""
    use_context(home / ".docker", "colima")
    add_context(home / "moved", "other", "unix:///other")
    use_context(home / "moved", "other")
    moved = {"DOCKER_CONFIG": str(home / "moved")}
    assert [place.address for place in places(moved, home)] == ["unix:///other"]
    assert [place.address for place in places(moved, None)] == ["unix:///other"]
    assert [place.address for place in places({"DOCKER_CONTEXT": "far"}, home)] == [FAR]
    (place,) = places({"DOCKER_HOST": "unix:///x", "DOCKER_CONTEXT": "far"}, home)
    assert place == Place(address="unix:///x", named_by="DOCKER_HOST")


@pytest.mark.parametrize(
    "address",
    [
        *("garbage", "127.0.0.1:2375", "/var/run/docker.sock", "unix:/x", "unix://", "foo://x:1", "://", "fd://x"),
        *("tcp://", "tcp://host", "tcp://host:port", "tcp://host:65536", "tcp://[::1:2375", "ssh://"),
    ],
)
def test_what_is_no_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the configuration, with who made it and a way out; no engine is asked and none is done without."""
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(ConfigurationError, match="which DOCKER_HOST names, is not an engine's address") as caught:
        docker_engine.connect()
    assert repr(address) in caught.value.message
    assert "unset DOCKER_HOST" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "address", ["unix:///x", "tcp://host:65535", "tcp://[::1]:2375", "https://host:2376", "ssh://me@host", "ssh://h:22"]
)
def test_an_engine_that_does_not_answer_is_no_such_mistake(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is as it should be: another backend may be taken."""

    def nobody(place: Place) -> None:
        raise ConnectionRefusedError(place.address)

    monkeypatch.setattr(docker_engine, "_open", nobody)
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(BackendError, match="no Docker engine answers"):
        docker_engine.connect()


def test_a_context_that_names_no_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, with the way out that fits."""
    add_context(home / ".docker", "odd", "garbage")
    use_context(home / ".docker", "odd")
    monkeypatch.setattr(docker_engine, "places", lambda *_: places({}, home))
    with pytest.raises(ConfigurationError, match="which the Docker context odd names") as caught:
        docker_engine.connect()
    assert "docker context use default" in (caught.value.hint or "")


def test_certificates(home: Path) -> None:
    """A context brings its own; one of three files is none."""
    far = docker_context.current({"DOCKER_CONTEXT": "far"}, home)
    assert far is not None
    assert far.certificates is not None
    assert [path.name for path in far.certificates] == ["ca.pem", "cert.pem", "key.pem"]
    assert far.verify
    far.certificates[2].unlink()
    assert docker_context.current({"DOCKER_CONTEXT": "far"}, home) == Context(
        name="far", host=FAR, leave="unset DOCKER_CONTEXT"
    )


@pytest.mark.parametrize("environ", [{}, {"DOCKER_CONTEXT": "gone"}])
def test_a_context_that_is_not_there(home: Path, environ: dict[str, str]) -> None:
    """One message that names it, and the way out that fits."""
    use_context(home / ".docker", "gone")
    with pytest.raises(BackendError, match="context gone is in use") as caught:
        places(environ, home)
    assert ("unset DOCKER_CONTEXT" if environ else "docker context use default") in (caught.value.hint or "")
