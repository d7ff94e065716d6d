"""The process backend as a whole: AWS's own runtime client in it, what it says of itself, and what it sweeps up."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from emulator.errors import BackendError
from emulator.sandbox.base import Backend, Exit, Sandbox
from emulator.sandbox.owner import abandoned, name_prefix
from emulator.sandbox.process import ProcessBackend
from tests.children import PATIENCE_S, Child, is_alive, ours, running, spec

ROOT = Path(__file__).parents[2]
LAMBDA_ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_FUNCTION_NAME": "f",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
    "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/task:/opt/lib",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "_HANDLER": "app.handler",
}
APP = """
import importlib.util, json, os, sys, tempfile
print("at import")
def handler(event, context):
    print("called")
    if event == "exit":
        exit(3)
    return {
        "path": sys.path,
        "modules": {name: sys.modules[name].__file__ for name in ("awslambdaric", "simplejson")},
        "python": os.popen("python3 -c 'import sys; print(sys.prefix)'").read(),
        "prefix": sys.prefix,
        "ours": importlib.util.find_spec("psutil"),
        "tmp": tempfile.gettempdir(),
        "root": os.environ["LAMBDA_TASK_ROOT"],
        "layer": __import__("from_layer").VALUE,
        "bytecode": os.path.exists("__pycache__"),
    }
"""


class RuntimeApi(ThreadingHTTPServer):
    """The least that AWS's runtime client can talk with: events out, answers in."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox.listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sandbox.listener
        self.events: queue.Queue[Any] = queue.Queue()
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()


