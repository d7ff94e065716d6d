"""What a deployment package weighs, and what was found in it: values alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emulator.limits import MIB, Violation

Level = Literal["error", "warning", "info"]
Kind = Literal["package", "folder", "file", "image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An installed distribution, else an entry at the top of the code or of a layer; `archive` says which of them."""

    name: str
    bytes: int
    files: int
    kind: Kind
    archive: str
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWeight:
    """One file, by its path within `archive`."""

    path: str
    bytes: int
    archive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What becomes one zip: the code or a layer; `zipped_bytes` is None where it was not asked for."""

    name: str
    unzipped_bytes: int
    files: int
    zipped_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something to know about the package.

    `error`: it does not load there; `warning`: it costs something; `info`: to know. `subject` names what it is about,
    `paths` are the heaviest of its `count` files, `bytes` what they weigh, `cpu_seconds` what they cost at a cold start
    on one vCPU; both are None where that is not the point. `removable`: `preflight package --strip` leaves it out.
    """

    code: str
    level: Level
    subject: str
    message: str
    hint: str | None = None
    bytes: int | None = None
    cpu_seconds: float | None = None
    paths: tuple[str, ...] = ()
    count: int = 0
    removable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Bytes as Lambda counts them: file sizes, not disk blocks. For an image, `code_bytes` are those of the image.

    `zipped_bytes` are those of the code's zip alone, as uploaded: a layer is uploaded by itself (`archives`).
    `limit_bytes` is the first size that Lambda refuses. `runtime_assumed`:
    it was told by what is in the package. `parts` and `files` are heaviest first.
    """

    name: str
    runtime: str
    architecture: str
    memory_mb: int
    unzipped_bytes: int
    code_bytes: int
    layers_bytes: int
    zipped_bytes: int | None
    limit_bytes: int
    parts: tuple[Part, ...]
    files: tuple[FileWeight, ...]
    archives: tuple[Archive, ...]
    findings: tuple[Finding, ...]
    violations: tuple[Violation, ...]
    file_count: int
    runtime_assumed: bool = False

    @property
    def unzipped_mb(self) -> float:
        """As the metric of that name: in Lambda's MB of 1,024 KB, not rounded."""
        return self.unzipped_bytes / MIB

    @property
    def layers_mb(self) -> float:
        """The same of the layers alone."""
        return self.layers_bytes / MIB

    @property
    def zipped_mb(self) -> float | None:
        """The same of the code's zip."""
        return None if self.zipped_bytes is None else self.zipped_bytes / MIB

    @property
    def refused(self) -> bool:
        """Whether Lambda would refuse it for its size."""
        return bool(self.violations)

    @property
    def loads(self) -> bool:
        """Whether nothing was found that keeps it from loading there."""
        return not any(finding.level == "error" for finding in self.findings)

    @property
    def removable_bytes(self) -> int:
        """What `preflight package --strip` would leave out."""
        return sum(finding.bytes or 0 for finding in self.findings if finding.removable)

    @property
    def headroom_bytes(self) -> int:
        """What may still be added; negative where there is too much."""
        return self.limit_bytes - 1 - self.unzipped_bytes

    @property
    def headroom_pct(self) -> float:
        """The same in percent of the limit."""
        return 100 * self.headroom_bytes / self.limit_bytes
