"""The order of a training run: its settings, its batches and its learning rate, all without torch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`rate` is the peak learning rate, reached after `warm_up` of all steps and falling linearly to 0."""

    epochs: int
    batch: int
    rate: float
    seed: int = 1
    warm_up: float = 0.1
    decay: float = 0.01
    judge_every: float = 0.5
    patience: int = 4
    checkpoint_s: float = 60.0
    freeze_words: bool = False
    bfloat16: bool = True


def plan(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """One epoch's batches: shuffled, texts of like length together, batches shuffled again."""
    draw = random.Random(f"{seed}-{epoch}")  # noqa: S311 - repeatable on purpose
    order = list(range(len(lengths)))
    draw.shuffle(order)
    chunk = 50 * size
    batches = []
    for start in range(0, len(order), chunk):
        part = sorted(order[start : start + chunk], key=lambda index: lengths[index])
        batches += [part[first : first + size] for first in range(0, len(part), size)]
    draw.shuffle(batches)
    return batches


def rate_factor(step: int, steps: int, warm_up: float) -> float:
    """Share of the peak learning rate at a step, counted from 0."""
    rising = max(1, round(warm_up * steps))
    return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))


def batches(lengths: Sequence[int], settings: Settings, done: int) -> Iterator[list[int]]:
    """All epochs' batches that are still to do."""
    number = 0
    for epoch in range(settings.epochs):
        for indices in plan(lengths, settings.batch, settings.seed, epoch):
            number += 1
            if number > done:
                yield indices
