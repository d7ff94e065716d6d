"""README and docs/ against the code: what is there is told, and what is told is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from signal import SIGPIPE
from types import SimpleNamespace
from typing import Final, cast

import click
import pytest

from emulator import cli, errors, measure, metrics, pytest_plugin
from emulator.gates.config import FunctionGates
from emulator.gates.verdicts import RULES, Gate
from emulator.golden.evaluation import Comparison, Evaluation, Failure, Score
from emulator.golden.scorers import NAMES as SCORERS
from emulator.intervals import Estimate
from emulator.invocation import FunctionError, InvocationResult, Timings, Usage
from emulator.limits import Violation
from emulator.package.weight import FileWeight, Finding, Part, Weight
from emulator.report import files as report_files

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
PAGES: Final = (README, *sorted((ROOT / "docs").glob("*.md")))
REFERENCE: Final = ROOT / "docs" / "reference.md"
PYTEST: Final = ROOT / "docs" / "test-in-pytest.md"
README_LINES: Final = 150  # three minutes from top to bottom

# Read by the libraries that we hand the work to: the Docker SDK, and Python's tempfile.
READ_BY_LIBRARIES: Final = frozenset({"DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "TMPDIR"})
# Not settings of ours: what the sandbox's own entry point sees, and what would break a foreign interpreter.
NOT_SETTINGS: Final = frozenset({"LD_LIBRARY_PATH"})
INSIDE_THE_SANDBOX: Final = frozenset({"bootstrap.py"})

_FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`([^`]+)`")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_OPTION: Final = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
_METRIC: Final = re.compile(r"\b(?:" + "|".join({name.partition(".")[0] for name in metrics.NAMES}) + r")\.[a-z]\w+")
_INSTALL: Final = re.compile(r"pip install ([^`\n]*)")
_FILE: Final = (".py", ".toml", ".md", ".json", ".html")


def commands() -> dict[str, click.Command]:
    """By name."""
    context = click.Context(cli.preflight)
    found = {name: cli.preflight.get_command(context, name) for name in cli.preflight.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def options(command: click.Command) -> dict[str, click.Option]:
    """By each of their names: `-t`, `--template`, `--no-zip`."""
    return {
        name: option
        for option in command.params
        if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    }


def slug(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown: lower case, no punctuation, dashes for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def prose(path: Path) -> str:
    """Without code blocks."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Of its headings."""
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)}


def section(heading: str, page: Path = REFERENCE) -> str:
    """The text below that heading, until the next of its rank or above."""
    text = page.read_text(encoding="utf-8")
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no {heading}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but for heads; an escaped bar belongs to its cell."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = [number for number, row in enumerate(cells) if set("".join(row)) == {"-"}]
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


def first_cells(text: str) -> list[str]:
    """All that is marked as code in the first cells."""
    return [code for row in rows(text) for code in _CODE.findall(row[0])]


@cache
def environment_names() -> frozenset[str]:
    """What the package reads of its surroundings."""
    return frozenset(_environment_names())


def _environment_names() -> Iterator[str]:
    """Names that the package asks `os.environ`, or a mapping called `environ`, for, and click's `envvar`."""
    for path in (ROOT / "emulator").rglob("*.py"):
        if path.name in INSIDE_THE_SANDBOX:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Subscript(value=where, slice=ast.Constant(value=str(name))) if _is_environ(where):
                    yield name
                case ast.Call(
                    func=ast.Attribute(value=where, attr="get"), args=[ast.Constant(value=str(name)), *_]
                ) if _is_environ(where):
                    yield name
                case ast.Compare(left=ast.Constant(value=str(name)), comparators=[where]) if _is_environ(where):
                    yield name
                case ast.keyword(arg="envvar", value=ast.Constant(value=str(name))):
                    yield name


def plugin_options() -> list[str]:
    """Of the pytest plugin, in the order of its help."""
    found = []

    class Group:
        def addoption(self, name: str, **_attributes: object) -> None:
            found.append(name)

    parser = SimpleNamespace(getgroup=lambda *_: Group())
    pytest_plugin.pytest_addoption(cast("pytest.Parser", parser))
    return found


def plugin_fixtures() -> set[str]:
    """What it decorates."""
    tree = ast.parse(Path(pytest_plugin.__file__).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name for node in functions if any("pytest.fixture" in ast.unparse(one) for one in node.decorator_list)}


def _is_environ(node: ast.expr) -> bool:
    return ast.unparse(node) in {"os.environ", "environ"}


