"""Similarity: a student that learns the teacher's geometry over a pool, then is tuned on STS-B train."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from handlers.distill import corpora, encoders
from handlers.distill.encoders import Encoder
from handlers.distill.record import Job, Record, read_lines, sha256
from handlers.distill.schedule import Settings
from handlers.distill.scores import pearson, spearman
from handlers.distill.training import Lesson, fit

PAIR_WEIGHT = 10.0
"""Of the squared error of the similarities within a batch, beside 1 minus the cosine to the teacher's vector."""

SHARPNESS = 20.0
"""Of the ranking loss (CoSENT, Su 2022): how hard a pair of pairs in the wrong order is punished."""

KEEP_WEIGHT = 1.0
"""While tuning on STS-B: weight of staying near the teacher's vectors."""


def judge_on(data: Path | None) -> Callable[[Encoder], dict[str, float]]:
    """STS-B dev, the set that choices are made on."""
    cases = corpora.load("stsb", "dev", data)
    expected = [float(case.expected) for case in cases]

    def judge(encoder: Encoder) -> dict[str, float]:
        answered = similarities(encoder, [case.event for case in cases])
        score = spearman(expected, answered)
        return {"stsb_spearman": score, "stsb_pearson": pearson(expected, answered), "choice": score}

    return judge


def similarities(encoder: Encoder, events: Sequence[dict[str, str]]) -> list[float]:
    """The cosine of each pair."""
    first, second = (
        encoders.pool_all(encoder, encoder.encode([event[key] for event in events]), fast=True)
        for key in ("sentence1", "sentence2")
    )
    result: list[float] = functional.cosine_similarity(first, second).tolist()
    return result


def write_vectors(job: Job) -> None:
    """The teacher's unit vectors of all training texts, and of both sides of the pairs, computed once."""
    base = job.run / "similarity"
    inputs = [base / "texts.jsonl", base / "pairs.jsonl"]
    record = Record(step="similarity vectors", settings={"teacher": job.teacher}, inputs=inputs)
    texts = [each["text"] for each in read_lines(inputs[0])]
    pairs = read_lines(inputs[1])
    sides = [[pair[key] for pair in pairs] for key in ("sentence1", "sentence2")]
    teacher = encoders.load_teacher(job.teacher)
    name = hashlib.sha256(job.teacher.encode()).hexdigest()[:16]
    parts = base / f".vectors-{sha256(inputs[0])[:16]}-{sha256(inputs[1])[:16]}-{name}"
    vectors = [
        functional.normalize(encoders.pool_in_parts(teacher, each, parts / str(place)))
        for place, each in enumerate((texts, *sides))
    ]
    torch.save({"texts": vectors[0], "first": vectors[1], "second": vectors[2]}, base / "vectors.pt")
    for folder in base.glob(".vectors-*"):
        shutil.rmtree(folder)
    record.write(base / "vectors", {"texts": len(texts), "pairs": len(pairs)})


def geometry_loss(ours: Any, theirs: Any) -> Any:  # noqa: ANN401 - torch tensors, and torch is an extra
    """How far the unit vectors of a batch, and all similarities within it, are from the teacher's."""
    unit = functional.normalize(ours)
    distance = 1 - (unit * theirs).sum(1).mean()
    return distance + PAIR_WEIGHT * functional.mse_loss(unit @ unit.T, theirs @ theirs.T)


def ranking_loss(cosines: Any, scores: Any) -> Any:  # noqa: ANN401 - torch tensors, and torch is an extra
    """CoSENT: every pair of pairs should be in the order of their scores."""
    difference = SHARPNESS * (cosines[:, None] - cosines[None, :])
    wrong = difference[scores[:, None] < scores[None, :]]
    return torch.logsumexp(torch.cat([torch.zeros(1), wrong]), dim=0)


def train_student(job: Job, settings: Settings, layers: Sequence[int], target: str = "student") -> None:
    """Learn the geometry; the best on dev lies in `similarity/student/best`."""
    base = job.run / "similarity"
    inputs = [base / each for each in ("texts.jsonl", "tokenizer.json", "vectors.pt")]
    record = Record(step="similarity student", settings={"layers": list(layers), **asdict(settings)}, inputs=inputs)
    texts = [each["text"] for each in read_lines(inputs[0])]
    theirs = torch.load(inputs[2], weights_only=True)["texts"]
    kept, content = (json.loads((base / each).read_text("utf-8")) for each in ("kept.json", "tokenizer.json"))
    student = encoders.cut(encoders.load_teacher(job.teacher), layers=layers, kept=kept, tokenizer=content)

    def objective(pooled: list[Any], indices: list[int]) -> Any:  # noqa: ANN401 - a torch.Tensor
        return geometry_loss(pooled[0], theirs[indices])

    encodings = [[ids] for ids in student.encode(texts)]
    lesson = Lesson(encodings=encodings, objective=objective, judge=judge_on(job.data))
    record.write(base / target, fit(student, lesson, settings, base / target))


def tune_student(job: Job, settings: Settings, source: str = "student", target: str = "tuned") -> None:
    """Tune on STS-B train without leaving the geometry; the best on dev lies in `similarity/tuned/best`."""
    base = job.run / "similarity"
    record = Record(step="similarity tuning", settings=asdict(settings), inputs=[base / "pairs.jsonl"])
    pairs = read_lines(base / "pairs.jsonl")
    vectors = torch.load(base / "vectors.pt", weights_only=True)
    scores = torch.tensor([float(pair["score"]) for pair in pairs])
    student = encoders.load(base / source / "best")

    def objective(pooled: list[Any], indices: list[int]) -> Any:  # noqa: ANN401 - a torch.Tensor
        ranking = ranking_loss(functional.cosine_similarity(*pooled), scores[indices])
        theirs = torch.cat([vectors[key][indices] for key in ("first", "second")])
        return ranking + KEEP_WEIGHT * geometry_loss(torch.cat(pooled), theirs)

    sides = [student.encode([pair[key] for pair in pairs]) for key in ("sentence1", "sentence2")]
    encodings = [list(texts) for texts in zip(*sides, strict=True)]
    lesson = Lesson(encodings=encodings, objective=objective, judge=judge_on(job.data))
    record.write(base / target, fit(student, lesson, settings, base / target))