class Handler(BaseHTTPRequestHandler):
    """Runtime API 2018-06-01, without its errors."""

    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        """`/next`."""
        self.server.heard.put((self.path, b""))
        body = json.dumps(self.server.events.get()).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "request-1")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(round(time.time() * 1000) + 3000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:f")
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-0-0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """`/response` and `/error`."""
        self.server.heard.put((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def served(sandbox: Sandbox) -> Iterator[RuntimeApi]:
    """The Runtime API of one life."""
    api = RuntimeApi(sandbox)
    thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        api.shutdown()
        thread.join()
        api.server_close()


@pytest.fixture
def function(tmp_path: Path) -> Iterator[tuple[ProcessBackend, Child]]:
    """A function with a layer, prepared."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(APP, encoding="utf-8")
    (tmp_path / "layer" / "python").mkdir(parents=True)
    (tmp_path / "layer" / "python" / "from_layer.py").write_text("VALUE = 'layered'", encoding="utf-8")
    backend = ProcessBackend()
    described = spec(tmp_path / "code", memory_mb=128, environment=LAMBDA_ENVIRONMENT)
    yield backend, Child(backend.prepare(replace(described, layers=(tmp_path / "layer",))))
    backend.close()
    assert ours() == []


def test_the_runtime_client_serves_an_event(function: tuple[ProcessBackend, Child], tmp_path: Path) -> None:
    """With the code first on the path, then layers, then the client, and nothing of this environment's packages."""
    _, child = function
    with served(child.sandbox) as api:
        child.go()
        assert api.heard.get(timeout=PATIENCE_S)[0] == "/2018-06-01/runtime/invocation/next"
        child.sandbox.throttle(on=True)
        api.events.put({})
        path, body = api.heard.get(timeout=PATIENCE_S)
        assert path == "/2018-06-01/runtime/invocation/request-1/response", body
        child.sandbox.flush_log()
        assert child.log == b"at import\ncalled\n"
        answer = json.loads(body)
        client = Path(answer["modules"]["awslambdaric"]).parents[1]
        layer, own = tmp_path / "layer" / "python", Path(answer["prefix"])
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = Path("lib", version, "site-packages")
        assert answer["path"][:5] == [str(it) for it in (tmp_path / "code", layer / site, layer, own / site, client)]
        packages = {entry for entry in answer["path"] if entry.endswith("-packages")}
        assert packages == {str(layer / site), str(own / site)}
        assert answer["ours"] is None
        assert Path(answer["modules"]["simplejson"]).is_relative_to(client)
        assert answer["python"].strip() == answer["prefix"] != sys.prefix
        assert answer["root"] == str(tmp_path / "code")
        assert answer["layer"] == "layered"
        assert answer["bytecode"] is False
        assert Path(answer["tmp"]).is_dir()
        child.sandbox.close()
    assert not Path(answer["tmp"]).exists()
    assert child.exits.empty()


def test_a_handler_that_calls_exit(function: tuple[ProcessBackend, Child]) -> None:
    """The builtin is there as on Lambda; its status is told after the log."""
    _, child = function
    with served(child.sandbox) as api:
        child.go()
        api.heard.get(timeout=PATIENCE_S)
        api.events.put("exit")
        assert child.exits.get(timeout=PATIENCE_S) == Exit(status=3)
        assert child.log == b"at import\ncalled\n"
        child.sandbox.close()


def test_the_runtime_ends_when_its_api_goes_away(function: tuple[ProcessBackend, Child]) -> None:
    """So an idle function does not outlive an emulator that was killed."""
    _, child = function
    child.go()
    connection, _ = child.sandbox.listener.accept()
    child.sandbox.listener.close()
    connection.close()
    assert child.ended().status not in {None, 0}


def test_an_image_cannot_be_run(tmp_path: Path) -> None:
    """It says which backend could."""
    backend = ProcessBackend(cgroups=False)
    with pytest.raises(BackendError, match="Image") as raised:
        backend.prepare(replace(spec(tmp_path), image="mine:latest"))
    assert "docker" in str(raised.value.hint)
    assert ours() == []


def test_code_that_is_not_there(tmp_path: Path) -> None:
    """The message names the folder; nothing is left, of whichever kind."""
    for backend in (ProcessBackend(cgroups=False), ProcessBackend()):
        with pytest.raises(BackendError, match="no-such-folder"):
            backend.prepare(spec(tmp_path / "no-such-folder"))
        backend.close()
        assert ours() == []


def test_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    """The lookup's own error comes through."""
    with pytest.raises(BackendError, match=r"python3\.0"):
        ProcessBackend(cgroups=False).prepare(replace(spec(tmp_path), runtime="python3.0"))
    assert ours() == []


def test_capabilities_without_control_groups() -> None:
    """Memory is watched, open files are limited, nothing else is claimed."""
    backend: Backend = ProcessBackend(cgroups=False)
    enforced = {name: how for name, how in backend.capabilities.as_dict().items() if how != "none"}
    assert enforced == {"memory": "watched", "open_files": "kernel", "freeze": "watched"}
    assert backend.name == "process"


def test_capabilities_with_control_groups() -> None:
    """What is missing is told by name."""
    backend = ProcessBackend()
    kernel = {name for name, how in backend.capabilities.as_dict().items() if how == "kernel"}
    assert (kernel == {"memory", "cpu", "processes", "open_files", "freeze"}) == (backend.missing == ())
    assert ours() == []


def kill_with_guard(emulator: subprocess.Popen[str]) -> None:
    """As a machine that runs out of memory might: nobody is left who would end what still runs."""
    [guard] = [child for child in psutil.Process(emulator.pid).children() if "preflight-guard" in child.cmdline()]
    guard.kill()
    while is_alive(guard):
        time.sleep(0.01)
    emulator.kill()


def test_what_a_killed_emulator_had_stopped_is_swept(tmp_path: Path) -> None:
    """Without a control group it cannot end by itself, and is known by its TMPDIR."""
    script = f"""
from pathlib import Path
from emulator.sandbox.process import ProcessBackend
from tests.children import running, spec
backend = ProcessBackend(cgroups=False, launch=running("tell('here'); time.sleep(600)"))
sandbox = backend.prepare(spec(Path({str(tmp_path)!r})))
sandbox.go(print, print)
connection, _ = sandbox.listener.accept()
connection.recv(1)
assert sandbox.freeze()
print(sandbox.identity, flush=True)
input()
"""
    emulator = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with emulator:
        assert emulator.stdout is not None
        stopped = psutil.Process(int(emulator.stdout.readline()))
        limit = time.monotonic() + PATIENCE_S
        while stopped.status() != psutil.STATUS_STOPPED:  # the signal is sent; a busy machine takes it in later
            assert time.monotonic() < limit
            time.sleep(0.01)
        kill_with_guard(emulator)
    assert stopped.status() == psutil.STATUS_STOPPED
    ProcessBackend(cgroups=False)
    limit = time.monotonic() + PATIENCE_S
    while is_alive(stopped) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not is_alive(stopped)


def test_what_a_killed_emulator_leaves_is_swept(tmp_path: Path) -> None:
    """Its busy function, its control groups and its folders go at the next start; a waiting process goes by itself."""
    if ProcessBackend().capabilities.memory != "kernel":
        pytest.skip("without a control group the processes of a killed emulator cannot be told from others")
    script = f"""
from pathlib import Path
from emulator.sandbox.process import ProcessBackend
from tests.children import running, spec
backend = ProcessBackend(launch=running("while True: time.sleep(60)"))
waiting, busy = (backend.prepare(spec(Path({str(tmp_path)!r}))) for _ in range(2))
busy.go(print, print)
connection, _ = busy.listener.accept()
print(waiting.identity, busy.identity, flush=True)
input()
"""
    emulator = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with emulator:
        assert emulator.stdout is not None
        waiting, busy = (psutil.Process(int(word)) for word in emulator.stdout.readline().split())
        ProcessBackend(cgroups=False)
        assert is_alive(waiting)
        assert is_alive(busy)
        kill_with_guard(emulator)
    limit = time.monotonic() + PATIENCE_S
    while is_alive(waiting) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not is_alive(waiting)
    assert is_alive(busy)
    ProcessBackend()
    assert not is_alive(busy)


def test_names_tell_their_owner() -> None:
    """A dead process's names are abandoned; ours, other places' and other programs' are not."""
    ours_now = name_prefix("process") + "x"
    head, place, pid, start, _ = ours_now.rsplit("-", 4)
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    assert not abandoned(ours_now)
    assert abandoned(f"{head}-{place}-{pid}-{int(start) + 1}-x")
    assert abandoned(f"{head}-{place}-{child.pid}-{start}-x")
    assert not abandoned(f"{head}-{'0' * len(place)}-{child.pid}-{start}-x")
    assert not abandoned("lambda-preflight-process-")
    assert not abandoned("something else")


def test_many_at_once(tmp_path: Path) -> None:
    """Threads prepare, run and close sandboxes of one backend without mixing them up."""
    backend = ProcessBackend(launch=running("print(os.environ['MINE'])"))
    logs: queue.Queue[tuple[str, bytes, Exit]] = queue.Queue()

    def run(name: str) -> None:
        child = Child(backend.prepare(spec(tmp_path, environment={"MINE": name})))
        child.go()
        ended = child.ended()
        logs.put((name, child.log, ended))
        child.sandbox.close()

    threads = [threading.Thread(target=run, args=(f"n{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(logs.get() for _ in threads) == [
        (f"n{number}", f"n{number}\n".encode(), Exit(status=0)) for number in range(8)
    ]
    assert ours() == []
    backend.close()
