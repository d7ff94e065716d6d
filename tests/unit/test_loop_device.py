"""The helper that binds files to loop devices for those who may not: one line of JSON for each order."""

from __future__ import annotations

import ast
import errno
import io
import json
import os
import sys
from pathlib import Path

import pytest

from emulator.sandbox import loop_device


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Let images be attached to devices that are not there; an image named `full` cannot be."""
    held: dict[str, int] = {}

    def attach(image: str) -> tuple[str, int]:
        if image == "full":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        path = f"/dev/loop{len(held)}"
        held[path] = os.open(os.devnull, os.O_RDONLY)
        return path, held[path]

    monkeypatch.setattr(loop_device, "attach", attach)
    return held


def served(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *orders: dict[str, str]
) -> list[object]:
    """Give the answers to these orders."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(order) + "\n" for order in orders)))
    loop_device.serve()
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def is_open(descriptor: int) -> bool:
    """Tell whether it is."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_orders(devices: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is answered in its turn; a device that was given back is let go, the others are held."""
    orders = ({"attach": "a"}, {"attach": "b"}, {"detach": "/dev/loop0"})
    assert served(monkeypatch, capsys, *orders) == [
        {"device": "/dev/loop0"},
        {"device": "/dev/loop1"},
        {"device": "/dev/loop0"},
    ]
    assert [is_open(descriptor) for descriptor in devices.values()] == [False, True]
    os.close(devices["/dev/loop1"])


@pytest.mark.usefixtures("devices")
def test_an_order_that_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is the answer, and the next order is heard."""
    assert served(monkeypatch, capsys, {"attach": "full"}, {"attach": "full"}) == [
        {"error": "Device or resource busy"},
        {"error": "Device or resource busy"},
    ]


def test_it_stands_alone() -> None:
    """Its text runs in a container that has nothing of ours."""
    tree = ast.parse(Path(loop_device.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
