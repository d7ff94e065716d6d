"""Which sizes can be run, what each showed, and which to take."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.calibration import Calibration
from emulator.commands import tune as tune_command
from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError, QuotaError
from emulator.intervals import Estimate
from emulator.pricing.prices import load
from emulator.tune import report as tune_report
from emulator.tune import sweep, tuning
from emulator.tune.decision import STRATEGIES, Goal, Strategy
from emulator.tune.sampling import Sample, Series, least_waits, spread_evenly, total, undisturbed
from emulator.tune.smallest import smallest
from emulator.tune.sweep import Effort, Journal, wants
from emulator.tune.tuning import SIZES, Slo, recommend, representable, result_of, what_fits

PRICES = load()
COST, SPEED, BALANCED = (Goal(strategy=each) for each in STRATEGIES)
CONFIG = FunctionConfig(name="F", handler="a.b", runtime="python3.11", code=Path())
FACTOR = Calibration(
    function="F",
    cpu="cpu",
    date="2026-11-25",
    memory_mb=(512,),
    duration=Estimate(value=0.5, n=9, low=0.4, high=0.6),
    init=None,
)


def series(durations: list[float], *, errors: int = 0, throttled: float = 0.5) -> Series:
    """Warm invocations of these durations, one cold one, and some that ran out of memory."""
    warm = [
        Sample(duration_ms=each, billed_ms=round(each), throttled_ms=each * throttled, max_memory_mb=90)
        for each in durations
    ]
    failed = [Sample(duration_ms=1, billed_ms=1, error="Runtime.OutOfMemory")] * errors
    return Series(cold=(Sample(duration_ms=50, billed_ms=350, init_ms=300, max_memory_mb=100),), warm=(*warm, *failed))


def result(memory_mb: int, duration_ms: float, *, errors: int = 0, slo: Slo | None = None) -> tuning.SizeResult:
    """One size whose warm invocations all take the same."""
    config = replace(CONFIG, memory_mb=memory_mb)
    return result_of(config, [series([duration_ms] * 20, errors=errors)], PRICES, slo=slo, calibration=None)


def test_sizes_that_do_not_fit_are_named() -> None:
    """Two CPUs are 3,538 MB; what is free bounds too."""
    usable, left_out = representable((128, 1024, 3538, 3539), cpus=2, free_mb=2000)
    assert usable == (128, 1024)
    assert [(each.memory_mb, each.reason) for each in left_out] == [
        (3538, "this machine has 2,000 MB free"),
        (3539, "it has 2.0 vCPUs, and this machine has 2"),
    ]


@pytest.mark.parametrize(("cpus", "free_mb"), [(1, 128), (1, 9999), (2, 2000), (2, 3538), (8, 99_999)])
def test_what_fits_is_what_would_be_taken(cpus: int, free_mb: int) -> None:
    """Each size that the hint names can be represented, the largest that it tells too, and one more megabyte cannot."""
    told = what_fits(cpus, free_mb)
    named = tuple(int(size) for size in told.rpartition("--memory ")[2].split(","))
    assert named == representable(SIZES, cpus, free_mb)[0]
    largest = int(told.removeprefix("Up to ").partition(" MB")[0].replace(",", ""))
    assert representable((largest,), cpus, free_mb)[0] == (largest,)
    assert largest == SIZES[-1] or representable((largest + 1,), cpus, free_mb)[0] == ()


def test_a_sweep_without_a_size_says_which_there_could_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command tells on a machine of one core."""
    monkeypatch.setattr(tune_command, "free_memory_mb", lambda: 99_999)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    with pytest.raises(ConfigurationError, match="none of the sizes: 10240 MB") as caught:
        tune_command._sizes(cast("Any", {"memory": "10240"}))  # noqa: SLF001 - the rest of the command runs functions
    assert caught.value.hint == what_fits(1, 99_999)


def test_where_no_size_fits_none_is_named() -> None:
    """One megabyte less than the smallest."""
    assert "--memory" not in what_fits(1, 127)
    assert "128 MB" in what_fits(1, 127)


