"""A report as JUnit XML: a test suite for each function, a test case for each verdict, figures as properties.

A gate of level `warn` never fails a test case: past its limit it has the message as its output, and not measured it
is skipped. Not measured under a gate that counts is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from xml.etree import ElementTree as ET

from emulator.gates.verdicts import Verdict
from emulator.report.base import FunctionReport, Report
from emulator.report.facts import run_facts, subtitle
from emulator.report.text import rule_text

# XML 1.0 has no way to write these, escaped or not (section 2.2, Char).
_UNWRITABLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_TIME: Final = "0"  # a verdict takes none; the run's time is the suite's


def as_junit(report: Report) -> bytes:
    """UTF-8; Jenkins' junit-10.xsd but for the properties of test cases, which it lacks and pytest writes too."""
    root = ET.Element("testsuites", name="lambda-preflight", time=f"{report.seconds:.3f}")
    seconds = report.seconds / max(1, len(report.functions))
    for function in report.functions:
        root.append(_suite(report, function, seconds))
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _suite(report: Report, function: FunctionReport, seconds: float) -> ET.Element:
    cases = [_case(function.name, verdict) for verdict in function.verdicts]
    suite = ET.Element(
        "testsuite",
        name=_clean(function.name),
        tests=str(len(cases)),
        failures=str(_having(cases, "failure")),
        errors=str(_having(cases, "error")),
        skipped=str(_having(cases, "skipped")),
        time=f"{seconds:.3f}",
        timestamp=report.started.isoformat(timespec="seconds"),
    )
    figures = [(one.name, repr(one.value)) for one in function.measurements if one.value is not None]
    _properties(suite, [("function", subtitle(function)), *run_facts(report), *figures])
    suite.extend(cases)
    return suite


def _case(function: str, verdict: Verdict) -> ET.Element:
    case = ET.Element("testcase")
    case.set("classname", _clean(function))
    case.set("name", f"{verdict.metric} {rule_text(verdict)}")
    case.set("time", _NO_TIME)
    measured = verdict.measurement
    figures = {
        "value": measured.value,
        "low": measured.low,
        "high": measured.high,
        "spread_pct": measured.spread_pct,
        "threshold": verdict.threshold,
        "limit": verdict.limit,
        "baseline": verdict.baseline,
        "by": verdict.by,
    }
    words = {
        "metric": verdict.metric,
        "status": verdict.status,
        "rule": verdict.rule,
        "level": verdict.level,
        "unit": measured.unit,
        "n": str(measured.n),
        "note": measured.note,
        "reason": verdict.reason,
    }
    told = {key: repr(value) for key, value in figures.items() if value is not None}
    _properties(case, [*((key, text) for key, text in words.items() if text), *told.items()])
    _outcome(case, verdict)
    return case


def _outcome(case: ET.Element, verdict: Verdict) -> None:
    reason = [f"why it matters: {verdict.reason}"] if verdict.reason else []
    text = _clean("\n".join([verdict.message, *reason, *verdict.look_at]))
    message = _clean(verdict.message)
    if verdict.status == "NOT_MEASURED" and not verdict.failed:
        ET.SubElement(case, "skipped", type="NOT_MEASURED", message=message)
    elif verdict.failed:
        kind = "failure" if verdict.status == "FAIL" else "error"
        ET.SubElement(case, kind, type=verdict.status, message=message).text = text
    else:
        ET.SubElement(case, "system-out").text = text


def _properties(parent: ET.Element, pairs: Iterable[tuple[str, str]]) -> None:
    element = ET.SubElement(parent, "properties")
    for name, value in pairs:
        ET.SubElement(element, "property", name=name, value=_clean(value))


def _having(cases: Iterable[ET.Element], tag: str) -> int:
    return sum(case.find(tag) is not None for case in cases)


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
