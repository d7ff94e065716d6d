"""One HTML file that needs nothing else: no network, no script; charts are SVG inside it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } caption { text-align: left }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
.marked { background: #e6f4ea } .wide { overflow-x: auto } svg { max-width: 100%; height: auto }
"""


def page(title: str, parts: Sequence[str]) -> bytes:
    """The whole document; `parts` are HTML already (see the functions below)."""
    text = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{text}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{text}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    ).encode()


def heading(text: str) -> str:
    """A section's title."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Plain text; line breaks are kept."""
    return "<p>" + html.escape(text).replace("\n", "<br>\n") + "</p>"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], marked: Sequence[int] = ()) -> str:
    """A table of text; the rows of these numbers, from 0, stand out."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in headers)
    lines = []
    for number, row in enumerate(rows):
        style = ' class="marked"' if number in marked else ""
        lines.append(f"<tr{style}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>")
    body = "\n".join(lines)
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def chart(svg: bytes, description: str) -> str:
    """A drawing; `description` is for those who do not see it."""
    text = svg.decode()
    begin = text.index("<svg")  # without the XML declaration, which has no place inside a page
    label = html.escape(description, quote=True)
    return f'<figure role="img" aria-label="{label}">\n{text[begin:]}</figure>'
