"""A function's month: cold starts by traffic, and where a server is cheaper."""

from __future__ import annotations

import heapq
import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.pricing import monthly
from emulator.pricing import report as cost_report
from emulator.pricing.cost import SECONDS_OF_MONTH
from emulator.pricing.monthly import Profile, break_even, month_of, spending
from emulator.pricing.prices import load
from emulator.pricing.traffic import KEEP_ALIVE_S, cold_share

PRICES = load()
PAPER = Profile(memory_mb=1024, architecture="x86_64", warm_billed_ms=100, cold_billed_ms=1500, cpu_ms=60)


def simulated(requests_per_s: float, duration_s: float, count: int) -> float:
    """The share of cold starts when requests come at random and the environment used last serves next."""
    draw, now, cold = random.Random(7), 0.0, 0  # noqa: S311 - traffic drawn with a seed, not a secret
    idle: list[float] = []  # when each became idle; the last one serves next
    busy: list[float] = []
    for _ in range(count):
        now += draw.expovariate(requests_per_s)
        while busy and busy[0] <= now:
            idle.append(heapq.heappop(busy))
        while idle and idle[0] < now - KEEP_ALIVE_S:
            idle.pop(0)
        if idle:
            idle.pop()
        else:
            cold += 1
        heapq.heappush(busy, now + duration_s)
    return cold / count


@pytest.mark.parametrize(
    ("requests_per_s", "duration_s"), [(0.0005, 0.1), (0.002, 0.1), (0.005, 1.0), (0.02, 5.0), (0.5, 1.0), (5.0, 0.5)]
)
def test_cold_starts_as_in_a_simulation(requests_per_s: float, duration_s: float) -> None:
    """Erlang's formula beside 20,000 requests drawn one by one; from each second one cold to hardly any."""
    expected = simulated(requests_per_s, duration_s, 20_000)
    assert cold_share(requests_per_s, duration_s) == pytest.approx(expected, rel=0.25, abs=0.002)


@given(requests_per_s=st.floats(0, 100), duration_s=st.floats(0.001, 60))
def test_a_share_is_a_share(requests_per_s: float, duration_s: float) -> None:
    """Whatever the traffic."""
    assert 0 <= cold_share(requests_per_s, duration_s) <= 1


def test_nobody_is_warm_without_traffic() -> None:
    """The first request of all is cold; one a minute keeps a function warm."""
    assert cold_share(0, 1) == 1
    assert cold_share(1e-9, 0.001) == pytest.approx(1, abs=1e-5)
    assert cold_share(1 / 60, 0.001) < 0.01


def test_break_even_of_the_paper() -> None:
    """A million predictions of 100 ms at 1 GB for $1.87, a server for $8: about 4 million (arXiv 2103.10673)."""
    even = break_even(lambda volume: month_of(replace(PAPER, cold_share=0), volume, PRICES).bill.usd, 8.0)
    assert even == 4_285_707  # 8 / 1.86667 a million, rounded up


@given(unit_usd=st.floats(1e-7, 10), target=st.floats(0.01, 1000))
def test_break_even_is_the_first_volume(unit_usd: float, target: float) -> None:
    """One request fewer is cheaper than the server."""
    even = break_even(lambda volume: volume * unit_usd, target)
    assert even is not None
    assert even * unit_usd >= target
    assert even == 1 or (even - 1) * unit_usd < target


def test_a_server_dearer_than_any_volume() -> None:
    """Never is None, not the limit."""
    assert break_even(lambda volume: volume * 1e-9, 8.0, most=1e6) is None
    assert break_even(lambda _volume: 9.0, 8.0) in {0, 1}


