"""Kernel counters of a container where its control-group files are out of reach: through the engine's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.sandbox.base import Figures

if TYPE_CHECKING:
    from docker import APIClient

_NANO = 1e-9


def engine_figures(api: APIClient, container: str, cgroup_version: str) -> Figures:
    """One reading; on cgroup v2 the engine tells no peak, so the container's own view of its group is asked."""
    stats = api.stats(container, stream=False, one_shot=True)
    memory = stats.get("memory_stats") or {}
    cpu = stats.get("cpu_stats") or {}
    peak = memory.get("max_usage")
    details = memory.get("stats") or {}
    cache = details.get("cache", 0) if cgroup_version == "1" else details.get("file", 0) - details.get("shmem", 0)
    if peak is None and cgroup_version == "2":
        peak = _peak_from_inside(api, container)
    usage = cpu.get("cpu_usage", {}).get("total_usage")
    throttled = cpu.get("throttling_data", {}).get("throttled_time")
    return Figures(
        memory_peak_bytes=None if peak is None else max(0, peak - cache),
        cpu_seconds=None if usage is None else usage * _NANO,
        throttled_seconds=None if throttled is None else throttled * _NANO,
        oom_kills=None,
    )


def _peak_from_inside(api: APIClient, container: str) -> int | None:
    """`memory.peak` as a shell inside the container reads it; None on a kernel older than 5.19, which has none."""
    call = api.exec_create(container, ["/bin/sh", "-c", "read -r n </sys/fs/cgroup/memory.peak && echo $n"])
    text = api.exec_start(call["Id"]).decode().strip()
    return int(text) if text.isdigit() else None
