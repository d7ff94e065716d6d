"""Functions by name: which environment serves which call, and that none is left behind."""

from __future__ import annotations

import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emulator import runtime_server, spec
from emulator.config import FunctionConfig
from emulator.errors import BackendError, ConfigurationError, QuotaError
from emulator.sandbox.base import Exit
from emulator.service import LambdaService
from tests.fakes import FakeBackend, FakeRuntime, FakeServer, Runtime, echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Fleet:
    """One service with the functions F and G over a fake backend."""

    def __init__(self, backend: FakeBackend, config: FunctionConfig) -> None:
        self.backend = backend
        self.service = LambdaService({"F": config, "G": replace(config, name="G")}, backend, freeze=False)

    def call(self, payload: bytes = b"{}", *, fresh: bool = False) -> str:
        """Invoke F and say which sandbox answered, where its runtime is `who`."""
        return str(self.service.invoke("F", payload, fresh=fresh).payload)

    def closed(self) -> list[bool]:
        """Whether each sandbox was closed, in the order they were made."""
        return ["close" in sandbox.calls for sandbox in self.backend.sandboxes]


async def who(runtime: FakeRuntime) -> None:
    """Answer with the sandbox's name."""
    while True:
        await runtime.next()
        await runtime.respond(f'"{runtime.sandbox.identity}"'.encode())


def memory_of(monkeypatch: pytest.MonkeyPatch, path: Path, available_kb: int | None) -> None:
    """Let the machine have this much memory available; None where it does not tell."""
    meminfo = path / "meminfo"
    meminfo.unlink(missing_ok=True)
    if available_kb is not None:
        meminfo.write_text(f"MemTotal:       99999999 kB\nMemFree:  1 kB\nMemAvailable:   {available_kb} kB\n")
    monkeypatch.setattr(spec, "Path", lambda name: meminfo if name == "/proc/meminfo" else Path(name))


