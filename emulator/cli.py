"""The `preflight` command. Data goes to standard output, talk to standard error; exit status as in the contract."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TypedDict, Unpack

import click

from emulator import __version__, console, settled
from emulator.cli_options import (
    backend_option,
    idle_option,
    network_option,
    overrides_option,
    template_option,
    variables_option,
)
from emulator.errors import BackendError, ConfigurationError, Interrupted, PreflightError, QuotaError
from emulator.limits import check, quota
from emulator.sandbox import Choice, open_backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.config import FunctionConfig
    from emulator.sandbox.base import Backend, Ending
    from emulator.service import LambdaService

_NO_FOLDER = "No usable temporary directory"  # how Python words it when every one of them is full
_SIGPIPE_STATUS = 141  # what a shell reports for a program that SIGPIPE ended
_STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_AGAIN_S = 0.002
_COLD_BATCH = 8  # environments made ready at once: making more disturbs the one that is measured


def main() -> NoReturn:
    """Run the command line and end the process with its exit status."""
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGINT:  # nohup has SIGHUP ignored
            signal.signal(number, _stop)
    status = _run()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # it is full; what was worth a failure has been told
            if stream is not None:  # closed by whoever started us
                stream.flush()
    # Everything is closed by now; what the interpreter would still tidy takes as long as a warm invocation many times.
    os._exit(status)


def _run() -> int:
    """The one place where an error is printed."""
    try:
        status = preflight.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = ConfigurationError.exit_code
    except (KeyboardInterrupt, click.Abort):
        status = _tell(Interrupted("stopped", hint="Everything that was started has been taken away again."))
    except PreflightError as error:
        status = _tell(error)
    except _OutputClosedError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = _SIGPIPE_STATUS
    except Exception as error:  # noqa: BLE001 - told whole, with the exit status of our own faults
        status = _unforeseen(error)
    return status if isinstance(status, int) else 0


def _unforeseen(error: Exception) -> int:
    if isinstance(error, OSError) and (error.errno == errno.ENOSPC or _NO_FOLDER in str(error)):
        return _tell(BackendError("the disk is full", hint="Free some disk space; `df` shows where."))
    import traceback  # noqa: PLC0415 - for this alone

    traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}"
    return _tell(PreflightError(f"this is a fault of ours: {what}", hint="Please report it, with the lines above."))


def _tell(error: PreflightError) -> int:
    _print_log(f"error: {error.message}\n")
    if error.hint:
        _print_log(f"\nhint: {error.hint}\n")
    return error.exit_code


def _stop(_number: int, frame: FrameType | None) -> None:
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        # There, an exception can be lost (callbacks of weak references swallow it) or leave half a module behind.
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        return
    # What follows is a second of tidying up; a second Ctrl-C would leave a container behind.
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="preflight")
def preflight() -> None:
    """Run Lambda functions here under Lambda's own limits, and say with figures whether they fit."""


@preflight.command()
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
    config = _function(options)
    payload = read_event(options["event"])
    gc.enable()
    as_json, cold, repeat = options["as_json"], options["cold"], options["repeat"]
    with console.Progress(quiet=as_json) as progress, _service(config, options, progress) as service:
        service.prepare(config.name, min(_COLD_BATCH, repeat) if cold else 1)
        progress.done()
        if not as_json:
            _print_log(console.capability_line(service.backend) + "\n")
            for note in console.notes(config, service.backend):
                _note(note)
        failed = False
        for number in range(repeat):
            if cold and number and number % _COLD_BATCH == 0:
                service.prepare(config.name, min(_COLD_BATCH, repeat - number))
            result = service.invoke(config.name, payload, fresh=cold)
            if cold:
                service.retire(config.name)
            failed = failed or not result.ok
            if as_json:
                _print(console.json_line(console.result_object(result, config, service.backend)))
            else:
                _print_log(console.cpu_line(result.usage) + "\n")
                if result.error is not None:
                    _print_log(console.error_line(result.error) + "\n")
                _print(result.body.decode("utf-8", "replace"))
    return 1 if failed else 0


@preflight.command("start-lambda")
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
    import traceback  # noqa: PLC0415 - see below

    from emulator import start_lambda as server  # noqa: PLC0415 - needed by this command alone
    from emulator import template  # noqa: PLC0415 - see above

    path = options["template_path"] or settled.default_path(_here())
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
        ready=lambda address: _print(f"Listening on {address}"),
        url=lambda name, address: _print(f"URL of {name}: {address}"),
        note=_note,
        log=_print_log,
        fault=lambda error: _print_log("".join(traceback.format_exception(error))),
    )

    def backend() -> Backend:
        opened = _backend(options, _note, ending="remove")
        _print_log(console.capability_line(opened) + "\n")
        for note in server.notes(found, opened, settings):
            _note(note)
        return opened

    server.serve(found, settings, backend, voice)


