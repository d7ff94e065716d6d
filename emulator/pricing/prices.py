"""AWS's prices as rows with date and source, read from a file that the user can replace."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from emulator.errors import ConfigurationError

ARCHITECTURES: Final = ("x86_64", "arm64")
ALLOWANCES: Final = (
    "free_requests",
    "free_compute",
    "ephemeral_storage",
    "event_first",
    "event_step",
    "snapstart_least",
)
BY_ARCHITECTURE: Final = ("compute", "provisioned", "provisioned_compute")
FOR_BOTH: Final = ("requests", "ephemeral_storage", "snapstart_cache", "snapstart_restore")

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for one unit of `per`, from `start` units of the month on; `architecture` None is for both."""

    item: str
    usd: float
    per: str
    date: date
    source: str
    architecture: str | None = None
    start: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much of something costs nothing, or where a further charge begins."""

    item: str
    amount: float
    unit: str
    date: date
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One always-on machine, in US dollars an hour."""

    name: str
    vcpus: float
    memory_gb: float
    architecture: str
    usd_per_hour: float
    date: date
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """Everything that `cost` reckons with; a list that `load` returned has every row that is needed."""

    region: str
    prices: tuple[Price, ...]
    allowances: tuple[Allowance, ...]
    servers: tuple[Server, ...]

    def tiers(self, item: str, architecture: str | None = None) -> tuple[tuple[float, float], ...]:
        """Where each tier of an item begins and what a unit costs in it, in order; KeyError where there is none."""
        found = sorted(
            (row.start, row.usd)
            for row in self.prices
            if row.item == item and (row.architecture is None or row.architecture == architecture)
        )
        if not found:
            raise KeyError(item, architecture)
        return tuple(found)

    def allowance(self, item: str) -> float:
        """The amount of that name; KeyError where there is none."""
        for row in self.allowances:
            if row.item == item:
                return row.amount
        raise KeyError(item)

    @property
    def newest(self) -> date:
        """The date of the newest of Lambda's own prices, which a report names."""
        return max(row.date for row in self.prices)


def load(path: Path | None = None) -> PriceList:
    """The list in a TOML file, or the one of this package; ConfigurationError where it cannot be reckoned with."""
    label = "the list of prices" if path is None else str(path)
    try:
        source = path or resources.files("emulator.pricing") / "prices.toml"
        document = tomllib.loads(source.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{label} cannot be read: {error.strerror}", hint="See --prices.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{label} is not TOML: {error}", hint=_HINT) from error
    found = PriceList(
        region=_text(document, "region", label),
        prices=_rows(document, "price", _price, label),
        allowances=_rows(document, "allowance", _allowance, label),
        servers=_rows(document, "server", _server, label),
    )
    _refuse_gaps(found, label)
    return found


_HINT: Final = "Begin with a copy of emulator/pricing/prices.toml, and change the figures."


def _rows(
    document: dict[str, Any], kind: str, read: Callable[[dict[str, Any], str], _Row], label: str
) -> tuple[_Row, ...]:
    rows = document.get(kind, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigurationError(f"{label}: {kind!r} is not a list of [[{kind}]]", hint=_HINT)
    return tuple(read(row, f"{label}: {kind} {number}") for number, row in enumerate(rows, start=1))


def _price(row: dict[str, Any], where: str) -> Price:
    return Price(
        item=_text(row, "item", where),
        usd=_number(row, "usd", where),
        per=_text(row, "per", where),
        date=_date(row, where),
        source=_text(row, "source", where),
        architecture=_architecture(row, where) if "architecture" in row else None,
        start=_number(row, "from", where) if "from" in row else 0.0,
    )


def _allowance(row: dict[str, Any], where: str) -> Allowance:
    return Allowance(
        item=_text(row, "item", where),
        amount=_number(row, "amount", where),
        unit=_text(row, "unit", where),
        date=_date(row, where),
        source=_text(row, "source", where),
    )


def _server(row: dict[str, Any], where: str) -> Server:
    return Server(
        name=_text(row, "name", where),
        vcpus=_number(row, "vcpus", where),
        memory_gb=_number(row, "memory_gb", where),
        architecture=_architecture(row, where),
        usd_per_hour=_number(row, "usd_per_hour", where),
        date=_date(row, where),
        source=_text(row, "source", where),
    )


def _text(row: dict[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{where}: {key!r} is missing or is no text", hint=_HINT)
    return value


def _number(row: dict[str, Any], key: str, where: str) -> float:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigurationError(f"{where}: {key!r} is missing or is no number of 0 or more", hint=_HINT)
    return float(value)


def _date(row: dict[str, Any], where: str) -> date:
    value = row.get("date")
    if type(value) is not date:
        raise ConfigurationError(f"{where}: 'date' is missing or is not written as 2026-09-19", hint=_HINT)
    return value


def _architecture(row: dict[str, Any], where: str) -> str:
    value = row.get("architecture")
    if value not in ARCHITECTURES:
        raise ConfigurationError(f"{where}: 'architecture' is none of {', '.join(ARCHITECTURES)}", hint=_HINT)
    return str(value)


def _refuse_gaps(found: PriceList, label: str) -> None:
    """What is missing is said when the list is read, not when a sum first needs it."""
    wanted = [(item, architecture) for item in BY_ARCHITECTURE for architecture in ARCHITECTURES]
    for item, architecture in [*wanted, *((item, None) for item in FOR_BOTH)]:
        starts = [
            row.start
            for row in found.prices
            if row.item == item and (row.architecture is None or row.architecture == architecture)
        ]
        if 0.0 not in starts or len(set(starts)) != len(starts):
            of = f" of {architecture}" if architecture else ""
            raise ConfigurationError(f"{label}: {item}{of} needs one price from 0, and one for each tier", hint=_HINT)
    known = [row.item for row in found.allowances]
    missing = [item for item in ALLOWANCES if known.count(item) != 1]
    if missing:
        raise ConfigurationError(f"{label}: it needs one allowance of {', '.join(missing)}", hint=_HINT)
    if found.allowance("event_step") == 0:
        raise ConfigurationError(f"{label}: event_step may not be 0", hint=_HINT)
