"""8-bit weights: what the two kinds of storage hold, and that the quantised graph answers as the float32 one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx", reason="the extra `distill` is not installed")
onnxruntime = pytest.importorskip("onnxruntime")

from handlers.distill import quantise  # noqa: E402 - needs onnx
from handlers.distill.graph import BertShape, build_model  # noqa: E402 - the same

SHAPE = BertShape(layers=2, heads=2, hidden=32, positions=16, epsilon=1e-12)
VALUES = st.lists(st.floats(-3, 3, width=32), min_size=64, max_size=64)


def checkpoint(seed: int) -> dict[str, np.ndarray]:
    """Weights of a small encoder with a head, and one row of the word table that is all zeros."""
    numbers = np.random.default_rng(seed)
    sizes = {"attention.self.query": (32, 32), "attention.self.key": (32, 32), "attention.self.value": (32, 32)}
    sizes |= {"attention.output.dense": (32, 32), "intermediate.dense": (64, 32), "output.dense": (32, 64)}
    shapes = {f"encoder.layer.{at}.{name}": size for at in range(2) for name, size in sizes.items()}
    weights = {f"{name}.weight": numbers.normal(0, 0.3, size) for name, size in shapes.items()}
    weights |= {f"{name}.bias": numbers.normal(0, 0.1, size[0]) for name, size in shapes.items()}
    norms = [f"encoder.layer.{at}.{part}output.LayerNorm" for at in range(2) for part in ("attention.", "")]
    for name in ["embeddings.LayerNorm", *norms]:
        weights |= {f"{name}.weight": np.ones(32), f"{name}.bias": np.zeros(32)}
    for name, rows in (("word", 50), ("position", 16), ("token_type", 2)):
        weights[f"embeddings.{name}_embeddings.weight"] = numbers.normal(0, 1, (rows, 32))
    weights["embeddings.word_embeddings.weight"][7] = 0
    weights |= {"classifier.weight": numbers.normal(0, 0.3, (3, 32)), "classifier.bias": np.zeros(3)}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def answers(model: Path, ids: np.ndarray) -> np.ndarray:
    """The scores of a batch."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    found: np.ndarray = session.run(None, feeds)[0]
    return found


@given(VALUES)
def test_a_row_is_off_by_half_a_step_at_most(values: list[float]) -> None:
    """Of its own step, whatever the other rows hold; zeros stay zeros."""
    table = np.array(values, np.float32).reshape(4, 16)
    rows, scales = quantise.by_row(table)
    assert (np.abs(rows * scales - table) <= scales * 0.501).all()
    assert scales.shape == (4, 1)


@given(VALUES)
def test_a_block_is_off_by_half_a_step_at_most(values: list[float]) -> None:
    """But where the range ends, at the other end than its largest weight: by a whole one."""
    weight = np.array(values, np.float32).reshape(2, 32)
    blocks, scales = quantise.by_block(weight, 16)
    assert (blocks.shape, scales.shape) == ((2, 2, 16), (4,))
    back = (blocks.astype(np.float32) - quantise.ZERO) * scales.reshape(2, 2, 1)
    assert (np.abs(back.reshape(2, 32) - weight) <= np.repeat(np.abs(scales), 16).reshape(2, 32) * 1.001).all()


@pytest.mark.parametrize(("inputs", "block"), [(384, 128), (1536, 128), (96, 32), (48, 16), (128, 128), (64, 64)])
def test_blocks_divide_the_inputs(inputs: int, block: int) -> None:
    """128 in what ships; smaller in a narrower network."""
    assert quantise.block_of(inputs) == block


def test_the_quantised_graph_answers_as_the_other(tmp_path: Path) -> None:
    """Near it, and not equal to it, which would mean that nothing was quantised; alone as in a batch."""
    model = build_model(checkpoint(1), SHAPE)
    onnx.save(model, tmp_path / "float32.onnx")
    onnx.save(quantise.quantise(model), tmp_path / "int8.onnx")
    ids = np.array([[1, 7, 9, 11, 3], [4, 20, 30, 41, 49]], np.int64)
    before, after = (answers(tmp_path / name, ids) for name in ("float32.onnx", "int8.onnx"))
    assert 0 < np.abs(after - before).max() < 0.03
    assert np.abs(answers(tmp_path / "int8.onnx", ids[:1]) - after[:1]).max() < 0.01
    kinds = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert (kinds.count("MatMulNBits"), kinds.count("Gather")) == (12, 6)
    assert {"classifier.weight.T"} <= {each.name for each in model.graph.initializer if each.data_type == 1}
