"""Sentiment, three classes: a teacher on gold labels, its silver labels, a student on silver and gold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from handlers.distill import corpora, encoders
from handlers.distill.corpora import LABELS
from handlers.distill.encoders import Encoder
from handlers.distill.record import Job, Record, done, read_lines, sha256
from handlers.distill.schedule import Settings
from handlers.distill.scores import accuracy, macro_f1
from handlers.distill.training import Lesson, fit

NEUTRAL_WEIGHT = 1.5
"""Of a neutral example in the loss: the gold texts hold one for each ten with sentiment."""

AVERAGED = "averaged"
"""Folder of a student between two; it ships instead of `student` where it has been made."""

TEMPERATURE = 2.0
HARD_SHARE = 0.25
"""Of the student's loss on a gold text, the part that looks at the gold label; the rest looks at the teacher."""

DEV_TEXTS = 1101
"""At most, of each set that is judged on during training: all of SST's."""

POOLED_SHARE = 1.0
"""Weight of the distance between the student's pooled vector and the teacher's."""


def dev_sets(data: Path | None) -> dict[str, list[tuple[str, str]]]:
    """Text and label of the sets that choices are made on; tweets are judged on and never trained on."""
    splits = {"sst2": "dev", "sst3": "dev", "tweeteval": "val"}
    return {
        name: [(case.event["text"], str(case.expected)) for case in corpora.load(name, split, data)][:DEV_TEXTS]
        for name, split in splits.items()
    }


def score_sets(sets: dict[str, list[tuple[str, str]]], answer: Callable[[Sequence[str]], Any]) -> dict[str, float]:
    """SST-2 accuracy with neutral left out, macro F1 on the others, and the mean of all, which choices go by."""
    scores = {}
    for name, cases in sets.items():
        logits = answer([text for text, _ in cases])
        expected = [label for _, label in cases]
        if name == "sst2":
            answered = ["positive" if row[2] > row[0] else "negative" for row in logits.tolist()]
            scores["sst2_accuracy"] = accuracy(expected, answered)
        else:
            answered = [LABELS[index] for index in logits.argmax(1).tolist()]
            scores[f"{name}_macro_f1"] = macro_f1(expected, answered)
    return {**scores, "choice": sum(scores.values()) / len(scores)}


def logits_of(encoder: Encoder, texts: Sequence[str]) -> Any:  # noqa: ANN401 - a torch.Tensor, and torch is an extra
    """Float32 [texts, labels]."""
    pooled = encoders.pool_all(encoder, encoder.encode(texts), fast=True)
    with encoders.inference(encoder):
        return encoder.head(pooled)


def judge_on(data: Path | None) -> Callable[[Encoder], dict[str, float]]:
    """What `fit` asks for dev scores."""
    sets = dev_sets(data)
    return lambda encoder: score_sets(sets, lambda texts: logits_of(encoder, texts))


def new_teacher(job: Job) -> Encoder:
    """The teacher as it comes, with a new head, behind the tokenizer that reads emoji."""
    plain = encoders.load_teacher(job.teacher)
    content = json.loads((job.run / "sentiment" / "full_tokenizer.json").read_text("utf-8"))
    tokenizer = encoders.with_tokenizer(plain, content).tokenizer
    return Encoder(net=plain.net, tokenizer=tokenizer, head=encoders.new_head(plain.net, len(LABELS)))


def new_student(base: Path, layers: Sequence[int]) -> Encoder:
    """Cut from the fine-tuned teacher."""
    kept, content = (json.loads((base / name).read_text("utf-8")) for name in ("kept.json", "tokenizer.json"))
    return encoders.cut(encoders.load(base / "teacher" / "best"), layers=layers, kept=kept, tokenizer=content)


def train_teacher(job: Job, settings: Settings, begin: Path | None = None) -> None:
    """Fine-tune on the gold texts, from `begin` (an earlier best) where given; see `sentiment/teacher/best`."""
    folder = job.run / "sentiment" / "teacher"
    source = job.run / "sentiment" / "texts.jsonl"
    record = Record(
        step="sentiment teacher", settings={"teacher": job.teacher, "begin": begin, **asdict(settings)}, inputs=[source]
    )
    gold = [each for each in read_lines(source) if each["label"] is not None]
    torch.manual_seed(settings.seed)
    teacher = encoders.load(begin) if begin else new_teacher(job)
    labels = torch.tensor([LABELS.index(each["label"]) for each in gold])
    weights = torch.tensor([1.0, NEUTRAL_WEIGHT, 1.0])

    def objective(pooled: list[Any], indices: list[int]) -> Any:  # noqa: ANN401 - a torch.Tensor
        return functional.cross_entropy(teacher.head(functional.dropout(pooled[0], 0.1)), labels[indices], weights)

    encodings = [[ids] for ids in teacher.encode([each["text"] for each in gold])]
    scores = fit(teacher, Lesson(encodings=encodings, objective=objective, judge=judge_on(job.data)), settings, folder)
    record.write(folder, scores)


