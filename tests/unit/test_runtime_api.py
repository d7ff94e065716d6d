"""The Runtime API's answers and what they do to the environment's state, without HTTP."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from emulator.http1 import HttpRequest
from emulator.invocation import Invocation
from emulator.lifecycle import Event, Heard, IllegalTransition, State
from emulator.runtime_api import Reply, RuntimeApi
from emulator.sandbox.base import Exit
from tests.fakes import API
from tests.hand_loop import HandLoop

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Iterator, Mapping

INVOCATION = Invocation(
    request_id="8f507cfc",
    payload=b'{"a": 1}',
    function_arn="arn:aws:lambda:us-east-1:123456789012:function:F",
    deadline_ms=1_700_000_003_000,
    trace_id="Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
)
ANSWER = f"/invocation/{INVOCATION.request_id}/response"
ERROR = f"/invocation/{INVOCATION.request_id}/error"


class Talk:
    """One runtime's conversation: requests go in, replies and what was heard come out."""

    def __init__(self, *, peer: str | None = None) -> None:
        self.heard: list[Heard] = []
        self.api = RuntimeApi(self._hear, peer=peer)
        self.loop = HandLoop()

    def _hear(self, what: Heard | Exit) -> None:
        assert isinstance(what, Heard)
        self.heard.append(what)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = b"",
        headers: Mapping[str, str] | None = None,
        peer: str | None = None,
    ) -> Task[Reply]:
        """Send a request that may have to wait for its reply."""
        named = {name.lower(): value for name, value in (headers or {}).items()}
        request = HttpRequest(method=method, target=API + path, headers=named, body=body, keep_alive=True)
        return self.loop.start(self.loop.reply(lambda answer: self.api.handle(request, answer, peer=peer)))

    def get(self, path: str) -> Reply:
        """Send a GET that is answered at once."""
        return self.ask("GET", path).result()

    def post(self, path: str, body: bytes | None = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """Send a POST."""
        return self.ask("POST", path, body=body, headers=headers).result()

    def until_idle(self) -> Task[Reply]:
        """Start and ask for the first event."""
        self.api.happen(Event.GO)
        return self.ask("GET", "/invocation/next")

    def until_busy(self) -> None:
        """And be handed one."""
        self.until_idle()
        self.hand_over(INVOCATION)

    def hand_over(self, invocation: Invocation) -> None:
        """Answer the waiting /next."""
        self.api.dispatch(invocation)
        self.loop.drain()

    def close(self) -> None:
        """Hang up for the runtime."""
        self.loop.close()

    def events(self) -> list[Event]:
        """What was heard, without the bodies."""
        return [heard.event for heard in self.heard]


def problem(reply: Reply) -> tuple[int, str]:
    """Give status and type of an error reply; it has a message too."""
    document = json.loads(reply.body)
    assert document["errorMessage"]
    assert set(document) == {"errorType", "errorMessage"}
    return reply.status, document["errorType"]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """Give a conversation that is ended after the test."""
    with closing(Talk()) as opened:
        yield opened


def test_next_waits_for_an_event(talk: Talk) -> None:
    """Asking ends init and is answered when there is something to do."""
    waiting = talk.until_idle()
    assert not waiting.done()
    assert (talk.api.state, talk.events()) == (State.IDLE, [Event.NEXT])
    talk.hand_over(INVOCATION)
    assert waiting.done()
    assert talk.api.state is State.BUSY


def test_next_brings_event_and_headers(talk: Talk) -> None:
    """The body is the payload as it is; header names are the guide's of 2026-07."""
    waiting = talk.until_idle()
    talk.hand_over(INVOCATION)
    assert waiting.result() == Reply(
        status=200,
        body=b'{"a": 1}',
        headers={
            "Lambda-Runtime-Aws-Request-Id": "8f507cfc",
            "Lambda-Runtime-Deadline-Ms": "1700000003000",
            "Lambda-Runtime-Invoked-Function-Arn": INVOCATION.function_arn,
            "Lambda-Runtime-Trace-Id": INVOCATION.trace_id,
        },
    )


def test_client_context_is_handed_on(talk: Talk) -> None:
    """Where the caller sent one."""
    waiting = talk.until_idle()
    with_context = Invocation(
        request_id="1", payload=b"{}", function_arn="a", deadline_ms=1, trace_id="t", client_context='{"custom":{}}'
    )
    talk.hand_over(with_context)
    assert waiting.result().headers["Lambda-Runtime-Client-Context"] == '{"custom":{}}'


@pytest.mark.parametrize(("path", "event"), [(ANSWER, Event.RESPONSE), (ERROR, Event.ERROR)])
def test_answers_are_accepted(talk: Talk, path: str, event: Event) -> None:
    """202 for either, and the body is heard as it came."""
    talk.until_busy()
    reply = talk.post(path, b'{"b": 2}', {"Lambda-Runtime-Function-Error-Type": "ValueError"})
    assert (reply.status, json.loads(reply.body)) == (202, {"status": "OK"})
    assert talk.api.state is State.ANSWERED
    heard = talk.heard[-1]
    assert (heard.event, heard.body, heard.error_type) == (event, b'{"b": 2}', "ValueError")
    assert not heard.too_large


def test_next_again_after_an_answer(talk: Talk) -> None:
    """The second event goes the same way."""
    talk.until_busy()
    talk.post(ANSWER)
    waiting = talk.ask("GET", "/invocation/next")
    assert talk.api.state is State.IDLE
    talk.hand_over(INVOCATION)
    assert waiting.result().body == INVOCATION.payload
    assert talk.events() == [Event.NEXT, Event.RESPONSE, Event.NEXT]


def test_init_error_is_accepted(talk: Talk) -> None:
    """The environment has failed, and type and body are heard."""
    talk.api.happen(Event.GO)
    headers = {"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"}
    assert talk.post("/init/error", b'{"errorType": "x"}', headers).status == 202
    assert talk.api.state is State.FAILED
    heard = talk.heard[0]
    assert (heard.event, heard.body) == (Event.INIT_ERROR, b'{"errorType": "x"}')
    assert heard.error_type == "Runtime.ImportModuleError"


def test_times_do_not_go_back(talk: Talk) -> None:
    """What is heard later has a later time or the same."""
    talk.until_busy()
    talk.post(ANSWER)
    talk.ask("GET", "/invocation/next")
    times = [heard.at for heard in talk.heard]
    assert times == sorted(times)


@pytest.mark.parametrize("path", [ANSWER, ERROR])
def test_a_body_over_the_quota_is_refused(talk: Talk, path: str) -> None:
    """413 in RIE's words of 2026-01; the function has answered all the same."""
    talk.until_busy()
    reply = talk.post(path, None)
    assert problem(reply) == (413, "RequestEntityTooLarge")
    assert "6291556 bytes" in reply.body.decode()
    assert talk.heard[-1].too_large
    assert talk.heard[-1].body == b""
    assert talk.api.state is State.ANSWERED


def test_an_init_error_over_the_quota_is_one_too(talk: Talk) -> None:
    """Its text is lost, the failure is not."""
    talk.api.happen(Event.GO)
    assert talk.post("/init/error", None).status == 202
    assert talk.heard[0].body == b""


@pytest.mark.parametrize("path", ["/invocation/other/response", "/invocation//response", "/invocation/other/error"])
def test_an_answer_to_another_event_is_refused(talk: Talk, path: str) -> None:
    """400, and the event is still owed an answer."""
    talk.until_busy()
    assert problem(talk.post(path)) == (400, "InvalidRequestID")
    assert talk.api.state is State.BUSY
    assert talk.events() == [Event.NEXT]


def test_an_answer_before_any_event_is_refused(talk: Talk) -> None:
    """There is no request id yet."""
    talk.until_idle()
    assert problem(talk.post(ANSWER)) == (400, "InvalidRequestID")


@pytest.mark.parametrize("second", [ANSWER, ERROR])
def test_a_second_answer_is_refused(talk: Talk, second: str) -> None:
    """403, and it is not heard."""
    talk.until_busy()
    talk.post(ANSWER, b"first")
    assert problem(talk.post(second, b"second")) == (403, "InvalidStateTransition")
    assert talk.events() == [Event.NEXT, Event.RESPONSE]


def test_a_second_next_is_refused(talk: Talk) -> None:
    """403 while the first one waits, and the first one still gets the event."""
    waiting = talk.until_idle()
    assert problem(talk.get("/invocation/next")) == (403, "InvalidStateTransition")
    talk.hand_over(INVOCATION)
    assert waiting.result().status == 200
    assert talk.events() == [Event.NEXT]


def test_next_before_the_answer_is_refused(talk: Talk) -> None:
    """Who has an event must answer it."""
    talk.until_busy()
    assert problem(talk.get("/invocation/next")) == (403, "InvalidStateTransition")


def test_init_error_after_init_is_refused(talk: Talk) -> None:
    """403, and the environment goes on."""
    talk.until_idle()
    assert problem(talk.post("/init/error")) == (403, "InvalidStateTransition")
    assert talk.api.state is State.IDLE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/invocation/next"),
        ("GET", "/init/error"),
        ("GET", ANSWER),
        ("POST", "/invocation/8f507cfc/other"),
        ("POST", "/invocation/8f507cfc"),
        ("POST", f"{ANSWER}/more"),
        ("GET", "/"),
        ("GET", "/restore/next"),
    ],
)
def test_other_requests_are_not_found(talk: Talk, method: str, path: str) -> None:
    """404, and nothing happens."""
    talk.until_busy()
    reply = talk.ask(method, path).result()
    assert problem(reply) == (404, "NotFound")
    assert path in reply.body.decode()
    assert talk.api.state is State.BUSY


