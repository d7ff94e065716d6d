"""The pages of `tune`, `cost` and the paper in a real browser: charts say what tables say, for every reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from emulator.intervals import Estimate
from emulator.pricing import monthly
from emulator.pricing import report as cost_report
from emulator.pricing.prices import load
from emulator.tune import report as tune_report
from emulator.tune.smallest import Smallest
from emulator.tune.tuning import LeftOut, Recommendation, SizeResult
from tests.command import ROOT
from tests.pages import FAINT, OUTSIDE, READERS, Reader, Seen, browser, look

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]
pytestmark = pytest.mark.xdist_group("browser")  # one browser for all
NAME: Final = "AFunctionWhoseNameIsSixtyFourLettersLongAsLambdaAllowsItToBe<&'>"
RECOMMENDED: Final = 512
SWEPT: Final = ((256, 73.0, 0.5), (512, 23.0, 0.39), (1024, 6.0, 0.3), (1769, 5.9, 0.37), (2048, 5.8, 0.4))


def size(memory_mb: int, p50_ms: float, usd: float) -> SizeResult:
    """One size that runs."""
    return SizeResult(
        memory_mb=memory_mb,
        cold=3,
        warm=30,
        disturbed=2,
        median=Estimate(value=p50_ms, n=30, low=p50_ms * 0.97, high=p50_ms * 1.04, method="bootstrap"),
        p95_ms=p50_ms * 1.6,
        p99_ms=p50_ms * 1.9,
        slo_ms=None,
        billed_ms=p50_ms + 1,
        init_p50_ms=310.0,
        init_max_ms=340.0,
        max_memory_mb=92.0,
        throttled_share=0.2,
        usd_per_million=usd,
        decided_by=None,
        errors={},
    )


def dead(memory_mb: int) -> SizeResult:
    """One size at which nothing is answered."""
    return SizeResult(
        memory_mb=memory_mb,
        cold=0,
        warm=0,
        disturbed=0,
        median=None,
        p95_ms=None,
        p99_ms=None,
        slo_ms=None,
        billed_ms=None,
        init_p50_ms=None,
        init_max_ms=None,
        max_memory_mb=None,
        throttled_share=None,
        usd_per_million=None,
        decided_by=None,
        errors={"Runtime.OutOfMemory": 2},
    )


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five sizes that run, one that does not, one that this machine has not."""
    found = tune_report.Tuning(
        function=NAME,
        backend="docker",
        strategy="balanced",
        results=(dead(128), *(size(*each) for each in SWEPT)),
        left_out=(LeftOut(memory_mb=10_240, reason="it has 5.8 vCPUs, and this machine has 2"),),
        recommended=Recommendation(memory_mb=RECOMMENDED, reason="the best balance, with 50% for cost"),
        slo=None,
        smallest=Smallest(memory_mb=151, runs=9, fails_at=150, error="Runtime.OutOfMemory"),
        calibration=None,
        prices="us-east-1, 2026-09-19",
        seconds=150.0,
    )
    path = tmp_path_factory.mktemp("sweep") / "sweep.html"
    path.write_bytes(tune_report.as_page(found))
    return path


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A million requests a month."""
    profile = monthly.Profile(memory_mb=1024, architecture="x86_64", warm_billed_ms=100, cold_billed_ms=600, cpu_ms=60)
    path = tmp_path_factory.mktemp("cost") / "cost.html"
    path.write_bytes(cost_report.as_page(NAME, monthly.spending(profile, 1e6, load()), load()))
    return path


@pytest.fixture(scope="module", params=READERS, ids=str)
def seen(request: pytest.FixtureRequest, browser: Browser, sweep: Path) -> Iterator[Seen]:
    """The sweep as one reader has it."""
    with look(browser, sweep, request.param, "sweep") as found:
        yield found


def well(found: Seen, path: Path) -> None:
    """Nothing asked for but the file, no error, nothing beyond the page's edge, every word dark or light enough."""
    assert found.asked == [path.as_uri()]
    assert found.said == []
    assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert found.page.evaluate(OUTSIDE) == []
    assert found.page.evaluate(FAINT) == []


def test_read_by_a_person(seen: Seen, sweep: Path) -> None:
    """As the gate's report."""
    well(seen, sweep)
    assert NAME in seen.page.inner_text("h1")


def test_what_is_drawn(seen: Seen) -> None:
    """Cost against latency, latency by memory and memory used, of every size that runs and of no other."""
    page = seen.page
    assert page.locator("figure [role=img]").count() == 3
    labels = [chart.get_attribute("aria-label") for chart in page.locator("figure [role=img]").all()]
    assert labels == ["Cost against latency", "Latency by memory size", "Memory used by memory size"]
    cost_and_latency, latency, memory = (
        [text.strip() for text in svg.locator("text").all_text_contents()] for svg in page.locator("svg").all()
    )
    names = [f"{each} MB{', recommended' if each == RECOMMENDED else ''}" for each, _, _ in SWEPT]
    assert [text for text in cost_and_latency if " MB" in text] == names
    for percentile in ("p50", "p95", "p99"):
        assert percentile in latency
    assert {f"{each}" for each, _, _ in SWEPT} <= {*memory}
    assert "128" not in memory


def test_the_recommended_size_stands_out(seen: Seen) -> None:
    """In the table by its row, in the chart by a mark of another colour than all others'."""
    page = seen.page
    marked = page.locator("tr.marked")
    assert marked.count() == 1
    assert marked.locator("td").first.inner_text() == str(RECOMMENDED)
    fills = page.evaluate(
        """() => [...document.querySelector("svg").querySelectorAll("use")]
        .filter(e => !e.closest("[id*=tick]")).map(e => getComputedStyle(e).fill)"""
    )
    assert len(fills) == len(SWEPT)
    assert sorted(fills.count(fill) for fill in set(fills)) == [1, len(SWEPT) - 1]


@pytest.mark.parametrize("reader", READERS, ids=str)
def test_the_page_of_a_cost(browser: Browser, cost: Path, reader: Reader) -> None:
    """The same for `preflight cost`."""
    with look(browser, cost, reader, "cost") as found:
        well(found, cost)
        assert found.page.locator("svg").count() == 1


@pytest.mark.parametrize("reader", READERS, ids=str)
@pytest.mark.parametrize("drawing", sorted((ROOT / "docs" / "paper").glob("*.svg")), ids=lambda path: path.stem)
def test_the_drawings_of_the_papers_page(browser: Browser, drawing: Path, reader: Reader) -> None:
    """Each is dark for a reader whose system is dark, letters too, and asks for nothing else."""
    with look(browser, drawing, reader, drawing.stem) as found:
        assert found.asked == [drawing.as_uri()]
        assert found.said == []
        page = found.page
        paper = page.evaluate("getComputedStyle(document.querySelector('#patch_1 path')).fill")
        ink = page.evaluate("getComputedStyle(document.querySelector('text')).fill")
        assert (paper == "rgb(255, 255, 255)") == (reader[1] == "light")
        assert ink != paper
