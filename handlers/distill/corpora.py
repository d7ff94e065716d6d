"""Public data sets as cases `{"id", "event", "expected"}`, the golden datasets' form, from a folder or from the hub.

The folder's layout is the one that each SOURCE.txt beside the data describes: `sst2/`, `sst_sentence/`, `stsb/`,
`tweeteval_sentiment/` and `unlabelled/`. Nothing here needs torch.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABELS = ("negative", "neutral", "positive")
"""In the order of the model's outputs."""

BINARY = ("negative", "positive")
FIVE_AS_THREE = ("negative", "negative", "neutral", "positive", "positive")

CLEAN_SOURCES = (
    *("reviews_IntegratedPros", "reviews_IntegratedCons", "product_reviews_1", "product_reviews_2"),
    *("cr", "mr", "subj"),
)
"""Parts of the pool under CC BY 4.0; tweets, Blitzer's reviews, TREC and MSRP are not, and never train what ships."""

CLEAN_STSB = ("images", "headlines", "answers-forums", "track5.en-en")
"""Parts of STS-B whose sentences may be built upon (CC BY-SA; EMM's reuse notice); MSRpar and MSRvid ask each user to
agree to Microsoft's terms, and DEFT's newswire and forum names no licence."""

HUB = {
    "sst2": ("stanfordnlp/sst2", {"dev": "validation"}),
    "sst3": ("SetFit/sst5", {"dev": "validation"}),
    "stsb": ("mteb/stsbenchmark-sts", {"dev": "validation"}),
    "tweeteval": ("cardiffnlp/tweet_eval", {"val": "validation"}),
}
"""Where `datasets` finds each set, and what it calls the splits that it calls otherwise."""

LABELLED_SST2 = "SetFit/sst2"
"""Has the labels of SST-2's test set; GLUE's copies, as `stanfordnlp/sst2`, have -1 there."""


class DataError(ValueError):
    """Data is missing or not in its published layout; the message names the file and the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One golden case; `source` is the part of the data set that it comes from, which its licence hangs on."""

    id: str
    event: dict[str, str]
    expected: str | float
    source: str

    def to_json(self) -> str:
        """One line of a golden dataset."""
        case = {"id": self.id, "event": self.event, "expected": self.expected}
        return json.dumps(case, ensure_ascii=False)


def rows(path: Path, columns: int) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of a tab-separated file without quoting, its header left out."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    lines = text.split("\n")  # not splitlines: a sentence may hold U+0085, which ends no line here
    for number, line in enumerate(lines[1:], start=2):
        if line:
            fields = next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE))
            if len(fields) < columns:
                raise DataError(f"{path}:{number}: {len(fields)} columns where {columns} are expected")
            yield number, fields


def label_of(names: tuple[str, ...], text: str, place: str) -> str:
    """The name of a numbered label, or DataError that says where it stands."""
    if not text.isdecimal() or int(text) >= len(names):
        raise DataError(f"{place}: label {text!r} is none of 0 to {len(names) - 1}")
    return names[int(text)]


def sentiment_case(identifier: str, text: str, expected: str, source: str) -> Case:
    """A case of the sentiment function."""
    return Case(id=identifier, event={"text": text.strip()}, expected=expected, source=source)


def sst2(folder: Path, split: str) -> list[Case]:
    """SST-2: `train` (67,349 phrases), `dev` (872 sentences) or `test` (1,821), two classes."""
    path = folder / "sst2" / f"{split}.tsv"
    return [
        sentiment_case(f"sst2-{split}-{number - 1}", text, label_of(BINARY, label, f"{path}:{number}"), "sst2")
        for number, (text, label, *_) in rows(path, 2)
    ]


def sst3(folder: Path, split: str) -> list[Case]:
    """SST-5 as three classes, whole sentences: `train` (8,544), `dev` (1,101) or `test` (2,210)."""
    path = folder / "sst_sentence" / f"stsa.fine.{split}.tsv"
    return [
        sentiment_case(f"sst3-{split}-{number - 1}", text, label_of(FIVE_AS_THREE, label, f"{path}:{number}"), "sst3")
        for number, (label, text, *_) in rows(path, 2)
    ]


