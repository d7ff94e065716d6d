"""The Runtime API over a real socket: one connection, whole bodies, and an end that leaves nothing."""

from __future__ import annotations

import gc
import http.client
import json
import queue
import signal
import socket
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

from emulator.invocation import Invocation
from emulator.lifecycle import Event, Heard, State
from emulator.runtime_server import RuntimeServer
from emulator.sandbox.base import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 60
API = "/2018-06-01/runtime"
NEXT = f"{API}/invocation/next"
ANSWER = f"{API}/invocation/8f5/response"
MOST = 6 * 1024 * 1024 + 100
INVOCATION = Invocation(
    request_id="8f5", payload=b'{"a": 1}', function_arn="arn:aws:lambda:x", deadline_ms=5, trace_id="Root=1"
)


class Client:
    """A runtime on a thread of its own: each call is made there, one after another, on one connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self.sockets: list[object] = []
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> None:
        """Send a request; `reply` waits for what comes back."""

        def call() -> tuple[int, bytes, dict[str, str]]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            self.connection.request(method, path, body, named, encode_chunked=not isinstance(body, bytes | None))
            answer = self.connection.getresponse()
            content = answer.read()
            self.sockets.append(self.connection.sock)
            return answer.status, content, dict(answer.getheaders())

        self._work.put(call)

    def send(self, raw: bytes, *, when_asked: bytes = b"") -> None:
        """Send bytes as they are, the second part when the server says something, and read until it hangs up."""

        def call() -> bytes:
            with socket.create_connection(("127.0.0.1", self.connection.port), timeout=PATIENCE_S) as direct:
                direct.sendall(raw)
                asked = direct.recv(65536) if when_asked else b""
                direct.sendall(when_asked)
                return asked + b"".join(iter(lambda: direct.recv(65536), b""))

        self._work.put(call)

    def reply(self) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers."""
        found = self._done.get(timeout=PATIENCE_S)
        assert isinstance(found, tuple), found
        return found

    def outcome(self) -> object:
        """The reply, or the exception that came instead."""
        return self._done.get(timeout=PATIENCE_S)

    def served_by(self, server: RuntimeServer) -> Client:
        """Serve until something has come back; nothing else may be heard meanwhile."""
        limit = time.perf_counter() + PATIENCE_S
        while self._done.empty() and time.perf_counter() < limit:
            assert server.wait(time.perf_counter() + 0.01) is None
        return self

    def close(self) -> None:
        """Hang up."""
        self._work.put(None)
        self._thread.join(PATIENCE_S)
        self.connection.close()

    def _run(self) -> None:
        while (call := self._work.get()) is not None:
            try:
                self._done.put(call())
            except (OSError, http.client.HTTPException) as error:
                self._done.put(error)


def listening() -> socket.socket:
    """Give a socket as a sandbox would."""
    return socket.create_server(("127.0.0.1", 0))


@contextmanager
def talking(peer: str | None = None) -> Iterator[tuple[RuntimeServer, Client]]:
    """Give a server and a runtime that can reach it."""
    with (
        listening() as listener,
        closing(Client(listener.getsockname()[1])) as client,
        closing(RuntimeServer(listener, peer=peer)) as server,  # closed before the client, which may be waiting for it
    ):
        yield server, client


def heard(server: RuntimeServer) -> Heard:
    """Serve until the runtime has done something."""
    found = server.wait(time.perf_counter() + PATIENCE_S)
    assert isinstance(found, Heard), found
    return found


def until_busy(server: RuntimeServer, client: Client) -> None:
    """Let the runtime ask for an event and get it."""
    server.api.happen(Event.GO)
    client.ask("GET", NEXT)
    assert heard(server).event is Event.NEXT
    server.api.dispatch(INVOCATION)


def test_one_invocation() -> None:
    """Event and headers go out, the answer comes in, and the runtime has its 202 when the answer is heard."""
    with talking() as (server, client):
        until_busy(server, client)
        client.ask("POST", ANSWER, b'{"b": 2}')
        found = heard(server)
        status, body, headers = client.reply()
        assert (status, body) == (200, b'{"a": 1}')
        assert headers["Lambda-Runtime-Aws-Request-Id"] == "8f5"
        assert headers["Content-Type"] == "application/json"
        assert (found.event, found.body, found.too_large) == (Event.RESPONSE, b'{"b": 2}', False)
        assert client.reply()[0] == 202  # nobody serves any more: it was on its way


