"""What every command prints: data to standard output, talk to standard error."""

from __future__ import annotations

from contextlib import suppress

import click

from emulator.errors import ConfigurationError


def note(text: str) -> None:
    """A line that begins with `note: `, for what a person should know and need not act on."""
    print_log(f"note: {text}\n")


def print_log(lines: str) -> None:
    """To standard error, which may be closed."""
    with suppress(OSError, ValueError):  # standard error is closed: nobody wants the log, and the function goes on
        click.echo(lines, err=True, nl=False)


def print_data(text: str) -> None:
    """To standard output; whoever reads it may have had enough (`preflight … | head`)."""
    try:
        click.echo(text)
    except BrokenPipeError as error:
        raise OutputClosedError from error
    except OSError as error:
        message = f"standard output cannot be written: {error.strerror}"
        raise ConfigurationError(message, hint="Where does it go? `df` shows a disk that is full.") from error


class OutputClosedError(Exception):
    """Standard output is closed; not an OSError, which click would turn into exit status 1."""
