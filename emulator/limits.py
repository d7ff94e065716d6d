"""Lambda's quotas as rows, each with AWS's own error text where one is recorded, and one function that checks them.

Source of every row unless it says otherwise: "Lambda quotas", AWS Lambda Developer Guide, 2026-10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Stage = Literal["configuration", "package", "upload", "image", "request", "response"]

MIB: Final = 1024 * 1024
INIT_LIMIT_S: Final = 10.0
CPU_PERIOD_US: Final = 20_000
OPEN_FILES: Final = 1024
UNLIMITED: Final = -1
# Soft and hard limits of each process, by getrlimit's names, as dumped at 128 MB on python3.12 (LocalStack's snapshot
# of 2025-11-24); what is not here is unlimited there. NPROC is `processes`.
RESOURCE_LIMITS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "core": (10 * 1024 * MIB, 10 * 1024 * MIB),
        "memlock": (64 * 1024, 64 * 1024),
        "nofile": (OPEN_FILES, OPEN_FILES),
        "stack": (8 * MIB, UNLIMITED),
    }
)
_PROCESSES: Final = 1024
_PROCESSES_AT_LEAST_MEMORY: Final = 742
_LEAST_MEMORY_MB: Final = 128
SANDBOX_UID: Final = 993
SANDBOX_GID: Final = 990


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One limit; `minimum` and `maximum` are the last values that Lambda accepts, in `unit`."""

    name: str
    stage: Stage
    minimum: int | None
    maximum: int | None
    unit: str
    message: str
    source: str

    def admits(self, value: int) -> bool:
        """Whether Lambda would accept this value."""
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A quota and the value that broke it."""

    quota: Quota
    value: int

    @property
    def message(self) -> str:
        """AWS's text with our value filled in."""
        quota = self.quota
        return quota.message.format(value=self.value, minimum=quota.minimum, maximum=quota.maximum)

    @property
    def hint(self) -> str:
        """The accepted range in words."""
        quota = self.quota
        if quota.minimum is None:
            accepted = f"at most {quota.maximum:,} {quota.unit}"
        else:
            accepted = f"{quota.minimum:,} to {quota.maximum:,} {quota.unit}"
        return f"{quota.name} may be {accepted} ({quota.source})."


_GUIDE: Final = "Lambda quotas, AWS Lambda Developer Guide, 2026-10"
_RECORDED: Final = "recorded against AWS on 2025-11-25"