@pytest.mark.parametrize(("caller", "answered"), [("10.0.0.2", True), ("10.0.0.3", False), (None, False)])
def test_only_the_peer_is_answered(caller: str | None, answered: bool) -> None:  # noqa: FBT001 - a column of the table
    """Another sandbox on the same network gets 403 and changes nothing."""
    with closing(Talk(peer="10.0.0.2")) as talk:
        talk.api.happen(Event.GO)
        asked = talk.ask("GET", "/invocation/next", peer=caller)
        assert asked.done() is not answered
        assert talk.api.state is (State.IDLE if answered else State.INIT)
        if not answered:
            assert problem(asked.result()) == (403, "Forbidden")


def test_dispatch_needs_a_runtime_that_waits(talk: Talk) -> None:
    """Handing an event to one that is not idle is a mistake of ours."""
    with pytest.raises(IllegalTransition):
        talk.hand_over(INVOCATION)
    assert talk.api.state is State.READY


def test_hanging_up_gives_up_the_wait(talk: Talk) -> None:
    """The request ends without a reply; doing it again, or with nobody waiting, is fine."""
    waiting = talk.until_idle()
    talk.api.hang_up()
    talk.api.hang_up()
    with pytest.raises(IllegalTransition):
        talk.api.happen(Event.NEXT)
    assert not waiting.done()


def test_an_event_for_a_runtime_that_hung_up_is_lost_quietly(talk: Talk) -> None:
    """The end of the process will be seen; until then the environment is busy."""
    waiting = talk.until_idle()
    waiting.cancel()
    talk.loop.drain()
    talk.hand_over(INVOCATION)
    assert talk.api.state is State.BUSY
