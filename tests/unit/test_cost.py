"""What invocations cost, beside the examples of AWS's pricing page and by properties of any bill."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.pricing.cost import (
    HOURS_OF_MONTH,
    MILLION,
    Use,
    billed_requests,
    month,
    per_million_usd,
    server_month,
    tiered_usd,
)
from emulator.pricing.prices import ARCHITECTURES, PriceList, load

PRICES = load()

uses = st.builds(
    Use,
    requests=st.floats(0, 1e12),
    billed_ms=st.floats(1, 900_000),
    memory_mb=st.integers(128, 10_240),
    architecture=st.sampled_from(ARCHITECTURES),
    ephemeral_storage_mb=st.integers(512, 10_240),
    event_kb=st.floats(0, 1024),
    provisioned_s=st.floats(0, 1e9),
    provisioned_share=st.floats(0, 1),
    snapshot_s=st.none() | st.floats(0, 1e7),
    restores=st.floats(0, 1e6),
)


def usd(item: str, use: Use, *, free_tier: bool = False) -> float:
    """One line of the bill, to the cent as on AWS's page."""
    return round(sum(line.usd for line in month(use, PRICES, free_tier=free_tier).lines if line.item == item), 2)


def test_mobile_backend_of_the_pricing_page() -> None:
    """3 million requests of 120 ms at 1,536 MB: $2.33 and $0.40 beyond the free tier (AWS Lambda pricing, 2026-09)."""
    use = Use(requests=3e6, billed_ms=120, memory_mb=1536)
    assert usd("compute", use, free_tier=True) == 2.33  # (3 M x 0.12 s x 1.5 GB - 400,000) x 0.0000166667
    assert usd("requests", use, free_tier=True) == 0.40
    assert month(use, PRICES, free_tier=True).usd == pytest.approx(2.7333, abs=5e-5)


def test_one_second_at_512_mb_of_the_pricing_page() -> None:
    """3 million requests of 1 s at 512 MB: 1.1 million GB-s beyond the free tier (AWS Lambda pricing, 2020 to 2026)."""
    use = Use(requests=3e6, billed_ms=1000, memory_mb=512)
    assert usd("compute", use, free_tier=True) == 18.33  # 18.34 on the page of 2020, whose price had one digit less
    assert usd("requests", use, free_tier=True) == 0.40


def test_thirty_million_short_ones_of_the_pricing_page() -> None:
    """30 million requests of 200 ms at 128 MB: 350,000 GB-s and 29 million requests (AWS Lambda pricing, 2020)."""
    use = Use(requests=30e6, billed_ms=200, memory_mb=128)
    assert usd("compute", use, free_tier=True) == 5.83
    assert usd("requests", use, free_tier=True) == 5.80


def test_provisioned_concurrency_of_the_pricing_page() -> None:
    """1,000 environments of 1 GB for 2 hours, 1.2 million requests of 1 s (AWS Lambda pricing, example 1)."""
    use = Use(requests=1.2e6, billed_ms=1000, memory_mb=1024, provisioned_s=1000 * 7200, provisioned_share=1.0)
    assert usd("provisioned", use, free_tier=True) == 30.00  # 7.2 M GB-s x 0.0000041667
    assert usd("provisioned_compute", use, free_tier=True) == 11.67  # 1.2 M GB-s x 0.0000097222
    assert usd("requests", use, free_tier=True) == 0.24  # none is free
    assert usd("compute", use, free_tier=True) == 0


def test_ephemeral_storage_is_paid_above_512_mb() -> None:
    """By hand: 1,000,000 s x 1 GB above 512 MB x 0.0000000309."""
    use = Use(requests=1e6, billed_ms=1000, memory_mb=128, ephemeral_storage_mb=1536)
    assert usd("ephemeral_storage", use) == 0.03
    assert usd("ephemeral_storage", replace(use, ephemeral_storage_mb=512)) == 0


def test_a_snapshot_is_paid_for_three_hours_at_least() -> None:
    """By hand: 1 GB x 10,800 s x 0.0000015046 and 1,000 restores x 1 GB x 0.0001397998."""
    use = Use(requests=0, billed_ms=1, memory_mb=1024, snapshot_s=60, restores=1000)
    lines = {line.item: line.usd for line in month(use, PRICES).lines}
    assert lines == {"snapstart_cache": pytest.approx(0.01624968), "snapstart_restore": pytest.approx(0.1397998)}
    longer = month(replace(use, snapshot_s=10_801), PRICES)
    assert longer.usd > month(replace(use, snapshot_s=10_800), PRICES).usd == month(use, PRICES).usd
    assert month(replace(use, restores=0, snapshot_s=None), PRICES).lines == ()


