"""Functions as GetFunction, GetFunctionConfiguration and ListFunctions describe them.

Members and their forms from the API's model (botocore 1.43, 2026). What only AWS could know is a placeholder of the
right form: the role, and the ARNs of layers, which are called by the names of their folders.
"""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emulator.variables import ACCOUNT, REGION, function_arn

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.url_config import FunctionUrlConfig

LATEST: Final = "$LATEST"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/lambda-preflight"

_GIB: Final = 1024**3
_CODE_STORAGE: Final = 300 * _GIB  # "Lambda quotas", AWS Lambda Developer Guide, 2026-10
_UNZIPPED: Final = 262_144_000
_ZIPPED: Final = 52_428_800
_READ_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFacts:
    """A folder of code as it lies there: the hash is of names and contents, the size that of the unpacked files."""

    sha256: str
    size: int
    modified: datetime


def code_facts(folder: Path) -> CodeFacts:
    """Read all of the folder."""
    digest, size, newest = hashlib.sha256(), 0, 0.0
    for path in sorted(_files(folder)):
        status = path.lstat()
        digest.update(f"{path.relative_to(folder)}\0".encode("utf-8", "surrogateescape"))
        if path.is_symlink():
            digest.update(os.fsencode(path.readlink()))
        elif path.is_file():
            with suppress(PermissionError), path.open("rb") as file:  # its name, size and time have to do
                while part := file.read(_READ_BYTES):
                    digest.update(part)
        size += status.st_size
        newest = max(newest, status.st_mtime)
    newest = newest or folder.stat().st_mtime
    return CodeFacts(
        sha256=base64.b64encode(digest.digest()).decode("ascii"),
        size=size,
        modified=datetime.fromtimestamp(newest, tz=UTC),
    )


def image_facts(reference: str, folder: Path) -> CodeFacts:
    """An image's, as far as they are known without the engine: AWS has its digest there, here its name stands for it.

    Nothing of it is counted as code; `folder` is the template's, for the date.
    """
    return CodeFacts(
        sha256=hashlib.sha256(reference.encode()).hexdigest(),
        size=0,
        modified=datetime.fromtimestamp(folder.stat().st_mtime, tz=UTC),
    )


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]  # a run leaves it, and changes nothing by it
        yield from (Path(parent, name) for name in names)


def configuration(config: FunctionConfig, code: CodeFacts, layers: Mapping[Path, int]) -> dict[str, Any]:
    """The members of FunctionConfiguration; `layers` has the size of each layer's folder."""
    targets = config.asynchronous
    document: dict[str, Any] = {
        "FunctionName": config.name,
        "FunctionArn": function_arn(config.name),
        "Role": ROLE,
        "CodeSize": code.size,
        "Description": "",
        "Timeout": config.timeout_s,
        "MemorySize": config.memory_mb,
        "LastModified": f"{code.modified:%Y-%m-%dT%H:%M:%S}.{code.modified.microsecond // 1000:03}+0000",
        "CodeSha256": code.sha256,
        "Version": LATEST,
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{code.sha256} {config!r}")),
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip" if config.image is None else "Image",
        "Architectures": [config.architecture],
        "EphemeralStorage": {"Size": config.ephemeral_storage_mb},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": _logging(config),
    }
    if config.image is None:
        document |= {"Runtime": config.runtime, "Handler": config.handler}
    elif overriding := _image_config(config):
        document["ImageConfigResponse"] = {"ImageConfig": overriding}
    if config.environment:
        document["Environment"] = {"Variables": dict(config.environment)}
    if config.layers:
        document["Layers"] = [{"Arn": _layer_arn(layer), "CodeSize": layers[layer]} for layer in config.layers]
    if targets.dead_letter is not None and targets.dead_letter.startswith("arn:"):
        document["DeadLetterConfig"] = {"TargetArn": targets.dead_letter}
    return document


def _logging(config: FunctionConfig) -> dict[str, str]:
    """The levels are there for the JSON format alone."""
    logging = config.logging
    levels = {"ApplicationLogLevel": logging.application_level, "SystemLogLevel": logging.system_level}
    return {
        "LogFormat": logging.format,
        **{name: level for name, level in levels.items() if level is not None},
        "LogGroup": logging.group or f"/aws/lambda/{config.name}",
    }


def _image_config(config: FunctionConfig) -> dict[str, Any]:
    given = {
        "EntryPoint": list(config.entry_point),
        "Command": list(config.command),
        "WorkingDirectory": config.working_directory,
    }
    return {name: value for name, value in given.items() if value}


def function(config: FunctionConfig, described: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of GetFunction around a FunctionConfiguration; the code lies where it lies."""
    document: dict[str, Any] = {"Configuration": described}
    if config.image is None:
        document["Code"] = {"RepositoryType": "S3", "Location": config.code.as_uri()}
    else:
        document["Code"] = {"RepositoryType": "ECR", "ImageUri": config.image, "ResolvedImageUri": config.image}
    if config.reserved_concurrency is not None:
        document["Concurrency"] = {"ReservedConcurrentExecutions": config.reserved_concurrency}
    return document


def function_url(name: str, url: FunctionUrlConfig, address: str, created: datetime) -> dict[str, Any]:
    """The answer of GetFunctionUrlConfig."""
    document: dict[str, Any] = {
        "FunctionUrl": address,
        "FunctionArn": function_arn(name),
        "AuthType": url.auth_type,
        "InvokeMode": url.invoke_mode,
        "CreationTime": f"{created:%Y-%m-%dT%H:%M:%S.%f}Z",
        "LastModifiedTime": f"{created:%Y-%m-%dT%H:%M:%S.%f}Z",
    }
    if url.cors is not None:
        lists = {
            "AllowHeaders": url.cors.allow_headers,
            "AllowMethods": url.cors.allow_methods,
            "AllowOrigins": url.cors.allow_origins,
            "ExposeHeaders": url.cors.expose_headers,
        }
        document["Cors"] = {key: list(values) for key, values in lists.items() if values}
        document["Cors"]["AllowCredentials"] = url.cors.allow_credentials
        if url.cors.max_age_s is not None:
            document["Cors"]["MaxAge"] = url.cors.max_age_s
    return document


def account_settings(*, concurrency: int, unreserved: int, code_size: int, functions: int) -> dict[str, Any]:
    """The answer of GetAccountSettings: Lambda's default quotas, and what these functions take of them."""
    return {
        "AccountLimit": {
            "TotalCodeSize": _CODE_STORAGE,
            "CodeSizeUnzipped": _UNZIPPED,
            "CodeSizeZipped": _ZIPPED,
            "ConcurrentExecutions": concurrency,
            "UnreservedConcurrentExecutions": unreserved,
        },
        "AccountUsage": {"TotalCodeSize": code_size, "FunctionCount": functions},
    }


def _layer_arn(folder: Path) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{folder.name or 'layer'}:1"
