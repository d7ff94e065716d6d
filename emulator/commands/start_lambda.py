"""`preflight start-lambda`."""

from __future__ import annotations

import gc
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from emulator import console, settled, template
from emulator.cli_options import (
    backend_option,
    idle_option,
    network_option,
    overrides_option,
    template_option,
    variables_option,
)
from emulator.cli_output import note, print_data, print_log
from emulator.cli_setup import backend, here
from emulator.sandbox import Choice
from emulator.serving import start_lambda as server

if TYPE_CHECKING:
    from emulator.sandbox.base import Backend


class StartOptions(TypedDict):
    """What `preflight start-lambda` is told."""

    template_path: Path | None
    parameters: dict[str, str]
    variables: Path | None
    host: str
    port: int
    concurrency: int
    retry_scale: float
    idle_s: float
    destinations: Path | None
    urls: tuple[str, ...]
    all_urls: bool
    network: str | None
    backend: Choice


@click.command("start-lambda")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all of them.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=3001, show_default=True, help="Port to listen on; 0 is any."
)
@template_option
@overrides_option
@variables_option
@click.option(
    "--concurrency",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    metavar="N",
    help="The account's limit of invocations at once.",
)
@click.option(
    "--retry-scale",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="F",
    help="Multiplies Lambda's waits before it tries an event again: 1 min, then 2 min.",
)
@click.option(
    "--destinations",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Keep what would go to destinations and dead-letter queues, as JSON lines.",
)
@click.option("--function-url", "urls", multiple=True, metavar="NAME", help="Give this function a URL; repeatable.")
@click.option("--function-urls", "all_urls", is_flag=True, help="Give every function a URL.")
@idle_option
@network_option
@backend_option
def start_lambda(**options: Unpack[StartOptions]) -> None:
    """Serve the Invoke API for every function of the template, for any AWS client.

    Says `Listening on http://HOST:PORT` on standard output once it takes calls, then `URL of NAME: http://HOST:PORT/`
    for each function with a URL, and ends at Ctrl-C or SIGTERM.
    """
    path = options["template_path"] or settled.default_path(here())
    found = server.catalogue(template.load(path, parameters=options["parameters"]), options["variables"])
    gc.enable()
    settings = server.Settings(
        host=options["host"],
        port=options["port"],
        concurrency=options["concurrency"],
        retry_scale=options["retry_scale"],
        reap_after_s=options["idle_s"],
        destinations=options["destinations"],
        urls=options["urls"],
        all_urls=options["all_urls"],
    )
    found = server.with_urls(found, settings)
    voice = server.Voice(
        ready=lambda address: print_data(f"Listening on {address}"),
        url=lambda name, address: print_data(f"URL of {name}: {address}"),
        note=note,
        log=print_log,
        fault=lambda error: print_log("".join(traceback.format_exception(error))),
    )

    def opened() -> Backend:
        found_backend = backend(options["backend"], note, ending="remove", network=options["network"])
        print_log(console.capability_line(found_backend) + "\n")
        for text in server.notes(found, found_backend, settings):
            note(text)
        return found_backend

    server.serve(found, settings, opened, voice)
