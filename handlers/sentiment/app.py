"""Lambda function: what an English text's writer feels, negative, neutral or positive, by a distilled int8 model.

{"text": str}            ->  {"label": str, "scores": {"negative": float, "neutral": float, "positive": float}}
{"texts": [str, ...]}    ->  {"results": [{"label": ..., "scores": ...}, ...]}

Scores are probabilities. A text of more than 256 tokens is read up to there, and its answer has `"truncated": true`.
HTTP requests and SQS messages that hold such an event are answered too (textmodel.callers). Anything else in raises
InvalidInput, which the caller sees as `errorType`.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from textmodel.callers import serve
from textmodel.checking import Text, check_batch, check_keys, check_text
from textmodel.encoding import Model, OnnxModel, compute, load

if TYPE_CHECKING:
    from collections.abc import Sequence

LABELS = ("negative", "neutral", "positive")
"""In the order of the model's outputs."""

MAX_TEXTS = 256

EXPECTED = 'expected {"text": str} or {"texts": [str, ...]}'


class Request(NamedTuple):
    """A checked event; `batch` says in which form the caller wants the answer."""

    texts: list[Text]
    batch: bool


def parse(event: object) -> Request:
    """Check the whole event before anything is computed; keys that this function does not know are ignored."""
    keys = check_keys(event, ("text",), "texts", EXPECTED)
    if "texts" not in keys:
        return Request([check_text("text", keys["text"], EXPECTED)], batch=False)
    texts = check_batch("texts", keys["texts"], MAX_TEXTS, EXPECTED)
    checked = [check_text(f"texts[{index}]", text, EXPECTED) for index, text in enumerate(texts)]
    return Request(checked, batch=True)


def judge(probabilities: Sequence[float]) -> dict[str, object]:
    """The likeliest label and all three scores, to six digits."""
    scores = {label: round(score, 6) for label, score in zip(LABELS, probabilities, strict=True)}
    return {"label": max(LABELS, key=scores.__getitem__), "scores": scores}


def answer(request: Request, model: Model) -> dict[str, object]:
    """Judge every text as if it were alone."""
    computed = compute(model, request.texts)
    results: list[dict[str, object]] = []
    for text in request.texts:
        output, truncated = computed[text.content]
        results.append(judge(output.tolist()) | ({"truncated": True} if truncated or text.cut else {}))
    return {"results": results} if request.batch else results[0]


@functools.cache
def load_model() -> OnnxModel:
    """The model of this execution environment, made at the first call."""
    return load(Path(__file__).parent / "model", "scores", width=len(LABELS))


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    load_model()  # in the Init phase, where Lambda does not throttle; importing this module elsewhere costs nothing


def handler(event: object, context: object) -> dict[str, object]:
    """Lambda's entry point."""
    return serve(event, lambda plain: answer(parse(plain), load_model()))
