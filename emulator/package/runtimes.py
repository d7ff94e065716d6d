"""What a managed Python runtime of Lambda has, as far as a package can depend on it."""

from __future__ import annotations

import re
from typing import Final

# "Lambda runtimes", AWS Lambda Developer Guide, 2026: Amazon Linux 2 up to python3.11, Amazon Linux 2023 from 3.12 on.
_AL2_GLIBC: Final = (2, 26)
_AL2023_GLIBC: Final = (2, 34)
_FIRST_ON_AL2023: Final = 12
# The first two bytes of a .pyc, from each CPython's importlib/_bootstrap_external.py.
_MAGIC: Final = {8: 3413, 9: 3425, 10: 3439, 11: 3495, 12: 3531, 13: 3571, 14: 3627}

# Amazon's C library is in both; the compiler's runtimes are what manylinux lets a wheel expect of any system (PEP 600).
PRESENT: Final = re.compile(
    r"(?:ld-linux[\w-]*|libc|libm|libdl|libpthread|librt|libutil|libresolv|libanl|libnsl|libcrypt|libgcc_s|libstdc\+\+|libz)"
    r"\.so\.\d+"
)
# Lambda's systems are known for the lack of these: a missing one is an ImportModuleError in many reports (libGL:
# aws-lambda-python-runtime-interface-client #31, docker-lambda #318; libgomp: lightgbm's and scikit-learn's users).
ABSENT: Final = re.compile(
    r"lib(?:GL|EGL|X\w+|xcb\w*|SM|ICE|gomp|gthread-2\.0|glib-2\.0|cairo|pango\w*|cuda|nvidia-ml)\b"
)


def minor(runtime: str) -> int | None:
    """12 of python3.12; None for runtimes that are not Python's."""
    match = re.fullmatch(r"python3\.(\d+)", runtime)
    return int(match[1]) if match else None


def glibc(runtime: str) -> tuple[int, int]:
    """The version of the C library: provided.al2 and Python up to 3.11 have Amazon Linux 2's."""
    version = minor(runtime)
    old = runtime == "provided.al2" if version is None else version < _FIRST_ON_AL2023
    return _AL2_GLIBC if old else _AL2023_GLIBC


def magic(version: int) -> bytes | None:
    """How a .pyc of Python 3.`version` begins; None for versions that are not known here."""
    number = _MAGIC.get(version)
    return None if number is None else number.to_bytes(2, "little") + b"\r\n"
