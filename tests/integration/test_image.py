"""The base image that this machine makes, looked at from inside a sandbox as tight as Lambda's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from emulator.sandbox import docker_engine, image, image_make, interpreters, rootfs
from emulator.sandbox.image_find import BaseImage
from emulator.sandbox.sdk import sdk_version

if TYPE_CHECKING:
    import docker

    from emulator.sandbox.docker_engine import Engine

pytestmark = pytest.mark.engine

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
RUNTIME = f"python{PYTHON}"
ARCHITECTURE = "arm64" if os.uname().machine in {"arm64", "aarch64"} else "x86_64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What two callers at once got from an engine that had no such image, and what they were told meanwhile."""

    images: tuple[BaseImage, BaseImage]
    said: tuple[str, ...]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The engine that the tests were promised."""
    connected = docker_engine.connect()
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def client(engine: Engine) -> docker.DockerClient:
    """And the docker package's view of it."""
    return engine.client


@pytest.fixture(scope="module")
def made(engine: Engine, client: docker.DockerClient) -> Iterator[Made]:
    """An image of its own recipe and lineage, so that nobody else's is found or removed; asked for twice at once."""
    own = os.urandom(6).hex()
    results: dict[int, BaseImage] = {}
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        patch.setenv("XDG_CACHE_HOME", empty)  # what was remembered here is of the usual recipe
        patch.setattr(rootfs, "_RECIPE", own)
        patch.setattr(image_make, "_lineage", lambda interpreter: own)
        patch.setattr(image, "AWS_REPOSITORY", f"lambda-preflight/no-such-{own}")

        def ask(number: int) -> None:
            results[number] = image.ensure(engine, RUNTIME, ARCHITECTURE, said.append)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield Made(images=(results[0], results[1]), said=tuple(said))
    for found in client.api.images(filters={"label": f"dev.lambda-preflight.lineage={own}"}):
        client.api.remove_image(found["Id"], force=True)


def run(client: docker.DockerClient, made: Made, command: list[str], **environment: str) -> tuple[int, str]:
    """Status and output of a command as Lambda's user, with a read-only root, no network and no capability."""
    container = client.containers.create(
        made.images[0].id,
        command,
        environment=environment,
        read_only=True,
        network_mode="none",
        user="993:990",
        cap_drop=["ALL"],
        ipc_mode="none",
        security_opt=["no-new-privileges"],
        labels={"dev.lambda-preflight.test": "image"},
    )
    try:
        container.start()
        status = container.wait(timeout=60)["StatusCode"]
        return int(status), container.logs().decode()
    finally:
        container.remove(force=True)


def inside(client: docker.DockerClient, made: Made, program: str) -> Any:  # noqa: ANN401 - whatever the program prints
    """What a Python program prints as JSON."""
    command = [made.images[0].command[0], "-c", f"import json, os, sys\n{program}"]
    status, output = run(client, made, command, PYTHONPATH="/var/runtime")
    assert status == 0, output
    return json.loads(output)


def test_two_at_once_make_one_image(client: docker.DockerClient, made: Made) -> None:
    """Both succeed, with the same image, and only one of them had work to do."""
    first, second = made.images
    assert first == second
    assert first.origin == "local"
    assert first.reference.startswith(f"lambda-preflight/python:{PYTHON}-")
    assert len([line for line in made.said if line.startswith("making the base image")]) == 1


def test_second_call_makes_nothing(engine: Engine, made: Made) -> None:
    """The image is found by its tag and label; nobody is told that one is being made."""
    said: list[str] = []
    assert image.ensure(engine, RUNTIME, ARCHITECTURE, said.append) == made.images[0]
    assert said == []


