"""The similarity function with its real model, as it is shipped, and the layer as `handlers/build.py` left it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textmodel.checking import InvalidInput
from tokenizers import Tokenizer

from handlers import build
from handlers.distill import cold
from handlers.similarity import app

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

ROOT = Path(__file__).parents[2]
STS_BENCHMARK = ROOT.parent / "shared" / "data" / "stsb" / "sts-test.csv"

UNZIPPED_LIMIT = 262_144_000
"""Bytes of code and layers together (Lambda developer guide, "Lambda quotas", 2026-07)."""

SPEARMAN_FLOAT32 = 83.25
"""Of STS-B test, by the shipped student's float32 export (its MODEL_CARD.md); every third row is taken here."""

MODELS = {name: build.HANDLERS / name / "model" for name in build.FUNCTIONS}

FLUTE, BAMBOO, STOCKS = (
    "A man is playing a flute.",
    "A man is playing a bamboo flute.",
    "Stocks fell sharply on Monday.",
)


PARTS = (build.LAYER / "python", build.SHARED, build.HANDLERS / "similarity")
"""What Lambda puts on the path of the function."""


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """Without the build, or with an older one, nothing here would test what is deployed."""
    if not build.is_current(build.LAYER, build.layer_key(build.Interpreter.read(Path(sys.executable)))):
        pytest.fail("the layer is not built, or not from these sources: run `make handlers-build`", pytrace=False)


def similarity(sentence1: str, sentence2: str) -> float:
    """What the handler answers to one pair."""
    answer: Any = app.handler({"sentence1": sentence1, "sentence2": sentence2}, None)
    assert list(answer) == ["similarity"]
    assert isinstance(answer["similarity"], float)
    return answer["similarity"]


def spearman(left: ArrayLike, right: ArrayLike) -> float:
    """Rank correlation times 100; ties share their mean rank."""

    def ranks(values: ArrayLike) -> NDArray[np.float64]:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        mean_ranks: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
        return mean_ranks[inverse]

    return 100 * float(np.corrcoef(ranks(left), ranks(right))[0, 1])


@pytest.mark.parametrize("sentence", [FLUTE, "a", "?", "🎉", "東京タワー", "naïve café", "x" * 5000, "[CLS] [SEP]"])
def test_a_sentence_is_like_itself(sentence: str) -> None:
    """Exactly 1, whatever the script, the length or the special tokens it spells."""
    assert similarity(sentence, sentence) == 1.0


def test_meaning_orders_the_answers() -> None:
    """A paraphrase is nearer than an unrelated sentence; case does not count."""
    assert similarity(FLUTE, BAMBOO) == pytest.approx(0.88, abs=0.05)
    assert similarity(FLUTE, STOCKS) < 0.2
    assert similarity(FLUTE, FLUTE.upper()) == 1.0


@settings(max_examples=40)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_give_a_cosine_or_a_refusal(sentence1: str, sentence2: str) -> None:
    """In [-1, 1] and the same in either order."""
    try:
        forth = similarity(sentence1, sentence2)
    except InvalidInput as refused:
        assert "is empty" in str(refused)  # noqa: PT017 - refusals are one of two outcomes here
    else:
        assert -1.0 <= forth <= 1.0
        assert similarity(sentence2, sentence1) == forth


def test_a_batch_answers_exactly_as_single_pairs() -> None:
    """The neighbours of a pair in a request have no influence on its result, to the last digit."""
    sentences = [FLUTE, BAMBOO, STOCKS, "word " * 150, "Hi", FLUTE]
    pairs = [list(both) for both in pairwise(sentences)]
    answer: Any = app.handler({"pairs": pairs}, None)
    assert answer["results"] == [{"similarity": similarity(*both)} for both in pairs]


@pytest.mark.parametrize(("tokens", "truncated"), [(255, False), (256, False), (257, True), (2500, True)])
def test_a_long_text_is_read_up_to_the_limit(tokens: int, *, truncated: bool) -> None:
    """256 tokens run whole; what follows is left out, and the answer says so."""
    text = "word " * (tokens - 2)
    assert len(app.load_model().tokenise(text)) == tokens
    answer: Any = app.handler({"sentence1": FLUTE, "sentence2": text}, None)
    assert answer.get("truncated", False) is truncated
    beyond = tokens >= 256  # one word more is one too many
    assert beyond == (similarity_of(text + " good") == similarity_of(text + " bad"))


def similarity_of(text: str) -> float:
    """To a short sentence, whether truncated or not."""
    answer: Any = app.handler({"sentence1": FLUTE, "sentence2": text}, None)
    return float(answer["similarity"])


@pytest.mark.parametrize("text", ["x" * 1_000_000, "東" * 10_000, "🎉" * 10_000, "a " * 5000, "\u0301" * 20_000 + "a"])
def test_ten_thousand_characters_are_answered(text: str) -> None:
    """In any script, and marked as truncated; a text that is empty as far as it is read is refused."""
    try:
        answer: Any = app.handler({"sentence1": FLUTE, "sentence2": text}, None)
    except InvalidInput as refused:
        assert "is empty" in str(refused)  # noqa: PT017 - refusals are one of two outcomes here
    else:
        assert answer["truncated"] is True


def test_short_texts_are_not_padded() -> None:
    """The published tokenizer pads to 128 tokens, which would cost seven times the time."""
    assert len(app.load_model().tokenise(FLUTE)) == 9


