"""Looks up base images on the engine: what they are called, and how ours are told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_engine import Engine, engine_errors

Progress = Callable[[str], None]

LOCAL_REPOSITORY = "lambda-preflight"
LABEL = "dev.lambda-preflight.image"
# The engine's names of architectures (which are Go's) and the machine's own, to Lambda's.
MACHINE_NAMES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """What a sandbox starts from: `id` to run, and the `command` in it, empty where the package brings the program.

    `python` is X.Y of the interpreter in /var/lang, empty where there is none; `variables` are names that it sets.
    """

    id: str
    origin: Literal["aws", "local", "function"]
    reference: str
    python: str
    command: tuple[str, ...]
    folder: str = "/var/task"
    variables: frozenset[str] = frozenset()


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


def repository_and_tag(runtime: str) -> tuple[str, str]:
    """AWS's names for a runtime's image: `python` and `3.12` for python3.12, `provided` and `al2023` for the other."""
    family = "python" if runtime.startswith("python") else "provided"
    return family, runtime.removeprefix(family).removeprefix(".")


def reference_of(runtime: str, key: str) -> str:
    """Our image's name for a runtime and the key of its content."""
    repository, tag = repository_and_tag(runtime)
    return f"{LOCAL_REPOSITORY}/{repository}:{tag}-{key[:12]}"


def if_ours(seen: Mapping[str, Any] | None, key: str) -> Mapping[str, Any] | None:
    """The image, if its label holds the whole key: a name alone proves nothing."""
    labels = (seen["Config"].get("Labels") or {}) if seen is not None else {}
    return seen if labels.get(LABEL) == key else None
