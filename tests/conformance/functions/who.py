"""Says which execution environment it runs in."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - awslambdaric's type is not ours
    """Print and return the event's id after a while, or leave before that."""
    print(f"begin {event['id']}")  # noqa: T201 - the log is compared
    time.sleep(event.get("seconds", 0))
    if "exit" in event:
        sys.exit(event["exit"])
    print(f"end {event['id']}")  # noqa: T201 - the log is compared
    return {
        "id": event["id"],
        "request_id": context.aws_request_id,
        "environment": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
    }
