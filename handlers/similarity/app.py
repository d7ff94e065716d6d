"""Lambda function: how alike two English sentences are in meaning, by an int8 sentence encoder.

{"sentence1": str, "sentence2": str}   ->  {"similarity": float}
{"pairs": [[str, str], ...]}           ->  {"results": [{"similarity": float}, ...]}

A similarity is a cosine in [-1, 1]. A sentence of more than 256 tokens is read up to there, and the pair's answer has
`"truncated": true`. HTTP requests and SQS messages that hold such an event are answered too (textmodel.callers).
Anything else in raises InvalidInput, which the caller sees as `errorType`.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from textmodel.callers import serve
from textmodel.checking import InvalidInput, Text, check_batch, check_keys, check_text, name_of
from textmodel.encoding import Model, OnnxModel, compute, load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_PAIRS = 256

EXPECTED = 'expected {"sentence1": str, "sentence2": str} or {"pairs": [[str, str], ...]}'


class Request(NamedTuple):
    """A checked event; `batch` says in which form the caller wants the answer."""

    pairs: list[tuple[Text, Text]]
    batch: bool


def check_pair(place: str, value: object) -> tuple[Text, Text]:
    """One element of `pairs`."""
    if not isinstance(value, list):
        raise InvalidInput(f"{place} is {name_of(value)}: {EXPECTED}")
    if len(value) != 2:  # noqa: PLR2004 - a pair
        raise InvalidInput(f"{place} has length {len(value)}: a pair is two sentences")
    return check_text(f"{place}[0]", value[0], EXPECTED), check_text(f"{place}[1]", value[1], EXPECTED)


def parse(event: object) -> Request:
    """Check the whole event before anything is computed; keys that this function does not know are ignored."""
    keys = check_keys(event, ("sentence1", "sentence2"), "pairs", EXPECTED)
    if "pairs" not in keys:
        first, second = (check_text(key, keys[key], EXPECTED) for key in ("sentence1", "sentence2"))
        return Request([(first, second)], batch=False)
    pairs = check_batch("pairs", keys["pairs"], MAX_PAIRS, EXPECTED)
    return Request([check_pair(f"pairs[{index}]", pair) for index, pair in enumerate(pairs)], batch=True)


def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of length 1 in float64, so that a sentence compared with itself gives exactly 1."""
    return vector / math.sqrt(vector @ vector)


def answer(request: Request, model: Model) -> dict[str, object]:
    """Compare every pair; a sentence that occurs twice is computed once."""
    computed = compute(model, (text for pair in request.pairs for text in pair))
    vectors = {content: unit(result.output) for content, result in computed.items()}
    results: list[dict[str, object]] = []
    for pair in request.pairs:
        first, second = (vectors[text.content] for text in pair)
        result: dict[str, object] = {"similarity": round(max(-1.0, min(1.0, float(first @ second))), 6)}
        if any(text.cut or computed[text.content].truncated for text in pair):
            result["truncated"] = True
        results.append(result)
    return {"results": results} if request.batch else results[0]


@functools.cache
def load_model() -> OnnxModel:
    """The encoder of this execution environment, made at the first call."""
    return load(Path(__file__).parent / "model", "sentence_embedding")


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    load_model()  # in the Init phase, where Lambda does not throttle; importing this module elsewhere costs nothing


def handler(event: object, context: object) -> dict[str, object]:
    """Lambda's entry point."""
    return serve(event, lambda plain: answer(parse(plain), load_model()))
