"""Reports as Markdown and JUnit XML: whole, whatever names and messages hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from emulator.gates.verdicts import Gate, judge
from emulator.metrics import Measurement
from emulator.report import files as report_files
from emulator.report.junit import as_junit
from emulator.report.markdown import as_markdown, escaped
from tests.reports import evidence, holding, report

BASE = report()
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NASTY = """<script>alert("x")</script> & 'a' | `b` | **c** _d_ [e](f) ![g](h) $i$ ~~j~~ \\ ]]> --> | www.k.l"""
GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])

# Attributes (required ones marked) and children: what we use of Jenkins' junit-10.xsd, as jenkinsci/xunit-plugin had it
# at 031e285. A test case has no properties there, whatever pytest's `record_property` writes.
ELEMENTS: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name*", "tests*", "failures*", "errors*", "skipped", "time", "timestamp"},
        {"properties", "testcase"},
    ),
    "testcase": ({"name*", "classname", "time"}, {"skipped", "error", "failure", "system-out"}),
    "properties": (set(), {"property"}),
    "property": ({"name*", "value*"}, set()),
    "skipped": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "failure": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]{0,3})?")


def validated(content: bytes) -> ET.Element:
    """The root of a document that keeps to ELEMENTS."""
    root = ET.fromstring(content)  # noqa: S314 - our own
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = ELEMENTS[element.tag]
        needed = {name.removesuffix("*") for name in attributes if name.endswith("*")}
        assert needed <= set(element.attrib) <= {name.removesuffix("*") for name in attributes}
        assert {child.tag for child in element} <= children
        assert TIME.fullmatch(element.get("time", ""))
    return root


def writable(character: str) -> bool:
    """Whether XML 1.0 has it."""
    low = character in "\t\n\r" or " " <= character <= "\ud7ff"
    return low or "\ue000" <= character <= "\ufffd" or character > "\uffff"


def test_junit_counts_what_it_holds() -> None:
    """A test case for each verdict; failed and not measured ones apart; a warning passes and has its message."""
    suite = validated(as_junit(BASE))[0]
    cases = suite.findall("testcase")
    assert len(cases) == len(BASE.functions[0].verdicts) == int(suite.get("tests", ""))
    assert [suite.get(key) for key in ("failures", "errors", "skipped")] == ["2", "2", "0"]
    first = cases[0]
    assert (first.get("classname"), first.get("name")) == ("F", "init.p95_ms max 100")
    properties = {one.get("name"): one.get("value") for one in suite[0]}
    assert properties["init.p95_ms max value"] == "203.8"
    assert properties["init.p95_ms max limit"] == "100.0"
    assert "limit: 100.0" in (first.findtext("system-out") or "").splitlines()
    failure = first.find("failure")
    assert failure is not None
    assert failure.get("message") == "203.8 ms is 103.8 ms over the max of 100 ms"
    assert "why it matters: the widget gives up" in (failure.text or "")
    warned = cases[3]
    assert warned.find("failure") is None
    assert "1 MB over the max of 99 MB" in (warned.findtext("system-out") or "")
    assert {one.get("name") for one in suite[0]} > {"package.unzipped_mb", "machine", "versions"}


def test_junit_skips_what_only_warns_and_was_not_measured() -> None:
    """Neither passed nor failed."""
    measured = Measurement(name="init.p50_ms", value=None, unit="ms", n=0, note="no cold start")
    verdicts = judge([measured], [Gate(metric="init.p50_ms", limits={"max": 1.0}, level="warn")])
    root = validated(as_junit(replace(BASE, functions=(replace(BASE.functions[0], verdicts=verdicts),))))
    assert root.find(".//skipped") is not None
    assert [root.get(key) for key in ("tests", "failures", "errors")] == ["1", "0", "0"]


@given(st.text(st.characters(codec=None), max_size=30))
@example(NASTY)
@example("\x00\x1b[31m\ud800\ufffe")
@SLOW
def test_junit_holds_any_words(words: str) -> None:
    """What XML can write comes back as it was, the rest as a replacement character."""
    root = validated(as_junit(holding(words)))
    assert root[0].get("name") == "".join(c if writable(c) else "\ufffd" for c in words)


def test_markdown_says_it_all() -> None:
    """Verdicts in a table, what did not pass in sentences, the rest folded."""
    text = as_markdown(BASE).decode()
    for words in (
        "Lambda Preflight: FAILED: 1 passed, 2 failed, 2 not compared, 1 warned",
        "| \u274c FAIL | init.p95_ms | 203.8 ms | 0.5 | max 100 |",
        "**FAIL init.p95_ms**: 203.8 ms is 103.8 ms over the max of 100 ms",
        "why it matters: the widget gives up",
        "| onnxruntime | 1.32 | layer | 40 MB |",
        "case 4 (line 4) failed: ValueError: no text",
        "every limit enforced by the kernel",
    ):
        assert words in text
    assert text.count("<details>") == text.count("</details>") == 5


def test_markdown_without_figures() -> None:
    """Nothing measured is said, not left out."""
    bare = report(evidence(samples=(), weight=None, evaluation=None, imports=(), timeline=(), disturbance=None))
    text = as_markdown(bare).decode()
    assert "not measured, so not passed" in text
    assert "| package.zipped_mb | \u2013 |" in text


@given(st.text(max_size=60))
@example(NASTY)
@example("1. a")
@example("- a")
@example("| a | b |")
@example("# a")
@example("_a_ __b__ a_b")
@SLOW
def test_markdown_leaves_words_as_they_are(words: str) -> None:
    """In a list item and in a table's cell, read by another program."""
    line = " ".join(words.split()).replace("\x00", "\ufffd")
    for source in (f"- {escaped(words)}", f"| a | b |\n|---|---|\n| {escaped(words)} | b |"):
        tokens = GITHUB.parse(source)
        inline = [token for token in tokens if token.type == "inline"]
        if not inline:
            assert line == ""
            continue
        found = inline[0 if source.startswith("-") else 2]
        children = found.children or []
        assert {child.type for child in children} <= {"text", "text_special"}
        assert "".join(child.content for child in children) == line
        assert not {token.type for token in tokens} & {"html_block", "heading_open", "ordered_list_open", "fence"}


@given(st.text(min_size=1, max_size=30))
@example(NASTY)
@SLOW
def test_markdown_stays_whole(words: str) -> None:
    """Every table keeps its columns, and no user's markup gets through."""
    tokens = GITHUB.parse(as_markdown(holding(words)).decode())
    plain = GITHUB.parse(as_markdown(holding("x")).decode())
    assert [token.type for token in tokens] == [token.type for token in plain]
    html = [token.content for token in tokens if token.type.startswith("html")]
    assert html == [token.content for token in plain if token.type.startswith("html")]


@pytest.mark.parametrize("suffix", [".md", ".xml"])
def test_by_suffix(tmp_path: Path, suffix: str) -> None:
    """Written through the table of formats."""
    path = tmp_path / f"report{suffix}"
    report_files.check([path])
    report_files.write(BASE, [path])
    assert b"init.p95_ms" in path.read_bytes()