def write_silver(job: Job) -> None:
    """Logits for every text, gold ones too, and pooled vectors, by the teacher.

    Where the teacher went on from an earlier one, the logits are the mean of both: each is the better at its own texts.
    """
    base = job.run / "sentiment"
    source = base / "texts.jsonl"
    account = done(base / "teacher")
    if account is None:
        raise FileNotFoundError(f"{base / 'teacher'} holds no record: the teacher has not been trained")
    begin = account["settings"]["begin"]
    folders = [base / "teacher" / "best", *([Path(begin)] if begin else [])]
    record = Record(step="sentiment silver", settings={"teachers": folders}, inputs=[source])
    texts = [each["text"] for each in read_lines(source)]
    logits, pooled = [], []
    for folder in folders:
        teacher = encoders.load(folder)
        parts = base / f".silver-{sha256(source)[:16]}-{sha256(folder / 'model.safetensors')[:16]}"
        pooled.append(encoders.pool_in_parts(teacher, texts, parts))
        with encoders.inference(teacher):
            logits.append(teacher.head(pooled[-1]))
    mean = torch.stack(logits).mean(0)
    torch.save({"logits": mean, "pooled": pooled[0]}, base / "silver.pt")
    for parts in base.glob(".silver-*"):
        shutil.rmtree(parts)
    shares = torch.bincount(mean.argmax(1), minlength=len(LABELS)) / len(texts)
    record.write(base / "silver", {"texts": len(texts), **dict(zip(LABELS, shares.tolist(), strict=True))})


def train_student(job: Job, settings: Settings, layers: Sequence[int], begin: Path | None = None) -> None:
    """Distil into a student cut from the teacher's layers; the best on dev lies in `sentiment/student/best`."""
    base = job.run / "sentiment"
    folder = base / "student"
    inputs = [base / name for name in ("texts.jsonl", "tokenizer.json", "silver.pt")]
    noted = {"layers": list(layers), "begin": begin, **asdict(settings)}
    record = Record(step="sentiment student", settings=noted, inputs=inputs)
    texts = read_lines(base / "texts.jsonl")
    silver = torch.load(base / "silver.pt", weights_only=True)
    student = encoders.load(begin) if begin else new_student(base, layers)
    labels = torch.tensor([-100 if each["label"] is None else LABELS.index(each["label"]) for each in texts])
    soft = functional.softmax(silver["logits"] / TEMPERATURE, dim=1)

    def objective(pooled: list[Any], indices: list[int]) -> Any:  # noqa: ANN401 - a torch.Tensor
        logits = student.head(pooled[0])
        student_log = functional.log_softmax(logits / TEMPERATURE, dim=1)
        kept_loss = functional.kl_div(student_log, soft[indices], reduction="batchmean") * TEMPERATURE**2
        gold = labels[indices]
        hard = functional.cross_entropy(logits, gold, ignore_index=-100, reduction="sum") / len(indices)
        distance = 1 - functional.cosine_similarity(pooled[0], silver["pooled"][indices]).mean()
        return (1 - HARD_SHARE) * kept_loss + HARD_SHARE * hard + POOLED_SHARE * distance

    encodings = [[ids] for ids in student.encode([each["text"] for each in texts])]
    scores = fit(student, Lesson(encodings=encodings, objective=objective, judge=judge_on(job.data)), settings, folder)
    record.write(folder, scores)


def average_students(job: Job, begin: Path, weight: float) -> None:
    """Between the student and the one that it went on from: the best of two domains, with one file (Wortsman 2022)."""
    folder = job.run / "sentiment" / AVERAGED
    record = Record(step="sentiment average", settings={"begin": begin, "weight": weight}, inputs=[])
    student = encoders.load(job.run / "sentiment" / "student" / "best")
    made = encoders.average(encoders.load(begin), student, weight)
    made.save(folder / "best")
    record.write(folder, judge_on(job.data)(made))
