"""Packages for tests: trees of files, installed distributions, wheels."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emulator.config import FunctionConfig

Files = Mapping[str, str | bytes | int]
"""Content by path; a number is a size."""


def fill(folder: Path, files: Files) -> Path:
    """Write files by their paths; a number makes a sparse file of that size."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, int):
            with path.open("wb") as file:
                file.truncate(content)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def installed(name: str, version: str, files: Files, *, requires: str = "") -> dict[str, str | bytes | int]:
    """The files of a distribution, with the metadata that an installer leaves."""
    info = f"{name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {one}\n" for one in requires.split())
    metadata = {f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}\nText.\n"}
    record = "".join(f"{path},,\n" for path in [*files, *metadata, f"{info}/RECORD"])
    return {**files, **metadata, f"{info}/RECORD": record, f"{info}/INSTALLER": "pip\n"}


def config_of(
    code: Path, *layers: Path, handler: str = "", runtime: str = "python3.13", memory_mb: int = 128
) -> FunctionConfig:
    """A function of this code."""
    return FunctionConfig(name="F", handler=handler, runtime=runtime, code=code, layers=layers, memory_mb=memory_mb)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel as an index would have it."""

    name: str
    version: str
    files: Mapping[str, str]
    tag: str = "py3-none-any"
    requires: str = ""

    def write(self, folder: Path) -> Path:
        """Put it into a folder that `--find-links` can name."""
        folder.mkdir(parents=True, exist_ok=True)
        info = f"{self.name}-{self.version}.dist-info"
        required = "".join(f"Requires-Dist: {one}\n" for one in self.requires.splitlines())
        about = f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n{required}"
        kind = f"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: {self.tag}\n"
        members = {**self.files, f"{info}/METADATA": about, f"{info}/WHEEL": kind}
        lines = [f"{path},{_digest(text)},{len(text.encode())}" for path, text in members.items()]
        members[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
        path = folder / f"{self.name}-{self.version}-{self.tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in members.items():
                archive.writestr(member, text)
        return path


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
