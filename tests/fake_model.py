"""A text model without a model: what the handlers' unit tests run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTHING = "\x00"
"""The one text of which this tokenizer, as the real one, leaves nothing."""


class FakeModel:
    """One token a word between [CLS] and [SEP]; the output is what `output` makes of the ids. Runs are counted."""

    def __init__(self, output: Callable[[list[int]], Sequence[float]]) -> None:
        self.output = output
        self.runs: Counter[tuple[int, ...]] = Counter()

    def tokenise(self, content: str) -> list[int]:
        """101, the words' lengths, 102."""
        return [101, *(len(word) for word in content.split() if word != NOTHING), 102]

    def run(self, tokens: list[int]) -> NDArray[np.float64]:
        """Counted, then made."""
        self.runs[tuple(tokens)] += 1
        return np.array(self.output(tokens), dtype=np.float64)
