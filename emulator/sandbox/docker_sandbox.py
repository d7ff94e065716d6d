"""One container at a time as a sandbox, from its creation to its removal."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

from emulator.limits import CPU_PERIOD_US, MIB
from emulator.sandbox import docker_container, docker_engine, docker_program, storage
from emulator.sandbox.base import CLOSED, CONNECT_S, FREEZE_AFTER_S, Ending, Exit, Figures, SandboxSpec
from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_stdio import ABSENT_STATUS, DENIED_STATUS, IMAGES_SHELL, Pipes, Shell

if TYPE_CHECKING:
    from emulator.sandbox.cgroup import ControlGroup
    from emulator.sandbox.docker_attached import Attached
    from emulator.sandbox.docker_calls import Pending
    from emulator.sandbox.docker_engine import Engine
    from emulator.sandbox.docker_network import Bridge
    from emulator.sandbox.image_find import BaseImage

RUNTIME_API_HOST: Final = "127.0.0.1"
RUNTIME_API_PORT: Final = 9001
_PAUSE_AFTER_S: Final = 1.0  # the engine takes 10 to 20 ms for each way

Transport = Literal["namespace", "bridge"]


class Host(Protocol):
    """What the sandboxes of one backend share."""

    engine: Engine
    network: str | None
    transport: Transport
    ending: Ending

    def bridge(self) -> Bridge:
        """The internal network that carries the Runtime API."""

    def disk(self, size_mb: int, base: BaseImage) -> storage.Disk | None:
        """A disk for `/tmp`; None where none can be had."""

    def cpuset(self, spec: SandboxSpec) -> str | None:
        """The CPUs that the container sees; None for all."""

    def sweep(self) -> None:
        """A start is under way: a good moment to remove what the dead have left."""

    def forget(self, sandbox: DockerSandbox) -> None:
        """The sandbox is closed."""

    def kept(self, container: str) -> None:
        """A corpse was kept."""


class DockerSandbox:
    """One container at a time; `reset` replaces it and keeps the disk that is its `/tmp`."""

    def __init__(self, backend: Host, spec: SandboxSpec, base: BaseImage, shell: Shell = IMAGES_SHELL) -> None:
        self._backend = backend
        self._calls = backend.engine.calls
        self._spec = spec
        self._base = base
        self._shell = shell
        self._command, self._refusal = docker_program.program(spec, base)
        self._refused_extension = docker_program.refused_extension(spec)
        self._disk: storage.Disk | None = None
        self._container: str | None = None
        self._starting: Pending | None = None
        self._stdio: Pipes | Attached | None = None
        self._on_exit: Callable[[Exit], None] | None = None
        self._group: ControlGroup | None = None
        self._listener: socket.socket | None = None
        self._peer: str | None = None
        self._pid: int | None = None
        self._shells_known = False
        self._baseline = Figures()
        self._fill = storage.Fill()
        self._frozen = False
        self._closed = False

    @property
    def identity(self) -> str:
        """The container's short id."""
        return (self._container or "")[:12]

    @property
    def extensions(self) -> tuple[str, ...]:
        """The layers' or the image's."""
        return self._spec.extensions

    @property
    def listener(self) -> socket.socket:
        """A socket on 127.0.0.1:9001 inside the container, or on the bridge's gateway."""
        self._await_start()
        if self._listener is None:
            raise RuntimeError("listener of a sandbox that is not ready")
        return self._listener

    @property
    def peer(self) -> str | None:
        """The container's address on the bridge; None where the socket lies inside the container."""
        self._await_start()
        return self._peer

    def make_ready(self) -> None:
        """Create the container and have it started."""
        backend = self._backend
        if self._disk is None:
            self._disk = backend.disk(self._spec.tmp_mb, self._base)
        inside = backend.transport == "namespace"
        cpuset = backend.cpuset(self._spec)
        self._stdio = stdio = docker_program.streams(self._spec, cpuset, inside=inside)
        runtime_api = f"{RUNTIME_API_HOST}:{RUNTIME_API_PORT}"
        if not inside:
            self._listener = backend.bridge().listen()
            runtime_api = _address(self._listener)
        with docker_engine.engine_errors("the container could not be started"):
            self._container = docker_container.create(
                self._calls,
                self._spec,
                base=self._base,
                command=self._command,
                shell=self._shell,
                stdio=stdio,
                tmp_device=self._disk.device if self._disk else None,
                network=(backend.network or docker_container.NO_NETWORK) if inside else backend.bridge().name,
                runtime_api=runtime_api,
                cpuset=cpuset,
                keep=backend.ending == "keep",
            )
            if not isinstance(stdio, Pipes):
                api = backend.engine.client.api
                stdio.connect(docker_container.attach(api, self._container))
                if backend.network is not None:
                    api.connect_container_to_network(self._container, backend.network)
            self._starting = docker_container.start(self._calls, self._container)
        backend.sweep()

    def _await_start(self) -> None:
        """Wait until the container runs and open the Runtime API's socket for it."""
        starting, self._starting = self._starting, None
        if starting is None or self._container is None or self._stdio is None:
            return
        # Imported while the engine starts the container, as is whatever the caller does before it comes here.
        from emulator.sandbox import cgroup, namespace  # noqa: PLC0415 - see above

        backend = self._backend
        with docker_engine.engine_errors("the container could not be started"):
            starting.result()
            state = docker_container.inspect(self._calls, self._container)
        pid = docker_container.first_process(state)
        if backend.transport == "bridge":
            self._peer = docker_container.address_on(state, backend.bridge().name)
        if backend.engine.local:
            docker_container.check_visible(pid, self._container)
            self._pid = pid
        self._stdio.started(pid)
        self._group = cgroup.ControlGroup.of_process(pid) if backend.engine.local else None
        if backend.transport == "namespace":
            with namespace.entering():
                self._listener = namespace.listen_inside(pid, RUNTIME_API_HOST, RUNTIME_API_PORT)
        if self._group is not None:
            self._group.ask_disk = self._ask_disk
        else:  # read ahead: asking the engine takes longer than many an init
            self._baseline = self._counters(memory=False)

    def go(
        self,
        on_log: Callable[[bytes], None],
        on_exit: Callable[[Exit], None],
        on_extension_log: Callable[[bytes], None] | None = None,
    ) -> None:
        """One line to the entry point, unless there is nothing that it could become."""
        self._await_start()
        if self._stdio is None:
            raise RuntimeError("go before make_ready")
        if self._group is not None:
            self._baseline = self._counters()
        if self._disk is not None:
            self._fill.begin(self._pid)
        refusal = self._refusal_at_go()
        if refusal is not None:
            on_exit(refusal)
            return
        self._on_exit = on_exit
        self._stdio.on_extension_log = on_extension_log
        stdio = self._stdio
        # What we end ourselves under an invocation, as at Ctrl-C, is no death of the function's.
        closed = Exit(lost=CLOSED)
        stdio.go(on_log, lambda ended: on_exit(self._ending(ended) if self._stdio is stdio else closed))

    def _refusal_at_go(self) -> Exit | None:
        """Extensions start first, so what is wrong with the runtime is found when it is their turn no more."""
        return self._refused_extension or (None if self._spec.extensions else self._refusal)

    def connect(self, port: int) -> socket.socket:
        """Inside the container's network namespace; over the bridge where we may not enter it."""
        if self._peer is not None:
            return socket.create_connection((self._peer, port), CONNECT_S)
        from emulator.sandbox import namespace  # noqa: PLC0415 - imported already

        if self._pid is None:
            raise ConnectionRefusedError(port)
        return namespace.connect_inside(self._pid, RUNTIME_API_HOST, port, timeout_s=CONNECT_S)

    def start_runtime(self) -> None:
        """The second line to the entry point, unless there is nothing that it could become."""
        if self._refusal is not None and self._on_exit is not None:
            self._on_exit(self._refusal)
        elif self._stdio is not None:
            self._stdio.start_runtime()

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
        """Drain the runtime's output; one that was never started has none, and nobody who would answer."""
        if self._stdio is not None and self._refusal_at_go() is None:
            self._stdio.flush()

    def figures(self, *, memory: bool = True) -> Figures:
        """Counters of the container's control group, less what the container had used before *go*."""
        if memory and self._group is not None and self._pid is not None and not self._shells_known:
            self._shells_known = True
            self._group.leave_out(docker_container.shells_of(self._pid))
        now, before = self._counters(memory=memory), self._baseline
        peak = now.memory_peak_bytes
        return Figures(
            memory_peak_bytes=None if peak is None else min(peak, self._spec.memory_mb * MIB),
            cpu_seconds=_less(now.cpu_seconds, before.cpu_seconds),
            throttled_seconds=_less(now.throttled_seconds, before.throttled_seconds),
            oom_kills=now.oom_kills,
            tmp_bytes=self._fill.used(self._pid) if memory else None,
        )

    @property
    def freeze_after_s(self) -> float:
        """At once where the control group is ours to write; later where the engine must be asked."""
        return FREEZE_AFTER_S if self._freezable() is not None else _PAUSE_AFTER_S

    def freeze(self) -> bool:
        """By the control group's file where we may write it, else by the engine."""
        group = self._freezable()
        try:
            if group is not None:
                group.freeze()
            else:
                self._calls.call("POST", f"/containers/{self._container}/pause")
        except (OSError, EngineRefused):  # it is gone, which the next invocation will be told
            return False
        self._frozen = True
        return True

    def thaw(self) -> None:
        """The same way."""
        if not self._frozen:
            return
        self._frozen = False
        group = self._freezable()
        doomed = self._is_doomed()
        # Whoever has removed the container in the meantime has been noticed by the watcher of its first process.
        with suppress(OSError, EngineRefused):
            if group is not None:
                group.thaw()
            else:
                self._calls.call("POST", f"/containers/{self._container}/unpause")
        if doomed and self._stdio is not None:
            self._stdio.await_end()

    def _is_doomed(self) -> bool:
        from emulator.sandbox.cgroup import is_doomed  # noqa: PLC0415 - imported already, where there is a process id

        if self._pid is None:
            return False
        runtime = docker_container.runtime_of(self._pid)
        return docker_container.has_dead_child(self._pid) or (runtime is not None and is_doomed(runtime))

    def _freezable(self) -> ControlGroup | None:
        return self._group if self._group is not None and self._group.freezable() else None

    def signal(self, number: int) -> bool:
        """Straight to the process; an engine elsewhere could send signals to the entry point alone."""
        pid = None if self._pid is None else docker_container.runtime_of(self._pid)
        with suppress(ProcessLookupError, PermissionError):
            if pid is not None:
                os.kill(pid, number)
                return True
        return False

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
        if self._group is not None:
            self._group.figures()  # its last values outlive the group
            self._group.close()
        self._pid, self._shells_known = None, False
        stdio, self._stdio = self._stdio, None
        dead = False
        if stdio is not None:  # first, so that nobody is told of the death we cause
            dead = stdio.kill()  # here, since an engine may give up on a thousand processes (20.10: after 10 s)
            stdio.close()
        self.thaw()  # on v1 what is frozen dies only once it runs again
        container, self._container = self._container, None
        leaving = self._closed and self._backend.ending == "leave"
        starting, self._starting = self._starting, None
        if starting is not None:  # the engine removes it when it has started it
            starting.close()
        if container is None:
            return
        with docker_engine.engine_errors(f"container {container[:12]} could not be removed"):
            if self._backend.ending == "keep":
                docker_container.stop(self._calls, container)
                self._backend.kept(container)
            else:
                docker_container.remove(self._calls, container, wait=not (dead and leaving))

    def _counters(self, *, memory: bool = True) -> Figures:
        if self._group is not None:
            return self._group.figures(memory=memory)
        if self._container is None:
            return Figures()
        from emulator.sandbox.docker_figures import engine_figures  # noqa: PLC0415 - see docker_calls

        with docker_engine.engine_errors("the container's figures could not be read"):
            return engine_figures(self._backend.engine.client.api, self._container, memory=memory)

    def _ask_disk(self) -> int | None:
        """Who stands still answers nobody."""
        return None if self._frozen or self._stdio is None else self._stdio.disk_traffic()

    def _ending(self, ended: Exit | None) -> Exit:
        """Add what the kernel and the engine know of the end; None means that PID 1 itself is gone."""
        if ended is None:
            return self._ending_of_container()
        if ended.status in {ABSENT_STATUS, DENIED_STATUS}:
            from emulator.sandbox import entrypoint  # noqa: PLC0415 - most functions need none of it

            reason = entrypoint.ABSENT if ended.status == ABSENT_STATUS else entrypoint.DENIED
            return Exit(invalid_entrypoint=entrypoint.could_not_start(self._command[0], reason))
        killed = ended.signal == 9 and bool(self._counters().oom_kills)  # noqa: PLR2004 - SIGKILL
        return replace(ended, out_of_memory=killed)

    def _ending_of_container(self) -> Exit:
        if self._container is None:
            return Exit(lost="the container was removed")
        return docker_container.how_it_ended(self._calls, self._container, self._group)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{host}:{port}"


def _less(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else max(0.0, now - before)
