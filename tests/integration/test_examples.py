"""The files of `examples/`, as a user copies them: well-formed, and their commands run in a clean folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.command import COMMAND, ROOT, RUNTIME

EXAMPLES: Final = ROOT / "examples"
TEMPLATE: Final = f"""
Resources:
  MyFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: {RUNTIME}
      CodeUri: src/
      MemorySize: 256
"""
GATES: Final = """
[functions.MyFunction]
cold_starts = 1
warm_calls = 2

[functions.MyFunction.gates]
"package.unzipped_mb" = { max = 250 }
"errors.count" = { max = 0 }
"""
# Stands in for pip where it is to install from the address that a user fills in; everything else is refused.
PIP: Final = '#!/bin/sh\ncase "$*" in "install git+https://"*/lambda-preflight*) echo installed;; *) exit 1;; esac\n'


def read(name: str) -> Any:  # noqa: ANN401 - YAML
    """An example's content."""
    return yaml.safe_load((EXAMPLES / name).read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's project, committed, with what is to be found on the PATH."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "app.py").write_text("def handler(event, context):\n    return 1\n")
    (project / "template.yaml").write_text(TEMPLATE)
    (project / "preflight.toml").write_text(GATES)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "preflight").symlink_to(COMMAND)
    (tools / "pip").write_text(PIP)
    (tools / "pip").chmod(0o755)
    return project


def run(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """As a runner does: bash that ends at the first failure, with nothing of ours in its environment."""
    environment = {
        "PATH": f"{folder.parent / 'bin'}:/usr/bin:/bin",
        "HOME": str(folder.parent),
        "PREFLIGHT_BACKEND": "process",
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        **variables,
    }
    return subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def spoil(folder: Path) -> None:
    """A function that fails its gate."""
    (folder / "src" / "app.py").write_text("def handler(event, context):\n    raise ValueError('broken')\n")


def test_github_actions(folder: Path) -> None:
    """Every step: installed, judged, summed up, and what the artifact takes is there."""
    workflow = read("github-actions.yml")
    assert set(workflow) == {"name", True, "permissions", "jobs"}  # `on` is a truth value to YAML 1.1
    steps = workflow["jobs"]["gate"]["steps"]
    assert all(len({"run", "uses"} & set(step)) == 1 for step in steps)
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    summary = folder.parent / "summary.md"
    for step in (step for step in steps if "run" in step):
        done = run(step["run"], folder, GITHUB_STEP_SUMMARY=str(summary), CI="true", **workflow["jobs"]["gate"]["env"])
        assert done.returncode == 0, (step, done.stderr)
    assert "PASSED: 2 passed" in summary.read_text()
    assert {path.suffix for path in folder.glob(steps[-1]["with"]["path"])} >= {".md", ".xml", ".html", ".json"}


def test_github_actions_when_a_gate_fails(folder: Path) -> None:
    """The step fails, and the summary, which comes all the same, says why; without a report it is no second failure."""
    steps = {step.get("name"): step for step in read("github-actions.yml")["jobs"]["gate"]["steps"]}
    summary = folder.parent / "summary.md"
    assert run(steps["Summary"]["run"], folder, GITHUB_STEP_SUMMARY=str(summary)).returncode == 0
    assert not summary.exists()
    spoil(folder)
    assert run(steps["Judge"]["run"], folder).returncode == 1
    assert steps["Summary"]["if"] == "always()"
    assert run(steps["Summary"]["run"], folder, GITHUB_STEP_SUMMARY=str(summary)).returncode == 0
    assert "FAIL errors.count" in summary.read_text()
    assert "ValueError: broken" in summary.read_text()


def test_gitlab(folder: Path) -> None:
    """Its script, with its variables; the JUnit report that it names has the verdicts."""
    (job,) = read("gitlab-ci.yml").values()
    done = run("\n".join(job["script"]), folder, **job["variables"])
    assert done.returncode == 0, done.stderr
    assert all((folder / path).is_file() for path in job["artifacts"]["paths"])
    cases = ET.parse(folder / job["artifacts"]["reports"]["junit"]).getroot().iter("testcase")  # noqa: S314 - ours
    assert [case.get("name") for case in cases] == ["package.unzipped_mb max 250", "errors.count max 0"]


def test_pre_commit(folder: Path) -> None:
    """Each hook passes, fails for a function that does, and begins with what it is about."""
    (repository,) = read("pre-commit-config.yaml")["repos"]
    hooks = {hook["id"]: hook for hook in repository["hooks"]}
    for hook in hooks.values():
        assert shlex.split(hook["entry"])[0] == "preflight"
        (dependency,) = hook["additional_dependencies"]
        assert dependency.startswith("git+https://")  # the bare name is another project's on PyPI
        assert re.search(hook["files"], "src/app.py")
        assert re.search(hook["files"], "template.yaml")
        assert not re.search(hook["files"], "docs/readme.md")
        done = run(hook["entry"], folder)
        assert done.returncode == 0, done.stderr
    spoil(folder)
    assert run(hooks["preflight-gate"]["entry"], folder).returncode == 1
