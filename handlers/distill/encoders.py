"""BERT encoders in torch: a teacher as `transformers` loads it, a student cut from its layers, mean pooling, a head."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, BertModel
from transformers.utils import logging as transformers_logging

from handlers.distill.bar import track

MAX_TOKENS = 128
"""Longer training texts are cut here; the positions above keep what the teacher learnt for them."""

HEAD = "head.safetensors"

PART = 8192
"""Texts between two checkpoints of a step that only reads them: half a minute on two cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A network with its tokenizer; `head` maps a pooled vector to logits, None for a plain sentence encoder."""

    net: Any
    tokenizer: Tokenizer
    head: Any = None

    def modules(self) -> list[Any]:
        """What has parameters."""
        return [self.net] if self.head is None else [self.net, self.head]

    def train(self, *, mode: bool) -> None:
        """Switch dropout on or off in all modules: a module left in training mode spoils every later comparison."""
        for module in self.modules():
            module.train(mode)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids, cut at MAX_TOKENS."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]

    def pooled(self, batch: Sequence[Sequence[int]]) -> Any:  # noqa: ANN401 - a torch.Tensor, and torch is an extra
        """The mean of each text's token vectors, float32 [batch, hidden]."""
        width = max(len(ids) for ids in batch)
        padded = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in batch])
        mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in batch])
        hidden = self.net(input_ids=padded, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).float()
        return (hidden * weights).sum(1) / weights.sum(1)

    def save(self, folder: Path) -> None:
        """As `transformers` saves a model, with `tokenizer.json` and the head beside it."""
        self.net.save_pretrained(folder)
        self.tokenizer.no_truncation()
        self.tokenizer.save(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        if self.head is not None:
            named = {f"classifier.{name}": value for name, value in self.head.state_dict().items()}
            save_file(named, folder / HEAD)


def bare(tokenizer: Tokenizer) -> Tokenizer:
    """Without the padding to 128 that a published tokenizer may carry, and cut at MAX_TOKENS."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def load_teacher(name: str) -> Encoder:
    """Any BERT that `transformers` loads, by folder or hub name."""
    transformers_logging.disable_progress_bar()
    fast = AutoTokenizer.from_pretrained(name).backend_tokenizer
    return Encoder(net=AutoModel.from_pretrained(name, add_pooling_layer=False), tokenizer=bare(fast))


def load(folder: Path) -> Encoder:
    """What `Encoder.save` wrote."""
    transformers_logging.disable_progress_bar()
    net = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    encoder = Encoder(net=net, tokenizer=bare(Tokenizer.from_file(str(folder / "tokenizer.json"))))
    if not (folder / HEAD).exists():
        return encoder
    weights = {name.removeprefix("classifier."): value for name, value in load_file(folder / HEAD).items()}
    head = new_head(net, len(weights["bias"]))
    head.load_state_dict(weights)
    return Encoder(net=net, tokenizer=encoder.tokenizer, head=head)


def new_head(net: Any, labels: int) -> Any:  # noqa: ANN401 - torch modules, and torch is an extra
    """One linear layer on the pooled vector."""
    return torch.nn.Linear(net.config.hidden_size, labels)


def with_tokenizer(encoder: Encoder, content: dict[str, Any]) -> Encoder:
    """The same network behind an adapted tokenizer of the same ids."""
    return Encoder(net=encoder.net, tokenizer=bare(Tokenizer.from_str(json.dumps(content))), head=encoder.head)


def cut(teacher: Encoder, *, layers: Sequence[int], kept: Sequence[int], tokenizer: dict[str, Any]) -> Encoder:
    """A student of the teacher's named layers and of the kept rows of its embeddings; it starts from their weights."""
    config = type(teacher.net.config).from_dict(teacher.net.config.to_dict())
    config.num_hidden_layers, config.vocab_size = len(layers), len(kept)
    net = BertModel(config, add_pooling_layer=False)
    wanted = net.state_dict()
    source = teacher.net.state_dict()
    for name in wanted:
        parts = name.split(".")
        if parts[:2] == ["encoder", "layer"]:
            parts[2] = str(layers[int(parts[2])])
        value = source[".".join(parts)]
        wanted[name] = value[list(kept)] if "word_embeddings" in name else value
    net.load_state_dict(wanted)
    head = None
    if teacher.head is not None:
        head = new_head(net, teacher.head.out_features)
        head.load_state_dict(teacher.head.state_dict())
    return Encoder(net=net, tokenizer=bare(Tokenizer.from_str(json.dumps(tokenizer))), head=head)


def average(first: Encoder, second: Encoder, weight: float) -> Encoder:
    """The first encoder with all its weights moved towards the second's by that share; both have one shape."""
    for module, other in zip(first.modules(), second.modules(), strict=True):
        theirs = other.state_dict()
        ours = module.state_dict()
        moved = {name: torch.lerp(ours[name], theirs[name], weight) for name in ours if ours[name].is_floating_point()}
        module.load_state_dict({**ours, **moved})
    return first


@contextlib.contextmanager
def inference(encoder: Encoder) -> Iterator[None]:
    """Neither dropout nor gradients."""
    encoder.train(mode=False)
    with torch.no_grad():
        yield


def pool_all(encoder: Encoder, encodings: Sequence[Sequence[int]], *, size: int = 64, fast: bool = False) -> Any:  # noqa: ANN401 - torch again
    """Pooled vectors of many texts, in their order; texts of one length share a batch. `fast` computes in bfloat16."""
    order = sorted(range(len(encodings)), key=lambda index: len(encodings[index]))
    result = torch.empty(len(encodings), encoder.net.config.hidden_size)
    with inference(encoder), torch.autocast("cpu", torch.bfloat16, enabled=fast):
        for start in range(0, len(order), size):
            part = order[start : start + size]
            result[part] = encoder.pooled([encodings[index] for index in part])
    return result


def pool_in_parts(encoder: Encoder, texts: Sequence[str], folder: Path) -> Any:  # noqa: ANN401 - torch again
    """As `pool_all`, with a bar, and each part kept in `folder` until all are there: an interrupted call goes on.

    `folder` must be named for the encoder and the texts; whoever asked removes it once the whole is kept elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in track(range(0, len(texts), PART), f"pooled vectors, parts of {PART} texts"):
        path = folder / f"{start}.pt"
        if not path.exists():
            scratch = folder / ".vectors.part"
            torch.save(pool_all(encoder, encoder.encode(texts[start : start + PART]), fast=True), scratch)
            scratch.replace(path)
        parts.append(torch.load(path, weights_only=True))
    return torch.cat(parts) if parts else torch.empty(0, encoder.net.config.hidden_size)