@preflight.command()
@template_option
@backend_option
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
def doctor(template_path: Path | None, backend: Choice, as_json: bool) -> int:  # noqa: FBT001 - click hands flags over by name
    """Say what this machine can enforce and what it cannot, and how to mend it."""
    from emulator import doctor as examination  # noqa: PLC0415 - needed by this command alone
    from emulator import template  # noqa: PLC0415 - see above

    functions = template.load(template_path).all() if template_path is not None else ()
    findings = examination.examine(backend, functions)
    click.echo(json.dumps(findings.as_dict()) if as_json else examination.as_text(findings))
    return 0 if findings.usable else 3


def read_event(source: str | None) -> bytes:
    """The event's bytes, checked to be JSON: a file, standard input for `-`, `{}` for None."""
    if source is None:
        return b"{}"
    label = "standard input" if source == "-" else source
    if source == "-" and sys.stdin is None:
        raise ConfigurationError("standard input is closed, so it holds no event", hint="See -e/--event.")
    try:
        raw = _read_some(sys.stdin.buffer) if source == "-" else _read_file(Path(source))
    except OSError as error:
        hint = "-e takes a file; pipe the JSON itself into `-e -`." if source.lstrip()[:1] in {"{", "["} else "See -e."
        raise ConfigurationError(f"the event {label} cannot be read: {error.strerror}", hint=hint) from error
    for violation in check("request", {"Request": len(raw)}):
        raise QuotaError(violation.message, hint=violation.hint)
    hint = "An event is one JSON document in UTF-8: an object, a list, a string, a number, true, false or null."
    if not raw.strip():
        raise ConfigurationError(f"the event {label} is empty", hint=hint)
    try:
        json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        message = f"the event {label} is not UTF-8: {error.reason} at byte {error.start}"
        raise ConfigurationError(message, hint=hint) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError(f"the event {label} is not JSON: {error.msg} ({where})", hint=hint) from error
    except (ValueError, RecursionError) as error:  # an endless number, endless nesting
        raise ConfigurationError(f"the event {label} is not JSON that Lambda reads: {error}", hint=hint) from error
    return raw


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _read_some(file)


def _read_some(file: BinaryIO) -> bytes:
    """One byte more than Lambda takes is enough to know that it is too much: the rest may have no end."""
    return file.read((quota("Request").maximum or 0) + 1)


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        message = "the current folder does not exist any more"
        raise ConfigurationError(message, hint="Name a template by its whole path: --template FILE") from error


def _function(options: InvokeOptions) -> FunctionConfig:
    path = options["template_path"] or settled.default_path(_here())
    config = settled.function(path, options["name"], parameters=options["parameters"], variables=options["variables"])
    return config.overridden(memory_mb=options["memory_mb"], timeout_s=options["timeout_s"])


def _service(config: FunctionConfig, options: InvokeOptions, progress: console.Progress) -> LambdaService:
    """The service for one function; the function is checked before a backend is sought."""
    from emulator.service import LambdaService, validate  # noqa: PLC0415 - --help and usage errors need none of it

    validate(config)
    backend = _backend(options, progress.say, ending="leave")
    on_log = None if options["as_json"] else _print_log
    # One call follows another here, and then the environment is gone: it is never idle.
    return LambdaService({config.name: config}, backend, on_log=on_log, freeze=False)


def _backend(options: InvokeOptions | StartOptions, on_progress: Callable[[str], None], *, ending: Ending) -> Backend:
    return open_backend(
        options["backend"],
        network=options["network"],
        ending="keep" if os.environ.get("PREFLIGHT_KEEP_SANDBOX") else ending,
        on_progress=on_progress,
        on_fallback=lambda why: _note(f"{why}; using the process backend"),
    )


def _note(text: str) -> None:
    _print_log(f"note: {text}\n")


def _print_log(lines: str) -> None:
    with suppress(OSError, ValueError):  # standard error is closed: nobody wants the log, and the function goes on
        click.echo(lines, err=True, nl=False)


def _print(text: str) -> None:
    """To standard output; whoever reads it may have had enough (`preflight … | head`)."""
    try:
        click.echo(text)
    except BrokenPipeError as error:
        raise _OutputClosedError from error
    except OSError as error:
        message = f"standard output cannot be written: {error.strerror}"
        raise ConfigurationError(message, hint="Where does it go? `df` shows a disk that is full.") from error


class _OutputClosedError(Exception):
    """Standard output is closed; not an OSError, which click would turn into exit status 1."""
