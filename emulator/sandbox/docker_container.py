"""The engine calls around one container: create it with every limit of Lambda's, remove it, sweep what others left."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import docker.errors
import requests.exceptions
from docker.types import DriverConfig, LogConfig, Mount, Ulimit

from emulator.errors import BackendError, ConfigurationError
from emulator.limits import MIB, OPEN_FILES, PROCESSES, SANDBOX_GID, SANDBOX_UID
from emulator.sandbox.owner import abandoned, name_prefix, orphaned, owner

if TYPE_CHECKING:
    from docker import APIClient

    from emulator.sandbox.base import SandboxSpec
    from emulator.sandbox.docker_stdio import Stdio
    from emulator.sandbox.image import BaseImage

LABEL: Final = "dev.lambda-preflight"
OWNER_LABEL: Final = f"{LABEL}.owner"
_EVERYBODY: Final = 0o005
FUNCTION_LABEL: Final = f"{LABEL}.function"

# https://github.com/rwnx/lambda-cpuinfo (2021-02): memory size from which that many CPUs are visible.
_VISIBLE_CPUS: Final = ((8846, 6), (7077, 5), (5308, 4), (3009, 3))


def visible_cpus(memory_mb: int) -> int:
    """CPUs that `os.cpu_count()` would show on Lambda; two up to 3,008 MB, however small the share."""
    return next((count for least, count in _VISIBLE_CPUS if memory_mb >= least), 2)


def scratch_folder() -> str:
    """Where a disk's file may lie for the moment before it is unlinked: not in memory, if we can help it."""
    return "/var/tmp" if os.access("/var/tmp", os.W_OK) else tempfile.gettempdir()  # noqa: S108 - a unique name is made


def create(  # noqa: PLR0913 - one keyword each for what differs between two containers
    api: APIClient,
    spec: SandboxSpec,
    *,
    base: BaseImage,
    stdio: Stdio,
    tmp_device: str | None,
    network: str,
    runtime_api: str,
    cpuset: str | None,
    keep: bool,
) -> str:
    """Create the container and return its id; it is not started."""
    memory = spec.memory_mb * MIB
    host_config = api.create_host_config(
        auto_remove=not keep,
        cap_drop=["ALL"],
        cpuset_cpus=cpuset,
        ipc_mode="none",  # no /dev/shm, so that multiprocessing's locks fail here as they do on Lambda
        log_config=LogConfig(type="none"),
        mem_limit=memory,
        memswap_limit=memory,
        mounts=_mounts(spec, stdio, tmp_device),
        network_mode=network,
        pids_limit=PROCESSES,
        read_only=True,
        security_opt=["no-new-privileges"],
        ulimits=[Ulimit(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES)],
    )
    config = api.create_container_config(
        image=base.id,
        entrypoint=["/bin/sh", "-c", stdio.entry, "preflight"],
        command=[*base.command, spec.handler],
        environment={**spec.environment, "AWS_LAMBDA_RUNTIME_API": runtime_api},
        host_config=host_config,
        # A container to be kept for a look has no owner whose death would have it swept.
        labels={LABEL: "sandbox", FUNCTION_LABEL: spec.function_name, **({} if keep else {OWNER_LABEL: owner()})},
        stdin_open=True,
        user=f"{SANDBOX_UID}:{SANDBOX_GID}",
        working_dir="/var/task",
    )
    created: Mapping[str, Any] = api.create_container_from_config(config)  # type: ignore[no-untyped-call]  # docker's
    return str(created["Id"])


def check_readable(spec: SandboxSpec) -> None:
    """Lambda makes /var/task and /opt itself; here they are these folders, whose modes no package holds."""
    for folder in (spec.code, *spec.layers):
        if folder.stat().st_mode & _EVERYBODY != _EVERYBODY:
            message = f"{folder} may not be entered by everybody, so the function's user {SANDBOX_UID} cannot read it"
            raise ConfigurationError(message, hint=f"chmod -R a+rX {folder}")


