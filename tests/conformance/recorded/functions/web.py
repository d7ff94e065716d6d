"""Behind a function URL: answers with what its body asks for, else with the event."""

from __future__ import annotations

import base64
import json
from typing import Any


def handler(event: dict[str, Any], context: object) -> object:
    """A body of JSON is the answer itself; bytes come back as they came."""
    if event.get("isBase64Encoded"):
        return {"statusCode": 200, "body": event["body"], "isBase64Encoded": True}
    return json.loads(event["body"]) if event.get("body") else event


def raw(event: dict[str, str], context: object) -> bytes:
    """Bytes, which AWS's client sends as they are."""
    return base64.b64decode(event["base64"])
