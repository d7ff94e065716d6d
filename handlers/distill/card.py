"""A model card beside each shipped model: words from `cards/`, every figure from the run's own records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from handlers.distill import cold
from handlers.distill.evaluate import table
from handlers.distill.record import done, write_whole

WORDS = Path(__file__).parent / "cards"

STEPS = {
    "sentiment": {
        "prepare": "prepare",
        "sentiment-teacher": "sentiment/teacher",
        "sentiment-silver": "sentiment/silver",
        "sentiment-student": "sentiment/student",
        "sentiment-average": "sentiment/averaged",
    },
    "similarity": {
        "prepare": "prepare",
        "similarity-vectors": "similarity/vectors",
        "similarity-student": "similarity/student",
        "similarity-tune": "similarity/tuned",
    },
}
"""The steps that make each model, with the folders of their records."""

LEFT_OUT = """\
No dev, test or golden sentence is among them (compared by letters and digits alone). Tweets, Blitzer's reviews, TREC
and MSRP, which lie beside this data, were left out: their licences do not clearly allow a published model."""

SHAPE = Template("""\
BERT of $layers layers and $width dimensions, begun as layers $numbers of the teacher, mean pooling. $pieces word
pieces, those that the training texts use: on the dev set $unknown % of the tokens are unknown, and texts are $longer %
longer.

ONNX opset 17. Inputs `input_ids`, `attention_mask` and `token_type_ids`, int64, their axes `batch` and `sequence`
dynamic, at most 512 tokens. 8-bit weights: embeddings with a scale a row, matrices in blocks of 128
(`MatMulNBits`, onnxruntime 1.22 or newer), computed in int8 with a scale for each block of each token. So a result
hardly depends on a batch's neighbours (by 0.002 in batches of 16 dev texts) or on the CPU.""")

SCORES = Template("""\
One thread of a shared x86-64 machine with AVX512-VNNI; milliseconds are CPU time, the least of 7 runs of each text.
`model.onnx` has the SHA-256 `$sha256`.

$table
Torch, ONNX float32 and ONNX int8 compared on every dev example:

$parity$cold""")


def option_texts(settings: Mapping[str, Any]) -> list[str]:
    """The command line's options that give these settings."""
    shown = [
        f"--{key} {settings[key]}" for key in ("share", "epochs", "batch", "rate", "seed", "weight") if key in settings
    ]
    if "layers" in settings:
        shown.append(f"--layers {','.join(str(layer) for layer in settings['layers'])}")
    if settings.get("begin"):
        role = Path(settings["begin"]).parent.name
        shown.append(f"--begin FIRST/sentiment/{role}/best")
    return shown


def steps_done(task: str, run: Path, name: str) -> list[str]:
    """The steps that made this model, with their settings and the seconds that they took; an earlier run's first."""
    common = f"--data DATA --teacher TEACHER --run {name}"
    lines, earlier = [], None
    for step, folder in STEPS[task].items():
        account = done(run / folder)
        if account is None and step == "sentiment-average":
            continue  # for a second round only
        if account is None:
            raise FileNotFoundError(f"{run / folder} holds no record: the step {step} has not been done")
        earlier = account["settings"].get("begin") or earlier
        options = " ".join([common, *option_texts(account["settings"])])
        lines.append(f"python -m handlers.distill {step} {options}  # {account['seconds']:.0f} s")
    return [*(steps_done(task, Path(earlier).parents[2], "FIRST") if earlier else []), *lines]


def first_run(task: str, run: Path) -> Path:
    """The run that the student was begun in, whose vocabulary it has."""
    account = done(run / STEPS[task][f"{task}-student"])
    begin = account["settings"].get("begin") if account else None
    return first_run(task, Path(begin).parents[2]) if begin else run


def commands(task: str, run: Path) -> str:
    """All that leads to this model and its card."""
    last = [
        f"python -m handlers.distill {step} --data DATA --run RUN" for step in ("export", "evaluate", "cold", "cards")
    ]
    last[0] += " --teacher TEACHER"
    return "\n".join(["```console", *steps_done(task, run, "RUN"), *last, "```"])


def card(task: str, run: Path, results: Sequence[Mapping[str, Any]]) -> str:
    """The card's Markdown; FileNotFoundError where a step has not been done."""
    parity: dict[str, float] = json.loads((run / task / "export" / "student" / "parity.json").read_text("utf-8"))
    again = commands(task, run)
    prepared = (done(first_run(task, run) / "prepare") or {})["scores"][task]
    layers = (done(run / STEPS[task][f"{task}-student"]) or {})["settings"]["layers"]
    config = json.loads((run / STEPS[task][f"{task}-student"] / "best" / "config.json").read_text("utf-8"))
    shape = {
        "width": config["hidden_size"],
        "layers": len(layers),
        "numbers": ", ".join(str(layer) for layer in layers),
        "pieces": prepared["pieces"],
        "unknown": f"{100 * prepared['dev_unknown_rate']:.3f}",
        "longer": f"{100 * (prepared['dev_longer'] - 1):.1f}",
    }
    differences = "\n".join(f"- {name.replace('_', ' ')}: {value:.6g}" for name, value in parity.items())
    started = cold.read(run / "cold.json").get(task)
    chosen = [result for result in results if result["task"] == task]
    return Template((WORDS / f"{task}.md").read_text("utf-8")).substitute(
        shape=SHAPE.substitute(shape),
        left_out=LEFT_OUT,
        scores=SCORES.substitute(
            sha256=next(result["sha256"] for result in chosen if result["model"] == "student int8"),
            table=table(chosen),
            parity=differences,
            cold=f"\n\n{cold.words(started)}" if started else "",
        ),
        again=again,
    )


def write_cards(run: Path, output: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """`MODEL_CARD.md` in each shipped model's folder."""
    for task in STEPS:
        write_whole(output / task / "model" / "MODEL_CARD.md", card(task, run, results))
