"""The HTTP server over real sockets, with clients of every kind of manners."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from emulator import http_server
from emulator.http1 import HttpRequest, HttpResponse, MalformedMessage, ResponseReader
from emulator.http_server import Exchange, HttpServer, listen

MOST = 1000
LARGE = 20_000_000  # more than any socket holds
PATIENCE_S = 30
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"


class Lab:
    """A server that answers with what it was asked, and a hold on its handler."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.release.set()
        self.after = threading.Event()
        self.busy = threading.Semaphore(0)
        self.faults: list[Exception] = []
        self.server = HttpServer(
            listen("127.0.0.1", 0), self.handle, refuse=self.refuse, on_fault=self.fault, most_body=MOST
        )
        self.server.start()

    def handle(self, request: HttpRequest, exchange: Exchange) -> HttpResponse | None:
        """Say what came, in parts where the target says so."""
        self.busy.release()
        self.release.wait(PATIENCE_S)
        if request.target == "/fault":
            raise ValueError("a fault")
        if request.target.startswith("/early"):
            self.early(request.target, exchange)
            return None
        if request.target.startswith("/parts"):
            self.in_parts(request.target, exchange)
            return None
        body = b"too large" if request.body is None else request.body
        return HttpResponse(status=200, headers={"X-Target": request.target}, body=body, keep_alive=True)

    def early(self, target: str, exchange: Exchange) -> None:
        """Answer, then go on until the test lets it end."""
        size = LARGE if target == "/early/large" else 5
        exchange.answer(HttpResponse(status=200, headers={"X-Target": target}, body=b"x" * size, keep_alive=True))
        self.busy.release()
        self.after.wait(PATIENCE_S)
        if target == "/early/fault":
            raise ValueError("a fault after the answer")

    def in_parts(self, target: str, exchange: Exchange) -> None:
        """Answer with the peer in three parts; one is empty and does not end it."""
        if target == "/parts/bad-header":
            exchange.begin(200, {"X": "a\r\nb"})
        exchange.begin(204 if target == "/parts/204" else 200, {"X-Target": target}, ("a=1", "b=2"))
        for part in (b"peer ", b"", exchange.peer.encode()):
            exchange.send(part, time.perf_counter() + PATIENCE_S)
        if target == "/parts/fault":
            raise ValueError("a fault in its midst")
        if target == "/parts/late":
            exchange.send(b"x" * 10_000_000, time.perf_counter() - 1)
        if target == "/parts/endless":
            exchange.send(b"x" * 10_000_000, time.perf_counter() + PATIENCE_S)
        if target != "/parts/broken":
            exchange.end()

    def refuse(self, error: MalformedMessage) -> HttpResponse:
        """Say that it was no HTTP."""
        status = 431 if error.too_large else 400
        return HttpResponse(status=status, headers={}, body=b"refused", keep_alive=False)

    def fault(self, error: Exception) -> HttpResponse:
        """Say that we are at fault."""
        self.faults.append(error)
        return HttpResponse(status=500, headers={}, body=b"fault", keep_alive=True)

    def connect(self) -> socket.socket:
        """A client."""
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE_S)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Start a server that is stopped after the test, and leaves no thread."""
    before = set(threading.enumerate())
    made = Lab()
    yield made
    made.release.set()
    made.after.set()
    made.server.stop()
    assert set(threading.enumerate()) - before == set()


def answers(client: socket.socket, count: int) -> list[HttpResponse]:
    """So many answers, or fewer where the server hangs up."""
    reader = ResponseReader(10 * MOST)
    found: list[HttpResponse] = []
    while len(found) < count:
        data = client.recv(65536)
        if not data:
            break
        reader.feed(data)
        while (response := reader.next()) is not None:
            found.append(response)
    return found


def hung_up(client: socket.socket) -> bool:
    """Whether the server has closed the connection, without a reset."""
    return client.recv(1) == b""


def test_keep_alive_and_pipelining(lab: Lab) -> None:
    """Requests that come at once are answered in their order, on one connection."""
    with lab.connect() as client:
        for round_ in range(3):
            client.sendall(b"".join(b"GET /%d-%d HTTP/1.1\r\n\r\n" % (round_, number) for number in range(5)))
            targets = [response.headers["x-target"] for response in answers(client, 5)]
            assert targets == [f"/{round_}-{number}" for number in range(5)]


def test_chunked_body(lab: Lab) -> None:
    """Is put together."""
    with lab.connect() as client:
        client.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        client.sendall(b"2\r\nde\r\n0\r\n\r\n")
        [response] = answers(client, 1)
        assert response.body == b"abcde"


def test_expect_continue(lab: Lab) -> None:
    """The client is told to go on, then answered."""
    with lab.connect() as client:
        client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ab")
        [response] = answers(client, 1)
        assert (response.status, response.body) == (200, b"ab")


def test_head(lab: Lab) -> None:
    """The length of a body that is not sent."""
    with lab.connect() as client:
        client.sendall(b"HEAD /h HTTP/1.1\r\nConnection: close\r\n\r\n")
        whole = b""
        while data := client.recv(1000):
            whole += data
        assert whole.endswith(b"\r\n\r\n")
        assert b"X-Target: /h\r\n" in whole


def test_a_slow_client(lab: Lab) -> None:
    """May send byte by byte, and another is served meanwhile."""
    data = POST + b"Content-Length: 2\r\n\r\nab"
    with lab.connect() as slow, lab.connect() as quick:
        for place in range(len(data) - 1):
            slow.sendall(data[place : place + 1])
        quick.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert len(answers(quick, 1)) == 1
        slow.sendall(data[-1:])
        [response] = answers(slow, 1)
        assert response.body == b"ab"


def test_half_closed(lab: Lab) -> None:
    """A client that says it will send no more still has its answers."""
    with lab.connect() as client:
        client.sendall(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert len(answers(client, 2)) == 2
        assert hung_up(client)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,  # how TLS begins
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_garbage(lab: Lab, data: bytes) -> None:
    """Is refused, and hung up on after the answer has arrived; others notice nothing."""
    with lab.connect() as client:
        client.sendall(b"GET /before HTTP/1.1\r\n\r\n" + data)
        first, second = answers(client, 2)
        assert (first.status, second.status) == (200, 400)
        assert not second.keep_alive
        assert hung_up(client)
    with lab.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert answers(client, 1)[0].status == 200


def test_a_huge_head(lab: Lab) -> None:
    """Is refused before it ends; the client has the answer though it still sends."""
    with lab.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        with suppress(ConnectionError):
            for _ in range(30):
                client.sendall(b"A: " + b"x" * 50_000 + b"\r\n")
        [response] = answers(client, 1)
        assert response.status == 431


def test_a_body_over_the_limit(lab: Lab) -> None:
    """Is read and thrown away: the connection goes on."""
    with lab.connect() as client:
        client.sendall(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000 + b"GET /2 HTTP/1.1\r\n\r\n")
        first, second = answers(client, 2)
        assert first.body == b"too large"
        assert second.headers["x-target"] == "/2"


def test_a_fault_of_the_handler(lab: Lab) -> None:
    """Is told, and the connection goes on."""
    with lab.connect() as client:
        client.sendall(b"GET /fault HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        assert [response.status for response in answers(client, 2)] == [500, 200]
    assert [str(error) for error in lab.faults] == ["a fault"]


@pytest.mark.parametrize("how", [socket.SHUT_RDWR, None])
def test_a_client_that_goes_away(lab: Lab, how: int | None) -> None:
    """Before it has its answer: nobody else notices."""
    lab.release.clear()
    with lab.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert lab.busy.acquire(timeout=PATIENCE_S)
        if how is not None:
            client.shutdown(how)
    lab.release.set()
    with lab.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert len(answers(client, 1)) == 1
    assert lab.faults == []


def test_many_at_once(lab: Lab) -> None:
    """As many threads as connections: a hundred handlers run side by side."""
    lab.release.clear()
    clients = [lab.connect() for _ in range(100)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    for _ in clients:
        assert lab.busy.acquire(timeout=PATIENCE_S)
    lab.release.set()
    for client in clients:
        assert len(answers(client, 1)) == 1
        client.close()


def test_stop_answers_what_is_under_way(lab: Lab) -> None:
    """Idle connections end at once, the busy one with its answer, and nobody new comes in."""
    lab.release.clear()
    with lab.connect() as idle, lab.connect() as busy:
        busy.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert lab.busy.acquire(timeout=PATIENCE_S)
        port = lab.server.port
        lab.server.refuse_more()
        assert hung_up(idle)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        later = threading.Timer(0.2, lab.release.set)
        later.start()
        lab.server.stop()
        later.join()
        [response] = answers(busy, 1)
        assert (response.status, response.keep_alive) == (200, False)


def test_stop_at_once(lab: Lab) -> None:
    """A server that nobody has asked anything, twice."""
    lab.server.stop()
    lab.server.stop()


def test_a_client_that_does_not_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Does not hold up the end."""
    monkeypatch.setattr(http_server, "_JOIN_S", 0.3)
    client = lab.connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = POST + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000
    client.settimeout(0.5)
    with suppress(TimeoutError):
        for _ in range(20_000):
            client.sendall(request)
    lab.server.stop()
    client.close()


