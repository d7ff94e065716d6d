"""Last steps: ONNX files of teachers and students, and the students' places under handlers/."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from handlers.distill.evaluate import Candidate, candidates
from handlers.distill.parity import parity
from handlers.distill.record import Job, write_whole

STUDENTS = {"sentiment": "student", "similarity": "tuned"}
"""The run's folder that holds what ships of each task."""


def student_folder(run: Path, task: str) -> Path:
    """What ships of a task: an average of two students where one was made."""
    averaged = run / task / "averaged" / "best"
    return averaged if averaged.exists() else run / task / STUDENTS[task] / "best"


def exports(run: Path, task: str) -> tuple[Path, Path]:
    """Where the ONNX files of the teacher and of the student lie."""
    return run / task / "export" / "teacher", run / task / "export" / "student"


def all_candidates(run: Path) -> list[Candidate]:
    """Everything that was exported."""
    return [each for task in STUDENTS for each in candidates(task, *exports(run, task))]


def ship(job: Job, output: Path) -> dict[str, dict[str, float]]:
    """Export all, compare each student with its network on dev, then replace the shipped files of both tasks."""
    from handlers.distill import encoders  # noqa: PLC0415 - torch, which naming what was exported does without
    from handlers.distill.export import MODEL, export  # noqa: PLC0415 - onnx, the same

    found = {}
    for task in STUDENTS:
        whole, small = exports(job.run, task)
        saved = job.run / task / "teacher" / "best"
        if not saved.exists():  # of similarity, whose teacher is used as it comes
            encoders.load_teacher(job.teacher).save(saved)
        export(saved, whole)
        export(student_folder(job.run, task), small)
        found[task] = parity(task, student_folder(job.run, task), small, job.data)
        write_whole(small / "parity.json", json.dumps(found[task], indent=1) + "\n")
    for task in STUDENTS:
        target = output / task / "model"
        target.mkdir(parents=True, exist_ok=True)
        for name in (MODEL, "tokenizer.json"):
            shutil.copyfile(exports(job.run, task)[1] / name, target / name)
    return found
