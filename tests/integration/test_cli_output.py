"""What the `preflight` command prints when it works, and where: payload, log, figures, and who enforces what."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from emulator.sandbox import docker_container, docker_engine
from tests.command import COMMAND, ROOT, TEMPLATE, Done, invoke, preflight, variables

NOWHERE = "unix:///nonexistent/docker.sock"
LIMITS = {
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
}
REPORT_FIELDS = {
    "request_id",
    "init_ms",
    "duration_ms",
    "billed_ms",
    "memory_mb",
    "max_memory_mb",
    "cpu_ms",
    "throttled_ms",
    "init_cpu_ms",
}
OBJECT_FIELDS = {"payload", "error", "report", "backend", "capabilities", "log"}

both_backends = pytest.mark.parametrize("backend", [pytest.param("docker", marks=pytest.mark.engine), "process"])


def objects(done: Done) -> list[dict[str, Any]]:
    """The JSON objects of standard output, one a line."""
    return [json.loads(line) for line in done.out.splitlines()]


@both_backends
def test_payload_is_all_of_standard_output(backend: str) -> None:
    """The log goes to standard error, behind one line on what is enforced; nothing is coloured for a pipe."""
    done = invoke("Talk", "--backend", backend)
    assert (done.status, done.out) == (0, '"talked"\n')
    before, log = re.split(r"^(?=START RequestId: \S+ Version: \$LATEST$)", done.err, maxsplit=1, flags=re.MULTILINE)
    first, *notes = before.splitlines()
    assert first.startswith(f"{backend} backend: ")
    assert all(line.startswith("note: ") for line in notes)
    lines = log.splitlines()
    assert lines[1:3] == ["a line on standard output", "a line on standard error"]
    assert [line.split()[0] for line in lines[5:7]] == ["END", "REPORT"]
    assert re.fullmatch(r"\(CPU time .* ms.*\)", "".join(lines[7:]))
    assert "\x1b" not in done.out + done.err


def test_line_on_what_is_enforced_names_every_limit() -> None:
    """What is not enforced is said in capitals."""
    line = invoke("Echo", "--backend", "process").err.splitlines()[0]
    for limit in LIMITS:
        assert limit.replace("_", " ") in line
    assert "NOT enforced" in line


@both_backends
def test_function_that_fails(backend: str) -> None:
    """Its error document is the payload, and the exit status is 1."""
    done = invoke("Raises", "--backend", backend)
    assert done.status == 1
    assert json.loads(done.out)["errorType"] == "ValueError"
    assert "[ERROR] ValueError: this function always fails\nTraceback (most recent call last):\n" in done.err
    assert "error: " not in done.err


def test_event_from_standard_input() -> None:
    """`-e -` reads it whole, byte order mark or not, and an event left out is an empty object."""
    event = {"text": "naïve ✓", "list": [1, None]}
    done = invoke("Echo", "-e", "-", "--backend", "process", stdin=json.dumps(event, ensure_ascii=False).encode())
    assert (done.status, json.loads(done.out)) == (0, event)
    assert invoke("Echo", "--backend", "process").out == "{}\n"


def test_event_from_a_file(tmp_path: Path) -> None:
    """Paths are the caller's."""
    (tmp_path / "event.json").write_text("[1]")
    done = preflight("invoke", "Echo", "-t", TEMPLATE, "-e", "event.json", "--backend", "process", folder=tmp_path)
    assert (done.status, done.out) == (0, "[1]\n")


def test_environment_file(tmp_path: Path) -> None:
    """`-n` sets variables as for `sam local`: for every function, and for one."""
    file = tmp_path / "variables.json"
    file.write_text('{"Parameters": {"AA": "all", "BB": "all"}, "Probe": {"BB": "own"}, "Echo": {"AA": "other"}}')
    seen = json.loads(invoke("Probe", "-n", file, "--backend", "process").out)["environment"]
    assert (seen["AA"], seen["BB"]) == ("all", "own")


