"""Answers that a runtime sends in parts: who gets them, and what breaks them off. Without HTTP."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from emulator.http1 import HttpRequest
from emulator.invocation import Invocation
from emulator.lifecycle import Event, Heard, State
from emulator.limits import MIB
from emulator.runtime_api import Reply, RuntimeApi
from emulator.sandbox.base import Exit
from emulator.streaming import PacedStream
from tests.exchanges import FakeReceiver
from tests.fakes import API
from tests.hand_loop import FakeClock

if TYPE_CHECKING:
    from collections.abc import Mapping

INVOCATION = Invocation(request_id="8f5", payload=b"{}", function_arn="arn", deadline_ms=1, trace_id="Root=1")
TARGET = f"{API}/invocation/8f5/response"
STREAMING = {"lambda-runtime-function-response-mode": "streaming", "content-type": "text/plain"}


class Talk:
    """A runtime that has an event, whose answer somebody wants in parts, or not."""

    def __init__(self, *, wanted: bool = True, peer: str | None = None) -> None:
        self.heard: list[Heard] = []
        self.receiver = FakeReceiver()
        self.api = RuntimeApi(self._hear, peer=peer)
        self.api.happen(Event.GO)
        self.api.happen(Event.NEXT)
        clock = FakeClock()
        stream = PacedStream(self.receiver, 1e9, clock=clock.perf_counter, sleep=lambda _: None)
        self.api.dispatch(INVOCATION, stream if wanted else None)

    def _hear(self, what: Heard | Exit) -> None:
        assert isinstance(what, Heard)
        self.heard.append(what)

    def end(
        self,
        body: bytes | None = b"",
        headers: Mapping[str, str] = STREAMING,
        trailers: Mapping[str, str] | None = None,
    ) -> Reply:
        """The request is whole."""
        replies: list[Reply] = []
        request = HttpRequest(
            method="POST", target=TARGET, headers=headers, body=body, keep_alive=True, trailers=trailers
        )
        self.api.handle(request, replies.append)
        [reply] = replies
        return reply


def test_parts_and_their_end() -> None:
    """Each goes on as it comes; what is heard at the end has none of them."""
    talk = Talk()
    assert talk.api.streams(TARGET, STREAMING)
    talk.api.part(b"one")
    talk.api.part(b"")
    assert talk.heard == []
    assert talk.end(b"two").status == 202
    assert (talk.receiver.content_type, talk.receiver.parts) == ("text/plain", [b"one", b"two"])
    [heard] = talk.heard
    assert (heard.event, heard.body, heard.streamed, talk.api.state) == (Event.RESPONSE, b"", True, State.ANSWERED)


@pytest.mark.parametrize(
    ("target", "headers", "peer"),
    [
        (TARGET, {}, "10.0.0.2"),
        (TARGET, {"lambda-runtime-function-response-mode": "buffered"}, "10.0.0.2"),
        (f"{API}/invocation/other/response", STREAMING, "10.0.0.2"),
        (f"{API}/invocation/8f5/error", STREAMING, "10.0.0.2"),
        (TARGET, STREAMING, "10.0.0.3"),
    ],
)
def test_what_is_not_streamed(target: str, headers: dict[str, str], peer: str) -> None:
    """Another mode, another event, another sandbox."""
    talk = Talk(peer="10.0.0.2")
    assert not talk.api.streams(target, headers, peer)
    assert talk.api.streams(TARGET, STREAMING, "10.0.0.2")
    assert not talk.api.streams(TARGET, STREAMING, "10.0.0.2")  # one at a time


def test_nobody_wants_parts() -> None:
    """The body is heard whole, as without the mode; an error in its midst is the answer."""
    talk = Talk(wanted=False)
    assert not talk.api.streams(TARGET, STREAMING)
    assert talk.end(b"all").status == 202
    [heard] = talk.heard
    assert (heard.event, heard.body, heard.streamed) == (Event.RESPONSE, b"all", False)
    talk = Talk(wanted=False)
    assert talk.end(None).status == 413
    assert talk.heard[0].too_large


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize(
    ("encoded", "body"),
    [(base64.b64encode(b'{"errorType": "Mine"}').decode(), b'{"errorType": "Mine"}'), ("{plain", b"{plain"), ("", b"")],
)
def test_an_error_in_its_midst(wanted: bool, encoded: str, body: bytes) -> None:  # noqa: FBT001 - a parameter
    """Is an error, with the document of the trailers."""
    talk = Talk(wanted=wanted)
    assert talk.api.streams(TARGET, STREAMING) is wanted
    fields = {"lambda-runtime-function-error-type": "Mine", "lambda-runtime-function-error-body": encoded}
    assert talk.end(b"half", trailers=fields).status == 202
    [heard] = talk.heard
    assert (heard.event, heard.body, heard.error_type, heard.streamed) == (Event.ERROR, body, "Mine", wanted)
    assert talk.api.state is State.ANSWERED


def test_too_much() -> None:
    """Is heard at once; the rest is thrown away, and the runtime is told at the end."""
    talk = Talk()
    talk.api.streams(TARGET, STREAMING)
    for _ in range(52):
        talk.api.part(bytes(4 * MIB))
    [heard] = talk.heard
    assert (heard.event, heard.too_large, heard.streamed) == (Event.RESPONSE, True, True)
    assert len(talk.receiver.parts) == 50
    reply = talk.end(b"more")
    assert (reply.status, json.loads(reply.body)["errorType"]) == (413, "RequestEntityTooLarge")
    assert "209715200" in reply.body.decode()
    assert len(talk.heard) == 1


def test_breaking_off() -> None:
    """Is an error with AWS's name, and only where an answer was on its way."""
    talk = Talk()
    talk.api.broke_off()
    assert talk.heard == []
    talk.api.streams(TARGET, STREAMING)
    talk.api.part(b"half")
    talk.api.broke_off()
    talk.api.part(b"late")
    assert talk.receiver.parts == [b"half"]
    [heard] = talk.heard
    assert (heard.event, heard.error_type) == (Event.ERROR, "Runtime.TruncatedResponse")
    assert talk.end().status == 403
    talk.api.broke_off()
    assert len(talk.heard) == 1


def test_a_mode_that_is_none() -> None:
    """400, and the event is still owed an answer."""
    talk = Talk()
    reply = talk.end(b"x", {"lambda-runtime-function-response-mode": "chunky"})
    assert (reply.status, json.loads(reply.body)["errorType"]) == (400, "InvalidFunctionResponseMode")
    assert talk.api.state is State.BUSY
    assert talk.end(b"x", {"lambda-runtime-function-response-mode": "buffered"}).status == 202


def test_an_answer_in_one_piece() -> None:
    """Tells its type to whoever wanted parts, and is heard whole."""
    talk = Talk()
    assert talk.end(b"{}", {"content-type": "application/json"}).status == 202
    assert (talk.receiver.content_type, talk.receiver.parts, talk.heard[0].body) == ("application/json", [], b"{}")
