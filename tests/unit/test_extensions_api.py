"""The Extensions API's answers and the state of those who ask, without HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.extensions_api import MOST, ExtensionsApi
from emulator.http1 import HttpRequest
from emulator.invocation import Invocation
from emulator.lifecycle import Heard
from emulator.sandbox.base import Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.runtime_api import Reply

INVOCATION = Invocation(
    request_id="8f507cfc", payload=b"{}", function_arn="arn:aws:lambda:x", deadline_ms=1_700_000_003_000, trace_id="R"
)
BOTH = b'{"events": ["INVOKE", "SHUTDOWN"]}'
UNKNOWN = "8f507cfc-0000-4000-8000-000000000000"


class Talk:
    """Conversations with the extensions of one life: `agent` is external."""

    def __init__(self, *external: str) -> None:
        self.heard: list[Heard | Exit] = []
        self.api = ExtensionsApi(self.heard.append, function_name="F", handler="app.handler", external=external)

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        initialising: bool = True,
    ) -> list[Reply]:
        """The replies so far, to a request whose headers lack `Lambda-Extension-`."""
        replies: list[Reply] = []
        named = {f"lambda-extension-{name}": value for name, value in headers.items()}
        target = f"/2020-01-01/extension/{path}"
        request = HttpRequest(method=method, target=target, headers=named, body=body, keep_alive=True)
        self.api.handle(request, replies.append, 1.0, initialising=initialising)
        return replies

    def register(
        self, name: str = "agent", body: bytes = BOTH, *, features: str = "", initialising: bool = True
    ) -> Reply:
        """Register."""
        headers = {"name": name, "accept-feature": features}
        return self.ask("POST", "register", headers, body, initialising=initialising)[0]

    def registered(self, name: str = "agent", body: bytes = BOTH) -> str:
        """Register and give the identifier."""
        reply = self.register(name, body)
        assert reply.status == 200, reply.body
        return reply.headers["Lambda-Extension-Identifier"]

    def next(self, identifier: str) -> list[Reply]:
        """Ask for an event."""
        return self.ask("GET", "event/next", {"identifier": identifier})


def problem(reply: Reply) -> tuple[int, str]:
    """Status and error type."""
    return reply.status, json.loads(reply.body)["errorType"]


def test_registration() -> None:
    """The function's document; the account where it is asked for."""
    talk = Talk("agent", "other")
    assert [talk.api.registered] == [False]
    plain = talk.register()
    function = {"functionName": "F", "functionVersion": "$LATEST", "handler": "app.handler"}
    assert json.loads(plain.body) == function
    account = talk.register("other", features="something, accountId")
    assert json.loads(account.body) == {**function, "accountId": "123456789012"}
    assert (talk.api.registered, talk.api.ready) == (True, False)
    assert (talk.api.living(external=True), talk.api.living(external=False)) == (2, 0)
    assert len(talk.heard) == 2


@pytest.mark.parametrize(
    ("name", "body", "initialising", "error_type"),
    [
        ("", BOTH, True, "Extension.InvalidExtensionName"),
        ("agent", b"{", True, "InvalidRequestFormat"),
        ("agent", b"[]", True, "InvalidRequestFormat"),
        ("agent", b'{"events": [1]}', True, "InvalidRequestFormat"),
        ("agent", b'{"events": [], "configurationKeys": ["A"]}', True, "InvalidRequestFormat"),
        ("agent", b'{"events": ["RESTORE"]}', True, "Extension.InvalidEventType"),
        ("within", BOTH, True, "Extension.InvalidEventType"),
        ("within", b'{"events": ["INVOKE"]}', False, "Extension.RegistrationClosed"),
    ],
)
def test_refused_registrations(name: str, body: bytes, initialising: bool, error_type: str) -> None:  # noqa: FBT001 - a column
    """403 with AWS's types."""
    talk = Talk("agent")
    assert problem(talk.register(name, body, initialising=initialising)) == (403, error_type)
    assert talk.heard == []


def test_a_second_registration_is_refused() -> None:
    """By an external one's state, and by an internal one's name."""
    talk = Talk("agent")
    talk.registered()
    reply = talk.register()
    assert problem(reply) == (403, "Extension.InvalidExtensionState")
    assert "from Registered to Registered failed for extension agent" in reply.body.decode()
    talk.registered("within", b'{"events": []}')
    assert problem(talk.register("within", b"{}")) == (403, "Extension.InvalidExtensionState")


@pytest.mark.parametrize("external", [0, 3])
def test_the_most_there_may_be(external: int) -> None:
    """Ten of both kinds."""
    talk = Talk(*(f"agent-{number}" for number in range(external)))
    for number in range(MOST - external):
        talk.registered(f"within-{number}", b"{}")
    assert problem(talk.register("one-more", b"{}")) == (403, "Extension.TooManyExtensions")