def test_one_connection_for_all() -> None:
    """The client's connection lives for as long as the environment: Lambda's client counts on it."""
    with talking() as (server, client):
        server.api.happen(Event.GO)
        for _ in range(5):
            client.ask("GET", NEXT)
            assert heard(server).event is Event.NEXT
            server.api.dispatch(INVOCATION)
            client.ask("POST", ANSWER, b"1")
            assert heard(server).event is Event.RESPONSE
            assert [client.reply()[0] for _ in range(2)] == [200, 202]
        assert len(set(map(id, client.sockets))) == 1


@pytest.mark.parametrize(
    ("size", "status", "too_large"),
    [(0, 202, False), (MOST - 1, 202, False), (MOST, 202, False), (MOST + 1, 413, True)],
)
def test_the_response_quota(size: int, status: int, too_large: bool) -> None:  # noqa: FBT001 - a column of the table
    """6,291,556 bytes are accepted; one more is refused, read to its end, and the connection goes on."""
    with talking() as (server, client):
        until_busy(server, client)
        client.ask("POST", ANSWER, b"x" * size)
        found = heard(server)
        assert found.too_large is (status == 413)
        assert len(found.body) == (0 if found.too_large else size)
        client.ask("GET", NEXT)
        assert heard(server).event is Event.NEXT
        assert [client.reply()[0] for _ in range(2)] == [200, status]


def test_a_body_in_chunks() -> None:
    """Whole, however it was cut."""
    with talking() as (server, client):
        until_busy(server, client)
        client.ask("POST", ANSWER, iter([b"a" * 70_000, b"b", b"c" * 70_000]), Transfer_Encoding="chunked")
        assert heard(server).body == b"a" * 70_000 + b"b" + b"c" * 70_000


def test_a_body_that_is_asked_for() -> None:
    """AWS's client (curl) asks before it sends much, and would wait a second for the word to go on."""
    with talking() as (server, client):
        until_busy(server, client)
        headers = "Host: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n"
        client.send(f"POST {ANSWER} HTTP/1.1\r\n{headers}\r\n".encode(), when_asked=b"abc")
        assert heard(server).body == b"abc"
        client.reply()
        raw = client.served_by(server).outcome()
        assert isinstance(raw, bytes)
        assert raw.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")


def test_an_error_has_its_type() -> None:
    """In a header whose case does not matter."""
    with talking() as (server, client):
        until_busy(server, client)
        path = f"{API}/invocation/8f5/error"
        client.ask("POST", path, b"{}", lambda_runtime_function_error_TYPE="Runtime.X")
        found = heard(server)
        assert (found.event, found.error_type) == (Event.ERROR, "Runtime.X")


def test_what_is_refused_is_not_heard() -> None:
    """Wrong paths and wrong moments get their answers, and nobody is told."""
    with talking() as (server, client):
        until_busy(server, client)
        client.ask("POST", f"{API}/invocation/other/response", b"1")
        client.ask("GET", "/")
        client.ask("GET", NEXT)
        client.ask("POST", ANSWER, b"1")
        assert heard(server).event is Event.RESPONSE
        replies = [client.reply() for _ in range(5)]
        assert [status for status, _, _ in replies] == [200, 400, 404, 403, 202]
        assert json.loads(replies[1][1])["errorType"] == "InvalidRequestID"


def test_what_is_not_http() -> None:
    """Answered and forgotten; the runtime's own requests go on."""
    with talking() as (server, client):
        client.send(b"\x16\x03\x01 not HTTP\r\n\r\n")
        server.api.happen(Event.GO)
        client.ask("GET", NEXT)
        assert heard(server).event is Event.NEXT
        raw = client.served_by(server).outcome()
        assert isinstance(raw, bytes)
        assert b" 400 " in raw.partition(b"\r\n")[0]


@pytest.mark.parametrize(("peer", "status"), [("127.0.0.1", 404), ("10.0.0.2", 403)])
def test_the_caller_is_known_by_its_address(peer: str, status: int) -> None:
    """Only the one peer is answered."""
    with talking(peer=peer) as (server, client):
        client.ask("GET", "/")
        assert client.served_by(server).reply()[0] == status


def test_nothing_is_heard_in_time() -> None:
    """None, at once where there is no time left."""
    with talking() as (server, _):
        now = time.perf_counter()
        assert [server.wait(limit) for limit in (0.0, now, now + 0.01)] == [None, None, None]


def test_news_without_waiting() -> None:
    """What has happened meanwhile is heard by one look."""
    with talking() as (server, _):
        server.hear(Exit(status=1))
        assert server.wait(time.perf_counter()) == Exit(status=1)


def test_an_end_wakes_whoever_waits() -> None:
    """It comes from another thread."""
    with talking() as (server, _):
        threading.Timer(0.05, server.hear, [Exit(signal=9)]).start()
        assert server.wait(time.perf_counter() + PATIENCE_S) == Exit(signal=9)


