"""The program that a function starts with, and why Lambda could not start it.

Words and types are those of AWS's supervisor, which is written in Go: "Couldn't find valid bootstrap(s)" from the
guide, "Troubleshoot invocation issues", 2026, and a report against AWS of 2024-02 (aws-lambda-dotnet#1671); `fork/exec`
and the system's own words from reports against AWS of 2021 to 2023 (ruby-runtime-interface-client#13, buz#489).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from emulator.sandbox.base import SandboxSpec

ABSENT: Final = "no such file or directory"
DENIED: Final = "permission denied"
FOREIGN: Final = "exec format error"

_NONE: Final = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
_EVERYBODY_EXECUTES: Final = 0o001
_HEAD: Final = 256  # longer than any `#!` line that the kernel takes
_ELF_MACHINE: Final = struct.Struct("<16xHH")
# <elf.h>: EM_X86_64 and EM_AARCH64.
_MACHINES: Final[Mapping[str, int]] = MappingProxyType({"x86_64": 62, "arm64": 183})
# What /var/runtime/bootstrap of AWS's Python images does (python3.10 and 3.11, read 2026-11), in its words and with its
# statuses; 127 is recorded against AWS too (LocalStack's snapshot of 2025-11-24).
_WRAPPED: Final = (
    '[ -f "$0" ] || { echo "$0: does not exist"; exit 127; }; '
    '[ -x "$0" ] || { echo "$0: is not an executable"; exit 126; }; exec "$0" "$@"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A custom runtime's program: its path in the sandbox, the same file here, and why it could not be started."""

    inside: str
    here: Path
    refusal: str | None = None


def find_bootstrap(spec: SandboxSpec) -> Bootstrap:
    """The package's own, else the last layer's that has one ("Building a custom runtime", Lambda guide, 2026-07).

    The images of OS-only runtimes have none in /var/runtime, where their own supervisor would look first.
    """
    for inside, here in _places(spec):
        if here.is_dir() or not os.path.lexists(here):
            continue
        return Bootstrap(inside=inside, here=here, refusal=refusal(inside, here, spec.architecture))
    return Bootstrap(inside="/var/task/bootstrap", here=spec.code / "bootstrap", refusal=_NONE)


def could_not_start(path: str, reason: str) -> str:
    """As Go words a program that did not start; one without a slash was looked for on the PATH."""
    if "/" not in path:
        return f'exec: "{path}": executable file not found in $PATH'
    return f"fork/exec {path}: {reason}"


def wrapped(command: tuple[str, ...], wrapper: str) -> tuple[str, ...]:
    """The command started by the script that AWS_LAMBDA_EXEC_WRAPPER names."""
    return ("/bin/sh", "-c", _WRAPPED, wrapper, *command)


def _places(spec: SandboxSpec) -> Iterator[tuple[str, Path]]:
    yield "/var/task/bootstrap", spec.code / "bootstrap"
    for layer in reversed(spec.layers):
        yield "/opt/bootstrap", layer / "bootstrap"


def refusal(inside: str, here: Path, architecture: str) -> str | None:
    """What the kernel would say to this program, None where nothing.

    Asked here since a shell says less, and runs what is no program at all.
    """
    try:
        mode = here.stat().st_mode
        with here.open("rb") as file:
            head = file.read(_HEAD)
    except PermissionError:
        return could_not_start(inside, DENIED)
    except OSError:
        return None  # a link that leads somewhere in the sandbox only
    # Lambda unpacks as root and runs as another user.
    if not mode & _EVERYBODY_EXECUTES:
        return could_not_start(inside, DENIED)
    if head.startswith(b"#!"):
        # The kernel takes the carriage return of a file from Windows for a part of the interpreter's name.
        broken = head.partition(b"\n")[0].endswith(b"\r")
        return could_not_start(inside, ABSENT) if broken else None
    if head.startswith(b"\x7fELF") and len(head) >= _ELF_MACHINE.size:
        _, machine = _ELF_MACHINE.unpack_from(head)
        return None if machine == _MACHINES.get(architecture) else could_not_start(inside, FOREIGN)
    return could_not_start(inside, FOREIGN)
