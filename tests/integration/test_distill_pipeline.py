"""The whole pipeline on a tiny teacher and a handful of texts: every step by its command, in a minute."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from handlers.distill.__main__ import main
from handlers.distill.runtime import Model
from tests.unit.test_distill_texts import PIECES, tokenizer

torch = pytest.importorskip("torch", reason="the extra `distill` is not installed")
transformers = pytest.importorskip("transformers", reason="the extra `distill` is not installed")
pytest.importorskip("onnx", reason="the extra `distill` is not installed")

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("default")]  # torch and onnx warn of their own parts

SENTIMENT = ("sentiment-teacher", "sentiment-silver", "sentiment-student")
SIMILARITY = ("similarity-vectors", "similarity-student", "similarity-tune")


def write(path: Path, text: str) -> None:
    """A file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def words(number: int) -> str:
    """A different text for each number, of letters that the tiny vocabulary has."""
    return "cab " + " ".join("abc"[(number // 3**place) % 3] for place in range(6))


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of our own sentences a few are enough here."""
    monkeypatch.setattr("handlers.distill.prepare.OUR_TEXTS", 20)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """All sets in their published layouts; no text stands in two splits."""
    folder = tmp_path / "data"
    starts = {"train": 0, "dev": 200, "test": 300}
    for split, start in starts.items():
        texts = [words(start + index) for index in range(60 if split == "train" else 12)]
        rows = "".join(f"{text}\t{index % 2}\n" for index, text in enumerate(texts))
        write(folder / "sst2" / f"{split}.tsv", f"sentence\tlabel\n{rows}")
        rows = "".join(f"{index % 5}\t{text} !\n" for index, text in enumerate(texts))
        write(folder / "sst_sentence" / f"stsa.fine.{split}.tsv", f"label\tsentence\n{rows}")
        rows = "".join(f"main\timages\t-\t{at}\t{at % 6}.0\ta {text}\tb {text}\n" for at, text in enumerate(texts))
        write(folder / "stsb" / f"sts-{split}.csv", rows)
    write(folder / "tweeteval_sentiment" / "val_text.txt", "".join(f"c {words(400 + index)}\n" for index in range(9)))
    write(folder / "tweeteval_sentiment" / "val_labels.txt", "0\n1\n2\n" * 3)
    pool = "".join(f"cr\t{words(500 + index)}\n" for index in range(40))
    write(folder / "unlabelled" / "sentences.tsv", f"source\tsentence\n{pool}")
    return folder


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A BERT of three layers that has learnt nothing, as `transformers` saves one."""
    folder = tmp_path / "teacher"
    sizes = {"num_hidden_layers": 3, "hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 96}
    config = transformers.BertConfig(vocab_size=len(PIECES), **sizes)
    torch.manual_seed(1)
    transformers.BertModel(config).save_pretrained(folder)
    write(folder / "tokenizer.json", json.dumps(tokenizer()))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    write(folder / "tokenizer_config.json", json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **special}))
    return folder


def test_every_step_runs_once_and_its_models_answer(
    tmp_path: Path, data: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From texts to two shipped folders with cards; a second call of a step says that it is done."""
    run, output = tmp_path / "run", tmp_path / "handlers"
    common = ["--run", str(run), "--data", str(data), "--teacher", str(teacher), "--golden", str(tmp_path / "none")]
    small = ["--epochs", "1", "--batch", "32", "--layers", "0,2", "--output", str(output)]
    assert main(["sentiment-silver", *common]) == 1  # before the steps that it needs
    for step in ("prepare", *SENTIMENT, *SIMILARITY):
        assert main([step, *common, *small]) == 0, step
    second = ["--run", str(tmp_path / "second"), *common[2:]]  # goes on from the first, as what ships was made
    for step, role in (("prepare", ""), *((step, step.removeprefix("sentiment-")) for step in SENTIMENT)):
        begin = ["--begin", str(run / "sentiment" / role / "best")] if role in {"teacher", "student"} else []
        assert main([step, *second, *small, *begin]) == 0, step
    begin = ["--begin", str(run / "sentiment" / "student" / "best")]
    assert main(["sentiment-average", *second, *begin, "--weight", "0.4"]) == 0
    for step in ("export", "evaluate", "cards"):
        assert main([step, *common, *small]) == 0, step
    account = json.loads((tmp_path / "second" / "sentiment" / "averaged" / "record.json").read_text("utf-8"))
    assert account["settings"]["weight"] == 0.4
    capsys.readouterr()
    assert main(["sentiment-teacher", *common]) == 0
    assert "sentiment-teacher: done at" in capsys.readouterr().out
    scores = Model(output / "sentiment/model/model.onnx", output / "sentiment/model/tokenizer.json").row("cab abc")
    assert scores.shape == (3,)
    assert float(scores.sum()) == pytest.approx(1)
    vector = Model(output / "similarity/model/model.onnx", output / "similarity/model/tokenizer.json").row("cab abc")
    assert float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-4)
    for task in ("sentiment", "similarity"):
        assert "begun as layers 0, 2" in (output / task / "model" / "MODEL_CARD.md").read_text("utf-8")
    assert list(run.rglob("checkpoint.pt")) == []


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, data: Path, teacher: Path) -> None:
    """The second call takes up the checkpoint: it does the remaining steps, not all of them."""
    from handlers.distill import sentiment, training
    from handlers.distill.record import Job, done
    from handlers.distill.schedule import Settings

    job = Job(run=tmp_path / "run", data=data, teacher=str(teacher))
    assert main(["prepare", "--run", str(job.run), "--data", str(data), "--teacher", str(teacher)]) == 0
    settings = Settings(epochs=1, batch=16, rate=1e-3, checkpoint_s=0.0)
    updates: list[int] = []
    update = training.Trainer.update

    def counted(trainer: training.Trainer, loss: object) -> None:
        updates.append(trainer.progress.step)
        if len(updates) == 5:
            raise KeyboardInterrupt
        update(trainer, loss)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Trainer, "update", counted)
        with pytest.raises(KeyboardInterrupt):
            sentiment.train_teacher(job, settings)
        assert done(job.run / "sentiment" / "teacher") is None
        sentiment.train_teacher(job, settings)
    assert updates[:6] == [0, 1, 2, 3, 4, 4]
    assert updates[5:] == list(range(4, updates[-1] + 1))
    assert done(job.run / "sentiment" / "teacher") is not None


def test_labelling_goes_on_where_it_was(tmp_path: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that were computed before are read; the whole is what one pass gives."""
    from handlers.distill import encoders

    monkeypatch.setattr(encoders, "PART", 10)
    texts = [words(number) for number in range(25)]
    whole = encoders.load_teacher(str(teacher))
    expected = encoders.pool_all(whole, whole.encode(texts), fast=True)
    computed: list[int] = []
    pool_all = encoders.pool_all

    def counted(encoder: encoders.Encoder, encodings: list[list[int]], *, fast: bool) -> object:
        computed.append(len(encodings))
        if len(computed) == 2:
            raise KeyboardInterrupt
        return pool_all(encoder, encodings, fast=fast)

    monkeypatch.setattr(encoders, "pool_all", counted)
    with pytest.raises(KeyboardInterrupt):
        encoders.pool_in_parts(whole, texts, tmp_path / "parts")
    found = encoders.pool_in_parts(whole, texts, tmp_path / "parts")
    assert computed == [10, 10, 10, 5]
    assert torch.allclose(found, expected, atol=0.05)