def test_everything_is_heard_in_its_order() -> None:
    """One at a time."""
    with talking() as (server, _):
        ends = [Exit(status=number) for number in range(5)]
        for end in ends:
            server.hear(end)
        assert [server.wait(time.perf_counter() + PATIENCE_S) for _ in ends] == ends


def test_closing_hangs_up() -> None:
    """The runtime that waits for an event loses its connection; closing again is fine."""
    with talking() as (server, client):
        server.api.happen(Event.GO)
        client.ask("GET", NEXT)
        heard(server)
        server.close()
        server.close()
        assert isinstance(client.outcome(), OSError | http.client.HTTPException)


def test_a_runtime_that_hangs_up_while_it_waits() -> None:
    """Is not taken for one that waits; the connections of others are their own."""
    with talking() as (server, client):
        server.api.happen(Event.GO)
        address = ("127.0.0.1", client.connection.port)
        waiting = [server.api.waiting]
        with socket.create_connection(address, timeout=PATIENCE_S) as runtime:
            runtime.sendall(f"GET {NEXT} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            heard(server)
            with socket.create_connection(address, timeout=PATIENCE_S):
                pass
            assert server.wait(time.perf_counter() + 0.1) is None
            waiting.append(server.api.waiting)
        assert server.wait(time.perf_counter() + 0.1) is None
        waiting.append(server.api.waiting)
        assert waiting == [False, True, False]


def test_after_closing() -> None:
    """Late news is nobody's business, and waiting says why it is in vain."""
    with talking() as (server, _):
        server.close()
        server.hear(Exit(status=1))
        found = server.wait(time.perf_counter() + PATIENCE_S)
        assert isinstance(found, Exit)
        assert found.lost


def test_an_end_that_was_not_asked_for_before_closing() -> None:
    """Is told still, by a server that has no socket left to ask: the janitor may come by at any time."""
    with listening() as listener:
        server = RuntimeServer(listener)
        server.hear(Exit(status=3))
        server.close()
        assert server.wait(time.perf_counter() + PATIENCE_S) == Exit(status=3)


def test_closing_while_another_thread_waits() -> None:
    """That one is woken and told that the environment is lost; both go on."""
    with talking() as (server, _):
        found: list[Heard | Exit | None] = []
        waits = threading.Thread(target=lambda: found.append(server.wait(time.perf_counter() + PATIENCE_S)))
        waits.start()
        server.close()
        waits.join(PATIENCE_S)
        assert isinstance(found[0], Exit)
        assert found[0].lost


def test_ctrl_c_while_serving() -> None:
    """It comes through, and the server can be closed."""
    with talking() as (server, client):
        server.api.happen(Event.GO)
        client.ask("GET", NEXT)
        heard(server)
        main = threading.main_thread().ident or 0
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal may come at any time within
                threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT]).start()
                server.wait(time.perf_counter() + PATIENCE_S)
        finally:
            signal.signal(signal.SIGINT, before)
        server.close()
        assert isinstance(client.outcome(), OSError | http.client.HTTPException)


def test_ctrl_c_within_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing still closes the connection."""
    with talking() as (server, client):

        def interrupted(*_: object, **__: object) -> NoReturn:
            raise KeyboardInterrupt

        monkeypatch.setattr(server.api, "handle", interrupted)
        client.ask("GET", NEXT)
        with pytest.raises(KeyboardInterrupt):
            server.wait(time.perf_counter() + PATIENCE_S)
        server.close()
        assert isinstance(client.outcome(), OSError | http.client.HTTPException)


def test_a_runtime_that_hangs_up() -> None:
    """The event is nobody's then; the process's end tells the rest."""
    with talking() as (server, client):
        server.api.happen(Event.GO)
        raw = f"GET {NEXT} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", client.connection.port)) as direct:
            direct.sendall(raw)
            assert heard(server).event is Event.NEXT
        assert server.wait(time.perf_counter() + 0.05) is None
        server.api.dispatch(INVOCATION)
        assert server.api.state is State.BUSY
        server.hear(Exit(status=1))
        assert server.wait(time.perf_counter() + PATIENCE_S) == Exit(status=1)


def test_the_sandbox_may_close_its_listener() -> None:
    """The server has its own."""
    with listening() as listener, closing(RuntimeServer(listener)) as server:
        port = listener.getsockname()[1]
        listener.close()
        client = Client(port)
        client.ask("GET", "/")
        assert client.served_by(server).reply()[0] == 404
        server.close()
        client.close()


def test_a_listener_that_is_closed() -> None:
    """An error at once, and nothing stays open (an open loop would warn when it is collected)."""
    listener = listening()
    listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        RuntimeServer(listener)
    gc.collect()
