"""Lambda function: how alike two English sentences are in meaning, by an int8 all-MiniLM-L6-v2 sentence encoder.

{"sentence1": str, "sentence2": str}   ->  {"similarity": float}
{"pairs": [[str, str], ...]}           ->  {"results": [{"similarity": float}, ...]}

A similarity is a cosine in [-1, 1]. Anything else in raises InvalidInput, which the caller sees as `errorType`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_TOKENS = 512
"""The encoder has this many positions, [CLS] and [SEP] included; a longer text is refused, never silently cut."""

MAX_CHARACTERS = 50_000
"""Far above 512 tokens of prose: tokenising 6 million characters took 1.7 GB and 12 s (measured, tokenizers 0.23)."""

MAX_PAIRS = 256

EXPECTED = 'expected {"sentence1": str, "sentence2": str} or {"pairs": [[str, str], ...]}'

JSON_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
}

MEGABYTES_PER_VCPU = 1769
"""Lambda developer guide, "Configure Lambda function memory", 2026-07."""


class InvalidInput(ValueError):
    """The event is not one that this function answers; the message names the part and what was expected of it."""


class Text(NamedTuple):
    """One sentence and where it stood in the event, for messages."""

    place: str
    content: str


class Request(NamedTuple):
    """A checked event; `batch` says in which form the caller wants the answer."""

    pairs: list[tuple[Text, Text]]
    batch: bool


class Encoder(Protocol):
    """What `answer` needs of a sentence encoder."""

    def tokenise(self, content: str) -> list[int]:
        """Token ids with [CLS] and [SEP], uncut."""

    def embed(self, tokens: list[int]) -> NDArray[np.float64]:
        """The vector of one sentence, of length 1."""


def check_text(place: str, value: object) -> Text:
    """One sentence, or InvalidInput that says what is wrong at `place`."""
    if not isinstance(value, str):
        raise InvalidInput(f"{place} is {JSON_NAMES.get(type(value), 'an object')}: {EXPECTED}")
    if not value.strip():
        raise InvalidInput(f"{place} is empty: it must hold a sentence")
    if len(value) > MAX_CHARACTERS:
        raise InvalidInput(f"{place} has {len(value)} characters: at most {MAX_CHARACTERS} (and {MAX_TOKENS} tokens)")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair, and no encoder can read it
        raise InvalidInput(f"{place} is not valid Unicode: lone surrogate at character {error.start}") from None
    return Text(place, value)


def check_pair(index: int, value: object) -> tuple[Text, Text]:
    """One element of `pairs`."""
    place = f"pairs[{index}]"
    if not isinstance(value, list):
        raise InvalidInput(f"{place} is {JSON_NAMES.get(type(value), 'an object')}: {EXPECTED}")
    if len(value) != 2:  # noqa: PLR2004 - a pair
        raise InvalidInput(f"{place} has length {len(value)}: a pair is two sentences")
    return check_text(f"{place}[0]", value[0]), check_text(f"{place}[1]", value[1])


def parse(event: object) -> Request:
    """Check the whole event before anything is computed; keys that this function does not know are ignored."""
    if not isinstance(event, Mapping):
        raise InvalidInput(f"the event is {JSON_NAMES.get(type(event), 'not an object')}: {EXPECTED}")
    if "pairs" not in event:
        for key in ("sentence1", "sentence2"):
            if key not in event:
                raise InvalidInput(f"{key} is missing: {EXPECTED}")
        pair = check_text("sentence1", event["sentence1"]), check_text("sentence2", event["sentence2"])
        return Request([pair], batch=False)
    if "sentence1" in event or "sentence2" in event:
        raise InvalidInput(f"the event has both pairs and a sentence: {EXPECTED}")
    pairs = event["pairs"]
    if not isinstance(pairs, list):
        raise InvalidInput(f"pairs is {JSON_NAMES.get(type(pairs), 'an object')}: {EXPECTED}")
    if not 1 <= len(pairs) <= MAX_PAIRS:
        raise InvalidInput(f"pairs has length {len(pairs)}: 1 to {MAX_PAIRS} pairs are answered at once")
    return Request([check_pair(index, pair) for index, pair in enumerate(pairs)], batch=True)


def tokenise(encoder: Encoder, text: Text) -> list[int]:
    """Token ids that the encoder can read whole."""
    tokens = encoder.tokenise(text.content)
    if len(tokens) > MAX_TOKENS:
        raise InvalidInput(f"{text.place} has {len(tokens)} tokens: at most {MAX_TOKENS}, [CLS] and [SEP] included")
    if len(tokens) <= 2:  # noqa: PLR2004 - [CLS] and [SEP] alone: control characters, say
        raise InvalidInput(f"{text.place} is empty: nothing in it is a letter, a digit or a sign")
    return tokens


def answer(request: Request, encoder: Encoder) -> dict[str, object]:
    """Compare every pair; a sentence that occurs twice is computed once.

    One sentence per run of the model: the scales of dynamic int8 are per batch, so that in a shared batch the result of
    a pair would depend on its neighbours (by up to 0.08 on STS-B).
    """
    texts: dict[str, Text] = {}
    for pair in request.pairs:
        for text in pair:
            texts.setdefault(text.content, text)
    tokens = {content: tokenise(encoder, text) for content, text in texts.items()}
    vectors = {content: encoder.embed(ids) for content, ids in tokens.items()}
    results = []
    for first, second in request.pairs:
        cosine = float(vectors[first.content] @ vectors[second.content])
        results.append({"similarity": round(max(-1.0, min(1.0, cosine)), 6)})
    return {"results": results} if request.batch else {**results[0]}


class OnnxEncoder:
    """Tokenizer and model of one folder; making one is most of a cold start."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else `import numpy` starts a thread for each CPU it sees
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # since 1.29 its wheels report each session to their maker otherwise
        import onnxruntime  # noqa: PLC0415 - slow, and what checks events does without
        from tokenizers import Tokenizer  # noqa: PLC0415 - the same

        onnxruntime.set_default_logger_severity(3)  # 3 = errors: it warns of each GPU that a Lambda does not have
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # done when it was built
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would burn the CPU quota
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def tokenise(self, content: str) -> list[int]:
        """Token ids with [CLS] and [SEP], uncut."""
        ids: list[int] = self._tokenizer.encode(content).ids
        return ids

    def embed(self, tokens: list[int]) -> NDArray[np.float64]:
        """384 numbers; of length 1 in float64, so that a sentence compared with itself gives exactly 1."""
        import numpy as np  # noqa: PLC0415 - the same

        ids = np.array([tokens], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        vector = self._session.run(None, feeds)[0][0].astype(np.float64)
        unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
        return unit


def thread_count(memory_mb: int) -> int:
    """As many threads as vCPUs: one up to 1,769 MB, then one more for each further 1,769 MB begun."""
    return max(1, -(-memory_mb // MEGABYTES_PER_VCPU))


@functools.cache
def load_encoder() -> OnnxEncoder:
    """The encoder of this execution environment, made at the first call."""
    memory_mb = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"))
    return OnnxEncoder(Path(__file__).parent / "model", threads=thread_count(memory_mb))


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    load_encoder()  # in the Init phase, where Lambda does not throttle; importing this module elsewhere costs nothing


def handler(event: object, context: object) -> dict[str, object]:
    """Lambda's entry point."""
    try:
        return answer(parse(event), load_encoder())
    except InvalidInput as refused:
        raise refused.with_traceback(None) from None  # the caller's mistake: where we noticed it tells them nothing
