"""What `preflight cost` shows: text for a terminal, a page, a chart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from emulator import html_page, plots
from emulator.intervals import Estimate
from emulator.pricing.monthly import VOLUMES, Comparison, Month, Spending, month_of
from emulator.pricing.prices import PriceList
from emulator.pricing.traffic import KEEP_ALIVE_S
from emulator.text_table import text_table

if TYPE_CHECKING:
    from emulator.calibration import Calibration
    from emulator.plots import Kind

_PERCENT: Final = 100
_CENT: Final = 0.01
_STEPS_OF_TEN: Final = 8
_VOLUME_HEADERS: Final = ("requests a month", "Lambda", "a million", "cold starts", "of that for them")
_SERVER_HEADERS: Final = ("always-on server", "a month", "cheaper from", "its CPU then", "its CPU as asked")


def predicted(found: Spending, factor: Calibration, listed: PriceList) -> Estimate:
    """What the month would cost with Lambda's own speed, by the calibration's range; never in place of the figures."""

    def usd(of_duration: float, of_init: float) -> float:
        profile = found.profile
        init_ms = profile.cold_billed_ms - profile.warm_billed_ms  # a cold one's slower handler goes with its init
        warm_ms = profile.warm_billed_ms * of_duration
        scaled = replace(profile, warm_billed_ms=warm_ms, cold_billed_ms=warm_ms + init_ms * of_init)
        return month_of(scaled, found.asked.requests, listed, free_tier=found.free_tier).bill.usd

    duration, init = factor.duration, factor.init or factor.duration
    value = usd(duration.value, init.value)
    if duration.low is None or duration.high is None:
        return Estimate(value=value, n=duration.n, method="calibrated")
    low = usd(duration.low, init.value if init.low is None else init.low)
    high = usd(duration.high, init.value if init.high is None else init.high)
    return Estimate(value=value, n=duration.n, low=low, high=high, method="calibrated")


def as_text(name: str, found: Spending, listed: PriceList, on_lambda: Estimate | None = None) -> str:
    """The volume asked for line by line, then the tables."""
    asked = found.asked
    lines = [f"{name}: {count(asked.requests)} requests a month cost {dollars(asked.bill.usd)} on Lambda", ""]
    for line in asked.bill.lines:
        item = line.item.replace("_", " ")
        lines.append(f"  {item:<20} {dollars(line.usd):>12}  ({line.quantity:,.0f} {line.unit})")
    if on_lambda is not None:
        between = (
            ""
            if on_lambda.low is None or on_lambda.high is None
            else (f" ({dollars(on_lambda.low)} to {dollars(on_lambda.high)})")
        )
        lines += ["", f"predicted with Lambda's own speed, as calibrated: {dollars(on_lambda.value)}{between}"]
    lines += ["", text_table(_VOLUME_HEADERS, _volume_rows(found))]
    lines += ["", text_table(_SERVER_HEADERS, _server_rows(found))]
    return "\n".join([*lines, "", *basis(found, listed)])


def basis(found: Spending, listed: PriceList) -> list[str]:
    """In sentences: what the figures rest on."""
    profile = found.profile
    free = "less" if found.free_tier else "without"
    servers = max((each.server.date.isoformat() for each in found.comparisons), default="none has the memory")
    cold = f"{profile.cold_billed_ms:.1f} ms cold (Init is billed since 2025-08-01)"
    told = [f"{profile.memory_mb} MB on {profile.architecture}: {profile.warm_billed_ms:.1f} ms billed warm, {cold}."]
    told.append(f"Prices of {listed.region}, {listed.newest}, {free} the free tier; servers on demand, {servers}.")
    if profile.provisioned:
        told.append(f"{profile.provisioned} provisioned environments all month; requests beyond them are not reckoned.")
    elif profile.cold_share is None:
        told.append(
            "Cold starts: requests come at random, at the same rate all month, and an environment goes when it was "
            f"idle for {KEEP_ALIVE_S:.0f} s; traffic in waves has more (--cold-share)."
        )
        told.append(
            "The share can rise again with volume: requests begin to overlap, and the further environments that they "
            "need are used too seldom to stay warm."
        )
    return told


def as_page(name: str, found: Spending, listed: PriceList) -> bytes:
    """The same as HTML, with the chart."""
    asked = found.asked
    title = f"{name}: {count(asked.requests)} requests a month cost {dollars(asked.bill.usd)}"
    volumes = [each.requests for each in found.months]
    return html_page.page(
        title,
        [
            html_page.chart(chart(found, listed), "Monthly cost against the number of requests, Lambda and servers"),
            html_page.heading("By volume"),
            html_page.table(_VOLUME_HEADERS, _volume_rows(found), [volumes.index(asked.requests)]),
            html_page.heading("Beside a server that is always on"),
            html_page.table(_SERVER_HEADERS, _server_rows(found)),
            html_page.paragraph("\n".join(basis(found, listed))),
        ],
    )


def chart(found: Spending, listed: PriceList, kind: Kind = "svg") -> bytes:
    """Lambda's line over the servers' levels."""
    crossings = [each.break_even for each in found.comparisons if each.break_even is not None]
    high = max(VOLUMES[-1], found.asked.requests, *crossings)
    volumes = [float(min(VOLUMES))]
    while volumes[-1] < high:
        volumes.append(volumes[-1] * 10 ** (1 / _STEPS_OF_TEN))
    line = [(volume, month_of(found.profile, volume, listed, free_tier=found.free_tier).bill.usd) for volume in volumes]
    levels = [plots.Level(name=each.server.name, y=each.usd, crossing=each.break_even) for each in found.comparisons]
    return plots.levels_chart(
        [each for each in line if each[1] > 0], levels, (found.asked.requests, found.asked.bill.usd), kind
    )


def dollars(usd: float) -> str:
    """Cents, and below one dollar what counts of it."""
    if usd >= 1 or usd == 0:
        return f"${usd:,.2f}"
    return f"${usd:.3f}" if usd >= _CENT else f"${usd:.3g}"


def count(number: float) -> str:
    """With thousands apart."""
    return f"{number:,.0f}"


def rounded_count(number: float) -> str:
    """The same to three figures: more than a measured time and a price for on-demand servers can bear."""
    return count(float(f"{number:.3g}"))


def _volume_rows(found: Spending) -> list[tuple[str, ...]]:
    return [_volume_row(each) for each in found.months]


def _volume_row(found: Month) -> tuple[str, ...]:
    usd = found.bill.usd
    return (
        count(found.requests),
        dollars(usd),
        dollars(usd / found.requests * 1e6),
        f"{found.cold_share * _PERCENT:.2g} %",
        f"{found.cold_usd / usd * _PERCENT:.2g} %" if usd else "-",
    )


def _server_rows(found: Spending) -> list[tuple[str, ...]]:
    return [_server_row(each) for each in found.comparisons]


def _server_row(found: Comparison) -> tuple[str, ...]:
    return (
        found.server.name,
        dollars(found.usd),
        "never" if found.break_even is None else rounded_count(found.break_even),
        _share(found.at_break_even),
        _share(found.utilisation),
    )


def _share(utilisation: float | None) -> str:
    """More than all of it is said in words: such a server is no alternative."""
    if utilisation is None:
        return "-"
    return f"{utilisation * _PERCENT:.2g} %" if utilisation <= 1 else f"needs {utilisation:.1f} of them"
