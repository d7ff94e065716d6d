"""Calls to an engine over a socket: the other end is one of our own, which does what a real one seldom does."""

from __future__ import annotations

import json
import platform
import socket
import sys
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from emulator.http1 import HttpRequest, RequestReader, encode_response
from emulator.sandbox import docker_calls
from emulator.sandbox.docker_calls import EngineRefused, PackageCalls, SocketCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 60
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"


class Engine:
    """Answers each request with what `answer` makes of it, and hangs up at empty bytes."""

    def __init__(self, path: Path, answer: Callable[[HttpRequest], bytes]) -> None:
        self.path = str(path)
        self.asked: list[HttpRequest] = []
        self.accepted = 0
        self.closed = threading.Event()
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def hang_up(self) -> None:
        """Close every connection, as an engine does that is started anew."""
        for connection in self._open:
            connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        reader = RequestReader(1 << 20)
        while data := _received(connection):
            reader.feed(data)
            while (request := reader.next()) is not None:
                self.asked.append(request)
                answer = self._answer(request)
                if not answer:
                    connection.shutdown(socket.SHUT_RDWR)
                    break
                with suppress(OSError):  # nobody waits for it
                    connection.sendall(answer)
        self.closed.set()


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def ok(value: object = None, status: int = 200, **headers: str) -> bytes:
    """Give a whole answer."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return encode_response(status, named, b"" if value is None else json.dumps(value).encode())


@contextmanager
def talking(tmp_path: Path, answer: Callable[[HttpRequest], bytes]) -> Iterator[tuple[Engine, SocketCalls]]:
    """Give an engine and its caller."""
    with closing(Engine(tmp_path / "engine.sock", answer)) as engine, closing(SocketCalls(engine.path)) as calls:
        yield engine, calls


def test_a_call(tmp_path: Path) -> None:
    """Path, query and body arrive; the answer is its JSON, and the version is that of the ping."""
    with talking(tmp_path, lambda request: ok({"Id": request.target}, Api_Version="1.41")) as (engine, calls):
        assert calls.negotiate() == "1.41"
        told = calls.call("POST", "/containers/a b/x", query={"f": '{"a": ["b"]}'}, body={"Image": "i"})
    assert told == {"Id": "/v1.41/containers/a%20b/x?f=%7B%22a%22%3A+%5B%22b%22%5D%7D"}
    request = engine.asked[1]
    assert (request.method, json.loads(request.body or b""), request.headers["host"]) == (
        "POST",
        {"Image": "i"},
        "docker",
    )


def test_one_connection_for_calls_in_a_row(tmp_path: Path) -> None:
    """And a second one only for what is asked meanwhile."""
    with talking(tmp_path, lambda _: ok(1)) as (engine, calls):
        for _ in range(3):
            assert calls.call("GET", "/x") == 1
        assert engine.accepted == 1
        first, second = calls.begin("GET", "/a"), calls.begin("GET", "/b")
        assert (second.result(), first.result()) == (1, 1)
        assert engine.accepted == 2


def test_an_engine_that_was_started_anew(tmp_path: Path) -> None:
    """The old connection is seen to be dead before anything is sent on it."""
    with talking(tmp_path, lambda _: ok(1)) as (engine, calls):
        calls.call("GET", "/x")
        engine.hang_up()
        engine.closed.wait(PATIENCE_S)
        assert calls.call("GET", "/x") == 1
        assert engine.accepted == 2


def test_a_connection_that_the_engine_closes(tmp_path: Path) -> None:
    """It says so, and is not used again."""
    with talking(tmp_path, lambda _: encode_response(200, {}, b"1", close=True)) as (engine, calls):
        assert [calls.call("GET", "/x") for _ in range(2)] == [1, 1]
        assert engine.accepted == 2


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, '{"message": "No such container: x"}', "No such container: x"),
        (409, "conflict, in plain words", "conflict, in plain words"),
        (500, "[1]", "[1]"),
        (400, "", ""),
    ],
)
def test_a_refusal(tmp_path: Path, status: int, body: str, words: str) -> None:
    """With the engine's own words, whatever form they have."""
    with talking(tmp_path, lambda _: encode_response(status, {}, body.encode())) as (_, calls):
        with pytest.raises(EngineRefused) as caught:
            calls.call("GET", "/x")
        assert (caught.value.status, caught.value.explanation) == (status, words)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"SSH-2.0-OpenSSH\r\n"])
