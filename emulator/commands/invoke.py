"""`preflight invoke`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from emulator import console
from emulator.cli_events import read_event
from emulator.cli_options import backend_option, network_option, overrides_option, template_option, variables_option
from emulator.cli_output import note, print_data, print_log
from emulator.cli_setup import backend, function
from emulator.sandbox import Choice

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.service import LambdaService

_COLD_BATCH = 8  # environments made ready at once: making more disturbs the one that is measured


class InvokeOptions(TypedDict):
    """What `preflight invoke` is told, as click hands it over."""

    name: str
    template_path: Path | None
    parameters: dict[str, str]
    event: str | None
    variables: Path | None
    memory_mb: int | None
    timeout_s: int | None
    repeat: int
    cold: bool
    network: str | None
    backend: Choice
    as_json: bool


@click.command
@click.argument("name")
@template_option
@overrides_option
@click.option("-e", "--event", "event", metavar="FILE", help="Event as JSON, - for standard input (default: {}).")
@variables_option
@click.option("--memory", "memory_mb", type=int, metavar="MB", help="Instead of the template's MemorySize.")
@click.option("--timeout", "timeout_s", type=int, metavar="S", help="Instead of the template's Timeout.")
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, metavar="N", help="Invoke N times: once cold, then warm."
)
@click.option("--cold", is_flag=True, help="With --repeat: a new execution environment each time.")
@network_option
@backend_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per invocation instead of payload and log.")
def invoke(**options: Unpack[InvokeOptions]) -> int:
    """Invoke the function NAME of the template: once cold, then warm.

    The payload goes to standard output, the log as CloudWatch shows it to standard error. The exit status is 1 when
    the function failed.
    """
    config = function(options).overridden(memory_mb=options["memory_mb"], timeout_s=options["timeout_s"])
    payload = read_event(options["event"])
    gc.enable()
    as_json, cold, repeat = options["as_json"], options["cold"], options["repeat"]
    with console.Progress(quiet=as_json) as progress, _service(config, options, progress) as service:
        service.prepare(config.name, min(_COLD_BATCH, repeat) if cold else 1)
        progress.done()
        if not as_json:
            print_log(console.capability_line(service.backend) + "\n")
            for text in console.notes(config, service.backend):
                note(text)
        failed = False
        for number in range(repeat):
            if cold and number and number % _COLD_BATCH == 0:
                service.prepare(config.name, min(_COLD_BATCH, repeat - number))
            result = service.invoke(config.name, payload, fresh=cold)
            if cold:
                service.retire(config.name)
            failed = failed or not result.ok
            if as_json:
                print_data(console.json_line(console.result_object(result, config, service.backend)))
            else:
                print_log(console.cpu_line(result.usage) + "\n")
                if result.error is not None:
                    print_log(console.error_line(result.error) + "\n")
                print_data(result.body.decode("utf-8", "replace"))
    return 1 if failed else 0


def _service(config: FunctionConfig, options: InvokeOptions, progress: console.Progress) -> LambdaService:
    """The service for one function; the function is checked before a backend is sought."""
    from emulator.service import LambdaService, validate  # noqa: PLC0415 - --help and usage errors need none of it

    validate(config)
    opened = backend(options["backend"], progress.say, ending="leave", network=options["network"])
    on_log = None if options["as_json"] else print_log
    # One call follows another here, and then the environment is gone: it is never idle.
    return LambdaService({config.name: config}, opened, on_log=on_log, freeze=False)
