"""What the commands print: the line on the backend, the object of --json, and progress."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import console
from emulator.config import FunctionConfig
from emulator.console import Progress
from emulator.invocation import FunctionError, InvocationResult, Timings, Usage
from tests.fakes import FakeBackend, capabilities

if TYPE_CHECKING:
    from typing import Any

    from emulator.config import Architecture
    from emulator.sandbox.base import Enforcement

CONFIG = FunctionConfig(name="F", handler="a.b", runtime="python3.13", code=Path(), memory_mb=512)
ENFORCEMENTS: tuple[Enforcement, ...] = ("kernel", "watched", "none")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def result(
    *,
    body: bytes = b'{"a": 1}',
    error: FunctionError | None = None,
    init_ms: float | None = 33.123456,
    usage: Usage | None = None,
) -> InvocationResult:
    """Give one result."""
    return InvocationResult(
        request_id="8f5",
        body=body,
        error=error,
        timings=Timings(init_ms=init_ms, duration_ms=1.98765432, billed_ms=36),
        usage=usage or Usage(),
        log="START\n",
    )


def test_everything_by_the_kernel() -> None:
    """The best case is said in a few words."""
    assert console.capability_summary(capabilities("kernel")) == "every limit enforced by the kernel"


def test_what_is_not_enforced_is_said() -> None:
    """Group by group, in the order of the fields, in words instead of identifiers."""
    found = capabilities("kernel", memory="watched", tmp="none", read_only_root="none")
    assert console.capability_summary(found) == (
        "cpu, network, processes, open files, user, shared memory, freeze enforced by the kernel; memory watched; "
        "tmp, read only root NOT enforced"
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [("watched", "watched"), ("none", "NOT enforced"), ("kernel", "every limit enforced by the kernel")],
)
def test_groups_without_a_limit_are_left_out(how: Enforcement, words: str) -> None:
    """One group alone has neither semicolon nor another's words."""
    line = console.capability_summary(capabilities(how))
    assert line.endswith(words)
    assert ";" not in line


@given(how=st.fixed_dictionaries(dict.fromkeys(capabilities().as_dict(), st.sampled_from(ENFORCEMENTS))))
def test_no_limit_is_kept_quiet(how: dict[str, Enforcement]) -> None:
    """Whatever is not held by the kernel is named, and what is not held at all stands under the loud words."""
    line = console.capability_summary(capabilities(**how))
    quiet, _, loud = line.rpartition("; ") if "NOT enforced" in line else (line, "", "")
    for name, enforcement in how.items():
        words = name.replace("_", " ")
        if enforcement == "none":
            assert words in loud
        elif enforcement == "watched":
            assert words in quiet


def test_the_backend_is_named() -> None:
    """For every human output."""
    assert console.capability_line(FakeBackend(name="docker")) == "docker backend: every limit enforced by the kernel"
    assert console.capability_line(FakeBackend(name="process")).startswith("process backend: ")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand on a machine of two CPUs of the usual kind, where nothing is to be kept."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="x86_64"))
    monkeypatch.delenv("PREFLIGHT_KEEP_SANDBOX", raising=False)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("memory_mb", "count"), [(128, 0), (3537, 0), (3538, 0), (3539, 1), (10_240, 1)])
def test_note_on_cpus(memory_mb: int, count: int) -> None:
    """Said where Lambda would give more than this machine has, which is above 2 x 1,769 MB here."""
    found = list(console.notes(replace(CONFIG, memory_mb=memory_mb), FakeBackend()))
    assert len(found) == count
    assert all(f"{memory_mb} MB" in note for note in found)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("machine_name", "architecture", "count"),
    [
        ("x86_64", "x86_64", 0),
        ("AMD64", "x86_64", 0),
        ("aarch64", "arm64", 0),
        ("arm64", "arm64", 0),
        ("x86_64", "arm64", 1),
        ("arm64", "x86_64", 1),
    ],
)
def test_note_on_the_architecture(
    monkeypatch: pytest.MonkeyPatch, machine_name: str, architecture: Architecture, count: int
) -> None:
    """Said where a process runs on another one than the function's, by whatever name the machine goes."""
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=machine_name))
    config = replace(CONFIG, architecture=architecture)
    assert len(list(console.notes(config, FakeBackend(name="process")))) == count
    assert list(console.notes(config, FakeBackend(name="docker"))) == []


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("value", "count"), [("1", 1), ("", 0)])
def test_note_on_a_sandbox_to_keep(monkeypatch: pytest.MonkeyPatch, value: str, count: int) -> None:
    """A container can be kept, a process cannot."""
    monkeypatch.setenv("PREFLIGHT_KEEP_SANDBOX", value)
    assert len(list(console.notes(CONFIG, FakeBackend(name="process")))) == count
    assert list(console.notes(CONFIG, FakeBackend(name="docker"))) == []


@pytest.mark.usefixtures("machine")
def test_note_on_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said where a process writes to the machine's own /tmp, and only there."""
    assert list(console.notes(CONFIG, FakeBackend(name="process"))) == []
    monkeypatch.setattr(FakeBackend, "capabilities", capabilities(tmp="none"))
    assert "/tmp" in next(iter(console.notes(CONFIG, FakeBackend(name="process"))))
    assert list(console.notes(CONFIG, FakeBackend(name="docker"))) == []


