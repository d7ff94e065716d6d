"""The figures of an invocation against a known use of memory, CPU time and disk, and the limits at their edges."""

from __future__ import annotations

import errno

import pytest

from emulator.invocation import InvocationResult
from emulator.limits import MIB
from tests.conformance.conftest import Lab

pytestmark = pytest.mark.seldom_on("docker-bridge", reason="the containers have the same limits")

SHARE_POINTS = 0.03
BUSY_S = 0.38  # the functions burn 0.4 s, of which the process had used a little before *go*
TRIES = 5  # other work on this machine can take CPU time that the function had a right to
SOME_THROTTLED_S = 0.3  # the end of an invocation that did next to nothing
BOOKKEEPING = 128 * 1024  # room for the file system's own record of one file that fills it
SOME_MB = 8  # what a file's pages may leave in the figure: kernel structures, and counters' batching


def peak_mb(result: InvocationResult) -> float:
    """Max Memory Used, before it is rounded."""
    assert result.usage.max_memory_bytes is not None
    return result.usage.max_memory_bytes / MIB


def cpu_share(result: InvocationResult) -> float:
    """CPU time of the invocation over its duration."""
    assert result.usage.cpu_seconds is not None
    return result.usage.cpu_seconds / (result.timings.duration_ms / 1000)


def test_touched_memory_is_reported(lab: Lab) -> None:
    """The peak is what was touched and the idle figure, within 3 %, and stays the environment's peak."""
    idle = peak_mb(lab.cold("TouchMemory", {"mb": 0}))
    assert 3 < idle < 100
    for megabytes in (50, 200, 400):
        found = peak_mb(lab.invoke("TouchMemory", {"mb": megabytes}))
        assert found == pytest.approx(megabytes + idle, rel=0.03)
    highest = peak_mb(lab.invoke("TouchMemory", {"mb": 400}))
    assert peak_mb(lab.invoke("TouchMemory", {"mb": 10})) == pytest.approx(highest, rel=0.01)


def test_memory_up_to_the_limit_and_past_it(lab: Lab) -> None:
    """What just fits is granted; what does not is killed, and the next invocation starts anew."""
    name = "TouchMemory256"
    idle = peak_mb(lab.cold(name, {"mb": 0}))
    fits = lab.invoke(name, {"mb": int(256 - idle - 12)})
    assert fits.error is None, fits.log
    # The kernel stops it at the page; a watcher needs something that lasts longer than its next look.
    killed = lab.invoke(name, {"mb": 256 if lab.capabilities.memory == "kernel" else 2048})
    assert killed.error is not None
    assert killed.error.type == "Runtime.OutOfMemory"
    again = lab.invoke(name, {"mb": 1})
    assert again.error is None
    assert peak_mb(again) < idle + 12


def test_a_file_read_once_is_not_memory(lab: Lab) -> None:
    """Page cache that the kernel would take back is no need of the function's."""
    idle = peak_mb(lab.cold("ReadFile", {"mb": 0, "path": lab.tmp("nothing")}))
    result = lab.invoke("ReadFile", {"mb": 100, "path": lab.tmp("large")})
    assert result.payload == {"read": 100 * MIB, "expected": 100 * MIB}
    assert peak_mb(result) < idle + SOME_MB


@pytest.mark.parametrize(("name", "memory_mb"), [("BusyLoop128", 128), ("BusyLoop512", 512)])
def test_cpu_share_is_that_of_the_memory_size(lab: Lab, name: str, memory_mb: int) -> None:
    """A busy loop gets memory/1769 of a CPU: the ratio of two measured figures, not a time."""
    lab.needs("cpu")
    lab.invoke(name, {"seconds": 0.01})
    share = memory_mb / 1769
    best = 0.0
    for _ in range(TRIES):
        result = lab.invoke(name, {"seconds": 1.5})
        assert cpu_share(result) <= share + SHARE_POINTS
        best = max(best, cpu_share(result))
        if best >= share - SHARE_POINTS:
            assert result.usage.throttled_seconds is not None
            assert result.usage.throttled_seconds > 0.2
            return
    pytest.fail(f"at most {best:.3f} of a CPU in {TRIES} tries, and {share:.3f} are due")


def test_init_is_not_throttled(lab: Lab) -> None:
    """Init has the whole CPU; throttled time counts the invocation's alone, which then has its share."""
    lab.needs("cpu")
    share = lab.functions["BusyInit"].cpu_share
    result = lab.cold("BusyInit", {"seconds": 0})
    assert result.usage.init_cpu_seconds is not None
    assert result.usage.init_cpu_seconds >= BUSY_S
    assert result.timings.init_ms is not None
    # Other work on this machine may slow init down; the share of 7 % would make six seconds of it.
    assert result.usage.init_cpu_seconds / (result.timings.init_ms / 1000) > 1.5 * share
    assert result.usage.throttled_seconds is not None
    assert result.usage.throttled_seconds < SOME_THROTTLED_S
    after = lab.cold("BusyInit", {"seconds": 1.5})
    assert cpu_share(after) <= share + SHARE_POINTS
    assert after.usage.throttled_seconds is not None
    assert after.usage.throttled_seconds > 0.2


def test_suppressed_init_is_not_throttled(lab: Lab) -> None:
    """Nor is an init inside an invocation: 0.4 s of CPU time at 128 MB would be throttled for five seconds."""
    lab.needs("cpu")
    lab.cold("BusyInitExits", {"seconds": 0, "exit": 1})
    result = lab.invoke("BusyInitExits", {"seconds": 0})
    assert result.error is None
    assert result.timings.init_ms is None
    assert result.usage.cpu_seconds is not None
    assert result.usage.cpu_seconds >= BUSY_S
    assert result.usage.throttled_seconds is not None
    assert result.usage.throttled_seconds < SOME_THROTTLED_S


@pytest.mark.parametrize(
    ("excess", "failure"), [(-1, None), (0, None), (BOOKKEEPING, errno.ENOSPC)], ids=["less", "all", "more"]
)
def test_tmp_has_its_size(lab: Lab, excess: int, failure: int | None) -> None:
    """A file of 512 MB fits to the byte, and little more does not."""
    lab.needs("tmp")
    size = 512 * MIB
    answer = lab.payload("FillTmpFast", {"bytes": size + excess})
    assert answer["errno"] == failure
    assert min(size, size + excess) <= answer["written"] < size + BOOKKEEPING


def test_tmp_is_not_memory(lab: Lab) -> None:
    """Nor does a file of twice the memory size exhaust it."""
    lab.needs("tmp")
    idle = peak_mb(lab.cold("FillTmp", {"bytes": 1}))
    result = lab.invoke("FillTmp", {"bytes": 300 * MIB})
    assert result.payload == {"errno": None, "written": 300 * MIB}
    assert peak_mb(result) < idle + SOME_MB
