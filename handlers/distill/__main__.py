"""The pipeline, one command a step, each resumable and done once: `python -m handlers.distill STEP --run FOLDER`.

In order: prepare; sentiment-teacher, sentiment-silver, sentiment-student; similarity-vectors, similarity-student,
similarity-tune; export; evaluate; cold; cards. `cases` writes a public data set in the form of a golden
dataset; `untrimmed` makes a function that Lambda would refuse.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from handlers.distill import corpora
from handlers.distill.cold import ALLOWED_MS, TooSlow, measure
from handlers.distill.corpora import DataError
from handlers.distill.record import RECORD, Job, done, write_whole
from handlers.distill.schedule import Settings

TEACHER = "sentence-transformers/all-MiniLM-L6-v2"
FOUR_LAYERS = "0,2,4,5"
EXTRA = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers", "datasets", "safetensors")


def layers_of(text: str) -> list[int]:
    """`0,2,5` as numbers."""
    return [int(part) for part in text.split(",")]


def job_of(options: argparse.Namespace) -> Job:
    """What all steps of training share."""
    return Job(run=options.run, data=options.data, teacher=options.teacher)


def tokenizer_of(name: str) -> dict[str, object]:
    """The teacher's `tokenizer.json`, of a folder or of a hub name."""
    local = Path(name) / "tokenizer.json"
    if local.exists():
        content: dict[str, object] = json.loads(local.read_text("utf-8"))
        return content
    from handlers.distill import encoders  # noqa: PLC0415 - torch, for this step only

    published: dict[str, object] = json.loads(encoders.load_teacher(name).tokenizer.to_str())
    return published


def prepare(options: argparse.Namespace) -> None:
    """Training texts free of dev, test and golden sentences, and the vocabulary that they use."""
    from handlers.distill.prepare import prepare as run_it  # noqa: PLC0415 - tokenizers, for this step only

    run_it(job_of(options), tokenizer_of(options.teacher), options.golden, options.share)


def sentiment_teacher(options: argparse.Namespace) -> None:
    """Fine-tune a teacher on the gold labels."""
    from handlers.distill import sentiment  # noqa: PLC0415 - torch, for this step only

    settings = Settings(
        epochs=options.epochs or 2, batch=options.batch or 32, rate=options.rate or 5e-5, seed=options.seed
    )
    sentiment.train_teacher(job_of(options), settings, options.begin)


def sentiment_silver(options: argparse.Namespace) -> None:
    """The teacher's labels for every text of the pool, computed once."""
    from handlers.distill import sentiment  # noqa: PLC0415 - torch, for this step only

    sentiment.write_silver(job_of(options))


def sentiment_student(options: argparse.Namespace) -> None:
    """A student of some of the teacher's layers, on silver and gold labels."""
    from handlers.distill import sentiment  # noqa: PLC0415 - torch, for this step only

    settings = Settings(
        epochs=options.epochs or 2, batch=options.batch or 64, rate=options.rate or 1e-4, seed=options.seed
    )
    sentiment.train_student(job_of(options), settings, layers_of(options.layers), options.begin)


def sentiment_average(options: argparse.Namespace) -> None:
    """Weights between those of the student and of the one that it went on from, where both have their merits."""
    from handlers.distill import sentiment  # noqa: PLC0415 - torch, for this step only

    if options.begin is None:
        raise DataError("--begin is missing: the folder of the best state that the student went on from")
    sentiment.average_students(job_of(options), options.begin, options.weight)


def similarity_vectors(options: argparse.Namespace) -> None:
    """The teacher's vectors of every text of the pool, computed once."""
    from handlers.distill import similarity  # noqa: PLC0415 - torch, for this step only

    similarity.write_vectors(job_of(options))


def similarity_student(options: argparse.Namespace) -> None:
    """A student of some of the teacher's layers, on the teacher's geometry."""
    from handlers.distill import similarity  # noqa: PLC0415 - torch, for this step only

    settings = Settings(
        epochs=options.epochs or 2, batch=options.batch or 64, rate=options.rate or 3e-4, seed=options.seed
    )
    similarity.train_student(job_of(options), settings, layers_of(options.layers))


def similarity_tune(options: argparse.Namespace) -> None:
    """Tune that student on STS-B train."""
    from handlers.distill import similarity  # noqa: PLC0415 - torch, for this step only

    settings = Settings(
        epochs=options.epochs or 6, batch=options.batch or 32, rate=options.rate or 3e-5, seed=options.seed
    )
    similarity.tune_student(job_of(options), settings)


def export(options: argparse.Namespace) -> None:
    """ONNX files of both tasks, the shipped ones under handlers/*/model, with the parity of torch, float32 and int8."""
    from handlers.distill.ship import ship  # noqa: PLC0415 - onnx, for this step only

    print(json.dumps(ship(job_of(options), options.output), indent=1))


def evaluate(options: argparse.Namespace) -> None:
    """The table of scores, as JSON in the run's folder and as Markdown on standard output."""
    from handlers.distill.evaluate import evaluate as score  # noqa: PLC0415 - onnxruntime, for this step only
    from handlers.distill.evaluate import table  # noqa: PLC0415 - the same
    from handlers.distill.ship import all_candidates  # noqa: PLC0415 - the same

    golden = {task: options.golden / f"{task}.jsonl" for task in ("sentiment", "similarity")}
    found = all_candidates(options.run)
    if not found:
        raise FileNotFoundError(f"{options.run} holds no model: the step export has not been done")
    results = [score(each, options.data, golden[each.task]) for each in found]
    write_whole(options.run / "scores.json", json.dumps(results, indent=1) + "\n")
    print(table(results), end="")


