"""The Shutdown phase of environments with and without extensions, which are played by the test.

"Lambda execution environment lifecycle", AWS Lambda Developer Guide, 2026-07: 0 ms without extensions, 500 ms with
internal, 2,000 ms with external ones, then SIGKILL.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from emulator.environment import Environment, Order
from emulator.spec import sandbox_spec
from emulator.variables import function_arn
from tests.conformance.conftest import Lab

if TYPE_CHECKING:
    from emulator.shutdown import Extensions, Reason

SAYS = "most recent call first"
ORDER = Order(request_id="8f507cfc", payload=b"{}", function_arn=function_arn("HearsSigterm"), trace_id="Root=1")


@dataclass(slots=True, kw_only=True)
class Played:
    """Extensions that take all the time they get."""

    internal: int = 0
    external: int = 0
    told: list[Reason] = field(default_factory=list)

    def shut_down(self, reason: Reason, limit: float) -> None:
        """Wait."""
        self.told.append(reason)
        time.sleep(max(0.0, limit - time.perf_counter()))


def ended(lab: Lab, extensions: Extensions | None) -> tuple[str, float]:
    """Invoke, freeze and close; what was written from the close on, and how long it took."""
    said: list[str] = []
    sandbox = lab.backend.prepare(sandbox_spec(lab.functions["HearsSigterm"]))
    environment = Environment(lab.functions["HearsSigterm"], sandbox, said.append, extensions=extensions)
    try:
        assert environment.invoke(ORDER).payload == "ready"
        limit = time.monotonic() + 10
        while not environment.rest() and time.monotonic() < limit:
            time.sleep(0.001)
        said.clear()
        begin = time.perf_counter()
    finally:
        environment.close()
    return "".join(said), time.perf_counter() - begin


def test_without_extensions_there_is_no_sigterm(lab: Lab) -> None:
    """SIGKILL at once: the runtime hears nothing of its end."""
    said, seconds = ended(lab, None)
    assert SAYS not in said
    assert seconds < 2
    assert SAYS not in ended(lab, Played())[0]


def test_an_internal_extension_gives_the_runtime_half_a_second(lab: Lab) -> None:
    """SIGTERM, then SIGKILL for a runtime that does not end."""
    extensions = Played(internal=1)
    said, seconds = ended(lab, extensions)
    assert SAYS in said
    assert 0.5 <= seconds < 2.5
    assert extensions.told == []


@pytest.mark.seldom_on("docker-bridge", "process-watched", reason="it is the same code")
def test_an_external_extension_has_two_seconds(lab: Lab) -> None:
    """SIGTERM to the runtime, then SHUTDOWN to the extension, which has what is left of 2,000 ms."""
    extensions = Played(external=1)
    said, seconds = ended(lab, extensions)
    assert SAYS in said
    assert 2.0 <= seconds < 5.0
    assert extensions.told == ["SPINDOWN"]
