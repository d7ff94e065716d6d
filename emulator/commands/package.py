"""`preflight package`."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict, Unpack

import click

from emulator import console, settled
from emulator.cli_options import json_option, overrides_option, template_option, unused_backend_option
from emulator.cli_output import note
from emulator.cli_setup import here
from emulator.cli_weight import tell


class PackageOptions(TypedDict):
    """What `preflight package` is told, as click hands it over."""

    name: str
    template_path: Path | None
    parameters: dict[str, str]
    output: Path | None
    strip: bool
    keep: tuple[str, ...]
    drop: tuple[str, ...]
    top: int
    as_json: bool


@click.command
@click.argument("name")
@template_option
@overrides_option
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT.zip", help="Default: NAME.zip here.")
@click.option("--strip", is_flag=True, help="Leave out what `preflight weigh` says is not needed.")
@click.option("--keep", multiple=True, metavar="PACKAGE", help="With --strip: never leave this one out. Repeatable.")
@click.option("--drop", multiple=True, metavar="PACKAGE", help="Leave this one out in any case. Repeatable.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="List N parts.")
@unused_backend_option
@json_option
def package(**options: Unpack[PackageOptions]) -> int:
    """Build the deployment package of the function NAME, reproducibly, and weigh it.

    requirements.txt in the function's CodeUri is installed for the function's runtime and architecture: wheels only,
    with the manylinux tags that its glibc allows. The code is copied over it. A layer whose ContentUri has a
    requirements.txt is built likewise, below python/; any other is taken as it is. OUT.zip is the code's, and
    OUT.LAYER.zip that of a layer, by the name of its folder.

    All modules are compiled by this machine's Python of the function's version, with bytecode that no timestamp makes
    stale; where there is no such Python, the output says so. Bytecode that lies in the code already, and left-overs of
    tools (.git, .venv, caches) are not taken over.

    --strip leaves out installed packages, and parts of them, that nothing imports, tests, stubs, headers, metadata, and
    libraries that nothing names. Licences stay. What is imported by names made at run time cannot be seen: try the
    function, and name what is missing with --keep.

    The same input gives the same bytes: sorted, with one date and uniform modes. Pin versions in requirements.txt, or
    the index decides. uv installs where it is found (pip install uv), else pip does, for functions with the Python that
    runs this command.

    The exit status is that of `preflight weigh`; 2 too when a requirement has no matching wheel.
    """
    from emulator.package.build import Request, build  # noqa: PLC0415 - --help and usage errors need none of it

    path = options["template_path"] or settled.default_path(here())
    config = settled.function(path, options["name"], parameters=options["parameters"], variables=None)
    request = Request(
        output=(options["output"] or here() / f"{config.name}.zip").absolute(),
        strip=options["strip"],
        keep=options["keep"],
        drop=options["drop"],
    )
    with console.Progress(quiet=options["as_json"]) as progress:
        built = build(config, request, progress.say)
    for text in built.notes:
        note(text)
    return tell(built.weight, as_json=options["as_json"], top=options["top"], built=built)
