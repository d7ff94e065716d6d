"""Public data sets read from the layouts that they are published in, and turned into cases."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.distill import corpora, prepare
from handlers.distill.corpora import DataError

PAIR_ROW = {"sentence1": "a", "sentence2": "b", "score": 3.8, "dataset": "images"}


def write(root: Path, name: str, text: str) -> Path:
    """One file of a data folder."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_a_case_is_a_line_of_a_golden_dataset(tmp_path: Path) -> None:
    """Three keys, and nothing escaped that a person would read."""
    write(tmp_path, "sst2/dev.tsv", "sentence\tlabel\n“naïve” , but \\ good \t1\n")
    (case,) = corpora.load("sst2", "dev", tmp_path)
    line = case.to_json()
    assert json.loads(line) == {"id": "sst2-dev-1", "event": {"text": "“naïve” , but \\ good"}, "expected": "positive"}
    assert "“naïve”" in line


def test_five_classes_become_three(tmp_path: Path) -> None:
    """The two negative ones and the two positive ones are merged; quotes are characters, not quoting."""
    lines = "".join(f'{label}\t"a {label}\n' for label in range(5))
    write(tmp_path, "sst_sentence/stsa.fine.train.tsv", f"label\tsentence\n{lines}")
    cases = corpora.load("sst3", "train", tmp_path)
    assert [case.expected for case in cases] == ["negative", "negative", "neutral", "positive", "positive"]
    assert cases[0].event == {"text": '"a 0'}


def test_similarity_pairs_keep_their_score_and_their_part(tmp_path: Path) -> None:
    """The score stays on its scale of 0 to 5; the part is what the licence hangs on. There is no header."""
    row = 'main-captions\tMSRvid\t2012test\t0004\t3.800\tA "man" plays.\tA man\tplays on\n'
    write(tmp_path, "stsb/sts-dev.csv", row + "\n")
    (case,) = corpora.load("stsb", "dev", tmp_path)
    assert (case.id, case.expected, case.source) == ("stsb-dev-1", 3.8, "MSRvid")
    assert case.event == {"sentence1": 'A "man" plays.', "sentence2": "A man"}


def test_tweets_and_their_labels_lie_in_two_files(tmp_path: Path) -> None:
    """Line by line, and a difference in number is an error rather than a shift."""
    write(tmp_path, "tweeteval_sentiment/val_text.txt", "one\ntwo\u0085still two\n")
    labels = write(tmp_path, "tweeteval_sentiment/val_labels.txt", "0\n1\n")
    cases = corpora.load("tweeteval", "val", tmp_path)
    assert [(case.event["text"], case.expected) for case in cases] == [
        ("one", "negative"),
        ("two\u0085still two", "neutral"),
    ]
    labels.write_text("0\n1\n2\n")
    with pytest.raises(DataError, match="2 texts and 3 labels"):
        corpora.load("tweeteval", "val", tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("sst2", "sst2/dev.tsv", "sentence\tlabel\ngood\n", r"dev\.tsv:2: 1 columns where 2"),
        ("sst2", "sst2/dev.tsv", "sentence\tlabel\ngood\t2\n", r"dev\.tsv:2: label '2' is none of 0 to 1"),
        ("sst2", "sst2/dev.tsv", "sentence\tlabel\ngood\t-1\n", r"label '-1' is none"),
        ("sst3", "sst_sentence/stsa.fine.dev.tsv", "label\tsentence\n5\tgood\n", r"label '5' is none of 0 to 4"),
        ("stsb", "stsb/sts-dev.csv", "a\tb\tc\td\t1.0\te\n", r"sts-dev\.csv:1: 6 columns where 7"),
        ("stsb", "elsewhere", "", r"sts-dev\.csv cannot be read"),
        ("sst2", "elsewhere", "", r"dev\.tsv cannot be read"),
        ("tweeteval", "elsewhere", "", r"cannot be read"),
    ],
)
def test_other_layouts_are_refused_with_their_place(
    tmp_path: Path, name: str, file: str, text: str, message: str
) -> None:
    """A wrong column would train on nonsense without a sound."""
    write(tmp_path, file, text)
    with pytest.raises(DataError, match=message):
        corpora.load(name, "dev", tmp_path)


