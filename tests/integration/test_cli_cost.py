"""`preflight cost` as a user calls it; one function is really run, by the process backend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import RUNTIME, TEMPLATE, Done, preflight


def cost(*arguments: str | Path) -> Done:
    """Of a function of the fixtures."""
    given = ("-t", TEMPLATE, "--parameter-overrides", f"PythonRuntime={RUNTIME}", *arguments)
    return preflight("cost", *given)


def test_told_durations_run_nothing(tmp_path: Path) -> None:
    """By hand: 1 million of 100 ms at 1 GB are $1.87 (arXiv 2103.10673's blog); the files hold the same."""
    files = [tmp_path / f"cost{suffix}" for suffix in (".json", ".html", ".png")]
    outputs = [part for file in files for part in ("--output", file)]
    told = ("Echo", "--memory", "1024", "--billed-ms", "100", "--init-ms", "0", "--cold-share", "0")
    done = cost(*told, "--requests-per-month", "1e6", "--json", *outputs)
    assert done.status == 0, done.err
    document = json.loads(done.out)
    assert document["month"]["usd"] == pytest.approx(1.86667)
    assert json.loads(files[0].read_text()) == document
    assert files[1].read_bytes().startswith(b"<!doctype html>")
    assert files[2].read_bytes().startswith(b"\x89PNG")
    assert sorted(tmp_path.iterdir()) == sorted(files)


def test_a_function_is_measured() -> None:
    """Billed time comes from real invocations, cold and warm."""
    done = cost("Echo", "--requests-per-month", "1000", "--cold", "2", "--warm", "4", "--backend", "process", "--json")
    assert done.status == 0, done.err
    profile = json.loads(done.out)["profile"]
    assert profile["cold_billed_ms"] > profile["warm_billed_ms"] >= 1
    assert profile["memory_mb"] == 256


def test_what_fails_has_no_price() -> None:
    """Status 1, with AWS's word for it, and nothing on standard output."""
    done = cost("Raises", "--requests-per-month", "1000", "--backend", "process")
    assert done.status == 1
    assert "ValueError" in done.err or "Error" in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "cost.xml"), "its suffix is none of .json"),
        (("--output", "nowhere/cost.json"), "there is no folder"),
        (("--prices", "nowhere.toml"), "cannot be read"),
        (("--init-ms", "100"), "--init-ms goes with --billed-ms"),
        (("--billed-ms", "100"), "--init-ms 0 where there is none"),
        (("--requests-per-month", "0"), "is not in the range"),
        (("--cold-share", "101"), "is not in the range"),
    ],
)
def test_bad_input_is_refused_at_once(arguments: tuple[str, ...], message: str) -> None:
    """One message, status 2, no traceback, nothing run."""
    done = cost("Echo", "--requests-per-month", "1000", *arguments)
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
