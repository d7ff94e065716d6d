"""The scripts that are PID 1 of a container, run for real by the shells of this machine."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from emulator.sandbox.docker_attached import ATTACH_ENTRY
from emulator.sandbox.docker_stdio import MOUNT, PIPES_ENTRY, parse_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 60
# Debian's /bin/sh is dash; AWS's image has bash there.
SHELLS = [shell for shell in ("/bin/sh", "/bin/bash") if shutil.which(shell)]
ENVIRONMENT = {"HOME": "/nowhere", "HOSTNAME": "c0ffee", "TZ": ":UTC", "PATH": os.defpath}
ENDS = [
    ("exit 0", 0),
    ("exit 1", 1),
    ("exit 255", 255),
    ("kill -SEGV $$", 139),
    ("kill -KILL $$", 137),
    ("kill -TERM $$", 143),
    ("exec /not/there", 127),
]


def shell(command: str) -> list[str]:
    """Give a runtime that is a shell command."""
    return ["/bin/sh", "-c", command]


def python(code: str) -> list[str]:
    """Give a runtime that is Python."""
    return [sys.executable, "-S", "-c", code]


def read_line(descriptor: int) -> bytes:
    """Read up to the end of a line, or give up after a long while."""
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        assert ready, f"nothing came after {line!r}"
        piece = os.read(descriptor, 1)
        if not piece:
            break
        line += piece
    return line


def drained(descriptor: int) -> bytes:
    """Read what is there."""
    found = b""
    while select.select([descriptor], [], [], 0)[0] and (piece := os.read(descriptor, 65536)):
        found += piece
    return found


class Piped:
    """The script over named pipes, and the emulator's ends of them."""

    def __init__(self, folder: Path, shell_path: str, command: list[str]) -> None:
        self.ends: dict[str, int] = {}
        for name in ("go", "log", "status"):
            os.mkfifo(folder / name)
            self.ends[name] = os.open(folder / name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        script = PIPES_ENTRY.replace(MOUNT, str(folder))
        self.process = subprocess.Popen(
            [shell_path, "-c", script, "preflight", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd=folder,
        )

    def until_it_waits(self) -> None:
        """The shell has opened its pipes, which it could not once the emulator is dead."""
        limit = time.monotonic() + PATIENCE_S
        while not Path(f"/proc/{self.process.pid}/fd/4").exists():
            assert time.monotonic() < limit
            time.sleep(0.01)

    def go(self) -> None:
        """Let the runtime start."""
        os.write(self.ends["go"], b"go\n")

    def status(self) -> int:
        """Wait for the runtime's end."""
        return int(read_line(self.ends["status"]))

    def log(self) -> bytes:
        """What the runtime has written."""
        return drained(self.ends["log"])

    def die(self) -> None:
        """What the kernel does with the emulator's descriptors at its death."""
        while self.ends:
            os.close(self.ends.popitem()[1])

    def close(self) -> None:
        """End the script, if it has not ended."""
        self.die()
        self.process.kill()
        self.process.communicate()


@pytest.fixture(params=SHELLS)
def piped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[list[str]], Piped]]:
    """Start the script with a runtime's command; each shell in turn."""
    opened: list[Piped] = []

    def start(command: list[str]) -> Piped:
        opened.append(Piped(tmp_path, request.param, command))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@contextmanager
