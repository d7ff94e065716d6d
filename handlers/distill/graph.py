"""BERT encoders as ONNX graphs, written operator by operator from a checkpoint's weights, without torch.

The graph is BertModel as in Devlin et al. 2019 (post-layer-norm, exact GELU), then mean pooling over the attention
mask, then either L2 normalisation or a softmax over a linear layer. Everything is in the graph, so that a function
needs no more than a tokenizer, one `run` and, for a similarity, a dot product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

OPSET = 17
"""The first opset with LayerNormalization as one operator; any onnxruntime since 1.13 reads it."""

IR_VERSION = 8
"""The file format that goes with opset 17: `onnx` would write its own newest, which older runtimes refuse."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
EMBEDDING = "sentence_embedding"
SCORES = "scores"
"""Names of the only output: float32 [batch, hidden] of length 1, or [batch, labels] that sum to 1."""

HEAD = "classifier"

MASKED = -10_000.0
"""Added to the score of a padded position: e**-10000 is exactly 0 in float32, and a fully padded row stays finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BertShape:
    """The sizes of one BERT encoder, as its `config.json` states them."""

    layers: int
    heads: int
    hidden: int
    positions: int
    epsilon: float

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> BertShape:
        """Raise ValueError for an encoder that this graph would compute wrongly, rather than export it."""
        for key, expected in (("model_type", "bert"), ("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
            if config.get(key, expected) != expected:
                message = f"config.json: {key} is {config[key]!r}, and this exporter knows {expected!r} only"
                raise ValueError(message)
        return cls(
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            hidden=config["hidden_size"],
            positions=config["max_position_embeddings"],
            epsilon=config["layer_norm_eps"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphBuilder:
    """Collects nodes and initializers; each method returns the name of the value it makes."""

    weights: Mapping[str, NDArray[Any]]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        """Add one single-output operator; the name falls back to its kind and position."""
        output = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def tensor(self, name: str, value: NDArray[Any]) -> str:
        """Add an initializer once; asking for the same name again reuses it."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def scalar(self, name: str, value: float) -> str:
        """Add a float32 constant of rank 0."""
        return self.tensor(name, np.array(value, dtype=np.float32))

    def shape(self, name: str, value: Sequence[int]) -> str:
        """Add an int64 vector, as Reshape, Unsqueeze and Slice want them."""
        return self.tensor(name, np.array(value, dtype=np.int64))

    def parameter(self, name: str) -> str:
        """Add one tensor of the checkpoint under its own name."""
        return self.tensor(name, self.weights[name])

    def linear(self, prefix: str, value: str) -> str:
        """x W^T + b; the weight is stored transposed, since ONNX MatMul multiplies from the right."""
        weight = self.tensor(f"{prefix}.weight.T", self.weights[f"{prefix}.weight"].T)
        product = self.op("MatMul", value, weight, name=f"{prefix}/MatMul")
        return self.op("Add", product, self.parameter(f"{prefix}.bias"), name=f"{prefix}/Add")

    def layer_norm(self, prefix: str, value: str, epsilon: float) -> str:
        """Normalise the last axis with the checkpoint's gain and bias."""
        gain, bias = self.parameter(f"{prefix}.weight"), self.parameter(f"{prefix}.bias")
        return self.op("LayerNormalization", value, gain, bias, name=prefix, axis=-1, epsilon=epsilon)

    def gelu(self, value: str) -> str:
        """Exact GELU in the order of operators that onnxruntime's GeluFusion looks for."""
        scaled = self.op("Div", value, self.scalar("sqrt_2", math.sqrt(2)))
        cdf = self.op("Add", self.op("Erf", scaled), self.scalar("one", 1.0))
        return self.op("Mul", self.op("Mul", value, cdf), self.scalar("half", 0.5))


