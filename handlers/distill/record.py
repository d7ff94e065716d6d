"""What a step leaves behind: which data, versions, settings and seed gave which scores, and in what time."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy", "datasets")
RECORD = "record.json"


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Of Python and of what is installed among the packages that shape a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once, so that a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_text(text, "utf-8")
    scratch.replace(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def write_lines(path: Path, objects: Iterable[Mapping[str, Any]]) -> None:
    """One object a line."""
    write_whole(path, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Where a run lies, where its data lies (None: on the hub) and by which name `transformers` finds its teacher."""

    run: Path
    data: Path | None
    teacher: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The account of one step, begun when it is made; seconds of earlier, interrupted runs are not counted."""

    step: str
    settings: Mapping[str, Any]
    inputs: Iterable[Path]
    begun: float = field(default_factory=time.monotonic)

    def write(self, folder: Path, scores: Mapping[str, Any], outputs: Iterable[Path] = ()) -> None:
        """Write `record.json`, whose presence says that the step is done."""
        account = {
            "step": self.step,
            "seconds": round(time.monotonic() - self.begun, 1),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "settings": dict(self.settings),
            "scores": dict(scores),
            "inputs": {path.name: sha256(path) for path in self.inputs},
            "outputs": {path.name: sha256(path) for path in outputs},
            "versions": versions(),
            "machine": platform.machine(),
        }
        write_whole(folder / RECORD, json.dumps(account, indent=1, default=str) + "\n")


def done(folder: Path) -> dict[str, Any] | None:
    """The record of a finished step, None where it has not finished."""
    try:
        account: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return account
