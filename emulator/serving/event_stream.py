"""Messages of `application/vnd.amazon.eventstream`, as InvokeWithResponseStream sends them. Pure.

The framing is Smithy's ("Amazon Event Stream Specification", 2026): lengths, a CRC-32 of them, headers, payload, and a
CRC-32 of all. Written here because botocore only decodes it and AWS's own encoder is part of a whole native library.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"

_STRING: Final = 7
_FRAME_BYTES: Final = 16  # two lengths and two checksums
_CHUNK_BYTES: Final = 64 * 1024  # what one PayloadChunk holds at most; how AWS cuts an answer is not documented


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message; names of at most 255 bytes in UTF-8, values of at most 65,535."""
    fields = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", _FRAME_BYTES + len(fields) + len(payload), len(fields))
    message = b"".join((prelude, struct.pack(">I", zlib.crc32(prelude)), fields, payload))
    return message + struct.pack(">I", zlib.crc32(message))


def payload_chunks(payload: bytes) -> Iterator[bytes]:
    """PayloadChunk events that hold this between them; none for nothing."""
    headers = {":event-type": "PayloadChunk", ":content-type": "application/octet-stream", ":message-type": "event"}
    for begin in range(0, len(payload), _CHUNK_BYTES):
        yield encode(headers, payload[begin : begin + _CHUNK_BYTES])


def invoke_complete(
    *, error_code: str | None = None, error_details: str | None = None, log_result: str | None = None
) -> bytes:
    """The InvokeComplete event, the last one; what is None is not in it."""
    members = {"ErrorCode": error_code, "ErrorDetails": error_details, "LogResult": log_result}
    headers = {":event-type": "InvokeComplete", ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.dumps({name: value for name, value in members.items() if value is not None}).encode())


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text
