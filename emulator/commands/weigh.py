"""`preflight weigh`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

import click

from emulator import console, settled
from emulator.cli_options import json_option, overrides_option, template_option, unused_backend_option
from emulator.cli_setup import here
from emulator.cli_weight import tell
from emulator.config import Architecture, FunctionConfig
from emulator.errors import ConfigurationError


class WeighOptions(TypedDict):
    """What `preflight weigh` is told, as click hands it over."""

    target: str
    template_path: Path | None
    parameters: dict[str, str]
    runtime: str | None
    architecture: Architecture | None
    handler: str | None
    memory_mb: int | None
    zipped: bool
    top: int
    as_json: bool


@click.command
@click.argument("target", metavar="NAME|PATH")
@template_option
@overrides_option
@click.option("--runtime", metavar="NAME", help="Instead of the template's; for a PATH, else its modules' Python.")
@click.option("--architecture", type=click.Choice(["x86_64", "arm64"]), help="Instead of the template's.")
@click.option("--handler", metavar="MODULE.FUNCTION", help="For a PATH: where imports are followed from.")
@click.option("--memory", "memory_mb", type=int, metavar="MB", help="Instead of the template's MemorySize.")
@click.option(
    "--zip/--no-zip", "zipped", default=True, show_default=True, help="Compress all, to say how large the zip is."
)
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="List N parts.")
@unused_backend_option
@json_option
def weigh(**options: Unpack[WeighOptions]) -> int:
    """Weigh the deployment package of the function NAME, or a folder or zip at PATH, against Lambda's limits.

    Code and layers count together, unzipped: 262,144,000 bytes are refused. A zip of 52,428,800 is refused where it is
    uploaded directly and not through S3. An image may have 10 GB, uncompressed.

    The zipped size is measured: every file is compressed at level 6, one entry each, as `sam` does; what a file came to
    is kept in the cache until it changes. --no-zip leaves it out, for speed.

    What the handler imports is followed from its source, through code and layers; what is installed and never imported
    is told, and so are tests, stubs, headers, stale bytecode, and libraries that nothing names. Compiled code and names
    made at run time cannot be followed: where they may import something, it is listed apart.

    "Loads there" looks at compiled files: machine, glibc (2.26 up to python3.11, 2.34 from python3.12 on), Python ABI,
    libraries, musl; and at permissions, links, and names that differ in case alone.

    The exit status is 0 when all is fine, 1 when something would not load there, 2 when a quota refuses it.
    """
    config = resolve(options)
    from emulator.package import weigh as weigh_package  # noqa: PLC0415 - --help and usage errors need none of it

    with console.Progress(quiet=options["as_json"]) as progress:
        weight = weigh_package(config, zipped=options["zipped"], on_progress=progress.say)
    return tell(weight, as_json=options["as_json"], top=options["top"])


def resolve(options: WeighOptions) -> FunctionConfig:
    """A function of the template by that name, else what lies at that path."""
    target = options["target"]
    path = Path(target)
    is_path = os.sep in target or target.endswith(".zip") or target in {".", ".."}
    config = None if is_path else _function(options, path)
    if config is None:
        if not path.exists():
            raise ConfigurationError(
                f"there is no {target}", hint="Name a function of the template, a folder or a zip."
            )
        config = FunctionConfig(name=target, handler="", runtime="", code=path)
    return replace(
        config,
        handler=options["handler"] or config.handler,
        runtime=options["runtime"] or config.runtime,
        architecture=options["architecture"] or config.architecture,
        memory_mb=config.memory_mb if options["memory_mb"] is None else options["memory_mb"],
    )


def _function(options: WeighOptions, path: Path) -> FunctionConfig | None:
    """None where only the path can be meant: there is no such function, or no template at all."""
    template_path = options["template_path"]
    try:
        found = template_path or settled.default_path(here())
        return settled.function(found, options["target"], parameters=options["parameters"], variables=None)
    except ConfigurationError:
        if template_path is None and path.exists():
            return None
        raise
