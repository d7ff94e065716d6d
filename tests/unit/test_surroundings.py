"""What the machine is and what else it does, from texts of /proc."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emulator.surroundings import Reading, between, read, read_machine, watch

CPUINFO = """\
processor\t: 0
model name\t: A CPU @ 2.50GHz
flags\t\t: fpu sse sse4_1 avx2 avx512_vnni amx_int8 fma aes

processor\t: 1
model name\t: A CPU @ 2.50GHz
flags\t\t: fpu sse sse4_1 avx2 avx512_vnni amx_int8 fma aes
"""

BEFORE = Reading(at=0.0, total=100.0, busy=50.0, steal=0.0, own=1.0, pressure=0.0, throttled=0.0, load=0.5)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Give a /proc."""
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    (tmp_path / "meminfo").write_text("MemTotal:       2097152 kB\nMemFree: 1 kB\n")
    (tmp_path / "stat").write_text("cpu  100 0 100 700 50 0 0 50 0 0\ncpu0 1 2 3 4\n")
    (tmp_path / "loadavg").write_text("0.52 0.58 0.59 1/596 12345\n")
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "cpu").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n")
    return tmp_path


def test_the_machine(proc: Path) -> None:
    """Its CPU, its memory, and the flags that int8 results depend on."""
    found = read_machine(proc)
    assert found.cpu == "A CPU @ 2.50GHz"
    assert found.cpu_flags == ("amx_int8", "avx2", "avx512_vnni", "fma", "sse4_1")
    assert found.memory_mb == 2048


def test_a_machine_that_does_not_tell(tmp_path: Path) -> None:
    """None, not 0: this is no Linux."""
    found = read_machine(tmp_path)
    assert (found.cpu_flags, found.memory_mb) == ((), None)
    assert found.cpu
    silent = read(tmp_path)
    assert (silent.total, silent.steal, silent.pressure, silent.load) == (None, None, None, None)
    quiet = between(silent, replace(silent, at=silent.at + 1), 0.0)
    assert (quiet.steal_pct, quiet.others_pct, quiet.pressure_pct) == (None, None, None)
    assert quiet.quiet


def test_counters(proc: Path) -> None:
    """In seconds; idle time and waiting for disks are not busy."""
    found = read(proc)
    assert found.total is not None
    assert found.busy is not None
    assert found.busy / found.total == pytest.approx(0.2)
    assert found.steal == pytest.approx(found.total * 0.05)
    assert (found.pressure, found.load) == (2.5, 0.52)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("steal", 0.19, None),
        ("steal", 0.21, "hypervisor"),
        ("busy", 53.4, None),
        ("busy", 53.6, "other processes"),
        ("throttled", 0.04, None),
        ("throttled", 0.06, "quota"),
    ],
)
def test_what_is_worth_a_note(field: str, value: float, says: str | None) -> None:
    """Of 10 s of CPU: more than 2 % stolen, more than 15 % for others, more than 1 % of the time held back."""
    after = replace(BEFORE, at=5.0, total=110.0, own=2.0)
    found = between(BEFORE, replace(after, **{field: value}), sandboxes_s=1.0)
    assert (found.notes == ()) == (says is None)
    assert says is None or says in found.notes[0]
    assert found.quiet == (says is None)
    assert found.load == 0.5


def test_our_own_work_is_no_disturbance() -> None:
    """Neither the emulator's nor the functions'."""
    after = replace(BEFORE, at=5.0, total=110.0, busy=57.0, own=3.0)
    assert between(BEFORE, after, sandboxes_s=5.0).others_pct == 0.0
    assert between(BEFORE, after, sandboxes_s=9.0).others_pct == 0.0


def test_a_moment_shorter_than_a_tick() -> None:
    """No more than everything is taken by others, whatever the counters of ticks say."""
    after = replace(BEFORE, total=(BEFORE.total or 0) + 0.01, busy=(BEFORE.busy or 0) + 0.02)
    assert between(BEFORE, after, sandboxes_s=0.0).others_pct == 100.0


def test_watching_this_machine() -> None:
    """Time goes by, and percentages are percentages."""
    found = watch()(0.0)
    assert found.seconds >= 0
    for percent in (found.steal_pct, found.others_pct):
        assert percent is None or 0 <= percent <= 100
