"""What goes into our image of the OS-only runtimes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from emulator.errors import BackendError
from emulator.sandbox import rootfs_system

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs of Linux are gathered")


def test_programs_and_what_they_load() -> None:
    """Each where Lambda's image has it, executable, with its libraries and the loader."""
    tree = rootfs_system.gather()
    assert {"usr/bin/sh", "usr/bin/cat", "usr/bin/env", "usr/bin/mktemp"} <= set(tree)
    assert {tree[f"usr/bin/{name}"].mode for name in ("cat", "env")} == {0o755}
    names = {path.rpartition("/")[2] for path in tree}
    assert "libc.so.6" in names
    assert any(name.startswith("ld-linux") for name in names)
    assert not any(path.startswith("var/lang") for path in tree)


def test_sh_is_bash_where_there_is_bash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on Amazon Linux; without it, whatever the machine has; scripts among programs are left out."""
    assert rootfs_system.gather()["usr/bin/sh"].target in {"bash", None}
    for name in ("sh", "cat"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    (tmp_path / "awk").write_text("#!/bin/sh\n")
    (tmp_path / "awk").chmod(0o755)
    monkeypatch.setattr(rootfs_system, "_PATH", str(tmp_path))
    tree = rootfs_system.gather()
    assert {path for path in tree if path.startswith("usr/bin/")} == {"usr/bin/sh", "usr/bin/cat"}
    assert tree["usr/bin/sh"].source is not None


def test_a_loader_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image without a C library."""
    monkeypatch.setattr(rootfs_system, "needed", lambda *_, **__: {})
    with pytest.raises(BackendError, match="does not tell"):
        rootfs_system.gather()


def test_key_follows_the_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same for the same files; another when one of them changes, or the recipe."""
    file = tmp_path / "curl"
    file.write_text("old")
    monkeypatch.setattr(rootfs_system, "watched", lambda: [file])
    first = rootfs_system.key()
    assert rootfs_system.key() == first
    file.write_text("newer")
    second = rootfs_system.key()
    monkeypatch.setattr(rootfs_system, "_RECIPE", 0)
    assert len({first, second, rootfs_system.key()}) == 3
