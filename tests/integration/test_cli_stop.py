"""The `preflight` command when it is stopped, killed or loses its engine: the right status, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from emulator.sandbox import docker_container, docker_engine
from tests.command import COMMAND, RUNTIME, TEMPLATE, Done, ended, invoke, started, variables, wait_for
from tests.leaks import left_since, traces

both_backends = pytest.mark.parametrize("backend", [pytest.param("docker", marks=pytest.mark.engine), "process"])


@pytest.fixture
def event(tmp_path: Path) -> Path:
    """An event that keeps a function busy until somebody stops it."""
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"seconds": 300}))
    return path


@pytest.fixture
def before() -> set[str]:
    """What lies on this machine before the test."""
    return traces()


def sleeping(event: Path, backend: str) -> tuple[str | Path, ...]:
    """The arguments of an invocation that takes minutes."""
    given = ("Sleeps", "-t", TEMPLATE, "--parameter-overrides", f"PythonRuntime={RUNTIME}")
    return ("invoke", *given, "-e", event, "--timeout", "600", "--backend", backend)


def runtime_of(process: subprocess.Popen[str], backend: str) -> int | None:
    """The process id of the function's runtime; None while it is not there."""
    return runtime_in_container(process.pid) if backend == "docker" else runtime_among_children(process.pid)


def runtime_among_children(pid: int) -> int | None:
    """A descendant that is Python with AWS's runtime client, and no shell any more that will become it."""
    try:
        for child in psutil.Process(pid).children(recursive=True):
            command = child.cmdline()
            if command[-1].endswith("/bootstrap.py") and "python" in command[0]:
                return child.pid
    except psutil.Error:
        return None
    return None


def runtime_in_container(pid: int) -> int | None:
    """The same for a process of the container whose owner is `pid`."""
    engine = docker_engine.connect()
    client = engine.client
    try:
        for found in client.api.containers(filters={"label": docker_container.LABEL}):
            if is_owned_by(found["Labels"], pid):
                first = client.api.inspect_container(found["Id"])["State"]["Pid"]
                return runtime_among_children(first) if first else None
    finally:
        engine.close()
    return None


def is_owned_by(labels: dict[str, str], pid: int) -> bool:
    """Whether that process made the container."""
    return f"-{pid}-" in labels.get(docker_container.OWNER_LABEL, "")


def wait_until_busy(process: subprocess.Popen[str], backend: str) -> int:
    """Return once the handler sleeps: the runtime uses no CPU time any more; its process id."""
    wait_for(lambda: process.poll() is not None or runtime_of(process, backend) is not None)
    runtime = runtime_of(process, backend)
    assert runtime is not None, process.communicate()[1]
    seen = -1.0
    while (used := sum(psutil.Process(runtime).cpu_times()[:2])) != seen:
        seen = used
        time.sleep(0.3)
    return runtime


def assert_stopped(done: Done) -> None:
    """130, one line, no traceback and no payload."""
    assert done.status == 130, done.err
    assert done.out == ""
    assert done.error == "stopped"
    assert "Traceback" not in done.err


@both_backends
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_in_the_middle(backend: str, number: signal.Signals, event: Path, before: set[str]) -> None:
    """Ctrl-C, SIGTERM and a terminal that is closed take everything away with them."""
    with started(*sleeping(event, backend)) as process:
        wait_until_busy(process, backend)
        process.send_signal(number)
        assert_stopped(ended(process))
    assert left_since(before) == set()


@both_backends
def test_stopped_by_the_terminal_twice(backend: str, event: Path, before: set[str]) -> None:
    """Ctrl-C reaches the whole process group, and an impatient second one does not spoil the tidying up."""
    with started(*sleeping(event, backend)) as process:
        wait_until_busy(process, backend)
        for _ in range(3):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.03)
        assert_stopped(ended(process))
    assert left_since(before) == set()


