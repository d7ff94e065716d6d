"""One HTML file that needs nothing else: no network, no script; charts are SVG inside it.

Its colours and measures are in `html_page.css`: light and dark, for a desk's screen and a telephone's.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Sequence
from importlib import resources
from typing import Final

from emulator import plots

# The browser itself holds to it: nothing is loaded and nothing runs, whatever a name in the page pretends to be.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_THEMED: Final = {
    plots.BLUE: "--blue",
    plots.ORANGE: "--orange",
    plots.GREEN: "--green",
    plots.GREY: "--muted",
    plots.INK: "--ink",
    plots.SOFT_INK: "--muted",
    plots.LINE: "--line",
    plots.PAPER: "--page",
    plots.BAND: "--band",
}
_COLOUR: Final = re.compile("|".join(_THEMED))
_NAME: Final = re.compile(r'\b(id="|url\(#|href="#)')


def page(title: str, parts: Sequence[str]) -> bytes:
    """The whole document; `parts` are HTML already (see the functions below)."""
    text = html.escape(title)
    style = resources.files("emulator").joinpath("html_page.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{text}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<h1>{text}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    ).encode("utf-8", "replace")


def heading(text: str, level: int = 2) -> str:
    """A section's title."""
    return f"<h{level}>{html.escape(text)}</h{level}>"


def paragraph(text: str, *, muted: bool = False) -> str:
    """Plain text; line breaks are kept."""
    opened = '<p class="muted">' if muted else "<p>"
    return opened + html.escape(text).replace("\n", "<br>\n") + "</p>"


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    marked: Sequence[int] = (),
    words: Sequence[int] = (),
    *,
    stacked: bool = False,
) -> str:
    """A table of text; the rows `marked`, by number from 0, stand out, and the columns `words` hold sentences.

    One that is `stacked` has a paragraph for each row where the page is narrow; any other is scrolled there.
    """
    wordy = ['class="words"' if column in words else "" for column in range(len(headers))]
    head = "".join(_cell("th", f'scope="col" {how}', cell) for cell, how in zip(headers, wordy, strict=True))
    named = wordy
    if stacked:  # the first column says what the row is about, and needs no name
        labels = [f'data-label="{html.escape(header, quote=True)}"' for header in headers]
        named = [f"{how} {label}".strip() for how, label in zip(wordy, ["", *labels[1:]], strict=True)]
    lines = []
    for number, row in enumerate(rows):
        style = ' class="marked"' if number in marked else ""
        cells = "".join(_cell("td", how, cell) for cell, how in zip(row, named, strict=True))
        lines.append(f"<tr{style}>{cells}</tr>")
    body = "\n".join(lines)
    # Scrolled by the keyboard too, where it is wider than the page.
    kind = ' class="stack"' if stacked else ""
    inner = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="wide" tabindex="0"><table{kind}>\n{inner}\n</table></div>'


def folded(title: str, parts: Sequence[str]) -> str:
    """Shown when it is asked for."""
    return f"<details><summary>{html.escape(title)}</summary>\n" + "\n".join(parts) + "\n</details>"


def beside(parts: Sequence[str]) -> str:
    """Two in a row where the page is wide enough."""
    return '<div class="pair">\n' + "\n".join(parts) + "\n</div>"


def chart(svg: bytes, description: str, title: str = "", caption: str = "") -> str:
    """A drawing by `plots`, in the page's colours; `description` is for those who do not see it."""
    text = svg.decode()
    begin = text.index("<svg")  # without the XML declaration, which has no place inside a page
    # Drawings give the same names to their own parts, and a page has each name once.
    own = hashlib.sha256(description.encode("utf-8", "replace") + svg).hexdigest()[:8]
    drawn = _NAME.sub(rf"\g<1>c{own}-", text[begin:])
    drawn = _COLOUR.sub(lambda found: f"var({_THEMED[found[0]]})", drawn)
    label = html.escape(description, quote=True)
    told = ""
    if title or caption:
        told = f"<figcaption><b>{html.escape(title)}</b><br>\n{html.escape(caption)}</figcaption>\n"
    return f'<figure>\n{told}<div role="img" aria-label="{label}">\n{drawn}</div></figure>'


def themed_file(svg: bytes) -> bytes:
    """A drawing by `plots` as a file of its own, in the colours of a page, light or dark as its reader's system is."""
    style = resources.files("emulator").joinpath("html_page.css").read_text(encoding="utf-8")
    variables = style[: style.index("\n* {")]  # the two palettes stand first
    text = _COLOUR.sub(lambda found: f"var({_THEMED[found[0]]})", svg.decode())
    begin = text.index(">", text.index("<svg")) + 1
    return f"{text[:begin]}\n<style>\n{variables}\n</style>{text[begin:]}".encode()


def _cell(tag: str, attributes: str, text: str) -> str:
    return f"<{f'{tag} {attributes}'.rstrip()}>{html.escape(text)}</{tag}>"
