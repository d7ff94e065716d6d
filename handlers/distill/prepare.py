"""First step: the training texts of both tasks, free of dev and test sentences, and the vocabulary that they use."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from handlers.distill import corpora
from handlers.distill.corpora import Case, DataError
from handlers.distill.our_texts import TEMPLATES, our_texts
from handlers.distill.record import Job, Record, read_lines, write_lines, write_whole
from handlers.distill.vocabulary import adapt, count_pieces, coverage, prune
from handlers.distill.wording import detokenise, vary

OUR_TEXTS = 2400
"""Per label."""

OPINIONS = {"reviews_IntegratedPros": "positive", "reviews_IntegratedCons": "negative"}
"""What the authors of the reviews themselves filed their remarks under: gold labels outside films."""

OPINION_WORDS = 4
OPINIONS_EACH = 6000
"""Of the remarks that have a few words, rather than the name of a part: so many of each label are taken for gold."""

LONG_PHRASE = 40
"""Characters; of SST-2's phrases, which lie within one another, the similarity student reads the longer ones."""

CAPTIONS = "images"
"""The part of STS-B that describes pictures: sentences without sentiment."""

PIECES = {"sentiment": (2, 17_000), "similarity": (1, 19_000)}
"""Least uses of a piece and most pieces, per task; with four layers that gives files below 15 MB."""


def held_out(folder: Path | None, golden: Path) -> set[str]:
    """Normal forms of every dev, test and golden text, none of which may be trained on."""
    names = [(name, split) for name in ("sst2", "sst3", "stsb") for split in ("dev", "test")]
    cases = [case for name, split in [*names, ("tweeteval", "val")] for case in corpora.load(name, split, folder)]
    events = [case.event for case in cases]
    events += [case["event"] for path in sorted(golden.glob("*.jsonl")) for case in read_lines(path)]
    return {corpora.normal(text) for event in events for text in event.values()}


def sentiment_texts(folder: Path | None, pool: Sequence[tuple[str, str]], held: set[str]) -> list[dict[str, Any]]:
    """Gold, weakly labelled and unlabelled texts, each once per label; `label` is None for the last."""
    captions = [text for case in clean_pairs(folder) if case.source == CAPTIONS for text in case.event.values()]
    gold = [case for name in ("sst3", "sst2") for case in corpora.load(name, "train", folder)]
    found: list[tuple[str, str, str | None]] = [(case.event["text"], case.source, str(case.expected)) for case in gold]
    found += [(text, "stsb-captions", "neutral") for text in captions]
    found += [(text, "ours", label) for label in TEMPLATES for text in our_texts(TEMPLATES[label], OUR_TEXTS, seed=1)]
    found += opinions(pool)
    found += [(text, source, None) for source, text in pool]
    unique = {
        (corpora.normal(text), label): {"text": text, "label": label, "source": source}
        for text, source, label in reversed(found)  # so that of equals the first one stays
        if corpora.normal(text) and corpora.normal(text) not in held
    }
    return [{**each, "text": vary(str(each["text"]))} for each in reversed(unique.values())]


def draw(text: str) -> int:
    """A number below 2**32 that looks random and depends on the text alone, so that runs choose alike."""
    return zlib.crc32(text.encode())


def is_sentence(each: dict[str, Any]) -> bool:
    """Whether the similarity student reads it: neither a short phrase nor one of our opinions, which are much alike."""
    if each["source"] == "sst2":
        return len(str(each["text"])) > LONG_PHRASE
    return bool(each["source"] != "ours" or each["label"] == "neutral")


def thin(texts: list[dict[str, Any]], share: float) -> list[dict[str, Any]]:
    """That share of SST-2's phrases and of the texts without a label, and all others."""
    return [
        each
        for each in texts
        if (each["source"] != "sst2" and each["label"] is not None) or draw(str(each["text"])) < share * 2**32
    ]


def opinions(pool: Sequence[tuple[str, str]]) -> list[tuple[str, str, str | None]]:
    """A share of the reviews' pros and cons with the label that their place gives them, the same in every run."""
    chosen: list[tuple[str, str, str | None]] = []
    for source, label in OPINIONS.items():
        texts = [text for name, text in pool if name == source and len(text.split()) >= OPINION_WORDS]
        chosen += [(text, source, label) for text in sorted(texts, key=draw)[:OPINIONS_EACH]]
    return chosen


