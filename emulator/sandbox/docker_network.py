"""The internal bridge that carries the Runtime API where the emulator may not enter a container's network namespace."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import docker.errors
from docker.types import IPAMConfig

from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox.docker_container import LABEL, OWNER_LABEL
from emulator.sandbox.docker_engine import engine_errors
from emulator.sandbox.owner import owner

if TYPE_CHECKING:
    from docker import DockerClient

    from emulator.sandbox.docker_engine import Engine


def check_network(engine: Engine, network: str) -> None:
    """ConfigurationError for a network that the engine does not have, or that would put functions on ours."""
    with engine_errors("the engine's networks could not be listed"):
        names = sorted(str(found["Name"]) for found in engine.client.api.networks())
    if network == "host" or network.startswith("container:"):
        message = f"functions cannot share the network of {network!r}: each has the Runtime API on the same port"
        raise ConfigurationError(message, hint=f"There are: {', '.join(name for name in names if name != 'host')}.")
    if network not in names:
        raise ConfigurationError(f"the engine has no network {network!r}", hint=f"There are: {', '.join(names)}.")


class Bridge:
    """One network for all sandboxes of a backend; containers cannot reach each other on it, nor the outside."""

    def __init__(self, client: DockerClient, *, internal: bool) -> None:
        self.name = f"lambda-preflight-{os.getpid()}-{os.urandom(3).hex()}"
        with engine_errors("the Runtime API's network could not be made"):
            self._network = client.networks.create(
                self.name,
                driver="bridge",
                internal=internal,
                ipam=IPAMConfig(),
                labels={LABEL: "network", OWNER_LABEL: owner()},
                options={"com.docker.network.bridge.enable_icc": "false"},
            )
            self._network.reload()
        self.gateway = str(self._network.attrs["IPAM"]["Config"][0]["Gateway"]).partition("/")[0]

    def listen(self) -> socket.socket:
        """A listening socket on the gateway, which is the only address that a container on the bridge can reach."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.bind((self.gateway, 0))
            listener.listen(1024)  # as many connections as a function may open
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            message = f"the engine's bridge {self.gateway} is not on this machine, so functions cannot reach us"
            raise BackendError(message, hint="Use an engine on this machine, or `--backend process`.") from error
        return listener

    def close(self) -> None:
        """Remove the network; one that is gone already is fine."""
        with engine_errors("the Runtime API's network could not be removed"), suppress(docker.errors.NotFound):
            self._network.remove()
