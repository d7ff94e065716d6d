"""The whole command as somebody who is not root: beside the engine, in the group of its socket alone."""

from __future__ import annotations

import json
import os
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


def report(user: OtherUser, name: str, event: object, *arguments: str, error: str | None = None) -> dict[str, Any]:
    """Invoke with an event; the object of `--json`."""
    given = (name, "-t", str(TEMPLATE), "--parameter-overrides", f"PythonRuntime={RUNTIME}", "-e", "-", *arguments)
    done = user.preflight("invoke", *given, "--json", stdin=json.dumps(event).encode())
    assert done.status == (0 if error is None else 1), done.err
    told: dict[str, Any] = json.loads(done.out)
    assert (told["error"] or {}).get("type") == error
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


def test_the_process_backend_for_another_user() -> None:
    """Without a control group that may be written: what is watched is held all the same, and what is not is told."""
    process = ("--backend", "process")
    with other_user() as user:
        (candidate,) = json.loads(user.preflight("doctor", "--json", *process).out)["backends"]
        idle = report(user, "Echo", {}, *process)
        assert idle["capabilities"] == candidate["capabilities"]
        if os.geteuid() == 0:
            held = {limit for limit, how in idle["capabilities"].items() if how != "none"}
            assert held == {"memory", "open_files", "freeze"}
            assert idle["capabilities"]["memory"] == "watched"
            assert idle["report"]["throttled_ms"] is None
            assert any("run as root" in text for text in candidate["advice"])
        touched = report(user, "TouchMemory", {"mb": 100}, *process)
        written = report(user, "FillTmp", {"bytes": 100 * MB, "path": str(user.home / "file")}, *process)
        exhausted = report(user, "OutOfMemory", {}, *process, error="Runtime.OutOfMemory")
        late = report(user, "Sleeps", {"seconds": 30}, *process, error="Sandbox.Timedout")
        report(user, "Segfault", {}, *process, error="Runtime.ExitError")
    least = idle["report"]["max_memory_mb"]
    assert 100 < touched["report"]["max_memory_mb"] < least + 100 + NEAR_MB
    assert written["report"]["max_memory_mb"] < least + NEAR_MB
    assert least < exhausted["report"]["max_memory_mb"] <= 128
    assert late["report"]["duration_ms"] == 1000
    assert late["report"]["cpu_ms"] < 500
