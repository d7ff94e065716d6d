"""How fast golden cases are answered, beside a plain loop over the same events in the function's own process.

The loop is an invocation of the same function in an environment of the same size: one process, the same CPU quota, the
same Python, no emulator between two events. Where cases run side by side, as many loops do.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.rows import GOLDEN_MANY_NAME, GOLDEN_ONE_NAME, GOLDEN_RATIO, Row
from benchmarks.stats import median_estimate, paired_ratio
from emulator import settled
from emulator.errors import BackendError
from emulator.golden.journal import AnswerJournal
from emulator.golden.run import Golden, GoldenRun, environments, golden
from emulator.sandbox import open_backend
from emulator.service import LambdaService

if TYPE_CHECKING:
    from benchmarks.bed import Bed
    from emulator.config import FunctionConfig
    from emulator.invocation import InvocationResult

_ROOT: Final = Path(__file__).parents[1]
_FUNCTION: Final = "SentimentFunction"
_LOOP: Final = "Loop"
_MS: Final = 1000
_LOOP_CODE: Final = """
import time
import app
def handler(event, context):
    begin = time.perf_counter()
    for one in event["events"]:
        app.handler(one, context)
    return (time.perf_counter() - begin) / len(event["events"])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rivals:
    """The function, the same function as a loop, and what both are asked."""

    service: LambdaService
    config: FunctionConfig
    asked: Golden
    events: bytes

    def evaluated(self, workers: int) -> float:
        """Seconds a case, its share of the run's beginning and end included; environments are warm before."""
        with ThreadPoolExecutor(workers) as pool:
            first = json.dumps(json.loads(self.events)["events"][0]).encode()
            for done in [pool.submit(self.service.invoke, self.config.name, first) for _ in range(workers)]:
                done.result()
        run = GoldenRun(
            self.service, self.config, self.asked, AnswerJournal(None, {}, None), _Silent(), begin=time.perf_counter()
        )
        found, _ = run.run(alone=0, workers=workers)
        if found.failures:
            raise BackendError(f"case {found.failures[0].case_id} failed", hint="Run preflight evaluate.")
        return found.seconds / found.cases

    def looped(self, loops: int) -> float:
        """Seconds an event, so many loops side by side, in environments that a first call has warmed up."""
        with ThreadPoolExecutor(loops) as pool:

            def ask(payload: bytes) -> list[InvocationResult]:
                done = [pool.submit(self.service.invoke, _LOOP, payload) for _ in range(loops)]
                return [one.result() for one in done]

            ask(b'{"events": [{"text": "warm"}]}')
            results = ask(self.events)
        for result in results:
            if result.error is not None:
                raise BackendError(f"the loop failed: {result.error.message}", hint="Is handlers/.build there?")
        return sum(float(result.payload) for result in results) / loops / loops


def measure(bed: Bed, repeats: int) -> tuple[list[Row], dict[str, Any]]:
    """Pairs of an evaluation and a loop: with one environment, and with as many as this machine holds."""
    samples: dict[str, list[float]] = {}
    with _rivals() as rivals:
        many = environments(rivals.config)
        for number in range(repeats):
            bed.say(f"golden: cases and a loop, {number + 1} of {repeats}")
            for workers, name in ((1, "one"), (many, "many")):
                sides = ("evaluated", "looped") if number % 2 else ("looped", "evaluated")
                for side in sides:
                    taken = rivals.evaluated(workers) if side == "evaluated" else rivals.looped(workers)
                    samples.setdefault(f"{name}_{side}_ms", []).append(_MS * taken)
            for name in (_FUNCTION, _LOOP):
                rivals.service.retire(name)
        note = f"{_FUNCTION}, {rivals.asked.dataset.count} cases, {rivals.config.memory_mb} MB; 1 / 0.8 = 1.25"
    ratios = [
        Row(
            part="golden",
            name=name,
            unit="x",
            estimate=paired_ratio(samples[f"{key}_evaluated_ms"], samples[f"{key}_looped_ms"]),
            at_most=GOLDEN_RATIO,
            note=more,
        )
        for key, name, more in (
            ("one", GOLDEN_ONE_NAME, note),
            ("many", GOLDEN_MANY_NAME, f"{many} environments, {many} loops"),
        )
    ]
    told = [
        Row(part="golden", name=f"{key}, a case".replace("_", " "), unit="ms", estimate=median_estimate(values))
        for key, values in samples.items()
    ]
    return [*ratios, *told], dict(samples)


class _Silent:
    def begin(self, what: str, total: int) -> None:
        """Nobody looks."""

    def step(self) -> None:
        """Nobody looks."""


@contextmanager
def _rivals() -> Iterator[_Rivals]:
    config = settled.function(_ROOT / "handlers" / "template.yaml", _FUNCTION, parameters={}, variables=None)
    dataset = _ROOT / "fixtures" / "golden" / "sentiment.jsonl"
    asked = golden(dataset, scorer="macro_f1", answer="label", reference=None, folder=_ROOT)
    events = json.dumps({"events": [case.event for case in asked.dataset.cases()]}).encode()
    with tempfile.TemporaryDirectory(prefix="preflight-golden-") as folder:
        code = Path(folder) / "code"
        shutil.copytree(config.code, code)
        (code / "loop.py").write_text(_LOOP_CODE)
        Path(folder).chmod(0o755)
        loop = replace(config, name=_LOOP, handler="loop.handler", code=code, timeout_s=120)
        with LambdaService({_FUNCTION: config, _LOOP: loop}, open_backend("docker")) as service:
            yield _Rivals(service=service, config=config, asked=asked, events=events)
