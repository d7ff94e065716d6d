"""One suite for every backend: `lab` is a service with all its functions, once for each way to isolate them.

What a backend says it does not enforce is not tested there, for the reason in KNOWN_DIFFERENCES; every other test holds
for all of them alike.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from emulator import template
from emulator.config import Architecture, FunctionConfig, LoggingConfig, SystemLogLevel
from emulator.invocation import InvocationResult
from emulator.sandbox.base import Backend, Capabilities
from emulator.service import LambdaService
from tests.leaks import no_leaks

__all__ = ["no_leaks"]

ROOT: Final = Path(__file__).parents[2]
TEMPLATE: Final = ROOT / "fixtures" / "functions" / "template.yaml"
EXTENSIONS: Final = Path(__file__).with_name("extensions")
OWN_CODE: Final = Path(__file__).with_name("functions")
IMAGE: Final = f"preflight-fixtures/probe:{os.getpid()}"
RUNTIME: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE: Final[Architecture] = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"

KNOWN_DIFFERENCES: Final = {
    "cpu": "without a control group nobody can hold a process to a share of a CPU",
    "tmp": "a process has this machine's own /tmp, which has no size of its own; it gets a folder as TMPDIR",
    "read_only_root": "a process sees this machine's files at their own places, and may write what its user may",
    "network": "a process shares this machine's network, where the Runtime API's address is open to every process",
    "processes": "without a control group only the limit of the whole user could be had",
    "user": "a process runs as the user who started the emulator, with that user's rights",
    "shared_memory": "a process has this machine's /dev/shm",
}
"""Limit to why a backend may say `none` for it. Memory and open files are not here: they can always be held."""


def _docker() -> Backend:
    from emulator.sandbox.docker import DockerBackend
    from emulator.sandbox.docker_engine import connect

    return DockerBackend(connect())


def _docker_bridge() -> Backend:
    from emulator.sandbox.docker import DockerBackend
    from emulator.sandbox.docker_engine import connect

    return DockerBackend(connect(), transport="bridge")


def _process() -> Backend:
    from emulator.sandbox.process import ProcessBackend

    return ProcessBackend()


def _process_watched() -> Backend:
    from emulator.sandbox.process import ProcessBackend

    return ProcessBackend(cgroups=False)


BACKENDS: Final[Mapping[str, Callable[[], Backend]]] = {
    "docker": _docker,
    "docker-bridge": _docker_bridge,
    "process": _process,
    "process-watched": _process_watched,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A running service and what its backend says of itself."""

    service: LambdaService
    backend: Backend
    capabilities: Capabilities
    functions: Mapping[str, FunctionConfig]
    scratch: Path
    begun: Mapping[str, Future[InvocationResult]]
    """Invocations that only wait, begun before the first test so that the others need not wait for them."""

    def invoke(self, name: str, event: object = None, *, fresh: bool = False) -> InvocationResult:
        """Invoke with an event of any JSON value; `fresh` for a cold start."""
        return self.service.invoke(name, json.dumps({} if event is None else event).encode(), fresh=fresh)

    def cold(self, name: str, event: object = None) -> InvocationResult:
        """The first invocation of a new environment, which is the only one of this function."""
        self.service.retire(name)
        return self.invoke(name, event)

    def payload(self, name: str, event: object = None) -> Any:  # noqa: ANN401 - JSON of any shape
        """What a function that must not fail answers."""
        result = self.invoke(name, event)
        assert result.error is None, result.log
        return result.payload

    def needs(self, *limits: str) -> None:
        """Skip the test where the backend says that it does not hold one of these."""
        for limit in limits:
            if self.capabilities.as_dict()[limit] == "none":
                pytest.skip(f"known difference of the {self.backend.name} backend, {limit}: {KNOWN_DIFFERENCES[limit]}")

    def task_root(self, name: str) -> str:
        """Where a function finds its code: Lambda's folder where the backend has a file system of its own."""
        return "/var/task" if self.has_own_files else str(self.functions[name].code)

    def tmp(self, name: str) -> str:
        """A path for a file of the function's: in Lambda's folder where it is its own."""
        return f"/tmp/{name}" if self.has_own_files else str(self.scratch / name)

    @property
    def has_own_files(self) -> bool:
        """Whether functions see Lambda's folders instead of this machine's."""
        return self.capabilities.read_only_root != "none"


