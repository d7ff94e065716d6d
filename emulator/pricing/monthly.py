"""What a function costs a month: for volumes of requests, beside servers, with the volumes where both cost the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from emulator.pricing.cost import SECONDS_OF_MONTH, Bill, Use, month, server_month
from emulator.pricing.prices import PriceList, Server
from emulator.pricing.traffic import cold_share

VOLUMES: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
_MOST_REQUESTS: Final = 1e12
_STEPS_OF_TEN: Final = 10
_MS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one function uses: billed milliseconds of a warm and of a cold invocation (means), and how it is set up.

    `cold_share` None lets traffic decide. `cpu_ms` of a warm invocation, None where it was not measured, tells how
    many a server can serve. `provisioned` environments are kept for the whole month.
    """

    memory_mb: int
    architecture: str
    warm_billed_ms: float
    cold_billed_ms: float
    ephemeral_storage_mb: int = 512
    event_kb: float = 0.0
    cold_share: float | None = None
    cpu_ms: float | None = None
    provisioned: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One volume: what Lambda bills, and what part of it pays for cold starts (their Init and slower first call)."""

    requests: float
    cold_share: float
    bill: Bill
    cold_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One server beside Lambda: from `break_even` requests a month on, it is cheaper; None for never.

    `utilisation` is the CPU that it needs at the volume asked for, 1 for all of it; above 1 it cannot serve them.
    `at_break_even` is the same there. None where CPU time was not measured.
    """

    server: Server
    usd: float
    break_even: int | None
    utilisation: float | None
    at_break_even: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Everything that `preflight cost` tells."""

    profile: Profile
    asked: Month
    months: tuple[Month, ...]
    comparisons: tuple[Comparison, ...]
    free_tier: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON; figures that were not measured are null."""
        return {
            "profile": asdict(self.profile),
            "free_tier": self.free_tier,
            "month": _month_dict(self.asked),
            "by_volume": [_month_dict(each) for each in self.months],
            "servers": [
                {
                    "name": each.server.name,
                    "usd": each.usd,
                    "break_even_requests": each.break_even,
                    "utilisation": each.utilisation,
                    "utilisation_at_break_even": each.at_break_even,
                    "price": {"date": each.server.date.isoformat(), "source": each.server.source},
                }
                for each in self.comparisons
            ],
        }


def spending(profile: Profile, requests: float, prices: PriceList, *, free_tier: bool = False) -> Spending:
    """The month of so many requests, other volumes for a table, and every server that has the memory."""

    def bill_usd(volume: float) -> float:
        return month_of(profile, volume, prices, free_tier=free_tier).bill.usd

    comparisons = []
    for server in prices.servers:
        if server.memory_gb * 1024 < profile.memory_mb:
            continue
        usd = server_month(server)
        even = break_even(bill_usd, usd)
        comparisons.append(
            Comparison(
                server=server,
                usd=usd,
                break_even=even,
                utilisation=_utilisation(profile, server, requests),
                at_break_even=None if even is None else _utilisation(profile, server, even),
            )
        )
    volumes = sorted({*VOLUMES, requests})
    return Spending(
        profile=profile,
        asked=month_of(profile, requests, prices, free_tier=free_tier),
        months=tuple(month_of(profile, volume, prices, free_tier=free_tier) for volume in volumes),
        comparisons=tuple(comparisons),
        free_tier=free_tier,
    )


def month_of(profile: Profile, requests: float, prices: PriceList, *, free_tier: bool = False) -> Month:
    """One volume's bill. Provisioned environments serve all requests and none of those is cold."""
    share = _cold_share(profile, requests)
    billed_ms = profile.warm_billed_ms * (1 - share) + profile.cold_billed_ms * share
    use = Use(
        requests=requests,
        billed_ms=billed_ms,
        memory_mb=profile.memory_mb,
        architecture=profile.architecture,
        ephemeral_storage_mb=profile.ephemeral_storage_mb,
        event_kb=profile.event_kb,
        provisioned_s=profile.provisioned * SECONDS_OF_MONTH,
        provisioned_share=1.0 if profile.provisioned else 0.0,
    )
    bill = month(use, prices, free_tier=free_tier)
    warm_only = month(replace(use, billed_ms=profile.warm_billed_ms), prices, free_tier=free_tier)
    return Month(requests=requests, cold_share=share, bill=bill, cold_usd=bill.usd - warm_only.usd)


def break_even(usd_of: Callable[[float], float], target_usd: float, most: float = _MOST_REQUESTS) -> int | None:
    """The first volume whose bill reaches the target; None where none up to `most` does.

    The bill is looked at ten times in each power of ten first: more requests keep a function warm, so that with long
    cold starts and little traffic a bill can also fall.
    """
    below, above = 0.0, 1.0
    while usd_of(above) < target_usd:
        if above >= most:
            return None
        below, above = above, above * 10 ** (1 / _STEPS_OF_TEN)
    low, high = math.floor(below), math.ceil(above)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if usd_of(middle) >= target_usd else (middle, high)
    return high if usd_of(low) < target_usd else low


def _cold_share(profile: Profile, requests: float) -> float:
    if profile.provisioned:
        return 0.0
    if profile.cold_share is not None:
        return profile.cold_share
    return cold_share(requests / SECONDS_OF_MONTH, profile.warm_billed_ms / _MS)


def _utilisation(profile: Profile, server: Server, requests: float) -> float | None:
    if profile.cpu_ms is None:
        return None
    return requests * profile.cpu_ms / _MS / (server.vcpus * SECONDS_OF_MONTH)


def _month_dict(found: Month) -> dict[str, Any]:
    return {
        "requests": found.requests,
        "usd": found.bill.usd,
        "cold_share": found.cold_share,
        "cold_usd": found.cold_usd,
        "lines": [asdict(line) for line in found.bill.lines],
    }