def cold(options: argparse.Namespace) -> None:
    """The init phase of the functions under handlers/ beside its imports, in fresh processes: 1 if over 0.3 s more."""
    found = {task: measure(task, options.rounds).summary() for task in ("sentiment", "similarity")}
    write_whole(options.run / "cold.json", json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    slow = [task for task, summary in found.items() if summary["beyond_least_ms"] > ALLOWED_MS]
    if slow:
        raise TooSlow(f"init of {', '.join(slow)} takes more than {ALLOWED_MS:.0f} ms beyond its imports")


def cards(options: argparse.Namespace) -> None:
    """A model card beside each shipped model, from the scores and records of the run."""
    from handlers.distill.card import write_cards  # noqa: PLC0415 - onnxruntime, for this step only

    write_cards(options.run, options.output, json.loads((options.run / "scores.json").read_text("utf-8")))


def untrimmed(options: argparse.Namespace) -> None:
    """The similarity function with the teacher in float32 and untrimmed packages: too large for Lambda, by measure."""
    from handlers.distill.export import export as to_onnx  # noqa: PLC0415 - onnx, for this step only
    from handlers.distill.untrimmed import make  # noqa: PLC0415 - the same

    architecture = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    template = make(Path(options.teacher), options.run / "untrimmed", architecture, to_onnx)
    print(f"preflight weigh UntrimmedFunction -t {template}\npreflight gate UntrimmedFunction -t {template}")


def cases(options: argparse.Namespace) -> None:
    """Print one split of a public data set as JSON lines `{"id", "event", "expected"}`."""
    for case in corpora.load(options.set, options.split, options.data):
        print(case.to_json())


STEPS: dict[str, tuple[Callable[[argparse.Namespace], None], str | None]] = {
    "prepare": (prepare, "prepare"),
    "sentiment-teacher": (sentiment_teacher, "sentiment/teacher"),
    "sentiment-silver": (sentiment_silver, "sentiment/silver"),
    "sentiment-student": (sentiment_student, "sentiment/student"),
    "sentiment-average": (sentiment_average, "sentiment/averaged"),
    "similarity-vectors": (similarity_vectors, "similarity/vectors"),
    "similarity-student": (similarity_student, "similarity/student"),
    "similarity-tune": (similarity_tune, "similarity/tuned"),
    "export": (export, None),
    "evaluate": (evaluate, None),
    "cold": (cold, None),
    "cards": (cards, None),
    "untrimmed": (untrimmed, None),
}
"""The function of a step, and the folder whose record says that it is done; None for a step that is done each time."""


def parser() -> argparse.ArgumentParser:
    """All steps take the same options; each reads those that concern it."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--run", type=Path, default=Path("handlers/.build/distill"), help="what the steps make lies here"
    )
    common.add_argument("--data", type=Path, help="folder with sst2/, stsb/ and so on; without it, the hub")
    common.add_argument("--teacher", default=TEACHER, help="a folder or a hub name that transformers loads")
    common.add_argument("--golden", type=Path, default=Path("fixtures/golden"), help="never trained on")
    common.add_argument("--layers", default=FOUR_LAYERS, help="the teacher's layers that a student begins with")
    for name, kind in (("--epochs", int), ("--batch", int), ("--rate", float)):
        common.add_argument(name, type=kind, help="instead of the step's own")
    common.add_argument("--begin", type=Path, help="sentiment: the folder of a best state to go on from")
    common.add_argument("--weight", type=float, default=0.5, help="sentiment-average: the student's part, 0 to 1")
    common.add_argument("--share", type=float, default=1.0, help="prepare: of SST-2's phrases and the pool, this share")
    common.add_argument("--seed", type=int, default=1)
    common.add_argument("--rounds", type=int, default=9, help="cold: fresh processes of each kind")
    common.add_argument("--output", type=Path, default=Path("handlers"), help="export and cards write below it")
    made = argparse.ArgumentParser(prog="python -m handlers.distill", description=(__doc__ or "").split("\n\n")[0])
    steps = made.add_subparsers(dest="step", required=True, metavar="STEP")
    for name, (function, _) in STEPS.items():
        steps.add_parser(name, parents=[common], help=function.__doc__)
    single = steps.add_parser("cases", help=cases.__doc__)
    single.add_argument("set", choices=sorted(corpora.LOADERS))
    single.add_argument("split", help="train, dev or test; of tweeteval val")
    single.add_argument("--data", type=Path, help="folder with sst2/, stsb/ and so on; without it, the hub")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 done, now or before; 1 failed with one line and a hint; 130 interrupted, to be taken up again."""
    options = parser().parse_args(arguments)
    function, folder = STEPS.get(options.step, (cases, None))
    if folder is not None and (account := done(options.run / folder)) is not None:
        print(f"{options.step}: done at {account['finished']}; to do it again, remove {options.run / folder / RECORD}")
        return 0
    try:
        function(options)
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        print(f"{options.step} needs {error.name}\n\nhint: pip install 'lambda-preflight[distill]'", file=sys.stderr)
        return 1
    except (DataError, FileNotFoundError, TooSlow) as error:
        hint = "steps go in the order that --help names; --data is the folder that holds sst2/, stsb/ and so on"
        if isinstance(error, TooSlow):
            hint = "on a busy machine --rounds 25 finds a quieter moment"
        print(f"{options.step}: {error}\n\nhint: {hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, and the interpreter shall not complain either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
