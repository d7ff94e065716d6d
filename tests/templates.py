"""Templates for tests: written into a folder that has the code and layer folders they name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emulator import template
from emulator.config import FunctionConfig

FUNCTION = """
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: python3.13
"""


def write(folder: Path, text: str, name: str = "template.yaml") -> Path:
    """Write the text as it is, beside the folders src/ and layer/."""
    for code in ("src", "layer"):
        (folder / code).mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(text.encode())
    return path


def load(folder: Path, text: str, parameters: Mapping[str, str] | None = None) -> template.Template:
    """Load the text as template.yaml of this folder."""
    return template.load(write(folder, text), parameters=parameters)


def function_with(folder: Path, properties: str, *, before: str = "", after: str = "") -> FunctionConfig:
    """Settle the function F of `FUNCTION` with more properties, one a line, and text before and after it."""
    more = "".join(f"      {line}\n" for line in properties.strip().splitlines())
    return load(folder, before.strip() + FUNCTION + more + after).find("F")


def settled(folder: Path, expression: str, *, before: str = "", after: str = "") -> str | None:
    """What a value becomes as the environment variable V; None where it goes away."""
    lines = f"Environment:\n  Variables:\n    V: {expression}"
    return function_with(folder, lines, before=before, after=after).environment.get("V")
