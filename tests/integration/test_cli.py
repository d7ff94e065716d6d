"""The `preflight` command on bad input: one clear message, a hint, the contract's exit status, and no traceback."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command import RUNTIME, TEMPLATE, Done, invoke, preflight

PROCESS = {"PREFLIGHT_BACKEND": "process"}

FUNCTION = f"""
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: {RUNTIME}
      CodeUri: src/
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with one function that answers with its event."""
    (tmp_path / "template.yaml").write_text(FUNCTION)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(event, context):\n    return event\n")
    return tmp_path


def assert_refused(done: Done, status: int = 2) -> None:
    """Nothing for a program to read, nothing for a person to be frightened of."""
    assert done.status == status, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "\x1b" not in done.err


def test_no_template(tmp_path: Path) -> None:
    """It says where it looked, for what, and how to name one."""
    done = preflight("invoke", "F", folder=tmp_path, environment=PROCESS)
    assert_refused(done)
    assert str(tmp_path) in done.error
    assert "template.yaml" in done.error
    assert "--template" in done.hint


@pytest.mark.parametrize("name", ["nowhere.yaml", "src"])
def test_template_that_is_no_file(folder: Path, name: str) -> None:
    """Neither a name without a file nor a folder is a template."""
    done = preflight("invoke", "F", "-t", name, folder=folder, environment=PROCESS)
    assert_refused(done)
    assert name in done.error


@pytest.mark.parametrize(
    ("given", "meant"), [("Ecko", "Echo"), ("raise", "Raises"), ("handlermissing", "HandlerMissing")]
)
def test_unknown_function(given: str, meant: str) -> None:
    """The nearest names are offered."""
    done = invoke(given, environment=PROCESS)
    assert_refused(done)
    assert repr(given) in done.error
    assert meant in done.hint


def test_yaml_error(folder: Path) -> None:
    """File and line are named."""
    (folder / "template.yaml").write_text("Resources:\n  F:\n    Type: [unclosed\n  G: x\n")
    done = preflight("invoke", "F", folder=folder, environment=PROCESS)
    assert_refused(done)
    assert "template.yaml:" in done.error
    assert any(f":{line}" in done.error for line in (3, 4))


def test_handler_path_that_does_not_exist(folder: Path) -> None:
    """CodeUri without a folder is told with the line that says so."""
    (folder / "template.yaml").write_text(FUNCTION.replace("src/", "gone/"))
    done = preflight("invoke", "F", folder=folder, environment=PROCESS)
    assert_refused(done)
    assert "gone" in done.error
    assert "template.yaml:8" in done.error


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (b"{'a': 1}", ("not JSON", "line 1, column 2")),
        (b'{"a": 1,\n "b": }', ("not JSON", "line 2, column 7")),
        (b"", ("is empty",)),
        (b'{"a": NaN}', ("not JSON",)),
        (b'"caf\xe9"', ("not UTF-8", "byte 4")),
        (b"[" * 100_000, ("not JSON",)),
    ],
    ids=["quotes", "second line", "empty", "not a number", "latin-1", "deep"],
)
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_event_that_is_not_json(folder: Path, event: bytes, says: tuple[str, ...], source: str) -> None:
    """It says what is wrong and where, from a file as from standard input."""
    (folder / "event.json").write_bytes(event)
    name = "event.json" if source == "file" else "-"
    done = preflight("invoke", "F", "-e", name, stdin=event, folder=folder, environment=PROCESS)
    assert_refused(done)
    for part in (*says, "event.json" if source == "file" else "standard input"):
        assert part in done.error
    assert "JSON" in done.hint


@pytest.mark.parametrize(("name", "says"), [("gone.json", "No such file"), ("src", "Is a directory")])
def test_event_that_is_no_file(folder: Path, name: str, says: str) -> None:
    """The system's reason is passed on."""
    done = preflight("invoke", "F", "-e", name, folder=folder, environment=PROCESS)
    assert_refused(done)
    assert name in done.error
    assert says in done.error


def test_event_over_the_quota(folder: Path) -> None:
    """Refused in AWS's words."""
    (folder / "event.json").write_text(json.dumps("x" * 6_291_455))
    done = preflight("invoke", "F", "-e", "event.json", folder=folder, environment=PROCESS)
    assert_refused_by_quota(done, "Request must be smaller than 6291456 bytes for the InvokeFunction operation")


def assert_refused_by_quota(done: Done, *says: str) -> None:
    """Status 2, after the line on the backend at most."""
    assert done.status == 2, done.err
    assert done.out == ""
    for part in says:
        assert part in done.error
    assert done.hint


@pytest.mark.parametrize(
    ("option", "value", "range_"),
    [
        ("--memory", "127", "128 to 10,240"),
        ("--memory", "10241", "128 to 10,240"),
        ("--memory", "-1", "128 to 10,240"),
        ("--timeout", "0", "1 to 900"),
        ("--timeout", "901", "1 to 900"),
    ],
)
def test_size_outside_the_quota(option: str, value: str, range_: str) -> None:
    """The value and what Lambda accepts."""
    done = invoke("Echo", option, value, environment=PROCESS)
    assert_refused(done)
    assert value in done.error
    assert range_ in done.hint


