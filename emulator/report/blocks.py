"""Parts of the HTML report that are no table and no drawing: verdicts, the treemap, the confusion matrix."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from emulator.gates.verdicts import Verdict
from emulator.golden.evaluation import Evaluation
from emulator.golden.scorers import label
from emulator.package import Weight
from emulator.report.facts import figure, megabytes, spread
from emulator.report.text import rule_text

LABELS: Final = 12  # more make no matrix that a person reads
_BESIDE: Final = 24  # so many letters of labels have room beside each other
_SMALLEST: Final = 0.004  # of the package: what is smaller goes into one tile
_TILES: Final = 40
_ARCHIVES: Final = 6  # code and the five layers that a function may have; each has its colour in `html_page.css`
# The map's size in CSS pixels where the page is wide and where it is a telephone's (see `html_page`).
_WIDE: Final = (940.0, 376.0)
_NARROW: Final = (350.0, 350.0)
_WORD: Final = (44.0, 20.0)
_LONG: Final = 40


def verdicts(found: Sequence[Verdict]) -> str:
    """Each with its figure, its limit and, where it did not pass, where to look."""
    return '<ul class="verdicts">\n' + "\n".join(_verdict(verdict) for verdict in found) + "\n</ul>"


def treemap(weight: Weight) -> str:
    """The package's parts as areas, coloured by whether they lie in the code or in a layer."""
    tiles = _tiles(weight)
    if not tiles:
        return ""
    archives = list(dict.fromkeys(part.archive for part in weight.parts))
    drawn = "\n".join(_tile(*one, archives=archives) for one in zip(tiles, _places(tiles), strict=True))
    keys = [
        f'<span class="key"><i class="kind{place}"></i>{html.escape(name)}</span>'
        for place, name in enumerate(archives[:_ARCHIVES])
    ]
    told = f"{len(weight.parts)} parts, {megabytes(weight.unzipped_bytes)} unzipped"
    return (
        f"<figure><figcaption><b>Size by package</b><br>\n{told} of {megabytes(weight.limit_bytes)} that Lambda takes. "
        f"{' '.join(keys)}</figcaption>\n"
        f'<div class="treemap" role="img" aria-label="Size by package, as areas; the table below has the figures">\n'
        f"{drawn}\n</div></figure>"
    )


def confusion(evaluation: Evaluation) -> str | None:
    """Expected against answered, counted; None for more labels than a person reads."""
    pairs = Counter((label(score.expected), label(score.answer)) for score in evaluation.scores)
    labels = sorted({one for pair in pairs for one in pair})
    if not labels or len(labels) > LABELS:
        return None
    totals = Counter(label(score.expected) for score in evaluation.scores)
    head = "".join(f'<th scope="col">{_short(one)}</th>' for one in labels)
    rows = []
    for expected in labels:
        cells = "".join(_count(pairs[expected, one], totals[expected], right=expected == one) for one in labels)
        rows.append(f'<tr><th scope="row">{_short(expected)}</th>{cells}</tr>')
    kind = "matrix upright" if len("".join(labels)) > _BESIDE else "matrix"
    return (
        "<figure><figcaption><b>Golden cases: expected against answered</b><br>\n"
        "A row for each expected label, a column for each answer; colour is the share of the row.</figcaption>\n"
        f'<div class="wide" tabindex="0"><table class="{kind}">\n<thead><tr><th></th>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div></figure>"
    )


def _verdict(verdict: Verdict) -> str:
    measured = verdict.measurement
    plus = f" \u00b1 {spread(measured)} %" if measured.spread_pct else ""
    line = (
        f'<span class="word">{verdict.word}</span> <b>{html.escape(verdict.metric)}</b> '
        f'<span class="muted">{html.escape(rule_text(verdict))}</span> '
        f'<span class="figure">{html.escape(figure(measured))}<span class="muted">{plus}</span></span>'
    )
    more = "".join(_why(verdict))
    return f'<li class="{verdict.status.lower()}"><div class="line">{line}</div>{more}</li>'


def _why(verdict: Verdict) -> Iterator[str]:
    yield f"<p>{html.escape(verdict.message)}</p>"
    if verdict.status == "PASS":
        return
    if verdict.reason:
        yield f"<p>Why it matters: {html.escape(verdict.reason)}</p>"
    if verdict.look_at:
        yield "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in verdict.look_at) + "</ul>"


def _tiles(weight: Weight) -> list[tuple[str, str, int]]:
    """Name, archive and bytes, heaviest first; the archive of the rest together is empty."""
    total = sum(part.bytes for part in weight.parts)
    shown = [part for part in weight.parts if part.bytes >= _SMALLEST * total and part.bytes][:_TILES]
    tiles = [(part.name, part.archive, part.bytes) for part in shown]
    rest = total - sum(part.bytes for part in shown)
    if rest > 0:
        tiles.append((f"{len(weight.parts) - len(shown)} others", "", rest))
    return tiles


def _places(tiles: Sequence[tuple[str, str, int]]) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height as shares of the map's."""
    import squarify  # noqa: PLC0415 - only this report needs it

    width, height = _WIDE
    sizes = squarify.normalize_sizes([size for _, _, size in tiles], width, height)
    found = squarify.squarify(sizes, 0.0, 0.0, width, height)
    return [(one["x"] / width, one["y"] / height, one["dx"] / width, one["dy"] / height) for one in found]


def _tile(tile: tuple[str, str, int], place: tuple[float, float, float, float], *, archives: Sequence[str]) -> str:
    name, archive, size = tile
    kind = "other"
    if archive in archives[:_ARCHIVES]:
        kind = f"kind{archives.index(archive)}"
    fits = [
        all(side * whole >= least for side, whole, least in zip(place[2:], page, _WORD, strict=True))
        for page in (_WIDE, _NARROW)
    ]
    hidden = " none" if not fits[0] else " small" if not fits[1] else ""
    where = ";".join(
        f"{side}:{100 * share:.3f}%" for side, share in zip(("left", "top", "width", "height"), place, strict=True)
    )
    told = html.escape(f"{name}: {megabytes(size)}{f', {archive}' if archive else ''}", quote=True)
    words = f"<b>{html.escape(name)}</b><span>{megabytes(size)}</span>"
    return f'<div class="tile {kind}{hidden}" style="{where}" title="{told}">{words}</div>'


def _count(count: int, total: int, *, right: bool) -> str:
    share = round(100 * count / total) if total else 0
    text = str(count) if count else '<span class="muted">0</span>'
    return f'<td class="{"right" if right else "wrong"}" style="--share:{share * 0.7:.0f}%">{text}</td>'


def _short(text: str) -> str:
    cut = text if len(text) <= _LONG else text[: _LONG - 1] + "\u2026"
    return f'<span title="{html.escape(text, quote=True)}">{html.escape(cut)}</span>'
