"""A sandbox is a container: the reference backend, in which the kernel holds every limit.

The container has no network. The emulator opens the Runtime API's socket inside its network namespace; where it may
not enter (not root, an engine elsewhere), an internal bridge carries the Runtime API and nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from emulator.errors import BackendError
from emulator.sandbox import docker_container, docker_engine, ext4, image, image_find, storage
from emulator.sandbox.base import Capabilities, Ending, SandboxSpec
from emulator.sandbox.docker_sandbox import DockerSandbox, Transport

if TYPE_CHECKING:
    from emulator.sandbox.docker_disks import DiskKeeper
    from emulator.sandbox.docker_engine import Engine
    from emulator.sandbox.docker_network import Bridge
    from emulator.sandbox.docker_stdio import Shell

_TRIAL_MB: Final = 512  # Lambda's least
_TRIAL_S: Final = 30  # an emulated machine took 13 s


class DockerBackend:
    """Containers on one engine; `transport` is how the Runtime API gets into them, chosen when the first one runs.

    `ending` says what becomes of a container when its sandbox is closed.
    """

    name: Literal["docker"] = "docker"

    def __init__(
        self,
        engine: Engine,
        *,
        network: str | None = None,
        transport: Transport | None = None,
        ending: Ending = "remove",
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self.engine = engine
        self.network = network
        if network is not None:
            from emulator.sandbox.docker_network import check_network  # noqa: PLC0415 - see docker_calls

            check_network(engine, network)
        self.ending: Ending = ending
        self.transport: Transport = transport or (
            "namespace" if engine.local and storage.may_administer() else "bridge"
        )
        self.disks = engine.local and not ext4.missing_tools()
        self._keeper: DiskKeeper | None = None
        self._no_keeper: str | None = None
        self._no_device: str | None = None
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._attaching = threading.Lock()
        self._live: dict[int, DockerSandbox] = {}
        self._images: dict[tuple[str, str], image_find.BaseImage] = {}
        self._extensions: dict[str, tuple[str, ...]] = {}
        self._bridge: Bridge | None = None
        self._shell: Shell | None = None
        self._next_cpu = 0
        self._sweeper: threading.Thread | None = None

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
            # Elsewhere the engine pauses what has been idle for a while: later than Lambda would.
            freeze="kernel" if self.engine.local and _is_root() else "watched",
        )

    def prepare(self, spec: SandboxSpec) -> DockerSandbox:
        """A container that starts, and whose entry point waits for *go*; who asks for its listener waits for it."""
        docker_container.check_readable(spec)
        sandbox = self._sandbox(spec)
        with self._lock:
            self._live[id(sandbox)] = sandbox
        try:
            sandbox.make_ready()
        except BaseException:  # a Ctrl-C in the middle must not leave a container either
            with suppress(BackendError):  # what went wrong first is what is told
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
            if self._sweeper is not None:
                stack.callback(self._sweeper.join)
            for sandbox in left:
                stack.callback(sandbox.close)

    def kept(self, container: str) -> None:
        """Say where the corpse lies that PREFLIGHT_KEEP_SANDBOX asked for."""
        if self._on_progress is not None:
            short = container[:12]
            docker = f"docker -H {self.engine.address}"  # which may not be the one that a bare `docker` asks
            self._on_progress(f"kept container {short}: `{docker} inspect {short}`, then `{docker} rm -v {short}`")

    def images(self) -> list[str]:
        """The base images that lie ready on the engine."""
        with docker_engine.engine_errors("the engine's images could not be listed"):
            query = {"filters": json.dumps({"label": [image_find.LABEL]})}
            found = self.engine.calls.call("GET", "/images/json", query=query)
        tags = (tag for entry in found for tag in entry["RepoTags"] or ())
        return sorted(tag for tag in tags if tag.startswith(image_find.LOCAL_REPOSITORY))

    def advice(self) -> list[str]:
        """What would make this backend hold more, in sentences."""
        found = []
        if not self.disks:
            missing = ", ".join(ext4.missing_tools()) if self.engine.local else "an engine on this machine"
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

    def try_disk(self) -> str:
        """Make a disk for `/tmp`, have it mounted, and let it go: what came of it, in words, within half a minute.

        `capabilities` and `advice` know it from then on.
        """
        if not self.disks:
            return "not tried"
        from concurrent.futures import Future  # noqa: PLC0415 - for `doctor` alone

        outcome: Future[str] = Future()

        def attempt() -> None:
            try:
                outcome.set_result(self._try_disk())
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                outcome.set_exception(error)

        threading.Thread(target=attempt, name="try-disk", daemon=True).start()
        try:
            return outcome.result(_TRIAL_S)
        except TimeoutError:
            self.disks, self._no_keeper = False, f"a disk was not to be had within {_TRIAL_S} s"
            return f"tried: no end within {_TRIAL_S} s"

    def _try_disk(self) -> str:
        begin = time.perf_counter()
        found = next((tag for tag in self.images() if tag.startswith(f"{image_find.LOCAL_REPOSITORY}/python:")), None)
        python = "" if found is None else found.rpartition(":")[2].partition("-")[0]
        if found is None and not storage.may_attach():
            return "not tried: the helper that attaches one runs on the base image, made at the first invocation"
        base = image_find.BaseImage(id=found or "", origin="local", reference=found or "", python=python, command=())
        try:
            disk = self.disk(_TRIAL_MB, base)
            if disk is None:
                return f"tried, in vain: {self._no_keeper}"
            try:
                if found is not None:
                    from emulator.sandbox import docker_trial  # noqa: PLC0415 - for `doctor` alone

                    docker_trial.mount(self.engine.calls, found, disk.device)
            finally:
                disk.close()
        except BackendError as error:
            self.disks, self._no_keeper = False, error.message
            return f"tried, in vain: {error.message}"
        mounted = "mounted by the engine" if found is not None else "not mounted, for want of a base image as yet,"
        took = (time.perf_counter() - begin) * 1000
        return f"tried: {_TRIAL_MB} MB attached as {disk.device}, {mounted} and let go, in {took:.0f} ms"

    def sweep(self) -> None:
        """Remove what the dead have left, once and beside everything else: nobody is to wait for it."""
        with self._lock:
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=docker_container.sweep, args=(self.engine.calls,), name="sweep")
                self._sweeper.start()

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

    def disk(self, size_mb: int, base: image_find.BaseImage) -> storage.Disk | None:
        """A disk for `/tmp`, by ourselves or by a privileged helper container; None where neither may make one.

        The helper is a Python program: where `base` has none, it runs on the image of the emulator's own Python.
        """
        if not self.disks:
            return None
        if storage.may_attach() and self._no_device is None:
            try:
                with self._attaching:  # the kernel names the same free device to all who ask at once
                    return storage.TmpDisk(size_mb, Path(docker_container.scratch_folder()))
            except storage.NotAttached as error:  # root in a container, mostly: the helper may be allowed more
                self._no_device = error.message
        if self._keeper is None and not base.python:
            base = self._base_image(f"python{sys.version_info.major}.{sys.version_info.minor}", _architecture())
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

    def _sandbox(self, spec: SandboxSpec) -> DockerSandbox:
        if spec.image is None:
            return DockerSandbox(self, spec, self._base_image(spec.runtime, spec.architecture))
        from emulator.sandbox.docker_shell import portable_shell  # noqa: PLC0415 - see docker_calls

        with self._lock:
            self._shell = self._shell or portable_shell(self.engine)
        # Not kept: the author may build the image anew at any time.
        found = image.function_image(self.engine, spec)
        return DockerSandbox(self, replace(spec, extensions=self._extensions_of(found.id)), found, self._shell)

    def _extensions_of(self, image_id: str) -> tuple[str, ...]:
        with self._lock:
            if image_id not in self._extensions:
                from emulator.sandbox.docker_listing import extensions_of  # noqa: PLC0415 - see docker_calls

                self._extensions[image_id] = extensions_of(self.engine, image_id)
            return self._extensions[image_id]

    def _base_image(self, runtime: str, architecture: str) -> image_find.BaseImage:
        wanted = (runtime, architecture)
        with self._lock:
            if wanted not in self._images:
                self._images[wanted] = image.ensure(self.engine, runtime, architecture, self._on_progress)
            return self._images[wanted]


def _architecture() -> str:
    machine = os.uname().machine.lower()
    return image_find.MACHINE_NAMES.get(machine, machine)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
