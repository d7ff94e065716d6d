"""A sandbox is a container: the reference backend, in which the kernel holds every limit.

The container has no network. The emulator opens the Runtime API's socket inside its network namespace; where it may
not enter (not root, an engine elsewhere), an internal bridge carries the Runtime API and nothing else.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from emulator.errors import BackendError
from emulator.limits import CPU_PERIOD_US, MIB
from emulator.sandbox import docker_container, docker_engine, image, namespace, storage
from emulator.sandbox.base import Capabilities, Exit, Figures, SandboxSpec
from emulator.sandbox.cgroup import ControlGroup
from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_stdio import Attached, Pipes

if TYPE_CHECKING:
    from emulator.sandbox.docker_disks import DiskKeeper
    from emulator.sandbox.docker_engine import Engine
    from emulator.sandbox.docker_network import Bridge

RUNTIME_API_HOST: Final = "127.0.0.1"
RUNTIME_API_PORT: Final = 9001

Transport = Literal["namespace", "bridge"]


class DockerBackend:
    """Containers on one engine; `transport` is how the Runtime API gets into them, chosen when the first one runs."""

    name: Literal["docker"] = "docker"

    def __init__(
        self,
        engine: Engine,
        *,
        network: str | None = None,
        transport: Transport | None = None,
        keep: bool = False,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self.engine = engine
        self.network = network
        if network is not None:
            from emulator.sandbox.docker_network import check_network  # noqa: PLC0415 - see docker_calls

            check_network(engine, network)
        self.keep = keep
        self.transport: Transport = transport or ("namespace" if engine.local and _is_root() else "bridge")
        self.disks = engine.local and not storage.missing_tools()
        self._keeper: DiskKeeper | None = None
        self._no_keeper: str | None = None
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._live: dict[int, DockerSandbox] = {}
        self._images: dict[tuple[str, str], image.BaseImage] = {}
        self._bridge: Bridge | None = None
        self._next_cpu = 0
        self._sweeper = threading.Thread(target=docker_container.sweep, args=(engine.calls,), name="sweep")
        self._sweeper.start()

    @property
    def capabilities(self) -> Capabilities:
        """All by the kernel; `/tmp` only where a loop device can be had, the network only where none was asked for."""
        return Capabilities(
            memory="kernel",
            cpu="kernel",
            tmp="kernel" if self.disks else "none",
            read_only_root="kernel",
            network="kernel" if self.network is None else "none",
            processes="kernel",
            open_files="kernel",
            user="kernel",
            shared_memory="kernel",
        )

    def prepare(self, spec: SandboxSpec) -> DockerSandbox:
        """A started container whose entry point waits for *go*."""
        docker_container.check_readable(spec)
        sandbox = DockerSandbox(self, spec, self._base_image(spec.runtime, spec.architecture))
        with self._lock:
            self._live[id(sandbox)] = sandbox
        try:
            sandbox.make_ready()
        except BaseException:  # a Ctrl-C in the middle must not leave a container either
            sandbox.close()
            raise
        return sandbox

    def close(self) -> None:
        """Remove every container, network and disk of this backend."""
        with self._lock:
            left = list(self._live.values())
        with ExitStack() as stack:  # each is closed, whatever becomes of the others
            stack.callback(self.engine.close)
            if self._bridge is not None:
                stack.callback(self._bridge.close)
            if self._keeper is not None:
                stack.callback(self._keeper.close)
            stack.callback(self._sweeper.join)
            for sandbox in left:
                stack.callback(sandbox.close)

    def kept(self, container: str) -> None:
        """Say where the corpse lies that PREFLIGHT_KEEP_SANDBOX asked for."""
        if self._on_progress is not None:
            short = container[:12]
            self._on_progress(f"kept container {short}: `docker inspect {short}`, then `docker rm -v {short}`")

    def images(self) -> list[str]:
        """The base images that lie ready on the engine."""
        with docker_engine.engine_errors("the engine's images could not be listed"):
            query = {"filters": json.dumps({"label": [image.LABEL]})}
            found = self.engine.calls.call("GET", "/images/json", query=query)
        tags = (tag for entry in found for tag in entry["RepoTags"] or ())
        return sorted(tag for tag in tags if tag.startswith(image.LOCAL_REPOSITORY))

    def advice(self) -> list[str]:
        """What would make this backend hold more, in sentences."""
        found = []
        if not self.disks:
            missing = ", ".join(storage.missing_tools()) if self.engine.local else "an engine on this machine"
            found.append(f"The size of /tmp is not limited: {self._no_keeper or f'that needs {missing}'}.")
        if self.transport == "bridge":
            found.append(
                "Over the bridge a function reaches what this machine serves on all its addresses. "
                "Run as root beside the engine, and functions need no network at all."
            )
        info = self.engine.info
        if info.get("CgroupVersion") == "1" and not info.get("SwapLimit"):
            found.append("The kernel does not account swap: start it with swapaccount=1, or without swap.")
        return found

    def forget(self, sandbox: DockerSandbox) -> None:
        """The sandbox is closed."""
        with self._lock:
            self._live.pop(id(sandbox), None)

    def bridge(self) -> Bridge:
        """The internal network that carries the Runtime API, made at first need."""
        with self._lock:
            if self._bridge is None:
                from emulator.sandbox.docker_network import Bridge  # noqa: PLC0415 - see docker_calls

                self._bridge = Bridge(self.engine.client, internal=self.network is None)
            return self._bridge

    def disk(self, size_mb: int, base: image.BaseImage) -> storage.Disk | None:
        """A disk for `/tmp`, by ourselves or by a privileged helper container; None where neither may make one."""
        if not self.disks:
            return None
        if storage.may_attach():
            return storage.TmpDisk(size_mb, Path(docker_container.scratch_folder()))
        with self._lock:
            from emulator.sandbox.docker_disks import DiskKeeper  # noqa: PLC0415 - only where we are not root

            try:
                self._keeper = self._keeper or DiskKeeper(self.engine, base)
                return self._keeper.disk(size_mb)
            except BackendError as error:  # told by `capabilities` and by `doctor`
                self.disks, self._no_keeper = False, error.message
                return None

    def cpuset(self, spec: SandboxSpec) -> str | None:
        """The CPUs a container sees: as many as Lambda shows at this memory size, taken in turn."""
        there = (os.cpu_count() if self.engine.local else None) or int(str(self.engine.info.get("NCPU", 0)))
        count = docker_container.visible_cpus(spec.memory_mb)
        if there <= count:
            return None
        with self._lock:
            first, self._next_cpu = self._next_cpu, (self._next_cpu + count) % there
        return ",".join(str((first + offset) % there) for offset in range(count))

    def _base_image(self, runtime: str, architecture: str) -> image.BaseImage:
        wanted = (runtime, architecture)
        with self._lock:
            if wanted not in self._images:
                self._images[wanted] = image.ensure(self.engine, runtime, architecture, self._on_progress)
            return self._images[wanted]


class DockerSandbox:
    """One container at a time; `reset` replaces it and keeps the disk that is its `/tmp`."""

    def __init__(self, backend: DockerBackend, spec: SandboxSpec, base: image.BaseImage) -> None:
        self._backend = backend
        self._calls = backend.engine.calls
        self._spec = spec
        self._base = base
        self._disk: storage.Disk | None = None
        self._container: str | None = None
        self._stdio: Pipes | Attached | None = None
        self._group: ControlGroup | None = None
        self._listener: socket.socket | None = None
        self._peer: str | None = None
        self._baseline = Figures()
        self._closed = False

    @property
    def identity(self) -> str:
        """The container's short id."""
        return (self._container or "")[:12]

    @property
    def listener(self) -> socket.socket:
        """A socket on 127.0.0.1:9001 inside the container, or on the bridge's gateway."""
        if self._listener is None:
            raise RuntimeError("listener of a sandbox that is not ready")
        return self._listener

    @property
    def peer(self) -> str | None:
        """The container's address on the bridge; None where the socket lies inside the container."""
        return self._peer

    def make_ready(self) -> None:
        """Create and start the container and open the Runtime API's socket for it."""
        backend = self._backend
        if self._disk is None:
            self._disk = backend.disk(self._spec.tmp_mb, self._base)
        inside = backend.transport == "namespace"
        cpuset = backend.cpuset(self._spec)
        stdio: Pipes | Attached = _pipes(cpuset) if inside else Attached()
        self._stdio = stdio
        if not inside:
            self._listener = backend.bridge().listen()
        with docker_engine.engine_errors("the container could not be started"):
            self._container = docker_container.create(
                self._calls,
                self._spec,
                base=self._base,
                stdio=stdio,
                tmp_device=self._disk.device if self._disk else None,
                network=(backend.network or docker_container.NO_NETWORK) if inside else backend.bridge().name,
                runtime_api=f"{RUNTIME_API_HOST}:{RUNTIME_API_PORT}" if inside else _address(self.listener),
                cpuset=cpuset,
                keep=backend.keep,
            )
            if isinstance(stdio, Attached):
                api = backend.engine.client.api
                stdio.connect(docker_container.attach(api, self._container))
                if backend.network is not None:
                    api.connect_container_to_network(self._container, backend.network)
            state = docker_container.start(self._calls, self._container)
        pid = int(state["State"]["Pid"])
        if not inside:
            self._peer = docker_container.address_on(state, backend.bridge().name)
        if backend.engine.local:
            docker_container.check_visible(pid, self._container)
        stdio.started(pid)
        self._group = ControlGroup.of_process(pid) if backend.engine.local else None
        if inside:
            self._listener = self._listen_inside(pid)
        if self._group is None:  # read ahead: asking the engine takes longer than many an init
            self._baseline = self._counters(memory=False)

    def go(self, on_log: Callable[[bytes], None], on_exit: Callable[[Exit], None]) -> None:
        """One line to the entry point."""
        if self._stdio is None:
            raise RuntimeError("go before make_ready")
        if self._group is not None:
            self._baseline = self._counters()
        self._stdio.go(on_log, lambda ended: on_exit(self._ending(ended)))

    def throttle(self, on: bool) -> None:  # noqa: FBT001 - the two states are the whole meaning
        """The CFS quota, by the control group's file where we may write it, else by the engine."""
        share = self._spec.cpu_share
        if self._group is not None and self._group.writable():
            self._group.set_cpu(share if on else None)
            return
        quota = max(1000, round(CPU_PERIOD_US * share)) if on else -1
        with docker_engine.engine_errors("the CPU quota could not be set"):
            limits = {"CpuPeriod": CPU_PERIOD_US, "CpuQuota": quota}
            self._calls.call("POST", f"/containers/{self._container}/update", body=limits)

    def flush_log(self) -> None:
        """Drain the runtime's output."""
        if self._stdio is not None:
            self._stdio.flush()

    def figures(self, *, memory: bool = True) -> Figures:
        """Counters of the container's control group, less what the container had used before *go*."""
        now, before = self._counters(memory=memory), self._baseline
        peak = now.memory_peak_bytes
        return Figures(
            memory_peak_bytes=None if peak is None else min(peak, self._spec.memory_mb * MIB),
            cpu_seconds=_less(now.cpu_seconds, before.cpu_seconds),
            throttled_seconds=_less(now.throttled_seconds, before.throttled_seconds),
            oom_kills=now.oom_kills,
        )

    def kill(self) -> None:
        """SIGKILL to every process of the container."""
        self._discard()

    def reset(self) -> None:
        """A new container on the same disk."""
        self._discard()
        self.make_ready()

    def close(self) -> None:
        """Remove the container and the disk."""
        if self._closed:
            return
        self._closed = True
        try:
            self._discard()
        finally:
            if self._disk is not None:
                self._disk.close()
            self._backend.forget(self)

    def _discard(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        container, self._container = self._container, None
        if self._group is not None:
            self._group.figures()  # its last values outlive the group
            self._group.close()
        stdio, self._stdio = self._stdio, None
        if stdio is not None:  # first, so that nobody is told of the death we cause
            stdio.close()
        if container is None:
            return
        with docker_engine.engine_errors(f"container {container[:12]} could not be removed"):
            if self._backend.keep:
                docker_container.stop(self._calls, container)
                self._backend.kept(container)
            else:
                docker_container.remove(self._calls, container)

    def _counters(self, *, memory: bool = True) -> Figures:
        if self._group is not None:
            return self._group.figures(memory=memory)
        if self._container is None:
            return Figures()
        from emulator.sandbox.docker_figures import engine_figures  # noqa: PLC0415 - see docker_calls

        with docker_engine.engine_errors("the container's figures could not be read"):
            return engine_figures(self._backend.engine.client.api, self._container, memory=memory)

    def _listen_inside(self, pid: int) -> socket.socket:
        try:
            return namespace.listen_inside(pid, RUNTIME_API_HOST, RUNTIME_API_PORT)
        except OSError as error:
            message = f"the container's network namespace could not be entered: {error.strerror}"
            raise BackendError(message, hint="Run as root on the engine's own machine, or report this.") from error

    def _ending(self, ended: Exit | None) -> Exit:
        """Add what the kernel and the engine know of the end; None means that PID 1 itself is gone."""
        if ended is None:
            return self._ending_of_container()
        killed = ended.signal == 9 and bool(self._counters().oom_kills)  # noqa: PLR2004 - SIGKILL
        return Exit(status=ended.status, signal=ended.signal, out_of_memory=killed)

    def _ending_of_container(self) -> Exit:
        if self._container is None:
            return Exit(lost="the container was removed")
        try:
            state: Mapping[str, Any] = docker_container.inspect(self._calls, self._container)["State"]
        except EngineRefused as error:
            if error.status != 404:  # noqa: PLR2004 - not found
                return Exit(lost=f"the Docker engine says: {error.explanation}")
            oom = bool(self._group is not None and self._group.figures().oom_kills)
            return (
                Exit(signal=9, out_of_memory=True) if oom else Exit(lost="the container was removed by somebody else")
            )
        except OSError as error:
            return Exit(lost=f"the Docker engine went away ({error})")
        if state.get("OOMKilled"):
            return Exit(signal=9, out_of_memory=True)
        return Exit(lost=f"the container ended with status {state.get('ExitCode')}")


def _pipes(cpuset: str | None) -> Pipes:
    return Pipes(docker_container.folder_prefix(), cpus=None if cpuset is None else len(cpuset.split(",")))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"


def _less(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else max(0.0, now - before)
