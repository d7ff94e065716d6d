"""The AWS SDK, which Lambda's Python runtimes bring along (guide, "Python runtimes", 2026-07): ours, lent on."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

# Pure Python throughout, so that one copy serves every version of Python.
_DISTRIBUTIONS = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3")


def sdk_version() -> str | None:
    """The version of boto3 that functions find; None where the emulator's environment has none."""
    try:
        return metadata.version("boto3")
    except metadata.PackageNotFoundError:
        return None


def sdk_files() -> Iterator[tuple[str, Path]]:
    """Path below site-packages and file; of the metadata only what `importlib.metadata` needs to tell the version."""
    if sdk_version() is None:
        return
    for distribution in _DISTRIBUTIONS:
        for entry in metadata.distribution(distribution).files or ():
            described = entry.parts[0].endswith(".dist-info")
            if entry.parts[0] == ".." or "__pycache__" in entry.parts or (described and entry.name != "METADATA"):
                continue
            yield str(entry), Path(str(entry.locate()))


def sdk_entries() -> dict[str, Path]:
    """Top-level names of site-packages and where they lie, for an environment that may link to them."""
    if sdk_version() is None:
        return {}
    found = {}
    for distribution in _DISTRIBUTIONS:
        described = metadata.distribution(distribution)
        for name in {entry.parts[0] for entry in described.files or ()} - {"..", "__pycache__"}:
            found[name] = Path(str(described.locate_file(name)))
    return found
