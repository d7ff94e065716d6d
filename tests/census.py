"""What one running `preflight start-lambda` holds on this machine, counted from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import psutil
from docker.errors import NotFound

from emulator.sandbox import cgroup_make, docker_container, docker_engine
from tests.leaks import folders


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Numbers of things that belong to one emulator; `mounts` are the host's, of its containers' file systems."""

    processes: int
    threads: int
    files: int
    sockets: int
    loop_devices: int
    containers: int
    mounts: int
    control_groups: int
    folders: int

    def __str__(self) -> str:
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in asdict(self).items())

    def beyond(self, other: Census, slack: int = 0) -> dict[str, int]:
        """What there is more of here than in the other one, by more than `slack`."""
        names = [field.name for field in fields(self)]
        more = {name: getattr(self, name) - getattr(other, name) for name in names}
        return {name: count for name, count in more.items() if count > slack}


def census(pid: int) -> Census:
    """Count for the emulator that is, or was, this process."""
    found = containers(pid)
    merged = [str((one["GraphDriver"]["Data"] or {}).get("MergedDir", "-")) for one in found]
    mounted = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    links = list(_descriptors(pid))
    groups = cgroup_make.leftovers(lambda name: f"-{pid}-" in name)
    for group in groups:
        group.close()
    return Census(
        processes=len(_family(pid)),
        threads=_threads(pid),
        files=len(links),
        sockets=sum(link.startswith("socket:") for link in links),
        loop_devices=sum(link.startswith("/dev/loop") and link != "/dev/loop-control" for link in links),
        containers=len(found),
        mounts=sum(path in mounted for path in merged),
        control_groups=len(groups),
        folders=sum(f"-{pid}-" in path.name for path in folders()),
    )


def containers(pid: int) -> list[dict[str, Any]]:
    """Those of this emulator, dead ones too, as the engine describes them."""
    with _api() as api:
        listed = api.containers(all=True, filters={"label": docker_container.LABEL})
        label = docker_container.OWNER_LABEL
        ours = [one["Id"] for one in listed if f"-{pid}-" in one["Labels"].get(label, "")]
        found = []
        for one in ours:
            with suppress(NotFound):  # gone since
                found.append(api.inspect_container(one))
        return found


def kill_container(container: str) -> None:
    """SIGKILL to its first process, as anybody with the engine's command line can."""
    with _api() as api:
        api.kill(container, "SIGKILL")


@contextmanager
def _api() -> Iterator[Any]:
    engine = docker_engine.connect()
    try:
        yield engine.client.api
    finally:
        engine.close()


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _threads(pid: int) -> int:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).num_threads()
    return 0


def _descriptors(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                yield str(Path(entry.path).readlink())
