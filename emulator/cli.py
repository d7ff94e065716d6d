"""The `preflight` command. Data goes to standard output, talk to standard error; exit status as in the contract."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import Final, NoReturn

import click

from emulator import __version__
from emulator.cli_output import OutputClosedError, print_log
from emulator.errors import BackendError, ConfigurationError, Interrupted, PreflightError

# In the order of the help. A command's module is emulator.commands.NAME and holds it by the same name.
COMMANDS: Final = (
    *("invoke", "start-lambda", "weigh", "package", "evaluate"),
    *("gate", "tune", "cost", "calibrate", "doctor"),
)

_NO_FOLDER = "No usable temporary directory"  # how Python words it when every one of them is full
_SIGPIPE_STATUS = 141  # what a shell reports for a program that SIGPIPE ended
_STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_AGAIN_S = 0.002


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
        status = _tell(Interrupted("stopped", hint="Everything that was started has been ended, and is taken away."))
    except PreflightError as error:
        status = _tell(error)
    except OutputClosedError:
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
    print_log(f"error: {error.message}\n")
    if error.hint:
        print_log(f"\nhint: {error.hint}\n")
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


class Commands(click.Group):
    """Commands that are imported when they are called: nobody waits for what another one needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"emulator.commands.{name}"), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="preflight")
def preflight() -> None:
    """Run Lambda functions here under Lambda's own limits, and say with figures whether they fit."""
