"""Pages in a real browser, as different readers have them. `SHOTS=folder` keeps pictures, to be looked at."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.command import ROOT

SIZES: Final = ((1280, 800), (390, 844))
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
Reader = tuple[tuple[int, int], Literal["light", "dark"]]
READERS: Final[tuple[Reader, ...]] = tuple((size, scheme) for size in SIZES for scheme in SCHEMES)
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
    """The machine's own Chromium, started once; in CI it must be there."""
    found = subprocess.run([ROOT / "scripts" / "browser", "find"], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        message = "there is no Chromium on this machine: scripts/browser installs one, or says what to do"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        # It refuses to run as root with its sandbox; the pages are our own.
        chromium = playwright.chromium.launch(executable_path=found.stdout.strip(), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def look(browser: Browser, path: Path, reader: Reader, name: str) -> Iterator[Seen]:
    """A page as one reader has it, offline; `name` is its picture's."""
    (width, height), scheme = reader
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
        page.screenshot(path=Path(os.environ["SHOTS"]) / f"{name}-{width}-{scheme}.png", full_page=True)
    yield found
    context.close()
