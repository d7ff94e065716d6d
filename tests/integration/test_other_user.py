"""The whole command as somebody who is not root: beside the engine, in the group of its socket alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emulator.sandbox.docker_engine import connect
from tests.command import RUNTIME, TEMPLATE
from tests.other_user import OtherUser, other_user

if TYPE_CHECKING:
    from collections.abc import Iterator

MB = 1024 * 1024
NEAR_MB = 8


@pytest.fixture
def beside_the_engine() -> Iterator[OtherUser]:
    """Give a user who may ask the engine."""
    engine = connect()
    address = engine.address
    engine.close()
    if not address.startswith("unix://"):
        pytest.skip("the engine's address is no socket of this machine")
    with other_user(groups=(Path(address.removeprefix("unix://")).stat().st_gid,)) as user:
        yield user


def report(user: OtherUser, name: str, event: object, *arguments: str) -> dict[str, Any]:
    """Invoke with an event; the object of `--json`."""
    given: tuple[str | Path, ...] = (
        name,
        "-t",
        TEMPLATE,
        "--parameter-overrides",
        f"PythonRuntime={RUNTIME}",
        "-e",
        "-",
        "--json",
        *arguments,
    )
    done = user.preflight("invoke", *given, stdin=json.dumps(event).encode())
    assert done.status == 0, done.err
    told: dict[str, Any] = json.loads(done.out)
    assert told["error"] is None
    return told


@pytest.mark.engine
def test_the_engines_memory_figures_for_another_user(beside_the_engine: OtherUser) -> None:
    """Memory that was touched counts; a file in /tmp, deleted before anybody looked, does not."""
    docker = ("--backend", "docker")
    idle = report(beside_the_engine, "Echo", {}, *docker)
    assert idle["payload"] == {}
    assert idle["capabilities"]["tmp"] == "kernel"
    touched = report(beside_the_engine, "TouchMemory", {"mb": 100}, *docker)
    written = report(beside_the_engine, "FillTmp", {"bytes": 100 * MB}, *docker)
    assert written["payload"] == {"errno": None, "written": 100 * MB}
    least = idle["report"]["max_memory_mb"]
    assert 100 < touched["report"]["max_memory_mb"] < least + 100 + NEAR_MB
    assert written["report"]["max_memory_mb"] < least + NEAR_MB