def attached(shell_path: str, command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes], int]]:
    """Start the script on plain streams: (process, its input, its output)."""
    process = subprocess.Popen(
        [shell_path, "-c", ATTACH_ENTRY, "preflight", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        bufsize=0,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, process.stdin, process.stdout.fileno()
        finally:
            process.kill()


NOT_STARTED = [
    (["/not/there"], 256),
    (["nothing-of-that-name", "x"], 256),
    (["/etc/passwd"], 257),
    (["/etc"], 257),
    (["sh", "-c", "exit 126"], 126),
]


@pytest.mark.parametrize(("command", "status"), NOT_STARTED)
def test_a_program_that_cannot_be_started(piped: Callable[[list[str]], Piped], command: list[str], status: int) -> None:
    """Told by a status that no process can end with, and the shell says nothing into the log."""
    script = piped(command)
    script.go()
    assert (script.status(), script.log()) == (status, b"")


@pytest.mark.parametrize("shell_path", SHELLS)
@pytest.mark.parametrize(("command", "status"), NOT_STARTED)
def test_a_program_that_cannot_be_started_on_a_stream(shell_path: str, command: list[str], status: int) -> None:
    """The same as over pipes."""
    with attached(shell_path, command) as (_, stdin, output):
        stdin.write(b"go\n")
        assert end_told(read_line(output)) == status


@pytest.mark.parametrize(("command", "status"), ENDS)
def test_the_end_is_told(piped: Callable[[list[str]], Piped], command: str, status: int) -> None:
    """By exit status or by a real signal; the log has the runtime's own words and none of the shell's."""
    script = piped(shell(f"echo out; echo err >&2; {command}"))
    script.go()
    assert script.status() == status
    log = script.log()
    assert log.startswith(b"out\nerr\n")
    if status != 127:  # the runtime's own shell complains there
        assert log == b"out\nerr\n"


def test_a_crash_is_that_signal(piped: Callable[[list[str]], Piped]) -> None:
    """From the process to the diagnosis."""
    script = piped(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
    script.go()
    assert parse_status(script.status()).signal == 11


def test_nothing_runs_before_go(piped: Callable[[list[str]], Piped], tmp_path: Path) -> None:
    """The shell waits; a runtime that had begun would have left a trace."""
    script = piped(shell("touch trace; echo out"))
    with pytest.raises(subprocess.TimeoutExpired):
        script.process.wait(0.3)
    assert not (tmp_path / "trace").exists()
    script.go()
    assert script.status() == 0
    assert (tmp_path / "trace").exists()


def test_the_shell_outlives_the_runtime(piped: Callable[[list[str]], Piped]) -> None:
    """Counters can be read until the emulator says otherwise."""
    script = piped(shell("exit 3"))
    script.go()
    assert script.status() == 3
    with pytest.raises(subprocess.TimeoutExpired):
        script.process.wait(0.3)
    script.die()
    script.process.wait(PATIENCE_S)


def test_environment(piped: Callable[[list[str]], Piped]) -> None:
    """What the engine adds is taken away, what is the function's stays, and only a shell's own marks may be added."""
    script = piped(python("import json, os; print(json.dumps(dict(os.environ)))"))
    script.go()
    assert script.status() == 0
    found = dict(line.split(": ") for line in script.log().decode().strip().strip("{}").replace('"', "").split(", "))
    assert found.keys() - {"PWD", "SHLVL", "_", "LC_CTYPE"} == {"TZ", "PATH"}
    assert found["TZ"] == ":UTC"


def test_descriptors(piped: Callable[[list[str]], Piped]) -> None:
    """The runtime has standard streams alone, with nothing to read: it can neither hear nor say what the shell does."""
    code = """
import os
def there(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
print([number for number in range(256) if there(number)], os.read(0, 1))
"""
    script = piped(python(code))
    script.go()
    assert script.status() == 0
    assert script.log() == b"[0, 1, 2] b''\n"


def test_arguments(piped: Callable[[list[str]], Piped]) -> None:
    """The command is the runtime's, blanks and quotes and all."""
    script = piped([*python("import sys; print(sys.argv[1:])"), "a b", "'", "$HOME", ""])
    script.go()
    assert script.status() == 0
    assert script.log() == b"['a b', \"'\", '$HOME', '']\n"


@pytest.mark.parametrize("moment", ["waiting", "running", "ended"])
def test_the_end_of_the_emulator_ends_the_script(
    piped: Callable[[list[str]], Piped], tmp_path: Path, moment: str
) -> None:
    """Whenever it comes; the runtime itself ends with its connection, as the one here does with its pipe."""
    os.mkfifo(tmp_path / "connection")
    script = piped(shell("cat connection" if moment == "running" else "exit 0"))
    script.until_it_waits()
    if moment != "waiting":
        script.go()
    if moment == "ended":
        script.status()
    connection = os.open(tmp_path / "connection", os.O_WRONLY) if moment == "running" else None
    script.die()
    if connection is not None:
        os.close(connection)
    script.process.wait(PATIENCE_S)


@pytest.mark.parametrize("shell_path", SHELLS)
@pytest.mark.parametrize(("command", "status"), ENDS)
def test_the_end_on_a_stream(shell_path: str, command: str, status: int) -> None:
    """One stream has both outputs and then the mark, and nothing of the shell's."""
    with attached(shell_path, shell(f"echo out; echo err >&2; {command}")) as (process, stdin, output):
        stdin.write(b"go\n")
        assert [read_line(output), read_line(output)] == [b"out\n", b"err\n"]
        rest = read_line(output)
        if status == 127:  # the runtime's own shell complains there
            rest = read_line(output)
        assert end_told(rest) == status
        stdin.close()
        process.wait(PATIENCE_S)
        assert drained(output) == b""
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.parametrize("shell_path", SHELLS)
def test_marks_on_a_stream(shell_path: str, tmp_path: Path) -> None:
    """Each line of input is answered with a mark, after all that the runtime had written before."""
    os.mkfifo(tmp_path / "connection")
    with attached(shell_path, shell(f"while read -r line; do echo $line; done <{tmp_path}/connection")) as (
        _,
        stdin,
        output,
    ):
        stdin.write(b"go\n")
        with (tmp_path / "connection").open("wb", buffering=0) as connection:
            for word in (b"one\n", b"two\n"):
                connection.write(word)
                assert read_line(output) == word
                stdin.write(b"mark\n")
                assert read_line(output) == b"\0preflight-mark \n"
        assert end_told(read_line(output)) == 0


@pytest.mark.parametrize("shell_path", SHELLS)
def test_disk_traffic_on_a_stream(shell_path: str, tmp_path: Path) -> None:
    """What was written to a disk is told on demand, and at the end by who waited for the writer."""
    size = 16 * 1024 * 1024
    os.mkfifo(tmp_path / "connection")
    code = f"""
open({str(tmp_path / "file")!r}, "wb").write(bytes({size}))
print("written", flush=True)
open({str(tmp_path / "connection")!r}).read()
"""
    with attached(shell_path, python(code)) as (_, stdin, output):
        stdin.write(b"go\n")
        assert read_line(output) == b"written\n"
        stdin.write(b"disk\n")
        told = re.fullmatch(rb"\0preflight-mark (\d+)\n", read_line(output))
        assert told is not None
        assert int(told[1]) >= size
        (tmp_path / "connection").write_bytes(b"")
        ended = re.fullmatch(rb"\0preflight-exit 0 (\d+)\n", read_line(output))
        assert ended is not None
        assert int(ended[1]) >= size


def end_told(line: bytes) -> int:
    """Give the status that the last mark tells."""
    told = re.fullmatch(rb"\0preflight-exit (\d+) \d+\n", line)
    assert told is not None, line
    return int(told[1])


@pytest.mark.parametrize("shell_path", SHELLS)
@pytest.mark.parametrize("gone", [b"", b"go\n"])
def test_the_end_of_the_stream_ends_the_script(shell_path: str, gone: bytes) -> None:
    """Before and after the runtime."""
    with attached(shell_path, shell("exit 0")) as (process, stdin, output):
        stdin.write(gone)
        if gone:
            assert end_told(read_line(output)) == 0
        stdin.close()
        assert process.wait(PATIENCE_S) == (0 if gone else 125)


@pytest.mark.parametrize("shell_path", SHELLS)
def test_environment_on_a_stream(shell_path: str) -> None:
    """The same as over pipes, and nothing to read."""
    code = "import os; print(sorted({'HOME', 'HOSTNAME', 'TZ'} & os.environ.keys()), os.read(0, 1), flush=True)"
    with attached(shell_path, python(code)) as (_, stdin, output):
        stdin.write(b"go\n")
        assert read_line(output) == b"['TZ'] b''\n"
