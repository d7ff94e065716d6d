"""The table of scores: teacher, student in float32 and as shipped in int8, on the public sets and the golden ones.

Everything runs on onnxruntime, one text a run at one thread, as the functions do; nothing needs torch. The test sets
are for this table alone: choices were made on dev.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.distill import corpora
from handlers.distill.bar import track
from handlers.distill.record import read_lines, sha256
from handlers.distill.runtime import Model, binary_labels_of, labels_of
from handlers.distill.scores import accuracy, macro_f1, pearson, spearman

LATENCY_TEXTS = 100

PAPER = {
    "BERT_BASE": {"mb": 420, "target macro F1": 0.84, "STS-B test Spearman": 0.8535},
    "TinyBERT": {"mb": 56, "target macro F1": 0.82, "STS-B test Spearman": 0.7676},
    "MobileBERT": {"mb": 98, "target macro F1": 0.84, "STS-B test Spearman": 0.8152},
}
"""Benešová, Švec and Šuppa 2021 (arXiv 2103.10673), Tables 2 and 3; its sentiment set is private, so that its F1 is no
match for ours; sizes are float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model file to score; `fused` when its operators were fused as it was exported."""

    name: str
    task: str
    model: Path
    tokenizer: Path
    fused: bool

    def open(self) -> Model:
        """A session on it."""
        return Model(self.model, self.tokenizer, fused=self.fused)


def candidates(task: str, teacher: Path, student: Path) -> list[Candidate]:
    """Teacher in float32, student in float32 and int8, from their export folders."""
    made = [("teacher float32", teacher, "float32.onnx"), ("student float32", student, "float32.onnx")]
    made += [("student int8", student, "model.onnx")]
    return [
        Candidate(
            name=name, task=task, model=folder / file, tokenizer=folder / "tokenizer.json", fused=file == "model.onnx"
        )
        for name, folder, file in made
        if (folder / file).exists()
    ]


def by_tag(cases: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Positions of the cases of each tag."""
    tags: dict[str, list[int]] = {}
    for position, case in enumerate(cases):
        named = case.get("tag", "untagged")
        for tag in [named] if isinstance(named, str) else named:
            tags.setdefault(tag, []).append(position)
    return dict(sorted(tags.items()))


def sentiment_scores(model: Model, data: Path | None, golden: Path | None) -> dict[str, Any]:
    """Accuracy on SST-2 (neutral left out), macro F1 on the three-class sets and on the golden one, by tag too."""
    scores: dict[str, Any] = {}
    for name, split in (("sst2", "dev"), ("sst2", "test"), ("sst3", "dev"), ("sst3", "test"), ("tweeteval", "val")):
        cases = corpora.load(name, split, data)
        rows = model.rows([case.event["text"] for case in track(cases, f"{name} {split}")])
        expected = [str(case.expected) for case in cases]
        answered = binary_labels_of(rows) if name == "sst2" else labels_of(rows)
        measure = accuracy if name == "sst2" else macro_f1
        scores[f"{name} {split} {measure.__name__}"] = round(measure(expected, answered), 4)
    if golden is not None and golden.exists():
        cases_read = read_lines(golden)
        answered = labels_of(model.rows([case["event"]["text"] for case in cases_read]))
        expected = [case["expected"] for case in cases_read]
        scores["golden macro_f1"] = round(macro_f1(expected, answered), 4)
        scores["golden accuracy by tag"] = {
            tag: round(accuracy([expected[at] for at in found], [answered[at] for at in found]), 3)
            for tag, found in by_tag(cases_read).items()
        }
    return scores


def similarity_scores(model: Model, data: Path | None, golden: Path | None) -> dict[str, Any]:
    """Spearman and Pearson on STS-B and on the golden set; by tag the Spearman there."""
    scores: dict[str, Any] = {}
    for split in ("dev", "test"):
        cases = corpora.load("stsb", split, data)
        answered = model.similarities([case.event for case in track(cases, f"stsb {split}")])
        expected = [float(case.expected) for case in cases]
        scores[f"stsb {split} spearman"] = round(spearman(expected, answered), 4)
        scores[f"stsb {split} pearson"] = round(pearson(expected, answered), 4)
    if golden is not None and golden.exists():
        cases_read = read_lines(golden)
        answered = model.similarities([case["event"] for case in cases_read])
        expected = [float(case["expected"]) for case in cases_read]
        scores["golden spearman"] = round(spearman(expected, answered), 4)
        scores["golden spearman by tag"] = {
            tag: round(spearman([expected[at] for at in found], [answered[at] for at in found]), 3)
            for tag, found in by_tag(cases_read).items()
        }
    return scores


def evaluate(candidate: Candidate, data: Path | None, golden: Path | None) -> dict[str, Any]:
    """All of one model: scores, bytes, SHA-256 and milliseconds of CPU for one short text (SST-2 or STS-B dev)."""
    model = candidate.open()
    score = sentiment_scores if candidate.task == "sentiment" else similarity_scores
    name, key = ("sst2", "text") if candidate.task == "sentiment" else ("stsb", "sentence1")
    texts = [case.event[key] for case in corpora.load(name, "dev", data)][:LATENCY_TEXTS]
    return {
        "model": candidate.name,
        "task": candidate.task,
        "mb": round(candidate.model.stat().st_size / 1e6, 2),
        "tokenizer_mb": round(candidate.tokenizer.stat().st_size / 1e6, 2),
        "sha256": sha256(candidate.model),
        "cpu_ms_per_text": model.milliseconds(texts),
        **score(model, data, golden),
    }


def losses(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """By score, what the student has more (+) or less (-) in int8 than in float32, in points; empty without both."""
    models = {result["model"]: result for result in results}
    if not {"student float32", "student int8"} <= set(models):
        return {}
    full, small = models["student float32"], models["student int8"]
    scores = [key for key, value in full.items() if isinstance(value, float) and not key.endswith("mb")]
    return {key: f"{100 * (small[key] - full[key]):+.2f}" for key in scores}


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """GitHub Markdown, one row a score and one column a model; the scores by tag follow in tables of their own."""
    parts = []
    for task in dict.fromkeys(result["task"] for result in results):
        chosen = [result for result in results if result["task"] == task]
        plain = [
            key for key, value in chosen[-1].items() if not isinstance(value, dict) and key not in {"model", "task"}
        ]
        plain.remove("sha256")
        columns = [f"{task}, {result['model']}" for result in chosen]
        lost = losses(chosen)
        if lost:
            columns.append("int8 less float32, points")
        lines = [["", *columns], ["---", *["---:"] * len(columns)]]
        lines += [
            [key, *[str(result.get(key, "")) for result in chosen], *([lost.get(key, "")] if lost else [])]
            for key in plain
        ]
        for key in (key for key, value in chosen[-1].items() if isinstance(value, dict)):
            lines += [
                [
                    f"{key}: {part}",
                    *[str(result.get(key, {}).get(part, "")) for result in chosen],
                    *([""] if lost else []),
                ]
                for part in chosen[-1][key]
            ]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts) + "\n\n" + paper_table()


def paper_table() -> str:
    """What the paper reports for its own models."""
    names = list(next(iter(PAPER.values())))
    lines = [["paper (float32)", *names], ["---", *["---:"] * len(names)]]
    lines += [[model, *[str(values[name]) for name in names]] for model, values in PAPER.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
