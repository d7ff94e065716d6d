"""Runs `preflight start-lambda` as a user would, and gives clients of AWS's own SDK."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from emulator.http1 import HttpResponse, ResponseReader
from tests.command import COMMAND, ROOT, RUNTIME, TEMPLATE, WAIT_S, variables

Client = Any  # boto3 makes its classes as it goes
BACKENDS: Final = (pytest.param("docker", marks=pytest.mark.engine), "process")
CODE: Final = ROOT / "fixtures" / "functions" / "code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that takes calls; `log` is where its standard error goes."""

    process: subprocess.Popen[str]
    address: str
    log: Path
    urls: Mapping[str, str]
    """Functions' names to the addresses of their URLs."""

    @property
    def port(self) -> int:
        """As in its address."""
        return int(self.address.rpartition(":")[2])

    def client(self) -> Client:
        """A client with credentials that nobody gave out, which tries nothing twice."""
        return client_of(self.address)

    def ended(self, number: signal.Signals) -> int:
        """Stop it; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=WAIT_S)


def client_of(address: str, *, at_once: int = 50, patience_s: float = WAIT_S, config: Config | None = None) -> Client:
    """A client with credentials that nobody gave out, which tries nothing twice; `config` has what else it may be."""
    settled = Config(retries={"max_attempts": 0}, max_pool_connections=at_once, read_timeout=patience_s)
    return boto3.client(
        "lambda",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",  # noqa: S106 - no secret: the server looks at no signature
        config=settled if config is None else settled.merge(config),
    )


@contextmanager
def served(log: Path, *arguments: str | Path, urls: int = 0) -> Iterator[Served]:
    """Start the command on any free port and wait until it says that it listens; stopped at the end if need be.

    So many functions have `urls`.
    """
    command = [COMMAND, "start-lambda", "--port", "0", "--parameter-overrides", f"PythonRuntime={RUNTIME}", *arguments]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=variables({}),
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"Listening on (http://\S+:[0-9]+)\n", process.stdout.readline())
        assert found, log.read_text()
        lines = [re.fullmatch(r"URL of (\S+): (http://\S+:[0-9]+)/\n", process.stdout.readline()) for _ in range(urls)]
        addresses = {line[1]: line[2] for line in lines if line}
        assert len(addresses) == urls
        yield Served(process=process, address=found[1], log=log, urls=addresses)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(timeout=WAIT_S)
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module", params=BACKENDS)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the fixtures' functions."""
    folder = tmp_path_factory.mktemp("serve")
    with served(folder / "log", "-t", TEMPLATE, "--backend", request.param) as one:
        yield one
    assert one.process.returncode == 0
    assert f'File "{ROOT / "emulator"}' not in one.log.read_text()  # no traceback of our own


@pytest.fixture
def client(lab: Served) -> Iterator[Client]:
    """Give boto3's client for it."""
    made = lab.client()
    yield made
    made.close()


def refused(call: Callable[..., object], **arguments: object) -> tuple[int, str, str]:
    """Status, type and message of what the SDK raises."""
    try:
        call(**arguments)
    except ClientError as error:
        return (
            error.response["ResponseMetadata"]["HTTPStatusCode"],
            error.response["Error"]["Code"],
            error.response["Error"]["Message"],
        )
    raise AssertionError("it was not refused")


def answers_to(port: int, data: bytes, most_body: int) -> list[HttpResponse]:
    """Send this and no more; every answer until the server hangs up."""
    reader, found = ResponseReader(most_body), []
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while received := client.recv(65536):
            reader.feed(received)
            while (response := reader.next()) is not None:
                found.append(response)
    return found
