"""What holds for every integration test: nothing is left behind; `lab` and `client` where a file has no others."""

from __future__ import annotations

from tests.leaks import no_leaks
from tests.serving import client, lab

__all__ = ["client", "lab", "no_leaks"]
