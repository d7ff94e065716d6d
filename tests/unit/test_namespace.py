"""Entering another process's network namespace, where that cannot be done."""

from __future__ import annotations

import threading

import pytest

from emulator.sandbox import namespace

DEAD = 2**22 + 1  # one more than the kernel's largest process id


def test_the_dead_have_no_namespace() -> None:
    """The reason is the system's, and no thread stays behind."""
    before = threading.active_count()
    with pytest.raises(FileNotFoundError):
        namespace.listen_inside(DEAD, "127.0.0.1", 9001)
    assert threading.active_count() == before
