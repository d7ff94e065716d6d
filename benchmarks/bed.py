"""What all measurements share: one engine, one base image, the fixtures' handlers, and progress on the terminal."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from emulator.sandbox import image, open_backend
from emulator.sandbox.docker_engine import connect
from emulator.service import LambdaService

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.sandbox.docker_engine import Engine
    from emulator.sandbox.image_find import BaseImage

FUNCTION: Final = "Echo"
HANDLER: Final = "well.echo"
EVENT: Final = b'{"key": "value"}'
# One whole vCPU, so that a quota which the peers do not have is not what is measured.
MEMORY_MB: Final = 1769
TIMEOUT_S: Final = 60
_CODE: Final = Path(__file__).parents[1] / "fixtures" / "functions" / "code"
_ARCHITECTURES: Final[dict[str, Literal["x86_64", "arm64"]]] = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "aarch64": "arm64",
    "arm64": "arm64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """Where everything of one run is measured; `say` tells what is being done, for a person to see."""

    engine: Engine
    base: BaseImage
    runtime: str
    architecture: Literal["x86_64", "arm64"]
    code: Path
    say: Callable[[str], None]

    def function(self, handler: str, memory_mb: int) -> FunctionConfig:
        """One of the fixtures' handlers."""
        return FunctionConfig(
            name=FUNCTION,
            handler=handler,
            runtime=self.runtime,
            architecture=self.architecture,
            code=self.code,
            memory_mb=memory_mb,
            timeout_s=TIMEOUT_S,
        )

    def service(self, config: FunctionConfig) -> LambdaService:
        """A service for one function on the Docker backend; it is a context manager."""
        return LambdaService({config.name: config}, open_backend("docker"))


@contextmanager
def open_bed(say: Callable[[str], None]) -> Iterator[Bed]:
    """The engine that the emulator itself would use, and the image that it would; BackendError where there is none."""
    machine = platform.machine().lower()
    if machine not in _ARCHITECTURES:
        raise ConfigurationError(f"neither SAM nor the emulator runs on {machine}", hint="use x86_64 or arm64")
    architecture = _ARCHITECTURES[machine]
    engine = connect()
    try:
        runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
        base = image.ensure(engine, runtime, architecture, say)
        yield Bed(engine=engine, base=base, runtime=runtime, architecture=architecture, code=_CODE, say=say)
    finally:
        engine.close()
