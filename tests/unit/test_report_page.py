"""The HTML report as text: whole, self-contained, and holding any words as words."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from emulator import html_page
from emulator.golden.evaluation import Score
from emulator.intervals import Estimate
from emulator.package import Part
from emulator.report import blocks as report_blocks
from emulator.report import charts as report_charts
from emulator.report.html import as_page
from tests.reports import cold, evaluation, evidence, holding, report, warm, weight

BASE = report()
NASTY = """</style></svg><script>alert("x")</script> & 'a' <img src=x onerror=y> ]]> -->"""
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Opened and closed elements, their attributes, and the text between them."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(content.decode())
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One that is to be closed."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One that closes itself, as in SVG."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        """The last that was opened, or the page is broken."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        self.words += data


def test_the_page_says_it_all() -> None:
    """Verdicts, by how much, why, where to look; every part of issue 5's list."""
    words = " ".join(Page(as_page(BASE)).words.split())
    for told in (
        "Lambda Preflight: FAILED: 1 passed, 2 failed, 2 not compared, 1 warned",
        "FAIL init.p95_ms max 100",
        "103.8 ms over the max of 100 ms",
        "Why it matters: the widget gives up",
        "slowest imports: onnxruntime 90 ms",
        "Size by package",
        "Cold starts",
        "Latency of warm calls",
        "Memory over time",
        "Golden cases: expected against answered",
        "every limit enforced by the kernel",
    ):
        assert told in words
    assert "ValueError: no text" in words


def test_nothing_is_loaded_and_nothing_runs() -> None:
    """No script, no address but those that name an XML dialect; the page's own policy forbids the rest."""
    page = Page(as_page(BASE))
    assert not {"script", "link", "iframe", "img", "object", "embed", "base", "form"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on")
        if name in {"src", "href", "xlink:href", "action", "srcset", "data"}:
            assert value.startswith("#"), (tag, name, value)
        if "//" in value:
            assert name.startswith("xmlns")
    assert re.search(r"url\((?!#)|@import", as_page(BASE).decode()) is None
    assert ("meta", "content", html_page._POLICY) in page.attributes  # noqa: SLF001 - what the browser is told


def test_every_name_in_the_page_is_there_once() -> None:
    """Two functions whose drawings are alike do not share the parts of their drawings."""
    twice = replace(BASE, functions=(BASE.functions[0], replace(BASE.functions[0], name="G")))
    page = Page(as_page(twice))
    names = [value for _, name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names)) > 100
    used = {value for _, name, value in page.attributes if name == "xlink:href"}
    used |= {f"#{found}" for _, _, value in page.attributes for found in re.findall(r"url\(#([^)]+)\)", value)}
    assert {value.removeprefix("#") for value in used} <= set(names)


@given(st.text(st.characters(exclude_characters="\n"), min_size=1, max_size=30))  # which is a <br> in a paragraph
@example(NASTY)
@example("\x00\r\x85")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_words_are_words(words: str) -> None:
    """The same elements whatever the names, and the names in the text; no words are drawn, so nothing is."""
    page, plain = (Page(as_page(holding(each, samples=(), timeline=()))) for each in (words, "x"))
    assert page.tags == plain.tags
    assert [name for _, name, _ in page.attributes] == [name for _, name, _ in plain.attributes]
    shown = words.encode("utf-8", "replace").decode()
    if "\r" not in words and "\x00" not in words:
        assert shown in page.words


def test_words_beside_drawings() -> None:
    """The same with the drawings, whose descriptions have the function's name."""
    page, plain = Page(as_page(holding(NASTY))), Page(as_page(BASE))
    assert set(page.tags) == set(plain.tags)
    assert NASTY in page.words
    assert any(name == "aria-label" and NASTY in value for _, name, value in page.attributes)


def test_the_same_run_gives_the_same_bytes() -> None:
    """Nothing in it is of the moment when it was drawn."""
    assert as_page(BASE) == as_page(BASE)


def test_drawings_take_the_pages_colours() -> None:
    """No colour of the drawings is left that would not change in the dark."""
    svg = re.findall(r"<svg.*?</svg>", as_page(BASE).decode(), re.DOTALL)
    assert len(svg) == 3
    for drawn in svg:
        assert "var(--ink)" in drawn
        assert not re.findall(r"#[0-9a-f]{6}\b", drawn)


def test_what_was_not_measured_is_said() -> None:
    """And drawn nowhere."""
    bare = report(evidence(samples=(), weight=None, evaluation=None, imports=(), timeline=(), disturbance=None))
    page = Page(as_page(bare))
    assert "svg" not in page.tags
    for told in ("Cold starts: not measured", "Max Memory Used: not measured", "The package was not weighed"):
        assert told in page.words


