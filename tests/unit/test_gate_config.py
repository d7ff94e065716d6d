"""`preflight.toml`: what it may say, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.gates.config import parse, read
from emulator.gates.verdicts import RULES
from emulator.metrics import NAMES
from tests.command import ROOT

PATH = Path("project/preflight.toml")


def function(**keys: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever TOML holds
    """A file with one function."""
    return {"functions": {"F": keys}}


def test_the_contracts_example(tmp_path: Path) -> None:
    """Word for word; paths are those beside the file."""
    path = tmp_path / "preflight.toml"
    path.write_text(
        """
[functions.SentimentFunction]
dataset = "../fixtures/golden/sentiment.jsonl"
answer = "label"                     # JMESPath into the payload
scorer = "macro_f1"                  # accuracy, macro_f1, spearman, pearson, exact, or "module:function"
cold_starts = 5

[functions.SentimentFunction.gates]
"package.unzipped_mb" = { max = 250 }
"init.p95_ms"         = { max = 3000, reason = "the chat widget gives up after 5 s" }
"memory.max_mb"       = { max = 400 }
"quality.score"       = { min = 0.80 }
"duration.p95_ms"     = { max_increase_pct = 15 }    # against --baseline
"""
    )
    (found,) = read(path)
    assert found.dataset == tmp_path / "../fixtures/golden/sentiment.jsonl"
    assert (found.answer, found.scorer, found.cold_starts) == ("label", "macro_f1", 5)
    assert [gate.metric for gate in found.gates][:2] == ["package.unzipped_mb", "init.p95_ms"]
    assert found.gates[1].reason == "the chat widget gives up after 5 s"
    assert found.gates[3].limits == {"min": 0.8}
    assert {gate.level for gate in found.gates} == {"fail"}


def test_ours_is_sound() -> None:
    """The file of the reference functions."""
    assert {one.name for one in read(ROOT / "handlers" / "preflight.toml")}


@pytest.mark.parametrize(
    ("table", "says", "hint"),
    [
        ({}, "names no function", "functions.NAME"),
        ({"function": {}}, "unknown key 'function'", "functions"),
        (function(datset="x"), "unknown key 'datset'", "dataset"),
        (function(dataset=3), "dataset is a whole number and should be text", None),
        (function(dataset=""), "dataset names no file", None),
        (function(scorer="accuracy"), "scorer without a dataset", "dataset"),
        (function(dataset="x", event="y"), "event beside a dataset", "first case"),
        (function(cold_starts=0), "cold_starts is 0", None),
        (function(cold_starts=True), "cold_starts is true or false", None),
        (function(warm_calls=10_001), "warm_calls is 10001", None),
        (function(gates=[]), "gates is list and should be a table", None),
        (function(gates={"memory.maxmb": {"max": 1}}), "unknown metric 'memory.maxmb'", "memory.max_mb"),
        (function(gates={"memory": {"max_mb": {"max": 1}}}), "unknown metric 'memory'", "quoted"),
        (function(gates={"memory.max_mb": 400}), "should be a table", None),
        (function(gates={"memory.max_mb": {}}), "no threshold", "max"),
        (function(gates={"memory.max_mb": {"maximum": 1}}), "unknown key 'maximum'", "max"),
        (function(gates={"memory.max_mb": {"max": "1"}}), "max is text and should be a number", None),
        (function(gates={"memory.max_mb": {"max": float("nan")}}), "max is nan", None),
        (function(gates={"memory.max_mb": {"max_increase": -1}}), "max_increase is -1", None),
        (function(gates={"memory.max_mb": {"min": 2, "max": 1}}), "min is above max", None),
        (function(gates={"memory.max_mb": {"max": 1, "level": "wran"}}), "level 'wran'", "warn"),
    ],
)
def test_what_is_refused(table: dict[str, Any], says: str, hint: str | None) -> None:
    """One message with the file and the place, and the nearest name."""
    with pytest.raises(ConfigurationError) as refused:
        parse(table, PATH)
    assert str(PATH) in refused.value.message
    assert says in refused.value.message
    if hint is not None:
        assert hint in (refused.value.hint or "")


@pytest.mark.parametrize(("raw", "says"), [(b"[functions", "not TOML"), (b"\xff", "not UTF-8"), (None, "there is no")])
def test_what_is_no_toml(tmp_path: Path, raw: bytes | None, says: str) -> None:
    """A broken file, one of another encoding, none."""
    path = tmp_path / "preflight.toml"
    if raw is not None:
        path.write_bytes(raw)
    with pytest.raises(ConfigurationError, match=says):
        read(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """Told like everything else."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ("functions", "F", "gates", "dataset", "answer", "event", "level", "reason", *RULES, *NAMES[:3])
            )
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(("functions", "x")), VALUES, max_size=2)
    | VALUES.map(lambda it: {"functions": {"F": it}})
)
def test_any_table_is_read_or_refused(table: dict[str, Any]) -> None:
    """Never another exception."""
    refused = None
    try:
        assert parse(table, PATH)
    except ConfigurationError as error:
        refused = error
    assert refused is None or str(PATH) in refused.message


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.dictionaries(st.sampled_from(RULES), st.floats(0, 1e9), min_size=1).filter(
            lambda limits: limits.get("min", 0) <= limits.get("max", 1e9)
        ),
    )
)
def test_every_sound_gate_is_kept(gates: dict[str, dict[str, float]]) -> None:
    """With its thresholds as they stand."""
    (found,) = parse(function(gates=gates), PATH)
    assert {gate.metric: dict(gate.limits) for gate in found.gates} == gates
