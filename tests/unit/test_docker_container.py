"""The container's settings, one for each of Lambda's limits, and whose containers may be swept."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox import docker_container, seccomp
from emulator.sandbox.base import Exit, SandboxSpec
from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_container import LABEL, OWNER_LABEL, visible_cpus
from emulator.sandbox.docker_stdio import IMAGES_SHELL, PIPES_ENTRY, Shell
from emulator.sandbox.image_find import BaseImage
from emulator.sandbox.owner import owner
from tests.fake_engine import FakeCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.sandbox.docker_calls import Calls

MIB = 1024 * 1024
DEAD = 2**22 + 1  # one more than the kernel's largest process id
BASE = BaseImage(id="sha256:1", origin="local", reference="x", python="3.13", command=("python", "bootstrap.py"))


class Streams:
    """An entry point and a folder to mount, without any pipe."""

    entry = "read -r _"

    def __init__(self) -> None:
        self.mounts = {"/run/preflight": "/var/tmp/pipes"}

    def started(self, pid: int) -> None:
        """Nothing."""

    def go(self, on_log: Callable[[bytes], None], on_exit: Callable[[Exit | None], None]) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def kill(self) -> bool:
        """Nothing."""
        return False

    def close(self) -> None:
        """Nothing."""


class Client(FakeCalls):
    """Keeps what would have been sent, and lists what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: list[str] = []
        self.there: list[dict[str, Any]] = []
        self.networks_there: list[dict[str, Any]] = []
        self.volumes_there: list[dict[str, Any]] | None = None
        self.route("POST /containers/create", lambda *_: {"Id": "c0ffee"})
        self.route("GET /containers/json", lambda *_: self.there)
        self.route("GET /networks", lambda *_: self.networks_there)
        self.route("GET /volumes", lambda *_: {"Volumes": self.volumes_there})
        self.route("DELETE /(?:containers|networks|volumes)/(.*)", lambda match, _: self.removed.append(match[1]))
        self.route("POST /containers/(.*)/kill", lambda match, _: self.removed.append(match[1]))

    @property
    def created(self) -> dict[str, Any]:
        """The settings of the container that was created last."""
        last: dict[str, Any] = self.bodies("POST", "/containers/create")[-1]
        return last


@pytest.fixture
def client() -> Client:
    """Give a client without an engine."""
    return Client()


def spec(tmp_path: Path, *layers: str, memory_mb: int = 512) -> SandboxSpec:
    """Give a function with code and layers below `tmp_path`, which are there."""
    for folder in ("code", *layers):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder).chmod(0o755)
    return SandboxSpec(
        function_name="Hello",
        handler="app.handler",
        runtime="python3.13",
        code=tmp_path / "code",
        layers=tuple(tmp_path / layer for layer in layers),
        memory_mb=memory_mb,
        cpu_share=memory_mb / 1769,
        tmp_mb=512,
        environment={"TZ": ":UTC"},
    )


