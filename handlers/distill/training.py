"""One training loop for all students and teachers: seeded, with progress, checkpoints, and the best state on dev kept.

A run that was killed goes on from its last checkpoint with the batches that it would have had.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from handlers.distill.bar import Bar
from handlers.distill.encoders import Encoder
from handlers.distill.record import write_whole
from handlers.distill.schedule import Settings, batches, plan, rate_factor

CHECKPOINT = "checkpoint.pt"

Encodings = Sequence[Sequence[Sequence[int]]]
"""Of every example its one or two texts as token ids."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """Where a run stands; all that a checkpoint holds besides weights."""

    step: int = 0
    best: float = -math.inf
    worse: int = 0
    loss: float = 0.0
    seconds: float = 0.0


class Trainer:
    """The state of one run; `fit` is the way in."""

    def __init__(self, encoder: Encoder, settings: Settings, folder: Path, steps: int) -> None:
        self.encoder, self.settings, self.folder, self.steps = encoder, settings, folder, steps
        self.progress = Progress()
        encoder.net.embeddings.word_embeddings.weight.requires_grad_(not settings.freeze_words)
        named = [pair for module in encoder.modules() for pair in module.named_parameters() if pair[1].requires_grad]
        plain = [value for name, value in named if name.endswith("bias") or "LayerNorm" in name]
        decayed = [value for name, value in named if not (name.endswith("bias") or "LayerNorm" in name)]
        groups = [{"params": decayed, "weight_decay": settings.decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.rate, fused=True)
        self.parameters = [*decayed, *plain]

    def save(self) -> None:
        """Write the checkpoint whole."""
        scratch = self.folder / ".checkpoint.part"
        modules = [module.state_dict() for module in self.encoder.modules()]
        state = {"modules": modules, "optimiser": self.optimiser.state_dict(), "progress": asdict(self.progress)}
        torch.save(state, scratch)
        scratch.replace(self.folder / CHECKPOINT)

    def resume(self) -> None:
        """Take up the last checkpoint, where there is one."""
        path = self.folder / CHECKPOINT
        if path.exists():
            state = torch.load(path, weights_only=True)
            for module, weights in zip(self.encoder.modules(), state["modules"], strict=True):
                module.load_state_dict(weights)
            self.optimiser.load_state_dict(state["optimiser"])
            self.progress = Progress(**state["progress"])

    def update(self, loss: Any) -> None:  # noqa: ANN401 - a torch.Tensor, and torch is an extra
        """One step of the optimiser."""
        factor = rate_factor(self.progress.step, self.steps, self.settings.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate * factor
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.progress.step += 1
        self.progress.loss = 0.98 * self.progress.loss + 0.02 * float(loss.detach())

    def judge(self, note: dict[str, float]) -> None:
        """Keep the state if it is the best on dev so far."""
        if note["choice"] > self.progress.best:
            self.progress.best, self.progress.worse = note["choice"], 0
            self.encoder.save(self.folder / "best")
            write_whole(self.folder / "best.json", json.dumps(note))
        else:
            self.progress.worse += 1
        line = {"step": self.progress.step, "loss": round(self.progress.loss, 4), **note}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), file=sys.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What to learn, and how it is judged.

    `objective` gives the loss of a batch from the pooled vectors of its first (and second) texts and its examples'
    indices; `judge` gives dev scores, of which `"choice"` decides.
    """

    encodings: Encodings
    objective: Callable[[list[Any], list[int]], Any]
    judge: Callable[[Encoder], dict[str, float]]


def fit(encoder: Encoder, lesson: Lesson, settings: Settings, folder: Path) -> dict[str, float]:
    """Train, and return the best dev scores and the seconds; the best state lies in `folder/best`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    lengths = [max(len(ids) for ids in texts) for texts in lesson.encodings]
    per_epoch = len(plan(lengths, settings.batch, settings.seed, 0))
    steps = per_epoch * settings.epochs
    every = max(1, round(per_epoch * settings.judge_every))
    trainer = Trainer(encoder, settings, folder, steps)
    trainer.resume()
    begun = time.monotonic() - trainer.progress.seconds
    saved = time.monotonic()
    with Bar(folder.name, steps) as bar:
        for indices in batches(lengths, settings, trainer.progress.step):
            pooled = forward(encoder, [lesson.encodings[index] for index in indices], fast=settings.bfloat16)
            trainer.update(lesson.objective(pooled, indices))
            trainer.progress.seconds = time.monotonic() - begun
            bar.show(trainer.progress.step, trainer.progress.loss)
            if trainer.progress.step % every == 0 or trainer.progress.step == steps:
                trainer.judge(lesson.judge(encoder))
            if time.monotonic() - saved > settings.checkpoint_s:
                trainer.save()
                saved = time.monotonic()
            if trainer.progress.worse > settings.patience:
                break
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return {**best_of(folder), "trained_seconds": round(trainer.progress.seconds, 1)}


def forward(encoder: Encoder, texts: Sequence[Sequence[Sequence[int]]], *, fast: bool) -> list[Any]:
    """Pooled vectors of all first texts, then of all second ones, from one pass with dropout."""
    encoder.train(mode=True)
    flat = [ids for place in range(len(texts[0])) for ids in (text[place] for text in texts)]
    with torch.autocast("cpu", torch.bfloat16, enabled=fast):
        return list(encoder.pooled(flat).split(len(texts)))


def best_of(folder: Path) -> dict[str, float]:
    """Dev scores of the best state so far; empty before the first."""
    path = folder / "best.json"
    found: dict[str, float] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found
