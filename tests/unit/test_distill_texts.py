"""What the models read: wording, our own neutral sentences, and the pruned vocabulary."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from handlers.distill import vocabulary, wording
from handlers.distill.our_texts import TEMPLATES, our_texts

PIECES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!", "a", "b", "c", "##a", "##b", "##c", "東", "é"]
PIECES += ["cab", "##cab", "abba", "love", "great", "happy"]


def tokenizer() -> dict[str, Any]:
    """A WordPiece tokenizer in the published file's form, with its padding to 128."""
    special = {name: {"id": name, "ids": [PIECES.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    single = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    single.append({"SpecialToken": {"id": "[SEP]", "type_id": 0}})
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": 128},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [
            {"id": PIECES.index(name), "content": name, **flags} for name in PIECES[:6] if name != "[unused0]"
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": special},
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: index for index, piece in enumerate(PIECES)},
        },
    }


def read(content: dict[str, Any], text: str) -> list[str]:
    """Tokens without [CLS] and [SEP]."""
    return list(Tokenizer.from_str(json.dumps(content)).encode(text).tokens[1:-1])


@pytest.mark.parametrize(
    ("treebank", "plain"),
    [
        ("it does n't work , though .", "it doesn't work, though."),
        ("the film 's ending ( not bad ) !", "the film's ending (not bad)!"),
        ("-lrb- really -rrb- ?", "(really)?"),
        ("i 've seen `` it '' ", 'i\'ve seen " it "'),
        ("100 % fun", "100% fun"),
        ("plain text", "plain text"),
    ],
)
def test_treebank_spacing_is_undone(treebank: str, plain: str) -> None:
    """As people would have typed it."""
    assert wording.detokenise(treebank) == plain


def test_about_half_of_the_texts_are_varied_and_always_the_same_ones() -> None:
    """A run that is repeated reads the same training texts."""
    texts = [f"it is n't number {number} ." for number in range(400)]
    varied = [wording.vary(text) for text in texts]
    assert varied == [wording.vary(text) for text in texts]
    assert 120 < sum(text in done for text, done in zip(texts, varied, strict=True)) < 280


def test_longer_signs_are_replaced_first() -> None:
    """Else `:-(` would lose its end to a shorter sign and change its mood."""
    found = wording.replacements()
    lengths = [len(sign) for sign, _ in found]
    assert lengths == sorted(lengths, reverse=True)
    assert len({sign for sign, _ in found}) == len(found)


def test_an_adapted_tokenizer_neither_pads_nor_cuts_and_reads_emoji() -> None:
    """With its skin tone or variation selector, and also where it clings to a word."""
    adapted = vocabulary.adapt(tokenizer(), emoji=True)
    assert read(adapted, "abba❤️👍🏽") == ["abba", "love", "great"]
    assert len(read(adapted, "a " * 300)) == 300
    assert read(vocabulary.adapt(tokenizer(), emoji=False), "abba 👍") == ["abba", "[UNK]"]


def counts_of(*pieces: str) -> Counter[int]:
    """Each piece used as often as it is named."""
    return vocabulary.count_pieces([[PIECES.index(piece) for piece in pieces]])


def test_pruning_keeps_what_is_used_and_every_latin_sign() -> None:
    """Signs that no text uses stay, as any word can be spelt with them; other scripts' and placeholders go."""
    pruned = vocabulary.prune(tokenizer(), counts_of("cab", "cab", "abba"), at_least=2, at_most=99)
    kept = [PIECES[old] for old in pruned.kept]
    assert kept == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES[6:13], "é", "cab"]
    assert pruned.tokenizer["model"]["vocab"] == {piece: new for new, piece in enumerate(kept)}


def test_a_pruned_tokenizer_spells_what_it_lost() -> None:
    """With the ids that its own vocabulary has, [CLS] and [SEP] included."""
    content = vocabulary.adapt(tokenizer(), emoji=False)
    pruned = vocabulary.prune(content, counts_of("cab"), at_least=1, at_most=99)
    encoding = Tokenizer.from_str(json.dumps(pruned.tokenizer)).encode("cab abba 東!")
    assert encoding.tokens == ["[CLS]", "cab", "a", "##b", "##b", "##a", "[UNK]", "!", "[SEP]"]
    ids = pruned.tokenizer["model"]["vocab"]
    assert encoding.ids == [ids[token] for token in encoding.tokens]


@pytest.mark.parametrize(("most", "kept"), [(13, []), (14, ["cab"]), (15, ["cab", "abba"])])
def test_the_least_used_go_first(most: int, kept: list[str]) -> None:
    """Thirteen special tokens and signs come first, then pieces by their use up to the limit."""
    pruned = vocabulary.prune(tokenizer(), counts_of("cab", "cab", "abba", "abba", "cab"), at_least=1, at_most=most)
    assert [PIECES[old] for old in pruned.kept][13:] == kept


def test_pruning_leaves_its_input_alone() -> None:
    """The full tokenizer is still needed, for the teacher."""
    content = tokenizer()
    vocabulary.prune(content, counts_of("cab"), at_least=1, at_most=99)
    assert content == tokenizer()


def test_coverage_counts_unknown_and_longer_texts() -> None:
    """[CLS] and [SEP] do not count."""
    found = vocabulary.coverage([[3, 7, 2, 4], [3, 7, 7, 4]], [[3, 7, 4], [3, 7, 4]], unknown=2)
    assert (found.tokens, found.unknown, found.longer) == (4, 1, 2.0)
    assert found.unknown_rate == 0.25
    assert vocabulary.coverage([], [], unknown=2).unknown_rate == 0.0


@given(st.sampled_from(list(TEMPLATES)), st.integers(1, 300), st.integers(0, 5))
def test_our_texts_are_different_whole_and_repeatable(label: str, count: int, seed: int) -> None:
    """As many as asked for, no slot unfilled, from as many templates as there can be."""
    texts = our_texts(TEMPLATES[label], count, seed)
    assert len(texts) == len(set(texts)) == count
    assert texts == our_texts(TEMPLATES[label], count, seed)
    assert not any("{" in text or "|" in text for text in texts)


@pytest.mark.parametrize("label", TEMPLATES)
def test_every_template_is_used(label: str) -> None:
    """None drowns in another's many fillings."""
    texts = [text.lower() for text in our_texts(TEMPLATES[label], len(TEMPLATES[label]), 1)]
    starts = [template.split("{")[0].lower() for template in TEMPLATES[label] if not template.startswith("{")]
    assert [start for start in starts if not any(text.startswith(start) for text in texts)] == []
