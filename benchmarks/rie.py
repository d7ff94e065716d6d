"""AWS's Runtime Interface Emulator in a container, and two clients of it that keep their connection."""

from __future__ import annotations

import http.client
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from docker.types import LogConfig, Mount

from benchmarks import peers
from benchmarks.bed import EVENT, HANDLER, MEMORY_MB, TIMEOUT_S
from emulator.errors import BackendError
from emulator.limits import MIB
from emulator.sandbox.docker_engine import engine_errors

if TYPE_CHECKING:
    from benchmarks.bed import Bed

_PORT: Final = 8080
_PATH: Final = "/2015-03-31/functions/function/invocations"
_READY_S: Final = 15.0
_PROBE_S: Final = 2.0
_POLL_S: Final = 0.02
_READ: Final = 65536

Post = Callable[[bytes], bytes]


@contextmanager
def running(bed: Bed, image: peers.PeerImage) -> Iterator[tuple[str, int]]:
    """RIE with the echo handler: same image, code and memory limit as ours; no CPU quota, no log driver to pay for."""
    mount = Mount("/var/task", str(bed.code), type="bind", read_only=True)
    with engine_errors("RIE's container could not be started"):
        container = bed.engine.client.containers.create(
            image.rapid,  # by name, so that it is found again should this run be killed
            entrypoint=list(peers.RIE_COMMAND),
            environment={
                "AWS_LAMBDA_FUNCTION_HANDLER": HANDLER,
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MB),
                "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT_S),
            },
            log_config=LogConfig(type="none"),
            mem_limit=MEMORY_MB * MIB,
            memswap_limit=MEMORY_MB * MIB,
            mounts=[mount],
            ports={f"{_PORT}/tcp": ("127.0.0.1", 0)},
            working_dir="/var/task",
        )
    try:
        with engine_errors("RIE's container could not be started"):
            container.start()
            container.reload()
        yield _first_open(addresses_of(container.attrs))
    finally:
        with engine_errors("RIE's container could not be removed"):
            container.remove(force=True, v=True)


def addresses_of(state: dict[str, Any]) -> list[tuple[str, int]]:
    """Where a container listens: its own address first, then the published port behind the engine's proxy."""
    settings = state["NetworkSettings"]
    found = [(network["IPAddress"], _PORT) for network in settings["Networks"].values() if network["IPAddress"]]
    published = (settings.get("Ports") or {}).get(f"{_PORT}/tcp") or ()
    return found + [(binding["HostIp"], int(binding["HostPort"])) for binding in published]


@contextmanager
def http_client(address: tuple[str, int], timeout_s: float = TIMEOUT_S) -> Iterator[Post]:
    """`http.client`, the leanest one of the standard library, on one connection."""
    connection = http.client.HTTPConnection(*address, timeout=timeout_s)

    def post(event: bytes) -> bytes:
        connection.request("POST", _PATH, event, {"Content-Type": "application/json"})
        return connection.getresponse().read()

    try:
        yield post
    finally:
        connection.close()


@contextmanager
def bare_client(address: tuple[str, int]) -> Iterator[Post]:
    """One send and hardly any parsing: less than any real client does, so the least that RIE itself can take."""
    connection = socket.create_connection(address, timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = f"POST {_PATH} HTTP/1.1\r\nHost: {address[0]}\r\nContent-Type: application/json\r\nContent-Length: "

    def post(event: bytes) -> bytes:
        connection.sendall(f"{head}{len(event)}\r\n\r\n".encode() + event)
        answer = connection.recv(_READ)
        while (body := body_of(answer)) is None:
            more = connection.recv(_READ)
            if not more:
                raise BackendError("RIE closed the connection", hint="See its log with `docker logs`.")
            answer += more
        return body

    try:
        yield post
    finally:
        connection.close()


def body_of(answer: bytes) -> bytes | None:
    """The body of an HTTP answer that has a Content-Length; None while it is not complete."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if not blank or length is None or len(body) < int(length[1]):
        return None
    return body


def _first_open(addresses: list[tuple[str, int]]) -> tuple[str, int]:
    """The first address at which RIE answers the event; a bridge's addresses are out of reach on some engines."""
    limit = time.monotonic() + _READY_S
    while time.monotonic() < limit:
        for address in addresses:
            try:
                with http_client(address, _PROBE_S) as post:
                    if post(EVENT) == EVENT:
                        return address
            except (OSError, http.client.HTTPException):
                continue
        time.sleep(_POLL_S)
    tried = ", ".join(f"{host}:{port}" for host, port in addresses) or "no address"
    raise BackendError(f"RIE did not answer within {_READY_S:g} s ({tried})", hint="Is the engine's bridge up?")