def test_an_engine_that_is_none(tmp_path: Path, answer: bytes) -> None:
    """One that hangs up, in the middle too, and one that speaks something else."""

    class Cut(Engine):
        def _serve(self, connection: socket.socket) -> None:
            with suppress(OSError):
                connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_RDWR)

    with (
        closing(Cut(tmp_path / "cut.sock", lambda _: answer)) as engine,
        closing(SocketCalls(engine.path)) as calls,
        pytest.raises(OSError, match=r"hung up|HTTP|reset"),
    ):
        calls.call("GET", "/x")


def test_a_ping_without_a_version(tmp_path: Path) -> None:
    """Whatever answers there, it is no engine."""
    with talking(tmp_path, lambda _: ok("pong")) as (_, calls), pytest.raises(OSError, match="version"):
        calls.negotiate()


def test_nobody_there(tmp_path: Path) -> None:
    """An error of the system's, at once."""
    with closing(SocketCalls(str(tmp_path / "none.sock"))) as calls, pytest.raises(FileNotFoundError):
        calls.call("GET", "/x")


def test_an_answer_that_nobody_waits_for(tmp_path: Path) -> None:
    """The engine has the request all the same."""
    with talking(tmp_path, lambda _: ok(1)) as (engine, calls):
        calls.begin("DELETE", "/containers/x").close()
        assert engine.closed.wait(PATIENCE_S)
        assert [request.method for request in engine.asked] == ["DELETE"]


def test_an_answer_is_had_once(tmp_path: Path) -> None:
    """Asking again is a mistake of ours."""
    with talking(tmp_path, lambda _: ok(1)) as (_, calls):
        call = calls.begin("GET", "/x")
        call.result()
        with pytest.raises(RuntimeError):
            call.result()


def test_calls_from_many_threads(tmp_path: Path) -> None:
    """Each gets its own answer."""
    with talking(tmp_path, lambda request: ok(request.target)) as (_, calls):
        found: dict[int, Any] = {}
        threads = [
            threading.Thread(target=lambda number=number: found.update({number: calls.call("GET", f"/{number}")}))
            for number in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert found == {number: f"/{number}" for number in range(20)}


def test_a_large_answer_in_pieces(tmp_path: Path) -> None:
    """Whole, though no one read has all of it."""
    many = ["x" * 100] * 20_000
    with talking(tmp_path, lambda _: ok(many)) as (_, calls):
        assert calls.call("GET", "/x") == many


@pytest.mark.engine
def test_the_package_says_the_same() -> None:
    """Both ways to one real engine, in what they return and in how they refuse."""
    from emulator.sandbox import docker_engine

    with closing(docker_engine.connect()) as engine:
        package = PackageCalls(engine.client)
        query = {"filters": json.dumps({"label": ["no-such-label"]})}
        for calls in (engine.calls, package):
            assert calls.call("GET", "/containers/json", query=query) == []
            assert calls.begin("GET", "/version").result()["ApiVersion"]
            with pytest.raises(EngineRefused) as caught:
                calls.begin("GET", "/containers/no-such-container/json").result()
            assert caught.value.status == 404
            calls.begin("DELETE", "/containers/no-such-container").close()
            assert "no-such-container" in caught.value.explanation


@pytest.mark.engine
def test_an_image_through_the_package() -> None:
    """As for an engine elsewhere: images that it does not have are asked for first."""
    from dataclasses import replace

    from emulator.sandbox import docker_engine, image

    with closing(docker_engine.connect()) as engine:
        elsewhere = replace(engine, calls=PackageCalls(engine.client))
        elsewhere.__dict__["client"] = engine.client
        runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
        assert image.ensure(elsewhere, runtime, ARCHITECTURE) == image.ensure(engine, runtime, ARCHITECTURE)


def test_the_package_is_not_imported() -> None:
    """Importing it would cost what this saves."""
    import subprocess

    script = f"import sys, {docker_calls.__name__}, emulator.sandbox.docker; sys.exit('docker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
