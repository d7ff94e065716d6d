"""Golden datasets and reference answers: JSON lines, streamed, so that their size does not matter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from emulator.errors import ConfigurationError, QuotaError
from emulator.golden.evaluation import Case
from emulator.limits import check

_SHAPE: Final = 'A case is one line: {"id": "a1", "event": {…}, "expected": …}.'
_ANSWER_SHAPE: Final = (
    'An answer is one line: {"id": "a1", "answer": …}; `preflight evaluate --answers FILE` writes them.'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset that was read once from end to end and is sound; `cases` reads it again, as a stream."""

    path: Path
    sha256: str
    count: int

    def cases(self) -> Iterator[Case]:
        """Case by case; ConfigurationError where the file has changed since it was checked."""
        digest = hashlib.sha256()
        for line, value in _objects(self.path, "dataset", _SHAPE, digest):
            yield _case(self.path, line, value)
        if digest.hexdigest() != self.sha256:
            message = f"the dataset {self.path} has changed while its cases were run"
            raise ConfigurationError(message, hint="Run it again.")


def open_dataset(path: Path) -> Dataset:
    """Check every line before anything runs: ConfigurationError with the line's number where one is broken."""
    digest = hashlib.sha256()
    seen: dict[str, int] = {}
    for line, value in _objects(path, "dataset", _SHAPE, digest):
        case = _case(path, line, value)
        if case.id in seen:
            message = f"{path}, line {line}: the id {case.id!r} is that of line {seen[case.id]} too"
            raise ConfigurationError(message, hint="Every case has an id of its own, or none: then its line is its id.")
        seen[case.id] = line
        for violation in check("request", {"Request": len(event_bytes(case))}):
            raise QuotaError(f"{path}, line {line}: {violation.message}", hint=violation.hint)
    if not seen:
        raise ConfigurationError(f"the dataset {path} has no case", hint=_SHAPE)
    return Dataset(path=path, sha256=digest.hexdigest(), count=len(seen))


def event_bytes(case: Case) -> bytes:
    """The event as it is sent."""
    return json.dumps(case.event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def read_answers(path: Path) -> dict[str, Any]:
    """Case id to answer, from a file that `preflight evaluate --answers` wrote or one like it."""
    found: dict[str, Any] = {}
    for line, value in _objects(path, "reference", _ANSWER_SHAPE, hashlib.sha256()):
        if "id" not in value or "answer" not in value:
            _refuse(path, line, "it has no id or no answer", _ANSWER_SHAPE)
        if str(value["id"]) in found:
            _refuse(path, line, f"the id {str(value['id'])!r} is there already", _ANSWER_SHAPE)
        found[str(value["id"])] = value["answer"]
    if not found:
        raise ConfigurationError(f"the reference {path} has no answer", hint=_ANSWER_SHAPE)
    return found


def _case(path: Path, line: int, value: dict[str, Any]) -> Case:
    for key in ("event", "expected"):
        if key not in value:
            _refuse(path, line, f"it has no {key!r}", _SHAPE)
    identity = value.get("id", str(line))
    if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
        _refuse(path, line, "its id is neither text nor a whole number", _SHAPE)
    return Case(id=str(identity), event=value["event"], expected=value["expected"], line=line)


def _objects(path: Path, what: str, shape: str, digest: hashlib._Hash) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects; empty lines are passed over."""
    try:
        with path.open("rb") as file:
            for line, raw in enumerate(file, start=1):
                digest.update(raw)
                if raw.strip():
                    yield line, _object(path, line, raw, shape)
    except OSError as error:
        hint = f"It was looked for at {path.absolute()}."
        raise ConfigurationError(f"the {what} {path} cannot be read: {error.strerror}", hint=hint) from error


def _object(path: Path, line: int, raw: bytes, shape: str) -> dict[str, Any]:
    try:
        value = json.loads(raw.rstrip().decode("utf-8-sig" if line == 1 else "utf-8"), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        _refuse(path, line, f"it is not JSON: {error.msg} (column {error.colno})", shape)
    except UnicodeDecodeError as error:
        _refuse(path, line, f"it is not UTF-8 at byte {error.start}", shape)
    except (ValueError, RecursionError) as error:  # NaN, an endless number, endless nesting
        _refuse(path, line, f"it is not JSON: {error}", shape)
    if not isinstance(value, dict):
        _refuse(path, line, "it is not a JSON object", shape)
    return value


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _refuse(path: Path, line: int, what: str, shape: str) -> NoReturn:
    raise ConfigurationError(f"{path}, line {line}: {what}", hint=shape)
