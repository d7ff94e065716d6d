"""A table in plain text: the first column to the left, the others to the right."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of cells as wide as their column's widest, two spaces apart."""
    widths = [max(len(line[column]) for line in (headers, *rows)) for column in range(len(headers))]
    lines = []
    for line in (headers, *rows):
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
