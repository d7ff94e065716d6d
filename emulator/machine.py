"""What this machine is, and what else it did while something was measured. Reads /proc; None where it does not tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where figures were measured: what must be the same for two runs to be comparable."""

    system: str
    kernel: str
    architecture: str
    cpu: str
    cpus: int
    cpu_flags: tuple[str, ...] = ()
    """Those that int8 results depend on: avx2, avx512_vnni, amx_int8, …"""
    memory_mb: int | None = None
    timer_hz: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What others did to one stretch of measuring, in percent of all CPUs' time; `notes` say what is worth saying.

    `steal_pct` is time the hypervisor gave to others, `others_pct` CPU time of processes that are not ours,
    `pressure_pct` the share of time that something waited for a CPU (PSI), `throttled_pct` that of the group in which
    the emulator itself runs. `load` is the one-minute load average at the start.
    """

    seconds: float
    steal_pct: float | None = None
    others_pct: float | None = None
    load: float | None = None
    pressure_pct: float | None = None
    throttled_pct: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether nothing was found that makes wall times doubtful; CPU times hold better."""
        return not self.notes