def command_lines(path: Path) -> Iterator[str]:
    """What is typed after `$` in code blocks, lines that go on joined, without comments."""
    for block in _FENCE.findall(path.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield line[2:].partition(" #")[0]


def test_the_readme_is_short() -> None:
    """A newcomer reads it whole; what takes longer is a page of its own."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """To a file that is there and, after #, to a heading in it."""
    broken = []
    for target in _LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    """A guide that nothing leads to has no reader."""
    seen, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        names = {target.partition("#")[0] for target in _LINK.findall(prose(page))}
        found = {(page.parent / name).resolve() for name in names if name.endswith(".md")} & set(PAGES)
        waiting += sorted(found - seen)
        seen |= found
    assert set(PAGES) - seen == set()


def test_every_command_has_its_section() -> None:
    """In the order of the help, and no other."""
    told = re.findall(r"^### preflight (\S+)$", section("## Commands"), re.MULTILINE)
    assert told == list(cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_is_told(name: str) -> None:
    """Every name of every option, each with its default, and no other."""
    known = options(commands()[name])
    table = rows(section(f"### preflight {name}"))
    told: dict[str, str] = {}
    for cell, default, meaning in table:
        names = [code.partition(" ")[0] for code in _CODE.findall(cell)]
        assert meaning
        told |= dict.fromkeys(names, default)
    assert set(told) == set(known)
    assert {option: default for option, default in told.items() if default != shown_default(known[option])} == {}


def shown_default(option: click.Option) -> str:
    """As the reference shows it: empty where there is none to speak of."""
    if option.required:
        return "required"
    if not option.show_default or option.default is None:
        return ""
    if option.is_flag:
        return f"`{option.opts[0] if option.default else option.secondary_opts[0]}`"
    return f"{option.default:g}" if isinstance(option.default, int | float) else str(option.default)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_argument_is_told(name: str) -> None:
    """In the line below the section's heading."""
    command = commands()[name]
    arguments = [one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)]
    usage = " ".join(["preflight", name, *arguments, "[OPTIONS]"])
    assert f"\n`{usage}`\n" in section(f"### preflight {name}")


def test_every_metric_is_told() -> None:
    """With unit and direction, in the report's order, and no other."""
    told = [(name.strip("`"), unit, worse) for name, unit, worse, _ in rows(section("## Metrics"))]
    assert told == [(metric.name, metric.unit, metric.worse) for metric in metrics.METRICS]


def test_every_key_of_preflight_toml_is_told() -> None:
    """Those of a function with their defaults, those of a gate, and no other."""
    functions, _, gates = section("## preflight.toml").partition("A gate, ")
    assert first_cells(functions) == [*_in_file_order()]
    assert sorted(first_cells(gates)) == sorted({*RULES, *(one.name for one in fields(Gate))} - {"metric", "limits"})
    defaults = {row[0].strip("`"): row[1] for row in rows(functions) if row[1]}
    assert defaults == {
        "scorer": FunctionGates(name="", gates=()).scorer,
        "cold_starts": str(measure.COLD_STARTS),
        "warm_calls": str(measure.WARM_CALLS),
    }


def _in_file_order() -> list[str]:
    keys = [one.name for one in fields(FunctionGates) if one.name not in {"name", "gates"}]
    return [*keys, "gates"]


def test_every_scorer_is_told() -> None:
    """And no other but one's own."""
    assert sorted(first_cells(section("## Scorers"))) == sorted([*SCORERS, "module:function"])


def test_every_exit_status_is_told() -> None:
    """That of each error, of a failed function, of success, and of a reader that went away."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    statuses = {0, 1, 128 + SIGPIPE} | {kind.exit_code for kind in kinds if issubclass(kind, errors.PreflightError)}
    assert [int(row[0]) for row in rows(section("## Exit status"))] == sorted(statuses)


def test_every_report_format_is_told() -> None:
    """By suffix, and no other."""
    page = ROOT / "docs" / "read-a-report.md"
    assert first_cells(section("## Report files", page)) == list(report_files.FORMATS)


def test_the_pytest_plugin_is_told() -> None:
    """Its options and fixtures, and no other."""
    told = [code.partition(" ")[0] for code in first_cells(section("## Options", PYTEST))]
    assert told == plugin_options()
    fixtures = [code.partition("(")[0] for code in first_cells(section("## Fixtures", PYTEST))]
    assert "lambda_function" in fixtures
    assert sorted(fixtures) == sorted(plugin_fixtures())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_nobody_is_told_to_install_a_strangers_package(path: Path) -> None:
    """The project called `lambda-preflight` on the public index is not ours: a path or an address, never the name."""
    found = _INSTALL.findall(path.read_text(encoding="utf-8"))
    assert [what for what in found if re.search(r"(?<![\w./-])lambda-preflight\b(?!/)", what)] == []


@pytest.mark.parametrize("path", [README, PYTEST], ids=lambda path: path.name)
def test_how_to_install_the_plugin_is_told(path: Path) -> None:
    """By a command for a project of one's own, with the warning beside it."""
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert "pip install /path/to/lambda-preflight pytest" in text
    assert re.search(r"on PyPI\b[^:.]* is somebody else's", text)


def attributes(kind: type) -> set[str]:
    """Fields and properties that are public."""
    names = {one.name for one in fields(kind)}
    names |= {name for base in kind.__mro__ for name, value in vars(base).items() if isinstance(value, property)}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize(
    ("heading", "kind", "parts"),
    [
        ("An invocation", InvocationResult, {"error": FunctionError, "timings": Timings, "usage": Usage}),
        ("A weight", Weight, {}),
        ("An evaluation", Evaluation, {"score": Estimate}),
    ],
)
def test_what_fixtures_return_is_told(heading: str, kind: type, parts: dict[str, type]) -> None:
    """Every attribute, those of its parts too, and no other; an attribute of each of many is one of theirs."""
    told = first_cells(section(f"### {heading}", PYTEST))
    known = {f".{name}" for name in attributes(kind)}
    inside = {f".{name}.{one}" for name, part in parts.items() for one in attributes(part)}
    optional = {".error", ".score"} & known  # None themselves, so that they have a row
    assert sorted(told) == sorted(known - {f".{name}" for name in parts} | inside | optional)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (".violations", Violation),
        (".findings", Finding),
        (".parts", Part),
        (".files", FileWeight),
        (".scores", Score),
        (".failures", Failure),
        (".comparison", Comparison),
    ],
)
def test_what_is_many_has_what_is_told(name: str, kind: type) -> None:
    """The attributes in the second cell; `.name` is a part's, `.path` a file's."""
    (row,) = (row for row in rows(section("## What they return", PYTEST)) if f"`{name}`" in row[0])
    told = {code.split(".")[1] for code in _CODE.findall(row[1]) if code.startswith(".")}
    known = attributes(kind)
    assert told & known
    assert told - known <= {"name", "path"}


