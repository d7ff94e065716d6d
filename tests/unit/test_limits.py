"""Lambda's quotas at their edges, and the words in which Lambda refuses."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import limits
from emulator.limits import QUOTAS, Quota, Stage, Violation, check, quota

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES: tuple[Stage, ...] = ("configuration", "package", "upload", "image", "request", "response")


def named(row: Quota) -> str:
    """Name a case after its quota."""
    return row.name


@pytest.mark.parametrize(
    ("name", "stage", "minimum", "maximum", "unit"),
    [
        ("MemorySize", "configuration", 128, 10_240, "MB"),
        ("Timeout", "configuration", 1, 900, "s"),
        ("EphemeralStorage", "configuration", 512, 10_240, "MB"),
        ("Layers", "configuration", 0, 5, "layers"),
        ("Handler", "configuration", 0, 128, "characters"),
        ("Environment", "configuration", 0, 4_096, "bytes of JSON"),
        ("MaximumRetryAttempts", "configuration", 0, 2, "retries"),
        ("MaximumEventAgeInSeconds", "configuration", 60, 21_600, "s"),
        ("Unzipped package with layers", "package", 0, 262_143_999, "bytes"),
        ("Zipped package, uploaded directly", "upload", 0, 52_428_799, "bytes"),
        ("Request", "request", 0, 6_291_456, "bytes"),
        ("Asynchronous request", "request", 0, 1_048_576, "bytes"),
        ("Response", "response", 0, 6_291_556, "bytes"),
    ],
)
def test_values_are_lambdas(name: str, stage: str, minimum: int, maximum: int, unit: str) -> None:
    """Each row is what the guide and the recordings of 2025-11 say, 250 MB being refused and 6 MB accepted."""
    row = quota(name)
    assert (row.stage, row.minimum, row.maximum, row.unit) == (stage, minimum, maximum, unit)


def test_constants_are_lambdas() -> None:
    """Init of 10 s, files, processes and user (guide, 2026-07), periods of 20 ms (doi 10.1145/3767295.3769374)."""
    assert (limits.INIT_LIMIT_S, limits.CPU_PERIOD_US) == (10.0, 20_000)
    assert limits.OPEN_FILES == 1024
    assert (limits.SANDBOX_UID, limits.SANDBOX_GID) == (993, 990)


def test_names_are_unique() -> None:
    """A name finds one row."""
    assert len({row.name for row in QUOTAS}) == len(QUOTAS)


@pytest.mark.parametrize("row", QUOTAS, ids=named)
def test_edges(row: Quota) -> None:
    """The last value is accepted, the one beyond is not, at both ends."""
    if row.minimum is not None:
        assert [row.admits(row.minimum + step) for step in (-1, 0, 1)] == [False, True, True]
    if row.maximum is not None:
        assert [row.admits(row.maximum + step) for step in (-1, 0, 1)] == [True, True, False]
    assert (row.minimum, row.maximum) != (None, None)


@given(value=st.integers(min_value=-(10**12), max_value=10**12))
def test_an_open_end_admits_everything(value: int) -> None:
    """None is no limit on that side."""
    assert replace(quota("Timeout"), minimum=None).admits(value) == (value <= 900)
    assert replace(quota("Timeout"), maximum=None).admits(value) == (value >= 1)


@pytest.mark.parametrize("row", QUOTAS, ids=named)
def test_words(row: Quota) -> None:
    """Message and hint have every brace filled in, the hint names the end that was passed and where that is written."""
    value = (row.maximum or 0) + 1
    violation = Violation(quota=row, value=value)
    for text in (violation.message, violation.hint):
        assert not re.search(r"[{}]|None", text)
    assert f"{row.maximum:,}" in violation.hint
    assert row.source
    assert row.source in violation.hint


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "MemorySize",
            127,
            "'memorySize' value 127 failed to satisfy constraint: must be between 128 and 10240",
        ),
        ("Timeout", 901, "'timeout' value 901 failed to satisfy constraint: must be between 1 and 900"),
        ("Layers", 6, "Cannot reference more than 5 layers."),
        ("Unzipped package with layers", 262_144_000, "Unzipped size must be smaller than 262144000 bytes"),
        ("Request", 6_291_457, "Request must be smaller than 6291456 bytes for the InvokeFunction operation"),
        ("Response", 6_291_557, "Response payload size exceeded maximum allowed payload size (6291556 bytes)."),
    ],
)
def test_messages_are_awss(name: str, value: int, message: str) -> None:
    """The texts recorded against AWS on 2025-11-24 and 2025-11-25, number by number."""
    assert Violation(quota=quota(name), value=value).message == message


def test_hint_without_a_lower_end() -> None:
    """Where there is only a maximum, the hint says so."""
    row = replace(quota("Request"), minimum=None)
    assert "at most 6,291,456 bytes" in Violation(quota=row, value=6_291_457).hint


@pytest.mark.parametrize("stage", STAGES)
def test_check_is_content_with_every_edge(stage: Stage) -> None:
    """Values at both ends break nothing."""
    rows = [row for row in QUOTAS if row.stage == stage]
    assert rows
    assert list(check(stage, {row.name: row.minimum or 0 for row in rows})) == []
    assert list(check(stage, {row.name: row.maximum or 0 for row in rows})) == []


@given(data=st.data())
def test_check_yields_the_broken_rows(data: st.DataObject) -> None:
    """Exactly the rows whose value is out of bounds come back, with that value, in the table's order."""
    rows = [row for row in QUOTAS if row.stage == "configuration"]
    values: Mapping[str, int] = data.draw(
        st.fixed_dictionaries({}, optional={row.name: st.integers(min_value=-2, max_value=11_000) for row in rows})
    )
    broken = [
        (row.name, values[row.name])
        for row in rows
        if row.name in values and not (row.minimum or 0) <= values[row.name] <= (row.maximum or 0)
    ]
    assert [(found.quota.name, found.value) for found in check("configuration", values)] == broken


def test_check_refuses_a_name_without_a_row() -> None:
    """A quota that is asked for and not there is a mistake of ours, also where it is one of another stage."""
    with pytest.raises(KeyError, match="Memory"):
        list(check("configuration", {"Memory": 128}))
    with pytest.raises(KeyError, match="Request"):
        list(check("configuration", {"Request": 1}))


def test_quota_refuses_a_name_without_a_row() -> None:
    """The same for the row itself."""
    with pytest.raises(KeyError, match="Memory"):
        quota("Memory")


@pytest.mark.parametrize(("memory_mb", "most"), [(128, 742), (129, 1024), (256, 1024), (10_240, 1024)])
def test_processes(memory_mb: int, most: int) -> None:
    """The one size that was looked at on Lambda (LocalStack's snapshot of 2025-11-24), and the quota elsewhere."""
    assert limits.processes(memory_mb) == most
