"""Whether the engine truly mounts a disk as a container's `/tmp`: tried with one small container, for `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.errors import BackendError
from emulator.limits import SANDBOX_GID, SANDBOX_UID
from emulator.sandbox.docker_container import LABEL, NO_NETWORK, OWNER_LABEL, remove, tmp_disk
from emulator.sandbox.docker_engine import engine_errors
from emulator.sandbox.owner import owner

if TYPE_CHECKING:
    from emulator.sandbox.docker_calls import Calls


def mount(calls: Calls, image: str, device: str) -> None:
    """Have a container write a file there as a function would; BackendError where it cannot."""
    with engine_errors(f"the engine did not mount {device}"):
        config = {
            "Image": image,
            "Entrypoint": ["/bin/sh", "-c", ": >/tmp/trial"],
            "Cmd": [],
            "Labels": {LABEL: "trial", OWNER_LABEL: owner()},
            "NetworkDisabled": True,
            "User": f"{SANDBOX_UID}:{SANDBOX_GID}",
            "HostConfig": {
                "LogConfig": {"Type": "none", "Config": {}},
                "Mounts": [tmp_disk(device)],
                "NetworkMode": NO_NETWORK,
                "ReadonlyRootfs": True,
            },
        }
        container = str(calls.call("POST", "/containers/create", body=config)["Id"])
        try:
            calls.call("POST", f"/containers/{container}/start")
            status = calls.call("POST", f"/containers/{container}/wait")["StatusCode"]
        finally:
            remove(calls, container)
    if status != 0:
        raise BackendError(f"a container could not write to {device}: its shell ended with {status}")
