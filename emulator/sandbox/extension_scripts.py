r"""What the entry scripts of both backends have in common where a function has external extensions.

Extensions start at *go*, the runtime at the next line, once they have registered. Each is a child of a shell that
tells how it ended: `STATUS NAME\n`, where the runtime's end is `STATUS\n`.
"""

from __future__ import annotations

from typing import Final

from emulator.sandbox.base import Exit

# "Extensions have access to the function's environment variables, except for" these, which are the runtime's
# ("Using the Lambda Extensions API", AWS Lambda Developer Guide, 2023-05).
WITHHELD: Final = (
    *("AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING"),
    *("AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_AWS_XRAY_DAEMON_ADDRESS"),
    *("_AWS_XRAY_DAEMON_PORT", "_HANDLER"),
)
FORGET: Final = f"unset {' '.join(WITHHELD)}"
_SIGNAL_BASE: Final = 128
_LAST_SIGNAL: Final = 64
_CANNOT: Final = {126, 127}


def parse_end(line: str) -> Exit:
    """One line of a script's as the end of the process it tells of: 128 + n means signal n.

    126 and 127 are the shell's own, for a file that it could not execute.
    """
    told, _, name = line.partition(" ")
    status = int(told)
    extension = name or None
    if 0 < status - _SIGNAL_BASE <= _LAST_SIGNAL:
        return Exit(signal=status - _SIGNAL_BASE, extension=extension)
    error_type = "Extension.LaunchError" if extension is not None and status in _CANNOT else None
    return Exit(status=status, extension=extension, error_type=error_type)