@both_backends
def test_stopped_at_any_time(backend: str, event: Path, before: set[str]) -> None:
    """While an environment is made or initialises: the same."""
    for delay in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8):
        with started(*sleeping(event, backend)) as process:
            assert process.stderr is not None
            assert process.stderr.readline().startswith(f"{backend} backend: ")
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            done = ended(process)
            assert (done.status, done.out) == (130, ""), done.err
            assert "Traceback" not in done.err
    assert left_since(before) == set()


@both_backends
def test_killed_in_the_middle(backend: str, event: Path, before: set[str]) -> None:
    """Nobody can tidy up after SIGKILL but the next start, which does."""
    with started(*sleeping(event, backend)) as process:
        runtime = wait_until_busy(process, backend)
        process.kill()
        assert ended(process).status == -signal.SIGKILL
    if backend == "docker":  # there, a second shell has noticed: what hangs must not hang for ever
        wait_for(lambda: is_gone(runtime))
    done = invoke("Echo", "--backend", backend)
    assert (done.status, done.out) == (0, "{}\n")
    assert left_since(before) == set()
    assert is_gone(runtime)


def is_gone(pid: int) -> bool:
    """Whether the process is dead, collected or not."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.mark.engine
@pytest.mark.parametrize(("method", "path"), [("POST", "/kill"), ("DELETE", "")], ids=["kill", "rm -f"])
def test_a_container_that_is_killed_from_outside(method: str, path: str, event: Path, before: set[str]) -> None:
    """`docker kill` and `docker rm -f` are SIGKILL to the function, as on Lambda; what is not known then is no 0."""
    with started(*sleeping(event, "docker"), "--json") as process:
        wait_until_busy(process, "docker")
        engine = docker_engine.connect()
        try:
            labelled = {"filters": json.dumps({"label": [docker_container.LABEL]})}
            for found in engine.calls.call("GET", "/containers/json", query=labelled):
                if is_owned_by(found["Labels"], process.pid):
                    query = {"force": "1", "v": "1"} if method == "DELETE" else None
                    engine.calls.call(method, f"/containers/{found['Id']}{path}", query=query)
        finally:
            engine.close()
        done = ended(process)
    assert done.status == 1, done.err
    told = json.loads(done.out)
    assert told["error"]["type"] == "Runtime.ExitError"
    assert told["error"]["message"].endswith("Error: Runtime exited with error: signal: killed")
    assert told["report"]["cpu_ms"] is None
    assert left_since(before) == set()


def test_process_killed_by_somebody_else(event: Path, before: set[str]) -> None:
    """A runtime process that is killed from outside is, for all Lambda could tell, a runtime that was killed."""
    with started(*sleeping(event, "process")) as process:
        os.kill(wait_until_busy(process, "process"), signal.SIGKILL)
        done = ended(process)
    assert done.status == 1
    assert json.loads(done.out)["errorType"] == "Runtime.ExitError"
    assert json.loads(done.out)["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert left_since(before) == set()


FULL = """
set -e
for folder in /tmp /var/tmp /mnt; do
  mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs "$folder"
  : >"$folder/the last inode"
done
cd /mnt
exec "$@"
"""


@both_backends
def test_full_disk(backend: str, before: set[str]) -> None:
    """No room for temporary files is told as that, with a hint, and not as a traceback."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can have a mount namespace of its own, with full disks in it")
    if any(COMMAND.is_relative_to(folder) for folder in ("/tmp", "/var/tmp", "/mnt")):
        pytest.skip("this checkout lies on a disk that is to be full")
    command = [str(COMMAND), "invoke", "Echo", "-t", str(TEMPLATE), "--backend", backend]
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", FULL, "sh", *command],  # noqa: S607 - wherever this machine has it
        capture_output=True,
        text=True,
        env=variables({}),
        check=False,
        timeout=60,
    )
    done = Done(status=ran.returncode, out=ran.stdout, err=ran.stderr)
    assert (done.status, done.out) == (3, ""), done.err
    assert "Traceback" not in done.err
    assert "disk" in done.error
    assert "space" in done.hint
    assert left_since(before) == set()
