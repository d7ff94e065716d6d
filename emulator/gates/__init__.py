"""Measurements against thresholds and a baseline: verdicts, and what to look at."""