def tweeteval(folder: Path, split: str) -> list[Case]:
    """TweetEval sentiment, three classes; its text and labels lie in two files, line by line."""
    part = folder / "tweeteval_sentiment"
    try:
        texts, labels = (
            (part / f"{split}_{what}.txt").read_text("utf-8").rstrip("\n").split("\n") for what in ("text", "labels")
        )
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error
    if len(texts) != len(labels):
        raise DataError(f"{part}: {len(texts)} texts and {len(labels)} labels of {split}")
    return [
        sentiment_case(f"tweeteval-{split}-{number}", text, label_of(LABELS, label, f"{part}:{number}"), "tweeteval")
        for number, (text, label) in enumerate(zip(texts, labels, strict=True), start=1)
    ]


def stsb(folder: Path, split: str) -> list[Case]:
    """STS Benchmark, scores 0 to 5: `train` (5,749 pairs), `dev` (1,500) or `test` (1,379)."""
    path = folder / "stsb" / f"sts-{split}.csv"
    lines = path.read_text("utf-8").split("\n") if path.exists() else None
    if lines is None:
        raise DataError(f"{path} cannot be read: no such file")
    cases = []
    for number, line in enumerate(lines, start=1):
        fields = next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE)) if line else []
        if not fields:
            continue
        if len(fields) < 7:  # noqa: PLR2004 - genre, file, year, id, score and two sentences
            raise DataError(f"{path}:{number}: {len(fields)} columns where 7 are expected")
        event = {"sentence1": fields[5].strip(), "sentence2": fields[6].strip()}
        cases.append(Case(id=f"stsb-{split}-{number}", event=event, expected=float(fields[4]), source=fields[1]))
    return cases


LOADERS: dict[str, Callable[[Path, str], list[Case]]] = {
    "sst2": sst2,
    "sst3": sst3,
    "stsb": stsb,
    "tweeteval": tweeteval,
}


def from_hub(name: str, split: str) -> list[Case]:
    """The same cases by `datasets` from the Hugging Face hub; it needs the extra `distill` and the network."""
    import datasets  # noqa: PLC0415 - an extra that reading from a folder does without

    repository, splits = HUB[name]
    repository = LABELLED_SST2 if (name, split) == ("sst2", "test") else repository
    options = {"name": "sentiment"} if name == "tweeteval" else {}
    table = datasets.load_dataset(repository, split=splits.get(split, split), **options)
    return [case_of_row(name, f"{name}-{split}-{number}", row) for number, row in enumerate(table, start=1)]


def case_of_row(name: str, identifier: str, row: dict[str, Any]) -> Case:
    """One row of a hub data set, with its columns as the hub calls them."""
    if name == "stsb":  # of the hub's copies the one that says where a pair comes from, which its licence hangs on
        event = {"sentence1": row["sentence1"], "sentence2": row["sentence2"]}
        return Case(id=identifier, event=event, expected=float(row["score"]), source=row["dataset"])
    names = {"sst2": BINARY, "sst3": FIVE_AS_THREE, "tweeteval": LABELS}[name]
    text = row["sentence"] if "sentence" in row else row["text"]
    return sentiment_case(identifier, text, label_of(names, str(row["label"]), identifier), name)


def load(name: str, split: str, folder: Path | None) -> list[Case]:
    """One split of one set, from the folder, or from the hub where there is none."""
    return from_hub(name, split) if folder is None else LOADERS[name](folder, split)


def unlabelled(folder: Path, sources: Iterable[str] = CLEAN_SOURCES) -> list[tuple[str, str]]:
    """Source and sentence of the pool for silver labels; of its sources, the named ones."""
    wanted = set(sources)
    path = folder / "unlabelled" / "sentences.tsv"
    return [(source, text) for _, (source, text, *_) in rows(path, 2) if source in wanted]


def normal(text: str) -> str:
    """Letters and digits in lower case, which two spellings of one sentence share."""
    return re.sub(r"[^a-z0-9]", "", text.lower())
