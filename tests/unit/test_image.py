"""Which base image is taken, made, refused or removed, with an engine of a few lines."""

from __future__ import annotations

import fcntl
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox import image, interpreters, rootfs
from emulator.sandbox.docker_calls import EngineRefused
from emulator.sandbox.docker_engine import Engine
from emulator.sandbox.image import AWS_REPOSITORY
from emulator.sandbox.image_find import LABEL, BaseImage
from emulator.sandbox.interpreters import Interpreter
from emulator.sandbox.rootfs import Member
from tests.fake_engine import FakeCalls

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
RUNTIME = f"python{PYTHON}"
KEY = "0123456789abcdef" * 4
REFERENCE = f"lambda-preflight/python:{PYTHON}-0123456789ab"
HERE, ENGINE_HERE = ("arm64", "arm64") if platform.machine() in {"arm64", "aarch64"} else ("x86_64", "amd64")
ELSEWHERE, ENGINE_ELSEWHERE = ("x86_64", "amd64") if HERE == "arm64" else ("arm64", "arm64")


class FakeEngine(FakeCalls):
    """As much of a Docker engine as `ensure` talks to."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, dict[str, Any]] = {}
        self.listed: list[dict[str, Any]] = []
        self.imports: list[dict[str, Any]] = []
        self.removed: list[str] = []
        self.answer = json.dumps({"status": "sha256:made"})
        self.told = {"Os": "linux", "Arch": ENGINE_HERE}
        self.refuses: EngineRefused | None = None
        self.route("GET /images/(.*)/json", lambda match, _: self.inspect(match[1]))
        self.route("GET /version", lambda *_: self.told)
        self.route("GET /images/json", lambda _, call: self.list_images(call.query))
        self.route("DELETE /images/(.*)", lambda match, _: self.remove_image(match[1]))

    def has(self, reference: str, architecture: str = ENGINE_HERE, **labels: str) -> str:
        """Give the engine an image; the answer is its id."""
        self.known[reference] = {"Id": f"id of {reference}", "Architecture": architecture, "Config": {"Labels": labels}}
        return f"id of {reference}"

    def inspect(self, reference: str) -> dict[str, Any]:
        """Tell of one image."""
        if reference not in self.known:
            raise EngineRefused(404, f"No such image: {reference}")
        return self.known[reference]

    def import_image_from_data(self, data: IO[bytes], repository: str, tag: str, changes: list[str]) -> str:
        """Stand in for the docker package's `api.import_image_from_data`."""
        self.imports.append({"bytes": len(data.read()), "changes": changes})
        if "error" not in self.answer:
            labels = dict(change.removeprefix("LABEL ").split("=", 1) for change in changes if "LABEL" in change)
            self.has(f"{repository}:{tag}", **labels)
        return self.answer

    def list_images(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """List the lineage."""
        lineage = [change for change in self.imports[-1]["changes"] if "lineage" in change]
        assert [f"LABEL {label}" for label in json.loads(query["filters"])["label"]] == lineage
        return self.listed

    def remove_image(self, identity: str) -> None:
        """Keep the name, or refuse."""
        if self.refuses is not None:
            raise self.refuses
        self.removed.append(identity)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """An engine without images, on a Linux machine whose file tree is one small file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(rootfs, "key", lambda interpreter: KEY)
    monkeypatch.setattr(rootfs, "gather", lambda interpreter, client: {"etc/passwd": Member(content=b"root")})
    monkeypatch.setattr(interpreters, "runtime_client", lambda interpreter: tmp_path)
    return FakeEngine()


def ensure(
    engine: FakeEngine,
    runtime: str = RUNTIME,
    architecture: str = HERE,
    on_progress: Callable[[str], None] | None = None,
) -> BaseImage:
    """Ask for an image of this machine's own kind."""
    found = Engine(calls=engine, address="unix:///nowhere.sock", api_version="1.41", local=True)
    found.__dict__["client"] = SimpleNamespace(api=engine)
    return image.ensure(found, runtime, architecture, on_progress)


@pytest.mark.parametrize("tag", ["3.9", f"3.9-{HERE}"])
def test_awss_own_image_is_taken_when_it_is_there(tag: str, engine: FakeEngine) -> None:
    """No Python of this machine is needed for it, and its bootstrap is what runs."""
    identity = engine.has(f"{AWS_REPOSITORY}/python:{tag}")
    assert ensure(engine, "python3.9") == BaseImage(
        id=identity,
        origin="aws",
        reference=f"{AWS_REPOSITORY}/python:{tag}",
        python="3.9",
        command=("/var/runtime/bootstrap",),
    )
    assert engine.imports == []


def test_awss_image_serves_an_architecture_that_the_machine_has_not(engine: FakeEngine) -> None:
    """The engine may be able to run it; the tag that names the architecture is looked at too."""
    engine.has(f"{AWS_REPOSITORY}/python:{PYTHON}", ENGINE_HERE)
    identity = engine.has(f"{AWS_REPOSITORY}/python:{PYTHON}-{ELSEWHERE}", ENGINE_ELSEWHERE)
    assert ensure(engine, architecture=ELSEWHERE).id == identity


def test_awss_image_of_another_architecture_is_not_taken(engine: FakeEngine) -> None:
    """The plain tag holds whatever was pulled last."""
    engine.has(f"{AWS_REPOSITORY}/python:{PYTHON}", ENGINE_ELSEWHERE)
    assert ensure(engine).origin == "local"


def test_image_is_made_once(engine: FakeEngine) -> None:
    """The second call finds the first one's image by its tag and label."""
    said: list[str] = []
    made = ensure(engine, on_progress=said.append)
    assert made == ensure(engine, on_progress=said.append)
    assert made.reference == REFERENCE
    assert made.command == (f"/var/lang/bin/python{PYTHON}", "/var/runtime/bootstrap.py")
    assert len(engine.imports) == 1
    assert len(said) == 2
    assert PYTHON in said[0]


def test_image_says_what_it_is_made_of(engine: FakeEngine) -> None:
    """Labels carry the whole key and the versions; the environment is the one of Lambda's images."""
    ensure(engine)
    changes = engine.imports[0]["changes"]
    assert f"LABEL {LABEL}={KEY}" in changes
    assert f"LABEL dev.lambda-preflight.awslambdaric={interpreters.client_versions()['awslambdaric']}" in changes
    assert "WORKDIR /var/task" in changes
    assert "ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin" in changes
    assert not any(" " in change.partition(" ")[2] for change in changes)  # the engine would want quotes


def test_image_whose_label_differs_is_made_anew(engine: FakeEngine) -> None:
    """A tag alone proves nothing: the label must hold the whole key."""
    engine.has(REFERENCE, **{LABEL: KEY[:-1] + "0"})
    ensure(engine)
    assert len(engine.imports) == 1


def test_image_made_while_waiting_is_taken(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that waits for another one's image looks again before it makes its own."""
    monkeypatch.setattr(fcntl, "flock", lambda file, how: engine.has(REFERENCE, **{LABEL: KEY}))
    assert ensure(engine).id == f"id of {REFERENCE}"
    assert engine.imports == []


def test_foreign_architecture_is_refused(engine: FakeEngine) -> None:
    """This machine's Python cannot serve it; what can is named."""
    with pytest.raises(BackendError, match=f"Architectures: {ELSEWHERE}") as caught:
        ensure(engine, architecture=ELSEWHERE)
    hint = caught.value.hint or ""
    assert f"set Architectures to {HERE}; or use `--backend process`, which runs it on" in hint
    assert f"docker pull --platform linux/{ENGINE_ELSEWHERE} {AWS_REPOSITORY}/python:{PYTHON}" in hint


def test_a_bootstrap_for_another_architecture_is_not_sent_to_the_process_backend(engine: FakeEngine) -> None:
    """It would not start there either."""
    with pytest.raises(BackendError, match=f"Architectures: {ELSEWHERE}") as caught:
        ensure(engine, "provided.al2023", ELSEWHERE)
    assert f"set Architectures to {HERE}" in (caught.value.hint or "")
    assert "--backend process" not in (caught.value.hint or "")


@pytest.mark.parametrize("told", [{"Os": "windows", "Arch": ENGINE_HERE}, {"Os": "linux", "Arch": ENGINE_ELSEWHERE}])
def test_engine_of_another_kind_gets_no_local_image(told: dict[str, str], engine: FakeEngine) -> None:
    """A remote engine may be another machine: this one's Python would not start there."""
    engine.told = told
    with pytest.raises(BackendError, match=f"{told['Os']}/{told['Arch']}"):
        ensure(engine)


def test_other_systems_have_no_local_image(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS's Python is no Linux program: only AWS's image or the process backend helps."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BackendError, match="on Linux only") as caught:
        ensure(engine)
    assert "docker pull" in (caught.value.hint or "")


@pytest.mark.parametrize(("runtime", "architecture"), [("nodejs20.x", HERE), (RUNTIME, "sparc")])
def test_nonsense_is_a_mistake_in_the_configuration(runtime: str, architecture: str, engine: FakeEngine) -> None:
    """The engine is not even asked."""
    engine.trouble = AssertionError("asked")
    with pytest.raises(ConfigurationError):
        ensure(engine, runtime, architecture)


def test_missing_interpreter_names_awss_image_too(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways out stand in one hint."""

    def find(runtime: str) -> Interpreter:
        raise BackendError("no CPython 3.77", hint="install it")

    monkeypatch.setattr(interpreters, "find", find)
    with pytest.raises(BackendError) as caught:
        ensure(engine, "python3.77")
    assert (caught.value.hint or "").startswith("install it; or fetch AWS's own image: `docker pull")


def test_engine_that_goes_away_is_a_failure_of_the_backend(engine: FakeEngine) -> None:
    """The bare exception does not get out."""
    engine.trouble = ConnectionError("gone")
    with pytest.raises(BackendError):
        ensure(engine)


@pytest.mark.parametrize(
    ("error", "hint"),
    [("write /x: no space left on device", "docker system df"), ("unexpected EOF", "preflight doctor")],
)
def test_error_after_the_engine_said_200_is_seen(error: str, hint: str, engine: FakeEngine) -> None:
    """The engine's answer is a stream, and the failure is its last line."""
    engine.answer = '{"status":"Loading"}\n' + json.dumps({"errorDetail": {"message": error}, "error": error}) + "\n"
    with pytest.raises(BackendError, match=error) as caught:
        ensure(engine)
    assert hint in (caught.value.hint or "")


def test_full_disk_here_is_told(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be put together on this side names the folder for temporary files."""

    def write_tar(tree: object, file: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rootfs, "write_tar", write_tar)
    with pytest.raises(BackendError, match="No space left on device") as caught:
        ensure(engine)
    assert "TMPDIR" in (caught.value.hint or "")


def test_superseded_images_go_once_they_are_an_hour_old(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may just have been handed a younger one; the one just made stays whatever its date."""
    monkeypatch.setattr(time, "time", lambda: 10_000.0)
    ages = {"younger": 3599, "an hour": 3600, "older": 3601, f"id of {REFERENCE}": 9999}
    engine.listed = [{"Id": identity, "Created": 10_000 - age} for identity, age in ages.items()]
    ensure(engine)
    assert engine.removed == ["an hour", "older"]


@pytest.mark.parametrize("status", [404, 409])
def test_superseded_image_in_use_or_gone_is_let_be(status: int, engine: FakeEngine) -> None:
    """A container still needs it, or another process was first."""
    engine.listed = [{"Id": "old", "Created": 0}]
    engine.refuses = EngineRefused(status, "no")
    assert ensure(engine).origin == "local"


def test_other_trouble_with_a_superseded_image_is_told(engine: FakeEngine) -> None:
    """Nothing is swallowed that was not expected."""
    engine.listed = [{"Id": "old", "Created": 0}]
    engine.refuses = EngineRefused(500, "no")
    with pytest.raises(BackendError, match="superseded"):
        ensure(engine)


def test_cache_that_cannot_be_written_is_told(engine: FakeEngine, tmp_path: Path) -> None:
    """The lock lies in the cache folder."""
    (tmp_path / "cache").write_text("a file where the cache should be")
    with pytest.raises(BackendError, match="cannot be written"):
        ensure(engine)
