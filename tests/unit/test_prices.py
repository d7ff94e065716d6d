"""The list of prices: the one that comes along, and what a user may give instead."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from emulator.errors import ConfigurationError
from emulator.pricing import prices
from emulator.pricing.prices import Allowance, Price, Server, load

OWN = (resources.files("emulator.pricing") / "prices.toml").read_text()


def written(folder: Path, text: str) -> Path:
    """A user's own list."""
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_every_row_says_when_and_where_it_was_read() -> None:
    """And the list is complete: loading it refuses gaps."""
    listed = load()
    assert listed.region == "us-east-1"
    rows: list[Price | Allowance | Server] = [*listed.prices, *listed.allowances, *listed.servers]
    assert all(row.source and row.date.year >= 2025 for row in rows)
    assert listed.newest.isoformat() == "2026-09-19"


def test_tiers_come_in_order_and_by_architecture() -> None:
    """As AWS's price list of 2026-09-19 has them."""
    listed = load()
    assert listed.tiers("compute", "x86_64") == ((0, 1.66667e-05), (6e9, 1.5e-05), (15e9, 1.33334e-05))
    assert listed.tiers("compute", "arm64")[0] == (0, 1.33334e-05)
    assert listed.tiers("requests", "arm64") == listed.tiers("requests", "x86_64") == ((0, 2e-07),)
    with pytest.raises(KeyError):
        listed.tiers("compute", "riscv")
    with pytest.raises(KeyError):
        listed.allowance("coffee")


def test_a_file_replaces_the_list(tmp_path: Path) -> None:
    """Another figure, another region."""
    mine = OWN.replace('region = "us-east-1"', 'region = "eu-central-1"').replace(
        "usd = 0.0000002\n", "usd = 0.0000004\n"
    )
    listed = load(written(tmp_path, mine))
    assert listed.region == "eu-central-1"
    assert listed.tiers("requests") == ((0, 4e-07),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('region = "us-east-1"', "", "'region' is missing"),
        ("usd = 0.0000002\n", "usd = -1\n", "price 7: 'usd' is missing or is no number"),
        ("usd = 0.0000002\n", "usd = true\n", "price 7: 'usd' is missing or is no number"),
        ("usd = 0.0000002\n", "usd = nan\n", "price 7: 'usd' is missing or is no number"),
        ('item = "requests"', 'item = "request"', "requests needs one price from 0"),
        ("from = 6_000_000_000", "from = 0", "compute of x86_64 needs one price from 0"),
        ('item = "free_compute"', 'item = "free"', "it needs one allowance of free_compute"),
        ("amount = 64\n", "amount = 0\n", "event_step may not be 0"),
        ('architecture = "arm64"', 'architecture = "mips"', "'architecture' is none of x86_64, arm64"),
        ("date = 2026-09-19", 'date = "soon"', "price 1: 'date' is missing"),
        ("[[server]]", "[server]", "is not TOML"),
    ],
)
def test_a_list_with_a_fault_is_refused_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    """One message, and how to begin anew."""
    assert old in OWN
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(written(tmp_path, OWN.replace(old, new, 1)))
    assert caught.value.hint is not None


def test_a_kind_of_row_must_be_a_list(tmp_path: Path) -> None:
    """`[server]` alone is one table."""
    begin = OWN[: OWN.index("[[server]]")]
    with pytest.raises(ConfigurationError, match=r"'server' is not a list of \[\[server\]\]"):
        load(written(tmp_path, begin + '[server]\nname = "one"\n'))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Usage, with the option's name."""
    with pytest.raises(ConfigurationError, match="cannot be read: No such file") as caught:
        load(tmp_path / "none.toml")
    assert caught.value.hint == "See --prices."


def test_what_is_looked_for_is_in_the_list() -> None:
    """A name that code uses and no row has would be found by a user first."""
    listed = load()
    for item in (*prices.BY_ARCHITECTURE, *prices.FOR_BOTH):
        assert listed.tiers(item, "x86_64")
    for item in prices.ALLOWANCES:
        assert listed.allowance(item) >= 0
