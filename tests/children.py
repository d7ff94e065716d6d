"""Children of the process backend that talk with a test."""

from __future__ import annotations

import gc
import queue
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from emulator.sandbox import cgroup_make
from emulator.sandbox.base import Exit, Sandbox, SandboxSpec
from emulator.sandbox.owner import name_prefix
from emulator.sandbox.process_launch import SCRATCH, Launch
from emulator.sandbox.process_life import API_VARIABLE

PATIENCE_S = 30
SHARE = 0.25

# The child's end of a conversation with the test, over the socket that would carry the Runtime API.
PRELUDE = """
import mmap, os, signal, socket, subprocess, sys, time
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
connection = socket.create_connection((host, int(port)))
def tell(text=""):
    connection.sendall(f"{text}\\n".encode())
def wait():
    connection.recv(1)
def touch(megabytes):
    memory = mmap.mmap(-1, megabytes * 1024 * 1024, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset in range(0, len(memory), 4096):
        memory[offset] = 1
    return memory
def daemon(seconds):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(seconds)
            os._exit(0)
        os._exit(0)
    os.wait()
"""


@dataclass
class Child:
    """One sandbox and what the test heard of it."""

    sandbox: Sandbox
    pieces: list[bytes] = field(default_factory=list)
    exits: queue.Queue[Exit] = field(default_factory=queue.Queue)

    def go(self) -> None:
        """Start it."""
        self.sandbox.go(self.pieces.append, self.exits.put)

    def ended(self) -> Exit:
        """Wait for its end."""
        return self.exits.get(timeout=PATIENCE_S)

    @property
    def log(self) -> bytes:
        """What has come so far."""
        return b"".join(self.pieces)


class Conversation:
    """The test's end: lines from the child, and a byte to let it go on."""

    def __init__(self, sandbox: Sandbox) -> None:
        sandbox.listener.settimeout(PATIENCE_S)
        self.connection, _ = sandbox.listener.accept()
        self.connection.settimeout(PATIENCE_S)
        self.lines = self.connection.makefile("r")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.lines.close()
        self.connection.close()

    def hear(self) -> str:
        """The child's next line."""
        return self.lines.readline().strip()

    def let_go_on(self) -> None:
        """End the child's wait."""
        self.connection.sendall(b"x")


def spec(code: Path, *, memory_mb: int = 96, environment: Mapping[str, str] | None = None) -> SandboxSpec:
    """A function whose handler is never looked up, unless AWS's runtime client runs it."""
    return SandboxSpec(
        function_name="f",
        handler="app.handler",
        runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        code=code,
        layers=(),
        memory_mb=memory_mb,
        cpu_share=SHARE,
        tmp_mb=512,
        environment={} if environment is None else environment,
    )


def running(script: str) -> Callable[[SandboxSpec, Path], Launch]:
    """Starts a Python script in place of AWS's runtime client; its folder's name is in FOLDER."""

    def launch(spec: SandboxSpec, folder: Path) -> Launch:
        argv = (sys.executable, "-S", "-c", PRELUDE + textwrap.dedent(script))
        scratch = {"FOLDER": str(folder), "TMPDIR": str(folder / SCRATCH)}
        return Launch(argv=argv, environment={**scratch, **spec.environment})

    return launch


def open_files() -> int:
    """Descriptors of this process, without what waits to be collected."""
    gc.collect()
    return psutil.Process().num_fds()


def ours() -> list[str]:
    """Control groups and folders that this process has made and not removed."""
    groups = cgroup_make.leftovers(lambda name: name.startswith(name_prefix("process")))
    for group in groups:
        group.close()
    return [str(group.folders) for group in groups] + [
        str(path) for path in Path(tempfile.gettempdir()).glob(f"{name_prefix('process')}*")
    ]


def family(child: Child) -> list[psutil.Process]:
    """Everything that carries the address of this sandbox's Runtime API."""
    host, port = child.sandbox.listener.getsockname()
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(API_VARIABLE) == f"{host}:{port}":
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_alive(process: psutil.Process) -> bool:
    """A zombie is dead, though nobody may have collected it yet: an orphan is init's."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
