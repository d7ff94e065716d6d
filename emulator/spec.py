"""What a function's sandbox is to be, and how many of them this machine has room for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emulator import variables
from emulator.errors import PreflightError
from emulator.sandbox.base import SandboxSpec

if TYPE_CHECKING:
    from emulator.config import FunctionConfig

_ASSUMED_MEMORY_MB: Final = 1024  # where the machine does not tell how much is free


def fit_in_memory(memory_mb: int) -> int:
    """How many environments of this size could run at once in what the machine has free; at least one."""
    return max(1, free_memory_mb() // memory_mb)


def free_memory_mb() -> int:
    """What the machine could give without swapping; 1,024 where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except FileNotFoundError:  # not Linux
        lines = []
    available = [int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")]
    return available[0] if available else _ASSUMED_MEMORY_MB


def sandbox_spec(config: FunctionConfig) -> SandboxSpec:
    """The function as a backend sees it."""
    return SandboxSpec(
        function_name=config.name,
        handler=config.handler,
        runtime=config.runtime,
        code=config.code,
        layers=config.layers,
        memory_mb=config.memory_mb,
        cpu_share=config.cpu_share,
        tmp_mb=config.ephemeral_storage_mb,
        environment=variables.function_variables(config, time.gmtime()),
        architecture=config.architecture,
        image=config.image,
        entry_point=config.entry_point,
        command=config.command,
        working_directory=config.working_directory,
        extensions=_extensions(config.layers) if config.layers else (),
    )


@contextmanager
def placed(config: FunctionConfig) -> Iterator[None]:
    """Name function, file, line and key in errors of those who know but the property's value."""
    try:
        yield
    except PreflightError as error:
        if error.about is not None:
            error.place(config.told(error.about))
        raise


def _extensions(layers: tuple[Path, ...]) -> tuple[str, ...]:
    """The files of `/opt/extensions`, in the order of their names; the layers are laid over each other."""
    names: set[str] = set()
    for layer in layers:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(layer / "extensions") as entries:
            names.update(entry.name for entry in entries if not entry.is_dir())
    return tuple(sorted(names))