@pytest.fixture(
    scope="session",
    params=[pytest.param(name, marks=pytest.mark.engine) if name.startswith("docker") else name for name in BACKENDS],
)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One service for all tests of a backend, so that environments stay warm between them."""
    open_before = open_descriptors()
    folder = tmp_path_factory.mktemp("conformance")
    folder.chmod(0o755)  # a function is another user
    functions = all_functions(folder)
    backend = BACKENDS[request.param]()
    with LambdaService(functions, backend) as service, ThreadPoolExecutor() as pool:
        yield Lab(
            service=service,
            backend=backend,
            capabilities=backend.capabilities,
            functions=functions,
            scratch=folder,
            begun={name: pool.submit(service.invoke, name, b"{}") for name in long_waits(request.session)},
        )
    assert open_descriptors() - open_before == set()


def open_descriptors() -> set[str]:
    """This process's, by number; none where the system does not tell."""
    listed = Path("/proc/self/fd")
    return {path.name for path in listed.iterdir()} if listed.exists() else set()


def long_waits(session: pytest.Session) -> set[str]:
    """Functions named by `waits_for` markers of the tests that are going to run."""
    return {name for item in session.items for mark in item.iter_markers("waits_for") for name in mark.args}


def pytest_configure(config: pytest.Config) -> None:
    """Declare the suite's own marker."""
    config.addinivalue_line("markers", "waits_for(function): its one invocation takes long and is begun ahead")
    config.addinivalue_line("markers", "seldom_on(backends, reason): there a part of `make soak`, not of `make test`")


@pytest.hookimpl(tryfirst=True)  # before soak tests are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two backends have the same code for what is tested, one of them is enough every day.

    One worker of pytest-xdist runs all tests of a backend, so that its service is made once.
    """
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "lab" in parameters:
            item.add_marker(pytest.mark.xdist_group(parameters["lab"]))
        for mark in item.iter_markers("seldom_on"):
            if parameters.get("lab") in mark.args:
                item.add_marker(pytest.mark.soak)


def all_functions(folder: Path) -> dict[str, FunctionConfig]:
    """The functions of the fixtures, some of them again in other sizes, and the suite's own."""
    loaded = template.load(TEMPLATE, parameters={"PythonRuntime": RUNTIME})
    given = {config.name: replace(config, architecture=ARCHITECTURE) for config in loaded.all()}
    first, second = layer_folders(folder)
    resized = (
        replace(given["Echo"], name="EchoFast", memory_mb=1769, timeout_s=30),
        replace(given["LargeAnswer"], name="LargeAnswerFast", memory_mb=1769, timeout_s=30),
        replace(given["BusyLoop"], name="BusyLoop128", memory_mb=128),
        replace(given["BusyLoop"], name="BusyLoop512", memory_mb=512),
        replace(given["TouchMemory"], name="TouchMemory256", memory_mb=256),
        replace(given["FillTmp"], name="FillTmpFast", memory_mb=1769),
        replace(given["Talk"], name="TalkJson", logging=_json("INFO")),
        replace(given["Raises"], name="RaisesJson", logging=_json("WARN")),
        replace(given["Probe"], name="ProbeConfigured", environment={"COLOUR": "blue", "LANG": "C", "HOME": "/x"}),
        replace(given["Probe"], name="Probe128", memory_mb=128),
        replace(given["Probe"], name="ProbePath", layers=(first,), environment={"PYTHONPATH": "/opt/own"}),
    )
    own = (
        _own("Machine", "machine.handler", memory_mb=1024, timeout_s=2),
        _own("MachinePatient", "machine.handler", memory_mb=128, timeout_s=30),
        _own("Loud", "loud.handler", memory_mb=1769, timeout_s=10),
        _own("LoudDeath", "loud.die", memory_mb=1769, timeout_s=10),
        _own("Later", "loud.later"),
        _own("BusyInit", "busy_init.handler", memory_mb=128, timeout_s=10),
        _own("BusyInitExits", "busy_init.handler", memory_mb=128, timeout_s=10),
        _own("Who", "who.handler", memory_mb=1024, timeout_s=30),
        _own("Background", "background.handler", memory_mb=1769, timeout_s=10),
        _own("BackgroundOf128", "background.handler", memory_mb=128, timeout_s=10),
        _own("HearsSigterm", "hears_sigterm.handler"),
        _own("InitOnce", "init_once.handler"),
        _own("SlowOnce", "slow_once.handler", timeout_s=5),
        _own("OneLayer", "layered.handler", layers=(first,)),
        _own("TwoLayers", "layered.handler", layers=(first, second)),
        _own("TwoLayersReversed", "layered.handler", layers=(second, first)),
        *custom_runtimes(given["Custom"], folder),
        *wrapped_functions(given["Probe"], folder),
        *image_functions(given["Image"]),
    )
    custom = replace(given["Custom"], name="CustomExtended", layers=(extension_layer(folder, "documented.sh"),))
    streams = replace(given["Streams"], name="StreamsExtended", layers=(extension_layer(folder, "lingers-too"),))
    every = (*resized, *own, *extended(folder), custom, streams)
    return given | {config.name: config for config in every}


