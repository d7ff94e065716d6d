"""What a function sees of the place it runs in: user, files, limits, network, environment."""

from __future__ import annotations

import errno
import http.client
import os
import re
import socket
from typing import Any

import pytest

from tests.conformance.conftest import KNOWN_DIFFERENCES, RUNTIME, Lab

# A dump of the real service: python3.14, LocalStack's snapshot of 2026-01-12.
LAMBDA_VARIABLES = {
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "LANG",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PWD",
    "PYTHONPATH",
    "SHLVL",
    "TZ",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
}
NO_RIGHTS = "0" * 16


@pytest.fixture(scope="session")
def seen(lab: Lab) -> dict[str, Any]:
    """One look from inside, shared by the tests."""
    found: dict[str, Any] = lab.payload("Probe", {"what": ["threads", "files"]})
    return found


def test_differences_are_known(lab: Lab) -> None:
    """What a backend does not enforce has its reason in the table; Docker leaves nothing out on this machine."""
    open_limits = set(lab.capabilities.not_enforced())
    assert open_limits <= KNOWN_DIFFERENCES.keys()
    if lab.backend.name == "docker":
        assert open_limits == set()


def test_user(lab: Lab, seen: dict[str, Any]) -> None:
    """uid 993 and gid 990, no capability to have or to gain."""
    lab.needs("user")
    assert (seen["uid"], seen["gid"]) == (993, 990)
    assert set(seen["groups"]) <= {990}
    assert seen["status"] == {"NoNewPrivs": "1", "CapBnd": NO_RIGHTS, "CapEff": NO_RIGHTS}


def test_system_calls(lab: Lab) -> None:
    """No namespaces, mounts, tracing or way to the host of a virtual machine; children can be started as ever."""
    lab.needs("user")
    calls = lab.payload("Probe", {"what": ["calls"]})["calls"]
    assert calls.pop("child") == 7
    assert calls.pop("vsock")["errno"] == errno.EPERM
    assert set(calls.values()) == {errno.EPERM}


def test_only_tmp_can_be_written(lab: Lab, seen: dict[str, Any]) -> None:
    """Root, code and layers are read-only."""
    lab.needs("read_only_root")
    for place in ("write_root", "write_code", "write_opt"):
        assert seen[place].get("errno") in {errno.EROFS, errno.EACCES, errno.ENOENT}, place
    assert seen["write_root"]["errno"] == errno.EROFS
    assert seen["write_code"]["errno"] == errno.EROFS
    assert seen["write_tmp"] == {"value": "/tmp/preflight-probe"}


def test_folders_as_on_lambda(lab: Lab, seen: dict[str, Any]) -> None:
    """/tmp is open to all, code and layers to nobody for writing; all root's (LocalStack's snapshot of 2025-11-24).

    The code's owner is whoever has it here.
    """
    lab.needs("read_only_root", "tmp")
    assert (seen["modes"]["/tmp"], seen["modes"]["/opt"]) == ("0o41777", "0o40755")
    assert int(seen["modes"]["/var/task"], 8) & 0o022 == 0
    assert seen["owners"] == {"/": 0, "/opt": 0, "/tmp": 0}


def test_no_shared_memory(lab: Lab, seen: dict[str, Any]) -> None:
    """Without /dev/shm multiprocessing has no locks."""
    lab.needs("shared_memory")
    assert seen["dev_shm"] is False
    # The C library's choice: Amazon Linux 2 says the former, glibc since 2.34 the latter.
    assert seen["lock"].get("errno") in {errno.ENOSYS, errno.ENOENT}


def test_open_files(lab: Lab, seen: dict[str, Any]) -> None:
    """1,024, of which the largest number is 1,023."""
    lab.needs("open_files")
    assert seen["nofile"] == [1024, 1024]
    assert seen["files"]["errno"] == errno.EMFILE
    assert seen["files"]["largest"] == 1023


def test_threads(lab: Lab, seen: dict[str, Any]) -> None:
    """1,024 processes and threads together, of which the runtime needs a few."""
    lab.needs("processes")
    assert 1000 <= seen["threads"] < 1024


