"""What the texts of cgroup v1, cgroup v2 and /proc say, on texts recorded from Linux 6.18 (v1) and 6.1 (v2)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sandbox import cgroup
from emulator.sandbox.base import Figures
from emulator.sandbox.cgroup_texts import (
    Membership,
    Mount,
    Place,
    ProcessTexts,
    disk_traffic,
    figures_from_texts,
    locate,
    memory_need,
    parse_flat_keyed,
    parse_mountinfo,
    parse_number,
    parse_proc_cgroup,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MB = 1024 * 1024

V1_MEMORY_STAT = """cache 9211904
rss 8396800
shmem 9068544
mapped_file 7393280
swap 0
inactive_file 40960
hierarchical_memory_limit 9223372036854771712
total_cache 117030912
total_rss 46747648
total_shmem 9068544
total_mapped_file 93650944
"""
V1_CPU_STAT = "nr_periods 12\nnr_throttled 9\nthrottled_time 780124181\nnr_bursts 0\nburst_time 0\n"
V1_OOM_CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
V1_TEXTS = {
    "memory.max_usage_in_bytes": "204353536\n",
    "memory.stat": V1_MEMORY_STAT,
    "memory.oom_control": V1_OOM_CONTROL,
    "cpuacct.usage": "105598715\n",
    "cpu.stat": V1_CPU_STAT,
}

V2_MEMORY_STAT = """anon 110592
file 45056
kernel 69632
kernel_stack 0
pagetables 32768
sock 0
shmem 4096
file_mapped 36864
slab_reclaimable 2192
slab_unreclaimable 15056
slab 17248
pgfault 80
"""
V2_TEXTS = {
    "memory.peak": "315392\n",
    "memory.current": "294912\n",
    "memory.stat": V2_MEMORY_STAT,
    "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 2\noom_group_kill 0\n",
    "cpu.stat": "usage_usec 79531\nuser_usec 55672\nsystem_usec 23859\nnr_periods 4\nnr_throttled 1\n"
    "throttled_usec 4122\nnr_bursts 0\nburst_usec 0\n",
}

V1_MOUNTS = """31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_PROC = """9:name=systemd:/
4:memory:/process_api/2eca9b9d
1:cpu:/
0::/
"""
V2_MOUNTS = """27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
"""
V2_PROC = "0::/system.slice/job.service\n"


def folders(proc: str, mounts: str) -> dict[str, list[str]]:
    """Where each controller's group may be seen."""
    found = locate(parse_proc_cgroup(proc), parse_mountinfo(mounts))
    return {name: [str(place.folder) for place in places] for name, places in found.items()}


def test_flat_keyed_leaves_out_what_is_no_number() -> None:
    """`max` and headings are not figures."""
    assert parse_flat_keyed("oom_kill 2\nlimit max\n\nbare\nbig 9223372036854771712\nminus -1\n") == {
        "oom_kill": 2,
        "big": 9223372036854771712,
    }


@pytest.mark.parametrize(
    ("text", "number"), [("0\n", 0), ("4096\n", 4096), ("max\n", None), ("", None), ("-1\n", None), (None, None)]
)
def test_number(text: str | None, number: int | None) -> None:
    """No file and no limit are unknown, never 0."""
    assert parse_number(text) == number


def test_proc_cgroup_of_v1_and_hybrid() -> None:
    """Named hierarchies carry no controllers and are dropped; a path may hold colons."""
    assert parse_proc_cgroup("9:name=systemd:/a\n2:cpu,cpuacct:/docker/x:y\n0::/\n") == (
        Membership(controllers=frozenset({"cpu", "cpuacct"}), path="/docker/x:y"),
        Membership(controllers=frozenset(), path="/"),
    )


def test_mountinfo_tells_cgroups_from_other_mounts() -> None:
    """Optional fields before the dash vary in number; escaped spaces are undone; the tmpfs above v1 is no group."""
    text = V2_MOUNTS + "50 31 0:9 /docker/a /mnt/my\\040groups rw - cgroup cgroup rw,cpu,cpuacct\n"
    assert parse_mountinfo(text) == (
        Mount(root="/", point="/sys/fs/cgroup", controllers=frozenset(), unified=True),
        Mount(root="/docker/a", point="/mnt/my groups", controllers=frozenset({"rw", "cpu", "cpuacct"}), unified=False),
    )


def test_a_broken_line_of_mountinfo_is_passed_over() -> None:
    """A line without a separator or with too few fields says nothing."""
    assert parse_mountinfo("\n31 23 0:28 /\n31 23 - cgroup\n1 2 3 / /x rw - cgroup2 cgroup2\n") == ()


