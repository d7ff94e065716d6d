"""What holds for every file of this repository, whoever writes it."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MEASURED = ("emulator", "handlers", "benchmarks")

# Written so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.~$}-])/(?:work|root|Users/\w+|home/\w+|tmp/(?:spike|helper))" + r"/")
REGISTRY_HOST = re.compile(r"\b(?:pypi|pythonhosted|debian|npmjs)\." + r"org\b")
NOQA_WITH_REASON = re.compile(r"# noqa: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)* - \S")
IGNORE_WITH_REASON = re.compile(r"# type: ignore\[[\w-]+(?:, ?[\w-]+)*\]  # (?!noqa)\S")
PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==(\S+)(?: ; (.*?))?(?: \\)?$", re.MULTILINE)


def repository_files() -> list[Path]:
    """Everything that is committed or would be by `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def python_files(*folders: str) -> list[Path]:
    """The Python files below `folders`, or all but fixtures, which are data and need not even be valid."""
    return [
        path
        for path in repository_files()
        if path.suffix == ".py" and (top := path.relative_to(ROOT).parts[0]) != "fixtures"
        if not folders or top in folders
    ]


def text_of(path: Path) -> str:
    """Empty for what is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def comments_of(path: Path) -> list[tuple[int, str]]:
    """Line number and text of each comment; strings that look like one are not."""
    tokens = tokenize.generate_tokens(io.StringIO(text_of(path)).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def imported_by(path: Path) -> set[str]:
    """The first parts of every module name that the file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def pins_of(lock: str) -> set[tuple[str, str]]:
    """Name and version of everything that a lock file pins, whatever the marker."""
    return {(name, version) for name, version, _ in PIN.findall(text_of(ROOT / "requirements" / lock))}


def where(path: Path, line: int) -> str:
    """How a person finds it."""
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_module_has_its_row() -> None:
    """import-linter holds that each file and folder of `emulator` has a row; it does not look into folders."""
    contracts = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    order = next(contract for contract in contracts if contract["type"] == "layers")
    rows = set(re.findall(r"[\w.]+", " ".join(order["layers"])))
    split = order["exhaustive_ignores"]
    modules = {f"{name}.{path.stem}" for name in split for path in (ROOT / "emulator" / name).glob("*.py")}
    assert "sandbox.base" in modules
    assert {module for module in modules if not module.endswith("__init__")} - rows == set()


def test_files_are_short() -> None:
    """No file of ours is longer than a person reads in one go."""
    lengths = {str(path.relative_to(ROOT)): len(text_of(path).splitlines()) for path in python_files(*MEASURED)}
    assert "emulator/errors.py" in lengths
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    """No function is longer than a screen."""
    long = {}
    for path in python_files(*MEASURED):
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    long[f"{where(path, node.lineno)} {node.name}"] = length
    assert long == {}


def test_suppressions_carry_a_reason() -> None:
    """Whoever silences a tool names the rule and says why, on the same line."""
    bare = []
    for path in python_files():
        for line, comment in comments_of(path):
            if "noqa" in comment and not NOQA_WITH_REASON.search(comment):
                bare.append(f"{where(path, line)} {comment}")
            if "type: ignore" in comment and not IGNORE_WITH_REASON.search(comment):
                bare.append(f"{where(path, line)} {comment}")
    assert bare == []


@pytest.mark.parametrize(
    ("comment", "is_fine"),
    [
        ("# noqa: S101 - the reason", True),
        ("# noqa: S101, S102 - the reason", True),
        ("# noqa: S101", False),
        ("# noqa", False),
        ("# noqa - the reason", False),
    ],
)
def test_noqa_needs_code_and_reason(comment: str, is_fine: bool) -> None:  # noqa: FBT001 - a column of the table
    """Both the rule and the reason have to be there."""
    assert bool(NOQA_WITH_REASON.search(comment)) is is_fine


@pytest.mark.parametrize(
    ("comment", "is_fine"),
    [
        ("# type: ignore[arg-type]  # the reason", True),
        ("# type: ignore[arg-type, misc]  # the reason", True),
        ("# type: ignore[arg-type]", False),
        ("# type: ignore  # the reason", False),
        ("# type: ignore[arg-type]  # noqa: PGH003 - no reason for mypy", False),
    ],
)
def test_type_ignore_needs_code_and_reason(comment: str, is_fine: bool) -> None:  # noqa: FBT001 - a column of the table
    """Both the error's code and the reason have to be there; mypy allows the reason after a second # only."""
    assert bool(IGNORE_WITH_REASON.search(comment)) is is_fine


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY_HOST], ids=["machine path", "registry host"])
def test_nothing_is_tied_to_one_machine(pattern: re.Pattern[str]) -> None:
    """No committed file knows where it was written or from which host its packages came."""
    found = [
        f"{where(path, number)} {line.strip()}"
        for path in repository_files()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("see /" + "root/project", True),
        ("'/" + "home/someone/x'", True),
        ("/var/task/work/x", False),
        ("tests/work/x", False),
        ("$HOME/work/x", False),
    ],
)
def test_machine_paths_are_told_from_others(text: str, is_found: bool) -> None:  # noqa: FBT001 - a column of the table
    """Only a path from the root of the file system counts, not one that merely has such a folder in it."""
    assert bool(MACHINE_PATH.search(text)) is is_found


def test_handlers_and_emulator_are_strangers() -> None:
    """What runs here is byte for byte what is deployed, so neither side imports the other."""
    pairs = [
        (where(path, 1), name)
        for folder, forbidden in (("handlers", "emulator"), ("emulator", "handlers"))
        for path in python_files(folder)
        for name in imported_by(path)
        if name == forbidden
    ]
    assert pairs == []


def test_every_command_is_in_the_readme() -> None:
    """A command that the README does not name is not there for its users."""
    from emulator import cli

    commands = set(cli.preflight.list_commands(click.Context(cli.preflight)))
    modules = {path.stem.replace("_", "-") for path in (ROOT / "emulator" / "commands").glob("[!_]*.py")}
    assert commands == modules
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert commands
    assert {name for name in commands if not re.search(rf"\bpreflight {re.escape(name)}\b", readme)} == set()


@pytest.mark.parametrize(
    ("lock", "extra"), [("run.txt", None), ("test.txt", None), ("test.txt", "test")], ids=["run", "test", "test extra"]
)
def test_locks_hold_every_dependency(lock: str, extra: str | None) -> None:
    """Whoever adds a dependency runs `make lock` too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    names = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower() for requirement in wanted}
    assert names - {name for name, _ in pins_of(lock)} == set()


@pytest.mark.parametrize(
    ("small", "large"), [("run.txt", "test.txt"), ("layer.txt", "test.txt"), ("uv.txt", "run.txt")]
)
def test_locks_agree(small: str, large: str) -> None:
    """What is tested is what is run and deployed: one set of pins is part of the other."""
    assert pins_of(small)
    assert pins_of(small) - pins_of(large) == set()


@pytest.mark.parametrize("lock", [path.name for path in sorted((ROOT / "requirements").glob("*.txt"))])
def test_locks_are_hashed(lock: str) -> None:
    """Every pin has at least one hash, and no index or folder is named."""
    text = text_of(ROOT / "requirements" / lock)
    pins = list(PIN.finditer(text))
    ends = [match.start() for match in pins[1:]] + [len(text)]
    assert pins
    assert [pin[0] for pin, end in zip(pins, ends, strict=True) if "--hash=sha256:" not in text[pin.end() : end]] == []
    assert not re.search(r"^(?:--(?!hash)|-\w\s)", text, re.MULTILINE)


def test_recorded_behaviour_has_its_cases() -> None:
    """The suite of what AWS was seen to do does not shrink below what was promised: 80 cases, each with its source."""
    files = [path for path in python_files("tests") if path.parent.name == "recorded"]
    cases = sum(
        len(re.findall(r"^@recorded\(|^\s+case\($|^\s+case\(\"", text_of(path), re.MULTILINE)) for path in files
    )
    assert cases >= 80