@pytest.mark.parametrize(
    ("name", "row", "event", "expected"),
    [
        ("sst2", {"sentence": "good ", "label": 1}, {"text": "good"}, "positive"),
        ("sst3", {"text": "so so", "label": 2}, {"text": "so so"}, "neutral"),
        ("tweeteval", {"text": "bad", "label": 0}, {"text": "bad"}, "negative"),
        ("stsb", PAIR_ROW, {"sentence1": "a", "sentence2": "b"}, 3.8),
    ],
)
def test_the_hubs_rows_give_the_same_cases(
    name: str, row: dict[str, object], event: dict[str, str], expected: object
) -> None:
    """Columns and scales differ there; what comes out does not."""
    case = corpora.case_of_row(name, "id", row)
    assert (case.id, case.event, case.expected) == ("id", event, expected)


def test_the_hubs_test_set_of_sst2_is_the_copy_with_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """GLUE's copy says -1, which no step could read: `prepare` holds the test texts out."""
    copies: dict[str, dict[str, list[dict[str, object]]]] = {
        "stanfordnlp/sst2": {"validation": [{"sentence": "good", "label": 1}], "test": [{"sentence": "", "label": -1}]},
        "SetFit/sst2": {"test": [{"text": "bad", "label": 0, "label_text": "negative"}]},
    }
    fake = types.ModuleType("datasets")
    vars(fake)["load_dataset"] = lambda name, *, split: copies[name][split]
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert [case.expected for case in corpora.load("sst2", "dev", None)] == ["positive"]
    assert [(case.event, case.expected) for case in corpora.load("sst2", "test", None)] == [
        ({"text": "bad"}, "negative")
    ]


def test_a_hubs_pair_keeps_its_part_and_none_that_may_train_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the folder's do; without a part whose licence allows it, tuning would train on nothing without a word."""
    monkeypatch.setattr(corpora, "from_hub", lambda *_: [corpora.case_of_row("stsb", "id", PAIR_ROW)])
    assert [case.source for case in prepare.clean_pairs(None)] == ["images"]
    monkeypatch.setattr(corpora, "from_hub", lambda *_: [])
    with pytest.raises(DataError, match="no pair of images"):
        prepare.clean_pairs(None)


def test_only_the_clean_part_of_the_pool_is_read_unless_told(tmp_path: Path) -> None:
    """Tweets never reach what ships."""
    write(tmp_path, "unlabelled/sentences.tsv", "source\tsentence\ncr\tfine\ntweet_hate\tbad\nmsrp_val\tnews\n")
    assert corpora.unlabelled(tmp_path) == [("cr", "fine")]
    assert corpora.unlabelled(tmp_path, ["tweet_hate"]) == [("tweet_hate", "bad")]
    assert not any(source.startswith(("tweet", "msrp", "blitzer", "trec")) for source in corpora.CLEAN_SOURCES)
    assert not {"MSRpar", "MSRvid", "deft-news", "deft-forum"} & set(corpora.CLEAN_STSB)


@given(st.text(max_size=30))
def test_the_normal_form_has_letters_and_digits_alone(text: str) -> None:
    """Spacing, case and signs do not hide that two sentences are one; doing it twice changes nothing."""
    form = corpora.normal(text)
    assert form == corpora.normal(f" {text} !") == corpora.normal(form)
    assert set(form) <= set("abcdefghijklmnopqrstuvwxyz0123456789")


def test_without_a_folder_there_is_no_pool(capsys: pytest.CaptureFixture[str]) -> None:
    """Which is said, and not passed over."""
    assert prepare.pool_of(None) == []
    assert "no unlabelled pool without --data" in capsys.readouterr().err