def test_groups_of_v1_are_found_per_controller() -> None:
    """Each controller has a mount and a path of its own."""
    assert folders(V1_PROC, V1_MOUNTS) == {
        "memory": ["/sys/fs/cgroup/memory/process_api/2eca9b9d"],
        "cpu": ["/sys/fs/cgroup/cpu"],
        "": ["/sys/fs/cgroup/unified"],
    }


def test_group_of_v2_is_found() -> None:
    """There is one folder for all controllers."""
    assert folders(V2_PROC, V2_MOUNTS) == {"": ["/sys/fs/cgroup/system.slice/job.service"]}


def test_controllers_mounted_together_share_a_folder() -> None:
    """`cpu,cpuacct` is one mount on most machines with v1."""
    mounts = "33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    same = ["/sys/fs/cgroup/cpu,cpuacct/user.slice"]
    assert folders("3:cpuacct,cpu:/user.slice\n", mounts) == {"cpu": same, "cpuacct": same}


@pytest.mark.parametrize(
    ("root", "path", "folder"),
    [
        ("/docker/a", "/docker/a", "/c"),
        ("/docker/a", "/docker/a/child", "/c/child"),
        ("/docker/a", "/docker/ab", None),
        ("/docker/a", "/", None),
        ("/", "/", "/c"),
        ("/", "/../other", None),
        ("/..", "/../other", "/c/other"),
        ("/..", "/../..", None),
        ("/..", "/mine", None),
    ],
)
def test_the_mounts_root_is_stripped(root: str, path: str, folder: str | None) -> None:
    """A container that sees only a part of the hierarchy, or sits in a cgroup namespace of its own."""
    mounts = f"31 22 0:26 {root} /c rw - cgroup2 cgroup2 rw\n"
    assert folders(f"0::{path}\n", mounts) == {"": [] if folder is None else [folder]}


NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-_", min_size=1).filter(lambda name: name not in {".", ".."})


@given(st.lists(NAMES, max_size=4), st.lists(NAMES, max_size=4))
def test_what_lies_below_a_mounts_root_lies_below_its_point(root: list[str], below: list[str]) -> None:
    """Wherever the root is, the rest of the path is kept as it is."""
    members = [Membership(controllers=frozenset({"memory"}), path="/" + "/".join([*root, *below]))]
    mount = Mount(root="/" + "/".join(root), point="/mnt", controllers=frozenset({"memory"}), unified=False)
    assert locate(members, [mount]) == {
        "memory": (Place(point=PurePosixPath("/mnt"), folder=PurePosixPath("/mnt", *below)),)
    }


def test_a_second_mount_of_the_same_hierarchy_is_a_second_place() -> None:
    """Which of them can be read is for the caller to try."""
    mounts = V2_MOUNTS + "60 1 0:26 /system.slice /mnt rw - cgroup2 cgroup2 rw\n"
    assert folders(V2_PROC, mounts) == {"": ["/sys/fs/cgroup/system.slice/job.service", "/mnt/job.service"]}


@pytest.mark.parametrize(
    ("peak", "current", "reclaimable", "anonymous", "mapped", "need"),
    [
        (None, None, None, None, 0, None),
        (None, None, None, None, 9, None),
        (100, None, None, None, 9, None),
        (None, None, 30, None, 9, None),
        (100, None, 30, None, 0, 70),
        (100, None, 30, None, 9, 79),
        (100, 50, 30, None, 0, 70),
        (100, None, 130, None, 9, 9),
        (100, None, 30, 69, 9, 79),
        (100, None, 30, 70, 9, 79),
        (100, None, 30, 71, 9, 80),
        (100, None, 30, 100, 9, 109),
        (100, None, 30, 101, 9, 109),
        (None, 50, 30, None, 9, 29),
        (None, 50, 30, 40, 9, 49),
        (None, None, None, 40, 9, 49),
        (100, None, None, 40, 9, 49),
    ],
)
def test_memory_need(  # noqa: PLR0913, PLR0917 - one column of the table each
    peak: int | None,
    current: int | None,
    reclaimable: int | None,
    anonymous: int | None,
    mapped: int,
    need: int | None,
) -> None:
    """The larger of what is known, never over the peak, and the mapped files; unknown where nothing is known."""
    assert memory_need(peak=peak, current=current, reclaimable=reclaimable, anonymous=anonymous, mapped=mapped) == need


SIZES = st.integers(0, 1 << 40)


@given(SIZES, SIZES, st.none() | SIZES, SIZES)
def test_memory_need_lies_between_its_bounds(peak: int, cache: int, anonymous: int | None, mapped: int) -> None:
    """Beside the mapped files at most the peak; at least the peak without what could be taken back."""
    need = memory_need(peak=peak, current=None, reclaimable=cache, anonymous=anonymous, mapped=mapped)
    assert need is not None
    assert max(0, peak - cache) <= need - mapped <= peak


