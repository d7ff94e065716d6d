"""Ends what runs in sandboxes without a container when the emulator is killed: nobody else would, until the next start.

A shell outside every sandbox reads a pipe that only the emulator holds, so it notices at once, however the emulator
died. PR_SET_PDEATHSIG would not do: it follows the thread that forked, and neither children nor what is frozen die of
it. A shell in each sandbox would not do either: it would be the function's child, memory and process.
"""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from emulator.sandbox.cgroup import ControlGroup

# The last line that comes is `end` where all went well. Process groups come as `+ ID` and go as `- ID`; control groups
# are found by their names: the arguments are the beginnings of their paths, and what freezes and thaws one there.
# Frozen, so that nothing forks while it is killed; on v1 what is frozen dies only once it is thawed.
_WATCH: Final = """
trap '' HUP INT TERM
groups=
while read -r word id; do
  case $word in
    end) exit 0 ;;
    +) groups="$groups $id" ;;
    -) left=; for group in $groups; do [ "$group" = "$id" ] || left="$left $group"; done; groups=$left ;;
  esac
done
for group in $groups; do kill -9 "-$group"; done
for folder in "$1"*; do
  [ -d "$folder" ] || continue
  freezer=$2${folder#"$1"}/$3
  tries=500
  while read -r id <"$folder/cgroup.procs" && [ "$tries" -gt 0 ]; do
    [ ! -w "$freezer" ] || echo "$4" >"$freezer"
    while read -r id; do kill -9 "$id"; done <"$folder/cgroup.procs"
    [ ! -w "$freezer" ] || echo "$5" >"$freezer"
    tries=$((tries - 1))
    sleep 0.01
  done
done
"""
_NOWHERE: Final = Path("/nonexistent")
_END_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The folders in which control groups are made: those that list processes, and those that freeze; None for none."""

    groups: Path | None
    freezers: Path | None
    unified: bool

    @classmethod
    def of(cls, group: ControlGroup) -> Places:
        """Where this one lies, and all others of its maker."""
        folders = group.folders
        listed = folders.get("memory") or next(iter(folders.values()))
        freezers = listed if group.unified else folders.get("freezer")
        return cls(groups=listed.parent, freezers=None if freezers is None else freezers.parent, unified=group.unified)


class Guard:
    """Runs from its making to `close`; `prefix` begins the names of this process's control groups."""

    def __init__(self, prefix: str, places: Places) -> None:
        freezer = ("cgroup.freeze", "1", "0") if places.unified else ("freezer.state", "FROZEN", "THAWED")
        beginnings = [str((folder or _NOWHERE) / prefix) for folder in (places.groups, places.freezers)]
        self._lock = threading.Lock()
        read, self._pipe = os.pipe()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, "preflight-guard", *beginnings, *freezer],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath},
                start_new_session=True,  # a Ctrl-C is for the emulator
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(read)

    def watch(self, group: int) -> None:
        """A process group that has no control group of its own has begun."""
        self._tell(f"+ {group}")

    def forget(self, group: int) -> None:
        """It is about to end: from now on its id may become another's."""
        self._tell(f"- {group}")

    def close(self) -> None:
        """End without ending anything."""
        self._tell("end")
        with self._lock:
            pipe, self._pipe = self._pipe, -1
        if pipe < 0:
            return
        os.close(pipe)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:  # somebody has stopped it, and it is of no use any more
            self._process.kill()
            self._process.wait()

    def _tell(self, line: str) -> None:
        # Where somebody has killed it, the next start finds what is left, as it would have without it.
        with self._lock, suppress(BrokenPipeError):
            if self._pipe >= 0:
                os.write(self._pipe, f"{line}\n".encode())
