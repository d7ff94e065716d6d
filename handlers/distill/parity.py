"""Torch, ONNX in float32 and ONNX in int8 side by side on every dev example, with the largest difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handlers.distill import corpora
from handlers.distill.runtime import MAX_TOKENS, Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 2e-5
"""Largest difference allowed between torch and ONNX, both in float32; measured 1e-6."""


class ParityError(Exception):
    """The exported graph does not compute what the trained network computes."""


def torch_rows(saved: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """What the graph should give, by torch: probabilities where there is a head, else unit vectors."""
    import torch  # noqa: PLC0415 - an extra, and only this half of the module needs it

    from handlers.distill import encoders  # noqa: PLC0415 - the same

    encoder = encoders.load(saved)
    encoder.tokenizer.enable_truncation(MAX_TOKENS)
    pooled = encoders.pool_all(encoder, encoder.encode(texts), size=1)
    with encoders.inference(encoder):
        rows = torch.nn.functional.normalize(pooled) if encoder.head is None else encoder.head(pooled).softmax(1)
    result: NDArray[np.float32] = rows.numpy()
    return result


def compare(task: str, rows: dict[str, NDArray[Any]]) -> dict[str, float]:
    """Largest differences between the three; for sentiment of a probability, for similarity of a pair's cosine."""
    if task == "similarity":
        halves = {name: np.split(each, 2) for name, each in rows.items()}
        values = {name: np.sum(first * second, axis=1) for name, (first, second) in halves.items()}
    else:
        values = rows
    found = {
        "float32_max_difference": float(np.abs(values["torch"] - values["float32"]).max()),
        "int8_max_difference": float(np.abs(values["float32"] - values["int8"]).max()),
        "int8_mean_difference": float(np.abs(values["float32"] - values["int8"]).mean()),
    }
    if task == "sentiment":
        found["int8_label_agreement"] = float((rows["float32"].argmax(1) == rows["int8"].argmax(1)).mean())
    return found


def parity(task: str, saved: Path, exported: Path, data: Path | None) -> dict[str, float]:
    """Raise ParityError where the float32 graph is not the network; what int8 costs is reported, not judged."""
    if task == "sentiment":
        texts = [case.event["text"] for name in ("sst2", "sst3") for case in corpora.load(name, "dev", data)]
    else:
        cases = corpora.load("stsb", "dev", data)
        texts = [case.event[key] for key in ("sentence1", "sentence2") for case in cases]
    tokenizer = exported / "tokenizer.json"
    rows = {
        "torch": torch_rows(saved, texts),
        "float32": Model(exported / "float32.onnx", tokenizer, fused=False).rows(texts),
        "int8": Model(exported / "model.onnx", tokenizer).rows(texts),
    }
    found = {"examples": len(texts), **compare(task, rows)}
    if found["float32_max_difference"] > TOLERANCE:
        raise ParityError(f"torch and ONNX float32 differ by {found['float32_max_difference']:.2g} on {task} dev")
    return found