def embed(graph: GraphBuilder, shape: BertShape) -> str:
    """Word, position and type embeddings, summed and normalised. All three are Gather, so that all are quantised."""
    length = graph.op("Slice", graph.op("Shape", "input_ids"), graph.shape("at_1", [1]), graph.shape("at_2", [2]))
    every_position = graph.tensor("positions", np.arange(shape.positions, dtype=np.int64)[None])
    positions = graph.op("Slice", every_position, graph.shape("at_0", [0]), length, graph.shape("at_1", [1]))

    def look_up(table: str, indices: str) -> str:
        return graph.op("Gather", graph.parameter(f"embeddings.{table}_embeddings.weight"), indices, axis=0)

    words = graph.op("Add", look_up("word", "input_ids"), look_up("token_type", "token_type_ids"))
    summed = graph.op("Add", words, look_up("position", positions))
    return graph.layer_norm("embeddings.LayerNorm", summed, shape.epsilon)


def attend(graph: GraphBuilder, shape: BertShape, prefix: str, value: str, mask: str) -> str:
    """Multi-head self-attention with its output projection."""
    split = graph.shape("split_heads", [0, 0, shape.heads, shape.hidden // shape.heads])
    query, key, content = (
        graph.op("Transpose", graph.op("Reshape", graph.linear(f"{prefix}.self.{part}", value), split), perm=order)
        for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3]))
    )
    scale = graph.scalar("sqrt_head", math.sqrt(shape.hidden // shape.heads))
    scores = graph.op("Add", graph.op("Div", graph.op("MatMul", query, key), scale), mask)
    heads = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), content)
    joined = graph.op(
        "Reshape", graph.op("Transpose", heads, perm=[0, 2, 1, 3]), graph.shape("join_heads", [0, 0, shape.hidden])
    )
    return graph.linear(f"{prefix}.output.dense", joined)


def encode(graph: GraphBuilder, shape: BertShape, value: str, mask: str) -> str:
    """All encoder layers: attention and feed-forward, each with a residual and the norm after it."""
    for index in range(shape.layers):
        layer = f"encoder.layer.{index}"
        attended = graph.op("Add", attend(graph, shape, f"{layer}.attention", value, mask), value)
        inner = graph.layer_norm(f"{layer}.attention.output.LayerNorm", attended, shape.epsilon)
        wide = graph.gelu(graph.linear(f"{layer}.intermediate.dense", inner))
        narrow = graph.op("Add", graph.linear(f"{layer}.output.dense", wide), inner)
        value = graph.layer_norm(f"{layer}.output.LayerNorm", narrow, shape.epsilon)
    return value


def pool(graph: GraphBuilder, tokens: str, mask: str) -> str:
    """Mean of the unmasked token vectors."""
    weights = graph.op("Unsqueeze", mask, graph.shape("last", [-1]))
    total = graph.op("ReduceSum", graph.op("Mul", tokens, weights), graph.shape("at_1", [1]), keepdims=0)
    count = graph.op("Clip", graph.op("ReduceSum", weights, "at_1", keepdims=0), graph.scalar("one", 1.0))
    return graph.op("Div", total, count)


def finish(graph: GraphBuilder, mean: str) -> tuple[str, int | None]:
    """The output's name and width: scores where the checkpoint has a head, else a vector of length 1 (None: hidden)."""
    if f"{HEAD}.weight" in graph.weights:
        graph.op("Softmax", graph.linear(HEAD, mean), name=SCORES, axis=-1)
        return SCORES, len(graph.weights[f"{HEAD}.bias"])
    norm = graph.op("ReduceL2", mean, axes=[-1], keepdims=1)
    graph.op("Div", mean, graph.op("Clip", norm, graph.scalar("tiny", 1e-12)), name=EMBEDDING)
    return EMBEDDING, None


def build_model(weights: Mapping[str, NDArray[Any]], shape: BertShape) -> onnx.ModelProto:
    """The float32 model; batch and sequence are free, everything else is fixed and checked."""
    graph = GraphBuilder(weights=weights)
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    blocked = graph.op("Mul", graph.op("Sub", graph.scalar("one", 1.0), mask), graph.scalar("masked", MASKED))
    bias = graph.op("Unsqueeze", blocked, graph.shape("heads_and_queries", [1, 2]))
    output, width = finish(graph, pool(graph, encode(graph, shape, embed(graph, shape), bias), mask))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "text_encoder",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in INPUTS],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width or shape.hidden])],
            list(graph.initializers.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lambda-preflight",
    )
    onnx.checker.check_model(model, full_check=True)
    return model