def test_every_environment_variable_is_told() -> None:
    """What the code reads, and what libraries read for it, and no other."""
    read = environment_names()
    assert {"PREFLIGHT_BACKEND", "PREFLIGHT_KEEP_SANDBOX", "NO_COLOR", "DOCKER_HOST"} <= read
    assert set(first_cells(section("## Environment variables"))) == (read | READ_BY_LIBRARIES) - NOT_SETTINGS


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_that_are_shown_can_be_typed(path: Path) -> None:
    """Every `preflight` and `make` line of a code block names what is there."""
    known = commands()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wrong = []
    for line in command_lines(path):
        for part in line.split(" | "):
            program, _, rest = part.strip().partition(" ")
            name, _, rest = rest.partition(" ")
            if program == "make" and name not in targets:
                wrong.append(line)
            if program == "preflight" and (
                name not in known or not set(_OPTION.findall(rest)) <= set(options(known[name]))
            ):
                wrong.append(line)
    assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_names_in_the_text_are_there(path: Path) -> None:
    """Options, metrics and variables of ours, wherever they are named; options of others never begin a code span."""
    every = {name for command in commands().values() for name in options(command)} | {"--help", "--version"}
    every |= {*plugin_options(), "-p"}
    text = path.read_text(encoding="utf-8")
    spans = [code for code in _CODE.findall(prose(path)) if _OPTION.match(code)]
    assert {name for code in spans if (name := code.partition(" ")[0]) not in every} == set()
    named = {name for name in _METRIC.findall(text) if not name.endswith(_FILE)}
    assert named - set(metrics.NAMES) == set()
    assert set(re.findall(r"\bPREFLIGHT_\w+", text)) <= environment_names()


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("A gate's report", "a-gates-report"),
        ("preflight.toml", "preflighttoml"),
        ("preflight start-lambda", "preflight-start-lambda"),
        ("Max_size, and `more`", "max_size-and-more"),
    ],
)
def test_anchors_are_those_that_are_shown(heading: str, anchor: str) -> None:
    """As GitHub makes them."""
    assert slug(heading) == anchor
