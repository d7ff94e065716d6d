"""The emulator's end of a container's streams: what was written, when it is complete, and how it ended."""

from __future__ import annotations

import os
import queue
import signal
import socket
import struct
import subprocess
import threading
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.sandbox.base import Exit
from emulator.sandbox.docker_attached import Attached
from emulator.sandbox.docker_stdio import MOUNT, Pipes
from tests.command import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 60
EXIT = b"\0preflight-exit %d 0\n"
MARK = b"\0preflight-mark \n"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every test gives back its descriptors and threads."""
    before = psutil.Process().num_fds(), threading.active_count()
    yield
    assert (psutil.Process().num_fds(), threading.active_count()) == before


class Ear:
    """What was heard."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ends: queue.SimpleQueue[Exit | None] = queue.SimpleQueue()

    def log(self) -> bytes:
        """All output so far."""
        return b"".join(self.pieces)

    def end(self) -> Exit | None:
        """Wait for the end."""
        return self.ends.get(timeout=PATIENCE_S)


@pytest.fixture
def pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipes]:
    """Give pipes below the test's own folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with closing(Pipes("pipes-")) as made:
        yield made
    assert list(tmp_path.iterdir()) == []


def container(pipes: Pipes, command: str) -> subprocess.Popen[bytes]:
    """Run the entry script as a container would, where the folder is mounted on itself."""
    script = pipes.entry.replace(MOUNT, pipes.mounts[MOUNT])
    made = subprocess.Popen(["/bin/sh", "-c", script, "preflight", "/bin/sh", "-c", command], stdin=subprocess.DEVNULL)
    pipes.started(made.pid)
    return made


@pytest.mark.parametrize(
    ("command", "end"),
    [("exit 0", Exit(status=0)), ("exit 7", Exit(status=7)), ("kill -SEGV $$", Exit(signal=signal.SIGSEGV))],
)
def test_a_life_over_pipes(pipes: Pipes, command: str, end: Exit) -> None:
    """All output has been heard when the end is."""
    ear = Ear()
    with container(pipes, f"echo out; echo err >&2; {command}") as process:
        pipes.go(ear.pieces.append, ear.ends.put)
        assert ear.end() == end
        assert ear.log() == b"out\nerr\n"
        process.kill()


def test_a_container_that_goes_away(pipes: Pipes) -> None:
    """Its first process is dead, and with it whatever else ran: there is no status to tell."""
    ear = Ear()
    with container(pipes, "echo out; exec sleep 600") as process:
        pipes.go(ear.pieces.append, ear.ends.put)
        runtime = until_there_is_a_child(process.pid)
        process.kill()
        assert ear.end() is None
        runtime.kill()


def until_there_is_a_child(pid: int) -> psutil.Process:
    """Wait for the shell to have started the runtime."""
    parent = psutil.Process(pid)
    for _ in range(PATIENCE_S * 100):
        for child in parent.children(recursive=True):
            if child.name() == "sleep":
                return child
        threading.Event().wait(0.01)
    raise AssertionError("no child")


def test_what_was_written_is_there_after_a_flush(pipes: Pipes) -> None:
    """An answer that was given by another way cannot overtake the log."""
    ear = Ear()
    answers = Path(pipes.mounts[MOUNT]) / "answers"
    os.mkfifo(answers)
    with container(pipes, f"for n in 1 2 3; do head -c 5000 /dev/zero; echo $n >{answers}; done") as process:
        pipes.go(ear.pieces.append, ear.ends.put)
        for count in (1, 2, 3):
            answers.read_text()
            pipes.flush()
            assert len(ear.log()) >= 5000 * count
        assert ear.end() == Exit(status=0)
        process.kill()


def test_closing_pipes_tells_of_no_end(pipes: Pipes) -> None:
    """The death that we cause ourselves is not news; closing twice and flushing afterwards are fine."""
    ear = Ear()
    with container(pipes, "exec sleep 600") as process:
        pipes.go(ear.pieces.append, ear.ends.put)
        runtime = until_there_is_a_child(process.pid)
        pipes.close()
        runtime.kill()
        process.wait(PATIENCE_S)
        pipes.close()
        pipes.flush()
        assert ear.ends.empty()


def test_pipes_before_go(pipes: Pipes) -> None:
    """Nothing was written yet, and closing ends the script that waits."""
    with container(pipes, "echo out") as process:
        # One that has not opened the pipe yet would find nobody at the other end for ever; the engine kills such a one.
        wait_for(Path(f"/proc/{process.pid}/fd/3").exists)
        pipes.flush()
        pipes.close()
        process.wait(PATIENCE_S)


def test_killing_by_the_handle(pipes: Pipes) -> None:
    """At once, and as often as one likes; without a handle it is for the engine to do."""
    assert not pipes.kill()
    with container(pipes, "sleep 300") as process:
        assert pipes.kill()
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        assert pipes.kill()


def test_pipes_are_for_another_user(pipes: Pipes) -> None:
    """Who runs in the container may read go and write the others, and nothing else is there."""
    with os.scandir(pipes.mounts[MOUNT]) as entries:
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in entries}
    assert modes == {"go": 0o644, "log": 0o622, "status": 0o622, "hosts": 0o644}
    assert Path(pipes.mounts[MOUNT]).stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(("cpus", "text"), [(1, "0\n"), (2, "0-1\n"), (6, "0-5\n")])
def test_the_number_of_cpus_is_shown(cpus: int, text: str) -> None:
    """In the kernel's own notation, at the place where it is asked for."""
    with closing(Pipes("pipes-", cpus=cpus)) as pipes:
        assert Path(pipes.mounts["/sys/devices/system/cpu/online"]).read_text() == text


