"""What a template says of a function's URL. No part of `FunctionConfig`: nothing that runs a function needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AuthType = Literal["NONE", "AWS_IAM"]
InvokeMode = Literal["BUFFERED", "RESPONSE_STREAM"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsConfig:
    """Who may call from a page of another origin, in the words of the API's `Cors`; a list may be `*`."""

    allow_credentials: bool = False
    allow_headers: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionUrlConfig:
    """The URL of one function; the defaults are Lambda's but for `auth_type`, which has none there."""

    auth_type: AuthType = "NONE"
    invoke_mode: InvokeMode = "BUFFERED"
    cors: CorsConfig | None = None
