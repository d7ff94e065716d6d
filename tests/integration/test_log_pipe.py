"""Log pipes over real pipes and FIFOs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.sandbox.log_pipe import LogPipe

PATIENCE_S = 30


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every test gives back its descriptors and threads."""
    before = psutil.Process().num_fds(), threading.active_count()
    yield
    assert (psutil.Process().num_fds(), threading.active_count()) == before


@settings(max_examples=30)
@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=20))
def test_flush_after_each_write_is_complete(pieces: list[bytes]) -> None:
    """However often one writes, what was written before the call is there after it, in order, exactly once."""
    reader, writer = os.pipe()
    heard: list[bytes] = []
    pipe = LogPipe(reader, heard.append)
    pipe.start()
    written = b""
    for piece in pieces:
        os.write(writer, piece)
        written += piece
        pipe.flush()
        assert b"".join(heard) == written
    pipe.close()
    os.close(writer)
    assert b"".join(heard) == written


def test_it_comes_without_being_asked() -> None:
    """The thread hands over what arrives, also more than a pipe holds."""
    reader, writer = os.pipe()
    heard: list[bytes] = []
    complete = threading.Event()

    def hear(piece: bytes) -> None:
        heard.append(piece)
        if sum(map(len, heard)) == 1_000_000:
            complete.set()

    pipe = LogPipe(reader, hear)
    pipe.start()
    for _ in range(10):
        os.write(writer, b"x" * 100_000)
    assert complete.wait(PATIENCE_S)
    os.close(writer)
    pipe.close()


def test_close_hands_over_the_rest_and_then_nothing() -> None:
    """What was written before is not lost; what is written after has no reader."""
    reader, writer = os.pipe()
    heard: list[bytes] = []
    pipe = LogPipe(reader, heard.append)
    pipe.start()
    os.write(writer, b"last words")
    pipe.close()
    pipe.close()
    pipe.flush()
    assert b"".join(heard) == b"last words"
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"too late")
    os.close(writer)


def test_the_end_of_the_file() -> None:
    """Once the writers are gone there is nothing to do but to be closed, by flush or without."""
    reader, writer = os.pipe()
    heard: list[bytes] = []
    ended = threading.Event()

    def hear(piece: bytes) -> None:
        heard.append(piece)
        ended.set()

    pipe = LogPipe(reader, hear)
    pipe.start()
    os.write(writer, b"x")
    assert ended.wait(PATIENCE_S)
    os.close(writer)
    pipe.flush()
    pipe.close()
    assert heard == [b"x"]


def test_flush_ends_although_somebody_writes_without_end() -> None:
    """What comes after the call need not be waited for."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    heard: list[int] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            try:
                os.write(writer, b"x" * 4096)
            except BlockingIOError:
                continue

    pipe = LogPipe(reader, lambda piece: heard.append(len(piece)))
    pipe.start()
    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(20):
        pipe.flush()
    stop.set()
    thread.join()
    pipe.close()
    os.close(writer)
    assert sum(heard) % 4096 == 0


def test_a_fifo_whose_writers_come_and_go(tmp_path: Path) -> None:
    """Opened for both ways it never ends, as the Docker backend has it."""
    path = tmp_path / "log"
    os.mkfifo(path)
    heard: list[bytes] = []
    pipe = LogPipe(os.open(path, os.O_RDWR | os.O_NONBLOCK), heard.append)
    pipe.start()
    for word in (b"one ", b"two"):
        with path.open("wb", buffering=0) as writer:
            writer.write(word)
        pipe.flush()
    pipe.close()
    assert b"".join(heard) == b"one two"


def test_close_from_the_callback_of_another_pipe() -> None:
    """Pipes do not share a lock."""
    readers, writers = zip(*(os.pipe() for _ in range(2)), strict=True)
    inner = LogPipe(readers[0], lambda _: None)
    inner.start()
    closed = threading.Event()

    def close_inner(_: bytes) -> None:
        inner.close()
        closed.set()

    outer = LogPipe(readers[1], close_inner)
    outer.start()
    os.write(writers[1], b"x")
    assert closed.wait(PATIENCE_S)
    outer.close()
    for writer in writers:
        os.close(writer)


def test_a_reader_that_was_never_started() -> None:
    """An interrupt may come before: what was written is heard all the same, and nothing stays open."""
    reader, writer = os.pipe()
    heard: list[bytes] = []
    pipe = LogPipe(reader, heard.append)
    os.write(writer, b"early")
    pipe.close()
    pipe.close()
    os.close(writer)
    assert heard == [b"early"]
