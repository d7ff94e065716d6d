"""From evidence to measurements: each metric's figure, and None where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emulator.evidence import Evidence
from emulator.metrics import METRICS, NAMES, Measurement, measure_all
from emulator.pricing.cost import per_million_usd
from tests.fake_service import MIB, config
from tests.reports import cold, evaluation, evidence, warm, weight

CONTRACT = (
    "package.zipped_mb package.unzipped_mb package.layers_mb init.p50_ms init.p95_ms init.max_ms init.cpu_p50_ms "
    "duration.p50_ms duration.p95_ms duration.p99_ms billed.p95_ms cpu.p50_ms memory.max_mb memory.headroom_pct "
    "tmp.max_mb cost.per_million_usd quality.score errors.count"
)


def measured(found: Evidence) -> dict[str, Measurement]:
    """By name."""
    return {one.name: one for one in measure_all(found)}


def test_the_table_is_the_contracts() -> None:
    """Name for name, in its order; and the CPU time of init, which holds where wall time does not."""
    assert list(NAMES) == CONTRACT.split()
    assert all(metric.what for metric in METRICS)


def test_nothing_gathered_is_nothing_measured() -> None:
    """Never 0, never the limit; each says why."""
    for one in measure_all(Evidence(config=config(), page_cache="warm")):
        assert one.value is None, one
        assert one.note
        assert one.spread_pct is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("package.zipped_mb", 30.0),
        ("package.unzipped_mb", 100.0),
        ("package.layers_mb", 40.0),
        ("init.p50_ms", 202.0),
        ("init.max_ms", 204.0),
        ("init.cpu_p50_ms", 150.0),
        ("duration.p50_ms", 19.5),
        ("duration.p95_ms", 28.05),
        ("cpu.p50_ms", 4.0),
        ("memory.max_mb", 101.0),
        ("memory.headroom_pct", 100 * (512 - 101) / 512),
        ("tmp.max_mb", 0.0),
        ("quality.score", 0.5),
        ("errors.count", 0.0),
        ("cost.per_million_usd", per_million_usd(512, 19.5, "x86_64")),
    ],
)
def test_figures(name: str, value: float) -> None:
    """Of five starts and twenty calls."""
    found = measured(evidence())[name]
    assert found.value == pytest.approx(value, rel=0.01)
    assert found.n > 0


def test_what_is_counted_repeats() -> None:
    """Sizes and errors have no spread; what is timed has one."""
    found = measured(evidence())
    assert found["package.unzipped_mb"].spread_pct == 0.0
    assert found["errors.count"].spread_pct == 0.0
    assert (found["init.p50_ms"].spread_pct or 0) > 0
    assert measured(evidence(samples=(cold(),)))["init.p50_ms"].spread_pct is None


def test_side_by_side_calls_are_not_timed() -> None:
    """Their memory and errors count, their durations and starts do not."""
    crowd = warm(500.0, concurrent=True, memory_bytes=300 * MIB, error="ValueError: x", case_id="hungry")
    start = cold(9000.0, concurrent=True)
    found = measured(evidence(samples=(*evidence().samples, crowd, start)))
    assert found["duration.p99_ms"].value == measured(evidence())["duration.p99_ms"].value
    assert found["init.max_ms"].value == 204.0
    assert found["memory.max_mb"].value == 300.0
    assert found["memory.max_mb"].note == "case hungry"
    assert found["errors.count"].value == 1.0


def test_memory_spreads_as_its_environments_do() -> None:
    """Half of the range of the peaks after one start."""
    samples = (cold(memory_bytes=100 * MIB), cold(memory_bytes=104 * MIB))
    found = measured(evidence(samples=samples))["memory.max_mb"]
    assert (found.value, found.low, found.high) == (104.0, 102.0, 106.0)
    assert found.spread_pct == pytest.approx(100 * 2 / 104)


def test_a_failed_init_is_no_start() -> None:
    """It has no Init Duration, and its failure is counted."""
    failed = replace(cold(), init_ms=None, error="Runtime.ImportModuleError: x")
    found = measured(evidence(samples=(failed,)))
    assert found["init.p50_ms"].value is None
    assert found["errors.count"].value == 1.0


def test_high_percentiles_of_few_say_so() -> None:
    """19 values have no 95th percentile of their own, 20 do."""
    few = tuple(warm(float(number)) for number in range(1, 20))
    assert "19" in measured(evidence(samples=few))["duration.p95_ms"].note
    assert measured(evidence(samples=(*few, warm(20.0))))["duration.p95_ms"].note == ""


def test_an_undefined_score_is_not_measured() -> None:
    """A correlation of one constant answer."""
    found = measured(evidence(evaluation=evaluation(score=None, scorer="spearman")))["quality.score"]
    assert found.value is None
    assert "spearman" in found.note


def test_a_zip_that_was_not_made_has_no_size() -> None:
    """And the rest of the package has."""
    found = measured(evidence(weight=weight(zipped_bytes=None)))
    assert found["package.zipped_mb"].value is None
    assert found["package.unzipped_mb"].value == 100.0


def test_cpu_time_is_each_events_least() -> None:
    """The median of all calls is told beside it; without rounds, as in a test, it is the figure."""
    calls = [
        warm(cpu_ms=4.0 + place + 10.0 * (turn != place % 3), round=turn, place=place)
        for turn in range(3)
        for place in range(5)
    ]
    found = measured(evidence(samples=(cold(), *calls)))["cpu.p50_ms"]
    assert (found.value, found.n) == (6.0, 15)
    assert found.note == "each event's least of its rounds; median of all 15: 15 ms"
    alone = measured(evidence(samples=(cold(), *(replace(call, place=None) for call in calls))))["cpu.p50_ms"]
    assert alone.value == 15.0


def test_an_event_that_fails_in_each_round_is_one_failure() -> None:
    """So that `errors.count` does not depend on how often the same was asked; one that fails later only counts too."""
    calls = [warm(round=turn, place=0, error="ValueError: x") for turn in range(4)]
    late = [warm(round=0, place=1), warm(round=1, place=1, error="KeyError: y")]
    found = measured(evidence(samples=(*calls, *late)))["errors.count"]
    assert (found.value, found.n) == (2.0, 3)


def test_a_function_that_answers_nothing_has_no_times() -> None:
    """How fast it fails says nothing of how it would answer: not measured, and why."""
    start = cold(error="ValueError: broken: again")
    found = measured(evidence(samples=(start, warm(error="ValueError: broken"))))
    for name in ("init.p95_ms", "init.cpu_p50_ms", "duration.p50_ms", "billed.p95_ms", "cpu.p50_ms"):
        assert (found[name].value, found[name].note) == (None, "no invocation was answered: ValueError"), name
    assert found["cost.per_million_usd"].value is None
    assert found["errors.count"].value == 2.0


def test_what_failed_is_in_no_figure_of_time() -> None:
    """An answer that came beside it is."""
    calls = (cold(), warm(10.0), warm(900.0, error="ValueError: x"))
    found = measured(evidence(samples=calls))
    assert (found["duration.p99_ms"].value, found["duration.p99_ms"].n) == (10.0, 1)
    assert found["init.p50_ms"].value is not None


def test_no_cpu_time_of_a_start_that_was_none() -> None:
    """The reason is the start, not the backend."""
    failed = replace(cold(), init_ms=None, error="Runtime.ImportModuleError: x")
    found = measured(evidence(samples=(failed, warm())))
    assert found["init.cpu_p50_ms"].note == "no cold start whose Init phase ended well"
