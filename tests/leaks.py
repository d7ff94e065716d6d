"""What sandboxes leave on a machine, seen from outside: nothing of it may be there after the tests that was not before.

Things that another live process holds are not ours to judge: a second run beside this one, or one of its workers.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from emulator.errors import BackendError
from emulator.sandbox import cgroup_make, docker_container, docker_engine
from emulator.sandbox.owner import abandoned, name_prefix, orphaned, owner

PREFIX = "lambda-preflight-"
SETTLE_S = 10.0  # the engine removes some things after it has answered
MARK = "AWS_LAMBDA_RUNTIME_API"


@pytest.fixture(scope="session", autouse=True)
def no_leaks() -> Iterator[None]:
    """The whole run leaves no container, volume, network, loop device, folder, control group, process or task."""
    before = traces()
    yield
    assert left_since(before) == set()
    assert unfinished_tasks() == []


def unfinished_tasks() -> list[str]:
    """Coroutines that an event loop left behind: asyncio would complain of each when it is collected."""
    tasks = [found for found in gc.get_objects() if issubclass(type(found), asyncio.Task)]
    return [repr(task) for task in tasks if not task.done()]


def left_since(before: set[str], look: Callable[[], set[str]] | None = None) -> set[str]:
    """What is there now, was not there before and does not go away within seconds; empty when nothing leaked."""
    limit = time.monotonic() + SETTLE_S
    while left := (look or traces)() - before:
        if time.monotonic() > limit:
            break
        time.sleep(0.1)
    return left


def traces() -> set[str]:
    """Everything of ours on this machine that no other live process answers for, each as `kind name`."""
    held = held_elsewhere()
    found = {f"folder {path}" for path in folders() if answered_for_by_us(path.name)}
    found |= {f"loop device {path}" for path in loop_devices() if path not in held}
    found |= {f"control group {name}" for name in control_groups()}
    found |= {f"process {process}" for process in orphans()}
    return found | engine_traces()


def engine_traces() -> set[str]:
    """Containers, networks and volumes on the engine, if one answers."""
    try:
        engine = docker_engine.connect()
        client = engine.client
    except BackendError:
        return set()
    try:
        label = {"label": docker_container.LABEL}
        labelled = [
            *(("container", found) for found in client.api.containers(all=True, filters=label)),
            *(("network", found) for found in client.api.networks(filters=label)),
            *(("volume", found) for found in client.api.volumes(filters=label)["Volumes"] or ()),
        ]
        # A volume without a name of ours is a leak once no container uses it.
        dangling = client.api.volumes(filters={"dangling": True})["Volumes"] or ()
    finally:
        engine.close()
    ours = {
        f"{kind} {found.get('Id') or found['Name']}"
        for kind, found in labelled
        if ours_or_nobodys((found.get("Labels") or {}).get(docker_container.OWNER_LABEL, ""))
    }
    return ours | {f"volume {found['Name']}" for found in dangling}


def ours_or_nobodys(label: str) -> bool:
    """Whether the owner's label names this process or a dead one."""
    return label == owner() or orphaned(label)


def answered_for_by_us(name: str) -> bool:
    """Whether the name of a folder or a control group says that this process made it, or a dead one, or nobody."""
    return owner() in name or abandoned(name) or not re.search(r"-[0-9a-f]{12}-[0-9]+-[0-9]+-", name)


def folders() -> list[Path]:
    """Temporary folders of every kind of sandbox."""
    return [path for base in (tempfile.gettempdir(), "/var/tmp") for path in Path(base).glob(f"{PREFIX}*")]


def loop_devices() -> set[str]:
    """Loop devices that are bound to a file."""
    blocks = Path("/sys/block").glob("loop*/loop/backing_file")
    return {f"/dev/{path.parts[3]}" for path in blocks}


def control_groups() -> set[str]:
    """Groups of the process backend whose maker is dead or ourselves."""
    found = cgroup_make.leftovers(lambda name: name.startswith(name_prefix("process")) or abandoned(name))
    names = {next(iter(group.folders.values())).name for group in found}
    for group in found:
        group.close()
    return names


def orphans() -> set[str]:
    """Runtime processes without a container that are our children or nobody's."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.ppid() in {1, os.getpid()} and MARK in process.environ():
                found.add(f"{process.pid} {' '.join(process.cmdline())[:120]}")
    return found


def held_elsewhere() -> set[str]:
    """Paths that some other process has open."""
    held = set()
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with suppress(OSError):
            for descriptor in os.scandir(f"/proc/{process.pid}/fd"):
                with suppress(OSError):
                    held.add(str(Path(descriptor.path).readlink()))
    return held
