"""Functions that bring their own runtime, and scripts that start a managed one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conformance.conftest import Lab
from tests.conformance.log_lines import assert_figures, assert_log, end, init_report, report, start
from tests.conformance.test_outcomes import assert_platform_error
from tests.conformance.test_sandbox import LAMBDA_VARIABLES

NONE = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"


@pytest.mark.parametrize("name", ["Custom", "CustomInLayer"])
def test_bootstrap_serves_events(lab: Lab, name: str) -> None:
    """A shell script with curl, in the package or in a layer ("Building a custom runtime", guide, 2026-07)."""
    event = {"text": "naïve ☃", "list": [1, None, "two words"]}
    first, second = lab.cold(name, event), lab.invoke(name, event)
    config = lab.functions[name]
    says = "a line for the log"
    assert_log(first, start(first), says, end(first), report(first, config, cold=True))
    assert_log(second, start(second), says, end(second), report(second, config))
    for result in (first, second):
        assert (result.payload, result.error) == (event, None)
        assert_figures(result, config)


def test_error_of_a_custom_runtime(lab: Lab) -> None:
    """Its own words, by the Runtime API; the environment lives on ("Using the Lambda runtime API", guide, 2026-07)."""
    first, second = lab.cold("CustomFails"), lab.invoke("CustomFails")
    for result in (first, second):
        assert result.error is not None
        assert (result.error.type, result.error.message) == ("Shell.Failed", "the handler failed")
        assert "about to fail\n" in result.log
    assert (first.cold, second.cold) == (True, False)


@pytest.fixture(scope="session")
def inside(lab: Lab) -> dict[str, Any]:
    """One look from inside a custom runtime."""
    found: dict[str, Any] = lab.payload("CustomEnvironment")
    return found


def test_variables_of_os_only_runtimes(lab: Lab, inside: dict[str, Any]) -> None:
    """No AWS_EXECUTION_ENV, and nothing of a language ("Using environment variables", guide, 2026-07)."""
    shell = {"PWD", "SHLVL", "_"}
    own = {"TMPDIR"} if "tmp" in lab.capabilities.not_enforced() else set()
    managed = {"AWS_EXECUTION_ENV", "LC_CTYPE", "PYTHONPATH", "_X_AMZN_TRACE_ID"}
    assert set(inside["names"].split()) - shell - own == LAMBDA_VARIABLES - managed - shell


def test_place_of_os_only_runtimes(lab: Lab, inside: dict[str, Any]) -> None:
    """User, folder and search paths (aws-lambda-base-images, Dockerfiles of the provided images, 2026)."""
    assert inside["cwd"] == lab.task_root("CustomEnvironment")
    assert inside["open files"] == "1024"
    lab.needs("user", "read_only_root")
    assert inside["uid"] == "993"
    assert inside["path"] == "/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    assert inside["libraries"] == "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NoBootstrap", NONE),
        ("BootstrapDenied", "fork/exec /var/task/bootstrap: permission denied"),
        ("BootstrapFromWindows", "fork/exec /var/task/bootstrap: no such file or directory"),
        ("BootstrapWithoutFirstLine", "fork/exec /var/task/bootstrap: exec format error"),
    ],
)
def test_bootstrap_that_cannot_be_started(lab: Lab, name: str, reason: str) -> None:
    """Init fails at once and again inside the invocation, as in a real log of 2024-05-13 (cdk-ecr-deployment#651)."""
    first, second = lab.cold(name), lab.invoke(name)
    config = lab.functions[name]
    type_ = "Runtime.InvalidEntrypoint"
    ahead, inside = (init_report("init", "error", type_),), init_report("invoke", "error", type_)
    for result, head in ((first, ahead), (second, ())):
        last = report(result, config, status="error", error_type=type_)
        assert_log(result, *head, inside, start(result), end(result), last)
        assert_figures(result, config)
        assert_platform_error(result, type_, reason)


def test_bootstrap_that_ends(lab: Lab) -> None:
    """A runtime that leaves before it asked for an event, in the words recorded on 2025-11-24 (LocalStack)."""
    result = lab.cold("BootstrapExits")
    assert_platform_error(result, "Runtime.ExitError", "Runtime exited with error: exit status 7")
    assert re.findall("leaving", result.log) == ["leaving", "leaving"]


def test_wrapper_script(lab: Lab) -> None:
    """It gets the runtime's command and starts it ("Modifying the runtime environment", guide, 2026-07)."""
    variables = lab.payload("Wrapped")["environment"]
    assert int(variables["WRAPPED"]) >= 2
    assert variables["AWS_EXECUTION_ENV"].startswith("AWS_Lambda_python")


def test_wrapper_script_that_is_missing(lab: Lab) -> None:
    """Status 127 as recorded on 2025-11-24 (LocalStack), with the words of AWS's own bootstrap (read 2026-11)."""
    result = lab.cold("WrapperMissing")
    assert_platform_error(result, "Runtime.ExitError", "Runtime exited with error: exit status 127")
    assert "/none: does not exist\n" in result.log