@pytest.fixture
def config(tmp_path: Path) -> FunctionConfig:
    """Give a small function."""
    return FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=tmp_path)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, config: FunctionConfig, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Open services that are closed after the test, on a machine with 10 GB available and without HTTP."""
    monkeypatch.setattr(runtime_server, "RuntimeServer", FakeServer)
    memory_of(monkeypatch, tmp_path, 10 * 1024 * 1024)
    opened: list[Fleet] = []

    def open_(*lives: Runtime) -> Fleet:
        opened.append(Fleet(FakeBackend(*lives), config))
        return opened[-1]

    yield open_
    for made in opened:
        made.service.close()


def test_one_environment_serves_one_call_after_another(fleet: Callable[..., Fleet]) -> None:
    """The second call is warm."""
    opened = fleet(who)
    assert [opened.call(), opened.call(), opened.call()] == ["fake-0"] * 3
    assert len(opened.backend.sandboxes) == 1


def test_functions_do_not_share_environments(fleet: Callable[..., Fleet]) -> None:
    """Each has its own, with its own name in it."""
    service = fleet(who).service
    assert [service.invoke(name, b"{}").payload for name in ("F", "G", "F")] == ["fake-0", "fake-1", "fake-0"]


def test_the_environment_used_last_serves_again(fleet: Callable[..., Fleet]) -> None:
    """Of two, the one that came back later is taken, so that the other can go cold."""

    async def nests(runtime: FakeRuntime) -> None:
        while True:
            event = await runtime.next()
            if event.body == b'"nest"':
                assert opened.call() == "fake-1"  # answered and given back while fake-0 is busy
            await runtime.respond(f'"{runtime.sandbox.identity}"'.encode())

    opened = fleet(nests)
    assert opened.call(b'"nest"') == "fake-0"
    assert [opened.call(), opened.call()] == ["fake-0", "fake-0"]
    assert len(opened.backend.sandboxes) == 2


@pytest.mark.parametrize("count", [2, 5])
def test_concurrent_calls_have_environments_of_their_own(fleet: Callable[..., Fleet], count: int) -> None:
    """As many as run at once, and they serve the next round too."""
    meeting = threading.Barrier(count)

    async def meets(runtime: FakeRuntime) -> None:
        while True:
            await runtime.next()
            meeting.wait(timeout=30)
            await runtime.respond(f'"{runtime.sandbox.identity}"'.encode())

    opened = fleet(meets)
    with ThreadPoolExecutor(count) as pool:
        for _ in range(2):
            answers = sorted(pool.map(lambda _: opened.call(), range(count)))
            assert answers == [f"fake-{number}" for number in range(count)]
    assert len(opened.backend.sandboxes) == count


def test_fresh_is_always_cold(fleet: Callable[..., Fleet]) -> None:
    """A warm environment is left alone."""
    opened = fleet(who)
    assert [opened.call(), opened.call(fresh=True), opened.call(fresh=True)] == ["fake-0", "fake-1", "fake-2"]
    assert opened.service.invoke("F", b"{}", fresh=True).cold


def test_prepared_environments_are_taken_first(fleet: Callable[..., Fleet]) -> None:
    """Those made ready ahead serve the calls that need a new one, the first made first."""
    opened = fleet(who)
    assert opened.service.prepare("F", 2) == 2
    assert all(sandbox.calls == [] for sandbox in opened.backend.sandboxes)
    assert [opened.call(), opened.call(fresh=True), opened.call(fresh=True)] == ["fake-0", "fake-1", "fake-2"]


def test_a_prepared_environment_is_cold(fleet: Callable[..., Fleet]) -> None:
    """Ready is not initialised: its first call pays for init."""
    opened = fleet(who)
    opened.service.prepare("F", 1)
    assert opened.service.invoke("F", b"{}").cold


@pytest.mark.parametrize(("first", "second", "there"), [(1, 3, 3), (3, 1, 3), (2, 2, 2), (1, 0, 1)])
def test_preparing_makes_what_is_missing(fleet: Callable[..., Fleet], first: int, second: int, there: int) -> None:
    """Asking again does not add to what is there."""
    opened = fleet(who)
    assert opened.service.prepare("F", first) == first
    assert opened.service.prepare("F", second) == there
    assert len(opened.backend.sandboxes) == there


def test_warm_environments_are_not_ready_ones(fleet: Callable[..., Fleet]) -> None:
    """What has been initialised already is of no use for a cold start."""
    opened = fleet(who)
    opened.call()
    assert opened.service.prepare("F", 1) == 1
    assert len(opened.backend.sandboxes) == 2


@pytest.mark.parametrize(
    ("available_mb", "there"),
    [(127, 1), (128, 1), (255, 1), (256, 2), (257, 2), (384, 3), (10_000, 3), (0, 1)],
)
def test_preparing_is_bounded_by_memory(
    fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, available_mb: int, there: int
) -> None:
    """No more than could run at once in what is available, but always one; 128 MB each."""
    memory_of(monkeypatch, tmp_path, available_mb * 1024)
    assert fleet(who).service.prepare("F", 3) == there


def test_preparing_where_the_machine_does_not_tell(
    fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without Linux's file there are some, but not any number."""
    memory_of(monkeypatch, tmp_path, None)
    assert 1 <= fleet(who).service.prepare("F", 1000) < 1000


@pytest.mark.parametrize("count", [2, 3, 5])
def test_an_environment_that_could_not_be_made_ready(fleet: Callable[..., Fleet], count: int) -> None:
    """The backend's error comes through, of one or of several, and what was made before is closed in the end."""
    opened = fleet(who)
    opened.service.prepare("F", 1)
    opened.backend.refusal = BackendError("no room")
    with pytest.raises(BackendError, match="no room"):
        opened.service.prepare("F", count)
    opened.service.close()
    assert opened.closed() == [True]


def test_a_lost_environment_serves_nobody_again(fleet: Callable[..., Fleet]) -> None:
    """It is closed at once, and the next call gets another."""
    opened = fleet(loses_the_first)
    with pytest.raises(BackendError, match="gone"):
        opened.call()
    assert opened.closed() == [True]
    assert opened.call() == "fake-1"
    assert opened.closed() == [True, False]
    opened.service.close()
    assert [sandbox.calls.count("close") for sandbox in opened.backend.sandboxes] == [1, 1]


