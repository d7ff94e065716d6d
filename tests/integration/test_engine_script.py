"""`scripts/engine` and the emulator look for an engine at the same places, and neither takes another for it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from emulator.sandbox.docker_engine import connect
from tests.command import ROOT, preflight
from tests.docker_contexts import add_context, use_context

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "unix:///nowhere/docker.sock"


def engine(verb: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with this folder of contexts."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    given |= {"DOCKER_CONFIG": str(folder), **environment}
    return subprocess.run(
        [ROOT / "scripts" / "engine", verb], env=given, capture_output=True, text=True, check=False, timeout=60
    )


def invoked(folder: Path, **environment: str) -> str:
    """What the emulator says of the engine."""
    given = {"DOCKER_HOST": "", "DOCKER_CONFIG": str(folder), **environment}
    return preflight("doctor", "--backend", "docker", environment=given).out


@pytest.mark.parametrize("verb", ["up", "status"])
def test_a_dead_docker_host(verb: str, tmp_path: Path) -> None:
    """No other engine is taken or started, since the emulator would not ask it."""
    done = engine(verb, tmp_path, DOCKER_HOST=NOWHERE)
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"nothing answers at {NOWHERE}, which DOCKER_HOST names" in done.stderr
    assert "unset DOCKER_HOST" in done.stderr
    assert f"{NOWHERE}, which DOCKER_HOST names" in invoked(tmp_path, DOCKER_HOST=NOWHERE)


@pytest.mark.parametrize("verb", ["up", "status"])
def test_a_dead_context(verb: str, tmp_path: Path) -> None:
    """The same, with the context's name."""
    add_context(tmp_path, "colima", NOWHERE)
    use_context(tmp_path, "colima")
    done = engine(verb, tmp_path)
    assert done.returncode == 1
    assert f"nothing answers at {NOWHERE}, which the Docker context colima names" in done.stderr
    assert "docker context use default" in done.stderr
    assert f"{NOWHERE}, which the Docker context colima names" in invoked(tmp_path)


def test_a_context_that_is_gone(tmp_path: Path) -> None:
    """Told as that by both."""
    use_context(tmp_path, "gone")
    done = engine("status", tmp_path)
    assert done.returncode == 1
    assert "the Docker context gone is in use, and there is no such context" in done.stderr
    assert "the Docker context gone is in use" in invoked(tmp_path)


def test_an_engine_that_the_script_cannot_ask(tmp_path: Path) -> None:
    """That it does not answer is more than is known."""
    done = engine("status", tmp_path, DOCKER_HOST="ssh://me@far")
    assert done.returncode == 1
    assert "cannot be asked from here" in done.stderr


@pytest.mark.engine
def test_the_engine_of_a_context(tmp_path: Path) -> None:
    """Found by both, by the configuration and by DOCKER_CONTEXT."""
    found = connect()
    found.close()
    add_context(tmp_path, "mine", found.address)
    assert found.address in engine("status", tmp_path, DOCKER_CONTEXT="mine").stdout
    use_context(tmp_path, "mine")
    assert found.address in engine("up", tmp_path).stdout
    assert found.address in invoked(tmp_path)
