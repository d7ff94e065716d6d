"""How a model is loaded from the layer and the model's folder: quickly, or with one line that says why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from textmodel.encoding import ModelUnavailable, OnnxModel

from handlers import build

FUNCTION = build.HANDLERS / "similarity"
MODEL = FUNCTION / "model"
PARTS = (build.LAYER / "python", build.SHARED, FUNCTION)
"""What Lambda puts on the path of the function."""


def test_loading_costs_little_beside_the_imports() -> None:
    """CPU time of a cold start: tokenizer, session and first answer, against the imports of the libraries.

    Less than twice; measured on one core: 66 ms of imports, 55 ms of ours.
    """
    code = """
import os, time
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
begin = time.process_time()
import numpy, onnxruntime, tokenizers
imported = time.process_time()
import app
app.handler({"sentence1": "a", "sentence2": "b"}, None)
print((time.process_time() - imported) / (imported - begin))
"""
    environment = {"PYTHONPATH": os.pathsep.join(map(str, PARTS))}
    command = [sys.executable, "-S", "-B", "-c", code]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert float(ended.stdout) < 2


def variant(folder: Path, damage: str) -> Path:
    """A copy of the model's folder that something has happened to."""
    shutil.copytree(MODEL, folder / "model")
    name, _, what = damage.partition(" ")
    path = folder / "model" / name
    if what == "missing":
        path.unlink()
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    return folder / "model"


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "pointer"])
def test_a_damaged_model_is_one_clear_line(
    name: str, damage: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The file's name and what is wrong, as the error that awslambdaric reports without a stack trace."""
    with pytest.raises(ModelUnavailable) as caught:
        OnnxModel(variant(tmp_path, f"{name} {damage}"), "sentence_embedding", threads=1)
    wrong = "is missing in" if damage == "missing" else "cannot be read: "
    assert str(caught.value).startswith(name)
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("output", "width"), [("scores", None), ("sentence_embedding", 3)])
def test_the_model_of_another_function_is_refused(output: str, width: int | None) -> None:
    """In init, where a deployment shows it, and not in an answer."""
    with pytest.raises(ModelUnavailable, match=r"gives sentence_embedding \['batch', 384\], expected "):
        OnnxModel(MODEL, output, threads=1, width=width)


@pytest.mark.parametrize("name", ["sentiment", "similarity"])
def test_a_whole_deployment_package_is_small(name: str) -> None:
    """Function and both layers unzipped: at most 120 MB, less than half of what Lambda takes."""
    parts = (build.LAYER, build.SHARED, build.HANDLERS / name)
    assert sum(build.weigh(part)["bytes"] for part in parts) <= 120_000_000
