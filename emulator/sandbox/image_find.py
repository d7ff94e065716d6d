"""Looks up base images on the engine: what they are called, and how ours are told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_engine import Engine, engine_errors

Progress = Callable[[str], None]

LOCAL_REPOSITORY = "lambda-preflight/python"
LABEL = "dev.lambda-preflight.image"
# The engine's names of architectures (which are Go's) and the machine's own, to Lambda's.
MACHINE_NAMES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """What a sandbox starts from: `id` to run, and `command`, to which the handler's name is appended."""

    id: str
    origin: Literal["aws", "local"]
    reference: str
    python: str
    command: tuple[str, ...]


def inspect_all(engine: Engine, references: Sequence[str]) -> list[Mapping[str, Any] | None]:
    """What the engine tells of each image, None for one it does not have; all are asked for at once."""
    with engine_errors(f"the engine was asked for {', '.join(references)}"):
        pending = [engine.calls.begin("GET", f"/images/{reference}/json") for reference in references]
        seen: list[Mapping[str, Any] | None] = []
        for call in pending:
            try:
                seen.append(call.result())
            except EngineRefused as refused:
                if refused.status != _NOT_FOUND:
                    raise
                seen.append(None)
        return seen


def reference_of(python: str, key: str) -> str:
    """Our image's name for an X.Y and the key of its content."""
    return f"{LOCAL_REPOSITORY}:{python}-{key[:12]}"


def if_ours(seen: Mapping[str, Any] | None, key: str) -> Mapping[str, Any] | None:
    """The image, if its label holds the whole key: a name alone proves nothing."""
    labels = (seen["Config"].get("Labels") or {}) if seen is not None else {}
    return seen if labels.get(LABEL) == key else None
