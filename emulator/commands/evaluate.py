"""`preflight evaluate`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from emulator import console
from emulator.cli_options import backend_option, network_option, overrides_option, template_option, variables_option
from emulator.cli_output import note, print_data, print_log
from emulator.cli_setup import backend, function, here
from emulator.sandbox import Choice

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.evidence import Sample
    from emulator.golden.evaluation import Evaluation
    from emulator.golden.run import Golden
    from emulator.progress import Bar

_MB = 1024 * 1024


class EvaluateOptions(TypedDict):
    """What `preflight evaluate` is told, as click hands it over."""

    name: str
    template_path: Path | None
    parameters: dict[str, str]
    variables: Path | None
    dataset: Path
    answer: str
    scorer: str
    reference: Path | None
    answers: Path | None
    memory_mb: int | None
    environments: int | None
    fresh: bool
    network: str | None
    backend: Choice
    as_json: bool


@click.command
@click.argument("name")
@template_option
@overrides_option
@variables_option
@click.option("--dataset", type=click.Path(path_type=Path), required=True, metavar="FILE.jsonl", help="Golden cases.")
@click.option("--answer", default="", metavar="JMESPATH", help="Where the answer lies in the payload (default: all).")
@click.option(
    "--scorer",
    default="accuracy",
    show_default=True,
    metavar="S",
    help="accuracy, macro_f1, spearman, pearson, exact or module:function.",
)
@click.option("--reference", type=click.Path(path_type=Path), metavar="FILE", help="Answers to compare with.")
@click.option("--answers", type=click.Path(path_type=Path), metavar="FILE", help="Write the answers, as a reference.")
@click.option("--memory", "memory_mb", type=int, metavar="MB", help="Instead of the template's MemorySize.")
@click.option(
    "--environments", type=click.IntRange(min=1), metavar="N", help="Side by side (default: as many as fit here)."
)
@click.option("--fresh", is_flag=True, help="Forget the answers of a run that was interrupted.")
@network_option
@backend_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every case.")
def evaluate(**options: Unpack[EvaluateOptions]) -> int:
    """Run a golden dataset through the function NAME under its limits, and score the answers.

    A case is one line of JSON: {"id": …, "event": …, "expected": …}. A run that was interrupted goes on where it was.
    The exit status is 1 when a case has no answer.
    """
    from emulator.output_files import check_place, write_whole  # noqa: PLC0415 - see above
    from emulator.progress import Bar  # noqa: PLC0415 - what other commands need not wait for

    config = function(options).overridden(memory_mb=options["memory_mb"])
    if options["answers"] is not None:
        check_place(options["answers"], "--answers")
    golden = _golden(options, here())
    with Bar(quiet=options["as_json"]) as bar:
        evaluation, samples = _run(config, golden, options, bar)
    if options["answers"] is not None:
        lines = (json.dumps({"id": score.case_id, "answer": score.answer}) + "\n" for score in evaluation.scores)
        write_whole(options["answers"], "".join(lines).encode(), "--answers")
    _print(evaluation, samples, as_json=options["as_json"])
    return 1 if evaluation.failures else 0


def _golden(options: EvaluateOptions, folder: Path) -> Golden:
    """Everything is read and checked before a sandbox is started."""
    from emulator.golden.run import golden  # noqa: PLC0415 - see above

    return golden(
        options["dataset"],
        scorer=options["scorer"],
        answer=options["answer"],
        reference=options["reference"],
        folder=folder,
    )


def _run(
    config: FunctionConfig, golden: Golden, options: EvaluateOptions, bar: Bar
) -> tuple[Evaluation, tuple[Sample, ...]]:
    from emulator.golden.journal import function_key, open_journal  # noqa: PLC0415 - see above
    from emulator.golden.run import GoldenRun, environments  # noqa: PLC0415 - see above
    from emulator.service import LambdaService, validate  # noqa: PLC0415 - see above

    validate(config)
    opened = backend(options["backend"], bar.say, ending="leave", network=options["network"])
    with LambdaService({config.name: config}, opened) as service:
        if not options["as_json"]:
            print_log(console.capability_line(service.backend) + "\n")
            for text in console.notes(config, service.backend):
                note(text)
        key = function_key(config, opened.name)
        with open_journal(golden.dataset.sha256, key, fresh=options["fresh"]) as journal:
            if journal.earlier and not options["as_json"]:
                note(f"{len(journal.earlier)} answers of an interrupted run are taken over; --fresh asks again")
            run = GoldenRun(service, config, golden, journal, bar, begin=time.perf_counter())
            try:
                found = run.run(alone=0, workers=options["environments"] or environments(config))
            except KeyboardInterrupt:
                bar.done()
                if journal.path is not None:
                    note(f"the answers so far are kept in {journal.path}: the same command goes on from there")
                raise
            journal.finish()
    return found


def _print(evaluation: Evaluation, samples: tuple[Sample, ...], *, as_json: bool) -> None:
    from emulator.golden.text import evaluation_lines  # noqa: PLC0415 - see above
    from emulator.report.json import evaluation_object  # noqa: PLC0415 - see above

    peaks = [sample.memory_bytes for sample in samples if sample.memory_bytes is not None]
    if as_json:
        value = {**evaluation_object(evaluation), "max_memory_mb": max(peaks) / _MB if peaks else None}
        print_data(console.json_line(value))
        return
    lines = list(evaluation_lines(evaluation))
    if peaks:
        lines.insert(2, f"{'memory':<12} {max(peaks) / _MB:.1f} MB at most")
    print_data("\n".join(lines))