async def loses_the_first(runtime: FakeRuntime) -> None:
    """Lose the sandbox that was made first."""
    if runtime.sandbox.identity == "fake-0":
        await runtime.next()
        runtime.end(Exit(lost="gone"))
    await who(runtime)


def test_ctrl_c_leaves_nothing_behind(fleet: Callable[..., Fleet]) -> None:
    """The environment that was busy is closed, and the interrupt goes on."""

    async def interrupted(runtime: FakeRuntime) -> None:
        await runtime.next()
        raise KeyboardInterrupt

    opened = fleet(interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened.call()
    assert opened.closed() == [True]


def test_a_function_that_fails_keeps_its_environment(fleet: Callable[..., Fleet]) -> None:
    """A crash is reset within, and a prepared spare is not used up."""

    async def crashes(runtime: FakeRuntime) -> None:
        await runtime.next()
        runtime.end(Exit(status=1))

    opened = fleet(crashes, who)
    assert not opened.service.invoke("F", b"{}").ok
    assert opened.call() == "fake-0"


def test_retired_environments_are_closed(fleet: Callable[..., Fleet]) -> None:
    """The warm ones of that function; the next call is cold."""
    opened = fleet(who)
    opened.call()
    opened.service.invoke("G", b"{}")
    opened.service.prepare("F", 1)
    opened.service.retire("F")
    assert opened.closed() == [True, False, False]
    assert opened.call() == "fake-2"
    opened.service.retire("G")
    opened.service.retire("G")
    assert opened.closed() == [True, True, False]


def test_close_closes_everything(fleet: Callable[..., Fleet]) -> None:
    """Warm and ready environments and the backend, once."""
    opened = fleet(who)
    opened.call()
    opened.service.prepare("G", 2)
    opened.service.close()
    opened.service.close()
    assert opened.closed() == [True, True, True]
    assert [sandbox.calls.count("close") for sandbox in opened.backend.sandboxes] == [1, 1, 1]
    assert opened.backend.closed == 1


@pytest.mark.parametrize("others", [0, 2])
def test_close_goes_on_after_trouble(fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch, others: int) -> None:
    """One environment that cannot be closed keeps neither the others nor the backend open."""
    opened = fleet(who)
    opened.service.prepare("F", others)
    opened.service.invoke("G", b"{}")
    broken = opened.backend.sandboxes[-1]

    def refuse() -> None:
        raise BackendError("the engine is gone")

    monkeypatch.setattr(broken, "close", refuse)
    with pytest.raises(BackendError, match="the engine is gone"):
        opened.service.close()
    assert opened.closed() == [True] * others + [False]
    assert opened.backend.closed == 1


def test_leaving_the_context_closes(fleet: Callable[..., Fleet]) -> None:
    """Also by an exception, which goes on."""
    opened = fleet(echo)

    def fails() -> None:
        with opened.service as service:
            assert service.backend is opened.backend
            service.invoke("F", b"{}")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert opened.closed() == [True]
    assert opened.backend.closed == 1


@pytest.mark.parametrize(("size", "accepted"), [(6_291_455, True), (6_291_456, True), (6_291_457, False)])
def test_the_request_quota(fleet: Callable[..., Fleet], size: int, accepted: bool) -> None:  # noqa: FBT001 - a column
    """6 MB are accepted; what is over is refused in AWS's words before an environment is made."""
    opened = fleet(who)
    payload = b'"' + b"x" * (size - 2) + b'"'
    if accepted:
        assert opened.call(payload) == "fake-0"
        return
    words = "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    with pytest.raises(QuotaError, match=words):
        opened.call(payload)
    assert opened.backend.sandboxes == []


@pytest.mark.parametrize("act", ["invoke", "prepare"])
def test_an_unknown_function(fleet: Callable[..., Fleet], act: str) -> None:
    """The error names it and those that there are."""
    service = fleet(who).service
    with pytest.raises(ConfigurationError, match="'H'") as caught:
        _ = service.invoke("H", b"{}") if act == "invoke" else service.prepare("H", 1)
    assert "F, G" in (caught.value.hint or "")


def test_a_refused_function_starts_nothing(config: FunctionConfig) -> None:
    """Every function is checked before the service is there."""
    backend = FakeBackend()
    with pytest.raises(QuotaError, match="G: 'memorySize' value 127"):
        LambdaService({"F": config, "G": replace(config, name="G", memory_mb=127)}, backend)
    assert backend.sandboxes == []


async def headers(runtime: FakeRuntime) -> None:
    """Answer with what came beside the event."""
    while True:
        event = await runtime.next()
        text = "; ".join(f"{name.removeprefix('Lambda-Runtime-')}={value}" for name, value in event.headers.items())
        await runtime.respond(text.encode())


def test_every_request_has_an_id(fleet: Callable[..., Fleet]) -> None:
    """The caller's, or a new one in the shape of a UUID; the result and the runtime have the same."""
    service = fleet(headers).service
    given = service.invoke("F", b"{}", request_id="mine")
    made = [service.invoke("F", b"{}") for _ in range(2)]
    assert given.request_id == "mine"
    assert "Aws-Request-Id=mine;" in given.payload
    assert all(str(uuid.UUID(result.request_id)) == result.request_id for result in made)
    assert made[0].request_id != made[1].request_id
    assert made[0].request_id in made[0].payload


def test_what_comes_with_an_event(fleet: Callable[..., Fleet]) -> None:
    """ARN, trace id in X-Ray's shape and the client's context."""
    service = fleet(headers).service
    said = service.invoke("F", b"{}", client_context='{"a":1}').payload
    assert "Invoked-Function-Arn=arn:aws:lambda:us-east-1:123456789012:function:F;" in said
    assert re.search(r"Trace-Id=Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", said)
    assert 'Client-Context={"a":1}' in said
    assert "Client-Context" not in service.invoke("F", b"{}").payload


def test_the_log_is_told_as_it_comes(monkeypatch: pytest.MonkeyPatch, config: FunctionConfig) -> None:
    """Of every environment, to whoever asked for it."""
    monkeypatch.setattr(runtime_server, "RuntimeServer", FakeServer)
    said: list[str] = []
    with LambdaService({"F": config}, FakeBackend(echo), on_log=said.append) as service:
        logs = [service.invoke("F", b"{}", fresh=True).log for _ in range(2)]
    assert "".join(said) == "".join(logs)


def test_each_environment_has_a_log_stream_of_its_own(fleet: Callable[..., Fleet]) -> None:
    """As on Lambda, and the function's name and size are in its environment."""
    opened = fleet(who)
    opened.call(fresh=True)
    opened.call(fresh=True)
    found = [sandbox.spec.environment for sandbox in opened.backend.sandboxes]
    assert found[0]["AWS_LAMBDA_LOG_STREAM_NAME"] != found[1]["AWS_LAMBDA_LOG_STREAM_NAME"]
    assert {one["AWS_LAMBDA_FUNCTION_NAME"] for one in found} == {"F"}


def test_the_sandbox_is_told_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sizes, share, code, layers and environment, from the function's configuration."""
    monkeypatch.setattr(runtime_server, "RuntimeServer", FakeServer)
    config = FunctionConfig(
        name="F", handler="app.handler", runtime="python3.13", code=tmp_path, layers=(tmp_path,), memory_mb=1769
    )
    backend = FakeBackend(echo)
    with LambdaService({"F": config}, backend) as service:
        service.prepare("F", 1)
    spec = backend.sandboxes[0].spec
    assert (spec.function_name, spec.handler, spec.runtime) == ("F", "app.handler", "python3.13")
    assert (spec.memory_mb, spec.cpu_share, spec.tmp_mb) == (1769, 1.0, 512)
    assert (spec.code, spec.layers) == (tmp_path, (tmp_path,))
    assert spec.environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "1769"