def extension_layer(folder: Path, *names: str, mode: int = 0o755) -> Path:
    """A layer with these extensions; those that are no files of EXTENSIONS are its recorder, which knows its name."""
    made = folder / f"extensions-{mode:o}-{names[0]}"
    for name in names:
        part = EXTENSIONS / name if (EXTENSIONS / name).exists() else EXTENSIONS / "recorder"
        _file(made / "extensions" / name, part.read_bytes(), mode)
    return made


def extended(folder: Path) -> Iterator[FunctionConfig]:
    """Functions with external extensions."""

    def layer(*names: str, mode: int = 0o755) -> Path:
        return extension_layer(folder, *names, mode=mode)

    yield _own(
        "Extended",
        "extended.handler",
        layers=(layer("recorder"), layer("quiet")),
        environment={"COLOUR": "blue"},
        memory_mb=1769,
    )
    for name in ("sleepy", "refuses", "crashes", "leaves", "telemetry", "lingers", "ticks", "documented"):
        yield _own(f"Extended{name.title()}", "extended.handler", layers=(layer(name),), memory_mb=1769)
    yield _own("ExtendedJson", "extended.handler", layers=(layer("logs"),), memory_mb=1769, logging=_json("INFO"))
    yield _own(
        "ExtendedTen",
        "extended.handler",
        layers=(layer(*(f"of-ten-{number}" for number in range(10))),),
        memory_mb=1769,
    )
    yield _own("ExtendedEleven", "extended.handler", layers=(layer(*(f"of-11-{n:02}" for n in range(11))),))
    windows = _file(folder / "windows" / "extensions" / "from windows", b"#!/bin/sh\r\n").parents[1]
    yield _own("ExtendedFromWindows", "extended.handler", layers=(windows,))
    yield _own("ExtendedLocked", "extended.handler", layers=(layer("recorder", mode=0o644),))
    yield _own("ExtendedHangs", "extended.hang", layers=(layer("hangs"),), timeout_s=1, memory_mb=1769)
    yield _own("ExtendedWithin", "extended_within.handler", memory_mb=1769)


def layer_folders(folder: Path) -> tuple[Path, Path]:
    """Two layers that differ in one module and have one each of their own, in both of Lambda's places for Python."""
    layers = folder / "first", folder / "second"
    for layer in layers:
        site = layer / "python" / "lib" / RUNTIME / "site-packages"
        site.mkdir(parents=True)
        (layer / "python" / "both.py").write_text(f"VALUE = {layer.name!r}\n")
        (layer / "python" / f"only_{layer.name}.py").write_text(f"VALUE = {layer.name!r}\n")
        (site / "in_site.py").write_text(f"VALUE = {layer.name!r}\n")
        (layer / f"{layer.name}.txt").write_text(f"data of {layer.name}")
    (layers[0] / "python" / "loud.py").write_text("VALUE = 'the layer hides the package'\n")
    return layers


