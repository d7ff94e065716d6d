"""What the shell inside a container printed, taken apart."""

from __future__ import annotations

import pytest

from emulator.sandbox.cgroup_texts import figures_from_texts
from emulator.sandbox.docker_figures import parse

MIB = 1024 * 1024
STATUS = "Name:\tpython3.11\nVmHWM:\t   20480 kB\nRssAnon:\t    8192 kB\nRssFile:\t   10240 kB\nRssShmem:\t       0 kB"
V2 = f"""=/sys/fs/cgroup/memory.peak
{60 * MIB}
=/sys/fs/cgroup/memory.stat
anon {8 * MIB}
file {40 * MIB}
shmem 0
=/sys/fs/cgroup/memory.events
oom 1
oom_kill 1
=/sys/fs/cgroup/cpu.stat
usage_usec 2000000
throttled_usec 500000
=/proc/7/status
{STATUS}
=/proc/7/io
read_bytes: 0
write_bytes: 4096
"""
V1 = f"""=/sys/fs/cgroup/memory/memory.max_usage_in_bytes
{60 * MIB}
=/sys/fs/cgroup/memory/memory.stat
cache {40 * MIB}
shmem 0
=/sys/fs/cgroup/memory/memory.oom_control
oom_kill_disable 0
oom_kill 1
=/sys/fs/cgroup/cpuacct/cpuacct.usage
2000000000
=/sys/fs/cgroup/cpu/cpu.stat
nr_throttled 3
throttled_time 500000000
=/proc/7/status
{STATUS}
"""


@pytest.mark.parametrize("printed", [V1, V2])
def test_figures_are_those_of_the_files(printed: str) -> None:
    """20 MB were not cache, 10 MB are mapped; CPU, throttling and the kill are told on both versions."""
    figures = figures_from_texts(*parse(printed))
    assert figures.memory_peak_bytes == 30 * MIB
    assert figures.cpu_seconds == 2.0
    assert figures.throttled_seconds == 0.5
    assert figures.oom_kills == 1


def test_processes_come_with_their_disk_traffic() -> None:
    """Where it may be read; a process without it is one all the same."""
    _, processes = parse(V2)
    assert [(process.status.strip(), "write_bytes: 4096" in process.io) for process in processes] == [(STATUS, True)]
    _, processes = parse(V1)
    assert [process.io for process in processes] == [""]


def test_nothing_printed_is_nothing_measured() -> None:
    """A container that had ended, or one without a shell."""
    assert parse("") == ({}, [])
    assert figures_from_texts(*parse("")).memory_peak_bytes is None
