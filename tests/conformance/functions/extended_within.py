"""Registers an internal extension while it is imported, and asks for its events on a thread of its own."""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from typing import Any

BASE = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension"
EVENTS: list[Any] = []


def ask(path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and document of an answer, whatever it is."""
    named = {f"Lambda-Extension-{name}": value for name, value in headers.items()}
    request = urllib.request.Request(BASE + path, data=body, headers=named)  # noqa: S310 - the address is of http
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - see above
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.load(error)


def listen() -> None:
    """Take every event there is."""
    while True:
        EVENTS.append(ask("/event/next", Identifier=IDENTIFIER)[2])


REFUSED = ask("/register", b'{"events": ["SHUTDOWN"]}', Name="within")
STATUS, HEADERS, FUNCTION = ask("/register", b'{"events": ["INVOKE"]}', Name="within")
IDENTIFIER = HEADERS["Lambda-Extension-Identifier"]
AGAIN = ask("/register", b'{"events": []}', Name="within")
threading.Thread(target=listen, daemon=True).start()


def handler(event: object, context: object) -> dict[str, Any]:
    """What came of all that, and of a registration that is too late."""
    late = ask("/register", b'{"events": ["INVOKE"]}', Name="late")
    return {
        "refused": REFUSED[2]["errorType"],
        "status": STATUS,
        "function": FUNCTION,
        "again": AGAIN[2]["errorType"],
        "late": [late[0], late[2]["errorType"]],
        "stranger": ask("/event/next", Identifier="8f507cfc-0000-4000-8000-000000000000")[2]["errorType"],
        "events": [told["eventType"] for told in EVENTS],
    }
