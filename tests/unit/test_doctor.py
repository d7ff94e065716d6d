"""What the machine can enforce: read from it, and put into words."""

from __future__ import annotations

import gzip
import json
import platform
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from emulator import doctor as module
from emulator.config import FunctionConfig
from emulator.doctor import Candidate, Findings, as_text, examine, kernel_hz
from emulator.errors import BackendError, PreflightError
from emulator.sandbox import interpreters
from tests.fakes import FakeBackend, capabilities

if TYPE_CHECKING:
    from emulator.sandbox import Choice
    from emulator.sandbox.base import Capabilities

CONFIG = """#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.1.0 Kernel Configuration
#
# CONFIG_HZ_PERIODIC is not set
CONFIG_NO_HZ_IDLE=y
# CONFIG_HZ_100 is not set
CONFIG_HZ_{hz}=y
CONFIG_HZ={hz}
CONFIG_SCHED_HRTICK=y
"""


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    """Give an empty /boot."""
    folder = tmp_path / "boot"
    folder.mkdir()
    return folder


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Give an empty /proc."""
    folder = tmp_path / "proc"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("hz", [100, 250, 300, 1000])
def test_hz_beside_the_kernel(boot: Path, proc: Path, hz: int) -> None:
    """As Debian and Ubuntu have it; neither CONFIG_HZ_250=y nor CONFIG_NO_HZ is the number."""
    (boot / f"config-{platform.release()}").write_text(CONFIG.format(hz=hz))
    assert kernel_hz(boot, proc) == hz


def test_hz_of_the_running_kernel(boot: Path, proc: Path) -> None:
    """As kernels have it that carry their configuration within."""
    (proc / "config.gz").write_bytes(gzip.compress(CONFIG.format(hz=250).encode()))
    assert kernel_hz(boot, proc) == 250


def test_hz_of_another_kernel_does_not_count(boot: Path, proc: Path) -> None:
    """A configuration of a version that is not running says nothing."""
    (boot / "config-0.0.1-other").write_text(CONFIG.format(hz=1000))
    assert kernel_hz(boot, proc) is None


def test_hz_that_is_nowhere(boot: Path, proc: Path) -> None:
    """Unknown is None, also where there are no such folders at all."""
    assert kernel_hz(boot, proc) is None
    assert kernel_hz(boot / "gone", proc / "gone") is None


def test_hz_of_a_configuration_without_it(boot: Path, proc: Path) -> None:
    """A configuration that does not tell is asked no further than the next one."""
    (boot / f"config-{platform.release()}").write_text("CONFIG_X=y\n")
    assert kernel_hz(boot, proc) is None
    (proc / "config.gz").write_bytes(gzip.compress(CONFIG.format(hz=1000).encode()))
    assert kernel_hz(boot, proc) == 1000


def test_hz_that_may_not_be_read(boot: Path, proc: Path) -> None:
    """What cannot be read is passed over, as a folder of that name shows."""
    (boot / f"config-{platform.release()}").mkdir()
    (proc / "config.gz").write_bytes(gzip.compress(CONFIG.format(hz=300).encode()))
    assert kernel_hz(boot, proc) == 300


DOCKER = Candidate(
    name="docker",
    capabilities=capabilities(tmp="none"),
    facts={"engine": "20.10 at unix:///x", "Runtime API": "over an internal bridge"},
    advice=("Run as root.",),
)
NO_DOCKER = Candidate(
    name="docker", capabilities=None, facts={}, advice=("Start an engine.",), problem="no engine answers"
)
PROCESS = Candidate(name="process", capabilities=capabilities("watched"), facts={}, advice=())


def findings(*candidates: Candidate, chosen: str | None, advice: tuple[str, ...] = ()) -> Findings:
    """Give the findings on a machine of two facts."""
    machine = {"CPUs": "2", "timer": "250 Hz"}
    return Findings(machine=machine, functions={}, advice=advice, backends=candidates, chosen=chosen)


def test_text_has_the_facts_first() -> None:
    """Machine, each backend in its order, then what to do; the one in use is marked."""
    text = as_text(findings(DOCKER, PROCESS, chosen="docker", advice=("The kernel ticks at 1000 Hz.",)))
    lines = text.splitlines()
    assert lines[0] == "Machine"
    assert [line for line in lines if line and not line.startswith(" ")] == [
        "Machine",
        "docker backend (used)",
        "process backend",
        "To mend",
    ]
    assert lines[-2:] == ["  - The kernel ticks at 1000 Hz.", "  - Run as root."]


def test_text_says_each_limit() -> None:
    """One row for each, in words, its values in one column, and the summary above them."""
    lines = as_text(findings(DOCKER, chosen="docker")).splitlines()
    rows = [line for line in lines if line.endswith(("  kernel", "  none"))]
    assert len(rows) == len(capabilities().as_dict())
    assert len({len(row) - len(row.split()[-1]) for row in rows}) == 1
    assert any(row.split() == ["tmp", "none"] for row in rows)
    assert any(row.split() == ["read", "only", "root", "kernel"] for row in rows)
    assert any("tmp NOT enforced" in line for line in lines)
    assert any(line.split(maxsplit=1) == ["engine", "20.10 at unix:///x"] for line in lines)


def test_text_says_why_a_backend_is_not_there() -> None:
    """In its own words, with what to do at the end."""
    text = as_text(findings(NO_DOCKER, PROCESS, chosen="process"))
    assert "docker backend\n  not available: no engine answers\n" in text
    assert text.endswith("To mend\n  - Start an engine.")


def test_text_where_nothing_is_to_be_mended() -> None:
    """No heading without a line under it."""
    assert "To mend" not in as_text(findings(PROCESS, chosen="process"))


def test_functions_keep_their_names() -> None:
    """A name is a name, whatever letters it has, and stands with what would run it."""
    found = replace(findings(PROCESS, chosen="process"), functions={"my_function": "python3.13: /usr/bin/python3.13"})
    lines = as_text(found).splitlines()
    assert lines[lines.index("Functions") + 1].split() == ["my_function", "python3.13:", "/usr/bin/python3.13"]


@pytest.mark.parametrize(("chosen", "usable"), [("docker", True), ("process", True), (None, False)])
def test_usable(chosen: str | None, usable: bool) -> None:  # noqa: FBT001 - a column of the table
    """Without any backend nothing can be invoked."""
    assert findings(NO_DOCKER, chosen=chosen).usable is usable


class Docker(FakeBackend):
    """A Docker backend as far as the examination looks at it."""

    def __init__(self, _: object, *, transport: str = "namespace", images: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.tried = False
        self.transport = transport
        self._there = images

    def images(self) -> list[str]:
        """As given."""
        return list(self._there)

    def try_disk(self) -> str:
        """After it, the backend knows better."""
        self.tried = True
        return "tried, in vain: no devices"

    @property
    def capabilities(self) -> Capabilities:
        """What the trial found."""
        return capabilities(tmp="none" if self.tried else "kernel")

    def advice(self) -> list[str]:
        """One sentence."""
        return ["Run as root."]


ENGINE = SimpleNamespace(version="20.10.24", address="unix:///x", cgroup="v1, cgroupfs")


class Machine:
    """What an examination finds: an engine, or why there is none, and what processes can be held to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from emulator.sandbox import docker, docker_engine, process

        self.engine: SimpleNamespace | PreflightError = ENGINE
        self.docker = Docker(ENGINE)
        self.process = FakeBackend(name="process")
        monkeypatch.setattr(docker_engine, "connect", self.connect)
        monkeypatch.setattr(docker, "DockerBackend", lambda _: self.docker)
        monkeypatch.setattr(process, "ProcessBackend", lambda: self.process)

    def connect(self) -> SimpleNamespace:
        """The engine, if there is one."""
        if isinstance(self.engine, PreflightError):
            raise self.engine
        return self.engine


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give a machine with everything."""
    return Machine(monkeypatch)


@pytest.mark.parametrize(
    ("choice", "names", "chosen"),
    [("auto", ["docker", "process"], "docker"), ("docker", ["docker"], "docker"), ("process", ["process"], "process")],
)
def test_examination(machine: Machine, choice: Choice, names: list[str], chosen: str) -> None:
    """What the choice admits is tried in the order in which the commands would take it, and let go again."""
    found = examine(choice)
    assert [candidate.name for candidate in found.backends] == names
    assert found.chosen == chosen
    assert machine.docker.closed == ("docker" in names)
    assert machine.process.closed == ("process" in names)
    assert found.machine["emulator's Python"].startswith(platform.python_version())


@pytest.mark.parametrize(("transport", "words"), [("namespace", "network namespace"), ("bridge", "internal bridge")])
def test_examination_of_an_engine(machine: Machine, transport: str, words: str) -> None:
    """Which engine, how the Runtime API gets in, and what would make it better."""
    machine.docker = Docker(ENGINE, transport=transport, images=("python3.12", "python3.13"))
    candidate = examine("docker").backends[0]
    assert candidate.facts["engine"] == "20.10.24 at unix:///x"
    assert words in candidate.facts["Runtime API"]
    assert candidate.facts["disk for /tmp"] == "tried, in vain: no devices"
    assert candidate.capabilities == capabilities(tmp="none")
    assert candidate.facts["images"] == "python3.12, python3.13"
    assert candidate.advice == ("Run as root.",)


@pytest.mark.usefixtures("machine")
def test_examination_of_a_new_engine() -> None:
    """No images is no empty place."""
    assert examine("docker").backends[0].facts["images"]


@pytest.mark.parametrize(("hint", "advice"), [("Start one.", ("Start one.",)), (None, ())])
def test_examination_without_an_engine(machine: Machine, hint: str | None, advice: tuple[str, ...]) -> None:
    """The reason and the hint are the engine's; processes are what would be used."""
    machine.engine = BackendError("no engine answers", hint=hint)
    found = examine("auto")
    assert found.backends[0].problem == "no engine answers"
    assert found.backends[0].advice == advice
    assert found.chosen == "process"
    assert not examine("docker").usable


