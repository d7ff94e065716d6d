"""Everything that one run has to show, as values; how it looks is in `report.text`, `report.json` and their kin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from emulator.evidence import Evidence
from emulator.gates.verdicts import Verdict
from emulator.machine import Disturbance, Machine
from emulator.metrics import Measurement
from emulator.sandbox.base import Capabilities

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReport:
    """One function: what was gathered, what was computed from it, and how it was judged."""

    name: str
    evidence: Evidence
    measurements: tuple[Measurement, ...]
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a verdict makes the run fail."""
        return any(verdict.failed for verdict in self.verdicts)

    def measurement(self, name: str) -> Measurement:
        """The one of that name; KeyError where the table has none."""
        return {one.name: one for one in self.measurements}[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run. `versions` are those of the emulator, Python, the runtime client and the engine.

    `started` has a time zone; `seed` is that of the resampling. `baseline` names the file that was compared with.
    """

    started: datetime
    seconds: float
    seed: int
    machine: Machine
    backend: str
    capabilities: Capabilities
    versions: Mapping[str, str]
    functions: tuple[FunctionReport, ...]
    disturbance: Disturbance | None = None
    baseline: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the exit status is 1."""
        return any(function.failed for function in self.functions)
