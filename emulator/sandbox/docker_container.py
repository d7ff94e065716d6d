"""The engine calls around one container: create it with every limit of Lambda's, remove it, sweep what others left."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emulator.errors import BackendError, ConfigurationError
from emulator.limits import MIB, RESOURCE_LIMITS, SANDBOX_GID, SANDBOX_UID, processes
from emulator.sandbox import seccomp
from emulator.sandbox.base import EXTENSIONS_FOLDER, Exit
from emulator.sandbox.docker_calls import Calls, EngineRefused, Pending
from emulator.sandbox.docker_stdio import HOSTNAME, keeping
from emulator.sandbox.owner import abandoned, name_prefix, orphaned, owner

if TYPE_CHECKING:
    from docker import APIClient

    from emulator.sandbox.base import SandboxSpec
    from emulator.sandbox.cgroup import ControlGroup
    from emulator.sandbox.docker_stdio import Shell, Stdio
    from emulator.sandbox.image_find import BaseImage

LABEL: Final = "dev.lambda-preflight"
OWNER_LABEL: Final = f"{LABEL}.owner"
_EVERYBODY: Final = 0o005
FUNCTION_LABEL: Final = f"{LABEL}.function"
NO_NETWORK: Final = "none"
_NOT_FOUND: Final = 404
_KILLED: Final = 128 + 9  # SIGKILL, as engines and shells tell it
_GONE: Final = {_NOT_FOUND, 409}  # 409: "removal … is already in progress", or it is dead already

# https://github.com/rwnx/lambda-cpuinfo (2021-02): memory size from which that many CPUs are visible.
_VISIBLE_CPUS: Final = ((8846, 6), (7077, 5), (5308, 4), (3009, 3))


def visible_cpus(memory_mb: int) -> int:
    """CPUs that `os.cpu_count()` would show on Lambda; two up to 3,008 MB, however small the share."""
    return next((count for least, count in _VISIBLE_CPUS if memory_mb >= least), 2)


def scratch_folder() -> str:
    """Where a disk's file may lie for the moment before it is unlinked: not in memory, if we can help it."""
    if os.access("/var/tmp", os.W_OK):  # noqa: S108 - a unique name is made
        return "/var/tmp"  # noqa: S108 - see above
    import tempfile  # noqa: PLC0415 - see docker_stdio.new_folder

    return tempfile.gettempdir()


