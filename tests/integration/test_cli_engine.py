"""The `preflight` command on an engine that goes away: a private one, which disturbs nobody when it is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from tests.command import ROOT, ended, invoke, started, wait_for
from tests.drills import drill
from tests.integration.test_cli_stop import sleeping, wait_until_busy
from tests.leaks import left_since, traces

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can start an engine of its own"),
]

ENGINE = ROOT / "scripts" / "engine"


def engine(folder: Path, verb: str) -> None:
    """Run `scripts/engine` on the private engine below `folder`."""
    # Not captured: a pipe would be held open by the engine that is left running.
    with (folder / "engine.txt").open("a") as said:
        subprocess.run([ENGINE, "--root", folder, verb], check=True, stdout=said, stderr=said, timeout=90)


def engine_pid(folder: Path) -> int:
    """The process that is to die."""
    return int((folder / "run" / "docker.pid").read_text())


def alive(pid: int) -> bool:
    """Whether the process still runs; it may be nobody's child, and never be collected."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def private_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An engine that answers at DOCKER_HOST and has the base image; stopped and removed afterwards."""
    before = traces()
    folder = Path(tempfile.mkdtemp(prefix="engine-"))
    try:
        with monkeypatch.context() as patch:
            patch.setenv("DOCKER_HOST", f"unix://{folder}/run/docker.sock")
            engine(folder, "up")
            assert invoke("Echo", "--backend", "docker").status == 0
            yield folder
            engine(folder, "up")  # it takes down what the killed one has left running
            assert invoke("Echo", "--backend", "docker").status == 0
            engine(folder, "down")
        assert left_since(before) == set()
    finally:
        # An engine mounts its folder on itself, and one that is killed cannot undo that.
        unmount = ["umount", str(folder / "docker")]
        while subprocess.run(unmount, check=False, capture_output=True).returncode == 0:
            continue
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("number", "seconds"),
    # An engine that is asked to end gives its containers ten seconds.
    [(signal.SIGKILL, 3), pytest.param(signal.SIGTERM, 30, marks=pytest.mark.soak)],
)
def test_engine_that_dies_during_an_invocation(
    private_engine: Path, tmp_path: Path, number: signal.Signals, seconds: int
) -> None:
    """Status 3 and one message about the engine, whether or not the answer still came through."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"seconds": seconds}))
    with started(*sleeping(event, "docker")) as process:
        wait_until_busy(process, "docker")
        pid = engine_pid(private_engine)
        os.kill(pid, number)
        done = ended(process)
    wait_for(lambda: not alive(pid))
    assert done.status == 3, done.err
    assert done.out in {"", '"awake"\n'}
    assert "Traceback" not in done.err
    assert "engine" in done.error or "container" in done.error
    assert done.hint


@pytest.mark.soak
def test_engine_that_is_killed_under_a_server(private_engine: Path, tmp_path: Path) -> None:
    """Callers are told, the server goes on, serves again once there is an engine again, and leaves nothing behind."""
    with ThreadPoolExecutor(8) as pool, drill(tmp_path, "docker") as one:
        calls = [pool.submit(one.ask, "[print('holding on'), time.sleep(20)]") for _ in range(4)]
        wait_for(lambda: one.held() == 4)
        print(f"four invocations under way: {one.count()}")  # noqa: T201 - this is the drill's result
        pid = engine_pid(private_engine)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid))
        outcomes = [call.result() for call in calls]
        for title, outcome in (*zip(range(4), outcomes, strict=True), ("without an engine", one.ask("1"))):
            print(f"{title}: {str(outcome)[:200]}")  # noqa: T201 - see above
        engine(private_engine, "up")
        # The new engine takes down what the old one has left: a call for each warm environment is told that it is lost.
        again = [one.ask("7") for _ in range(6)]
        lost = sum(isinstance(outcome, Exception) for outcome in again)
        print(f"with a new engine: {lost} calls met a lost environment, then {again[-1]}")  # noqa: T201 - see above
        assert lost <= 4
        assert isinstance(again[-1], dict)
        assert again[-1]["payload"] == 7
        assert one.served.ended(signal.SIGTERM) == 0
        print(f"after it: {one.count()}")  # noqa: T201 - see above
        assert not any(asdict(one.count()).values())
