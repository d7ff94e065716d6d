"""What invocations cost on Lambda, and on a server that is always on: arithmetic over a list of prices.

Durations are billed milliseconds as on REPORT lines, so Init is in them where it was paid: it is billed like any other
duration since 2025-08-01 (AWS compute blog, "AWS Lambda standardizes billing for INIT phase", 2025-04-29).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from emulator.pricing.prices import PriceList, Server, load

HOURS_OF_MONTH: Final = 730  # as AWS's pricing calculator reckons (calculator.aws, 2026)
SECONDS_OF_MONTH: Final = HOURS_OF_MONTH * 3600
MILLION: Final = 1_000_000
_MB_OF_GB: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One function's month. `billed_ms` is the mean over all its requests, those that paid for Init included.

    `event_kb` is the size of an asynchronous event, 0 for a synchronous one. `provisioned_s` counts the seconds of each
    environment kept by provisioned concurrency, whose `provisioned_share` of the requests is billed at its own price.
    `snapshot_s` is how long a SnapStart snapshot is kept, None without SnapStart, and `restores` how often it is used.
    """

    requests: float
    billed_ms: float
    memory_mb: int
    architecture: str = "x86_64"
    ephemeral_storage_mb: int = 512
    event_kb: float = 0.0
    provisioned_s: float = 0.0
    provisioned_share: float = 0.0
    snapshot_s: float | None = None
    restores: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a bill, in US dollars."""

    item: str
    quantity: float
    unit: str
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a month costs, line by line; lines of nothing are left out."""

    lines: tuple[Line, ...]

    @property
    def usd(self) -> float:
        """The sum of the lines."""
        return math.fsum(line.usd for line in self.lines)


def per_million_usd(  # noqa: PLR0913 - what the price of an invocation depends on
    memory_mb: int,
    billed_ms: float,
    architecture: str,
    ephemeral_storage_mb: int = 512,
    *,
    event_kb: float = 0.0,
    prices: PriceList | None = None,
) -> float:
    """US dollars for a million requests of so many billed milliseconds each, in the first tier and without free ones.

    `event_kb` is the size of an asynchronous event; `prices` are those of this package where they are not given.
    """
    use = Use(
        requests=MILLION,
        billed_ms=billed_ms,
        memory_mb=memory_mb,
        architecture=architecture,
        ephemeral_storage_mb=ephemeral_storage_mb,
        event_kb=event_kb,
    )
    return _bill(use, prices or load(), free_tier=False, first_tier=True).usd


def month(use: Use, prices: PriceList, *, free_tier: bool = False) -> Bill:
    """What Lambda bills for a month of this use, as if it were the only one of the account.

    The free tier does not count for what runs on provisioned concurrency (AWS Lambda pricing page, 2026-09).
    """
    return _bill(use, prices, free_tier=free_tier, first_tier=False)


def tiered_usd(quantity: float, tiers: Iterable[tuple[float, float]]) -> float:
    """The price of a quantity whose first units fall into the first tier, the next into the second and so on."""
    ordered = list(tiers)
    ends = [start for start, _ in ordered[1:]] + [math.inf]
    return math.fsum(
        max(0.0, min(quantity, end) - start) * usd for (start, usd), end in zip(ordered, ends, strict=True)
    )


def billed_requests(event_kb: float, prices: PriceList) -> int:
    """How many requests one event is billed as: an asynchronous one pays again for each step above the first."""
    over = max(0.0, event_kb - prices.allowance("event_first"))
    return 1 + math.ceil(over / prices.allowance("event_step"))


def server_month(server: Server) -> float:
    """US dollars for one server that is never turned off."""
    return server.usd_per_hour * HOURS_OF_MONTH


def _bill(use: Use, prices: PriceList, *, free_tier: bool, first_tier: bool) -> Bill:
    seconds = use.requests * use.billed_ms / 1000
    gb = use.memory_mb / _MB_OF_GB
    on_demand = 1.0 - use.provisioned_share
    free_compute = prices.allowance("free_compute") if free_tier else 0.0
    free_requests = prices.allowance("free_requests") if free_tier else 0.0
    requests = use.requests * billed_requests(use.event_kb, prices)
    storage_gb = max(0.0, use.ephemeral_storage_mb - prices.allowance("ephemeral_storage")) / _MB_OF_GB
    kept_s = 0.0 if use.snapshot_s is None else max(use.snapshot_s, prices.allowance("snapstart_least"))
    requests_charged = max(0.0, requests * on_demand - free_requests) + requests * use.provisioned_share
    quantities = (
        ("compute", max(0.0, seconds * gb * on_demand - free_compute), "GB-s"),
        ("provisioned_compute", seconds * gb * use.provisioned_share, "GB-s"),
        ("requests", requests_charged, "requests"),
        ("ephemeral_storage", seconds * storage_gb, "GB-s"),
        ("provisioned", use.provisioned_s * gb, "GB-s"),
        ("snapstart_cache", kept_s * gb, "GB-s"),
        ("snapstart_restore", use.restores * gb, "GB"),
    )
    lines = []
    for item, quantity, unit in quantities:
        tiers = prices.tiers(item, use.architecture)
        usd = tiered_usd(quantity, tiers[:1] if first_tier else tiers)
        if quantity > 0:
            lines.append(Line(item=item, quantity=quantity, unit=unit, usd=usd))
    return Bill(lines=tuple(lines))
