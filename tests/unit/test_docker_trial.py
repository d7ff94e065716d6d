"""Whether `/tmp` can have its size is tried out, and what came of it is told."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from emulator.errors import BackendError
from emulator.sandbox import docker, docker_disks, ext4, storage
from emulator.sandbox.docker_calls import EngineRefused
from tests.fake_engine import Call, FakeCalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.sandbox.docker_engine import Engine

TAG = "lambda-preflight/python:3.11-0123456789ab"


class Disk:
    """A disk that is held until it is closed."""

    device = "/dev/loop7"

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        """Counted."""
        self.closed += 1


class Trial:
    """A backend on an engine of a few lines, as root or not, and what becomes of its disks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.disk = Disk()
        self.calls = FakeCalls()
        self.status = 0
        self.root = True
        self.images = [TAG]
        self.calls.route("GET /images/json", lambda *_: [{"RepoTags": self.images}])
        self.calls.route("POST /containers/create", lambda *_: {"Id": "c"})
        self.calls.route("POST /containers/c/start", lambda *_: None)
        self.calls.route("POST /containers/c/wait", lambda *_: {"StatusCode": self.status})
        self.calls.route("DELETE /containers/c", lambda *_: None)
        monkeypatch.setattr(ext4, "missing_tools", lambda: ())
        monkeypatch.setattr(storage, "may_attach", lambda: self.root)
        monkeypatch.setattr(storage, "TmpDisk", lambda *_: self.make(self.kernel))
        monkeypatch.setattr(docker_disks, "DiskKeeper", self.keeper)
        self.kernel: BackendError | None = None
        self.helper: BackendError | None = None
        engine = SimpleNamespace(calls=self.calls, local=True, info={}, close=lambda: None)
        self.backend = docker.DockerBackend(cast("Engine", engine), transport="namespace")

    def make(self, trouble: BackendError | None) -> Disk:
        """A disk, or what is in its way."""
        if trouble is not None:
            raise trouble
        return self.disk

    def keeper(self, *_: object) -> SimpleNamespace:
        """The helper container."""
        if self.helper is not None:
            raise self.helper
        return SimpleNamespace(disk=lambda _: self.disk, close=lambda: None)

    @property
    def mounts(self) -> list[Any]:
        """What the trial's container was to mount."""
        return [
            mount for body in self.calls.bodies("POST", "/containers/create") for mount in body["HostConfig"]["Mounts"]
        ]


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    """Give one, with a base image on the engine."""
    made = Trial(monkeypatch)
    yield made
    made.backend.close()


@pytest.mark.parametrize("root", [True, False])
def test_a_disk_is_made_mounted_and_let_go(trial: Trial, root: bool) -> None:  # noqa: FBT001 - a column of the table
    """By ourselves or by the helper, and nothing of it stays."""
    trial.root = root
    said = trial.backend.try_disk()
    assert "tried: 512 MB attached as /dev/loop7, mounted by the engine and let go" in said
    assert trial.mounts[0]["VolumeOptions"]["DriverConfig"]["Options"]["device"] == "/dev/loop7"
    assert [call.path for call in trial.calls.made if call.method == "DELETE"] == ["/containers/c"]
    assert trial.disk.closed == 1
    assert trial.backend.capabilities.tmp == "kernel"


def test_root_without_loop_devices_takes_the_helper(trial: Trial) -> None:
    """Root in a container may have the capability and no devices."""
    trial.kernel = storage.NotAttached("not for you")
    assert "mounted" in trial.backend.try_disk()
    assert trial.backend.capabilities.tmp == "kernel"


def test_nobody_gets_a_device(trial: Trial) -> None:
    """The limit is told as not held, with the reason."""
    trial.kernel, trial.helper = storage.NotAttached("not for you"), BackendError("nor for the helper")
    assert trial.backend.try_disk() == "tried, in vain: nor for the helper"
    assert trial.backend.capabilities.tmp == "none"
    assert "nor for the helper" in trial.backend.advice()[0]


def test_a_disk_that_cannot_be_written(trial: Trial) -> None:
    """It is let go all the same."""
    trial.status = 2
    assert trial.backend.try_disk().startswith("tried, in vain: a container could not write to /dev/loop7")
    assert trial.disk.closed == 1
    assert trial.backend.capabilities.tmp == "none"


def test_a_disk_that_is_not_mounted(trial: Trial) -> None:
    """The engine's own words; its container is removed."""

    def refuse(*_: object) -> None:
        raise EngineRefused(500, "unknown filesystem type ext4")

    trial.calls.route("POST /containers/c/start", refuse)
    assert "unknown filesystem type ext4" in trial.backend.try_disk()
    assert [call.path for call in trial.calls.made if call.method == "DELETE"] == ["/containers/c"]
    assert trial.backend.capabilities.tmp == "none"


def test_without_a_base_image(trial: Trial) -> None:
    """What can be tried is; what cannot is told as that, and no verdict."""
    trial.images = []
    assert "not mounted" in trial.backend.try_disk()
    assert trial.mounts == []
    trial.root = False
    assert trial.backend.try_disk().startswith("not tried")
    assert trial.backend.capabilities.tmp == "kernel"


def test_a_trial_without_end(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """A doctor who waits for ever is none."""
    over = threading.Event()

    def hang(*_: object) -> Call:
        over.wait(60)
        raise EngineRefused(500, "too late")

    monkeypatch.setattr(docker, "_TRIAL_S", 0.01)
    trial.calls.route("POST /containers/create", hang)
    assert trial.backend.try_disk() == "tried: no end within 0.01 s"
    assert trial.backend.capabilities.tmp == "none"
    over.set()


def test_an_engine_that_goes_away_meanwhile(trial: Trial) -> None:
    """That is no verdict on disks, and is told where it is waited for."""
    trial.calls.trouble = ConnectionResetError("gone")
    with pytest.raises(BackendError, match="images could not be listed"):
        trial.backend.try_disk()
    trial.calls.trouble = None
