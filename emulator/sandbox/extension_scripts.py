r"""What both backends have in common where a function has external extensions: which may start, and their scripts.

Extensions start at *go*, the runtime at the next line, once they have registered. Each is a child of a shell that
tells how it ended: `STATUS NUMBER\n`, counted from 1 in the order of their names; the runtime's end is `STATUS\n`.

Words from logs of AWS's: `fork/exec …: permission denied` and `no such file or directory` (aws-samples/
aws-lambda-extensions issues 38 and 54, 2021); those of too many from AWS's runtime interface emulator, 2026-01.
"""

from __future__ import annotations

from typing import Final

from emulator.sandbox.base import EXTENSIONS_FOLDER, Exit, SandboxSpec
from emulator.sandbox.entrypoint import refusal

MOST: Final = 10
""""Lambda quotas": extensions, AWS Lambda Developer Guide, 2026-10."""
LAUNCH_ERROR: Final = "Extension.LaunchError"
TOO_MANY: Final = "ErrTooManyExtensions"
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


def refused(spec: SandboxSpec) -> Exit | None:
    """The first that Lambda could not start, since it starts them in the order of their names and stops there.

    What an image has is not looked at, but for how many they are.
    """
    for number, name in enumerate(spec.extensions):
        if number == MOST:
            return Exit(extension=name, error_type=LAUNCH_ERROR, said=TOO_MANY)
        for layer in reversed(spec.layers):
            here = layer / "extensions" / name
            if here.exists():
                why = refusal(f"{EXTENSIONS_FOLDER}/{name}", here, spec.architecture)
                if why is not None:
                    return Exit(extension=name, error_type=LAUNCH_ERROR, said=why)
                break
    return None


def parse_end(line: str, names: tuple[str, ...]) -> Exit:
    """One line of a script's as the end of the process it tells of: 128 + n means signal n."""
    told, _, number = line.partition(" ")
    status = int(told)
    extension = names[int(number) - 1] if number else None
    if 0 < status - _SIGNAL_BASE <= _LAST_SIGNAL:
        return Exit(signal=status - _SIGNAL_BASE, extension=extension)
    return Exit(status=status, extension=extension)
