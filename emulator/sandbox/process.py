"""A sandbox without an engine: the runtime as a child process, limited by the kernel where we may ask it to.

The function sees the host: its files, its network, its users, its /tmp. What that leaves unenforced is in
`ProcessBackend.capabilities`, never implied.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from emulator.errors import BackendError, ConfigurationError
from emulator.limits import MIB, processes
from emulator.sandbox import cgroup_make, interpreters
from emulator.sandbox.base import CONNECT_S, FREEZE_AFTER_S, Capabilities, Exit, Figures, SandboxSpec
from emulator.sandbox.cgroup import ControlGroup
from emulator.sandbox.owner import abandoned, name_prefix
from emulator.sandbox.process_guard import Guard, Places
from emulator.sandbox.process_launch import SCRATCH, Launch, custom_launch, python_launch
from emulator.sandbox.process_life import API_VARIABLE, Callbacks, Life
from emulator.sandbox.process_watch import kill_marked

_BACKLOG = 16
_PROBE_MB = 64

LaunchMaker = Callable[[SandboxSpec, Path], Launch]


class ProcessBackend:
    """Child processes; `cgroups=False` does without control groups even where they can be had.

    `launch` makes the command for a spec and a folder to put things in; by default AWS's runtime client for Python, or
    the package's own bootstrap.
    """

    name: Literal["process"] = "process"

    def __init__(self, *, cgroups: bool = True, launch: LaunchMaker | None = None) -> None:
        self._launch = launch or _launcher()
        self._lock = threading.Lock()
        self._live: dict[int, ProcessSandbox] = {}
        self._guard: Guard | None = None
        self._prefix = name_prefix("process")
        _sweep()
        self.missing: tuple[str, ...] = ("control groups: not wanted",)
        """What of the control groups could not be had, one reason each; for `preflight doctor`."""
        self._controllers: frozenset[str] = frozenset()
        self._freezer = False
        self._places = Places(groups=None, freezers=None, unified=False)
        if cgroups:
            self._controllers, self.missing = self._probe()

    @property
    def capabilities(self) -> Capabilities:
        """Found out by making a control group once."""
        return Capabilities(
            memory="kernel" if "memory" in self._controllers else "watched",
            cpu="kernel" if "cpu" in self._controllers else "none",
            tmp="none",
            read_only_root="none",
            network="none",
            processes="kernel" if "pids" in self._controllers else "none",
            open_files="kernel",
            user="none",
            shared_memory="none",
            freeze="kernel" if self._freezer else "watched",
        )

    def prepare(self, spec: SandboxSpec) -> ProcessSandbox:
        """A process that waits for *go*; milliseconds."""
        if spec.image is not None:
            message = f"{spec.function_name} is PackageType: Image, which a process cannot run"
            raise BackendError(message, hint="use --backend docker")
        for named in (spec.code, *spec.layers):
            if os.pathsep in str(named):
                message = f"{named} has a {os.pathsep!r} in its path, which search paths like PYTHONPATH cannot hold"
                raise ConfigurationError(message, hint="Rename the folder, or use --backend docker.")
        folder = Path(tempfile.mkdtemp(prefix=self._prefix))
        try:
            sandbox = ProcessSandbox(self, spec, folder, self._launch(spec, folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self._lock:
            self._live[id(sandbox)] = sandbox
        return sandbox

    def close(self) -> None:
        """End every sandbox that is still open."""
        with self._lock:
            left = list(self._live.values())
        for sandbox in left:
            sandbox.close()
        with self._lock:
            guard, self._guard = self._guard, None
        if guard is not None:
            guard.close()

    def forget(self, sandbox: ProcessSandbox) -> None:
        """The sandbox is closed."""
        with self._lock:
            self._live.pop(id(sandbox), None)

    def guard(self) -> Guard:
        """What ends the sandboxes should this process be killed; there from the first sandbox on."""
        with self._lock:
            self._guard = self._guard or Guard(self._prefix, self._places)
            return self._guard

    def group(self, memory_mb: int) -> ControlGroup | None:
        """A new control group with this memory size's limits; None where this machine was found to have none for us."""
        if not self._controllers:
            return None
        group = self._make_group(memory_mb)
        had = frozenset(()) if group is None else frozenset(group.folders)
        if not self._controllers <= had:
            if group is not None:
                group.remove()
            message = f"a control group lacks what it had a moment ago: {', '.join(sorted(self._controllers - had))}"
            raise BackendError(message, hint="see `preflight doctor`")
        return group

    def _probe(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """Which controllers a child can be put under, and what is missing of them; 2 ms."""
        group = self._make_group(_PROBE_MB)
        if group is None:
            return frozenset(), ("control groups: none that this user may make",)
        self._freezer = group.freezable()
        self._places = Places.of(group)
        group.remove()
        return frozenset(group.folders), group.missing

    def _make_group(self, memory_mb: int) -> ControlGroup | None:
        name = f"{self._prefix}{secrets.token_hex(4)}"
        return cgroup_make.create(name, memory_bytes=memory_mb * MIB, processes=processes(memory_mb))


class ProcessSandbox:
    """One process at a time; `reset` replaces it and keeps the folder that is its TMPDIR."""

    peer = None
    """Nothing tells callers on the loopback interface apart: every process of this machine could reach the socket."""

    def __init__(self, backend: ProcessBackend, spec: SandboxSpec, folder: Path, launch: Launch) -> None:
        self._backend = backend
        self._spec = spec
        self._folder = folder
        self._launch = launch
        self._closed = False
        self._on_exit: Callable[[Exit], None] | None = None
        self._listener, self._life = self._begin()

    @property
    def identity(self) -> str:
        """The process id."""
        return str(self._life.pid)

    @property
    def extensions(self) -> tuple[str, ...]:
        """The layers'."""
        return self._spec.extensions

    @property
    def listener(self) -> socket.socket:
        """On a free port of 127.0.0.1, which any process of this machine could reach."""
        return self._listener

    def go(
        self,
        on_log: Callable[[bytes], None],
        on_exit: Callable[[Exit], None],
        on_extension_log: Callable[[bytes], None] | None = None,
    ) -> None:
        """One line to the waiting shell, unless there is nothing that it could become."""
        refusal = self._launch.refused_extension or (None if self._launch.extensions else self._launch.refusal)
        if refusal is not None:
            on_exit(refusal)
            return
        self._on_exit = on_exit
        self._life.go(Callbacks(on_log=on_log, on_exit=on_exit, on_extension_log=on_extension_log or on_log))

    def connect(self, port: int) -> socket.socket:
        """On this machine's own loopback interface."""
        return socket.create_connection(("127.0.0.1", port), CONNECT_S)

    def start_runtime(self) -> None:
        """The second line to the shell, unless there is nothing that it could become."""
        if self._launch.refusal is not None and self._on_exit is not None:
            self._on_exit(self._launch.refusal)
        else:
            self._life.start_runtime()

    def throttle(self, on: bool) -> None:  # noqa: FBT001 - the two states are the whole meaning
        """By the control group; without one CPU time is not limited, as `capabilities` says."""
        self._life.throttle(self._spec.cpu_share if on else None)

    def flush_log(self) -> None:
        """Drain the pipe."""
        self._life.flush_log()

    def figures(self, *, memory: bool = True) -> Figures:
        """From the control group, else what the watcher saw."""
        figures = self._life.figures(memory=memory)
        if figures.memory_peak_bytes is None:
            return figures
        return replace(figures, memory_peak_bytes=min(figures.memory_peak_bytes, self._spec.memory_mb * MIB))

    @property
    def freeze_after_s(self) -> float:
        """Both ways are quick."""
        return FREEZE_AFTER_S

    def freeze(self) -> bool:
        """The control group, else SIGSTOP to the process group: who has left that goes on."""
        return self._life.freeze()

    def thaw(self) -> None:
        """The same way."""
        self._life.thaw()

    def signal(self, number: int) -> bool:
        """The shell has become the runtime, so that the id is the same."""
        return self._life.signal(number)

    def kill(self) -> None:
        """SIGKILL the control group, else the process tree, its group and who carries our Runtime API's address."""
        self._life.kill()

    def reset(self) -> None:
        """A new process, control group and listener."""
        self._life.close()
        self._listener.close()
        self._listener, self._life = self._begin()

    def close(self) -> None:
        """End it and remove its folder."""
        if self._closed:
            return
        self._closed = True
        try:
            self._life.close()
        finally:
            self._listener.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._backend.forget(self)

    def _begin(self) -> tuple[socket.socket, Life]:
        listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        host, port = listener.getsockname()
        limit = self._spec.memory_mb * MIB
        try:
            guard = self._backend.guard()
            life = self._kind()(
                self._launch.argv,
                {**self._launch.environment, API_VARIABLE: f"{host}:{port}"},
                self._spec.code,
                group=self._backend.group(self._spec.memory_mb),
                watched_limit=limit if self._backend.capabilities.memory == "watched" else None,
                guard=guard,
            )
        except BaseException:
            listener.close()
            raise
        return listener, life

    def _kind(self) -> Callable[..., Life]:
        if not self._launch.extensions:
            return Life
        from emulator.sandbox.process_extensions import ExtendedLife  # noqa: PLC0415 - most functions have no extension

        return functools.partial(ExtendedLife, self._launch.extensions, self._folder / "status")


def _launcher() -> LaunchMaker:
    find = functools.cache(interpreters.find)

    def launch(spec: SandboxSpec, folder: Path) -> Launch:
        if spec.os_only:
            return custom_launch(spec, folder)
        interpreter = find(spec.runtime)
        return python_launch(spec, folder, interpreter, interpreters.runtime_client(interpreter))

    return launch


def _sweep() -> None:
    """Kill and remove what an emulator that is dead has left: its control groups and its folders."""
    for group in cgroup_make.leftovers(abandoned):
        group.kill()
        group.remove()
    with os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if abandoned(entry.name) and entry.is_dir(follow_symlinks=False) and _is_ours(entry):
                # What had no control group ended with its emulator, unless it had left its process group.
                kill_marked(("TMPDIR", f"{entry.path}/{SCRATCH}"))
                shutil.rmtree(entry, ignore_errors=True)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    except FileNotFoundError:  # another one that starts just now has swept it
        return False
