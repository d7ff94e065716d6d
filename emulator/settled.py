"""Functions of a template, settled once and remembered until the template changes.

Reading YAML and settling a template takes longer than creating a container. Nothing is remembered where values came
from elsewhere than the template: parameters and environment files may hold what should not lie in a cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from emulator import cache
from emulator.config import AsynchronousConfig, FunctionConfig, LoggingConfig
from emulator.errors import ConfigurationError

DEFAULT_NAMES: Final = ("template.yaml", "template.yml", "template.json")
_PLAIN: Final = (
    *("name", "handler", "runtime", "architecture", "memory_mb", "timeout_s", "ephemeral_storage_mb"),
    *("reserved_concurrency", "image", "entry_point", "command", "working_directory"),
)
_TUPLES: Final = ("entry_point", "command")


def default_path(folder: Path) -> Path:
    """The template in this folder: template.yaml, .yml or .json, the first that is there."""
    for name in DEFAULT_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise ConfigurationError(
        f"no template in {folder}: looked for {', '.join(DEFAULT_NAMES)}", hint="Name one: --template FILE"
    )


def function(path: Path, name: str, *, parameters: Mapping[str, str], variables: Path | None) -> FunctionConfig:
    """The function of this logical id or `FunctionName`, `variables` being the environment file of `sam local`."""
    plain = not parameters and variables is None
    question = f"{path}\n{path.absolute()}\n{name}"  # the first is what errors call it
    if plain and (kept := cache.recall(question)) is not None:
        config = _from_text(kept)
        # A folder that is missing is better told by the template, which knows the line.
        if all(folder.is_dir() for folder in (config.code, *config.layers)):
            return config
    from emulator import template  # noqa: PLC0415 - this is what is saved

    stamps = cache.stamps([path])

    loaded = template.load(path, parameters=parameters)
    environment = template.load_environment_file(variables, loaded.aliases, name) if variables else {}
    config = loaded.find(name, environment=environment)
    if plain:
        cache.remember(question, _to_text(config), stamps)
    return config


def _to_text(config: FunctionConfig) -> str:
    values: dict[str, Any] = {name: getattr(config, name) for name in _PLAIN}
    values["code"] = str(config.code)
    values["layers"] = [str(layer) for layer in config.layers]
    values["environment"] = dict(config.environment)
    values["places"] = dict(config.places)
    values["logging"] = asdict(config.logging)
    values["asynchronous"] = asdict(config.asynchronous)
    return json.dumps(values)


def _from_text(text: str) -> FunctionConfig:
    values = json.loads(text)
    values["code"] = Path(values["code"])
    values["layers"] = tuple(Path(layer) for layer in values["layers"])
    values["environment"] = MappingProxyType(values["environment"])
    values["places"] = MappingProxyType(values["places"])
    values["logging"] = LoggingConfig(**values["logging"])
    for name in _TUPLES:  # JSON has lists alone
        values[name] = tuple(values[name])
    values["asynchronous"] = AsynchronousConfig(**values["asynchronous"])
    return FunctionConfig(**values)