def test_cold_starts_are_a_part_of_the_bill() -> None:
    """Their cost is what the same volume without them would save; provisioned environments have none."""
    half = month_of(replace(PAPER, cold_share=0.5), 1e6, PRICES)
    none = month_of(replace(PAPER, cold_share=0.0), 1e6, PRICES)
    assert half.cold_usd == pytest.approx(half.bill.usd - none.bill.usd)
    assert none.cold_usd == 0
    kept = month_of(replace(PAPER, provisioned=2), 1e6, PRICES)
    assert kept.cold_share == 0
    lines = {line.item: line.quantity for line in kept.bill.lines}
    assert lines["provisioned"] == 2 * SECONDS_OF_MONTH
    assert "compute" not in lines


def test_servers_need_the_memory() -> None:
    """A function of 3 GB is not compared with a server of 2 GB."""
    names = {each.server.name for each in spending(replace(PAPER, memory_mb=3072), 1e6, PRICES).comparisons}
    assert "t3.medium" in names
    assert not names & {"t3.small", "t4g.small"}
    assert spending(replace(PAPER, memory_mb=10_240), 1e6, PRICES).comparisons == ()


def test_a_server_that_cannot_serve_them_says_so() -> None:
    """2 vCPUs have 5,256,000 CPU seconds a month; utilisation is none where CPU time was not measured."""
    found = spending(PAPER, 100e6, PRICES).comparisons[0]
    assert found.utilisation == pytest.approx(100e6 * 0.06 / (2 * SECONDS_OF_MONTH))
    assert "needs 1.1 of them" in cost_report.as_text("F", spending(PAPER, 100e6, PRICES), PRICES)
    unknown = spending(replace(PAPER, cpu_ms=None), 1e6, PRICES)
    assert unknown.comparisons[0].utilisation is None
    assert unknown.comparisons[0].at_break_even is None


def test_text_and_json_tell_the_same() -> None:
    """The volume asked for stands in the table, and JSON is JSON."""
    found = spending(PAPER, 2_000_000, PRICES, free_tier=True)
    text = cost_report.as_text("Sentiment", found, PRICES)
    assert "2,000,000 requests a month cost $" in text
    assert "less the free tier" in text
    document = json.loads(json.dumps(found.as_dict()))
    assert document["month"]["requests"] == 2_000_000
    assert [each["requests"] for each in document["by_volume"]] == sorted({*monthly.VOLUMES, 2_000_000})
    assert document["servers"][0]["break_even_requests"] == found.comparisons[0].break_even


def test_what_cold_starts_rest_on() -> None:
    """Said in words, with what makes the share rise again, which it does here; neither where the share is told."""
    assert cold_share(1e6 / SECONDS_OF_MONTH, 0.04) > cold_share(1e5 / SECONDS_OF_MONTH, 0.04)
    said = " ".join(cost_report.basis(spending(PAPER, 1e6, PRICES), PRICES))
    assert "at random, at the same rate all month, and an environment goes when it was idle for 330 s" in said
    assert "can rise again with volume: requests begin to overlap" in said
    assert "evenly" not in said
    assert "at random" not in " ".join(cost_report.basis(spending(replace(PAPER, cold_share=0), 1e6, PRICES), PRICES))


def test_break_even_volumes_have_three_figures_in_text() -> None:
    """JSON has the volume itself."""
    found = spending(PAPER, 2_000_000, PRICES)
    exact = found.comparisons[0].break_even
    assert exact is not None
    assert exact != float(f"{exact:.3g}")
    assert found.as_dict()["servers"][0]["break_even_requests"] == exact
    text = cost_report.as_text("F", found, PRICES)
    assert f"{float(f'{exact:.3g}'):,.0f}" in text
    assert f"{exact:,}" not in text


def test_the_page_needs_nothing_else() -> None:
    """One file: no link, no script; the function's name is text, whatever it holds."""
    page = cost_report.as_page("<b>", spending(PAPER, 1e6, PRICES), PRICES).decode()
    assert "<script" not in page
    assert 'src="' not in page
    assert "&lt;b&gt;" in page
    assert "<svg" in page
    assert len(page) < 200_000
    assert cost_report.chart(spending(PAPER, 1e6, PRICES), PRICES, "png").startswith(b"\x89PNG")