def all_of(client: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_an_answer_in_parts(lab: Lab) -> None:
    """Comes in chunks, with each cookie in a header of its own, and the connection carries the next request."""
    with lab.connect() as client:
        for _ in range(2):
            client.sendall(b"GET /parts HTTP/1.1\r\n\r\n")
            [response] = answers(client, 1)
            assert (response.status, response.body) == (200, b"peer 127.0.0.1")
            assert response.headers["transfer-encoding"] == "chunked"
            assert response.headers["set-cookie"] == "a=1,b=2"


def test_parts_for_an_old_client(lab: Lab) -> None:
    """HTTP/1.0 knows no chunks: the body ends with the connection."""
    with lab.connect() as client:
        client.sendall(b"GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = all_of(client).partition(b"\r\n\r\n")
        assert b"Connection: close" in head
        assert b"chunked" not in head
        assert body == b"peer 127.0.0.1"


def test_parts_that_are_not_to_be_seen(lab: Lab) -> None:
    """HEAD and 204 have no body, and the next answer is not mistaken for one."""
    with lab.connect() as client:
        client.sendall(b"HEAD /parts HTTP/1.1\r\n\r\nGET /parts/204 HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n")
        client.sendall(b"Connection: close\r\n\r\n")
        first, second, third, rest = all_of(client).split(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in first
        assert b"204 No Content" in second
        assert b"Transfer-Encoding" not in second
        assert b"X-Target: /next" in third
        assert rest == b""


def test_a_client_that_does_not_read_in_time(lab: Lab) -> None:
    """Is hung up on when the time is up, and at once where the server stops."""
    with lab.connect() as late, lab.connect() as stuck:
        late.sendall(b"GET /parts/late HTTP/1.1\r\n\r\n")
        assert lab.busy.acquire(timeout=PATIENCE_S)
        data = all_of(late)
        assert data.startswith(b"HTTP/1.1 200")
        assert len(data) < 10_000_000
        stuck.sendall(b"GET /parts/endless HTTP/1.1\r\n\r\n")
        assert stuck.recv(12) == b"HTTP/1.1 200"
        lab.server.stop()


@pytest.mark.parametrize("target", ["/parts/broken", "/parts/fault"])
def test_parts_that_break_off(lab: Lab, target: str) -> None:
    """The client can tell: the last chunk does not come."""
    with lab.connect() as client:
        client.sendall(b"GET %s HTTP/1.1\r\n\r\n" % target.encode())
        data = all_of(client)
        assert data.endswith(b"127.0.0.1\r\n")
        assert len(lab.faults) == (target == "/parts/fault")


def test_a_head_that_cannot_be(lab: Lab) -> None:
    """Is a fault, and told as one: nothing of it has been sent."""
    with lab.connect() as client:
        client.sendall(b"GET /parts/bad-header HTTP/1.1\r\n\r\n")
        [response] = answers(client, 1)
        assert (response.status, len(lab.faults)) == (500, 1)


def test_a_client_that_does_not_wait_for_the_parts(lab: Lab) -> None:
    """Disturbs nobody: the handler does not notice."""
    lab.release.clear()
    client = lab.connect()
    client.sendall(b"GET /parts HTTP/1.1\r\n\r\n")
    assert lab.busy.acquire(timeout=PATIENCE_S)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    lab.release.set()
    lab.server.stop()
    assert lab.faults == []


@pytest.mark.parametrize("target", ["/early", "/early/fault"])
def test_an_answer_before_the_handler_is_done(lab: Lab, target: str) -> None:
    """It is there, and the connection goes on once the handler has ended; a fault after it is only told of."""
    with lab.connect() as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        [first] = answers(client, 1)
        assert (first.status, first.body, first.keep_alive) == (200, b"xxxxx", True)
        assert not lab.after.is_set()
        lab.after.set()
        [second] = answers(client, 1)
        assert second.headers["x-target"] == "/next"
    assert [str(fault) for fault in lab.faults] == ["a fault after the answer"] * (target == "/early/fault")


def test_a_large_answer_before_the_handler_is_done(lab: Lab) -> None:
    """What does not go at once keeps nobody: the handler goes on, and the rest follows."""
    with lab.connect() as client:
        client.sendall(b"GET /early/large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        for _ in range(2):
            assert lab.busy.acquire(timeout=PATIENCE_S)  # though nobody has read anything
        lab.after.set()
        head, _, body = all_of(client).partition(b"\r\n\r\n")
        assert b"Connection: close" in head
        assert body == b"x" * LARGE
