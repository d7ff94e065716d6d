"""A tokenizer and an ONNX model of one folder, loaded for a quick cold start and run one text at a time.

Measured with onnxruntime 1.32, one thread, int8 MiniLM-L6 (22.9 MB), least of 7 fresh processes, milliseconds of CPU:
numpy 44, onnxruntime 19, tokenizers 3, tokenizer.json of 30,522 pieces 16, session 36, first text 2.5; 105 MB resident.

| session option, against ours | session | a text of 10 tokens | resident |
|---|--:|--:|--:|
| ours: optimised when built, not again; arena, patterns, prepacking on | 36 ms | 1.1 ms | 105 MB |
| graph optimised again (default level) | 37 | 1.1 | 106 |
| no memory arena | 35 | 1.1 | 110 |
| no memory patterns | 35 | 1.1 | 106 |
| no prepacking of weights | 28 | 1.8 | 99 |
| ORT format | 41 | 1.1 | 119 |
| ORT format from bytes used in place | 47 | 1.1 | 123 |
| tokenizer read in a second thread meanwhile | 58 both, not 52 | 1.1 | 113 |
| two threads | 38 | 1.2 | 105 |

So the ORT format, the second thread and the arena's switch gain nothing; prepacking costs 8 ms once and saves 0.7 ms a
text.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from textmodel.checking import InvalidInput, Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

MAX_TOKENS = 256
"""Of one text, [CLS] and [SEP] included; what follows is left out, and the answer says `"truncated": true`.

all-MiniLM-L6-v2 was trained on texts of up to 256 tokens (its sentence_bert_config.json)."""

SPECIAL_TOKENS = 2
"""[CLS] and [SEP]."""

MEGABYTES_PER_VCPU = 1769
"""Lambda developer guide, "Configure Lambda function memory", 2026-07."""


class ModelUnavailable(ImportError):
    """The model's files are missing or unreadable.

    An ImportError, since awslambdaric reports one that leaves a handler's module in one line, without a stack trace.
    """


class Model(Protocol):
    """What `compute` needs of a model."""

    def tokenise(self, content: str) -> list[int]:
        """Token ids with [CLS] and [SEP], uncut."""

    def run(self, tokens: list[int]) -> NDArray[np.float64]:
        """The model's output for one text."""


class Computed(NamedTuple):
    """A model's output for one text; `truncated` if the text had more tokens than the model reads."""

    output: NDArray[np.float64]
    truncated: bool


def cut_tokens(text: Text, tokens: list[int]) -> list[int]:
    """At most MAX_TOKENS with [SEP] still at the end; InvalidInput for a text of which the tokenizer leaves nothing."""
    if len(tokens) <= SPECIAL_TOKENS:
        raise InvalidInput(f"{text.place} is empty: nothing in it is a letter, a digit or a sign")
    return tokens if len(tokens) <= MAX_TOKENS else [*tokens[: MAX_TOKENS - 1], tokens[-1]]


def compute(model: Model, texts: Iterable[Text]) -> dict[str, Computed]:
    """Outputs by content: all texts are checked before the first is computed, and none is computed twice.

    One text per run of the model: int8 rounds a little otherwise in a shared batch (by up to 0.002; models quantised
    dynamically by up to 0.08 in cosine on STS-B). The price, measured with one of those, 33 sentences of 7 to 35 tokens
    on one thread: 52 ms one by one, 33 ms in four batches of like length, 82 ms in one padded batch.
    """
    tokens: dict[str, list[int]] = {}
    truncated: set[str] = set()
    for text in texts:
        if text.content not in tokens:
            whole = model.tokenise(text.content)
            tokens[text.content] = cut_tokens(text, whole)
            if len(whole) > MAX_TOKENS:
                truncated.add(text.content)
    return {content: Computed(model.run(ids), content in truncated) for content, ids in tokens.items()}


def first_line(error: Exception) -> str:
    """Of onnxruntime's and tokenizers' messages, which can be long."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class OnnxModel:
    """`model.onnx` and `tokenizer.json` of one folder; making one is most of a cold start.

    `output` is what the model must call its first output, `width` how many values it must give for a text, None where
    any number will do: the model of another function fails here, not in an answer.
    """

    def __init__(self, folder: Path, output: str, *, threads: int, width: int | None = None) -> None:
        for name in ("model.onnx", "tokenizer.json"):
            if not (folder / name).is_file():
                raise ModelUnavailable(f"{name} is missing in {folder}: deploy the function with its model folder")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else `import numpy` starts a thread for each CPU it sees
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # since 1.29 its wheels report each session to their maker otherwise
        import onnxruntime  # noqa: PLC0415 - slow, and what checks events does without
        from tokenizers import Tokenizer  # noqa: PLC0415 - the same

        onnxruntime.set_default_logger_severity(4)  # fatal alone: it warns of GPUs, and what fails is raised as well
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # done when it was built
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would burn the CPU quota
        path = folder / "model.onnx"
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            path = folder / "tokenizer.json"
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001 - neither library has a base class for what it raises
            raise ModelUnavailable(f"{path.name} in {folder} cannot be read: {first_line(error)}") from None
        self._tokenizer.no_padding()  # published files can order padding and a cut to 128 tokens
        self._tokenizer.no_truncation()
        self._inputs = {value.name for value in self._session.get_inputs()}
        found = self._session.get_outputs()[0]
        if found.name != output or width not in {None, found.shape[-1]}:
            expected = f"{output} [batch, {width or 'any'}]"
            raise ModelUnavailable(f"model.onnx in {folder} gives {found.name} {found.shape}, expected {expected}")

    def tokenise(self, content: str) -> list[int]:
        """Token ids with [CLS] and [SEP], uncut."""
        ids: list[int] = self._tokenizer.encode(content).ids
        return ids

    def run(self, tokens: list[int]) -> NDArray[np.float64]:
        """The first output's one row, in float64."""
        import numpy as np  # noqa: PLC0415 - the same

        ids = np.array([tokens], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        outputs = self._session.run(None, {name: feeds[name] for name in self._inputs})
        row: NDArray[np.float64] = outputs[0][0].astype(np.float64)
        return row


def thread_count(memory_mb: int) -> int:
    """As many threads as vCPUs of the memory size: one up to 1,769 MB, then one more for each further 1,769 MB begun.

    Not as many as CPUs are visible: of two at 512 MB the function may use 0.29.
    """
    return max(1, -(-memory_mb // MEGABYTES_PER_VCPU))


def load(folder: Path, output: str, *, width: int | None = None) -> OnnxModel:
    """The model of a function, with the threads that its memory size (AWS_LAMBDA_FUNCTION_MEMORY_SIZE) pays for."""
    memory_mb = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"))
    return OnnxModel(folder, output, threads=thread_count(memory_mb), width=width)
