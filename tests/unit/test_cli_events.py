"""Where an event comes from, and what is said of one that Lambda would not take."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.cli_events import read_event
from emulator.errors import ConfigurationError, QuotaError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the path of an event that is not there yet."""
    return tmp_path / "event.json"


def refused(file: Path, content: bytes) -> ConfigurationError:
    """Give the error for this content; it names the file and has the exit status for wrong input."""
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_event(str(file))
    assert str(file) in caught.value.message
    assert caught.value.exit_code == 2
    return caught.value


def test_no_event_is_an_empty_object() -> None:
    """As with `sam local invoke`."""
    assert read_event(None) == b"{}"


def test_the_bytes_stay_as_they_are(file: Path) -> None:
    """Blanks, order and escapes are the author's."""
    content = b' {"b": 1,\r\n "a": "\\u00e9\xc3\xa9"}\n'
    file.write_bytes(content)
    assert read_event(str(file)) == content


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON, ascii_=st.booleans())
def test_any_json_is_an_event(file: Path, value: Any, ascii_: bool) -> None:  # noqa: ANN401, FBT001 - any JSON
    """Lists, strings and numbers too."""
    text = json.dumps(value, ensure_ascii=ascii_)
    try:
        content = text.encode()
    except UnicodeEncodeError:  # a lone half of a pair cannot be UTF-8
        return
    file.write_bytes(content)
    assert read_event(str(file)) == content


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash reads all of it."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}\n')))
    assert read_event("-") == b'{"a": 1}\n'


def test_standard_input_that_is_not_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where it came from."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{")))
    with pytest.raises(ConfigurationError, match="standard input"):
        read_event("-")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6"),
        (b'{"a": 1}\n{"b": 2}', "line 2, column 1"),
        (b"hello", "line 1, column 1"),
        (b'{"a": 1', "line 1, column 8"),
    ],
)
def test_what_is_not_json_is_shown_by_place(file: Path, content: bytes, place: str) -> None:
    """Line and column, as an editor counts them, and a hint at what an event is."""
    error = refused(file, content)
    assert place in error.message
    assert "JSON" in (error.hint or "")


@pytest.mark.parametrize(
    ("content", "place"),
    [(b'{"a": "caf\xe9"}', "byte 10"), ('{"a": 1}'.encode("utf-16"), "byte 0"), (b"\x80", "byte 0")],
)
def test_what_is_not_utf_8_is_shown_by_byte(file: Path, content: bytes, place: str) -> None:
    """Lambda takes UTF-8 alone, so Windows' encodings are refused here and not by the function."""
    error = refused(file, content)
    assert "UTF-8" in error.message
    assert place in error.message


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": NaN}',
        b"[Infinity]",
        b"-Infinity",
        b"1" * 5000,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32-le"),
    ],
    ids=["byte order mark", "NaN", "Infinity", "-Infinity", "endless number", "open", "deep", "UTF-16", "UTF-32"],
)
def test_what_python_reads_and_lambda_does_not(file: Path, content: bytes) -> None:
    """Python's reader is more generous than Lambda's, or gives up in other ways; either is a plain refusal."""
    refused(file, content)


@pytest.mark.parametrize(("size", "fine"), [(6_291_455, True), (6_291_456, True), (6_291_457, False)])
def test_the_request_quota(file: Path, size: int, fine: bool) -> None:  # noqa: FBT001 - a column of the table
    """6 MB are read; more is refused in AWS's words, whether it is JSON or not."""
    file.write_bytes(b'"' + b"x" * (size - 2) + b'"')
    if fine:
        assert len(read_event(str(file))) == size
        return
    with pytest.raises(QuotaError, match="Request must be smaller than 6291456 bytes"):
        read_event(str(file))


def test_an_event_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of it is read than is needed to know that it is too much."""

    class Endless(io.RawIOBase):
        """Blanks for ever."""

        def readable(self) -> bool:
            """Yes."""
            return True

        def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
            """Fill it."""
            buffer[:] = b" " * len(buffer)
            return len(buffer)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    with pytest.raises(QuotaError, match="6291456"):
        read_event("-")


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `<&-` leaves it."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigurationError, match="standard input is closed"):
        read_event("-")


@pytest.mark.parametrize("source", ['{"a": 1}', "  [1]"])
def test_json_instead_of_a_file(source: str) -> None:
    """The hint shows the way to hand it over."""
    with pytest.raises(ConfigurationError) as caught:
        read_event(source)
    assert "-e -" in (caught.value.hint or "")


def test_a_file_that_is_not_there(file: Path) -> None:
    """The reason is the system's."""
    with pytest.raises(ConfigurationError, match="No such file") as caught:
        read_event(str(file))
    assert str(file) in caught.value.message


def test_a_folder(file: Path) -> None:
    """A folder is no event."""
    with pytest.raises(ConfigurationError, match="directory"):
        read_event(str(file.parent))
