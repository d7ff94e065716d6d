"""`/tmp` as a disk: what it needs, and what is told and left behind where it cannot be had."""

from __future__ import annotations

import errno
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.errors import BackendError
from emulator.sandbox import ext4, loop_device, storage

if TYPE_CHECKING:
    from collections.abc import Callable


def superblock(blocks: int) -> bytes:
    """Give the beginning of a file system of that many blocks."""
    return b"\0" * 1024 + struct.pack("<4xI48xH", blocks, 0xEF53) + b"\0" * 1000


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder in which file systems are kept, empty at first."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "lambda-preflight" / "disks"


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make file systems without any tool: little more than a superblock; give the sizes that were made."""
    made: list[int] = []

    def make(image: Path, size_mb: int) -> None:
        made.append(size_mb)
        image.write_bytes(superblock(size_mb // 4))
        os.truncate(image, size_mb * 1024)

    monkeypatch.setattr(ext4, "make_file_system", make)
    return made


def failing(number: int) -> Callable[..., None]:
    """Give a function that fails as the system does."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(low=st.integers(0, 2**32 - 1), high=st.integers(0, 2**32 - 1))
def test_free_blocks(tmp_path: Path, low: int, high: int) -> None:
    """Both halves of the superblock's count, where ext4 has them."""
    superblock = bytearray(1024)
    struct.pack_into("<I", superblock, 0x0C, low)
    struct.pack_into("<I", superblock, 0x158, high)
    image = tmp_path / "image"
    image.write_bytes(b"\xff" * 1024 + superblock + b"\xff" * 1024)
    assert ext4.free_blocks(image) == low + high * 2**32


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Give the programs that this machine has, by their paths: none at first."""
    found: set[str] = set()
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) in found)
    return found


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ((), ("mkfs.ext4", "debugfs")),
        (("/usr/sbin/mkfs.ext4", "/sbin/debugfs"), ()),
        (("/usr/bin/mkfs.ext4", "/bin/debugfs"), ()),
        (("/bin/debugfs",), ("mkfs.ext4",)),
        (("/opt/mkfs.ext4", "/bin/debugfs"), ("mkfs.ext4",)),
    ],
)
def test_missing_tools(programs: set[str], there: tuple[str, ...], missing: tuple[str, ...]) -> None:
    """Each that is not found is named, on the PATH or in the folders where Debian hides them."""
    programs.update(there)
    assert ext4.missing_tools() == missing


@pytest.mark.usefixtures("programs")
def test_a_tool_that_is_not_there(tmp_path: Path) -> None:
    """It is named, with the package to install."""
    with pytest.raises(BackendError, match=r"mkfs\.ext4") as caught:
        ext4.make_file_system(tmp_path / "image", 512)
    assert "e2fsprogs" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("capabilities", "is_one"),
    [("000001ffffffffff", True), ("00000000a80425fb", False), ("000001fffff7ffff", False), ("000001ffffdfffff", False)],
)
def test_an_administrator_is_root_with_both_capabilities(
    monkeypatch: pytest.MonkeyPatch,
    capabilities: str,
    is_one: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The second is what Docker leaves root in a container; the others lack CAP_SYS_PTRACE and CAP_SYS_ADMIN alone."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"Name:\tpython\nCapEff:\t{capabilities}\n")
    assert storage.may_administer() is is_one


def test_only_root_may_attach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loop devices are not for everybody."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not storage.may_attach()


@pytest.mark.usefixtures("no_tools")
def test_an_image_leaves_no_name(tmp_path: Path) -> None:
    """It is there while it is used."""
    with storage.new_image(512, tmp_path) as image:
        assert image.exists()
        assert image.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_tools")
def test_an_image_leaves_no_name_after_trouble(tmp_path: Path) -> None:
    """Whatever goes wrong while it is used."""

    def interrupted() -> None:
        with storage.new_image(512, tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_tools")
def test_images_do_not_share_a_name(tmp_path: Path) -> None:
    """Two are made at once."""
    with storage.new_image(512, tmp_path) as one, storage.new_image(512, tmp_path) as other:
        assert one != other


@pytest.mark.parametrize(("number", "hint"), [(errno.ENOSPC, "disk space"), (errno.EACCES, "preflight doctor")])
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, hint: str) -> None:
    """It is not the machine's nature that is at fault then, and the hint says what to do."""
    monkeypatch.setattr(ext4, "make_file_system", failing(number))
    with pytest.raises(BackendError, match="512 MB") as caught:
        storage.TmpDisk(512, tmp_path)
    assert os.strerror(number) in caught.value.message
    assert hint in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_tools")
