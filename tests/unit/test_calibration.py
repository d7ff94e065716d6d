"""From REPORT lines to a factor, its file, and predictions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import calibration
from emulator.calibration import Calibration, calibrate, parse_reports, predicted, ratio, read, with_entry
from emulator.errors import ConfigurationError
from emulator.intervals import Estimate

# Real lines (ubc-cirrus-lab data set, 2025-05-12; a public log, 2025-12).
WARM = (
    "REPORT RequestId: 94f4a28a-dbe3-4114-9f2b-0b3ae40f4dbc\tDuration: 155.51 ms\tBilled Duration: 156 ms\t"
    "Memory Size: 1769 MB\tMax Memory Used: 40 MB\t\n"
)
COLD = (
    "REPORT RequestId: f99fbf51-be44-461c-bf22-bb38dc765265\tDuration: 1448.90 ms\tBilled Duration: 1984 ms\t"
    "Memory Size: 256 MB\tMax Memory Used: 109 MB\tInit Duration: 534.39 ms\t\n"
)


def line(duration_ms: float, memory_mb: int = 512, init_ms: float | None = None) -> str:
    """One REPORT line."""
    init = "" if init_ms is None else f"Init Duration: {init_ms} ms\t"
    return (
        f"REPORT RequestId: x\tDuration: {duration_ms} ms\tBilled Duration: 1 ms\tMemory Size: {memory_mb} MB\t"
        f"Max Memory Used: 40 MB\t{init}\n"
    )


def test_real_lines_are_read_among_others() -> None:
    """Billed Duration and Init Duration are not Duration."""
    found = parse_reports(f"START RequestId: 1\n{WARM}2026-11-25T10:00:00Z {COLD}INIT_REPORT Init Duration: 1 ms\n")
    assert [(each.memory_mb, each.duration_ms, each.init_ms) for each in found] == [
        (1769, 155.51, None),
        (256, 1448.90, 534.39),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no REPORT line"),
        ("START RequestId: 1\n", "there is no REPORT line"),
        ("x\n" + WARM.strip() + "\tStatus: timeout\n", "line 2 is of an invocation that failed"),
        ("REPORT RequestId: 1\tDuration: 1 ms\n", "line 1 has no Duration or no Memory Size"),
    ],
)
def test_what_is_no_report_line_is_refused(text: str, message: str) -> None:
    """With the line's number and where such lines come from."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse_reports(text)
    assert caught.value.hint is not None


@given(factor=st.floats(0.2, 5), values=st.lists(st.floats(1, 1000), min_size=2, max_size=20))
def test_a_factor_is_found_again(factor: float, values: list[float]) -> None:
    """What is exactly so many times as long has that factor, inside its interval."""
    found = ratio([([value * factor for value in values], values)])
    assert found.value == pytest.approx(factor)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value * (1 + 1e-9)
    assert found.high >= found.value * (1 - 1e-9)


def test_sizes_are_weighed_alike() -> None:
    """The geometric mean: half at one size and twice at another are even."""
    assert ratio([([50.0, 50.0], [100.0, 100.0]), ([20.0, 20.0], [10.0, 10.0])]).value == pytest.approx(1)


def test_one_line_has_no_interval() -> None:
    """None, not zero: nobody knows how sure it is."""
    found = ratio([([50.0], [100.0, 101.0])])
    assert found.value == pytest.approx(50 / 100.5)
    assert (found.low, found.high) == (None, None)
    assert predicted(10, found).low is None


def test_cold_durations_are_left_out() -> None:
    """A first call is slower: warm is compared with warm, init with init."""
    reports = parse_reports(line(50) + line(52) + line(900, init_ms=300) + line(950, init_ms=330))
    found = calibrate("F", "cpu", reports, {512: ([100.0, 104.0], [150.0, 165.0])})
    assert found.duration.value == pytest.approx(0.5)
    assert found.init is not None
    assert found.init.value == pytest.approx(2)
    with pytest.raises(ConfigurationError, match="every REPORT line is of a cold start"):
        calibrate("F", "cpu", parse_reports(line(900, init_ms=300)), {512: ([1.0], [1.0])})


def example(function: str = "F") -> Calibration:
    """A calibration without init."""
    factor = Estimate(value=0.5, n=4, low=0.4, high=0.6, method="bootstrap")
    return Calibration(function=function, cpu="cpu", date="2026-11-25", memory_mb=(512,), duration=factor, init=None)


def test_the_file_keeps_one_for_each_function_and_cpu(tmp_path: Path) -> None:
    """What was kept before stays; another CPU's is not taken."""
    path = tmp_path / "calibration.json"
    assert read(path, "F", "cpu") is None
    path.write_text(with_entry(path, example()))
    path.write_text(with_entry(path, example("G")))
    assert read(path, "F", "cpu") == example()
    assert read(path, "G", "cpu") == example("G")
    assert read(path, "F", "another") is None


@pytest.mark.parametrize("text", ["{", "[]", '{"F on cpu": {}}', '{"F on cpu": 1}'])
def test_a_broken_file_is_told(tmp_path: Path, text: str) -> None:
    """Not taken for an empty one."""
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="is no file that"):
        read(path, "F", "cpu")


def test_a_prediction_has_the_factors_uncertainty() -> None:
    """And what was measured stays as it was."""
    found = predicted(100, example().duration)
    assert (found.value, found.low, found.high) == (50, 40, 60)
    text = calibration.as_text(example(), Path("kept.json"))
    assert "Lambda's Duration is 0.500 times ours (0.400 to 0.600, from 4 lines)\n" in text
    assert json.loads(json.dumps(example().as_dict()))["duration"]["value"] == 0.5
