"""What one start consists of, beside `docker run`, and what environments made ready ahead of need save."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bed import EVENT, FUNCTION, HANDLER, MEMORY_MB
from benchmarks.rows import READY_NAME, READY_RATIO, Row
from benchmarks.stats import Estimate, median_estimate, paired_ratio
from emulator.errors import BackendError

if TYPE_CHECKING:
    from benchmarks.bed import Bed
    from emulator.service import LambdaService

STARTS: Final = 8
_LABEL: Final = "dev.lambda-preflight.bench=docker-run"
_MS: Final = 1000


def measure(bed: Bed, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    """Time to make an environment ready, from go to the end of init, and of several cold invocations in a row."""
    ready, init, ahead, when_needed, peer = [], [], [], [], []
    with bed.service(bed.function(HANDLER, MEMORY_MB)) as service:
        for number in range(repeats):
            bed.say(f"starts: {STARTS} cold invocations in two ways, {number + 1} of {repeats}")
            for _ in range(STARTS):
                ready.append(_timed_ms(lambda: service.prepare(FUNCTION, 1)))
                init.append(_cold(service))
                peer.append(_timed_ms(lambda: _docker_run(bed)))
                _remove_all(bed)
            when_needed.append(_timed_ms(lambda: [_cold(service) for _ in range(STARTS)]))
            ahead.append(_timed_ms(lambda: _ahead(service)))
    rows = [
        Row(
            part="starts",
            name=READY_NAME,
            unit="x",
            estimate=paired_ratio(ready, peer),
            at_most=READY_RATIO,
            note="docker run --detach, pair by pair",
        ),
        _row("docker run", median_estimate(peer)),
        _row("ready: create, start, listen", median_estimate(ready)),
        _row("init: go to the first /next", median_estimate(init)),
        _row(f"{STARTS} cold invocations, each made when needed", median_estimate(when_needed)),
        _row(f"{STARTS} cold invocations, made ready ahead", median_estimate(ahead)),
    ]
    return rows, {
        "ready_ms": ready,
        "init_ms": init,
        "when_needed_ms": when_needed,
        "ahead_ms": ahead,
        "docker_run_ms": peer,
    }


def _ahead(service: LambdaService) -> None:
    service.prepare(FUNCTION, STARTS)
    for _ in range(STARTS):
        _cold(service)


def _cold(service: LambdaService) -> float:
    """One cold invocation, its environment closed again; the milliseconds of its init."""
    result = service.invoke(FUNCTION, EVENT, fresh=True)
    service.retire(FUNCTION)
    if result.timings.init_ms is None:
        raise BackendError("a cold invocation failed in its init", hint="Run it with `preflight invoke`.")
    return result.timings.init_ms


def _docker_run(bed: Bed) -> None:
    """What a person would type to have the same image wait for a line; the container is removed beside the clock."""
    command = ["docker", "run", "--detach", "--interactive", "--rm", "--label", _LABEL]
    done = subprocess.run(
        [*command, "--entrypoint", "/bin/sh", bed.base.id, "-c", "read -r _"],
        env={**os.environ, "DOCKER_HOST": bed.engine.address},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BackendError(f"docker run failed: {done.stderr.strip()}", hint="Is the docker command installed?")


def _remove_all(bed: Bed) -> None:
    for found in bed.engine.client.api.containers(filters={"label": _LABEL}):
        bed.engine.client.api.remove_container(found["Id"], force=True)


def _timed_ms(task: Callable[[], object]) -> float:
    begin = time.perf_counter()
    task()
    return (time.perf_counter() - begin) * _MS


def _row(name: str, estimate: Estimate) -> Row:
    return Row(part="starts", name=name, unit="ms", estimate=estimate)