def test_threads_at_the_least_memory(lab: Lab) -> None:
    """742 at 128 MB (RLIMIT_NPROC in LocalStack's snapshot of 2025-11-24)."""
    lab.needs("processes")
    assert 730 <= lab.payload("Probe128", {"what": ["threads"]})["threads"] < 742


def test_resource_limits(lab: Lab, seen: dict[str, Any]) -> None:
    """As dumped at 128 MB on python3.12 (LocalStack's snapshot of 2025-11-24): hard and soft, and none of memory.

    A process writes no core file, since its working directory is the author's own code, and the limits that a process
    of this machine has of the rest stay.
    """
    found = {name: tuple(pair) for name, pair in seen["limits"].items()}
    assert found["nofile"] == (1024, 1024)
    if lab.backend.name == "process":
        assert found["core"] == (0, 0)
        return
    none = (-1, -1)
    assert found["core"] == (10_737_418_240, 10_737_418_240)
    assert (found["memlock"], found["stack"]) == ((65_536, 65_536), (8_388_608, -1))
    assert {found[name] for name in ("as", "data", "fsize", "rss")} == {none}


def test_network(lab: Lab, seen: dict[str, Any]) -> None:
    """The outside cannot be reached, the Runtime API can."""
    lab.needs("network")
    assert "error" in seen["outside"]
    host, port = seen["environment"]["AWS_LAMBDA_RUNTIME_API"].split(":")
    assert lab.payload("Probe", {"host": host, "port": int(port)})["outside"] == {"value": True}
    if host == "127.0.0.1":  # by its name too, though there is nobody to ask for names
        assert lab.payload("Probe", {"host": "localhost", "port": int(port)})["outside"] == {"value": True}