def test_a_device_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reason is the system's, and no file stays."""
    monkeypatch.setattr(loop_device, "attach", failing(errno.EPERM))
    with pytest.raises(BackendError, match="Operation not permitted"):
        storage.TmpDisk(512, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_tools")
def test_a_disk_is_let_go_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Closing twice must not close what has got the same number since."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    monkeypatch.setattr(loop_device, "attach", lambda _: ("/dev/loop7", descriptor))
    disk = storage.TmpDisk(512, tmp_path)
    assert disk.device == "/dev/loop7"
    assert list(tmp_path.iterdir()) == []
    disk.close()
    again = os.open(os.devnull, os.O_RDONLY)
    disk.close()
    os.fstat(again)
    os.close(again)


def test_a_size_is_made_once(tmp_path: Path, no_tools: list[int], kept: Path) -> None:
    """And copied from then on, holes and all; another size is another file system."""
    images = []
    for size_mb in (512, 512, 600, 512):
        with storage.new_image(size_mb, tmp_path) as image:
            images.append((image.read_bytes(), size_mb))
    assert no_tools == [512, 600]
    assert len(list(kept.iterdir())) == 2
    assert all(content == superblock(size_mb // 4).ljust(size_mb * 1024, b"\0") for content, size_mb in images)


@pytest.mark.parametrize("content", [b"", b"cut", superblock(128)[:-1002] + b"\0\0", superblock(128)])
def test_what_is_no_file_system_is_made_anew(tmp_path: Path, no_tools: list[int], kept: Path, content: bytes) -> None:
    """Whatever became of the kept one."""
    for _ in range(2):
        with storage.new_image(512, tmp_path):
            pass
        for path in kept.iterdir():
            path.write_bytes(content)
    assert no_tools == [512, 512]


def test_a_folder_in_its_place(tmp_path: Path, no_tools: list[int], kept: Path) -> None:
    """Is no file system either."""
    (kept / f"ext4-{storage._RECIPE}-512").mkdir(parents=True)  # noqa: SLF001 - the name is what is taken
    for _ in range(2):
        with storage.new_image(512, tmp_path) as image:
            assert image.stat().st_size == 512 * 1024
    assert no_tools == [512, 512]


def test_many_at_once(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is first, what is kept is one whole file system, never a mixture of two."""

    def make(image: Path, size_mb: int) -> None:
        image.write_bytes((superblock(size_mb // 4) + os.urandom(1) * 200_000).ljust(size_mb * 1024, b"\0"))

    monkeypatch.setattr(ext4, "make_file_system", make)

    def use() -> None:
        with storage.new_image(512, tmp_path) as image:
            assert len(set(image.read_bytes()[4096:100_000])) == 1

    with ThreadPoolExecutor(8) as pool:
        for task in [pool.submit(use) for _ in range(40)]:
            task.result()
    (file,) = kept.iterdir()
    assert len(set(file.read_bytes()[4096:100_000])) == 1


@pytest.mark.usefixtures("no_tools")
def test_a_cache_that_cannot_be_written(tmp_path: Path, kept: Path) -> None:
    """Costs time and nothing else."""
    kept.parents[1].rmdir()
    kept.parents[1].write_text("a file where the cache should be")
    with storage.new_image(512, tmp_path) as image:
        assert image.stat().st_size == 512 * 1024


@given(runs=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=6), size=st.integers(1, 48))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_copies_are_equal(tmp_path: Path, kept: Path, runs: list[tuple[int, int]], size: int) -> None:
    """Wherever the data lies between the holes."""
    block = 4096

    def make(image: Path, _: int) -> None:
        with image.open("wb") as file:
            file.truncate(size * block)
            for at, count in runs:
                file.seek(at * block)
                file.write(os.urandom(count * block)[: max(0, size - at) * block])
            file.seek(0)
            file.write(superblock(size))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ext4, "make_file_system", make)
        for path in kept.iterdir() if kept.exists() else ():
            path.unlink()
        found = []
        for _ in range(2):
            with storage.new_image(512, tmp_path) as image:
                found.append(image.read_bytes())
    assert found[0] == found[1]


def test_what_lies_in_tmp_is_what_came_after_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file system has blocks of its own; a later beginning changes nothing; out of reach is None."""
    blocks = {"free": 90}

    def statvfs(path: str) -> os.statvfs_result:
        if path != "/proc/7/root/tmp":
            raise FileNotFoundError(path)
        return os.statvfs_result((4096, 4096, 100, blocks["free"], 0, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    fill = storage.Fill()
    assert fill.used(7) is None
    fill.begin(7)
    assert fill.used(7) == 0
    blocks["free"] = 80
    assert fill.used(7) == 10 * 4096
    fill.begin(7)
    assert fill.used(7) == 10 * 4096
    blocks["free"] = 95
    assert fill.used(7) == 0
    assert fill.used(8) is None
    assert fill.used(None) is None
