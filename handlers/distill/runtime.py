"""A model as the functions run it: one text a run, one thread, tokenizer and ONNX file of one folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from handlers.distill.corpora import LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TOKENS = 256
RUNS = 7
"""Of each text, when time is taken."""


class Model:
    """One session; `rows` are the model's outputs, one per text.

    One text a run, as the functions do: nothing is padded, and int8 rounding does not see a text's neighbours.
    """

    def __init__(self, model: Path, tokenizer: Path, *, fused: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if fused:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def row(self, text: str) -> NDArray[np.float32]:
        """The output for one text."""
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        result: NDArray[np.float32] = self._session.run(None, feeds)[0][0]
        return result

    def rows(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Outputs in the order of the texts."""
        return np.stack([self.row(text) for text in texts])

    def similarities(self, pairs: Sequence[dict[str, str]]) -> list[float]:
        """Cosine of each pair's vectors."""
        first, second = (self.rows([pair[key] for pair in pairs]) for key in ("sentence1", "sentence2"))
        return [float(one.astype(np.float64) @ other) for one, other in zip(first, second, strict=True)]

    def milliseconds(self, texts: Sequence[str]) -> dict[str, float]:
        """CPU time of one text at one thread, tokenising included: quantiles over the texts of the least of 7 runs.

        It is the wall time of a thread that has a CPU for itself; the least, since other users of a machine only add.
        """
        times = np.full(len(texts), np.inf)
        for _ in range(RUNS):
            for place, text in enumerate(texts):
                begin = time.thread_time()
                self.row(text)
                times[place] = min(times[place], 1000 * (time.thread_time() - begin))
        return {f"p{share}": round(float(np.percentile(times, share)), 2) for share in (50, 95, 99)}


def labels_of(rows: NDArray[Any]) -> list[str]:
    """The likeliest of the three labels."""
    return [LABELS[index] for index in rows.argmax(1).tolist()]


def binary_labels_of(rows: NDArray[Any]) -> list[str]:
    """The likelier of negative and positive, with neutral left out."""
    return ["positive" if row[2] > row[0] else "negative" for row in rows]