QUOTAS: Final = (
    Quota(
        name="MemorySize",
        stage="configuration",
        minimum=128,
        maximum=10_240,
        unit="MB",
        message="'memorySize' value {value} failed to satisfy constraint: must be between {minimum} and {maximum}",
        source=_GUIDE,
    ),
    Quota(
        name="Timeout",
        stage="configuration",
        minimum=1,
        maximum=900,
        unit="s",
        message="'timeout' value {value} failed to satisfy constraint: must be between {minimum} and {maximum}",
        source=_GUIDE,
    ),
    Quota(
        name="EphemeralStorage",
        stage="configuration",
        minimum=512,
        maximum=10_240,
        unit="MB",
        message="'ephemeralStorage.size' value {value} failed to satisfy constraint: "
        "must be between {minimum} and {maximum}",
        source=_GUIDE,
    ),
    Quota(
        name="Layers",
        stage="configuration",
        minimum=0,
        maximum=5,
        unit="layers",
        message="Cannot reference more than {maximum} layers.",
        source=_RECORDED,
    ),
    Quota(
        name="Handler",
        stage="configuration",
        minimum=0,
        maximum=128,
        unit="characters",
        message="'handler' has {value} characters, which failed to satisfy constraint: at most {maximum}",
        source="Lambda API model (botocore 1.43.11, 2026)",
    ),
    Quota(
        name="Environment",
        stage="configuration",
        minimum=0,
        maximum=4096,
        unit="bytes of JSON",
        message="Lambda was unable to configure your environment variables because the environment variables "
        "you have provided exceeded the 4KB limit.",
        source=_RECORDED,
    ),
    Quota(
        name="MaximumRetryAttempts",
        stage="configuration",
        minimum=0,
        maximum=2,
        unit="retries",
        message="'maximumRetryAttempts' value {value} failed to satisfy constraint: "
        "must be between {minimum} and {maximum}",
        source="Lambda API model (botocore 1.43.11, 2026)",
    ),
    Quota(
        name="MaximumEventAgeInSeconds",
        stage="configuration",
        minimum=60,
        maximum=21_600,
        unit="s",
        message="'maximumEventAgeInSeconds' value {value} failed to satisfy constraint: "
        "must be between {minimum} and {maximum}",
        source="Lambda API model (botocore 1.43.11, 2026)",
    ),
    Quota(
        name="Unzipped package with layers",
        stage="package",
        minimum=0,
        maximum=250 * MIB - 1,
        unit="bytes",
        message="Unzipped size must be smaller than 262144000 bytes",
        source=_RECORDED,
    ),
    Quota(
        name="Zipped package, uploaded directly",
        stage="upload",
        minimum=0,
        maximum=50 * MIB - 1,
        unit="bytes",
        message="Zipped size must be smaller than 52428800 bytes",
        source=_RECORDED,
    ),
    Quota(
        name="Uncompressed image",
        stage="image",
        minimum=0,
        maximum=10 * 1024 * MIB,
        unit="bytes",
        message="the image has {value} bytes with all its layers, and may have {maximum}",
        source=_GUIDE,
    ),
    Quota(
        name="Request",
        stage="request",
        minimum=0,
        maximum=6 * MIB,
        unit="bytes",
        message="Request must be smaller than {maximum} bytes for the InvokeFunction operation",
        source="reports of the message, latest 2026-09-10",
    ),
    Quota(
        name="Asynchronous request",
        stage="request",
        minimum=0,
        maximum=MIB,
        unit="bytes",
        message="{value} byte payload is too large for the Event invocation type (limit {maximum} bytes)",
        source="the size since 2025-10; reports of the message with that limit and with the one before",
    ),
    Quota(
        name="Response",
        stage="response",
        minimum=0,
        maximum=6 * MIB + 100,
        unit="bytes",
        message="Response payload size exceeded maximum allowed payload size ({maximum} bytes).",
        source="recorded against AWS on 2025-11-24",
    ),
    Quota(
        name="Streamed response",
        stage="response",
        minimum=0,
        maximum=200 * MIB,
        unit="bytes",
        message="Response payload size exceeded maximum allowed payload size ({maximum} bytes).",
        source="the size since 2025-07-31; the sentence is that of the buffered limit, none is recorded",
    ),
)


def processes(memory_mb: int) -> int:
    """Processes and threads that a function may have at once: 1,024, but 742 at 128 MB.

    742 is the RLIMIT_NPROC dumped there on 2025-11-24 (LocalStack's snapshot); no other size was looked at. It is held
    as a limit of the whole sandbox, since the kernel counts an rlimit over all sandboxes of a user together.
    """
    return _PROCESSES_AT_LEAST_MEMORY if memory_mb == _LEAST_MEMORY_MB else _PROCESSES


def quota(name: str) -> Quota:
    """The row of that name; KeyError where there is none."""
    for row in QUOTAS:
        if row.name == name:
            return row
    raise KeyError(name)


def check(stage: Stage, values: Mapping[str, int]) -> Iterator[Violation]:
    """Every quota of the stage that a value breaks, in the table's order; names without a row are an error."""
    rows = {row.name: row for row in QUOTAS if row.stage == stage}
    unknown = values.keys() - rows.keys()
    if unknown:
        raise KeyError(*sorted(unknown))
    for name, row in rows.items():
        if name in values and not row.admits(values[name]):
            yield Violation(quota=row, value=values[name])
