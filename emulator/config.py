"""One function as Lambda would see it: the settled result of a template, its parameters and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

Architecture = Literal["x86_64", "arm64"]
LogFormat = Literal["Text", "JSON"]
ApplicationLogLevel = Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]
SystemLogLevel = Literal["DEBUG", "INFO", "WARN"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfig:
    """How the function logs. Levels go with JSON alone; `group` is None for Lambda's own, `/aws/lambda/NAME`."""

    format: LogFormat = "Text"
    application_level: ApplicationLogLevel | None = None
    system_level: SystemLogLevel | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AsynchronousConfig:
    """What becomes of an event that nobody waits for; the defaults are Lambda's.

    A destination or a queue is the ARN that the template gives, or what it says there where only AWS knows the ARN.
    """

    retries: int = 2
    max_age_s: int = 21_600
    on_success: str | None = None
    on_failure: str | None = None
    dead_letter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionConfig:
    """Sizes in Lambda's megabytes (1,024 KB), timeout in seconds; `code` and `layers` are unpacked folders.

    `handler` and `runtime` are empty and `image` is set for `PackageType: Image`; `entry_point`, `command` and
    `working_directory` are its `ImageConfig`, empty for what the image itself says.
    """

    name: str
    handler: str
    runtime: str
    code: Path
    architecture: Architecture = "x86_64"
    memory_mb: int = 128
    timeout_s: int = 3
    ephemeral_storage_mb: int = 512
    layers: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    reserved_concurrency: int | None = None
    image: str | None = None
    logging: LoggingConfig = LoggingConfig()
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = ""
    asynchronous: AsynchronousConfig = AsynchronousConfig()
    places: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)
    """Where properties stand in the template, as `FILE:LINE: KEY`; not part of what the function is."""

    def told(self, key: str) -> str:
        """What an error about this property begins with: its place, where it has one, and the function's name."""
        return f"{self.places[key]}: {self.name}" if key in self.places else self.name

    @property
    def cpu_share(self) -> float:
        """vCPUs of this memory size: 1,769 MB is one (Lambda guide, "Configure function memory", 2026-07)."""
        return self.memory_mb / 1769

    def overridden(self, *, memory_mb: int | None = None, timeout_s: int | None = None) -> FunctionConfig:
        """With what the command line says; None leaves the template's value."""
        given = {"MemorySize": memory_mb, "Timeout": timeout_s}
        return replace(
            self,
            places=MappingProxyType({key: place for key, place in self.places.items() if given.get(key) is None}),
            memory_mb=self.memory_mb if memory_mb is None else memory_mb,
            timeout_s=self.timeout_s if timeout_s is None else timeout_s,
        )