@given(SIZES, st.integers(0, 1 << 30))
def test_a_file_that_is_read_does_not_change_the_need(anonymous: int, file: int) -> None:
    """Page cache raises the peak and the cache by the same amount."""
    before = memory_need(peak=anonymous, current=None, reclaimable=0, anonymous=None, mapped=0)
    after = memory_need(peak=anonymous + file, current=None, reclaimable=file, anonymous=None, mapped=0)
    assert before == after == anonymous


def test_figures_of_v1() -> None:
    """Nanoseconds, hierarchical counters, shared memory counted and file cache not."""
    assert figures_from_texts(V1_TEXTS) == Figures(
        memory_peak_bytes=204353536 - (117030912 - 9068544),
        cpu_seconds=0.105598715,
        throttled_seconds=0.780124181,
        oom_kills=3,
    )


def test_figures_of_v1_without_hierarchical_counters() -> None:
    """A group's own counters do where the kernel gives no totals."""
    texts = {**V1_TEXTS, "memory.stat": V1_MEMORY_STAT.partition("hierarchical")[0]}
    assert figures_from_texts(texts).memory_peak_bytes == 204353536 - (9211904 - 9068544)


def status(peak: int, file: int, shared: int) -> str:
    """The lines of /proc/PID/status that count, in kB, with some that do not."""
    return (
        f"Name:\tpython3.11\nVmPeak:\t  933912 kB\nVmHWM:\t  {peak} kB\nVmRSS:\t   20796 kB\n"
        f"RssAnon:\t   12792 kB\nRssFile:\t    {file} kB\nRssShmem:\t     {shared} kB\nThreads:\t1\n"
    )


IO = "rchar: 323934931\nwchar: 323929600\nread_bytes: {}\nwrite_bytes: {}\ncancelled_write_bytes: 0\n"
ZOMBIE = "Name:\tpython\nState:\tZ (zombie)\nThreads:\t1\n"


def v1_need(*processes: ProcessTexts) -> int | None:
    """The memory figure of the recorded group with these processes in it."""
    return figures_from_texts(V1_TEXTS, processes).memory_peak_bytes


def test_a_process_whose_own_peak_is_past() -> None:
    """What the cache has grown by since is mended by the process's high-water mark; shared memory is counted once."""
    small = ProcessTexts(status=status(2000, 1000, 0), io=IO.format(0, 0))
    large = ProcessTexts(status=status(180000, 10000, 8000), io=IO.format(0, 0))
    assert v1_need(small, large) == v1_need(large, small) == (180000 - 10000 - 8000) * 1024 + 9068544 + 10000 * 1024


def test_mapped_files_of_the_process_that_has_most() -> None:
    """Libraries are used where they lie, whoever was charged for them; forked processes share them."""
    processes = [ProcessTexts(status=status(2000, mapped, 0), io=IO.format(0, 0)) for mapped in (1000, 1500)]
    assert v1_need(*processes) == 204353536 - (117030912 - 9068544) + 1500 * 1024


@pytest.mark.parametrize(
    ("read", "written", "cache"),
    [(0, 0, 107_962_368), (100_000_000, 7_962_368, 107_962_368), (100_000_000, 7_962_369, 107_962_369)],
)
def test_a_file_that_is_deleted_again(read: int, written: int, cache: int) -> None:
    """What went to and from disks may have been cached at the peak, though it is not any more."""
    process = ProcessTexts(status=status(2000, 0, 0), io=IO.format(read, written))
    assert v1_need(process) == 204353536 - cache


@pytest.mark.parametrize(
    ("before", "cache"), [(0, 107_962_368), (107_962_368, 107_962_368), (107_962_369, 107_962_369)]
)
def test_disk_traffic_of_the_dead(before: int, cache: int) -> None:
    """It counts on when they are gone, with what they had told before."""
    assert figures_from_texts(V1_TEXTS, disk_before=before).memory_peak_bytes == 204353536 - cache


def test_disk_traffic_is_the_sum_of_what_is_known() -> None:
    """Reads and writes, not what the page cache has served, nor cancelled writes."""
    known = ProcessTexts(status="", io=IO.format(4096, 8192))
    assert disk_traffic([known, ProcessTexts(status=""), known]) == 2 * (4096 + 8192)


def test_a_zombie_needs_nothing_any_more() -> None:
    """Its memory is gone, and its figures are unknown, which is not the same as 0."""
    assert v1_need(ProcessTexts(status=ZOMBIE)) == v1_need()


def test_counters_that_cross_each_other() -> None:
    """The kernel's are approximate; a size is never negative."""
    process = ProcessTexts(status=status(100, 101, 0), io=IO.format(0, 0))
    assert figures_from_texts({"memory.peak": "9"}, [process]).memory_peak_bytes == 101 * 1024


