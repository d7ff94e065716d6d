"""What both reference functions share: which texts are read, how far, and in which form each caller is answered."""

from __future__ import annotations

import base64
import json
import sys
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textmodel import callers, encoding
from textmodel.checking import InvalidInput, Text, check_text

from tests.fake_model import NOTHING, FakeModel

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
)
FEED = "arn:aws:sqs:eu-west-1:123456789012:feed"


def shout(event: object) -> dict[str, object]:
    """A function that answers strings only."""
    if not isinstance(event, str):
        raise InvalidInput("the event is no string")
    return {"shout": event.upper()}


def rest(body: object, **more: object) -> dict[str, object]:
    """A request as API Gateway's REST API hands it over (payload format 1.0)."""
    return {"httpMethod": "POST", "path": "/", "requestContext": {"stage": "prod"}, "body": body, **more}


def url(body: object, **more: object) -> dict[str, object]:
    """A request as an HTTP API or a function URL hands it over (payload format 2.0)."""
    return {"version": "2.0", "requestContext": {"http": {"method": "POST"}}, "body": body, **more}


def message(identifier: str, body: object, queue: str = FEED) -> dict[str, object]:
    """One message of SQS."""
    return {"messageId": identifier, "body": body, "eventSource": "aws:sqs", "eventSourceARN": queue}


def content(response: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """What an HTTP response's body holds."""
    assert response["headers"] == {"content-type": "application/json"}
    assert response["isBase64Encoded"] is False
    return json.loads(response["body"])


def test_a_plain_event_gives_the_plain_answer() -> None:
    """Or its refusal, as an exception without our frames below `serve`."""
    assert callers.serve("a", shout) == {"shout": "A"}
    with pytest.raises(InvalidInput, match=r"^the event is no string$") as caught:
        callers.serve(3, shout)
    assert [entry.name for entry in caught.traceback[1:]] == ["serve"]


def test_on_lambda_a_refusal_has_no_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what fails otherwise afterwards has one again; in somebody else's process nothing of this is touched."""
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    with pytest.raises(InvalidInput):
        callers.serve(3, shout)
    assert not hasattr(sys, "tracebacklimit")
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    with pytest.raises(InvalidInput) as caught:
        callers.serve({"Records": [3]}, shout)
    frames = traceback.extract_tb(caught.tb)
    assert callers.serve("a", shout) == {"shout": "A"}
    assert frames == []
    assert not hasattr(sys, "tracebacklimit")


@pytest.mark.parametrize("request_of", [rest, url])
def test_an_http_request_is_answered_over_http(request_of: Any) -> None:  # noqa: ANN401 - either of two
    """JSON in, JSON out, in base64 too where the gateway says so."""
    encoded = base64.b64encode('"é"'.encode()).decode()
    for event, expected in ((request_of('"a"'), "A"), (request_of(encoded, isBase64Encoded=True), "É")):
        response: Any = callers.serve(event, shout)
        assert (response["statusCode"], content(response)) == (200, {"shout": expected})


@pytest.mark.parametrize(
    ("body", "in_base64", "message"),
    [
        (None, False, "the body is null: expected a string that holds JSON"),
        ({"text": "a"}, False, "the body is an object: expected a string that holds JSON"),
        ("", False, "the body is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("{'text': 'a'}", False, "the body is not JSON: Expecting property name enclosed in double quotes: line 1 col"),
        ("9" * 5000, False, "the body is JSON that cannot be read: Exceeds the limit (4300 digits)"),
        ("[" * 200_000, False, "the body is JSON that cannot be read: "),
        ("not base64!", True, "the body is not UTF-8 in base64: "),
        ("é", True, "the body is not UTF-8 in base64: "),
        (base64.b64encode(b"\xff").decode(), True, "the body is not UTF-8 in base64: "),
        ("3", False, "the event is no string"),
    ],
)
def test_a_bad_request_is_told_so(body: object, *, in_base64: bool, message: str) -> None:
    """400, with the words that a plain event would have got."""
    response: Any = callers.serve(rest(body, isBase64Encoded=in_base64), shout)
    answered = content(response)
    assert response["statusCode"] == 400
    assert answered["errorType"] == "InvalidInput"
    assert answered["errorMessage"].startswith(message)


def test_of_a_batch_only_what_failed_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    """The answers are lines of the log, since SQS takes none."""
    records = [message("m1", '"a"'), message("m2", "3"), message("m3", None), message("m4", '"b"')]
    answered = callers.serve({"Records": records}, shout)
    assert answered == {"batchItemFailures": [{"itemIdentifier": "m2"}, {"itemIdentifier": "m3"}]}
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"messageId": "m1", "shout": "A"},
        {"messageId": "m2", "errorType": "InvalidInput", "errorMessage": "the event is no string"},
        {
            "messageId": "m3",
            "errorType": "InvalidInput",
            "errorMessage": "the body is null: expected a string that holds JSON",
        },
        {"messageId": "m4", "shout": "B"},
    ]


