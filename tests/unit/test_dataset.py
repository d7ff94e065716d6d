"""Golden datasets: what is a case, and where a file is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.errors import ConfigurationError, QuotaError
from emulator.golden.dataset import event_bytes, open_dataset, read_answers

GOOD = '{"id": "a", "event": {"text": "x"}, "expected": 1, "tag": "other keys are fine"}'
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def written(folder: Path, *lines: str) -> Path:
    """A dataset of these lines."""
    path = folder / "golden.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_dataset_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint says where it was looked for, not what a case is."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be read") as refused:
        open_dataset(Path("nowhere.jsonl"))
    assert str(tmp_path / "nowhere.jsonl") in (refused.value.hint or "")


def test_cases_are_read_in_order(tmp_path: Path) -> None:
    """A case without an id is called by its line; empty lines count as lines."""
    dataset = open_dataset(
        written(tmp_path, GOOD, "", '{"event": 1, "expected": null}', '{"id": 7, "event": 2, "expected": 0}')
    )
    cases = list(dataset.cases())
    assert [case.id for case in cases] == ["a", "3", "7"]
    assert [case.line for case in cases] == [1, 3, 4]
    assert cases[0].event == {"text": "x"}
    assert dataset.count == 3
    assert len(dataset.sha256) == 64


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": 1,', "not JSON"),
        ("[]", "not a JSON object"),
        ('{"expected": 1}', "'event'"),
        ('{"event": 1}', "'expected'"),
        ('{"event": NaN, "expected": 1}', "NaN"),
        ('{"event": 1, "expected": 1, "id": null}', "id"),
        ('{"event": 1, "expected": 1, "id": true}', "id"),
        ('{"event": 1, "expected": 1, "id": ""}', "id"),
        ('{"event": 1, "expected": 1, "id": "a"}', "line 1"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    """By file and number, before anything is run."""
    with pytest.raises(ConfigurationError, match="line 2: ") as refused:
        open_dataset(written(tmp_path, GOOD, line))
    assert says in refused.value.message
    assert refused.value.hint


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    """The byte is named."""
    path = tmp_path / "golden.jsonl"
    path.write_bytes(GOOD.encode() + b"\n\xff\n")
    with pytest.raises(ConfigurationError, match="line 2: it is not UTF-8"):
        open_dataset(path)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """Some editors write one."""
    path = tmp_path / "golden.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert open_dataset(path).count == 1


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_no_case(tmp_path: Path, text: str) -> None:
    """A score of nothing is no score."""
    path = tmp_path / "golden.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="no case"):
        open_dataset(path)


@pytest.mark.parametrize("name", ["nowhere.jsonl", "."])
def test_what_cannot_be_read(tmp_path: Path, name: str) -> None:
    """A name without a file, and a folder."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_dataset(tmp_path / name)


def test_an_event_that_lambda_refuses(tmp_path: Path) -> None:
    """In AWS's words, with the line; the size before it passes."""
    limit = 6 * 1024 * 1024

    def of(size: int) -> Path:
        return written(tmp_path, json.dumps({"event": "x" * (size - 2), "expected": 1}))

    assert open_dataset(of(limit)).count == 1
    with pytest.raises(QuotaError, match="line 1"):
        open_dataset(of(limit + 1))


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    """Answers of two files are no score of either."""
    path = written(tmp_path, GOOD)
    dataset = open_dataset(path)
    path.write_text(GOOD.replace('"x"', '"y"') + "\n")
    with pytest.raises(ConfigurationError, match="has changed"):
        list(dataset.cases())


@given(st.lists(st.tuples(JSON, JSON), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_goes_through(tmp_path: Path, cases: list[tuple[object, object]]) -> None:
    """What is written as a case comes out as it went in, and the event is sent as it was."""
    lines = [json.dumps({"event": event, "expected": expected}) for event, expected in cases]
    read = list(open_dataset(written(tmp_path, *lines)).cases())
    assert [(case.event, case.expected) for case in read] == cases
    for case in read:
        assert json.loads(event_bytes(case).decode("utf-8", "surrogatepass")) == case.event


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_cases_or_a_message(tmp_path: Path, raw: bytes) -> None:
    """Never an exception of another kind."""
    path = tmp_path / "golden.jsonl"
    path.write_bytes(raw)
    refused = None
    try:
        assert open_dataset(path).count >= 1
    except ConfigurationError as error:
        refused = error
    assert refused is None or str(path) in refused.message


def test_reference_answers(tmp_path: Path) -> None:
    """Id to answer; null is an answer."""
    path = tmp_path / "reference.jsonl"
    path.write_text('{"id": "a", "answer": 1}\n{"id": 2, "answer": null}\n')
    assert read_answers(path) == {"a": 1, "2": None}


@pytest.mark.parametrize(
    "text", ["", '{"id": 1}\n', '{"answer": 1}\n', '{"id": 1, "answer": 1}\n{"id": "1", "answer": 2}\n']
)
def test_a_reference_that_is_none(tmp_path: Path, text: str) -> None:
    """Nothing in it, something missing, or an id twice."""
    path = tmp_path / "reference.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"reference\.jsonl"):
        read_answers(path)