def check_visible(pid: int, container: str) -> None:
    """BackendError where the engine's process ids are not ours: a virtual machine behind a local socket."""
    try:
        seen = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        seen = ""
    if container not in seen:
        message = "the engine runs its containers where this machine's /proc does not show them"
        raise BackendError(message, hint="Use an engine on this very machine, or `--backend process`.")


def attach(api: APIClient, container: str) -> socket.socket:
    """The raw, two-way stream of the container's standard input, output and error."""
    wrapped = api.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    raw = getattr(wrapped, "_sock", wrapped)
    # A descriptor of our own, and the package's closed in its own way: its HTTP response holds the socket as well.
    own = socket.socket(fileno=os.dup(raw.fileno()))
    own.settimeout(None)
    response = getattr(wrapped, "_response", None)
    if response is not None:
        response.close()
    return own


def remove(api: APIClient, container: str) -> None:
    """Kill and remove; a container that is gone already, or going, is fine."""
    try:
        api.remove_container(container, force=True, v=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != 409:  # noqa: PLR2004 - "removal … is already in progress"
            raise


def stop(api: APIClient, container: str) -> None:
    """Kill and leave the corpse for a look (PREFLIGHT_KEEP_SANDBOX)."""
    try:
        api.kill(container)
    except docker.errors.APIError as error:
        if error.status_code not in {404, 409}:  # it is dead or gone already
            raise


def address_on(state: Mapping[str, Any], network: str) -> str:
    """The container's address on a network, from what the engine's inspect call told."""
    return str(state["NetworkSettings"]["Networks"][network]["IPAddress"])


def sweep(api: APIClient) -> None:
    """Remove containers, networks and folders whose maker died without removing them.

    What cannot be removed now, perhaps because somebody else is at it, is left for the next start.
    """
    with suppress(docker.errors.DockerException, requests.exceptions.RequestException):
        for found in api.containers(all=True, filters={"label": LABEL}):
            if orphaned(found["Labels"].get(OWNER_LABEL, "")):
                remove(api, found["Id"])
        for found in api.networks(filters={"label": LABEL}):
            if orphaned((found.get("Labels") or {}).get(OWNER_LABEL, "")):
                api.remove_network(found["Id"])
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob("lambda-preflight-docker-*"):
            if abandoned(folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def folder_prefix() -> str:
    """How the names of this process's folders begin, by which `sweep` knows whose they were."""
    return name_prefix("docker")


def _mounts(spec: SandboxSpec, stdio: Stdio, tmp_device: str | None) -> list[Mount]:
    mounts = [Mount("/var/task", str(spec.code.resolve()), type="bind", read_only=True)]
    mounts += [Mount(target, source, type="bind", read_only=True) for target, source in stdio.mounts.items()]
    if tmp_device is not None:
        disk = DriverConfig("local", {"type": "ext4", "device": tmp_device, "o": "nosuid,nodev"})
        mounts.append(Mount("/tmp", None, type="volume", driver_config=disk, no_copy=True))  # noqa: S108 - Lambda's own
    else:
        mounts.append(Mount("/tmp", None, type="volume"))  # noqa: S108 - Lambda's own
    if len(spec.layers) == 1:
        mounts.append(Mount("/opt", str(spec.layers[0].resolve()), type="bind", read_only=True))
    elif spec.layers:
        mounts.append(Mount("/opt", None, type="volume", driver_config=_merged(spec.layers), no_copy=True))
    return mounts


def _merged(layers: tuple[Path, ...]) -> DriverConfig:
    """The layers as one read-only overlay: nothing is copied, and a later layer hides an earlier one's files."""
    lower = ":".join(str(layer.resolve()).replace("\\", "\\\\").replace(":", "\\:") for layer in reversed(layers))
    return DriverConfig("local", {"type": "overlay", "device": "overlay", "o": f"ro,lowerdir={lower}"})