def _json(level: SystemLogLevel) -> LoggingConfig:
    return LoggingConfig(format="JSON", application_level="INFO", system_level=level)


def custom_runtimes(custom: FunctionConfig, folder: Path) -> tuple[FunctionConfig, ...]:
    """Functions whose bootstrap is a layer's, or cannot be started, each for another reason."""
    script = (custom.code / "bootstrap").read_bytes()
    layer = _file(folder / "runtime-layer" / "bootstrap", script)
    handlers = _file(folder / "handlers" / "function.sh", (custom.code / "function.sh").read_bytes())
    contents = {
        "BootstrapDenied": (script, 0o644),
        "BootstrapFromWindows": (script.replace(b"\n", b"\r\n"), 0o755),
        "BootstrapWithoutFirstLine": (b"echo hello\n", 0o755),
        "BootstrapExits": (b"#!/bin/sh\necho leaving\nexit 7\n", 0o755),
    }
    return (
        replace(custom, name="CustomInLayer", code=handlers.parent, layers=(layer.parent,)),
        *(
            replace(custom, name=name, code=_file(folder / name / "bootstrap", content, mode).parent)
            for name, (content, mode) in contents.items()
        ),
    )


def wrapped_functions(probe: FunctionConfig, folder: Path) -> tuple[FunctionConfig, ...]:
    """Functions that start through a script of a layer: one that is there, and one that is not."""
    layer = _file(folder / "wrapper" / "wrap", b'#!/bin/sh\nexport WRAPPED="$#"\nexec "$@"\n').parent
    return tuple(
        replace(probe, name=name, layers=(layer,), environment={"AWS_LAMBDA_EXEC_WRAPPER": wrapper})
        for name, wrapper in (("Wrapped", "/opt/wrap"), ("WrapperMissing", "/opt/none"))
    )


def image_functions(given: FunctionConfig) -> tuple[FunctionConfig, ...]:
    """Functions of the image that `test_image_function` builds; most replace something of what it says."""
    image = replace(given, image=IMAGE)
    python = f"/var/lang/bin/{RUNTIME}"
    return (
        image,
        replace(image, name="ImageSmall", memory_mb=128),
        replace(image, name="ImageOutOfMemory", memory_mb=128, command=("ill.out_of_memory",)),
        replace(image, name="ImageCommand", command=("well.echo",)),
        replace(image, name="ImageFolder", working_directory="/var", environment={"PYTHONPATH": "/app:/var/runtime"}),
        replace(
            image,
            name="ImageEntryPoint",
            entry_point=(python, "-c", "import sys, awslambdaric.__main__ as it; it.main(['', sys.argv[1]])"),
        ),
        replace(image, name="ImageHome", environment={"HOME": "/tmp", "GREETING": "template"}),
        replace(image, name="ImageAbsent", entry_point=("/not/there", "x")),
        replace(image, name="ImageDenied", entry_point=("/app/probe.py",)),
        replace(image, name="ImageByName", entry_point=("nothing-of-that-name",)),
        replace(image, name="ImageExits", entry_point=(python, "-c", "print('leaving'); exit(126)")),
        replace(image, name="ImageExtended", image=f"{IMAGE}-extended"),
        replace(image, name="ImageExtendedDenied", image=f"{IMAGE}-denied"),
        replace(image, name="ImageMissing", image=f"preflight-fixtures/no-such-image:{os.getpid()}"),
    )


def _file(path: Path, content: bytes, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def _own(name: str, handler: str, **settings: Any) -> FunctionConfig:  # noqa: ANN401 - fields of different types
    return FunctionConfig(
        name=name, handler=handler, runtime=RUNTIME, code=OWN_CODE, architecture=ARCHITECTURE, **settings
    )