@pytest.mark.parametrize(
    ("headers", "error_type"),
    [
        ({}, "Extension.MissingExtensionIdentifier"),
        ({"identifier": "x"}, "Extension.InvalidExtensionIdentifier"),
        ({"identifier": UNKNOWN}, "Extension.UnknownExtensionIdentifier"),
    ],
)
def test_strangers(headers: Mapping[str, str], error_type: str) -> None:
    """403 on every path that needs an identifier."""
    talk = Talk("agent")
    for method, path in (("GET", "event/next"), ("POST", "init/error"), ("POST", "exit/error")):
        assert problem(talk.ask(method, path, headers)[0]) == (403, error_type)
    assert problem(talk.ask("GET", "elsewhere", {})[0]) == (404, "NotFound")


def test_invoke_and_shutdown() -> None:
    """INVOKE for those who want it; SHUTDOWN now, or at the next request."""
    talk = Talk("agent", "quiet")
    agent, quiet = talk.registered(), talk.registered("quiet", b'{"events": ["SHUTDOWN"]}')
    invoked, patient = talk.next(agent), talk.next(quiet)
    assert (talk.api.ready, talk.api.invoked) == (True, True)
    talk.api.dispatch(INVOCATION)
    assert json.loads(invoked[0].body) == {
        "eventType": "INVOKE",
        "deadlineMs": 1_700_000_003_000,
        "requestId": "8f507cfc",
        "invokedFunctionArn": "arn:aws:lambda:x",
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "R"},
    }
    assert "Lambda-Extension-Event-Identifier" in invoked[0].headers
    assert len(patient) == 0
    assert [talk.api.ready] == [False]
    talk.api.shut_down("TIMEOUT", 5)
    expected = {"eventType": "SHUTDOWN", "shutdownReason": "TIMEOUT", "deadlineMs": 5}
    assert json.loads(patient[0].body) == expected
    assert json.loads(talk.next(agent)[0].body) == expected
    assert [talk.api.departing] == [True]
    talk.api.ended("quiet", None)
    talk.api.ended("agent", None)
    assert [talk.api.departing] == [False]
    assert problem(talk.next(agent)[0]) == (403, "Extension.InvalidExtensionState")


@pytest.mark.parametrize(("path", "error_type"), [("init/error", "InitError"), ("exit/error", "ExitError")])
def test_reported_errors(path: str, error_type: str) -> None:
    """202, and heard as the end of that extension; without its type it is refused."""
    talk = Talk("agent")
    identifier = talk.registered()
    assert problem(talk.ask("POST", path, {"identifier": identifier})[0]) == (403, "Extension.MissingHeader")
    told = {"identifier": identifier, "function-error-type": "Extension.Own"}
    assert talk.ask("POST", path, told)[0].status == 202
    assert talk.heard[-1] == Exit(extension="agent", error_type=f"Extension.{error_type}", said="Extension.Own")
    assert problem(talk.ask("POST", path, told)[0]) == (403, "Extension.InvalidExtensionState")


def test_an_init_error_after_init_is_refused() -> None:
    """It waits for events already."""
    talk = Talk("agent")
    identifier = talk.registered()
    waiting = talk.next(identifier)
    told = {"identifier": identifier, "function-error-type": "Extension.Own"}
    assert problem(talk.ask("POST", "init/error", told)[0]) == (403, "Extension.InvalidExtensionState")
    talk.api.hang_up()
    talk.api.shut_down("SPINDOWN", 5)
    assert waiting == []


STEPS = st.one_of(
    st.tuples(st.just("register"), st.sampled_from(["agent", "other", "within", "within-2", ""])),
    st.tuples(st.sampled_from(["event/next", "init/error", "exit/error"]), st.integers(0, 4)),
    st.tuples(st.sampled_from(["dispatch", "shut down", "ended"]), st.integers(0, 4)),
)


@given(steps=st.lists(STEPS, max_size=30))
def test_any_order(steps: list[tuple[str, int | str]]) -> None:
    """Nobody is answered twice, nor with anything but 200, 202 or 403; who is told of an event asked for one."""
    talk = Talk("agent", "other")
    known = [UNKNOWN]
    asked: list[list[Reply]] = []
    for what, which in steps:
        identifier = known[which % len(known)] if isinstance(which, int) else ""
        if what == "register":
            reply = talk.register(str(which), b'{"events": ["INVOKE"]}')
            known += [reply.headers["Lambda-Extension-Identifier"]] if reply.status == 200 else []
            asked.append([reply])
        elif what == "dispatch":
            talk.api.dispatch(INVOCATION)
        elif what == "shut down":
            talk.api.shut_down("FAILURE", 1)
        elif what == "ended":
            talk.api.ended("agent", None)
        else:
            method = "GET" if what == "event/next" else "POST"
            asked.append(talk.ask(method, what, {"identifier": identifier, "function-error-type": "Extension.Own"}))
    assert all(len(replies) <= 1 for replies in asked)
    assert {reply.status for replies in asked for reply in replies} <= {200, 202, 403}
    assert sum(not replies for replies in asked) >= sum(one.waiting is not None for one in talk.api.all)
