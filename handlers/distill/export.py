"""From a saved encoder to what is deployed: `model.onnx` (int8, fused) and `tokenizer.json`; float32 stays beside it.

Opset 17; the axes `batch` and `sequence` of `input_ids`, `attention_mask` and `token_type_ids` are dynamic.
"""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import onnxruntime
from safetensors.numpy import load_file

from handlers.distill.graph import BertShape, build_model
from handlers.distill.quantise import ACCURACY_LEVEL, BLOCK, drop_new_attributes, quantise
from handlers.distill.record import Record, write_whole

FULL = "float32.onnx"
MODEL = "model.onnx"
HEAD_FILE = "head.safetensors"

SETTINGS = {
    "opset": 17,
    "int8": f"tables by row, MatMulNBits of 8 bits in blocks of {BLOCK}, accuracy level {ACCURACY_LEVEL}",
}


def optimise(source: Path, target: Path) -> None:
    """Fuse operators once, here, so that a cold start need not.

    The extended level at most: the level above it rearranges weights for the CPU it runs on.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def export(saved: Path, output: Path) -> None:
    """Write `model.onnx`, `float32.onnx` and `tokenizer.json`, from what `Encoder.save` left in `saved`."""
    files = [saved / "model.safetensors", saved / "config.json", saved / "tokenizer.json"]
    record = Record(step="export", settings=SETTINGS, inputs=files)
    output.mkdir(parents=True, exist_ok=True)
    weights = load_file(files[0])
    if (saved / HEAD_FILE).exists():
        weights |= load_file(saved / HEAD_FILE)
    shape = BertShape.read(json.loads(files[1].read_text("utf-8")))
    onnx.save(build_model(weights, shape), output / FULL)
    quantised = output / ".int8.onnx"
    onnx.save(quantise(onnx.load(output / FULL)), quantised)
    optimise(quantised, output / MODEL)
    onnx.save(drop_new_attributes(onnx.load(output / MODEL)), output / MODEL)
    quantised.unlink()
    tokenizer = json.loads(files[2].read_text("utf-8")) | {"padding": None, "truncation": None}
    write_whole(output / "tokenizer.json", json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")))
    sizes = {path.name: path.stat().st_size for path in (output / MODEL, output / FULL, output / "tokenizer.json")}
    record.write(output, {"bytes": sizes}, [output / MODEL, output / "tokenizer.json"])
