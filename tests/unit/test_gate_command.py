"""What `preflight gate` says when it is interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click
import pytest

from emulator.commands import gate as command
from emulator.gates import run as gate_run
from tests.fakes import FakeBackend

TEMPLATE = """Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {Handler: app.handler, Runtime: python3.13, CodeUri: src, MemorySize: 512}
"""
GATES = '[functions.F]\n%s\n[functions.F.gates]\n"init.p50_ms" = { max = 9000 }\n'
GOLDEN = 'dataset = "golden.jsonl"\nanswer = "label"'


@pytest.mark.parametrize("golden", [True, False])
def test_an_interrupted_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, golden: bool
) -> None:
    """Golden answers are kept, and it is said; where there are none, nothing is."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(event, context): ...\n")
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "golden.jsonl").write_text('{"event": {}, "expected": 1}\n')
    (tmp_path / "preflight.toml").write_text(GATES % (GOLDEN if golden else ""))

    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "backend", lambda *_, **__: FakeBackend())
    monkeypatch.setattr(gate_run, "run", interrupted)
    with pytest.raises(click.Abort):
        command.gate.main(["--template", "template.yaml"], standalone_mode=False)
    assert ("the same command goes on from there" in capsys.readouterr().err) == golden
