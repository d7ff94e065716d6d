"""What an image weighs, as the engine that has it says."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from emulator.limits import check, quota
from emulator.package.weight import Archive, Finding, Part, Weight
from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_engine import connect, engine_errors

UNCOMPRESSED: Final = "Uncompressed image"
_NOT_FOUND: Final = 404


def weigh_image(config: FunctionConfig) -> Weight:
    """The size of all its layers, uncompressed; BackendError where no engine answers."""
    reference = config.image or ""
    engine = connect()
    try:
        with engine_errors(f"the image {reference} was asked for"):
            try:
                told = engine.calls.call("GET", f"/images/{quote(reference, safe='/:@')}/json")
                history = engine.calls.call("GET", f"/images/{quote(reference, safe='/:@')}/history")
            except EngineRefused as refused:
                if refused.status != _NOT_FOUND:
                    raise
                message = f"{config.name}: the engine has no image {reference}"
                raise ConfigurationError(message, hint="Build it, or pull it: none is ever pulled here.") from refused
    finally:
        engine.close()
    return image_weight(config, int(told.get("Size") or 0), history)


def image_weight(config: FunctionConfig, size: int, history: list[dict[str, Any]]) -> Weight:
    """What the engine told, as a weight; the parts are the image's own layers, by the step that made them."""
    layers = [
        Part(
            name=_step(str(layer.get("CreatedBy") or layer.get("Comment") or "layer")),
            bytes=int(layer.get("Size") or 0),
            files=0,
            kind="image",
            archive="image",
        )
        for layer in history
        if layer.get("Size")
    ]
    row = quota(UNCOMPRESSED)
    violations = tuple(check("image", {UNCOMPRESSED: size}))
    return Weight(
        name=config.name,
        runtime=config.runtime,
        architecture=config.architecture,
        memory_mb=config.memory_mb,
        unzipped_bytes=size,
        code_bytes=size,
        layers_bytes=0,
        zipped_bytes=None,
        limit_bytes=(row.maximum or 0) + 1,
        parts=tuple(sorted(layers, key=lambda part: (-part.bytes, part.name))),
        files=(),
        archives=(Archive(name="image", unzipped_bytes=size, files=0),),
        findings=tuple(
            Finding(code="image", level="error", subject=one.message, message=one.hint, bytes=size)
            for one in violations
        ),
        violations=violations,
        file_count=0,
    )


def _step(text: str) -> str:
    """A Dockerfile's line, without the words that the builder puts around it."""
    for before in ("/bin/sh -c #(nop) ", "/bin/sh -c "):
        text = text.removeprefix(before)
    return " ".join(text.split())