@both_backends
def test_repeat(backend: str) -> None:
    """Once cold, then warm: one payload each, one Init Duration, one line on the backend."""
    done = invoke("Count", "--repeat", "3", "--backend", backend)
    assert [payload["global"] for payload in objects(done)] == [1, 2, 3]
    assert done.err.count("\tInit Duration: ") == 1
    assert done.err.count("REPORT RequestId: ") == 3
    assert done.err.count(" backend: ") == 1


@both_backends
def test_repeat_cold(backend: str) -> None:
    """Each in an execution environment of its own."""
    done = invoke("Count", "--repeat", "3", "--cold", "--backend", backend)
    assert [payload["global"] for payload in objects(done)] == [1, 1, 1]
    assert done.err.count("\tInit Duration: ") == 3


@both_backends
def test_json(backend: str) -> None:
    """The contract's fields, every figure a number or null, and standard error for nothing."""
    done = invoke("Count", "--json", "--repeat", "2", "--backend", backend)
    assert (done.status, done.err) == (0, "")
    cold, warm = objects(done)
    for found in (cold, warm):
        assert found.keys() == OBJECT_FIELDS
        assert found["report"].keys() == REPORT_FIELDS
        figures = {name: value for name, value in found["report"].items() if name != "request_id"}
        assert all(value is None or type(value) in {int, float} for value in figures.values())
        assert found["error"] is None
        assert found["backend"] == backend
        assert found["capabilities"].keys() == LIMITS
        assert set(found["capabilities"].values()) <= {"kernel", "watched", "none"}
        assert found["log"].startswith(f"START RequestId: {found['report']['request_id']} ")
        assert found["report"]["memory_mb"] == 256
        assert 0 < found["report"]["max_memory_mb"] < 256
    assert (cold["payload"]["global"], warm["payload"]["global"]) == (1, 2)
    assert cold["report"]["init_ms"] > 0
    assert (warm["report"]["init_ms"], warm["report"]["init_cpu_ms"]) == (None, None)


def test_json_of_a_failure() -> None:
    """Type and message, and the body as payload."""
    done = invoke("ExitOne", "--json", "--backend", "process")
    assert (done.status, done.err) == (1, "")
    (found,) = objects(done)
    message = f"RequestId: {found['report']['request_id']} Error: Runtime exited with error: exit status 1"
    assert found["error"] == {"type": "Runtime.ExitError", "message": message}
    assert found["payload"] == {"errorType": "Runtime.ExitError", "errorMessage": message}


def test_overrides_are_the_functions() -> None:
    """`--memory` and `--timeout` are what the handler is told."""
    done = invoke("Context", "--memory", "333", "--timeout", "77", "--backend", "process")
    seen = json.loads(done.out)
    assert seen["memory_limit_in_mb"] == "333"
    assert 70_000 < seen["remaining_ms"] <= 77_000


def test_backend_variable_and_flag() -> None:
    """PREFLIGHT_BACKEND chooses, and the flag wins over it."""
    (found,) = objects(invoke("Echo", "--json", environment={"PREFLIGHT_BACKEND": "process"}))
    assert found["backend"] == "process"
    done = invoke(
        "Echo", "--json", "--backend", "process", environment={"PREFLIGHT_BACKEND": "docker", "DOCKER_HOST": NOWHERE}
    )
    assert (done.status, objects(done)[0]["backend"]) == (0, "process")


def test_no_engine_where_docker_was_asked_for() -> None:
    """Status 3, the address that was tried, and what could be done instead."""
    done = invoke("Echo", "--backend", "docker", environment={"DOCKER_HOST": NOWHERE})
    assert (done.status, done.out) == (3, "")
    assert NOWHERE in done.error
    assert "--backend process" in done.hint
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", [("invoke", "Echo", "-t", TEMPLATE), ("doctor",)])
def test_an_engines_address_that_is_none(command: tuple[str | Path, ...]) -> None:
    """Status 2 also where any backend would do: what was meant is not what would be taken."""
    done = preflight(*command, environment={"DOCKER_HOST": "garbage"})
    assert (done.status, done.out) == (2, "")
    assert "'garbage', which DOCKER_HOST names" in done.error
    assert "unix:///var/run/docker.sock" in done.hint