def test_a_fifo_queue_keeps_its_order() -> None:
    """After a failure nothing more is done, and all that is left comes back."""
    bodies = ('"a"', "3", '"b"', '"c"')
    records = [message(f"m{index}", body, f"{FEED}.fifo") for index, body in enumerate(bodies)]
    answered = callers.serve({"Records": records}, shout)
    assert answered == {"batchItemFailures": [{"itemIdentifier": f"m{index}"} for index in (1, 2, 3)]}


def test_a_batch_without_failures_says_so() -> None:
    """An empty list: Lambda deletes every message."""
    assert callers.serve({"Records": [message("m1", '"a"')]}, shout) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (3, "Records[1] is a number: expected a message of SQS"),
        ({"eventSource": "aws:s3"}, "Records[1] is not from SQS: its eventSource must be aws:sqs"),
        (message("", "3"), "Records[1].messageId is a string: expected a string that is not empty"),
        ({"eventSource": "aws:sqs"}, "Records[1].messageId is null: expected a string that is not empty"),
    ],
)
def test_a_record_that_cannot_come_back_alone_refuses_the_batch(record: object, words: str) -> None:
    """Before any is answered: Lambda then delivers all of them again."""
    with pytest.raises(InvalidInput) as caught:
        callers.serve({"Records": [message("m0", '"a"'), record]}, shout)
    assert str(caught.value) == words


ANY_CALL = (
    JSON_VALUES
    | st.builds(rest, JSON_VALUES | JSON_VALUES.map(json.dumps))
    | st.builds(url, JSON_VALUES, isBase64Encoded=JSON_VALUES)
    | st.builds(
        lambda records: {"Records": records}, st.lists(JSON_VALUES | st.builds(message, st.text(), JSON_VALUES))
    )
)


@given(ANY_CALL)
def test_any_call_is_answered_or_refused(event: object) -> None:
    """Nothing that JSON can spell raises anything but InvalidInput, and every answer is JSON."""
    try:
        answered = callers.serve(event, shout)
    except InvalidInput:
        return
    json.dumps(answered, allow_nan=False)


@pytest.mark.parametrize(("characters", "cut"), [(4_999, False), (5_000, False), (5_001, True)])
def test_characters_have_a_limit(characters: int, *, cut: bool) -> None:
    """What is longer is cut and marked, never refused; white space around it does not count."""
    text = check_text("text", f"  {'x' * characters}\n", "")
    assert (len(text.content), text.cut) == (min(characters, 5_000), cut)


@pytest.mark.parametrize(("tokens", "truncated"), [(255, False), (256, False), (257, True)])
def test_tokens_have_a_limit(tokens: int, *, truncated: bool) -> None:
    """[CLS] and [SEP] count, and [SEP] stays the last."""
    model = FakeModel(lambda ids: [len(ids)])
    text = Text("text", "x " * (tokens - 2))
    computed = encoding.compute(model, [text])[text.content]
    assert (computed.output.tolist(), computed.truncated) == ([min(tokens, 256)], truncated)
    (ran,) = model.runs
    assert (ran[0], ran[-1]) == (101, 102)


def test_a_text_without_a_single_token_is_empty() -> None:
    """What the tokenizer drops whole, control characters for instance, is refused as empty is, and nothing is run."""
    model = FakeModel(lambda _: [0.0])
    with pytest.raises(InvalidInput, match=r"^texts\[1\] is empty: nothing in it is a letter"):
        encoding.compute(model, [Text("texts[0]", "a"), Text("texts[1]", NOTHING)])
    assert not model.runs


@given(st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=3), max_size=8))
def test_no_text_is_computed_twice(contents: list[str]) -> None:
    """However often it occurs."""
    model = FakeModel(lambda ids: ids)
    computed = encoding.compute(model, [Text("texts", content) for content in contents])
    assert list(computed) == list(dict.fromkeys(contents))
    assert model.runs.total() == len(computed)


@pytest.mark.parametrize(
    ("memory_mb", "threads"), [(128, 1), (1768, 1), (1769, 1), (1770, 2), (3538, 2), (3539, 3), (10240, 6)]
)
def test_threads_follow_the_memory_size(memory_mb: int, threads: int) -> None:
    """One thread for each vCPU of the memory size, as Lambda has six at most."""
    assert encoding.thread_count(memory_mb) == threads
