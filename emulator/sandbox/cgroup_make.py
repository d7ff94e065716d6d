"""Where this process may make control groups of its own, and making one with Lambda's limits.

Groups go to the highest folder that we may write to: as root that is the mount point, as a user with a delegated
subtree on v2 the top of what was delegated. It is the same place for every session of the same user, so that a later
one finds what a killed one left behind. On v2 a group with processes in it cannot have children with controllers,
which leaves out the group we are in, unless it is the root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from emulator.errors import BackendError
from emulator.sandbox.cgroup import V1_CONTROLLERS, ControlGroup, hierarchies_of, remove_tree, write_file
from emulator.sandbox.cgroup_texts import Place

_V2_WANTED = ("memory", "cpu", "pids")


def create(name: str, *, memory_bytes: int, processes: int) -> ControlGroup | None:
    """Make an empty group with a hard limit of memory without swap; None where not one controller can be had.

    What could not be had of it is in the group's `missing`. The CPU is not limited yet.
    """
    hierarchies = hierarchies_of("self")
    if not hierarchies:
        return None
    made = _create_v2(name, hierarchies[""]) if "" in hierarchies else _create_v1(name, hierarchies)
    folders, missing = made
    if not folders:
        return None
    unified = "" in hierarchies
    for controller, limits in _limits(memory_bytes, processes, unified=unified).items():
        if controller not in folders:
            continue
        refused = _apply(folders[controller], limits)
        missing += [f"{controller}: {reason}" for reason in refused]
        if refused and refused[0].startswith(limits[0][0]):
            # The limit itself could not be set; what comes after it in the list is only about swap.
            folder = folders.pop(controller)
            if folder not in folders.values():
                remove_tree(folder)
    return ControlGroup(folders, unified=unified, missing=tuple(missing)) if folders else None


def leftovers(abandoned: Callable[[str], bool]) -> tuple[ControlGroup, ...]:
    """The groups whose name is `abandoned`, in every place where `create` may have put one."""
    hierarchies = hierarchies_of("self")
    found: dict[str, dict[str, Path]] = {}
    for controller, place in hierarchies.items():
        for folder in _from_the_top(place):
            for child in _children(folder):
                if abandoned(child.name):
                    found.setdefault(child.name, {})[controller or "memory"] = child
    return tuple(ControlGroup(folders, unified="" in hierarchies) for folders in found.values())


def _limits(memory_bytes: int, processes: int, *, unified: bool) -> dict[str, list[tuple[str, str, bool]]]:
    """File, value and whether the file may be absent, the decisive file of each controller first."""
    memory, pids = str(memory_bytes), [("pids.max", str(processes), False)]
    if unified:
        return {"memory": [("memory.max", memory, False), ("memory.swap.max", "0", True)], "pids": pids}
    return {
        "memory": [
            ("memory.limit_in_bytes", memory, False),
            ("memory.memsw.limit_in_bytes", memory, True),
            ("memory.swappiness", "0", True),
        ],
        "pids": pids,
    }


def _apply(folder: Path, limits: list[tuple[str, str, bool]]) -> list[str]:
    refused = []
    for name, value, optional in limits:
        try:
            write_file(folder / name, value)
        except FileNotFoundError as error:
            if not optional or _has_swap():
                refused.append(f"{name}: {error.strerror}")
        except OSError as error:
            refused.append(f"{name}: {error.strerror}")
    return refused


def _has_swap() -> bool:
    """Whether the machine could swap at all; without that it does not matter that swap cannot be limited."""
    try:
        return len(Path("/proc/swaps").read_text(encoding="utf-8").splitlines()) > 1
    except OSError:
        return True


def _create_v1(name: str, hierarchies: dict[str, Place]) -> tuple[dict[str, Path], list[str]]:
    folders: dict[str, Path] = {}
    missing = []
    for controller in V1_CONTROLLERS:
        if controller not in hierarchies:
            missing.append(f"{controller}: not mounted")
            continue
        parent = next((folder for folder in _from_the_top(hierarchies[controller]) if os.access(folder, os.W_OK)), None)
        if parent is None:
            missing.append(f"{controller}: may not be written to")
            continue
        try:
            # Controllers that are mounted together share one folder.
            _make(parent / name, shared=parent / name in folders.values())
        except OSError as error:
            missing.append(f"{controller}: {error.strerror}")
        else:
            folders[controller] = parent / name
    return folders, missing


def _create_v2(name: str, place: Place) -> tuple[dict[str, Path], list[str]]:
    parent, had = _best_parent(place)
    if parent is None:
        return {}, []
    _make(parent / name, shared=False)
    missing = [f"{controller}: not delegated to {parent}" for controller in _V2_WANTED if controller not in had]
    return dict.fromkeys((*had, "cpuacct"), parent / name), missing


def _best_parent(place: Place) -> tuple[Path | None, tuple[str, ...]]:
    """The highest folder whose children have every controller, else the one with the most of them."""
    writable = [
        folder
        for folder in _from_the_top(place)
        if os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
    ]
    best: tuple[Path | None, tuple[str, ...]] = None, ()
    for enable in (False, True):  # switching controllers on is the last resort: it changes what is not ours
        for folder in writable:
            had = _controllers(folder, enable=enable)
            if len(had) == len(_V2_WANTED):
                return folder, had
            if len(had) > len(best[1]):
                best = folder, had
    return best


def _controllers(folder: Path, *, enable: bool) -> tuple[str, ...]:
    """Those of the wanted controllers that children of `folder` have, after trying to switch the others on."""
    switch = folder / "cgroup.subtree_control"
    if enable:
        for controller in _words(folder / "cgroup.controllers"):
            if controller in _V2_WANTED and controller not in _words(switch):
                try:
                    write_file(switch, f"+{controller}")
                except OSError:
                    continue  # processes of its own, or not delegated: what was not had is reported by name
    return tuple(controller for controller in _V2_WANTED if controller in _words(switch))


def _make(folder: Path, *, shared: bool) -> None:
    if shared:
        return
    try:
        folder.mkdir()
    except FileExistsError as error:
        raise BackendError(f"the control group {folder} exists already") from error


def _from_the_top(place: Place) -> Iterator[Path]:
    """The mount point, then each folder on the way down to our own group."""
    current = Path(place.point)
    yield current
    for part in place.folder.relative_to(place.point).parts:
        current /= part
        yield current


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []
