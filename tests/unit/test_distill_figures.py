"""Scores, the order of training, records and the tables made from them: what needs neither torch nor a model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.distill import __main__ as command
from handlers.distill import cold, evaluate, record, schedule, scores
from handlers.distill.evaluate import by_tag, table
from handlers.distill.parity import compare
from handlers.distill.runtime import binary_labels_of, labels_of

NUMBERS = st.lists(st.integers(-5, 5), min_size=3, max_size=20)


def test_macro_f1_counts_each_label_alike() -> None:
    """By hand: F1 of a is 2/3, of b 1/2 and of c, never answered, 0."""
    expected, answered = ["a", "a", "b", "b", "c"], ["a", "b", "b", "a", "a"]
    assert scores.macro_f1(["a", "b"], ["a", "b"]) == 1.0
    assert scores.macro_f1(expected, answered) == pytest.approx((2 * 1 / 5 + 1 / 2 + 0) / 3)
    assert scores.accuracy(expected, answered) == pytest.approx(0.4)


def test_lists_of_other_lengths_are_an_error() -> None:
    """A row that is lost would shift all others."""
    with pytest.raises(ValueError, match="zip"):
        scores.accuracy(["a"], [])


def test_spearman_is_what_the_textbook_says() -> None:
    """Order alone counts, and ties share their mean rank."""
    assert scores.spearman([1, 2, 3, 4], [10, 20, 300, 4000]) == pytest.approx(1)
    assert scores.spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert scores.ranks(np.array([5.0, 1.0, 5.0, 9.0])).tolist() == [2.5, 1.0, 2.5, 4.0]
    assert scores.pearson([1, 2, 3], [2, 4, 7]) == pytest.approx(0.9933, abs=1e-4)


@given(NUMBERS)
def test_ranks_add_up(values: list[int]) -> None:
    """Whatever the ties: 1 + 2 + … + n, in the order of the values."""
    found = scores.ranks(np.array(values, np.float64))
    assert found.sum() == len(values) * (len(values) + 1) / 2
    assert all((found[one] < found[two]) == (values[one] < values[two]) for one in range(3) for two in range(3))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 40), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_has_every_example_once(lengths: list[int], size: int, seed: int, epoch: int) -> None:
    """In batches of at most the size asked for, in an order that another epoch or seed changes and a second run not."""
    found = schedule.plan(lengths, size, seed, epoch)
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    assert max(len(batch) for batch in found) <= size
    assert found == schedule.plan(lengths, size, seed, epoch)


def test_texts_of_like_length_share_a_batch() -> None:
    """So that little is padded; and long batches do not come last."""
    found = schedule.plan(list(range(1, 501)), 10, 1, 0)
    assert all(max(batch) - min(batch) == 9 for batch in found)
    assert [min(batch) for batch in found] != sorted(min(batch) for batch in found)
    assert found != schedule.plan(list(range(1, 501)), 10, 1, 1)


@pytest.mark.parametrize("done", [0, 1, 3, 4, 5, 8])
def test_what_is_left_after_an_interruption(done: int) -> None:
    """Exactly the batches that an uninterrupted run would still have had."""
    settings = schedule.Settings(epochs=2, batch=3, rate=1.0)
    whole = list(schedule.batches([1] * 10, settings, 0))
    assert len(whole) == 8
    assert list(schedule.batches([1] * 10, settings, done)) == whole[done:]


def test_the_learning_rate_rises_and_falls() -> None:
    """To its peak at the end of the warm-up, then in a line towards 0."""
    factors = [schedule.rate_factor(step, 10, 0.2) for step in range(10)]
    assert factors[:2] == [0.5, 1.0]
    assert factors[2:] == pytest.approx([1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert schedule.rate_factor(0, 1, 0.0) == 1.0


def test_a_record_names_data_versions_and_scores(tmp_path: Path) -> None:
    """Hashes of what went in and came out; its presence says that the step is done."""
    data = tmp_path / "data.tsv"
    data.write_bytes(b"abc")
    assert record.done(tmp_path / "step") is None
    record.Record(step="step", settings={"seed": 1, "begin": tmp_path}, inputs=[data]).write(
        tmp_path / "step", {"score": 0.5}, [data]
    )
    account = record.done(tmp_path / "step")
    assert account is not None
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert account["inputs"] == account["outputs"] == {"data.tsv": digest}
    assert (account["settings"]["seed"], account["scores"]) == (1, {"score": 0.5})
    assert {"python", "numpy", "tokenizers"} <= set(account["versions"])
    assert [path.name for path in (tmp_path / "step").iterdir()] == [record.RECORD]


def test_lines_survive_what_ends_a_line_elsewhere(tmp_path: Path) -> None:
    """U+0085 and U+2028 are characters of a text."""
    path = tmp_path / "new" / "lines.jsonl"
    objects = [{"text": "one\u0085still\u2028one"}, {"text": "two"}]
    record.write_lines(path, objects)
    assert record.read_lines(path) == objects


def test_cases_are_grouped_by_tag() -> None:
    """A case has one tag, several, or none."""
    cases: list[dict[str, object]] = [{"tag": "typos"}, {"tag": ["emoji", "typos"]}, {}]
    assert by_tag(cases) == {"emoji": [1], "typos": [0, 1], "untagged": [2]}


def test_the_labels_of_rows() -> None:
    """Three classes, or the likelier of two with neutral left out."""
    rows = np.array([[0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.1, 0.8, 0.1]], np.float32)
    assert labels_of(rows) == ["neutral", "positive", "neutral"]
    assert binary_labels_of(rows) == ["negative", "positive", "negative"]


def test_parity_states_the_largest_difference() -> None:
    """Of a probability for sentiment, with the share of equal labels; of a pair's cosine for similarity."""
    one = np.array([[0.6, 0.4], [0.3, 0.7]])
    other = np.array([[0.4, 0.6], [0.3, 0.7]])
    found = compare("sentiment", {"torch": one, "float32": one, "int8": other})
    assert found["float32_max_difference"] == 0
    assert found["int8_max_difference"] == pytest.approx(0.2)
    assert found["int8_label_agreement"] == 0.5
    turned = np.array([[1.0, 0.0], [0.0, 1.0]])
    same = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert compare("similarity", {"torch": same, "float32": same, "int8": turned})["int8_max_difference"] == 1


def test_the_table_has_a_column_for_each_model() -> None:
    """Scores by tag are rows of their own, and the paper's models stand below."""
    common = {"task": "similarity", "sha256": "0", "mb": 1.5, "golden spearman by tag": {"typos": 0.5}}
    lines = table([{"model": "teacher float32", **common}, {"model": "student int8", **common}]).splitlines()
    assert lines[0] == "|  | similarity, teacher float32 | similarity, student int8 |"
    assert "| mb | 1.5 | 1.5 |" in lines
    assert "| golden spearman by tag: typos | 0.5 | 0.5 |" in lines
    assert any(line.startswith("| TinyBERT | 56 | 0.82 | 0.7676 |") for line in lines)


def test_the_table_says_what_int8_loses() -> None:
    """In points, for every score but those by tag; sizes and milliseconds are no scores."""
    common = {"task": "sentiment", "sha256": "0", "mb": 1.5, "cpu_ms_per_text": {"p50": 1.0}}
    full = {"model": "student float32", **common, "sst3 test macro_f1": 0.6533, "sst2 dev accuracy": 0.89}
    small = {"model": "student int8", **common, "sst3 test macro_f1": 0.6471, "sst2 dev accuracy": 0.892}
    lines = table([full, small]).splitlines()
    assert lines[0].endswith("| int8 less float32, points |")
    assert "| sst3 test macro_f1 | 0.6533 | 0.6471 | -0.62 |" in lines
    assert "| sst2 dev accuracy | 0.89 | 0.892 | +0.20 |" in lines
    assert "| mb | 1.5 | 1.5 |  |" in lines
    assert "| cpu_ms_per_text: p50 | 1.0 | 1.0 |  |" in lines


def test_only_what_was_exported_is_scored(tmp_path: Path) -> None:
    """A run without its teacher's export is scored without it."""
    for name in ("float32.onnx", "model.onnx"):
        (tmp_path / name).touch()
    found = evaluate.candidates("sentiment", tmp_path / "none", tmp_path)
    assert [(each.name, each.fused) for each in found] == [("student float32", False), ("student int8", True)]


def test_what_was_exported_is_found_without_torch() -> None:
    """`evaluate` needs onnxruntime alone."""
    code = "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx'])); import handlers.distill.ship"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_step_that_is_done_is_not_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its record says so, and how to do it again."""
    record.Record(step="x", settings={}, inputs=[]).write(tmp_path / "sentiment" / "teacher", {})
    assert command.main(["sentiment-teacher", "--run", str(tmp_path)]) == 0
    assert "to do it again, remove" in capsys.readouterr().out


def test_an_evaluation_of_nothing_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And leaves the scores of an earlier one alone."""
    (tmp_path / "scores.json").write_text("[1]")
    assert command.main(["evaluate", "--run", str(tmp_path)]) == 1
    assert "the step export has not been done" in capsys.readouterr().err
    assert (tmp_path / "scores.json").read_text() == "[1]"


def test_a_step_too_early_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and a hint."""
    assert command.main(["cards", "--run", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "scores.json" in message
    assert "hint: steps go in the order" in message
    assert "Traceback" not in message


def test_cases_are_printed_as_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One golden case a line; a split that is not there is one message."""
    (tmp_path / "sst2").mkdir()
    (tmp_path / "sst2" / "dev.tsv").write_text("sentence\tlabel\ngood\t1\nbad\t0\n")
    assert command.main(["cases", "sst2", "dev", "--data", str(tmp_path)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["expected"] for line in lines] == ["positive", "negative"]
    assert command.main(["cases", "sst2", "test", "--data", str(tmp_path)]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_cold_start_is_told_beside_its_imports() -> None:
    """Medians, and the least of both for the judgement, which another process's burst does not reach."""
    spent = [cold.Spent(wall=wall, cpu=wall / 2) for wall in (100.0, 300.0, 90.0, 180.0, 170.0, 900.0)]
    summary = cold.ColdStart(imports=spent[:3], init=spent[3:]).summary()
    assert summary == {
        "rounds": 3,
        "imports_ms": 100.0,
        "imports_cpu_ms": 50.0,
        "init_ms": 180.0,
        "init_cpu_ms": 90.0,
        "beyond_ms": 80.0,
        "beyond_least_ms": 80.0,
    }
    assert "180 ms, of which `import onnxruntime, tokenizers, numpy` takes 100 ms" in cold.words(summary)


@pytest.mark.parametrize(("init", "status"), [(399.9, 0), (400.0, 0), (400.1, 1)])
def test_a_slow_init_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], init: float, status: int
) -> None:
    """0.3 s beyond the imports and no more; the figures are written either way."""
    made = cold.ColdStart(imports=[cold.Spent(wall=100.0, cpu=1.0)], init=[cold.Spent(wall=init, cpu=1.0)])
    monkeypatch.setattr(command, "measure", lambda *_: made)
    assert command.main(["cold", "--run", str(tmp_path)]) == status
    assert set(cold.read(tmp_path / "cold.json")) == {"sentiment", "similarity"}
    assert ("hint:" in capsys.readouterr().err) == bool(status)
