"""What holds for every test: an engine required or left out, how Hypothesis searches, which functions are tested."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import hypothesis
import pytest

_CI = os.environ.get("CI") == "true"
_ENGINE_COMMAND = Path(__file__).parent / "scripts" / "engine"
_ENGINE_TROUBLE = pytest.StashKey[str]()
_LEFT_OUT = pytest.StashKey[int]()

# No deadline: it would assert an absolute time. In CI the same examples each time: a red run can be repeated.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if _CI else "local")


@pytest.fixture(scope="session")
def lambda_template(pytestconfig: pytest.Config) -> Path:
    """The reference functions, for the plugin's fixtures."""
    return pytestconfig.rootpath / "handlers" / "template.yaml"


@pytest.fixture(scope="session")
def lambda_parameters() -> Mapping[str, str]:
    """Their layer is built for the Python and the machine that the tests run on."""
    return {
        "PythonRuntime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "Architecture": "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64",
    }


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--engine`, whose default is the variable of `make test ENGINE=no`."""
    parser.addoption(
        "--engine",
        choices=("yes", "no"),
        default=os.environ.get("ENGINE") or "yes",
        help="no: leave out the tests that need a Docker engine (default: $ENGINE, else yes)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to leave anything out in CI."""
    if _CI and config.getoption("--engine") == "no":
        message = "ENGINE=no is not for CI: there, an engine that cannot be had is a failure"
        raise pytest.UsageError(message)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests marked `engine` where they are not wanted."""
    if config.getoption("--engine") == "yes":
        return
    left_out = [item for item in items if item.get_closest_marker("engine")]
    items[:] = [item for item in items if not item.get_closest_marker("engine")]
    config.stash[_LEFT_OUT] = len(left_out)
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, so that a green run does not claim more than it ran."""
    if config.getoption("--engine") == "no":
        count = config.stash.get(_LEFT_OUT, "not counted, they were collected elsewhere")  # by xdist's workers
        terminalreporter.write_line(f"ENGINE=no: tests left out that need a Docker engine: {count}", yellow=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail, never skip, a test that needs an engine where none answers."""
    if item.get_closest_marker("engine") and (trouble := _engine_trouble(item.config)):
        pytest.fail(trouble, pytrace=False)


def _engine_trouble(config: pytest.Config) -> str:
    """Ask once a run; empty where an engine answers."""
    if _ENGINE_TROUBLE not in config.stash:
        asked = subprocess.run([_ENGINE_COMMAND, "status"], capture_output=True, text=True, check=False, timeout=60)
        config.stash[_ENGINE_TROUBLE] = "" if asked.returncode == 0 else (asked.stdout + asked.stderr).strip()
    return config.stash[_ENGINE_TROUBLE]