def test_peaks_stand_in_for_a_series() -> None:
    """Where memory was not followed over time, and the page says so."""
    words = " ".join(Page(as_page(report(evidence(timeline=())))).words.split())
    assert "The peak of each environment after each invocation, no time series" in words


@pytest.mark.parametrize("count", [1, 2, 10_000])
def test_a_drawing_does_not_grow_with_the_run(count: int) -> None:
    """Ten thousand invocations are thinned out, and the highest peak stays."""
    found = evidence(samples=(cold(), *(warm(10.0 + n % 7) for n in range(count))), timeline=())
    numbers = tuple(Score(case_id=str(n), expected=n / 7, answer=n / 8, value=0.0) for n in range(count))
    scored = evaluation(scorer="spearman", scores=numbers)
    drawn = (
        report_charts.cold_starts(found),
        report_charts.latency(found),
        report_charts.memory(found),
        report_charts.scatter(scored),
    )
    assert all(svg is not None and len(svg) < 400_000 for svg in drawn)


def test_the_highest_of_each_stretch_is_kept() -> None:
    """At the bound itself nothing is thinned out."""
    points = [(float(n), float(n == 3_001)) for n in range(4_000)]
    thinned = report_charts._thinned(points)  # noqa: SLF001 - the decision itself
    assert len(thinned) <= 1_500
    assert (3_001.0, 1.0) in thinned
    assert report_charts._thinned(points[:1_500]) == points[:1_500]  # noqa: SLF001 - see above


def test_labels_or_numbers() -> None:
    """A matrix for labels, points for numbers; 0 and 1 under accuracy are labels."""

    def scored(scorer: str, *pairs: tuple[object, object]) -> bool:
        scores = tuple(Score(case_id="1", expected=one, answer=other, value=0.0) for one, other in pairs)
        return report_charts.is_numeric(evaluation(scorer=scorer, scores=scores))

    assert scored("spearman", (1, 2))
    assert scored("module:function", (0.5, 1))
    assert not scored("accuracy", (1, 0))
    assert not scored("accuracy", ("a", "b"))
    assert not scored("pearson")


@pytest.mark.parametrize(("count", "matrix"), [(1, True), (12, True), (13, False)])
def test_a_matrix_of_few_labels(count: int, matrix: bool) -> None:  # noqa: FBT001 - a table of cases
    """More become a list of what was taken for what."""
    scores = tuple(Score(case_id=str(n), expected=f"l{n}", answer="l0", value=0.0) for n in range(count))
    found = evaluation(scores=scores, score=Estimate(value=0.1, n=count))
    assert (report_blocks.confusion(found) is not None) == matrix
    page = as_page(report(evidence(samples=(), timeline=(), evaluation=found))).decode()
    assert (">expected</th>" in page) != matrix
    assert ("expected against answered" in page) == matrix


def test_the_treemap_shows_every_byte() -> None:
    """Areas are sizes, and what is too small for a tile of its own is in the last one."""
    parts = tuple(
        Part(name=f"p{n}", bytes=10**8 >> n, files=1, kind="package", archive="code", version=None) for n in range(20)
    )
    drawn = report_blocks.treemap(weight(parts=parts))
    places = re.findall(r"left:([\d.]+)%;top:([\d.]+)%;width:([\d.]+)%;height:([\d.]+)%", drawn)
    areas = [float(width) * float(height) for _, _, width, height in places]
    assert sum(areas) == pytest.approx(100 * 100, rel=1e-3)
    assert areas[0] == pytest.approx(2 * areas[1], rel=1e-2)
    assert "13 others" in drawn
    assert all(float(left) + float(width) <= 100.01 for left, _, width, _ in places)


@pytest.mark.parametrize("parts", [(), (Part(name="e", bytes=0, files=1, kind="file", archive="code"),)])
def test_an_empty_package_has_no_map(parts: tuple[Part, ...]) -> None:
    """Nothing to divide by."""
    assert report_blocks.treemap(weight(parts=parts, unzipped_bytes=0)) == ""


def test_code_and_five_layers_have_colours_of_their_own() -> None:
    """Each is named above the map, and the page's style knows its colour."""
    parts = tuple(
        Part(name=f"p{n}", bytes=10**7, files=1, kind="package", archive=f"layer {n}", version=None) for n in range(6)
    )
    drawn = report_blocks.treemap(weight(parts=parts))
    style = as_page(BASE).decode()
    for n in range(6):
        assert len(re.findall(rf'kind{n}[ "]', drawn)) == 2  # its name above, its tile
        assert f"</i>layer {n}</span>" in drawn
        assert f".kind{n} {{" in style
