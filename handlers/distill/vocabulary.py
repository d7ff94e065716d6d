"""A WordPiece tokenizer made smaller: only the pieces that the training text uses, and never an unknown Latin word.

Everything here works on the content of `tokenizer.json`; nothing needs torch.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from handlers.distill.wording import replacements

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LATIN = 0x250
"""Code points below it are ASCII and the Latin letters of European languages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """A smaller tokenizer, and for each of its ids the id in the old one: the rows to keep of an embedding table."""

    tokenizer: dict[str, Any]
    kept: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How a tokenizer reads texts, [CLS] and [SEP] left out; `longer` is its number of tokens over the full one's."""

    tokens: int
    unknown: int
    longer: float

    @property
    def unknown_rate(self) -> float:
        """Share of [UNK] among the tokens."""
        return self.unknown / max(1, self.tokens)


def adapt(tokenizer: dict[str, Any], *, emoji: bool) -> dict[str, Any]:
    """Neither padding nor a cut (the published file pads everything to 128), and emoji read as words where wished."""
    adapted = copy.deepcopy(tokenizer) | {"padding": None, "truncation": None}
    if emoji:
        signs = [{"type": "Replace", "pattern": {"String": sign}, "content": word} for sign, word in replacements()]
        adapted["normalizer"] = {"type": "Sequence", "normalizers": [*signs, adapted["normalizer"]]}
    return adapted


def count_pieces(encodings: Iterable[Sequence[int]]) -> Counter[int]:
    """How often each id occurs."""
    counts: Counter[int] = Counter()
    for ids in encodings:
        counts.update(ids)
    return counts


def prune(tokenizer: dict[str, Any], counts: Counter[int], *, at_least: int, at_most: int) -> Pruned:
    """Keep special tokens, all single Latin signs (any word can be spelt), and of the rest the pieces most used.

    A piece used less than `at_least` times goes; so do the least used above `at_most` pieces in all.
    """
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    prefix: str = tokenizer["model"]["continuing_subword_prefix"]
    forced = {
        index
        for piece, index in vocabulary.items()
        if piece in SPECIAL or (len(sign := piece.removeprefix(prefix)) == 1 and ord(sign) < LATIN)
    }
    common = [
        index
        for index, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if count >= at_least and index not in forced
    ]
    kept = sorted(forced | set(common[: max(0, at_most - len(forced))]))
    pieces = {index: piece for piece, index in vocabulary.items()}
    smaller = {pieces[old]: new for new, old in enumerate(kept)}
    renumbered = copy.deepcopy(tokenizer)
    renumbered["model"]["vocab"] = smaller
    for token in renumbered.get("added_tokens", []):
        token["id"] = smaller[token["content"]]
    special = (renumbered.get("post_processor") or {}).get("special_tokens", {})
    for token in special.values():
        token["ids"] = [smaller[piece] for piece in token["tokens"]]
    return Pruned(tokenizer=renumbered, kept=kept)


def coverage(encodings: Iterable[Sequence[int]], full: Iterable[Sequence[int]], *, unknown: int) -> Coverage:
    """Compare how two tokenizers read the same texts, the smaller one first; both lists hold [CLS] and [SEP]."""
    tokens = missing = before = 0
    for ids, others in zip(encodings, full, strict=True):
        tokens += len(ids) - 2
        missing += sum(index == unknown for index in ids)
        before += len(others) - 2
    return Coverage(tokens=tokens, unknown=missing, longer=tokens / max(1, before))
