"""Answers in parts over a real socket to the Runtime API's server."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from emulator.invocation import Invocation
from emulator.lifecycle import Event, Heard
from emulator.runtime_server import RuntimeServer
from emulator.sandbox.base import Exit
from emulator.streaming import PacedStream
from tests.exchanges import FakeReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 60
API = "/2018-06-01/runtime"
STREAMED = b"Transfer-Encoding: chunked\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n\r\n"


def head_of(request_id: str) -> bytes:
    """The head of an answer in parts."""
    return f"POST {API}/invocation/{request_id}/response HTTP/1.1\r\nHost: h\r\n".encode() + STREAMED


def wanted(server: RuntimeServer, request_id: str) -> FakeReceiver:
    """Give the runtime an event whose answer somebody wants in parts."""
    receiver = FakeReceiver()
    stream = PacedStream(receiver, time.perf_counter() + PATIENCE_S)
    event = Invocation(request_id=request_id, payload=b"{}", function_arn="arn", deadline_ms=5, trace_id="Root=1")
    server.api.dispatch(event, stream)
    return receiver


def idle(server: RuntimeServer) -> None:
    """As after the runtime has asked for an event."""
    server.api.happen(Event.GO)
    server.api.happen(Event.NEXT)


def chunk(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def until(server: RuntimeServer, happened: Callable[[], bool]) -> None:
    """Serve until it is so; nothing may be heard meanwhile."""
    limit = time.perf_counter() + PATIENCE_S
    while not happened():
        assert time.perf_counter() < limit
        assert server.wait(time.perf_counter() + 0.01) is None


def test_parts_are_handed_on_as_they_come() -> None:
    """While the answer is not whole, and with the answer to the runtime at its end."""
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(RuntimeServer(listener)) as server:
        idle(server)
        receiver = wanted(server, "8f5")
        with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as runtime:
            runtime.sendall(head_of("8f5") + chunk(b"one"))
            until(server, lambda: receiver.parts == [b"one"])
            runtime.sendall(chunk(b"two"))
            until(server, lambda: receiver.parts == [b"one", b"two"])
            runtime.sendall(chunk(b"three") + b"0\r\n\r\n")
            heard = server.wait(time.perf_counter() + PATIENCE_S)
            assert isinstance(heard, Heard)
            assert (heard.event, heard.streamed, receiver.parts[-1]) == (Event.RESPONSE, True, b"three")
            assert runtime.recv(65536).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize("last", [b"", b"no chunk\r\n"])
def test_an_answer_that_breaks_off(last: bytes) -> None:
    """Is heard, whether the connection ends or what comes is no HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(RuntimeServer(listener)) as server:
        idle(server)
        receiver = wanted(server, "8f5")
        with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as runtime:
            runtime.sendall(head_of("8f5") + chunk(b"half") + last)
            runtime.shutdown(socket.SHUT_WR)
            heard = server.wait(time.perf_counter() + PATIENCE_S)
        assert isinstance(heard, Heard)
        assert (heard.event, heard.error_type) == (Event.ERROR, "Runtime.TruncatedResponse")
        assert receiver.parts in ([b"half"], [])  # nothing of a piece that is no HTTP


def test_what_still_comes_of_an_answer_before() -> None:
    """Is thrown away: it is no part of the next one, and its end does not break that off."""
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(RuntimeServer(listener)) as server:
        idle(server)
        before = wanted(server, "first")
        address = listener.getsockname()
        with socket.create_connection(address, timeout=PATIENCE_S) as old:
            old.sendall(head_of("first") + chunk(b"old"))
            until(server, lambda: before.parts == [b"old"])
            server.api.happen(Event.RESPONSE)  # it was too long, say
            server.api.happen(Event.NEXT)
            receiver = wanted(server, "second")
            with socket.create_connection(address, timeout=PATIENCE_S) as new:
                old.sendall(chunk(b"older"))
                new.sendall(head_of("second") + chunk(b"new"))
                until(server, lambda: receiver.parts == [b"new"])
                old.close()
                new.sendall(chunk(b"newer") + b"0\r\n\r\n")
                heard = server.wait(time.perf_counter() + PATIENCE_S)
                assert isinstance(heard, Heard)
                assert (heard.event, receiver.parts) == (Event.RESPONSE, [b"new", b"newer"])


@pytest.mark.parametrize("closed", [True, False])
def test_what_a_process_said_before_its_end(closed: bool) -> None:  # noqa: FBT001 - a parameter
    """Is heard before that, though the news of the end came first; also where a child keeps the connection open."""
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(RuntimeServer(listener)) as server:
        idle(server)
        receiver = wanted(server, "8f5")
        with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as runtime:
            runtime.sendall(head_of("8f5") + chunk(b"last words"))
            if closed:
                runtime.shutdown(socket.SHUT_WR)
            server.hear(Exit(status=3))
            heard = server.wait(time.perf_counter() + PATIENCE_S)
            assert receiver.parts == [b"last words"]
            if closed:
                assert isinstance(heard, Heard)
                assert heard.error_type == "Runtime.TruncatedResponse"
                heard = server.wait(time.perf_counter() + PATIENCE_S)
            assert heard == Exit(status=3)