def test_sizes_and_slo_are_read() -> None:
    """As one types them; anything else is refused with an example."""
    assert tuning.parse_sizes("512, 128,128") == (128, 512)
    assert tuning.parse_slo("p95=200ms") == Slo(percent=95, limit_ms=200)
    assert tuning.parse_slo("p99.9 = 1.5 ms") == Slo(percent=99.9, limit_ms=1.5)
    for text in ("", "12x", "128;256"):
        with pytest.raises(ConfigurationError):
            tuning.parse_sizes(text)
    for text in ("p95", "p0=1ms", "p95=0ms", "p100=1ms", "95=1ms"):
        with pytest.raises(ConfigurationError):
            tuning.parse_slo(text)
    tuning.check_sizes((128, 10_240))
    for size in (127, 10_241):
        with pytest.raises(QuotaError):
            tuning.check_sizes((size,))


def test_figures_of_one_size() -> None:
    """By hand: 100 ms at 1,024 MB are $1.87 a million; errors count apart."""
    found = result_of(
        replace(CONFIG, memory_mb=1024),
        [series([90.0, 100.0, 110.0])],
        PRICES,
        slo=Slo(percent=50, limit_ms=1),
        calibration=FACTOR,
    )
    assert found.median is not None
    assert (found.median.value, found.slo_ms, found.billed_ms) == (100, 100, 100)
    assert found.usd_per_million == pytest.approx(1.86667)
    assert (found.init_p50_ms, found.max_memory_mb, found.throttled_share) == (300, 100, 0.5)
    assert found.predicted_median is not None
    assert (found.predicted_median.value, found.predicted_median.low) == (50, 40)
    assert found.predicted_usd is not None
    assert found.predicted_usd.value == pytest.approx(0.2 + 50_000 * 0.0000166667)
    assert found.runs


def test_what_was_not_measured_is_none() -> None:
    """A size at which nothing is answered has no figures, and does not run."""
    dead = Series(cold=(Sample(duration_ms=1, billed_ms=1, error="Runtime.OutOfMemory"),))
    found = result_of(CONFIG, [dead], PRICES, slo=None, calibration=FACTOR)
    assert found.median is None
    assert found.p95_ms is None
    assert found.usd_per_million is None
    assert found.errors == {"Runtime.OutOfMemory": 1}
    assert not found.runs
    assert not result_of(CONFIG, [], PRICES, slo=None, calibration=None).runs


def test_strategies_by_hand() -> None:
    """128 MB is slow and cheap, 1,024 fast, 2,048 as fast and dear; 256 and 128 cost the same within a tenth."""
    sizes = [result(128, 400), result(256, 200), result(1024, 60), result(2048, 58)]
    assert recommend(sizes, COST).memory_mb == 256
    assert recommend(sizes, SPEED).memory_mb == 1024
    assert recommend(sizes, BALANCED).memory_mb == 1024
    assert recommend(sizes, replace(BALANCED, weight=1.0)).memory_mb == 256
    assert recommend(sizes, replace(BALANCED, weight=0.0)).memory_mb == 1024


def test_what_fails_is_never_recommended() -> None:
    """However cheap it is; with none left there is no size."""
    assert recommend([result(128, 10, errors=1), result(256, 900)], COST).memory_mb == 256
    assert recommend([result(128, 10, errors=1)], COST).memory_mb is None


def test_the_cheapest_that_keeps_the_slo() -> None:
    """The limit itself is within; a prediction counts by its upper end."""
    slo = Slo(percent=95, limit_ms=200)
    sizes = [result(128, 400, slo=slo), result(256, 200, slo=slo), result(1024, 60, slo=slo)]
    assert recommend(sizes, SPEED, slo).memory_mb == 256
    assert recommend(sizes, COST, Slo(percent=95, limit_ms=59.9)).memory_mb is None
    calibrated = result_of(replace(CONFIG, memory_mb=128), [series([300.0] * 9)], PRICES, slo=slo, calibration=FACTOR)
    assert recommend([calibrated], COST, slo).memory_mb == 128  # 300 x 0.6 = 180
    assert recommend([calibrated], COST, Slo(percent=95, limit_ms=179)).memory_mb is None


