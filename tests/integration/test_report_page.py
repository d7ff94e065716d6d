"""The HTML report in a real browser: readable on a desk and on a telephone, in light and dark, offline, without errors.

`SHOTS=folder` keeps pictures of it, to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from emulator.golden.evaluation import Score
from emulator.report import files as report_files
from tests.pages import FAINT, OUTSIDE, READERS, Seen, browser, look
from tests.reports import evaluation, evidence, holding, report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]
pytestmark = pytest.mark.xdist_group("browser")  # one browser for all
NASTY: Final = (
    """</style><script>console.error("ran")</script><img src="http://192.0.2.1/x" onerror="alert(1)"> & 'a'"""
)


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


@pytest.fixture(scope="module", params=READERS, ids=str)
def seen(request: pytest.FixtureRequest, browser: Browser, path: Path) -> Iterator[Seen]:
    """The report as one reader has it, loaded once for all that is asked of it."""
    with look(browser, path, request.param, "report") as found:
        yield found


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
