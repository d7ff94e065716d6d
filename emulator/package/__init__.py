"""Deployment packages: what they weigh against Lambda's limits, whether they load there, and how one is built."""

from __future__ import annotations

from emulator.package.weighing import weigh
from emulator.package.weight import Archive, FileWeight, Finding, Part, Weight

__all__ = ["Archive", "FileWeight", "Finding", "Part", "Weight", "weigh"]