@given(
    durations=st.lists(st.floats(1, 10_000), min_size=1, max_size=9),
    strategy=st.sampled_from(["cost", "speed", "balanced"]),
    weight=st.floats(0, 1),
)
def test_a_recommendation_is_never_beaten_in_both(durations: list[float], strategy: Strategy, weight: float) -> None:
    """No other size is clearly cheaper and clearly faster."""
    sizes = [result(128 * 2**number, each) for number, each in enumerate(durations[:7])]
    chosen = recommend(sizes, Goal(strategy=strategy, weight=weight)).memory_mb
    taken = next(each for each in sizes if each.memory_mb == chosen)
    assert taken.median is not None
    assert taken.usd_per_million is not None
    for other in sizes:
        assert other.median is not None
        assert other.usd_per_million is not None
        cheaper = other.usd_per_million * 1.25 < taken.usd_per_million
        assert not (cheaper and other.median.value * 1.25 < taken.median.value)


@given(
    needed=st.integers(1, 3008),
    low=st.just(128),
    high=st.integers(128, 3008),
    hint=st.none() | st.integers(100, 3100),
)
def test_bisection_finds_the_least_memory(needed: int, low: int, high: int, hint: int | None) -> None:
    """Whatever is needed: that, or the least there is, or none."""

    def outcomes(memory_mb: int) -> tuple[str | None, ...]:
        return (None, None) if memory_mb >= needed else ("Runtime.OutOfMemory",)

    found = smallest(outcomes, low, high, hint)
    if needed > high:
        assert found.memory_mb is None
        assert found.error == "Runtime.OutOfMemory"
        return
    assert found.memory_mb == max(low, needed)
    assert found.fails_at == (None if needed <= low or low == high else needed - 1)
    assert found.runs <= 20
    if hint is not None and low < needed < high and abs(needed - hint) < 8:
        assert found.runs <= 9  # largest, least, hint, beside it, three halves, and once more


def test_bisection_knows_other_errors_from_memory() -> None:
    """An event that always raises does not count; one that goes well only once does not either."""
    assert smallest(lambda _memory: ("ValueError", None), 128, 1024).memory_mb == 128
    calls: dict[int, int] = {}

    def flaky(memory_mb: int) -> tuple[str | None, ...]:
        calls[memory_mb] = calls.get(memory_mb, 0) + 1
        lucky = memory_mb == 200 and calls[memory_mb] == 1
        return (None,) if memory_mb >= 220 or lucky else ("Runtime.OutOfMemory",)

    assert smallest(flaky, 200, 256).memory_mb == 220


class FakeRuns:
    """Rounds that take a second each, with durations that spread as they are told."""

    def __init__(self, spread: float = 0.0, failing: int | None = None) -> None:
        self.now = 0.0
        self.sizes: list[int] = []
        self.events: dict[int, list[list[bytes]]] = {}
        self._spread, self._failing, self._draw = spread, failing, random.Random(1)  # noqa: S311 - a test's own numbers

    def run(self, config: FunctionConfig, events: Iterator[bytes], warm: int) -> Series:
        """One round."""
        self.now += 1
        self.sizes.append(config.memory_mb)
        self.events.setdefault(config.memory_mb, []).append([*events])
        if config.memory_mb == self._failing:
            return Series(cold=(Sample(duration_ms=1, billed_ms=1, error="Runtime.OutOfMemory"),))
        return series([100 + self._draw.uniform(-self._spread, self._spread) for _ in range(warm)])


def swept(runs: FakeRuns, journal: Journal, *, unsure: int = 0, **effort: float) -> dict[int, Series]:
    """A sweep of three sizes, which is not sure before it was asked so many times more."""
    answers = iter([False] * unsure)
    wanted = Effort(
        cold=int(effort.get("cold", 3)),
        warm=30,
        precision=effort.get("precision", 0.1),
        budget_s=effort.get("budget", 99),
    )
    found = sweep.sweep(
        {size: replace(CONFIG, memory_mb=size) for size in (128, 256, 512)},
        [str(number).encode() for number in range(int(effort.get("events", 2)))],
        wanted,
        run=runs.run,
        journal=journal,
        say=lambda _text: None,
        clock=lambda: runs.now,
        order=random.Random(2),  # noqa: S311 - an order, not a secret
        sure=lambda _running: next(answers, True),
    )
    return {size: total(rounds) for size, rounds in found.items()}


