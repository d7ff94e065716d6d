"""How functions fail: status 200, `Unhandled`, and a document that says why, in the runtime's words or in Lambda's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conformance.recorded.cloud import CODE, HERE, Answer, Cloud
from tests.conformance.recorded.sources import (
    CLIENT,
    IMPORT_LOG,
    MEMORY_LOG,
    RECORDED,
    RECORDED_LIMITS,
    SEGFAULT,
    case,
    recorded,
)

KEYS = ["errorMessage", "errorType", "requestId", "stackTrace"]


def failure(answer: Answer) -> dict[str, object]:
    """The document, of an answer whose head is as always."""
    assert (answer.response["StatusCode"], answer.response["FunctionError"]) == (200, "Unhandled")
    assert answer.response["ExecutedVersion"] == "$LATEST"
    found: dict[str, object] = answer.payload
    return found


@recorded(RECORDED)
def test_exception(aws: Cloud) -> None:
    """Four keys in their order, the request's id, and the frames of the function's own code."""
    answer = aws.invoke("Raises")
    found = failure(answer)
    assert list(found) == KEYS
    assert (found["errorType"], found["errorMessage"]) == ("ValueError", "this function always fails")
    assert found["requestId"] == answer.request_id
    assert isinstance(found["stackTrace"], list)
    [frame] = found["stackTrace"]
    path = re.escape(f"{aws.code(CODE)}/ill.py")
    assert re.fullmatch(rf'  File "{path}", line \d+, in raises\n    raise ValueError\(message\)\n', frame)


@pytest.mark.parametrize(
    ("expression", "error_type", "message"),
    [
        case("division", CLIENT, "1/0", "ZeroDivisionError", "division by zero"),
        case("a missing key", CLIENT, "{}['k']", "KeyError", "'k'"),
        case("an empty message", CLIENT, "next(iter([]))", "StopIteration", ""),
        case("an exception with a module", CLIENT, "__import__('json').loads('?')", "JSONDecodeError", None),
        case(
            "a set",
            CLIENT,
            "{1}",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
    ],
)
def test_exceptions(aws: Cloud, expression: str, error_type: str, message: str | None) -> None:
    """The class's bare name, and its text."""
    found = failure(aws.invoke("Look", {"python": expression}))
    assert found["errorType"] == error_type
    assert message is None or found["errorMessage"] == message


@recorded(CLIENT)
def test_result_that_is_no_json(aws: Cloud) -> None:
    """It has no frames of anybody's."""
    assert failure(aws.invoke("Look", {"python": "object()"}))["stackTrace"] == []


@recorded(CLIENT)
def test_asynchronous_handler(aws: Cloud) -> None:
    """Nobody awaits it."""
    found = failure(aws.invoke("Coroutine"))
    assert found["errorType"] == "Runtime.MarshalError"
    assert found["errorMessage"] == "Unable to marshal response: Object of type coroutine is not JSON serializable"


@recorded(CLIENT)
def test_event_that_python_cannot_read(aws: Cloud) -> None:
    """JSON to Lambda, and too many digits to Python."""
    found = failure(aws.invoke("Echo", Payload=b"9" * 5000))
    assert found["errorType"] == "Runtime.UnmarshalError"
    assert str(found["errorMessage"]).startswith("Unable to unmarshal input: ")


@pytest.mark.parametrize(
    ("name", "error_type", "message", "frames"),
    [
        case(
            "import",
            IMPORT_LOG,
            "ImportFailure",
            "Runtime.ImportModuleError",
            "Unable to import module 'import_failure': No module named 'a_module_that_is_not_there'",
            False,  # noqa: FBT003 - columns of a table
        ),
        case("exception", RECORDED, "RaisesAtImport", "RuntimeError", "no settings were found", True),  # noqa: FBT003 - see above
        case(
            "syntax",
            CLIENT,
            "BadSyntax",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'bad_syntax': expected ':' (bad_syntax.py, line 1)",
            True,  # noqa: FBT003 - see above
        ),
        case(
            "no such handler",
            CLIENT,
            "HandlerMissing",
            "Runtime.HandlerNotFound",
            "Handler 'nowhere' missing on module 'well'",
            False,  # noqa: FBT003 - see above
        ),
        case(
            "no dot",
            CLIENT,
            "NoDot",
            "Runtime.MalformedHandlerName",
            "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
            False,  # noqa: FBT003 - see above
        ),
        case(
            "Python's own module",
            CLIENT,
            "BuiltIn",
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module sys as a handler module",
            False,  # noqa: FBT003 - see above
        ),
    ],
)
def test_init(aws: Cloud, name: str, error_type: str, message: str, frames: bool) -> None:  # noqa: FBT001 - a column of the table
    """The same document with an empty id."""
    found = failure(aws.once(name))
    assert list(found) == KEYS
    assert (found["errorType"], found["errorMessage"], found["requestId"]) == (error_type, message, "")
    assert bool(found["stackTrace"]) == frames


@pytest.mark.parametrize(
    ("name", "event", "error_type", "reason"),
    [
        case(
            "exit 0", RECORDED, "Exits", {"do": "exit", "status": 0}, "Runtime.ExitError", "without providing a reason"
        ),
        case(
            "exit 7", RECORDED, "Exits", {"do": "exit", "status": 7}, "Runtime.ExitError", "with error: exit status 7"
        ),
        case(
            "segmentation fault",
            SEGFAULT,
            "Exits",
            {"do": "segfault"},
            "Runtime.ExitError",
            "with error: signal: segmentation fault",
        ),
        case("exit at import", RECORDED, "ExitAtImport", {}, "Runtime.ExitError", "with error: exit status 3"),
        case("missing wrapper", RECORDED, "WrapperMissing", {}, "Runtime.ExitError", "with error: exit status 127"),
        case("out of memory", MEMORY_LOG, "OutOfMemory", {}, "Runtime.OutOfMemory", "with error: signal: killed"),
    ],
)
def test_death(aws: Cloud, name: str, event: object, error_type: str, reason: str) -> None:
    """Two keys in their order: Lambda's own words."""
    answer = aws.once(name, event)
    message = f"RequestId: {answer.request_id} Error: Runtime exited {reason}"
    assert failure(answer) == {"errorType": error_type, "errorMessage": message}
    assert list(answer.payload) == ["errorType", "errorMessage"]


@recorded(RECORDED_LIMITS)
def test_timeout(aws: Cloud) -> None:
    """The type since 2025, and the timeout with two decimals."""
    answer = aws.once("Sleeps", {"seconds": 60})
    message = f"RequestId: {answer.request_id} Error: Task timed out after 1.00 seconds"
    assert failure(answer) == {"errorType": "Sandbox.Timedout", "errorMessage": message}


@recorded(CLIENT)
def test_failing_calls_of_others(aws: Cloud) -> None:
    """`sys.exit` in a thread ends the thread and not the runtime."""
    expression = "[(t := __import__('threading').Thread(target=sys.exit)).start(), t.join(), 'here'][2]"
    assert aws.look(expression) == "here"


@recorded(CLIENT)
def test_handler_in_a_folder(aws: Cloud) -> None:
    """A slash in its name."""
    assert (HERE / "inner" / "nested.py").is_file()
    assert json.loads(aws.invoke("Nested").body) == "inner.nested"
    assert Path(aws.look("__file__")) == Path(aws.code(HERE), "look.py")