@pytest.mark.parametrize(
    ("usage", "line"),
    [
        (Usage(), "(CPU time not measured)"),
        (Usage(max_memory_bytes=1), "(CPU time not measured)"),
        (Usage(cpu_seconds=0.0123456), "(CPU time 12.35 ms)"),
        (Usage(cpu_seconds=0.0, throttled_seconds=0.0), "(CPU time 0.00 ms, throttled 0.00 ms)"),
        (
            Usage(cpu_seconds=0.0021, throttled_seconds=0.5, init_cpu_seconds=0.03),
            "(CPU time 2.10 ms, throttled 500.00 ms, init's CPU time 30.00 ms)",
        ),
    ],
)
def test_line_on_cpu_time(usage: Usage, line: str) -> None:
    """What was measured and nothing else, in the REPORT line's way of writing."""
    assert console.cpu_line(usage) == line


def test_object_of_a_success() -> None:
    """Every key of the contract and the figures in its units: ms, and MB of 1,024 KB."""
    usage = Usage(
        max_memory_bytes=64 * 1024 * 1024 + 1024, cpu_seconds=0.0123456, throttled_seconds=0.5, init_cpu_seconds=0.03
    )
    assert console.result_object(result(usage=usage), CONFIG, FakeBackend()) == {
        "payload": {"a": 1},
        "error": None,
        "report": {
            "request_id": "8f5",
            "init_ms": 33.123,
            "duration_ms": 1.988,
            "billed_ms": 36,
            "memory_mb": 512,
            "max_memory_mb": 64.001,
            "cpu_ms": 12.346,
            "throttled_ms": 500.0,
            "init_cpu_ms": 30.0,
        },
        "backend": "docker",
        "capabilities": dict.fromkeys(capabilities().as_dict(), "kernel"),
        "log": "START\n",
    }


def test_object_of_a_failure() -> None:
    """Type and message; the payload is the document that the caller would get."""
    failed = result(body=b'{"errorType":"E","errorMessage":"m"}', error=FunctionError(type="E", message="m"))
    found = console.result_object(failed, CONFIG, FakeBackend())
    assert found["error"] == {"type": "E", "message": "m"}
    assert found["payload"] == {"errorType": "E", "errorMessage": "m"}


@pytest.mark.parametrize("body", [b'{"a": NaN}', b"Infinity", b"[-Infinity]", b"plain text", b"\xff"])
def test_a_payload_that_is_no_json_is_text(body: bytes) -> None:
    """Python's own NaN among it: the object must be JSON for every reader."""
    found = console.result_object(result(body=body), CONFIG, FakeBackend())
    assert found["payload"] == body.decode("utf-8", "replace")
    json.dumps(found, allow_nan=False)


def test_what_was_not_measured_is_null() -> None:
    """Never 0."""
    report = console.result_object(result(init_ms=None), CONFIG, FakeBackend())["report"]
    unknown = {"init_ms", "max_memory_mb", "cpu_ms", "throttled_ms", "init_cpu_ms"}
    assert {name for name, value in report.items() if value is None} == unknown


def test_what_was_measured_as_zero_is_zero() -> None:
    """Never null."""
    usage = Usage(max_memory_bytes=0, cpu_seconds=0.0, throttled_seconds=0.0, init_cpu_seconds=0.0)
    report = console.result_object(result(init_ms=0.0, usage=usage), CONFIG, FakeBackend())["report"]
    assert None not in report.values()
    assert report["throttled_ms"] == 0


@pytest.mark.parametrize("value", [{"text": "é€\u2028"}, {"log": "a\nb\r\n\x00"}, {"deep": [None, True, 1.5]}])
def test_json_is_one_line_of_ascii(value: dict[str, Any]) -> None:
    """Whatever is in it, it comes back as it was."""
    line = console.json_line(value)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == value


def test_progress_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Where standard error is no terminal, each step is a line there, and standard output stays clean."""
    with Progress() as progress:
        progress.say("making the image")
        progress.say("still making it")
        progress.done()
    assert capsys.readouterr() == ("", "making the image\nstill making it\n")


def test_progress_that_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """--json says nothing beside its object."""
    with Progress(quiet=True) as progress:
        progress.say("making the image")
    assert capsys.readouterr() == ("", "")


def test_nothing_that_takes_long_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Done without a word."""
    with Progress() as progress:
        progress.done()
    assert capsys.readouterr() == ("", "")


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard error a terminal; within the test, since pytest sets it anew when one begins."""
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    return made


HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One spinner, whatever the number of steps, instead of lines; afterwards the cursor is there again."""
    terminal = on_a_terminal(monkeypatch)
    with Progress() as progress:
        progress.say("making the image")
        assert terminal.getvalue() == HIDE_CURSOR
        progress.say("packing it")
        progress.done()
        assert terminal.getvalue().count(HIDE_CURSOR) == terminal.getvalue().count(SHOW_CURSOR) == 1
    assert terminal.getvalue().count(SHOW_CURSOR) == 1


def test_an_exception_ends_the_spinner(monkeypatch: pytest.MonkeyPatch) -> None:
    """What went wrong is printed on a terminal that has its cursor."""
    terminal = on_a_terminal(monkeypatch)

    def fails() -> None:
        with Progress() as progress:
            progress.say("making the image")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert terminal.getvalue().count(HIDE_CURSOR) == terminal.getvalue().count(SHOW_CURSOR) == 1


def test_nothing_is_written_to_a_terminal_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is quick leaves it alone."""
    terminal = on_a_terminal(monkeypatch)
    with Progress():
        pass
    assert terminal.getvalue() == ""