def test_network_does_not_reach_this_machine(lab: Lab, seen: dict[str, Any]) -> None:
    """A server of this machine, on every address it has, is out of reach."""
    lab.needs("network")
    host = seen["environment"]["AWS_LAMBDA_RUNTIME_API"].split(":")[0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        for address in ("127.0.0.1", host):
            there = {"host": address, "port": server.getsockname()[1]}
            assert "error" in lab.payload("Probe", there)["outside"]


def test_runtime_api_is_the_sandboxs_own(lab: Lab, seen: dict[str, Any]) -> None:
    """Nobody outside can take an event from it: no connection, or a refusal."""
    lab.needs("network")
    host, port = seen["environment"]["AWS_LAMBDA_RUNTIME_API"].split(":")
    there = {"host": host, "port": int(port)}
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.connect()
    except ConnectionRefusedError:
        assert lab.payload("Probe", there)["outside"] == {"value": True}
        return
    try:
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        # It is served together with this invocation, at the latest.
        assert lab.payload("Probe", there)["outside"] == {"value": True}
        answer = connection.getresponse()
        assert (answer.status, b"errorType" in answer.read()) == (403, True)
    finally:
        connection.close()


def test_environment_variables(lab: Lab, seen: dict[str, Any]) -> None:
    """The real service's, and nothing of this machine's: neither HOME nor HOSTNAME."""
    variables = seen["environment"]
    own = {"TMPDIR"} if "tmp" in lab.capabilities.not_enforced() else set()
    assert set(variables) - own == LAMBDA_VARIABLES
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "Probe"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == str(lab.functions["Probe"].memory_mb)
    assert variables["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert variables["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{RUNTIME}"
    assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/Probe"
    assert variables["_HANDLER"] == "probe.handler"
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"]
    assert variables["TZ"] == ":UTC"
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", variables["_X_AMZN_TRACE_ID"])


def test_variables_of_the_function(lab: Lab) -> None:
    """They are set, and may replace those of Lambda's that are not reserved."""
    variables = lab.payload("ProbeConfigured")["environment"]
    assert (variables["COLOUR"], variables["LANG"], variables["HOME"]) == ("blue", "C", "/x")


def test_search_paths_as_on_lambda(lab: Lab, seen: dict[str, Any]) -> None:
    """Lambda's own folders, where the function has a file system of its own."""
    lab.needs("read_only_root")
    variables = seen["environment"]
    assert variables["PATH"] == "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    assert variables["LD_LIBRARY_PATH"] == (
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
    )
    assert variables["PYTHONPATH"] == "/var/runtime"
    assert variables["LAMBDA_TASK_ROOT"] == "/var/task"
    assert variables["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
    assert seen["prefix"] == "/var/lang"


def test_working_directory(lab: Lab, seen: dict[str, Any]) -> None:
    """The folder of the code."""
    assert seen["cwd"] == lab.task_root("Probe")


def test_python_is_the_functions(lab: Lab, seen: dict[str, Any]) -> None:
    """The version that the function's Runtime names."""
    assert f"python{seen['python']}".startswith(f"{RUNTIME}.")


def test_visible_cpus(lab: Lab, seen: dict[str, Any]) -> None:
    """Two up to 3,008 MB, however small the share (https://github.com/rwnx/lambda-cpuinfo, 2021-02)."""
    lab.needs("read_only_root")
    assert seen["cpus"] == min(2, os.cpu_count() or 1)


def test_one_layer(lab: Lab) -> None:
    """Package before layers before the runtime, and both of a layer's folders for Python."""
    answer = lab.payload("OneLayer", {"modules": ["both", "only_first", "in_site"]})
    assert answer["values"] == {"both": "first", "only_first": "first", "in_site": "first"}
    root = "/opt" if lab.has_own_files else str(lab.scratch / "first")
    path = [entry.rstrip("/") for entry in answer["path"]]
    expected = [
        lab.task_root("OneLayer"),
        f"{root}/python/lib/{RUNTIME}/site-packages",
        f"{root}/python",
    ]
    assert path[:3] == expected
    if lab.has_own_files:
        # The SDK before the client, since python3.11 (AWS's /var/runtime/bootstrap.py, read 2026-11).
        assert path[3:5] == [f"/var/lang/lib/{RUNTIME}/site-packages", "/var/runtime"]


def test_search_path_of_the_functions_own(lab: Lab) -> None:
    """PYTHONPATH takes the layers' place, as AWS's /var/runtime/bootstrap.py has it (python3.11, read 2026-11)."""
    answer = lab.payload("ProbePath")
    path = [entry for entry in answer["path"] if "/lib" not in entry or entry.endswith("-packages")]
    variables, site = answer["environment"], f"{answer['prefix']}/lib/{RUNTIME}/site-packages"
    assert variables["PYTHONPATH"].endswith("/own")
    assert path == [lab.task_root("ProbePath"), variables["LAMBDA_RUNTIME_DIR"], variables["PYTHONPATH"], site]


@pytest.mark.parametrize(("name", "wins"), [("TwoLayers", "second"), ("TwoLayersReversed", "first")])
def test_two_layers(lab: Lab, name: str, wins: str) -> None:
    """They are merged, and where both have a file the later one's is there."""
    modules = ["both", "only_first", "only_second", "in_site"]
    values = lab.payload(name, {"modules": modules})["values"]
    assert values == {"both": wins, "only_first": "first", "only_second": "second", "in_site": wins}


def test_layers_lie_in_opt(lab: Lab) -> None:
    """Everything of a layer, not only what Python looks for."""
    lab.needs("read_only_root")
    event = {"modules": [], "read": ["/opt/first.txt", "/opt/second.txt"]}
    answer = lab.payload("TwoLayers", event)
    assert answer["opt"] == ["first.txt", "python", "second.txt"]
    assert answer["data"] == ["data of first", "data of second"]


def test_package_before_layer(lab: Lab) -> None:
    """A module of the package hides a layer's of the same name."""
    result = lab.invoke("OneLayer", {"modules": ["loud"]})
    assert result.error is not None
    assert result.error.message == "module 'loud' has no attribute 'VALUE'"