def test_a_sweep_ends_when_it_is_sure(tmp_path: Path) -> None:
    """Three rounds of each size at least; no more where nothing spreads."""
    runs = FakeRuns()
    found = swept(runs, Journal(tmp_path / "j", "q"))
    assert sorted(runs.sizes) == [128] * 3 + [256] * 3 + [512] * 3
    assert {len(each.warm) for each in found.values()} == {30}
    assert {len(each.cold) for each in found.values()} == {3}
    assert runs.sizes[:3] != runs.sizes[3:6] or runs.sizes[3:6] != runs.sizes[6:]  # in another order each time


def test_every_size_meets_the_same_events(tmp_path: Path) -> None:
    """In each round, so that sizes differ in nothing but their size; every start is with the same one."""
    runs = FakeRuns()
    swept(runs, Journal(tmp_path / "j", "q"), events=40)
    first, *others = runs.events.values()
    assert [first, first] == others
    assert len({start for start, *_ in first}) == 1
    assert len({event for _, *warm_ones in first for event in warm_ones}) == 30


def test_events_stand_for_all_of_them() -> None:
    """Evenly apart by length, always the same, and no event twice; fewer than there could be are all taken."""
    events = [b"x" * length for length in range(1, 101)]
    chosen = spread_evenly(events, 10)
    assert sorted(map(len, chosen)) == [6, 16, 26, 36, 46, 56, 66, 76, 86, 96]
    assert chosen == spread_evenly(events[::-1], 10)
    assert [*map(len, chosen)] != sorted(map(len, chosen))
    assert sorted(spread_evenly([b"a", b"b", b"a"], 10)) == [b"a", b"b"]


def test_a_sweep_goes_on_until_it_is_sure_or_the_time_is_up(tmp_path: Path) -> None:
    """What spreads is measured longer, and the budget ends it after the first round."""
    longer = FakeRuns(spread=60)
    swept(longer, Journal(tmp_path / "a", "q"), precision=0.05, budget=60)
    assert 9 < len(longer.sizes) <= 61
    short = FakeRuns()
    assert {len(each.cold) for each in swept(short, Journal(tmp_path / "b", "q"), budget=0).values()} == {1}


def test_a_sweep_goes_on_until_the_decision_is_sure(tmp_path: Path) -> None:
    """Every size that runs has the further rounds, with all warm invocations in each; one that fails has none."""
    runs = FakeRuns(failing=128)
    found = swept(runs, Journal(tmp_path / "j", "q"), unsure=2)
    assert (runs.sizes.count(128), runs.sizes.count(256), runs.sizes.count(512)) == (2, 5, 5)
    assert [len(found[size].warm) for size in (256, 512)] == [90, 90]


def test_a_size_that_fails_is_tried_twice(tmp_path: Path) -> None:
    """Out of memory is a result; a third time would tell nothing new."""
    runs = FakeRuns(failing=128)
    found = swept(runs, Journal(tmp_path / "j", "q"))
    assert runs.sizes.count(128) == 2
    assert found[128].errors == {"Runtime.OutOfMemory": 2}


def test_a_stopped_sweep_goes_on(tmp_path: Path) -> None:
    """What the journal holds is not measured again; another question's lines and a cut one are passed over."""
    journal = Journal(tmp_path / "folder" / "j", "q")

    class Stop(FakeRuns):
        def run(self, config: FunctionConfig, events: Iterator[bytes], warm: int) -> Series:
            if len(self.sizes) == 4:
                raise KeyboardInterrupt
            return super().run(config, events, warm)

    with pytest.raises(KeyboardInterrupt):
        swept(Stop(), journal)
    Journal(journal.path, "another").add(128, Series())
    with journal.path.open("a") as file:
        file.write('{"question": "q", "memo')
    runs = FakeRuns()
    found = swept(runs, journal)
    assert len(runs.sizes) == 5
    assert {len(each.cold) for each in found.values()} == {3}
    journal.forget()
    assert journal.read() == {}


def test_what_a_journal_is_about(tmp_path: Path) -> None:
    """Code, events and backend; not the memory size, which the sweep itself changes."""
    (tmp_path / "app.py").write_text("a")
    config = replace(CONFIG, code=tmp_path)
    effort = Effort(cold=3, warm=30, precision=0.1, budget_s=1)
    first = sweep.question_of(config, [b"1"], "docker", effort)
    assert sweep.question_of(replace(config, memory_mb=999), [b"1"], "docker", effort) == first
    assert sweep.question_of(config, [b"2"], "docker", effort) != first
    assert sweep.question_of(config, [b"1"], "process", effort) != first
    (tmp_path / "app.py").write_text("ab")
    assert sweep.question_of(config, [b"1"], "docker", effort) != first


