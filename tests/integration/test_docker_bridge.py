"""The Docker backend over its bridge, as whoever is not root beside the engine has it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from emulator.sandbox import docker_container
from emulator.sandbox.docker_engine import Engine, connect
from tests.command import ROOT, RUNTIME, TEMPLATE, WAIT_S

pytestmark = pytest.mark.engine

SCRIPT = f"""
import sys
from pathlib import Path
from emulator import template
from emulator.sandbox.docker import DockerBackend
from emulator.sandbox.docker_engine import connect
from emulator.service import LambdaService
config = template.load(Path({str(TEMPLATE)!r}), parameters={{"PythonRuntime": {RUNTIME!r}}}).find("Sleeps")
with LambdaService({{"Sleeps": config}}, DockerBackend(connect(), transport="bridge"), on_log=print) as service:
    sys.stdout.reconfigure(line_buffering=True)
    service.invoke("Sleeps", b'{{"seconds": 60}}')
"""


def test_a_killed_emulator_takes_its_containers_along() -> None:
    """The engine closes their input once the connection is gone, and the entry point ends all that runs."""
    engine = connect()
    try:
        with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, cwd=ROOT) as emulator:
            assert emulator.stdout is not None
            assert "START RequestId" in emulator.stdout.readline()
            mine = f"-{emulator.pid}-"
            assert running(engine, mine)
            emulator.kill()
        limit = time.monotonic() + WAIT_S
        while running(engine, mine) and time.monotonic() < limit:
            time.sleep(0.05)
        assert running(engine, mine) == []
    finally:
        docker_container.sweep(engine.calls)  # the network, which has no input to be closed
        engine.close()


def running(engine: Engine, owner: str) -> list[str]:
    """The containers whose owner has this in its name."""
    found = engine.client.api.containers(filters={"label": docker_container.LABEL})
    labels = [(each["Id"], (each["Labels"] or {}).get(docker_container.OWNER_LABEL, "")) for each in found]
    return [identity for identity, label in labels if owner in label]