def test_examination_of_processes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they cannot be held to is named with the way out."""
    assert examine("process").backends[0].advice == ()
    monkeypatch.setattr(FakeBackend, "capabilities", capabilities(network="none", user="none"))
    advice = examine("process").backends[0].advice
    assert len(advice) == 1
    assert "network, user" in advice[0]
    assert "Docker" in advice[0]
    assert machine.process.closed == 2


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("hz", "said"), [(250, 0), (None, 0), (100, 1), (1000, 1)])
def test_examination_of_the_timer(monkeypatch: pytest.MonkeyPatch, hz: int | None, said: int) -> None:
    """Only a frequency that is known and not Lambda's is worth a word."""
    monkeypatch.setattr(module, "kernel_hz", lambda *_: hz)
    found = examine("process")
    assert len(found.advice) == said
    assert found.machine["timer"].startswith("unknown" if hz is None else f"{hz} Hz")


@pytest.mark.usefixtures("machine")
def test_examination_of_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each, the interpreter that would run it, or why there is none."""

    def find(runtime: str) -> SimpleNamespace:
        if runtime == "python3.99":
            raise BackendError("no CPython 3.99 was found")
        return SimpleNamespace(executable="/usr/bin/python3.13")

    monkeypatch.setattr(interpreters, "find", find)
    configs = [
        FunctionConfig(name=name, handler="a.b", runtime=runtime, code=Path())
        for name, runtime in (("Old", "python3.99"), ("New", "python3.13"))
    ]
    found = examine("process", configs).functions
    assert list(found) == ["Old", "New"]
    assert "no CPython 3.99 was found" in found["Old"]
    assert found["New"] == "python3.13: /usr/bin/python3.13"


def test_awss_image_is_spoken_of_once_and_only_with_an_engine() -> None:
    """Not beside each function, and not for a backend that has no images."""
    functions = {"F": "python3.13: /usr/bin/python3.13", "G": "python3.12: /usr/bin/python3.12"}
    with_engine = as_text(replace(findings(DOCKER, PROCESS, chosen="docker"), functions=functions))
    without = as_text(replace(findings(PROCESS, chosen="process"), functions=functions))
    assert with_engine.count("AWS's image") == 1
    assert "AWS's image" not in without


def test_findings_are_json() -> None:
    """Everything is in the object of --json, unknown as null."""
    document = json.loads(json.dumps(findings(DOCKER, NO_DOCKER, chosen="docker").as_dict()))
    assert document["chosen"] == "docker"
    assert document["machine"]["CPUs"] == "2"
    assert document["backends"][0]["capabilities"]["tmp"] == "none"
    assert document["backends"][1]["capabilities"] is None
    assert document["backends"][1]["problem"] == "no engine answers"
