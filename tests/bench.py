"""One execution environment on a bench: a scripted runtime below it, a clock that stands still beside it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from emulator import environment as module
from emulator import extensions as crews
from emulator import extensions_api, journal, life, runtime_api, runtime_server, shutdown
from emulator.config import FunctionConfig, LoggingConfig
from emulator.environment import Environment, Order
from emulator.sandbox.base import SandboxSpec
from tests.fakes import FakeBackend, FakeSandbox, FakeServer, Runtime
from tests.hand_loop import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from emulator.invocation import InvocationResult
    from emulator.sandbox.base import Figures
    from emulator.shutdown import Extensions

SPEC = SandboxSpec(
    function_name="F",
    handler="app.handler",
    runtime="python3.13",
    code=Path("code"),
    layers=(),
    memory_mb=256,
    cpu_share=0.1,
    tmp_mb=512,
    environment={"TZ": ":UTC"},
)
REQUEST_ID = "b4feda01-4e66-40ff-a833-2c11f3c8c290"
START = f"START RequestId: {REQUEST_ID} Version: $LATEST\n"
END = f"END RequestId: {REQUEST_ID}\n"
MIB = 1024 * 1024
REPORT = f"REPORT RequestId: {REQUEST_ID}\t"


class Bench:
    """Everything around one environment of `memory_mb` MB and `timeout_s` seconds."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.opened: list[Environment] = []

    def environment(  # noqa: PLR0913 - one keyword for each thing that a test may want otherwise
        self,
        *lives: Runtime,
        memory_mb: int = 256,
        timeout_s: int = 3,
        figures: Figures | None = None,
        peer: str | None = None,
        on_log: Callable[[str], None] | None = None,
        logging: LoggingConfig | None = None,
        extensions: Extensions | None = None,
        external: tuple[str, ...] = (),
    ) -> tuple[Environment, FakeSandbox]:
        """Make one whose runtime lives these lives."""
        config = FunctionConfig(
            name="F",
            handler="app.handler",
            runtime="python3.13",
            code=Path("code"),
            layers=(Path("layer"),),
            memory_mb=memory_mb,
            timeout_s=timeout_s,
            logging=logging or LoggingConfig(),
        )
        fakes = FakeBackend(*lives, clock=self.clock, figures=figures, peer=peer)
        made = Environment(config, fakes.prepare(replace(SPEC, extensions=external)), on_log, extensions=extensions)
        self.opened.append(made)
        return made, fakes.sandboxes[0]


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Stop the clock of the modules that look at one, serve without HTTP, and close everything at the end."""
    clock = FakeClock()
    for watching in (module, life, runtime_api, journal, shutdown, crews, extensions_api):
        monkeypatch.setattr(watching, "time", clock)
    monkeypatch.setattr(runtime_server, "RuntimeServer", FakeServer)
    made = Bench(clock)
    yield made
    for environment in made.opened:
        environment.close()


def order(payload: bytes = b"{}") -> Order:
    """Give an order with the request id of the expected lines."""
    return Order(request_id=REQUEST_ID, payload=payload, function_arn="arn:aws:lambda:x", trace_id="Root=1")


def invoke(environment: Environment, payload: bytes = b"{}") -> InvocationResult:
    """Invoke with that order."""
    return environment.invoke(order(payload))


def error_of(result: InvocationResult) -> tuple[str, str]:
    """Give type and message; they are in the body too, for errors that are not the runtime's own."""
    assert result.error is not None
    assert json.loads(result.body) == {"errorType": result.error.type, "errorMessage": result.error.message}
    return result.error.type, result.error.message