def test_awss_image_is_preferred_when_the_engine_has_it(
    engine: Engine, client: docker.DockerClient, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image under AWS's name and of the right architecture goes before ours."""
    name = f"lambda-preflight/as-if-aws-{os.urandom(4).hex()}"
    client.images.get(made.images[0].id).tag(f"{name}/python", PYTHON)
    monkeypatch.setattr(image, "AWS_REPOSITORY", name)
    try:
        taken = image.ensure(engine, RUNTIME, ARCHITECTURE)
    finally:
        client.api.remove_image(f"{name}/python:{PYTHON}")
    assert (taken.origin, taken.id, taken.command) == ("aws", made.images[0].id, ("/var/runtime/bootstrap",))


def test_interpreter_has_lambdas_places(client: docker.DockerClient, made: Made) -> None:
    """Prefix, path, user and working directory are Lambda's; nothing of the host's path is left."""
    told = inside(
        client,
        made,
        """
import pwd
print(json.dumps([sys.prefix, sys.path, sys.version_info[:3], os.getcwd(), pwd.getpwuid(os.getuid()), os.listdir("/")]))
""",
    )
    prefix, path, version, folder, user, root = told
    assert prefix == "/var/lang"
    assert [entry for entry in path if entry and not entry.startswith(("/var/lang/lib/", "/var/runtime"))] == []
    assert path[1] == "/var/runtime"
    assert tuple(version) == sys.version_info[:3]
    assert folder == "/var/task"
    assert user[:4] == ["sbx_user1051", "x", 993, 990]
    assert {"opt", "tmp", "var"} <= set(root)
    assert "home" not in root


def test_standard_library_and_runtime_client_load(client: docker.DockerClient, made: Made) -> None:
    """Every extension that this image carries finds its libraries, so does AWS's client."""
    told = inside(
        client,
        made,
        """
import ssl, sqlite3, ctypes, zlib, bz2, lzma, hashlib, decimal, asyncio, multiprocessing, uuid, readline, zoneinfo
import awslambdaric, runtime_client, simplejson, snapshot_restore_py
import importlib, sysconfig
failed = []
folder = sysconfig.get_path("stdlib") + "/lib-dynload"
for name in sorted(os.listdir(folder)):
    try:
        importlib.import_module(name.split(".")[0])
    except ImportError:
        failed.append(name.split(".")[0])
print(json.dumps([failed, awslambdaric.__version__, len(os.listdir(folder)), ctypes.CDLL("libstdc++.so.6")._name]))
""",
    )
    failed, version, count, library = told
    # A module whose library this machine lacks is not the image's fault.
    here = str(interpreters.find(RUNTIME).executable)
    assert [
        name for name in failed if subprocess.run([here, "-c", f"import {name}"], check=False).returncode == 0
    ] == []
    assert version == interpreters.client_versions()["awslambdaric"]
    assert count > 10
    assert library == "libstdc++.so.6"


def test_standard_library_works_as_on_lambda(client: docker.DockerClient, made: Made) -> None:
    """Certificates are found, time zones known, text is UTF-8, and a shell is there."""
    told = inside(
        client,
        made,
        """
import ssl, subprocess, time, zoneinfo
shell = subprocess.run(["/bin/sh", "-c", "echo $((6 * 7))"], capture_output=True, text=True, env={}, check=True)
print(json.dumps([
    len(ssl.create_default_context().get_ca_certs()), str(zoneinfo.ZoneInfo("UTC")), time.tzname[0],
    sys.getfilesystemencoding(), sys.stdout.encoding, shell.stdout]))
""",
    )
    certificates, zone, name, filesystem, output, shell = told
    assert certificates > 0
    assert (zone, name) == ("UTC", "UTC")
    assert (filesystem, output) == ("utf-8", "utf-8")
    assert shell == "42\n"


def test_host_packages_do_not_leak(client: docker.DockerClient, made: Made) -> None:
    """Only the AWS SDK lies in site-packages, and only where the emulator's environment has it."""
    told = inside(
        client,
        made,
        """
import importlib.metadata
print(json.dumps(sorted({found.name for found in importlib.metadata.distributions()})))
""",
    )
    sdk = ["boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"]
    assert told == (sdk if sdk_version() else [])


def test_bytecode_of_everything_is_there_and_trusted(client: docker.DockerClient, made: Made) -> None:
    """On a read-only root no import compiles anything or compares a date; tracebacks name the image's files."""
    told = inside(
        client,
        made,
        """
import awslambdaric.bootstrap, json.decoder
bad = []
for top in ("/var/lang/lib", "/var/runtime"):
    for folder, folders, names in os.walk(top):
        for name in names:
            if not name.endswith(".py"):
                continue
            path = os.path.join(folder, "__pycache__", name[:-3] + "." + sys.implementation.cache_tag + ".pyc")
            if not os.path.exists(path) or open(path, "rb").read(8)[4:] != bytes([1, 0, 0, 0]):
                bad.append(os.path.join(folder, name))
print(json.dumps([bad, json.decoder.JSONDecoder.decode.__code__.co_filename]))
""",
    )
    bad, filename = told
    assert bad == []
    assert filename == f"/var/lang/lib/python{PYTHON}/json/decoder.py"


def test_runtime_client_starts(client: docker.DockerClient, made: Made) -> None:
    """Without a Runtime API it fails at the connection, after every import of its own."""
    command = [*made.images[0].command]
    status, output = run(client, made, command, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9", _HANDLER="app.handler")
    assert status == 1
    assert "ConnectionRefusedError" in output
    assert "Unable to import module 'app'" in output


def test_root_is_read_only_and_nothing_is_writable(client: docker.DockerClient, made: Made) -> None:
    """The sandbox's user owns nothing: even /tmp is only as writable as the backend makes it."""
    status, output = run(client, made, ["/bin/sh", "-c", "echo x > /tmp/x"])
    assert status != 0
    assert "Read-only file system" in output
