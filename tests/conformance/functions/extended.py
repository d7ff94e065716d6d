"""A function beside extensions: says which life of its environment it is in."""

from __future__ import annotations

import os
import time

LIFE = os.urandom(8).hex()


def handler(event: object, context: object) -> str:
    """Answer at once."""
    print("the function's own line")  # noqa: T201 - the log is compared
    return LIFE


def hang(event: object, context: object) -> None:
    """Never answer."""
    time.sleep(60)