def test_figures_of_v2() -> None:
    """Microseconds; slab that can be reclaimed counts as cache."""
    assert figures_from_texts(V2_TEXTS) == Figures(
        memory_peak_bytes=315392 - (45056 - 4096) - 2192,
        cpu_seconds=0.079531,
        throttled_seconds=0.004122,
        oom_kills=2,
    )


def test_figures_of_v2_before_memory_peak() -> None:
    """The current use stands in; the caller keeps the largest."""
    texts = {name: text for name, text in V2_TEXTS.items() if name != "memory.peak"}
    assert figures_from_texts(texts).memory_peak_bytes == 294912 - (45056 - 4096) - 2192


def test_figures_without_a_cpu_controller_on_v2() -> None:
    """Usage is always told, throttling only where a quota is possible."""
    figures = figures_from_texts({"cpu.stat": "usage_usec 79531\nuser_usec 55672\nsystem_usec 23859\n"})
    assert figures == Figures(cpu_seconds=0.079531)


def test_figures_of_nothing_are_unknown() -> None:
    """Not measured is None, never 0."""
    assert figures_from_texts({}) == Figures()


def test_a_peak_without_the_cache_is_not_a_need() -> None:
    """The cache in it cannot be told, so the figure is not either."""
    assert figures_from_texts({"memory.peak": str(300 * MB)}).memory_peak_bytes is None


class Group:
    """A control group of one process whose disk traffic this process may not read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.io: str | None = None
        self.asked = 0
        self.told: int | None = None
        (folder / "cgroup.procs").write_text("7\n")
        (folder / "memory.stat").write_text("file 0\nshmem 0\n")
        self.peak(20)
        status = "VmHWM:\t 10240 kB\nRssFile:\t 0 kB\n"
        texts: dict[str, Callable[[], str | None]] = {
            "/proc/7/status": lambda: status,
            "/proc/7/io": lambda: self.io,
            f"{folder}/cgroup.procs": lambda: "7",
        }
        monkeypatch.setattr(cgroup, "_read_whole", lambda path: texts[path]())
        self.group = cgroup.ControlGroup(dict.fromkeys(("memory", "cpuacct"), folder), unified=True)
        self.group.ask_disk = self.ask

    def peak(self, megabytes: int) -> None:
        """The kernel's peak, page cache and all."""
        (self.folder / "memory.peak").write_text(f"{megabytes * MB}\n")

    def ask(self) -> int | None:
        """The container's shell."""
        self.asked += 1
        return self.told

    def figure(self) -> int:
        """The memory figure in MB."""
        peak = self.group.figures().memory_peak_bytes
        assert peak is not None
        return peak // MB


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    """Give one, and let it go."""
    made = Group(tmp_path, monkeypatch)
    yield made
    made.group.close()


def test_disk_traffic_that_may_not_be_read_is_asked_for(group: Group) -> None:
    """A file of 150 MB, gone before we looked, is no memory; what is asked once is remembered."""
    group.told = 150 * MB
    group.peak(170)
    assert group.figure() == 20
    group.told = None
    assert group.figure() == 20


def test_nobody_is_asked_where_it_changes_nothing(group: Group) -> None:
    """Whoever answers takes the function's CPU time for it: once for each new height, and never where we may read."""
    group.told = 0
    assert [group.figure() for _ in range(3)] == [20, 20, 20]
    assert group.asked == 1
    (group.folder / "memory.peak").write_text(f"{20 * MB + 256 * 1024 - 1}\n")
    assert group.group.figures().memory_peak_bytes == 20 * MB
    assert group.asked == 1
    (group.folder / "memory.peak").write_text(f"{20 * MB + 256 * 1024}\n")
    assert group.group.figures().memory_peak_bytes == 20 * MB + 256 * 1024
    assert group.asked == 2
    group.io = "read_bytes: 0\nwrite_bytes: 0\n"
    group.peak(22)
    assert group.figure() == 22
    assert group.asked == 2


def test_a_height_that_nobody_can_explain_is_not_told(group: Group) -> None:
    """The last that was sure stays; without one, the kernel's is all there is."""
    assert group.figure() == 20
    group.peak(170)
    assert group.figure() == 20
    assert group.asked == 2


def test_a_group_that_somebody_else_has_removed(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """What CPU time it had is not known, and no 0; the memory that was seen was needed."""
    group.group.close()
    (group.folder / "cpu.stat").write_text("usage_usec 2000000\nthrottled_usec 0\n")
    again = cgroup.ControlGroup(group.group.folders, unified=True)
    again.ask_disk = group.ask
    assert again.figures().cpu_seconds == 2
    with monkeypatch.context() as patch:
        patch.setattr(cgroup, "_pread", lambda _: None)
        gone = again.figures()
    assert (gone.cpu_seconds, gone.throttled_seconds, gone.memory_peak_bytes) == (None, None, 20 * MB)
    again.close()
    assert again.figures().cpu_seconds == 2
