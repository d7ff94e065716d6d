"""How often requests meet a cold start, for a volume of requests: arithmetic, without a clock.

Requests are taken to come at random, at the same rate all month (a Poisson process). The environment that served last
serves next, so the first one is busiest; the k-th gets what arrives while k-1 are busy, which Erlang's formula gives.
An environment that has waited for longer than `KEEP_ALIVE_S` is gone. Real traffic comes in waves and has more cold
starts than this; Lambda also replaces environments that are never idle, every few hours, which is left out.
"""

from __future__ import annotations

import math
from typing import Final

KEEP_ALIVE_S: Final = 330.0  # idle for 300 to 360 s (EuroSys 2026, doi 10.1145/3767295.3769374, measured in 2025)
_ENOUGH: Final = 1e-9  # a share of the requests that no longer matters
_MOST_ENVIRONMENTS: Final = 100_000


def cold_share(requests_per_s: float, duration_s: float, keep_alive_s: float = KEEP_ALIVE_S) -> float:
    """The share of requests, 0 to 1, that find no warm environment."""
    if requests_per_s <= 0:
        return 1.0
    offered = requests_per_s * duration_s
    blocked, cold = 1.0, 0.0
    for number in range(1, _MOST_ENVIRONMENTS):
        still = offered * blocked / (number + offered * blocked)  # Erlang B, one server more
        reaching = blocked - still  # the share of all requests that this environment serves
        cold += reaching * math.exp(-requests_per_s * reaching * keep_alive_s)
        blocked = still
        if blocked < _ENOUGH:
            break
    return min(1.0, cold + blocked)