def test_no_engine_where_any_backend_will_do() -> None:
    """A note, and the process backend's own line."""
    done = invoke("Echo", environment={"DOCKER_HOST": NOWHERE})
    assert (done.status, done.out) == (0, "{}\n")
    note, line = done.err.splitlines()[:2]
    assert note.startswith("note: no Docker engine answers")
    assert line.startswith("process backend: ")


@pytest.mark.engine
def test_docker_is_taken_where_an_engine_answers() -> None:
    """Without a flag or a variable."""
    (found,) = objects(invoke("Echo", "--json"))
    assert found["backend"] == "docker"


@pytest.mark.engine
def test_kept_sandbox() -> None:
    """PREFLIGHT_KEEP_SANDBOX leaves the container, stopped, for a look; nothing of it runs on."""
    engine = docker_engine.connect()
    client = engine.client
    label = {"label": f"{docker_container.FUNCTION_LABEL}=ExitOne"}
    before = {found["Id"] for found in client.api.containers(all=True, filters=label)}
    try:
        done = invoke("ExitOne", "--backend", "docker", environment={"PREFLIGHT_KEEP_SANDBOX": "1"})
        assert done.status == 1
        left = [found for found in client.api.containers(all=True, filters=label) if found["Id"] not in before]
        assert [found["State"] for found in left] == ["exited"]
    finally:
        for found in client.api.containers(all=True, filters=label):
            if found["Id"] not in before:
                client.api.remove_container(found["Id"], force=True, v=True)
        engine.close()


def test_terminal_without_colour() -> None:
    """NO_COLOR on a terminal: not one escape code."""
    main, sub = pty.openpty()
    command = [str(COMMAND), "invoke", "Echo", "-t", str(TEMPLATE), "--backend", "process"]
    with subprocess.Popen(command, cwd=ROOT, env=variables({"NO_COLOR": "1"}), stdout=sub, stderr=sub) as process:
        os.close(sub)
        shown = b""
        while True:
            try:
                piece = os.read(main, 65536)
            except OSError:  # the terminal's other side is closed
                break
            shown += piece
    os.close(main)
    assert process.returncode == 0
    assert b"\x1b" not in shown
    assert b"{}\r\n" in shown


def test_reader_that_goes_away() -> None:
    """`preflight … | head -1` ends without a word on a broken pipe."""
    command = [str(COMMAND), "invoke", "Echo", "-t", str(TEMPLATE), "--backend", "process", "--repeat", "50"]
    with subprocess.Popen(
        command, cwd=ROOT, env=variables({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "{}\n"
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode in {0, 141}  # as by SIGPIPE; 0 where all was written before the reader went away
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


@both_backends
def test_doctor(backend: str) -> None:
    """What it enforces limit by limit, and what would mend the rest."""
    done = preflight("doctor", "--backend", backend)
    assert (done.status, done.err) == (0, "")
    assert f"{backend} backend (used)" in done.out
    for limit in LIMITS:
        assert limit.replace("_", " ") in done.out
    if backend == "process":
        assert "To mend" in done.out


@both_backends
def test_doctor_json(backend: str) -> None:
    """The same as one object."""
    done = preflight("doctor", "--backend", backend, "--json")
    (found,) = objects(done)
    assert found["chosen"] == backend
    (candidate,) = found["backends"]
    assert candidate["capabilities"].keys() == LIMITS
    if candidate["capabilities"]["tmp"] == "kernel" and backend == "docker":
        assert "let go" in candidate["facts"]["disk for /tmp"]


def test_doctor_without_the_engine_it_was_asked_for() -> None:
    """Status 3, and the reason."""
    done = preflight("doctor", "--backend", "docker", environment={"DOCKER_HOST": NOWHERE})
    assert done.status == 3
    assert "not available" in done.out
    assert NOWHERE in done.out
    (found,) = objects(preflight("doctor", "--backend", "docker", "--json", environment={"DOCKER_HOST": NOWHERE}))
    assert found["chosen"] is None
