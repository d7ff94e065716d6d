"""From a float32 graph to 8-bit weights whose results hardly depend on a batch's neighbours or on the CPU.

Chosen on dev (SST-2, SST-5 as three classes, TweetEval val; STS-B): mean difference from float32 of a probability and
of a cosine, and milliseconds of one SST-2 text at one thread (least of 7, a shared machine with AVX512-VNNI):

| weights | sentiment | label agreement | similarity | MB | ms | a batch of 16 against one by one |
|---|--:|--:|--:|--:|--:|--:|
| float32 | 0 | 100 % | 0 | 54.5, 58.4 | 4.1 | 6e-8 |
| before: dynamic int8 per channel, reduced range, tables whole | 0.0116 | 97.4 % | 0.0074 | 13.8, 14.8 | 1.6 | 0.117 |
| the same with tables by row | 0.0116 | 97.2 % | 0.0071 | 13.9, 14.8 | 1.6 | 0.053 |
| tables by row alone | 0.0022 | 99.6 % | 0.0010 | 35.0, 36.0 | 4.1 | 6e-8 |
| tables by row, blocks of 32 | 0.0030 | 99.5 % | 0.0016 | 14.7, 15.7 | 3.9 | 6e-8 |
| **tables by row, blocks of 128** | 0.0033 | 99.3 % | 0.0024 | 14.0, 15.0 | 3.1 | 5e-4 |

Dynamic int8 loses by its activations, of which one scale serves all tokens: it is the faster, and 8 bits of its weights
instead of 7 gain nothing. Blocks of 64 would not fit 15 MB in the similarity model. An emulated CPU with AVX2 alone
(QEMU's Haswell, three texts) gave the same labels, and probabilities within 1e-4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from handlers.distill.graph import HEAD

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 128
"""Weights along the inputs that share a scale."""

BITS = 8
ACCURACY_LEVEL = 4
"""MatMulNBits computes in int8, each token's activations with a scale a block; without it 20 times slower here."""

DOMAIN = "com.microsoft"
ZERO = 128
"""What MatMulNBits takes off each stored weight."""


def by_row(table: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Signed 8-bit rows, each with a scale: float32 [rows, 1]."""
    scales = np.abs(table).max(axis=1, keepdims=True).astype(np.float32) / 127
    scales[scales == 0] = 1
    return np.rint(table / scales).astype(np.int8), scales


def by_block(weight: NDArray[Any], block: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Weights [outputs, inputs] as MatMulNBits stores them, [outputs, blocks, block], and their scales, flat.

    A scale's sign is such that the largest weight of its block is -128 steps: the one more that the range has there.
    """
    blocks = weight.reshape(len(weight), -1, block)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[..., None], axis=2)
    scales = (-largest / ZERO).astype(np.float32)
    scales[scales == 0] = 1
    steps = np.clip(np.rint(blocks / scales), -ZERO, ZERO - 1)
    return (steps + ZERO).astype(np.uint8), scales.reshape(-1)


def look_up(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """A Gather of float32 rows by one of 8-bit rows and one of their scales."""
    table, indices = node.input
    output = node.output[0]
    return [
        helper.make_node("Gather", [f"{table}.rows", indices], [f"{output}.rows"], name=f"{output}.rows", axis=0),
        helper.make_node("Cast", [f"{output}.rows"], [f"{output}.steps"], name=f"{output}.steps", to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{table}.scales", indices], [f"{output}.scales"], name=f"{output}.scales", axis=0),
        helper.make_node("Mul", [f"{output}.steps", f"{output}.scales"], [output], name=output),
    ]


def multiply(node: onnx.NodeProto, outputs: int, inputs: int, block: int) -> onnx.NodeProto:
    """A MatMul with a constant by one with a blocked constant."""
    value, weight = node.input
    return helper.make_node(
        "MatMulNBits",
        [value, f"{weight}.blocks", f"{weight}.scales"],
        list(node.output),
        name=node.name,
        domain=DOMAIN,
        K=inputs,
        N=outputs,
        bits=BITS,
        block_size=block,
        accuracy_level=ACCURACY_LEVEL,
    )


def block_of(inputs: int) -> int:
    """BLOCK, or in a narrower network the largest power of two that divides its width, 16 at least."""
    return min(BLOCK, inputs & -inputs)


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """All embedding tables and all constant MatMuls but the head's, which is 5 kB and decides; the input is altered."""
    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    made: dict[str, list[tuple[str, NDArray[Any]]]] = {}
    for node in graph.node:
        place = {"Gather": 0, "MatMul": 1}.get(node.op_type)
        name = node.input[place] if place is not None else ""
        if name not in constants or name.startswith(HEAD):
            nodes.append(node)
            continue
        weight = numpy_helper.to_array(constants[name])
        if node.op_type == "Gather":
            rows, scales = by_row(weight)
            made[name] = [(f"{name}.rows", rows), (f"{name}.scales", scales)]
            nodes += look_up(node)
        else:
            inputs, outputs = weight.shape
            blocks, scales = by_block(weight.T, block_of(inputs))
            made[name] = [(f"{name}.blocks", blocks), (f"{name}.scales", scales)]
            nodes.append(multiply(node, outputs, inputs, block_of(inputs)))
    kept = [each for each in graph.initializer if each.name not in made]
    added = [numpy_helper.from_array(value, name) for pairs in made.values() for name, value in pairs]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *added])
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return model


def drop_new_attributes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the attribute at its default that onnxruntime 1.32 writes into fused nodes and older ones refuse."""
    for node in model.graph.node:
        for attribute in [each for each in node.attribute if each.name == "weight_prepacked" and each.i == 0]:
            node.attribute.remove(attribute)
    return model
