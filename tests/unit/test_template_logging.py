"""`LoggingConfig` of a template: format, levels, group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emulator.config import LoggingConfig
from emulator.errors import ConfigurationError
from tests.templates import function_with

if TYPE_CHECKING:
    from pathlib import Path

GROUP = """
  Group:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: /shared/log}
  Nameless:
    Type: AWS::Logs::LogGroup
"""


def test_text_is_the_default(tmp_path: Path) -> None:
    """Without levels, in the function's own group."""
    assert function_with(tmp_path, "").logging == LoggingConfig()
    assert function_with(tmp_path, "LoggingConfig: {LogFormat: Text}").logging == LoggingConfig()


def test_json_has_levels(tmp_path: Path) -> None:
    """INFO where nothing is said; TRACE and FATAL are the application's alone."""
    assert function_with(tmp_path, "LoggingConfig: {LogFormat: JSON}").logging == LoggingConfig(
        format="JSON", application_level="INFO", system_level="INFO"
    )
    written = "LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: TRACE, SystemLogLevel: WARN}"
    assert function_with(tmp_path, written).logging == LoggingConfig(
        format="JSON", application_level="TRACE", system_level="WARN"
    )


@pytest.mark.parametrize(
    ("written", "group"),
    [
        ("/a/b", "/a/b"),
        ("!Ref Group", "/shared/log"),
        ("!Ref Nameless", "Nameless"),
        ("!Sub '${Group}/x'", "/shared/log/x"),
    ],
)
def test_the_group(tmp_path: Path, written: str, group: str) -> None:
    """By name or by reference; one without a name has its logical id, as anything that only a deployed stack names."""
    assert function_with(tmp_path, f"LoggingConfig: {{LogGroup: {written}}}", after=GROUP).logging.group == group


def test_globals_are_merged(tmp_path: Path) -> None:
    """Key by key, as SAM merges maps."""
    shared = "Globals: {Function: {LoggingConfig: {LogFormat: JSON, SystemLogLevel: DEBUG}}}"
    found = function_with(tmp_path, "LoggingConfig: {SystemLogLevel: WARN}", before=shared).logging
    assert (found.format, found.system_level) == ("JSON", "WARN")


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("{LogFormat: Yaml}", "LogFormat: 'Yaml' is not one of Text, JSON"),
        ("{LogFormat: JSON, SystemLogLevel: TRACE}", "SystemLogLevel: 'TRACE' is not one of DEBUG, INFO, WARN"),
        ("{LogFormat: JSON, ApplicationLogLevel: info}", "'info' is not one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL"),
        ("{SystemLogLevel: INFO}", "SystemLogLevel goes with LogFormat: JSON alone"),
        ("{LogFormat: Text, ApplicationLogLevel: INFO}", "ApplicationLogLevel goes with LogFormat: JSON alone"),
        ("{LogFromat: JSON}", "LoggingConfig has no property LogFromat"),
        ("{LogGroup: !ImportValue x}", "Fn::ImportValue cannot be resolved"),
    ],
)
def test_what_is_refused(tmp_path: Path, written: str, complaint: str) -> None:
    """With the key that is meant."""
    with pytest.raises(ConfigurationError) as caught:
        function_with(tmp_path, f"LoggingConfig: {written}")
    assert complaint in caught.value.message
