"""What was measured, row by row, and whether it reaches its target. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from benchmarks.stats import Estimate

Part = Literal["cold", "warm", "memory", "cpu", "starts", "serve", "golden", "plugin"]
PARTS: Final[tuple[Part, ...]] = ("cold", "warm", "memory", "cpu", "starts", "serve", "golden", "plugin")
Verdict = Literal["PASS", "FAIL", "NOT MEASURED", ""]

TITLES: Final[Mapping[Part, str]] = {
    "cold": "one cold invocation, whole process",
    "warm": "warm round trips",
    "memory": "peak memory reported",
    "cpu": "CPU used by a busy loop",
    "starts": "what a start consists of",
    "serve": "start-lambda",
    "golden": "golden cases",
    "plugin": "the pytest plugin in a project that does not use it",
}
COLD_NAME: Final = "preflight invoke / sam local invoke"
WARM_P50_NAME: Final = "service.invoke / RIE, p50"
WARM_P99_NAME: Final = "service.invoke / RIE, p99"

READY_NAME: Final = "environment ready / docker run"
SERVE_P50_NAME: Final = "boto3 to start-lambda / to RIE, p50"

GOLDEN_ONE_NAME: Final = "a golden case / a plain loop's turn, one environment"
GOLDEN_MANY_NAME: Final = "the same, as many as the machine holds"
PLUGIN_NAME: Final = "pytest with the plugin - without"

COLD_RATIO: Final = 0.15  # whole process of `preflight invoke` to that of `sam local invoke`
WARM_P50_RATIO: Final = 0.5  # round trip through `service.invoke` to one through RIE
WARM_P99_RATIO: Final = 1.0
READY_RATIO: Final = 1.3  # an environment made ready to `docker run` of the same image and command
SERVE_P50_RATIO: Final = 1.0
GOLDEN_RATIO: Final = 1.25  # time a case; 0.8 times the loop's throughput
PLUGIN_MS: Final = 50.0
MEMORY_ERROR_PCT: Final = 3.0
CPU_ERROR_POINTS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure; `at_most` is its target, None where it is told for interest only."""

    part: Part
    name: str
    unit: str
    estimate: Estimate | None
    at_most: float | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """PASS up to and including the target; a figure without a target has no verdict."""
        if self.at_most is None:
            return ""
        if self.estimate is None:
            return "NOT MEASURED"
        return "PASS" if self.estimate.value <= self.at_most else "FAIL"

    def as_dict(self) -> Mapping[str, Any]:
        """For JSON; what was not measured is null."""
        return {**asdict(self), "verdict": self.verdict}


def not_measured(part: Part, why: str) -> list[Row]:
    """The rows with targets of a part that could not run."""
    wanted: Mapping[Part, tuple[tuple[str, str, float], ...]] = {
        "cold": ((COLD_NAME, "x", COLD_RATIO),),
        "warm": ((WARM_P50_NAME, "x", WARM_P50_RATIO), (WARM_P99_NAME, "x", WARM_P99_RATIO)),
        "memory": (("error", "%", MEMORY_ERROR_PCT),),
        "cpu": (("error", "points", CPU_ERROR_POINTS),),
        "starts": ((READY_NAME, "x", READY_RATIO),),
        "serve": ((SERVE_P50_NAME, "x", SERVE_P50_RATIO),),
        "golden": ((GOLDEN_ONE_NAME, "x", GOLDEN_RATIO), (GOLDEN_MANY_NAME, "x", GOLDEN_RATIO)),
        "plugin": ((PLUGIN_NAME, "ms", PLUGIN_MS),),
    }
    return [
        Row(part=part, name=name, unit=unit, estimate=None, at_most=at_most, note=why)
        for name, unit, at_most in wanted[part]
    ]


def all_pass(rows: Iterable[Row]) -> bool:
    """Whether every row with a target reaches it; not measured is not passed."""
    return all(row.verdict in ("PASS", "") for row in rows)
