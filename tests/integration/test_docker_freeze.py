"""Containers that stand still: by their control group's file, and by the engine where that file is not ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emulator.sandbox import cgroup, docker_container, docker_engine
from emulator.sandbox.docker import DockerBackend
from emulator.service import LambdaService
from tests.command import wait_for
from tests.conformance.conftest import all_functions
from tests.leaks import left_since

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
PAUSE_S = 2.5  # the engine is asked to pause what was idle for a second


@pytest.fixture
def service_by_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LambdaService:
    """Give a service on an engine whose control groups cannot be seen, as on another machine."""
    monkeypatch.setattr(cgroup.ControlGroup, "of_process", classmethod(lambda cls, pid: None))
    tmp_path.chmod(0o755)
    return LambdaService(all_functions(tmp_path), DockerBackend(docker_engine.connect(), transport="bridge"))


def test_the_engine_pauses_what_has_been_idle_for_a_while(service_by_engine: LambdaService) -> None:
    """It goes on at the next invocation, and a paused container is closed like any other."""
    with service_by_engine as service:
        service.invoke("Background", b'{"do": "start", "wait": 0.1}')
        time.sleep(PAUSE_S)
        told = service.invoke("Background", b'{"wait": 0.1}')
        assert told.error is None, told.log
        assert told.payload["gap"] > 0.5
        time.sleep(PAUSE_S)


def test_a_runtime_that_died_while_nothing_ran() -> None:
    """On v2 SIGKILL ends it although it is frozen, and the shell, which is frozen too, cannot tell."""
    script = "sleep 600 & read _; wait"
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True) as entry:
        try:
            wait_for(lambda: docker_container.runtime_of(entry.pid) is not None)
            runtime = docker_container.runtime_of(entry.pid)
            assert runtime is not None
            entry.send_signal(signal.SIGSTOP)
            assert not docker_container.has_dead_child(entry.pid)
            os.kill(runtime, signal.SIGKILL)
            wait_for(lambda: docker_container.has_dead_child(entry.pid))
            assert docker_container.runtime_of(entry.pid) is None
        finally:
            os.killpg(entry.pid, signal.SIGKILL)
    assert not docker_container.has_dead_child(entry.pid)


def test_what_was_idle_for_long_is_closed(tmp_path: Path) -> None:
    """Frozen by then; its container is removed behind everybody's back."""
    tmp_path.chmod(0o755)
    backend = DockerBackend(docker_engine.connect())
    with LambdaService(all_functions(tmp_path), backend, reap_after_s=0.5) as service:
        service.invoke("Background", b'{"do": "fork"}')
        [environment] = service._idle()  # noqa: SLF001 - nobody else knows its container
        container = environment.sandbox
        assert container in running()
        assert left_since(set(), lambda: {container} & running()) == set()
        again = service.invoke("Background", b"{}")
        assert again.cold
        assert again.error is None


@pytest.mark.parametrize("frozen", [False, True])
def test_a_container_that_was_killed_while_idle(tmp_path: Path, frozen: bool) -> None:  # noqa: FBT001 - a case
    """Costs no call: the next one gets a new container at once, whether or not the news had come by then."""
    tmp_path.chmod(0o755)
    backend = DockerBackend(docker_engine.connect())
    with LambdaService(all_functions(tmp_path), backend, freeze=frozen) as service:
        for _ in range(2):
            assert service.invoke("Background", b"{}").error is None
            [environment] = service._idle()  # noqa: SLF001 - nobody else knows its container
            while frozen and not environment._frozen:  # noqa: SLF001 - as above
                time.sleep(0.001)
            killed = environment.sandbox
            backend.engine.calls.call("POST", f"/containers/{killed}/kill")
            assert service.invoke("Background", b"{}").error is None
            [after] = service._idle()  # noqa: SLF001 - as above
            assert after.sandbox != killed
            service.retire("Background")


def test_what_a_killed_emulator_had_frozen_is_swept() -> None:
    """On v1 a frozen container does not end by itself; the next start has the engine remove it."""
    script = """
import sys, time
from pathlib import Path
from emulator.sandbox import docker_engine
from emulator.sandbox.docker import DockerBackend
from emulator.service import LambdaService
from tests.conformance.conftest import all_functions
import tempfile
folder = Path(tempfile.mkdtemp())
folder.chmod(0o755)
service = LambdaService(all_functions(folder), DockerBackend(docker_engine.connect()))
service.invoke("Background", b'{"do": "fork"}')
environment = service._idle()[0]
while environment.rest() and not environment._frozen:
    time.sleep(0.001)
print(environment.sandbox, flush=True)
input()
"""
    emulator = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with emulator:
        assert emulator.stdout is not None
        container = emulator.stdout.readline().strip()
        emulator.kill()
    assert emulator.returncode == -signal.SIGKILL
    assert container in running()
    backend = DockerBackend(docker_engine.connect())
    backend.sweep()
    backend.close()
    assert left_since(set(), lambda: {container} & running()) == set()


def running() -> set[str]:
    """Short ids of the engine's containers."""
    engine = docker_engine.connect()
    try:
        return {str(found["Id"])[:12] for found in engine.calls.call("GET", "/containers/json")}
    finally:
        engine.close()