@pytest.mark.parametrize(
    "arguments",
    [
        ("--memory", "abc"),
        ("--memory", "128.5"),
        ("--timeout", "3s"),
        ("--repeat", "0"),
        ("--backend", "podman"),
        ("--nonsense",),
    ],
    ids=" ".join,
)
def test_flag_with_a_value_that_is_none(arguments: tuple[str, ...]) -> None:
    """The flag and the value are named."""
    done = invoke("Echo", *arguments, environment=PROCESS)
    assert_refused(done)
    for part in arguments:
        assert part in done.error


@pytest.mark.parametrize(("option", "edges"), [("--memory", ("128", "10240")), ("--timeout", ("1", "900"))])
def test_edges_of_the_quotas_are_accepted(option: str, edges: tuple[str, str]) -> None:
    """The last values that Lambda takes run here too."""
    for value in edges:
        done = invoke("Echo", option, value, environment=PROCESS)
        assert (done.status, done.out) == (0, "{}\n"), done.err


def test_backend_variable_with_a_value_that_is_none() -> None:
    """The variable is named, since no flag was given."""
    done = invoke("Echo", environment={"PREFLIGHT_BACKEND": "podman"})
    assert_refused(done)
    assert "podman" in done.error


@dataclass(frozen=True, slots=True, kw_only=True)
class BadVariables:
    """An environment file that is none, and what the message must name."""

    text: bytes | None
    says: tuple[str, ...]


@pytest.mark.parametrize(
    "bad",
    [
        BadVariables(text=None, says=("variables.json", "no such file")),
        BadVariables(text=b"{", says=("variables.json:1",)),
        BadVariables(text=b"[]", says=("variables.json",)),
        BadVariables(text=b'{"F": {"A": "\xff"}}', says=("variables.json", "UTF-8")),
        BadVariables(text=b'{"G": {"A": "b"}}', says=("variables.json", "no such function")),
        BadVariables(text=b'{"F": 1}', says=("variables.json", "mapping")),
        BadVariables(text=b'{"F": {"A": {"B": 1}}}', says=("variables.json",)),
    ],
    ids=["not there", "not JSON", "a list", "latin-1", "another function", "a number", "nested"],
)
def test_environment_file_that_is_wrong(folder: Path, bad: BadVariables) -> None:
    """File and line or the system's reason."""
    if bad.text is not None:
        (folder / "variables.json").write_bytes(bad.text)
    done = preflight("invoke", "F", "-n", "variables.json", folder=folder, environment=PROCESS)
    assert_refused(done)
    for part in bad.says:
        assert part in done.error


def test_variable_that_lambda_keeps_for_itself(folder: Path) -> None:
    """Lambda would refuse the deployment."""
    (folder / "variables.json").write_text('{"F": {"AWS_REGION": "eu-west-1"}}')
    done = preflight("invoke", "F", "-n", "variables.json", folder=folder, environment=PROCESS)
    assert_refused(done)
    assert "AWS_REGION" in done.error


def test_runtime_without_an_interpreter(folder: Path) -> None:
    """What was found instead is listed."""
    (folder / "template.yaml").write_text(FUNCTION.replace(RUNTIME, "python3.7"))
    done = preflight("invoke", "F", folder=folder, environment=PROCESS)
    assert done.status in {2, 3}
    assert done.out == ""
    assert "python3.7" in done.error
    assert RUNTIME.removeprefix("python") in done.error + done.hint


@pytest.mark.parametrize("runtime", ["python2.7", "nodejs20.x", "python3.99"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_runtime_that_cannot_be_had_is_named_where_it_stands(
    folder: Path,
    runtime: str,
    shared: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """File, line, key and function, also where Globals have it; with a hint."""
    line = f"Runtime: {runtime}"
    shared_lines = f"Globals:\n  Function:\n    {line}\n" if shared else ""
    own = "" if shared else f"\n      {line}"
    (folder / "template.yaml").write_text(
        f"{shared_lines}Resources:\n  Broken:\n    Type: AWS::Serverless::Function\n"
        f"    Properties:\n      Handler: app.handler{own}\n"
    )
    done = preflight("invoke", "Broken", "--backend", "process", folder=folder)
    assert_refused(done, 3 if runtime == "python3.99" else 2)
    place = "3: Globals.Function.Runtime" if shared else "6: Resources.Broken.Properties.Runtime"
    assert done.error.startswith(f"{folder}/template.yaml:{place}: Broken: ")
    assert runtime in done.error
    assert done.hint


def test_help_names_every_flag() -> None:
    """It goes to standard output, since it was asked for."""
    done = preflight("invoke", "--help")
    assert (done.status, done.err) == (0, "")
    for flag in (
        "--template",
        "--event",
        "--env-vars",
        "--memory",
        "--timeout",
        "--repeat",
        "--cold",
        "--backend",
        "--json",
    ):
        assert flag in done.out


def test_version() -> None:
    """The command's name and a version."""
    done = preflight("--version")
    assert done.status == 0
    assert done.out.startswith("preflight")
    assert TEMPLATE.exists()


def test_without_extensions_nothing_of_them_is_imported(folder: Path) -> None:
    """Nor of telemetry: each module is a part of every cold start that would have it."""
    done = preflight("invoke", "F", folder=folder, environment={**PROCESS, "PYTHONPROFILEIMPORTTIME": "1"})
    assert done.status == 0, done.err
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines() if line.startswith("import time:")}
    assert "emulator.life" in imported
    assert [name for name in imported if name.startswith("emulator") and ("exten" in name or "telem" in name)] == []
