"""What a backend says of itself, and the choice between them where it needs no engine."""

from __future__ import annotations

import sys
from dataclasses import fields

import pytest

from emulator import sandbox
from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox.base import Capabilities, Exit, Figures
from tests.fakes import FakeBackend, capabilities

LIMITS = (
    "memory",
    "cpu",
    "tmp",
    "read_only_root",
    "network",
    "processes",
    "open_files",
    "user",
    "shared_memory",
    "freeze",
)


def test_every_limit_is_told() -> None:
    """In the order of the fields, which is that of every listing."""
    assert tuple(capabilities("watched").as_dict()) == LIMITS == tuple(field.name for field in fields(Capabilities))
    assert set(capabilities("watched").as_dict().values()) == {"watched"}


def test_what_is_not_enforced() -> None:
    """Only what is not held at all; watched is held, if late."""
    assert capabilities().not_enforced() == ()
    assert capabilities("watched").not_enforced() == ()
    assert capabilities(tmp="none", memory="watched", cpu="none").not_enforced() == ("cpu", "tmp")
    assert capabilities("none").not_enforced() == LIMITS


def test_figures_are_unknown_at_first() -> None:
    """None, never 0."""
    figures = Figures()
    assert (figures.memory_peak_bytes, figures.cpu_seconds, figures.throttled_seconds) == (None, None, None)
    assert figures.oom_kills is None


def test_an_end_without_a_reason() -> None:
    """Nothing is claimed that is not proven."""
    end = Exit()
    assert (end.status, end.signal, end.out_of_memory, end.lost) == (None, None, False, None)


def test_the_process_backend_has_no_network_to_choose() -> None:
    """Said before anything is made."""
    with pytest.raises(ConfigurationError, match="network") as caught:
        sandbox.open_backend("process", network="bridge")
    assert "--network" in (caught.value.hint or "")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no engine answer, and let the process backend be had at once."""
    from emulator.sandbox import docker_engine, process

    def refuse() -> None:
        raise BackendError("no engine answers", hint="start one")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(docker_engine, "connect", refuse)
    monkeypatch.setattr(process, "ProcessBackend", lambda: FakeBackend(name="process"))


@pytest.mark.usefixtures("no_engine")
def test_docker_that_was_asked_for_must_be_there() -> None:
    """Nothing else is taken in its place."""
    told: list[str] = []
    with pytest.raises(BackendError, match="no engine answers"):
        sandbox.open_backend("docker", on_fallback=told.append)
    assert told == []


@pytest.mark.usefixtures("no_engine")
def test_auto_takes_processes_and_says_so() -> None:
    """With the reason, once."""
    told: list[str] = []
    assert sandbox.open_backend("auto", on_fallback=told.append).name == "process"
    assert told == ["no engine answers"]


@pytest.mark.usefixtures("no_engine")
def test_auto_elsewhere_takes_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where engines run in a virtual machine, none is asked unless it was named."""
    monkeypatch.setattr(sys, "platform", "darwin")
    told: list[str] = []
    assert sandbox.open_backend("auto", on_fallback=told.append).name == "process"
    assert len(told) == 1
    assert "no engine answers" not in told[0]
    with pytest.raises(BackendError, match="no engine answers"):
        sandbox.open_backend("docker")


@pytest.mark.usefixtures("no_engine")
def test_auto_without_an_engine_cannot_choose_a_network() -> None:
    """A function that was to have a network does not silently get another one."""
    with pytest.raises(ConfigurationError, match="network"):
        sandbox.open_backend("auto", network="bridge")


@pytest.mark.usefixtures("no_engine")
def test_process_does_not_ask_for_an_engine() -> None:
    """Nor speak of one."""
    told: list[str] = []
    assert sandbox.open_backend("process", on_fallback=told.append).name == "process"
    assert told == []


def test_choices() -> None:
    """What --backend offers."""
    assert sandbox.CHOICES == ("auto", "docker", "process")
