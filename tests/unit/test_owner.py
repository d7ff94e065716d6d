"""Who made a thing, read from its name: the dead, the living, and those who cannot be judged from here."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sandbox import owner as module
from emulator.sandbox.owner import abandoned, name_prefix, orphaned, owner

DEAD = 2**22 + 1  # one more than the kernel's largest process id


def parts() -> tuple[str, int, int]:
    """Give place, process id and start time of this process."""
    place, pid, started = owner().split("-")
    return place, int(pid), int(started)


def test_owner_is_this_process() -> None:
    """The same each time, in letters that may stand in a label and in a file's name."""
    place, pid, _ = parts()
    assert re.fullmatch(r"[0-9a-f]{12}", place)
    assert pid == os.getpid()
    assert owner() == owner()


def test_the_living_are_no_orphans() -> None:
    """This process, and another one that lives."""
    assert not orphaned(owner())


def test_the_dead_are() -> None:
    """Their process is gone."""
    place, _, started = parts()
    assert orphaned(f"{place}-{DEAD}-{started}")


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_process_id_that_came_back_is_somebody_else(difference: int) -> None:
    """The same number, started at another time."""
    place, pid, started = parts()
    assert orphaned(f"{place}-{pid}-{started + difference}")


def test_others_are_not_ours_to_judge() -> None:
    """A dead process of another machine, boot or PID namespace may well live there."""
    place, _, started = parts()
    other = ("0" if place[0] != "0" else "1") + place[1:]
    assert not orphaned(f"{other}-{DEAD}-{started}")


@pytest.mark.parametrize(
    "form",
    ["", "-", "--", "{place}", "{place}-{pid}", "{place}-{pid}-", "{place}-x-{started}", "{place}-{pid}-{started}-1"],
)
def test_a_label_that_names_nobody(form: str) -> None:
    """Nobody is nobody's orphan."""
    place, _, started = parts()
    assert not orphaned(form.format(place=place, pid=DEAD, started=started))


@given(label=st.text() | st.text("0123456789abcdef-²"))
def test_any_label_can_be_read(label: str) -> None:
    """Labels are other people's words too."""
    assert not orphaned(label)
    assert not abandoned(label)


@pytest.mark.parametrize("kind", ["docker", "process"])
def test_names_tell_their_maker(kind: str) -> None:
    """By their beginning, whatever follows."""
    place, pid, started = parts()
    prefix = name_prefix(kind)
    assert prefix == f"lambda-preflight-{kind}-{place}-{pid}-{started}-"
    assert not abandoned(f"{prefix}x7_k2")
    assert abandoned(f"lambda-preflight-{kind}-{place}-{DEAD}-{started}-x7_k2")


@pytest.mark.parametrize(
    "name", ["somebody-{owner}-x", "lambda-preflight-{owner}-x", "lambda-preflight-docker-{owner}", "x/{owner}-"]
)
def test_other_names_are_other_peoples(name: str) -> None:
    """Also where they look much like ours and name a dead process."""
    place, _, started = parts()
    assert not abandoned(name.format(owner=f"{place}-{DEAD}-{started}"))


def without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take /proc away, as on macOS."""
    monkeypatch.setattr(module, "Path", lambda name: Path(name.replace("/proc/", "/not-there/")))


def test_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's name is the place, and the start is known in seconds."""
    without_proc(monkeypatch)
    place, pid, started = parts()
    assert pid == os.getpid()
    assert abs(started - psutil.Process().create_time()) <= 1
    assert not orphaned(owner())
    assert orphaned(f"{place}-{DEAD}-{started}")
    assert orphaned(f"{place}-{pid}-{started + 1}")
    monkeypatch.setattr(socket, "gethostname", lambda: "another-machine")
    assert not orphaned(f"{place}-{DEAD}-{started}")


def test_without_proc_and_not_allowed_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is somebody else's is not the one that gave the name."""
    without_proc(monkeypatch)
    own = owner()

    def refuse(pid: int) -> psutil.Process:
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr(psutil, "Process", refuse)
    assert orphaned(own)