def create(  # noqa: PLR0913 - one keyword each for what differs between two containers
    calls: Calls,
    spec: SandboxSpec,
    *,
    base: BaseImage,
    command: tuple[str, ...],
    shell: Shell,
    stdio: Stdio,
    tmp_device: str | None,
    network: str,
    runtime_api: str,
    cpuset: str | None,
    keep: bool,
) -> str:
    """Create the container and return its id; it is not started."""
    memory = spec.memory_mb * MIB
    environment = {**spec.environment, "AWS_LAMBDA_RUNTIME_API": runtime_api}
    config: dict[str, Any] = {
        "Image": base.id,
        "Entrypoint": [*shell.command, "-c", keeping(stdio.entry, {*environment, *base.variables}), "preflight"],
        "Cmd": [*_extensions(spec), *command],
        "Env": [f"{name}={value}" for name, value in environment.items()],
        # A container to be kept for a look has no owner whose death would have it swept.
        "Labels": {LABEL: "sandbox", FUNCTION_LABEL: spec.function_name, **({} if keep else {OWNER_LABEL: owner()})},
        # The kernel's bare network namespace, with its loopback alone, is all that is wanted. For its own kind of
        # "none" the engine starts itself once more for each container, which is half the time of a start (20.10).
        "NetworkDisabled": network == NO_NETWORK,
        "Hostname": HOSTNAME,
        "OpenStdin": True,
        "StdinOnce": True,  # whoever is attached has it closed by dying, and the entry point ends what runs
        "User": f"{SANDBOX_UID}:{SANDBOX_GID}",
        "WorkingDir": base.folder,
        "HostConfig": {
            "AutoRemove": not keep,
            "CapDrop": ["ALL"],
            "CpusetCpus": cpuset or "",
            "IpcMode": "none",  # no /dev/shm, so that multiprocessing's locks fail here as they do on Lambda
            "LogConfig": {"Type": "none", "Config": {}},
            "Memory": memory,
            "MemorySwap": memory,
            "Mounts": _mounts(spec, {**stdio.mounts, **shell.mounts}, tmp_device),
            "NetworkMode": network,
            "PidsLimit": processes(spec.memory_mb),
            "ReadonlyRootfs": True,
            "SecurityOpt": ["no-new-privileges", f"seccomp={seccomp.profile()}"],
            "Ulimits": [{"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in RESOURCE_LIMITS.items()],
        },
    }
    return str(calls.call("POST", "/containers/create", body=config)["Id"])


def _extensions(spec: SandboxSpec) -> tuple[str, ...]:
    """The arguments that come before the runtime's command, see `docker_extensions`."""
    return (*(f"{EXTENSIONS_FOLDER}/{name}" for name in spec.extensions), "--") if spec.extensions else ()


def start(calls: Calls, container: str) -> Pending:
    """Have it started, which takes the engine as long as it takes us to import what serves it."""
    return calls.begin("POST", f"/containers/{container}/start")


def inspect(calls: Calls, container: str) -> Mapping[str, Any]:
    """All that the engine tells of a container."""
    told: Mapping[str, Any] = calls.call("GET", f"/containers/{container}/json")
    return told


def how_it_ended(calls: Calls, container: str, group: ControlGroup | None) -> Exit:
    """Why the first process of a container has gone, when nobody here has ended it.

    A signal of somebody else's (`docker kill`) ends the runtime as it would on Lambda. The first process heeds SIGKILL
    alone, so that is what has ended a container that is gone already.
    """
    try:
        # Asked for at once, `inspect` may still know nothing of the end, and say 0.
        status = int(calls.call("POST", f"/containers/{container}/wait")["StatusCode"])
    except EngineRefused as error:
        if error.status != _NOT_FOUND:
            return Exit(lost=f"the Docker engine says: {error.explanation}")
        status = _KILLED
    except OSError as error:
        return Exit(lost=f"the Docker engine went away ({error})")
    if not calls.listens():
        return Exit(lost="the Docker engine was stopped, and its containers with it")
    if status == _KILLED:
        return Exit(signal=9, out_of_memory=_out_of_memory(calls, container, group))
    return Exit(lost=f"the container ended with status {status}")


def _out_of_memory(calls: Calls, container: str, group: ControlGroup | None) -> bool:
    if group is not None and group.figures().oom_kills:
        return True
    with suppress(EngineRefused, OSError):
        return bool(inspect(calls, container)["State"].get("OOMKilled"))
    return False


def runtime_of(entry: int) -> int | None:
    """The runtime among the children of a container's first process; None where it has ended, or cannot be told."""
    _, others, _ = _family(entry)
    return others[0] if others else None


def has_dead_child(entry: int) -> bool:
    """Whether the first process has not collected one that ended, as it cannot while it is frozen: the runtime, mostly.

    On v2 SIGKILL ends a frozen process at once, on v1 when it is thawed. What the runtime had started is among the
    children of the first process then.
    """
    return bool(_family(entry)[2])


def shells_of(entry: int) -> frozenset[int]:
    """The entry point and its own shell, once the runtime has taken the place of the shell that it began as."""
    shells, _, _ = _family(entry)
    return frozenset((entry, *shells))


def _family(entry: int) -> tuple[list[int], list[int], list[int]]:
    """The children of a container's first process: those with its command line, which are its own shells, others, dead.

    All are empty where it has just ended, or where the kernel lists no children.
    """
    shells: list[int] = []
    others: list[int] = []
    dead: list[int] = []
    with suppress(OSError):
        children = Path(f"/proc/{entry}/task/{entry}/children").read_text(encoding="ascii").split()
        shell = Path(f"/proc/{entry}/cmdline").read_bytes()
        for child in children:
            line = Path(f"/proc/{child}/cmdline").read_bytes()
            # A process that has ended has none.
            (dead if not line else shells if line == shell else others).append(int(child))
    return shells, others, dead


def check_readable(spec: SandboxSpec) -> None:
    """Lambda makes /var/task and /opt itself; here they are these folders, whose modes no package holds."""
    for folder in (spec.code, *spec.layers) if spec.image is None else ():
        if folder.stat().st_mode & _EVERYBODY != _EVERYBODY:
            message = f"{folder} may not be entered by everybody, so the function's user {SANDBOX_UID} cannot read it"
            raise ConfigurationError(message, hint=f"chmod -R a+rX {folder}")


def first_process(state: Mapping[str, Any]) -> int:
    """Its id, by what `inspect` told; BackendError where the container has ended already."""
    told = state["State"]
    if not told["Pid"]:
        why = told.get("Error") or f"status {told.get('ExitCode')}"
        raise BackendError(f"the container ended as soon as it had started: {why}", hint="Run `preflight doctor`.")
    return int(told["Pid"])


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


def remove(calls: Calls, container: str, *, wait: bool = True) -> None:
    """Kill and remove; a container that is gone already, or going, is fine. Without `wait` the engine is only told."""
    try:
        removal = calls.begin("DELETE", f"/containers/{container}", query={"force": "1", "v": "1"})
        if wait:
            removal.result()
        else:
            removal.close()
    except EngineRefused as error:
        if error.status not in _GONE:
            raise


def stop(calls: Calls, container: str) -> None:
    """Kill and leave the corpse for a look (PREFLIGHT_KEEP_SANDBOX)."""
    try:
        calls.call("POST", f"/containers/{container}/kill")
    except EngineRefused as error:
        if error.status not in _GONE:
            raise


def address_on(state: Mapping[str, Any], network: str) -> str:
    """The container's address on a network, from what the engine's inspect call told."""
    return str(state["NetworkSettings"]["Networks"][network]["IPAddress"])


def sweep(calls: Calls) -> None:
    """Remove containers, networks and folders whose maker died without removing them.

    What cannot be removed now, perhaps because somebody else is at it, is left for the next start.
    """
    labelled = json.dumps({"label": [LABEL]})
    with suppress(EngineRefused, OSError):
        for found in calls.call("GET", "/containers/json", query={"all": "1", "filters": labelled}):
            if _orphaned(found):
                remove(calls, found["Id"])
        for found in calls.call("GET", "/networks", query={"filters": labelled}):
            if _orphaned(found):
                calls.call("DELETE", f"/networks/{found['Id']}")
        # They go with their containers, unless the engine was killed in between.
        for found in calls.call("GET", "/volumes", query={"filters": labelled}).get("Volumes") or ():
            if _orphaned(found):
                calls.call("DELETE", f"/volumes/{found['Name']}")
    import shutil  # noqa: PLC0415 - see docker_stdio.new_folder
    import tempfile  # noqa: PLC0415 - see docker_stdio.new_folder

    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob("lambda-preflight-docker-*"):
            if abandoned(folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def _orphaned(found: Mapping[str, Any]) -> bool:
    return orphaned((found.get("Labels") or {}).get(OWNER_LABEL, ""))


def folder_prefix() -> str:
    """How the names of this process's folders begin, by which `sweep` knows whose they were."""
    return name_prefix("docker")


def _mounts(spec: SandboxSpec, ours: Mapping[str, str], tmp_device: str | None) -> list[dict[str, Any]]:
    mounts = [] if spec.image is not None else [_bind("/var/task", str(spec.code.resolve()))]
    mounts += [_bind(target, source) for target, source in ours.items()]
    if tmp_device is not None:
        mounts.append(tmp_disk(tmp_device))
    else:
        mounts.append({"Type": "volume", "Target": "/tmp"})  # noqa: S108 - Lambda's own
    if len(spec.layers) == 1:
        mounts.append(_bind("/opt", str(spec.layers[0].resolve())))
    elif spec.layers:
        mounts.append(_volume("/opt", _merged(spec.layers)))
    return mounts


def tmp_disk(device: str) -> dict[str, Any]:
    """The mount of a disk as `/tmp`."""
    return _volume("/tmp", {"type": "ext4", "device": device, "o": "nosuid,nodev"})  # noqa: S108 - Lambda's own


def _bind(target: str, source: str) -> dict[str, Any]:
    return {"Type": "bind", "Target": target, "Source": source, "ReadOnly": True}


def _volume(target: str, options: Mapping[str, str]) -> dict[str, Any]:
    """A file system that the kernel mounts, without a copy of what the image has there."""
    driver = {"Name": "local", "Options": dict(options)}
    labels = {LABEL: "volume", OWNER_LABEL: owner()}
    settings = {"NoCopy": True, "DriverConfig": driver, "Labels": labels}
    return {"Type": "volume", "Target": target, "VolumeOptions": settings}


def _merged(layers: tuple[Path, ...]) -> dict[str, str]:
    """The layers as one read-only overlay: nothing is copied, and a later layer hides an earlier one's files."""
    lower = ":".join(re.sub(r"([\\:,])", r"\\\1", str(layer.resolve())) for layer in reversed(layers))
    return {"type": "overlay", "device": "overlay", "o": f"ro,lowerdir={lower}"}