def created(client: Client, wanted: SandboxSpec, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any of the settings
    """Create the container and give what the engine would have been sent."""
    settings: dict[str, Any] = {
        "base": BASE,
        "command": BASE.command,
        "shell": IMAGES_SHELL,
        "stdio": Streams(),
        "tmp_device": "/dev/loop7",
        "network": "none",
        "runtime_api": "127.0.0.1:9001",
        "cpuset": "0,1",
        "keep": False,
    }
    assert docker_container.create(client, wanted, **{**settings, **changes}) == "c0ffee"
    return client.created


def mounted(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the mounts by target."""
    return {mount["Target"]: mount for mount in config["HostConfig"]["Mounts"]}


@pytest.mark.parametrize(
    ("memory_mb", "count"),
    [
        *((128, 2), (1769, 2), (3008, 2), (3009, 3), (3010, 3)),
        *((5307, 3), (5308, 4), (5309, 4), (7076, 4), (7077, 5), (7078, 5)),
        *((8845, 5), (8846, 6), (8847, 6), (10_240, 6)),
    ],
)
def test_visible_cpus(memory_mb: int, count: int) -> None:
    """The steps measured on Lambda (github.com/rwnx/lambda-cpuinfo, 2021-02), each on both sides."""
    assert visible_cpus(memory_mb) == count


def test_limits(client: Client, tmp_path: Path) -> None:
    """Memory without swap on top, no way to write, no capability, no network, no /dev/shm, 1,024 of either kind."""
    host = created(client, spec(tmp_path, memory_mb=512))["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 512 * MIB
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges", f"seccomp={seccomp.profile()}"]
    assert host["NetworkMode"] == "none"
    assert client.created["NetworkDisabled"] is True
    assert host["IpcMode"] == "none"
    assert host["PidsLimit"] == 1024
    assert host["Ulimits"] == [
        {"Name": "core", "Soft": 10_737_418_240, "Hard": 10_737_418_240},
        {"Name": "memlock", "Soft": 65_536, "Hard": 65_536},
        {"Name": "nofile", "Soft": 1024, "Hard": 1024},
        {"Name": "stack", "Soft": 8_388_608, "Hard": -1},
    ]
    assert host["CpusetCpus"] == "0,1"
    assert host["LogConfig"]["Type"] == "none"
    assert not host.get("Privileged")


def test_a_network_that_was_asked_for(client: Client, tmp_path: Path) -> None:
    """It is the engine's to set up."""
    config = created(client, spec(tmp_path), network="mine")
    assert (config["HostConfig"]["NetworkMode"], config["NetworkDisabled"]) == ("mine", False)


def test_no_cpu_quota_at_first(client: Client, tmp_path: Path) -> None:
    """Init is not throttled."""
    host = created(client, spec(tmp_path))["HostConfig"]
    assert not {"CpuQuota", "CpuShares", "NanoCpus"} & host.keys()


def test_process(client: Client, tmp_path: Path) -> None:
    """Lambda's user and folder; the shell waits in front of the runtime's command."""
    config = created(client, spec(tmp_path))
    assert config["User"] == "993:990"
    assert config["WorkingDir"] == "/var/task"
    assert config["Entrypoint"] == ["/bin/sh", "-c", "read -r _", "preflight"]
    assert config["Cmd"] == ["python", "bootstrap.py"]
    assert config["Image"] == "sha256:1"
    assert config["OpenStdin"] is True
    assert not config.get("Tty")
    assert sorted(config["Env"]) == ["AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001", "TZ=:UTC"]


def test_an_image_of_the_functions_own(client: Client, tmp_path: Path) -> None:
    """Its folder, and nothing of ours over its files but /tmp and what the waiting shell needs."""
    shell = Shell(command=("/ours/ld.so", "/ours/sh"), mounts={"/ours/sh": "/bin/dash"})
    base = replace(BASE, origin="function", folder="/app")
    config = created(client, replace(spec(tmp_path), image="app:1"), base=base, shell=shell)
    assert config["WorkingDir"] == "/app"
    assert config["Entrypoint"] == ["/ours/ld.so", "/ours/sh", "-c", "read -r _", "preflight"]
    assert set(mounted(config)) == {*Streams().mounts, "/ours/sh", "/tmp"}
    assert mounted(config)["/ours/sh"] == {
        "Type": "bind",
        "Target": "/ours/sh",
        "Source": "/bin/dash",
        "ReadOnly": True,
    }
    assert config["User"] == "993:990"


@pytest.mark.parametrize(
    ("functions", "images", "removed"),
    [((), (), "HOME HOSTNAME"), (("HOME",), (), "HOSTNAME"), ((), ("HOME",), "HOSTNAME"), (("HOSTNAME",), (), "HOME")],
)
def test_what_the_engine_adds(
    client: Client, tmp_path: Path, functions: tuple[str, ...], images: tuple[str, ...], removed: str
) -> None:
    """Is taken away again, unless the function or its image has set it."""
    wanted = replace(spec(tmp_path), environment=dict.fromkeys(functions, "mine"))
    streams = Streams()
    streams.entry = PIPES_ENTRY
    config = created(client, wanted, base=replace(BASE, variables=frozenset(images)), stdio=streams)
    assert f"; unset {removed}; " in config["Entrypoint"][2]


@pytest.mark.parametrize(("keep", "removes_itself"), [(False, True), (True, False)])
def test_a_container_removes_itself(client: Client, tmp_path: Path, keep: bool, removes_itself: bool) -> None:  # noqa: FBT001 - columns
    """Unless its corpse was asked for."""
    host = created(client, spec(tmp_path), keep=keep)["HostConfig"]
    assert bool(host.get("AutoRemove")) is removes_itself


def test_labels(client: Client, tmp_path: Path) -> None:
    """Whose it is and for which function."""
    labels = created(client, spec(tmp_path))["Labels"]
    assert labels == {LABEL: "sandbox", OWNER_LABEL: owner(), f"{LABEL}.function": "Hello"}


def test_a_container_to_be_kept_has_no_owner(client: Client, tmp_path: Path) -> None:
    """Or the next start would sweep it away before anybody has looked."""
    assert OWNER_LABEL not in created(client, spec(tmp_path), keep=True)["Labels"]


def test_code_is_mounted_and_cannot_be_written(client: Client, tmp_path: Path) -> None:
    """As it lies there: nothing is copied."""
    mount = mounted(created(client, spec(tmp_path)))["/var/task"]
    assert (mount["Type"], mount["Source"], mount["ReadOnly"]) == ("bind", str(tmp_path / "code"), True)


@pytest.mark.parametrize("folder", ["code", "layer"])
@pytest.mark.parametrize(
    ("mode", "fine"), [(0o755, True), (0o705, True), (0o555, True), (0o750, False), (0o701, False), (0o704, False)]
)
def test_folders_are_for_everybody(tmp_path: Path, folder: str, mode: int, fine: bool) -> None:  # noqa: FBT001 - a column
    """The function runs as another user, who must be able to read and to enter; the way to mend it is told."""
    wanted = spec(tmp_path, "layer")
    (tmp_path / folder).chmod(mode)
    if fine:
        docker_container.check_readable(wanted)
        return
    with pytest.raises(ConfigurationError, match=str(tmp_path / folder)) as caught:
        docker_container.check_readable(wanted)
    assert "chmod" in (caught.value.hint or "")


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
def test_containers_that_are_not_to_be_seen() -> None:
    """Where the engine's process ids are others, or the process is not that container's, nothing could be measured."""
    group = Path("/proc/self/cgroup").read_text().splitlines()[0]
    docker_container.check_visible(os.getpid(), group)
    for pid, container in ((os.getpid(), "c0ffee" * 10), (DEAD, group)):
        with pytest.raises(BackendError, match="/proc"):
            docker_container.check_visible(pid, container)


def test_a_linked_code_folder(client: Client, tmp_path: Path) -> None:
    """The engine gets the folder itself: it may not see the link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "code").symlink_to("real", target_is_directory=True)
    assert mounted(created(client, spec(tmp_path)))["/var/task"]["Source"] == str(tmp_path / "real")


def test_pipes_cannot_be_replaced(client: Client, tmp_path: Path) -> None:
    """The folder of the entry point's pipes is read-only, which pipes do not mind."""
    mount = mounted(created(client, spec(tmp_path)))["/run/preflight"]
    assert (mount["Source"], mount["ReadOnly"]) == ("/var/tmp/pipes", True)


def test_tmp_on_a_disk(client: Client, tmp_path: Path) -> None:
    """The loop device is mounted as ext4, and what the image has in /tmp is not copied into it."""
    mount = mounted(created(client, spec(tmp_path)))["/tmp"]
    options = mount["VolumeOptions"]
    assert mount["Type"] == "volume"
    assert options["NoCopy"] is True
    assert options["DriverConfig"]["Options"]["type"] == "ext4"
    assert options["DriverConfig"]["Options"]["device"] == "/dev/loop7"
    assert not mount.get("ReadOnly")


def test_tmp_without_a_disk(client: Client, tmp_path: Path) -> None:
    """A plain volume, which no memory is spent on either."""
    mount = mounted(created(client, spec(tmp_path), tmp_device=None))["/tmp"]
    assert mount["Type"] == "volume"
    assert "DriverConfig" not in mount.get("VolumeOptions", {})


def test_no_layers(client: Client, tmp_path: Path) -> None:
    """/opt stays the image's."""
    assert "/opt" not in mounted(created(client, spec(tmp_path)))


def test_one_layer(client: Client, tmp_path: Path) -> None:
    """Mounted as it lies."""
    mount = mounted(created(client, spec(tmp_path, "one")))["/opt"]
    assert (mount["Type"], mount["Source"], mount["ReadOnly"]) == ("bind", str(tmp_path / "one"), True)


def test_the_last_layer_wins(client: Client, tmp_path: Path) -> None:
    """Several are one read-only overlay in which a later layer hides an earlier one's files, as on Lambda."""
    mount = mounted(created(client, spec(tmp_path, "one", "two", "three")))["/opt"]
    options = mount["VolumeOptions"]["DriverConfig"]["Options"]
    assert options["type"] == "overlay"
    assert options["o"] == f"ro,lowerdir={tmp_path / 'three'}:{tmp_path / 'two'}:{tmp_path / 'one'}"


def test_a_layer_with_a_colon_in_its_name(client: Client, tmp_path: Path) -> None:
    """It is one folder to the kernel, and so is one with a backslash or a comma."""
    mount = mounted(created(client, spec(tmp_path, "a:b", "c\\d", "e,f")))["/opt"]
    options = mount["VolumeOptions"]["DriverConfig"]["Options"]
    assert options["o"] == f"ro,lowerdir={tmp_path}/e\\,f:{tmp_path}/c\\\\d:{tmp_path}/a\\:b"


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give an empty folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def of_the_dead(text: str) -> str:
    """Give our label or name as a process that is dead would have written it."""
    return text.replace(f"-{os.getpid()}-", f"-{DEAD}-")


@pytest.mark.usefixtures("scratch")
def test_sweeping(client: Client) -> None:
    """Containers and networks of the dead go, those of the living and of others stay."""
    labels = {"dead": of_the_dead(owner()), "ours": owner(), "other": "0" + of_the_dead(owner())}
    client.there = [{"Id": name, "Labels": {LABEL: "sandbox", OWNER_LABEL: label}} for name, label in labels.items()]
    client.there.append({"Id": "unlabelled", "Labels": {LABEL: "sandbox"}})
    client.networks_there = [
        {"Id": "dead-net", "Labels": {OWNER_LABEL: labels["dead"]}},
        {"Id": "our-net", "Labels": {OWNER_LABEL: labels["ours"]}},
        {"Id": "bare-net", "Labels": None},
    ]
    client.volumes_there = [
        {"Name": "dead-disk", "Labels": {OWNER_LABEL: labels["dead"]}},
        {"Name": "our-disk", "Labels": {OWNER_LABEL: labels["ours"]}},
    ]
    docker_container.sweep(client)
    assert client.removed == ["dead", "dead-net", "dead-disk"]


@pytest.mark.parametrize("trouble", [None, ConnectionError("gone"), EngineRefused(500, "no")])
def test_sweeping_folders(client: Client, scratch: Path, trouble: Exception | None) -> None:
    """Those of the dead go, whatever the engine says; ours and other people's stay."""
    client.trouble = trouble
    ours = f"{docker_container.folder_prefix()}abc"
    for name in (ours, of_the_dead(ours), "somebody-else"):
        (scratch / name).mkdir()
        (scratch / name / "log").touch()
    docker_container.sweep(client)
    assert {path.name for path in scratch.iterdir()} == {ours, "somebody-else"}


@pytest.mark.parametrize("act", [docker_container.remove, docker_container.stop])
@pytest.mark.parametrize(("status", "fine"), [(404, True), (409, True), (403, False), (500, False)])
def test_what_is_gone_already_is_fine(
    client: Client,
    act: Callable[[Calls, str], None],
    status: int,
    fine: bool,  # noqa: FBT001 - a column
) -> None:
    """Gone or going counts as done; any other refusal is told."""
    client.trouble = EngineRefused(status, "refused")
    if fine:
        act(client, "c0ffee")
    else:
        with pytest.raises(EngineRefused):
            act(client, "c0ffee")


@pytest.mark.parametrize("act", [docker_container.remove, docker_container.stop])
def test_removing_and_stopping(client: Client, act: Callable[[Calls, str], None]) -> None:
    """The one that was named."""
    act(client, "c0ffee")
    assert client.removed == ["c0ffee"]


def test_address_on_a_network() -> None:
    """Of several networks, the one that was asked for."""
    networks = {"a": {"IPAddress": "172.20.0.2"}, "b": {"IPAddress": "172.21.0.2"}}
    assert docker_container.address_on({"NetworkSettings": {"Networks": networks}}, "b") == "172.21.0.2"


def test_scratch_folder_can_be_written() -> None:
    """Whatever this machine has."""
    assert os.access(docker_container.scratch_folder(), os.W_OK)
    assert Path(docker_container.scratch_folder()).is_dir()


def ended(*, status: int | None, oom: bool = False, inspected: bool = True) -> Exit:
    """How a container ended for which the engine tells these."""
    calls = FakeCalls()
    if status is not None:
        calls.route("POST /containers/c/wait", lambda *_: {"StatusCode": status})
    if inspected:
        calls.route("GET /containers/c/json", lambda *_: {"State": {"OOMKilled": oom, "ExitCode": 0}})
    return docker_container.how_it_ended(calls, "c", None)


@pytest.mark.parametrize("inspected", [True, False], ids=["there", "removed meanwhile"])
def test_a_container_that_was_killed_from_outside(inspected: bool) -> None:  # noqa: FBT001 - a column of the table
    """`docker kill`: told as on Lambda, and not by the 0 that the engine tells in the first moment."""
    assert ended(status=137, inspected=inspected) == Exit(signal=9)
    assert ended(status=None, inspected=False) == Exit(signal=9)


def test_a_container_whose_memory_was_exhausted() -> None:
    """The engine saw the kernel kill its first process."""
    assert ended(status=137, oom=True) == Exit(signal=9, out_of_memory=True)


@pytest.mark.parametrize("status", [0, 125, 136, 138])
def test_a_container_that_ended_by_itself(status: int) -> None:
    """That is none of the function's doing: its entry point waits for us."""
    assert ended(status=status) == Exit(lost=f"the container ended with status {status}")


def test_an_engine_that_does_not_say_how_a_container_ended() -> None:
    """It is the engine's trouble, in its own words where it has some."""
    calls = FakeCalls()
    calls.trouble = ConnectionResetError("gone")
    assert docker_container.how_it_ended(calls, "c", None).lost == "the Docker engine went away (gone)"
    calls.trouble = EngineRefused(500, "no more")
    assert docker_container.how_it_ended(calls, "c", None).lost == "the Docker engine says: no more"


def test_an_engine_that_is_stopped_takes_its_containers_along() -> None:
    """It kills them, which is no signal to the function."""
    calls = FakeCalls()
    calls.route("POST /containers/c/wait", lambda *_: {"StatusCode": 137})
    calls.stopped = True
    assert "engine was stopped" in (docker_container.how_it_ended(calls, "c", None).lost or "")
