"""Text as people write it from text as treebanks hold it, and what the tokenizer reads emoji as."""

from __future__ import annotations

import re
import zlib

BRACKETS = {"-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "``": '"', "''": '"'}

EMOJI = {
    " happy ": "😀 😃 😄 😁 😆 😊 🙂 😺 😸 🥳 🤗 😋 ☺ 🎉 🎊 :) :-) =) :D :-D (:",
    " funny ": "😂 🤣 😹 😜 😝 😛 😅",
    " love ": "❤ ♥ 😍 🥰 😘 💕 💖 💗 💙 💚 💛 💜 🧡 💓 💞 💘 🫶 😻 <3",
    " great ": "👍 👏 🙌 💪 👌 🔥 ⭐ 🌟 ✨ 💯 🏆 🤩 😎 ✅ 🚀",
    " sad ": "😢 😭 😞 😔 ☹ 🙁 😟 😥 😿 💔 😩 😫 🥺 😓 :( :-( =( :'(",
    " angry ": "😡 😠 🤬 😤 👿 💢",
    " terrible ": "👎 🤮 🤢 💩 😱 😖 😣 😨 😰 ❌ 🗑",
    " boring ": "😴 🥱 😒 🙄 😑",
    " confused ": "🤔 😕 🤷 😐 😶 :/ :-/",
}
"""What the tokenizer replaces, to words that the pre-trained vocabulary knows: it has no emoji and would read [UNK]."""

IGNORED = "\ufe0e\ufe0f\u200d♂♀🏻🏼🏽🏾🏿"
"""Variation selectors, joiner, sexes and skin tones: parts of an emoji that say nothing of its mood."""


def detokenise(text: str) -> str:
    """Treebank spacing undone: `does n't work , though` becomes `doesn't work, though`."""
    for token, sign in BRACKETS.items():
        text = text.replace(token, sign)
    text = re.sub(r" (n't|'[a-z]{1,2})\b", r"\1", text)
    text = re.sub(r" ([,.;:!?)\]%])", r"\1", text)
    return re.sub(r"([(\[$#]) ", r"\1", text).strip()


def vary(text: str, seed: int = 0) -> str:
    """Every other text as people write it, the rest as it is: decided by the text itself, so that runs agree."""
    return detokenise(text) if zlib.crc32(text.encode(), seed) & 1 else text.strip()


def replacements() -> list[tuple[str, str]]:
    """What to replace by what, longest first, so that `:-(` is not found as a shorter sign."""
    found = [(sign, word) for word, signs in EMOJI.items() for sign in signs.split()]
    found += [(sign, "") for sign in IGNORED]
    return sorted(found, key=lambda pair: (-len(pair[0]), pair[0]))
