"""The HTML report in a real browser: readable on a desk and on a telephone, in light and dark, offline, without errors.

`SHOTS=folder` keeps pictures of it, to be looked at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from emulator.golden.evaluation import Score
from emulator.report import files as report_files
from tests.reports import evaluation, evidence, holding, report

CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
NASTY: Final = (
    """</style><script>console.error("ran")</script><img src="http://192.0.2.1/x" onerror="alert(1)"> & 'a'"""
)
SIZES: Final = ((1280, 800), (390, 844))
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
# Text that is cut off or lies outside the page, by what the browser laid out; a part that scrolls may be wider.
OUTSIDE: Final = """() => [...document.querySelectorAll("h1,h2,h3,p,li,figcaption,svg,.treemap,summary,td,th")]
  .filter(e => !e.closest(".wide, details:not([open])") && e.getClientRects().length)
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)
  .map(e => e.outerHTML.slice(0, 80))"""
# Contrast of each text with what lies behind it (WCAG 2.2, 1.4.3), for plain colours.
FAINT: Final = """() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => c.slice(0, 3).map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const shown = e => e.getClientRects().length && getComputedStyle(e).visibility === "visible";
  return [...document.querySelectorAll("body *")]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && shown(e) && !e.closest(".matrix td"))
    .map(e => { const s = getComputedStyle(e), ink = light(parse(e.closest("svg") ? s.fill : s.color));
      const paper = light(behind(e)), ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
      return [ratio, e.textContent.trim().slice(0, 40)]; })
    .filter(([ratio]) => ratio < 4.5);
}"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A page, and everything that the browser said or asked for meanwhile."""

    page: Page
    said: list[str]
    asked: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # It refuses to run as root with its sandbox; the pages are our own.
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of four functions: labels, numbers with a long name, hostile words, nothing measured."""
    base = report().functions[0]
    numbers = tuple(Score(case_id=str(n), expected=n / 9, answer=n / 10, value=0.0) for n in range(30))
    scatter = evidence(timeline=(), evaluation=evaluation(scorer="spearman", scores=numbers))
    bare = evidence(samples=(), weight=None, evaluation=None, imports=(), timeline=(), disturbance=None)
    functions = (
        base,
        replace(base, name="AFunctionWhoseNameIsSixtyFourLettersLongAsLambdaAllowsItToBe0123", evidence=scatter),
        holding(NASTY).functions[0],
        *report(bare).functions,
    )
    made = tmp_path_factory.mktemp("page") / "report.html"
    report_files.write(replace(report(), functions=functions), [made])
    return made


@pytest.fixture(params=[(size, scheme) for size in SIZES for scheme in SCHEMES], ids=str)
def seen(request: pytest.FixtureRequest, browser: Browser, path: Path) -> Iterator[Seen]:
    """The report as one reader has it."""
    (width, height), scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, reduced_motion="reduce"
    )
    page = context.new_page()
    found = Seen(page, [], [])
    page.on("console", lambda message: found.said.append(message.text))
    page.on("pageerror", lambda error: found.said.append(str(error)))
    page.on("request", lambda asked: found.asked.append(asked.url))
    page.goto(path.as_uri())
    if "SHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SHOTS"]) / f"report-{width}-{scheme}.png", full_page=True)
    yield found
    context.close()


def test_read_by_a_person(seen: Seen, path: Path) -> None:
    """Nothing asked for but the file, no error, nothing beyond the page's edge, every word dark or light enough."""
    page = seen.page
    for folded in page.query_selector_all("summary"):
        folded.click()
    assert seen.asked == [path.as_uri()]
    assert seen.said == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(FAINT) == []
    assert page.locator(".verdicts > li").count() >= 10
    assert page.locator("svg").count() >= 8
    assert page.locator(".tile").count() >= 4
    assert NASTY in page.inner_text("body")


def test_the_dark_is_dark(seen: Seen) -> None:
    """The page follows the reader's system; drawings follow the page."""
    dark = seen.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    paper, ink, drawn = seen.page.evaluate(
        """() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,
        getComputedStyle(document.querySelector("svg text")).fill]"""
    )
    assert (paper == "rgb(255, 255, 255)") != dark
    assert drawn == ink


def test_a_page_that_asks_for_more_is_seen(browser: Browser, path: Path, tmp_path: Path) -> None:
    """So that the silence of the others means something: an image is refused by the page's policy, with a word."""
    spoilt = tmp_path / "spoilt.html"
    text = path.read_text().replace("</body>", '<img src="http://192.0.2.1/x.png"><p style="width:3000px">x</p></body>')
    spoilt.write_text(text)
    page = browser.new_page(viewport={"width": 390, "height": 844})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(spoilt.as_uri())
    assert any("Content Security Policy" in words for words in said)
    assert page.evaluate(OUTSIDE) != []
    page.close()