@pytest.mark.parametrize("text", ["\x00", "\u200b\u200d", "\u0301"])
def test_a_text_that_the_tokenizer_drops_whole_is_empty(text: str) -> None:
    """Control characters, joiners and lone accents leave nothing to compare."""
    with pytest.raises(InvalidInput, match=r"^sentence1 is empty: nothing in it"):
        similarity(text, FLUTE)


@pytest.mark.skipif(not STS_BENCHMARK.exists(), reason="the STS benchmark lies beside the repository on some machines")
def test_int8_keeps_the_quality_of_float32() -> None:
    """Rank correlation with people's judgement on a third of STS-B test, near that of full precision on all of it."""
    with STS_BENCHMARK.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[::3]
    found = [similarity(row[5], row[6]) for row in rows]
    assert len(rows) == 460
    assert spearman(found, [float(row[4]) for row in rows]) == pytest.approx(SPEARMAN_FLOAT32, abs=2.0)


def test_the_model_loads_in_init_from_the_layer_alone(tmp_path: Path) -> None:
    """On Lambda importing the module loads the model from the layer's packages: nothing printed, no telemetry kept."""
    code = "import sys, app; print(app.load_model.cache_info().currsize); print(app.handler.__module__)"
    environment = {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(map(str, PARTS)),
    }
    command = [sys.executable, "-S", "-B", "-c", code]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, ["1", "app"], "")
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("name", MODELS)
def test_a_cold_start_is_mostly_its_imports(name: str) -> None:
    """In CPU time, which other processes change little: 1.6 times that of the three imports when it was measured."""
    found = cold.measure(name, rounds=3)
    assert min(each.cpu for each in found.imports) < min(each.cpu for each in found.init)
    assert min(each.cpu for each in found.init) < 3 * min(each.cpu for each in found.imports)


def test_importing_elsewhere_loads_nothing() -> None:
    """A notebook or a test that imports the handler pays nothing until it calls it."""
    code = "import sys, app; print(sorted({'numpy', 'onnxruntime', 'tokenizers'} & set(sys.modules)))"
    command = [sys.executable, "-S", "-B", "-c", code]
    ended = subprocess.run(
        command, env={"PYTHONPATH": os.pathsep.join(map(str, PARTS))}, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("folder", [build.LAYER, *MODELS.values()], ids=["layer", *MODELS])
def test_everyone_may_read_what_is_deployed(folder: Path) -> None:
    """The function runs as uid 993: every folder can be entered and every file read."""
    assert all(
        path.stat().st_mode & (wanted := 0o555 if path.is_dir() else 0o444) == wanted
        for path in [folder, *folder.rglob("*")]
    )


def test_the_layer_is_trimmed_and_compiled() -> None:
    """Three packages, their licences, code that is never recompiled, and all of it within Lambda's limit."""
    packages = build.LAYER / "python"
    names = {path.name.split("-")[0].split(".")[0] for path in packages.iterdir()}
    assert names == {"NOTICE", "numpy", "onnxruntime", "tokenizers"}
    notice = (packages / "NOTICE").read_text("utf-8")
    assert all(name in notice for name in ("numpy-", "onnxruntime", "MIT License"))
    assert len(list(packages.glob("*.dist-info/WHEEL"))) == 3
    compiled = [path.read_bytes()[4:8] for path in packages.rglob("*.pyc")]
    assert len(compiled) == len(list(packages.rglob("*.py")))
    assert set(compiled) == {b"\x01\0\0\0"}  # hash-based and unchecked (PEP 552)
    assert (
        build.weigh(build.LAYER)["bytes"] + sum(build.weigh(folder)["bytes"] for folder in MODELS.values())
        < UNZIPPED_LIMIT
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_models_are_small_and_carry_a_card(name: str) -> None:
    """At most 15 MB each; the tokenizer neither pads nor cuts, as the published one does; the card names licences."""
    folder = MODELS[name]
    assert sorted(path.name for path in folder.iterdir()) == ["MODEL_CARD.md", "model.onnx", "tokenizer.json"]
    assert 5e6 < (folder / "model.onnx").stat().st_size <= 15e6
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    assert (tokenizer["padding"], tokenizer["truncation"]) == (None, None)
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    assert hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest() in card  # figures are of this very file
    assert all(words in card for words in ("Licence", "Apache-2.0", "CC BY", "## Limits", "## Making it again"))


@pytest.mark.parametrize("name", MODELS)
def test_a_shared_batch_hardly_changes_an_answer(name: str) -> None:
    """A scale for each block of each token; with one scale for all (dynamic int8) these change by 0.06."""
    tokenizer = Tokenizer.from_file(str(MODELS[name] / "tokenizer.json"))
    tokenizer.enable_padding()
    session = onnxruntime.InferenceSession(MODELS[name] / "model.onnx", providers=["CPUExecutionProvider"])

    def rows(texts: list[str]) -> NDArray[np.float32]:
        read = tokenizer.encode_batch(texts)
        feeds = {"input_ids": [each.ids for each in read], "attention_mask": [each.attention_mask for each in read]}
        feeds["token_type_ids"] = [each.type_ids for each in read]
        found: NDArray[np.float32] = session.run(None, {key: np.array(value) for key, value in feeds.items()})[0]
        return found

    texts = [FLUTE, STOCKS, "The room was not bad at all.", "word " * 40, "I love it!", "What does error 403 mean?"]
    alone = np.concatenate([rows([text]) for text in texts])
    assert np.abs(rows(texts) - alone).max() < 0.005


def test_both_models_together_leave_room() -> None:
    """With their tokenizers at most 32 MB."""
    names = ("model.onnx", "tokenizer.json")
    assert sum((folder / name).stat().st_size for folder in MODELS.values() for name in names) <= 32e6