def test_no_interval_is_not_sure() -> None:
    """Nothing answered, or too few: another round."""
    effort = Effort(cold=1, warm=1, precision=0.5, budget_s=1)
    assert wants([], effort, {})
    assert wants([Series()], effort, {})
    assert wants([series([1.0])], effort, {})
    assert not wants([series([1.0] * 5)], effort, {})
    assert wants([series([1.0] * 5)], replace(effort, cold=2), {})
    assert wants([series([1.0] * 5)], replace(effort, warm=6), {})


def warm(duration_ms: float, waited_ms: float, event: int = 1) -> Sample:
    """One that used no CPU but what it did not wait."""
    cpu_ms = duration_ms - waited_ms
    return Sample(duration_ms=duration_ms, billed_ms=1, cpu_ms=cpu_ms, throttled_ms=0, event=event)


def test_disturbed_invocations_are_known_by_their_waits() -> None:
    """2 ms and a tenth beyond the event's own wait, which another event need not have; failures stay."""
    good = [warm(10, 1), warm(11, 2), warm(12, 3), warm(500, 480, event=2), warm(520, 500, event=2)]
    failed = Sample(duration_ms=1, billed_ms=1, error="ValueError")
    found = Series(warm=(*good, warm(12.1, 3.1), warm(560, 537, event=2), failed))
    waits = least_waits([found, Series(warm=(warm(3, 1, event=3),))])
    assert waits == pytest.approx({1: 1, 2: 480, 3: 1})
    assert undisturbed(found, waits).warm == (*good, failed)
    busy = Series(warm=tuple(warm(10 + more, 1 + more) for more in (50, 3, 70, 90)))
    assert undisturbed(busy, {1: 1}).warm == (busy.warm[0], busy.warm[1])  # a third of four, rounded up
    unknown = Series(warm=(Sample(duration_ms=100, billed_ms=100),))
    assert undisturbed(unknown, {}) == unknown  # what was not measured is not judged
    counted = result_of(CONFIG, [found], PRICES, slo=None, calibration=None, waits=waits)
    assert (counted.warm, counted.disturbed) == (5, 2)


def test_text_json_and_page(tmp_path: Path) -> None:
    """Each tells the sizes, what was left out and what to take."""
    results = (
        result_of(replace(CONFIG, memory_mb=256), [series([80.0] * 9)], PRICES, slo=None, calibration=FACTOR),
        result_of(
            CONFIG,
            [Series(cold=(Sample(duration_ms=1, billed_ms=1, error="Runtime.OutOfMemory"),))],
            PRICES,
            slo=None,
            calibration=None,
        ),
    )
    found = tune_report.Tuning(
        function="F",
        backend="docker",
        strategy="cost",
        results=results,
        left_out=representable((10_240,), 2, 9999)[1],
        recommended=recommend(results, COST),
        slo=None,
        smallest=smallest(lambda memory: (None,) if memory > 150 else ("Runtime.OutOfMemory",), 128, 256),
        calibration=FACTOR,
        prices="us-east-1, 2026-09-19",
        seconds=12.3,
    )
    text = tune_report.as_text(found)
    for told in (
        "recommended: 256 MB",
        "left out: 10,240 MB",
        "128 MB does not run",
        "151 MB; 150 MB does not",
        "0.50 (0.40 to 0.60)",
    ):
        assert told in text
    assert "may be better on a quiet machine" not in text
    assert "by strategy: cost 256 MB, speed 256 MB, balanced 256 MB" in text
    assert "before that was sure" not in text
    unsure = replace(found, recommended=replace(found.recommended, agreement=0.7))
    assert "before that was sure: 70%" in tune_report.as_text(unsure)
    busy = replace(found, results=(replace(results[0], disturbed=10), results[1]))
    assert "disturbed 10 invocations" in tune_report.as_text(busy)
    assert "may be better on a quiet machine" in tune_report.as_text(busy)
    document = json.loads(tune_report.as_json(found))
    assert document["recommended_memory_mb"] == 256
    assert document["sizes"][1]["median"] is None
    page = tune_report.as_page(found).decode()
    assert page.count("<svg") == 3
    assert "<script" not in page
