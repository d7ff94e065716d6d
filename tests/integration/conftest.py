"""What holds for every integration test: the run leaves nothing behind."""

from __future__ import annotations

from tests.leaks import no_leaks

__all__ = ["no_leaks"]