@pytest.mark.parametrize(
    ("kilobytes", "requests"),
    [(0, 1), (256, 1), (256.001, 2), (320, 2), (320.001, 3), (1024, 13)],
)
def test_a_large_asynchronous_event_is_several_requests(kilobytes: float, requests: int) -> None:
    """One for the first 256 KB, one more for each further 64 KB that is begun (AWS Lambda pricing, 2026-09)."""
    assert billed_requests(kilobytes, PRICES) == requests


def test_the_paper_and_its_blog() -> None:
    """1 million predictions of 100 ms at 1 GB: $0.20 + $1.67 (Slido's blog on arXiv 2103.10673, 2020-12-07)."""
    assert per_million_usd(1024, 100, "x86_64") == pytest.approx(1.86667)
    assert per_million_usd(1024, 100, "arm64") == pytest.approx(0.2 + 100_000 * 0.0000133334)
    assert per_million_usd(1024, 100, "x86_64", 1536) == pytest.approx(1.86667 + 100_000 * 3.09e-8)
    assert per_million_usd(1024, 100, "x86_64", event_kb=257) == pytest.approx(2.06667)


def test_tiers_begin_where_they_say() -> None:
    """The last unit of the first tier and the first of the second, by hand."""
    tiers = PRICES.tiers("compute", "x86_64")
    edge = 6e9
    assert tiered_usd(edge, tiers) == pytest.approx(100_000.2)
    assert tiered_usd(edge + 1e6, tiers) - tiered_usd(edge, tiers) == pytest.approx(15.0)
    assert tiered_usd(edge, tiers) - tiered_usd(edge - 1e6, tiers) == pytest.approx(16.6667)
    assert tiered_usd(16e9, tiers) == pytest.approx(100_000.2 + 135_000 + 13_333.4)
    assert tiered_usd(0, tiers) == 0


def test_a_server_costs_730_hours() -> None:
    """As AWS's calculator reckons a month."""
    server = PRICES.servers[0]
    assert server_month(server) == server.usd_per_hour * HOURS_OF_MONTH


@given(use=uses, more=st.floats(1, 10), free_tier=st.booleans())
def test_more_requests_never_cost_less(use: Use, more: float, *, free_tier: bool) -> None:
    """Monotone in volume, across tiers and the free tier."""
    fewer = month(use, PRICES, free_tier=free_tier)
    assert month(replace(use, requests=use.requests * more), PRICES, free_tier=free_tier).usd >= fewer.usd >= 0


@given(use=uses, longer=st.floats(1, 10))
def test_longer_never_costs_less(use: Use, longer: float) -> None:
    """Monotone in duration too."""
    assert month(replace(use, billed_ms=use.billed_ms * longer), PRICES).usd >= month(use, PRICES).usd


@given(use=uses)
def test_the_free_tier_only_takes_away(use: Use) -> None:
    """And never more than it is worth."""
    dear, cheap = month(use, PRICES).usd, month(use, PRICES, free_tier=True).usd
    assert cheap <= dear
    assert dear - cheap <= 400_000 * 0.0000166667 + 0.2 + dear * 1e-9


@given(
    memory_mb=st.integers(128, 10_240),
    parts=st.lists(st.floats(1, 900_000), min_size=1, max_size=8),
    architecture=st.sampled_from(ARCHITECTURES),
)
def test_within_a_tier_a_bill_is_the_sum_of_its_parts(memory_mb: int, parts: list[float], architecture: str) -> None:
    """Additive: a million of each duration costs what a month of them all costs."""
    alone = math.fsum(per_million_usd(memory_mb, each, architecture, prices=PRICES) for each in parts)
    mean = math.fsum(parts) / len(parts)
    together = month(
        Use(requests=MILLION * len(parts), billed_ms=mean, memory_mb=memory_mb, architecture=architecture), _flat()
    )
    assert together.usd == pytest.approx(alone)


@given(use=uses)
def test_a_bill_is_the_sum_of_its_lines(use: Use) -> None:
    """No line is negative, and there is none of nothing."""
    bill = month(use, PRICES)
    assert bill.usd == pytest.approx(sum(line.usd for line in bill.lines))
    assert all(line.quantity > 0 and line.usd >= 0 for line in bill.lines)


@given(quantity=st.floats(0, 1e11), other=st.floats(0, 1e11))
def test_tiers_make_more_cheaper(quantity: float, other: float) -> None:
    """Two accounts together never pay more than apart, as consolidated billing promises."""
    tiers = PRICES.tiers("compute", "arm64")
    together = tiered_usd(quantity + other, tiers)
    assert together <= (tiered_usd(quantity, tiers) + tiered_usd(other, tiers)) * (1 + 1e-12) + 1e-300


def _flat() -> PriceList:
    """The same list with the first tiers alone."""
    return replace(PRICES, prices=tuple(row for row in PRICES.prices if row.start == 0))