class Engine:
    """The engine's end of the attach stream."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.stream = ours
        self.stream.settimeout(PATIENCE_S)
        self.attached = Attached()
        self.attached.connect(theirs)
        self.ear = Ear()
        self.attached.go(self.ear.pieces.append, self.ear.ends.put)
        assert self.stream.recv(3) == b"go\n"

    def write(self, *bodies: bytes) -> None:
        """Send output as the engine frames it."""
        for body in bodies:
            self.stream.sendall(struct.pack(">BxxxI", 1, len(body)) + body)

    def answer_mark(self) -> None:
        """Do as the container's shell does with a line of input."""
        assert self.stream.recv(5) == b"mark\n"
        self.write(MARK)

    def close(self) -> None:
        """Hang up, on both sides."""
        self.stream.close()
        self.attached.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give a stream that has begun."""
    with closing(Engine()) as made:
        yield made


@pytest.mark.parametrize(("status", "end"), [(0, Exit(status=0)), (139, Exit(signal=11)), (255, Exit(status=255))])
def test_the_end_of_a_stream(engine: Engine, status: int, end: Exit) -> None:
    """The mark is no part of the log."""
    engine.write(b"out\n", b"more" + EXIT % status)
    assert engine.ear.end() == end
    assert engine.ear.log() == b"out\nmore"


@settings(max_examples=60)
@given(
    output=st.lists(
        st.sampled_from(
            [b"a", b"\0", b"\0p", b"preflight-", b"\0preflight-exit ", b"\0preflight-mark ", b"\n", b"1", b" 2"]
        ),
        max_size=8,
    ).map(b"".join),
    cuts=st.lists(st.integers(0, 80), max_size=6),
)
def test_frames_may_be_cut_anywhere(output: bytes, cuts: list[int]) -> None:
    """In a mark too: neither a byte of output nor the end gets lost."""
    if b"\0preflight-mark " in output or b"\0preflight-exit 1" in output:
        return  # the function forges marks: it harms itself alone
    whole = output + EXIT % 139
    edges = [0, *sorted({min(cut, len(whole)) for cut in cuts}), len(whole)]
    with closing(Engine()) as engine:
        engine.write(*(whole[begin:end] for begin, end in pairwise(edges) if begin < end))
        assert engine.ear.end() == Exit(signal=11)
        assert engine.ear.log() == output


@pytest.mark.parametrize("rest", [b"", b"\0", b"\0pre", b"\0preflight-exit 13", b"\0preflight-exit 1 4", b"last words"])
def test_a_stream_that_breaks_off(engine: Engine, rest: bytes) -> None:
    """The container is gone; what it had written is kept, also what might have become a mark."""
    engine.write(b"out\n" + rest)
    engine.stream.close()
    assert engine.ear.end() is None
    assert engine.ear.log() == b"out\n" + rest


def test_a_stream_that_breaks_off_within_a_frame(engine: Engine) -> None:
    """The same, where less came than was announced."""
    engine.write(b"out\n")
    engine.stream.sendall(struct.pack(">BxxxI", 1, 100) + b"half")
    engine.stream.close()
    assert engine.ear.end() is None
    assert engine.ear.log().startswith(b"out\n")


def test_a_flush_waits_for_the_mark(engine: Engine) -> None:
    """What the runtime wrote before it is heard then."""

    def shell_answers() -> None:
        engine.write(b"before\n")
        engine.answer_mark()

    shell = threading.Thread(target=shell_answers)
    shell.start()
    engine.attached.flush()
    assert engine.ear.log() == b"before\n"
    shell.join()


def test_disk_traffic_is_asked_for(engine: Engine) -> None:
    """A plain mark tells of none, so what an earlier one told is not told again."""

    def shell_answers(mark: bytes) -> threading.Thread:
        def answer() -> None:
            assert engine.stream.recv(5) == b"disk\n"
            engine.write(mark)

        thread = threading.Thread(target=answer)
        thread.start()
        return thread

    for mark, told in ((b"\0preflight-mark 4096\n", 4096), (MARK, None)):
        answering = shell_answers(mark)
        assert engine.attached.disk_traffic() == told
        answering.join()


def test_disk_traffic_after_the_end(engine: Engine) -> None:
    """The last mark has told it, and the listener itself is not made to wait for itself."""
    heard: list[int | None] = []
    engine.attached.close()
    with closing(Engine()) as other:
        attached = other.attached
        other.write(EXIT.replace(b" 0", b" 77") % 0)
        assert other.ear.end() == Exit(status=0)
        heard.append(attached.disk_traffic())
    assert heard == [77]


def test_a_flush_after_the_end(engine: Engine) -> None:
    """Nobody would answer it, and nothing is left to wait for."""
    engine.write(EXIT % 0)
    assert engine.ear.end() == Exit(status=0)
    engine.attached.flush()


def test_a_flush_during_which_the_container_goes(engine: Engine) -> None:
    """It ends with the stream."""

    def container_goes() -> None:
        assert engine.stream.recv(5) == b"mark\n"
        engine.stream.shutdown(socket.SHUT_RDWR)

    going = threading.Thread(target=container_goes)
    going.start()
    engine.attached.flush()
    assert engine.ear.end() is None
    going.join()


def test_closing_a_stream_tells_of_no_end(engine: Engine) -> None:
    """The death that we cause ourselves is not news; the container sees the end of its input."""
    engine.attached.close()
    engine.attached.close()
    engine.attached.flush()
    assert engine.stream.recv(1) == b""
    assert engine.ear.ends.empty()


def test_go_needs_a_stream() -> None:
    """A mistake of ours, told plainly."""
    with pytest.raises(RuntimeError, match="connect"):
        Attached().go(lambda _: None, lambda _: None)
