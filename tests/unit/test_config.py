"""One function as Lambda would see it: the defaults and the CPU share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emulator.config import FunctionConfig


def config(memory_mb: int | None = None) -> FunctionConfig:
    """Give a function with Lambda's defaults, or with this memory size."""
    if memory_mb is None:
        return FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=Path())
    return FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=Path(), memory_mb=memory_mb)


def test_defaults_are_lambdas() -> None:
    """128 MB, 3 s and 512 MB of /tmp (Lambda guide, CreateFunction, 2026-07)."""
    found = config()
    assert (found.memory_mb, found.timeout_s, found.ephemeral_storage_mb) == (128, 3, 512)
    assert (found.architecture, found.layers, found.image) == ("x86_64", (), None)
    assert found.reserved_concurrency is None


@pytest.mark.parametrize(
    ("memory_mb", "quota_us"), [(128, 1_447), (256, 2_894), (1_024, 11_577), (1_769, 20_000), (3_008, 34_008)]
)
def test_cpu_share_of_a_period(memory_mb: int, quota_us: int) -> None:
    """128 MB is 1,447 us of 20 ms, as measured on Lambda (doi 10.1145/3767295.3769374, table 3), the rest in ratio."""
    assert round(20_000 * config(memory_mb).cpu_share) == quota_us


@pytest.mark.parametrize(("memory_mb", "whole"), [(1_768, False), (1_769, True), (1_770, False)])
def test_1769_mb_is_exactly_one_cpu(memory_mb: int, whole: bool) -> None:  # noqa: FBT001 - a column of the table
    """One megabyte less or more is no whole CPU."""
    assert (config(memory_mb).cpu_share == 1.0) is whole


def test_default_environment_cannot_be_filled() -> None:
    """What one function sets can never show up in another."""
    with pytest.raises(TypeError):
        config().environment["KEY"] = "value"  # type: ignore[index]  # that it is refused is what is tested


def test_what_the_command_line_says() -> None:
    """None keeps the template's value; 0 is a value, which is judged elsewhere."""
    config = FunctionConfig(name="F", handler="a.b", runtime="python3.13", code=Path(), memory_mb=512, timeout_s=9)
    assert config.overridden() == config
    assert config.overridden(memory_mb=0) == replace(config, memory_mb=0)
    assert config.overridden(timeout_s=900) == replace(config, timeout_s=900)
