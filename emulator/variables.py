"""The environment variables of a function, as Lambda sets them.

Names and values from a dump of the real service (python3.14, LocalStack's snapshot of 2026-01-12); reserved names, and
what OS-only runtimes do not have, from "Using environment variables", AWS Lambda Developer Guide, 2026-07.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from emulator.errors import ConfigurationError, QuotaError
from emulator.limits import check
from emulator.sandbox.base import OS_ONLY_RUNTIMES

if TYPE_CHECKING:
    from emulator.config import FunctionConfig, LoggingConfig

REGION: Final = "us-east-1"
ACCOUNT: Final = "123456789012"

# Those of OS-only runtimes, to which a language's are added (aws-lambda-base-images, 2026).
_LIBRARIES: Final = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
_PROGRAMS: Final = "/usr/local/bin:/usr/bin/:/bin:/opt/bin"

RESERVED: Final = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)


def function_arn(name: str, qualifier: str | None = None) -> str:
    """The function's ARN in the account and region that every emulated function lives in."""
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    return arn if qualifier is None else f"{arn}:{qualifier}"


def log_stream_name(now: time.struct_time, function: str = "") -> str:
    """`YYYY/MM/DD/[$LATEST]` and 32 hexadecimal digits, one per execution environment.

    In a log group that functions may share, the function's name comes first (a real one of 2026-10-08, stored file
    71517255706: `2026/10/08/tenner-notifier[$LATEST]22be…`).
    """
    return f"{time.strftime('%Y/%m/%d', now)}/{function}[$LATEST]{os.urandom(16).hex()}"


def validate(config: FunctionConfig) -> None:
    """Refuse what Lambda would refuse at deployment: QuotaError for the size, ConfigurationError for a name."""
    measured, where = _measured(config.environment), config.told("Environment")
    for violation in check("configuration", {"Environment": len(measured.encode())}):
        raise QuotaError(f"{where}: {violation.message} String measured: {measured}", hint=violation.hint)
    for name in config.environment:  # the patterns of Lambda's API model (botocore 1.43.11, 2026)
        if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]+", name):
            message = (
                f"{where}: the environment variable {name!r} failed to satisfy constraint: Map keys must satisfy "
                "constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"
            )
            raise ConfigurationError(message, hint="Letters, digits and underscores, two at least, a letter first.")
    taken = reserved(config.environment)
    if taken:
        message = (
            f"{where}: Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(taken)}"
        )
        raise ConfigurationError(message, hint="Lambda sets these itself; choose other names.")


def measured_bytes(variables: Mapping[str, str]) -> int:
    """What the 4 KB quota measures: the variables as a JSON string."""
    return len(_measured(variables).encode())


def _measured(variables: Mapping[str, str]) -> str:
    return json.dumps(dict(variables), separators=(",", ":"), ensure_ascii=False)


def reserved(variables: Mapping[str, str]) -> list[str]:
    """Names that Lambda keeps for itself, sorted."""
    return sorted(variables.keys() & RESERVED)


def _logging_variables(logging: LoggingConfig) -> dict[str, str]:
    """What makes the runtime client write JSON and leave out lower levels; there for the JSON format alone."""
    if logging.format != "JSON":
        return {}
    return {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": logging.application_level or "INFO"}


def function_variables(config: FunctionConfig, now: time.struct_time) -> dict[str, str]:
    """Everything but `AWS_LAMBDA_RUNTIME_API`, which depends on the sandbox.

    The credentials are placeholders, so that an SDK's client can be made; they open nothing. The paths are Lambda's,
    which a backend without a file system of its own replaces.
    """
    return {**_platforms(config, now), **_runtimes(config), **config.environment}


def _platforms(config: FunctionConfig, now: time.struct_time) -> dict[str, str]:
    """What every function has; all that there is for one in an image, whose own variables name the paths."""
    logging = config.logging
    return {
        "AWS_ACCESS_KEY_ID": "PREFLIGHTPLACEHOLDER",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": config.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": logging.group or f"/aws/lambda/{config.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream_name(now, config.name if logging.group else ""),
        **_logging_variables(logging),
        "AWS_REGION": REGION,
        "AWS_SECRET_ACCESS_KEY": "preflight-placeholder",
        "AWS_SESSION_TOKEN": "preflight-placeholder",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
    }


def _runtimes(config: FunctionConfig) -> dict[str, str]:
    """What depends on the runtime. PYTHONPATH is set by the runtime itself, for functions that do not set it."""
    if config.image is not None:
        # From user agents in AWS's own logs of 2025-03 (CloudTrail) and the tests of awslambdaric, 2026-06.
        return {"AWS_EXECUTION_ENV": "AWS_Lambda_Image"}
    common = {
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": _LIBRARIES,
        "PATH": _PROGRAMS,
        "TZ": ":UTC",
        "_HANDLER": config.handler,
    }
    if config.runtime in OS_ONLY_RUNTIMES:
        return common
    return common | {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.runtime}",
        "LC_CTYPE": "C.UTF-8",
        "LD_LIBRARY_PATH": f"/var/lang/lib:{_LIBRARIES}",
        "PATH": f"/var/lang/bin:{_PROGRAMS}",
        "SHLVL": "0",
    }
