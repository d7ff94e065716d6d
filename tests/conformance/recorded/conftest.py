"""Recorded behaviour of AWS, case by case, through boto3: `aws` is a server of all functions, once for each backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.recorded.cloud import Cloud, cloud
from tests.conformance.recorded.sources import Source
from tests.serving import BACKENDS


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark that every case has."""
    config.addinivalue_line("markers", "recorded(source): what AWS did or said, where that stands, and of when it is")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a case that does not say where it is from."""
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        marks = [mark for mark in item.iter_markers("recorded") if mark.args]
        if not marks or not all(isinstance(mark.args[0], Source) for mark in marks):
            raise pytest.UsageError(f"{item.nodeid} has no source: mark it with sources.recorded, or use sources.case")


@pytest.fixture(scope="session", params=BACKENDS)
def aws(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One server for all cases of a backend, so that environments stay warm between them."""
    with cloud(request.param, tmp_path_factory.mktemp("recorded")) as one:
        yield one


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases there were, so that a suite that shrinks is seen."""
    reports = [report for key in ("passed", "failed", "skipped") for report in terminalreporter.getreports(key)]
    folder = "conformance/recorded/"
    cases = {report.nodeid for report in reports if folder in report.nodeid and report.when in {"call", "setup"}}
    if cases:
        terminalreporter.write_line(f"cases of recorded behaviour: {len(cases)}, over all backends")
