"""The image of a function with `PackageType: Image`: what it says, what ImageConfig overrides, what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import ConfigurationError, QuotaError
from emulator.sandbox import docker_shell, rootfs
from emulator.sandbox.base import SandboxSpec
from emulator.sandbox.docker_engine import Engine
from emulator.sandbox.docker_stdio import IMAGES_SHELL
from emulator.sandbox.image import function_image
from emulator.sandbox.image_find import BaseImage
from tests.fake_engine import FakeCalls

LIMIT = 10 * 1024**3
CONFIG = {"Entrypoint": ["/start"], "Cmd": ["app.handler"], "WorkingDir": "/app", "Env": ["A=b=c", "HOME=/x"]}


def engine(told: dict[str, Any] | None, *, local: bool = True) -> Engine:
    """Give an engine that has one image, app:1, or none."""
    calls = FakeCalls()
    if told is not None:
        whole = {"Id": "sha256:1", "Architecture": "amd64", "Size": 1000, "Config": CONFIG, **told}
        calls.route("GET /images/app:1/json", lambda *_: whole)
    return Engine(calls=calls, address="unix:///nowhere.sock", api_version="1.41", local=local)


def find(told: dict[str, Any] | None, **changes: Any) -> BaseImage:  # noqa: ANN401 - any field of it
    """Look for the image of a function."""
    settings: dict[str, Any] = {"image": "app:1", "architecture": "x86_64", **changes}
    spec = SandboxSpec(
        function_name="F",
        handler="",
        runtime="",
        code=Path(),
        layers=(),
        memory_mb=128,
        cpu_share=0.1,
        tmp_mb=512,
        environment={},
        **settings,
    )
    return function_image(engine(told), spec)


def test_what_the_image_says() -> None:
    """ENTRYPOINT and CMD, WORKDIR and the names of ENV."""
    assert find({}) == BaseImage(
        id="sha256:1",
        origin="function",
        reference="app:1",
        python="",
        command=("/start", "app.handler"),
        folder="/app",
        variables=frozenset({"A", "HOME"}),
    )


@pytest.mark.parametrize(
    ("changes", "command", "folder"),
    [
        ({"entry_point": ("/other", "x")}, ("/other", "x", "app.handler"), "/app"),
        ({"command": ("b.c", "d")}, ("/start", "b.c", "d"), "/app"),
        ({"working_directory": "/srv"}, ("/start", "app.handler"), "/srv"),
    ],
)
def test_image_config(changes: dict[str, Any], command: tuple[str, ...], folder: str) -> None:
    """Each overrides its own and nothing else."""
    found = find({}, **changes)
    assert (found.command, found.folder) == (command, folder)


@pytest.mark.parametrize("config", [{"Cmd": ["x"], "Entrypoint": None, "Env": None}, {"Entrypoint": ["x"]}])
def test_an_image_that_says_little(config: dict[str, Any]) -> None:
    """One of the two is enough; the folder is then the root."""
    found = find({"Config": config})
    assert (found.command, found.folder, found.variables) == (("x",), "/", frozenset())


def test_nothing_to_start() -> None:
    """Neither in the image nor in the template."""
    with pytest.raises(ConfigurationError, match="neither ENTRYPOINT nor CMD"):
        find({"Config": {"Entrypoint": None, "Cmd": []}})


def test_missing() -> None:
    """In the API's words as far as they are known, with what to do; nothing is pulled."""
    with pytest.raises(ConfigurationError, match="F: Source image app:1 does not exist") as caught:
        find(None)
    assert "docker pull app:1" in (caught.value.hint or "")


@pytest.mark.parametrize(("size", "fine"), [(0, True), (LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False)])
def test_size(size: int, fine: bool) -> None:  # noqa: FBT001 - a column of the table
    """10 GB of all layers, uncompressed ("Lambda quotas", 2026-10), as the engine counts them."""
    if fine:
        assert find({"Size": size}).id
        return
    with pytest.raises(QuotaError, match=str(size)):
        find({"Size": size})


def test_architecture() -> None:
    """Lambda would start it, and the kernel refuse; both ways out are named."""
    with pytest.raises(ConfigurationError, match="is for x86_64, the function for arm64") as caught:
        find({}, architecture="arm64")
    assert "linux/arm64" in (caught.value.hint or "")
    assert find({"Architecture": "arm64"}, architecture="arm64").id


def test_shell_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by its own loader, with every library that it loads."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(rootfs, "loader_of", lambda _: Path("/lib64/ld-linux.so"))
    monkeypatch.setattr(rootfs, "needed", lambda *_: {"libc.so.6": Path("/lib/libc.so.6")})
    shell = docker_shell.portable_shell(engine(None))
    folder = "/run/preflight-shell"
    assert shell.command == (f"{folder}/ld.so", "--library-path", folder, f"{folder}/sh")
    assert set(shell.mounts) == {f"{folder}/{name}" for name in ("ld.so", "sh", "libc.so.6")}


def test_shell_is_the_images_where_ours_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine elsewhere, another system, or a shell whose libraries are not told."""
    assert docker_shell.portable_shell(engine(None, local=False)) == IMAGES_SHELL
    monkeypatch.setattr(rootfs, "loader_of", lambda _: Path("/lib64/ld-linux.so"))
    monkeypatch.setattr(rootfs, "needed", lambda *_: {})
    assert docker_shell.portable_shell(engine(None)) == IMAGES_SHELL
    monkeypatch.setattr(sys, "platform", "darwin")
    assert docker_shell.portable_shell(engine(None)) == IMAGES_SHELL
