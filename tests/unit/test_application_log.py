"""What a function's own lines count as, and that a journal lets through the right ones, however they come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.application_log import admitted, level_of
from emulator.config import ApplicationLogLevel, FunctionConfig, LoggingConfig
from emulator.journal import Journal

STAMP = "2024-11-02T16:51:31.587199Z"


@pytest.mark.parametrize(
    ("line", "level"),
    [
        # The guide's own example.
        (f'{{"level": "debug", "msg": "my debug log", "timestamp": "{STAMP}"}}', "DEBUG"),
        (f'{{"level": "TRACE", "timestamp": "{STAMP}"}}\n', "TRACE"),
        (f'  {{"level": "Warning", "timestamp": "{STAMP}"}}', "WARN"),
        (f'{{"level": "CRITICAL", "timestamp": "{STAMP}"}}', "FATAL"),
        ('{"level": "ERROR", "time": "2024-06-18T02:07:06+02:00"}', "ERROR"),
        # No or no valid timestamp, no or no valid level: INFO.
        ('{"level": "ERROR"}', "INFO"),
        ('{"level": "ERROR", "timestamp": "yesterday"}', "INFO"),
        ('{"level": "ERROR", "timestamp": 1730566291}', "INFO"),
        (f'{{"level": "loud", "timestamp": "{STAMP}"}}', "INFO"),
        (f'{{"level": null, "timestamp": "{STAMP}"}}', "INFO"),
        (f'{{"log_level": "ERROR", "timestamp": "{STAMP}"}}', "INFO"),  # awslambdaric's issue 202, and so on AWS
        ("a line", "INFO"),
        ("", "INFO"),
        ("{", "INFO"),
        (f'["level", "ERROR", "{STAMP}"]', "INFO"),
    ],
)
def test_level_of(line: str, level: ApplicationLogLevel) -> None:
    """As the guide says; the case of letters does not matter."""
    assert level_of(line.encode()) == level


@pytest.mark.parametrize(("lowest", "seen"), [("TRACE", True), ("INFO", True), ("WARN", False), ("FATAL", False)])
def test_print_is_info(lowest: ApplicationLogLevel, seen: bool) -> None:  # noqa: FBT001 - a column
    """A line without a level."""
    assert admitted(b"a line\n", lowest) == seen


def journal(level: ApplicationLogLevel, said: list[str] | None = None) -> Journal:
    """Make one of a function that logs JSON."""
    logging = LoggingConfig(format="JSON", application_level=level, system_level="WARN")
    config = FunctionConfig(name="F", handler="a.b", runtime="python3.13", code=Path(), logging=logging)
    return Journal(config, None if said is None else said.append)


@given(st.lists(st.sampled_from(["DEBUG", "INFO", "ERROR", None])), st.integers(1, 7), st.booleans())
def test_pieces_do_not_matter(levels: list[str | None], size: int, ended: bool) -> None:  # noqa: FBT001 - a column
    """Lines are judged whole, wherever the pipe cut them; the last may have no end."""
    lines = ["plain" if level is None else json.dumps({"level": level, "timestamp": STAMP}) for level in levels]
    text = "".join(f"{line}\n" for line in lines)
    written = text if ended else text.rstrip("\n")
    made = journal("ERROR")
    for start in range(0, len(written), size):
        made.add(written[start : start + size].encode())
    expected = [line for line, level in zip(lines, levels, strict=True) if level == "ERROR"]
    assert made.text().splitlines() == expected
    assert made.text() == ""


def test_lines_are_told_as_they_come() -> None:
    """Whole, and only those that count."""
    said: list[str] = []
    made = journal("WARN", said)
    made.add(b"not this one\n" + json.dumps({"level": "WARN", "timestamp": STAMP})[:20].encode())
    assert said == []
    made.add(json.dumps({"level": "WARN", "timestamp": STAMP})[20:].encode() + b"\nnor ")
    assert said == [json.dumps({"level": "WARN", "timestamp": STAMP}) + "\n"]