def clean_pairs(folder: Path | None) -> list[Case]:
    """The pairs of STS-B train whose licence allows it; DataError where none does, as nothing could be tuned then."""
    found = [case for case in corpora.load("stsb", "train", folder) if case.source in corpora.CLEAN_STSB]
    if not found:
        raise DataError(f"STS-B train holds no pair of {', '.join(corpora.CLEAN_STSB)}")
    return found


def write_vocabulary(
    task: str, tokenizer: dict[str, Any], training: Sequence[str], dev: Iterable[str], run: Path
) -> dict[str, Any]:
    """Prune to the training texts; return what it costs on dev."""
    adapted = adapt(tokenizer, emoji=task == "sentiment")
    full = Tokenizer.from_str(json.dumps(adapted))
    least, most = PIECES[task]
    counts = count_pieces(encoding.ids for encoding in full.encode_batch(list(training)))
    pruned = prune(adapted, counts, at_least=least, at_most=most)
    small = Tokenizer.from_str(json.dumps(pruned.tokenizer))
    write_whole(run / task / "tokenizer.json", json.dumps(pruned.tokenizer, ensure_ascii=False))
    write_whole(run / task / "full_tokenizer.json", json.dumps(adapted, ensure_ascii=False))
    write_whole(run / task / "kept.json", json.dumps(pruned.kept))
    texts = list(dev)
    read = [[encoding.ids for encoding in each.encode_batch(texts)] for each in (small, full)]
    found = coverage(*read, unknown=pruned.tokenizer["model"]["vocab"]["[UNK]"])
    return {"pieces": len(pruned.kept), "dev_unknown_rate": found.unknown_rate, "dev_longer": found.longer}


def prepare(job: Job, content: dict[str, Any], golden: Path, share: float = 1.0) -> None:
    """Write `sentiment/texts.jsonl`, `similarity/texts.jsonl` and `similarity/pairs.jsonl` below the run."""
    run, folder = job.run, job.data
    settings = {"share": share, "sources": corpora.CLEAN_SOURCES, "stsb": corpora.CLEAN_STSB}
    record = Record(step="prepare", settings=settings, inputs=inputs(folder))
    held = held_out(folder, golden)
    pool = pool_of(folder)
    texts = thin(sentiment_texts(folder, pool, held), share)
    write_lines(run / "sentiment" / "texts.jsonl", texts)
    pairs = [
        case for case in clean_pairs(folder) if held.isdisjoint(corpora.normal(text) for text in case.event.values())
    ]
    write_lines(run / "similarity" / "pairs.jsonl", ({**case.event, "score": case.expected} for case in pairs))
    sentences = [detokenise(str(each["text"])) for each in texts if is_sentence(each)]
    sentences += [text for case in pairs for text in case.event.values()]
    sentences = list({corpora.normal(text): text for text in sentences if corpora.normal(text) not in held}.values())
    write_lines(run / "similarity" / "texts.jsonl", ({"text": text} for text in sentences))
    dev = {
        "sentiment": [case.event["text"] for case in corpora.load("sst2", "dev", folder)],
        "similarity": [text for case in corpora.load("stsb", "dev", folder) for text in case.event.values()],
    }
    training = {"sentiment": [str(each["text"]) for each in texts], "similarity": sentences}
    scores = {task: write_vocabulary(task, content, training[task], dev[task], run) for task in dev}
    sources: dict[str, int] = {}
    for each in texts:
        key = f"{each['source']}/{each['label']}"
        sources[key] = sources.get(key, 0) + 1
    record.write(
        run / "prepare", {**scores, "sentiment_texts": sources, "sentences": len(sentences), "pairs": len(pairs)}
    )


def pool_of(folder: Path | None) -> list[tuple[str, str]]:
    """Source and sentence for silver labels; the hub's sets are labelled, so without a folder there is none."""
    if folder is None:
        print(
            "note: no unlabelled pool without --data FOLDER: silver labels go to the gold texts and our own only",
            file=sys.stderr,
        )
        return []
    return corpora.unlabelled(folder)


def inputs(folder: Path | None) -> list[Path]:
    """The files that are read of a data folder, for the record."""
    if folder is None:
        return []
    parts = ("sst2", "sst_sentence", "stsb", "tweeteval_sentiment", "unlabelled")
    return [path for part in parts for path in sorted((folder / part).glob("*.[tc]s[vx]*"))]
