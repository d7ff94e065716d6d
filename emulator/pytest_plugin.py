"""pytest plugin: fixtures that run Lambda functions under their limits, and a marker that judges what they measured.

Everything beyond options and hooks is imported when a test asks for it: a project that does not use the plugin loads
this file alone.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from emulator.errors import PreflightError
    from emulator.golden.evaluation import Evaluation
    from emulator.package import Weight
    from emulator.pytest_plugin_functions import LambdaFunction, LambdaFunctions
    from emulator.pytest_plugin_record import Figures, Limit, Record

_MARKER: Final = "lambda_limit"
_ATTRIBUTE: Final = "lambda_preflight"
"""Of a test's report, on its way from the worker of pytest-xdist to the controller."""
_RECORD: Final = pytest.StashKey["Record | None"]()
_TOLD: Final = pytest.StashKey[str]()
_FIGURES: Final = pytest.StashKey[list[str]]()
_STARTED: Final = pytest.StashKey[float]()
_REPORTS: Final = pytest.StashKey[tuple[Path, ...]]()
_TROUBLE: Final = pytest.StashKey[str]()
_WRONG: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; on the command line they win over a conftest's fixtures."""
    group = parser.getgroup("lambda", "Lambda functions under their limits (Lambda Preflight)")
    group.addoption("--lambda-template", metavar="FILE", help="SAM template (default: template.yaml, .yml or .json)")
    group.addoption(
        "--lambda-backend",
        choices=("auto", "docker", "process"),
        help="what isolates functions (default: $PREFLIGHT_BACKEND, else Docker where an engine answers)",
    )
    group.addoption(
        "--lambda-report",
        metavar="FILE",
        action="append",
        help="write what was measured, its format by suffix: .json, …; may be given more than once",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse a report that could not be written."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(metric, *, max=, min=, max_increase=, max_increase_pct=, level='fail', reason='', function=None): "
        "fail the test when what it measured is beyond the limit, or was not measured",
    )
    config.stash[_STARTED] = time.time()
    config.stash[_FIGURES] = []
    if _is_worker(config):
        return
    config.pluginmanager.register(_Collector(config.stash[_FIGURES]), "lambda-preflight-collector")
    named = config.getoption("lambda_report")
    if named:
        paths = config.stash[_REPORTS] = tuple(config.invocation_params.dir / one for one in named)
        from emulator.errors import PreflightError  # noqa: PLC0415 - see the module's first lines
        from emulator.pytest_plugin_report import check  # noqa: PLC0415 - see above

        try:
            for path in paths:
                check(path)
        except PreflightError as error:
            raise pytest.UsageError(_text(error)) from error


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse, before anything runs, a limit that could never be judged: unknown metrics and keys."""
    if _WRONG in config.stash:
        items.clear()
    wrong = _wrong(items)
    if wrong:
        raise pytest.UsageError(wrong)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same in a worker of xdist, where a usage error would end in a traceback: the file cannot be collected."""
    report = yield
    if _is_worker(collector.config) and report.passed:
        wrong = _wrong(item for item in report.result or () if isinstance(item, pytest.Item))
        if wrong:
            report.outcome, report.longrepr, report.result = "failed", wrong, []
            collector.config.stash[_WRONG] = True
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget what an earlier attempt at the same test measured."""
    item.stash[_RECORD] = None
    item.stash[_TOLD] = ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Once the test has passed, judge what it measured; of a test that failed the figures are told all the same."""
    try:
        result = yield
    except KeyboardInterrupt:
        raise
    except BaseException:
        _finish(item, passed=False)
        raise
    figures = _finish(item, passed=True)
    if figures is not None and figures.failed:
        from emulator.pytest_plugin_record import failure_text  # noqa: PLC0415 - see above

        pytest.fail(f"{_MARKER}: {failure_text(figures)}", pytrace=False)
    if figures is None and item.get_closest_marker(_MARKER):
        pytest.fail(f"{_MARKER}: not measured, so not passed: the test asked for no function", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send the figures along, tell which invocations failed, and an error of the emulator by its message and hint."""
    report = yield
    record = item.stash.get(_RECORD, None)
    failures = record.failures.take() if report.failed and record is not None else ""
    if failures:
        report.sections.append(("Lambda", failures))
    if call.when == "call" and item.stash.get(_TOLD, ""):
        setattr(report, _ATTRIBUTE, item.stash[_TOLD])
    errors = sys.modules.get("emulator.errors")
    if report.failed and call.excinfo is not None and errors is not None:
        error = call.excinfo.value
        if isinstance(error, errors.PreflightError):
            here = next((entry for entry in reversed(call.excinfo.traceback) if entry.path == item.path), None)
            where = "" if here is None else f"{item.location[0]}:{here.lineno + 1}: "
            report.longrepr = f"{where}{_text(error)}"
    return report


class _Collector:
    """Gathers the figures of all tests, those of workers too; only where there is somebody to be told."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a test's figures."""
        told = getattr(report, _ATTRIBUTE, None)
        if told is not None:
            self._told.append(told)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the report, of a run that was interrupted too; exit status 4 where it cannot be written after all."""
    config = session.config
    paths, told = config.stash.get(_REPORTS, ()), config.stash.get(_FIGURES, [])
    if not paths or not told:
        return
    from emulator.errors import PreflightError  # noqa: PLC0415 - see above
    from emulator.pytest_plugin_record import unpack  # noqa: PLC0415 - see above
    from emulator.pytest_plugin_report import write  # noqa: PLC0415 - see above

    interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
    try:
        write([unpack(text) for text in told], paths, started=config.stash[_STARTED], interrupted=interrupted)
    except PreflightError as error:
        config.stash[_TROUBLE] = _text(error)
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was measured, test by test."""
    told, paths = config.stash.get(_FIGURES, []), config.stash.get(_REPORTS, ())
    if told:
        from emulator.pytest_plugin_record import unpack  # noqa: PLC0415 - see above
        from emulator.pytest_plugin_report import summary  # noqa: PLC0415 - see above

        terminalreporter.section("Lambda Preflight")
        for line in summary([unpack(text) for text in told]):
            terminalreporter.write_line(line)
    if _TROUBLE in config.stash:
        terminalreporter.write_line(f"error: {config.stash[_TROUBLE]}", red=True)
        return
    for path in paths:
        what = f"report: {path}" if told else f"nothing was measured, so {path} was not written"
        terminalreporter.write_line(what)


@pytest.fixture(scope="session")
def lambda_template() -> Path | None:
    """The SAM template, for a conftest to override; None is template.yaml, .yml or .json where pytest was started."""
    return None


@pytest.fixture(scope="session")
def lambda_parameters() -> Mapping[str, str]:
    """Values for the template's Parameters, for a conftest to override."""
    return {}


@pytest.fixture(scope="session")
def lambda_backend() -> str:
    """What isolates functions, for a conftest to override, or to parametrise with both."""
    return os.environ.get("PREFLIGHT_BACKEND") or "auto"


@pytest.fixture(scope="session")
def lambda_service(
    pytestconfig: pytest.Config,
    lambda_template: Path | None,
    lambda_parameters: Mapping[str, str],
    lambda_backend: str,
) -> Iterator[LambdaFunctions]:
    """The template's functions for the whole session (of a worker, under xdist); everything ends with it."""
    from emulator.pytest_plugin_functions import LambdaFunctions, Turns, found_template  # noqa: PLC0415 - see above

    named = pytestconfig.getoption("lambda_template")
    here = pytestconfig.invocation_params.dir
    functions = LambdaFunctions(
        template=found_template(here / named if named else lambda_template, (here, pytestconfig.rootpath)),
        parameters=lambda_parameters,
        choice=pytestconfig.getoption("lambda_backend") or lambda_backend,
        turns=Turns(exclusive=_is_worker(pytestconfig)),
        folder=pytestconfig.rootpath,
    )
    try:
        yield functions
    finally:
        functions.close()


@pytest.fixture
def lambda_function(
    request: pytest.FixtureRequest, lambda_service: LambdaFunctions
) -> Iterator[Callable[..., LambdaFunction]]:
    """`lambda_function(NAME, memory_mb=…, timeout_s=…, environment=…)`: a function whose first invocation is cold.

    Its environments are this test's own.
    """
    record = _record(request, lambda_service)
    with ExitStack() as stack:

        def make(name: str, **changes: Any) -> LambdaFunction:  # noqa: ANN401 - `LambdaFunctions.config` has the types
            __tracebackhide__ = True
            function = lambda_service.start(lambda_service.config(name, **changes), name, record)
            stack.callback(function.close)
            return function

        yield make


@pytest.fixture
def warm_function(request: pytest.FixtureRequest, lambda_service: LambdaFunctions) -> Callable[..., LambdaFunction]:
    """`warm_function(NAME, event={…}, memory_mb=…, …)`: a function that was invoked before, by another test or now.

    The session's tests share its environment. `event` is what it is warmed up with, {} by default.
    """
    record = _record(request, lambda_service)

    def make(name: str, *, event: object = None, **changes: Any) -> LambdaFunction:  # noqa: ANN401 - see above
        __tracebackhide__ = True
        warm = lambda_service.warm(lambda_service.config(name, **changes), name, {} if event is None else event)
        return warm.for_test(record)

    return make


@pytest.fixture
def lambda_evaluate(request: pytest.FixtureRequest, lambda_service: LambdaFunctions) -> Callable[..., Evaluation]:
    """`lambda_evaluate(function, dataset=…, scorer=…, answer=…, reference=…)`: a golden dataset answered and scored.

    What is not given is what preflight.toml beside the template says.
    """
    _record(request, lambda_service)
    return lambda_service.evaluate


@pytest.fixture
def lambda_package(request: pytest.FixtureRequest, lambda_service: LambdaFunctions) -> Callable[[str], Weight]:
    """`lambda_package(NAME)`: what the deployment package weighs; `weight.refused` where Lambda would refuse it."""
    record = _record(request, lambda_service)

    def weigh(name: str) -> Weight:
        __tracebackhide__ = True
        return lambda_service.weigh(name, record)

    return weigh


def _is_worker(config: pytest.Config) -> bool:
    """Whether this is a process of pytest-xdist that nobody reads the terminal of."""
    return hasattr(config, "workerinput")


def _text(error: PreflightError) -> str:
    return f"{error.message}\n\nhint: {error.hint}" if error.hint else error.message


def _record(request: pytest.FixtureRequest, functions: LambdaFunctions) -> Record:
    """The test's own, made by the first of its fixtures."""
    from emulator.pytest_plugin_record import Record  # noqa: PLC0415 - see above

    stash = request.node.stash
    record: Record | None = stash.get(_RECORD, None)
    if record is None:
        record = stash[_RECORD] = Record(request.node.nodeid, functions)
    return record


def _limits(item: pytest.Item) -> tuple[Limit, ...]:
    """The markers of a test, its module's and classes' among them, in the order in which they are written."""
    from emulator.errors import ConfigurationError  # noqa: PLC0415 - see above
    from emulator.pytest_plugin_record import limit  # noqa: PLC0415 - see above

    found = []
    for mark in item.iter_markers(_MARKER):
        if len(mark.args) != 1:
            message = f"{item.nodeid}, {_MARKER}: it takes one metric, and its thresholds by name"
            raise ConfigurationError(message, hint=f'{_MARKER}("memory.max_mb", max=400)')
        found.append(limit(mark.args[0], mark.kwargs, item.nodeid))
    return tuple(reversed(found))


def _wrong(items: Iterable[pytest.Item]) -> str:
    """What is wrong with the markers of these tests; empty where nothing is."""
    marked = [item for item in items if item.get_closest_marker(_MARKER)]
    if not marked:
        return ""
    from emulator.errors import PreflightError  # noqa: PLC0415 - see above

    found: dict[str, None] = {}
    for item in marked:
        try:
            _limits(item)
        except PreflightError as error:
            found[_text(error)] = None
    return "\n\n".join(found)


def _finish(item: pytest.Item, *, passed: bool) -> Figures | None:
    """Compute and, where the test has passed, judge; None where it measured nothing."""
    record = item.stash.get(_RECORD, None)
    if record is None or (record.empty and not passed):
        return None
    from emulator.pytest_plugin_record import pack  # noqa: PLC0415 - see above
    from emulator.pytest_plugin_report import properties  # noqa: PLC0415 - see above

    limits = _limits(item) if passed else ()
    if record.empty and not limits:
        return None
    figures = record.finish(limits)
    item.user_properties += properties(figures)
    item.stash[_TOLD] = pack(figures)
    return figures
