"""Warm round trips, ours and RIE's by turns, so that what else the machine does strikes both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from benchmarks import rie
from benchmarks.bed import EVENT, FUNCTION, HANDLER, MEMORY_MB
from benchmarks.rows import WARM_P50_NAME, WARM_P50_RATIO, WARM_P99_NAME, WARM_P99_RATIO, Row
from benchmarks.stats import Estimate, plan_blocks, quantile, quantile_ratio
from emulator.errors import BackendError

if TYPE_CHECKING:
    from benchmarks.bed import Bed
    from benchmarks.peers import PeerImage

_BLOCKS: Final = 10
_FIRST: Final = 100  # not counted: the first calls pay for caches and for code not run before
_MS: Final = 1000
_P50: Final = 0.5
_P99: Final = 0.99

Blocks = Mapping[str, Sequence[Sequence[float]]]


def measure(bed: Bed, image: PeerImage, trips: int) -> tuple[list[Row], dict[str, Any]]:
    """At least `trips` round trips each: through `service.invoke`, and to RIE with two clients."""
    config = bed.function(HANDLER, MEMORY_MB)
    with (
        bed.service(config) as service,
        rie.running(bed, image) as address,
        rie.http_client(address) as http,
        rie.bare_client(address) as bare,
    ):
        callers: dict[str, Callable[[bytes], bytes]] = {
            "ours": lambda event: service.invoke(FUNCTION, event).body,
            "rie": http,
            "rie_bare": bare,
        }
        bed.say("warm: first calls, not counted")
        for call in callers.values():
            block(call, _FIRST)
        blocks = interleaved(callers, plan_blocks(trips, _BLOCKS), bed.say)
    samples = {name: [[round(value, 4) for value in block] for block in found] for name, found in blocks.items()}
    return rows_of(blocks, f"{address[0]}:{address[1]}"), {"blocks_ms": samples}


def rotation(names: Sequence[str], number: int) -> list[str]:
    """Everybody's turn comes first, in the middle and last equally often."""
    start = number % len(names)
    return [*names[start:], *names[:start]]


def rows_of(blocks: Blocks, where: str) -> list[Row]:
    """The ratios with their targets, and the figures that they come from."""
    note = f"by http.client, kept alive, at {where}"
    ratios = (
        (WARM_P50_NAME, "rie", _P50, WARM_P50_RATIO, note),
        (WARM_P99_NAME, "rie", _P99, WARM_P99_RATIO, note),
        ("service.invoke / RIE by a bare socket, p50", "rie_bare", _P50, None, "less than any client does"),
        ("service.invoke / RIE by a bare socket, p99", "rie_bare", _P99, None, ""),
    )
    rows = [
        Row(
            part="warm",
            name=name,
            unit="x",
            estimate=quantile_ratio(blocks["ours"], blocks[peer], share),
            at_most=at_most,
            note=words,
        )
        for name, peer, share, at_most, words in ratios
    ]
    told = {"ours": "service.invoke", "rie": "RIE by http.client", "rie_bare": "RIE by a bare socket"}
    for name, words in told.items():
        for label, share in (("p50", _P50), ("p99", _P99)):
            rows.append(
                Row(part="warm", name=f"{words}, {label}", unit="ms", estimate=_over_blocks(blocks[name], share))
            )
    return rows


def _over_blocks(blocks: Sequence[Sequence[float]], share: float) -> Estimate:
    """The quantile of all values, and the least and the greatest that any one block had."""
    each = [quantile(block, share) for block in blocks]
    whole = quantile([value for block in blocks for value in block], share)
    return Estimate(value=whole, n=sum(len(block) for block in blocks), low=min(each), high=max(each))


def interleaved(
    callers: Mapping[str, Callable[[bytes], bytes]], plan: Sequence[int], say: Callable[[str], None]
) -> dict[str, list[list[float]]]:
    """Milliseconds of everybody's round trips, block by block, each in turn."""
    blocks: dict[str, list[list[float]]] = {name: [] for name in callers}
    for number, count in enumerate(plan):
        say(f"warm: block {number + 1} of {len(plan)}, {count} round trips each")
        for name in rotation(list(callers), number):
            blocks[name].append(block(callers[name], count))
    return blocks


def block(call: Callable[[bytes], bytes], count: int) -> list[float]:
    """Milliseconds of each round trip; every answer is checked."""
    found = []
    for _ in range(count):
        begin = time.perf_counter()
        answer = call(EVENT)
        found.append((time.perf_counter() - begin) * _MS)
        if answer != EVENT:
            raise BackendError(
                f"a warm call answered {answer[:200]!r}", hint="The echo handler should return the event."
            )
    return found
