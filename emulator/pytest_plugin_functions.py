"""Functions of a template, for tests: started when a test asks, measured one at a time, taken away at the end."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from emulator import cache, settled
from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from emulator.evidence import Start
from emulator.gates.config import FILE_NAME, FunctionGates, nearest, read
from emulator.gates.run import versions_of
from emulator.golden.journal import AnswerJournal
from emulator.golden.run import GoldenRun, environments, golden, sample_of
from emulator.pytest_plugin_record import Measured, Record, Surroundings
from emulator.sandbox import CHOICES, Choice, open_backend
from emulator.service import LambdaService, validate

if TYPE_CHECKING:
    from emulator.golden.evaluation import Evaluation
    from emulator.invocation import InvocationResult
    from emulator.package import Weight
    from emulator.sandbox.base import Backend, Capabilities, Sandbox, SandboxSpec

_LOST: Final = ("Runtime.", "Sandbox.")
"""Errors after which an environment is reset, so that its next invocation is not a warm one."""


@dataclass(slots=True)
class _Stay:
    alone: bool = True


@dataclass(slots=True)
class _Warmth:
    """Of an environment that tests hand on."""

    lost: bool = True


class Turns:
    """One measurement at a time among this user's test runs and their workers, by a lock on a file of the cache.

    Threads of one process share their turn: a test may want to invoke side by side, and its figures say so.
    """

    def __init__(self, *, exclusive: bool) -> None:
        self._path = None if cache.folder() is None else cache.needed_folder() / "measuring.lock"
        self._exclusive = exclusive
        """Whether there are others to be kept out, so that a turn without the lock is a disturbed one."""
        self._lock = threading.Lock()
        self._inside: list[_Stay] = []
        self._file: int | None = None

    @contextmanager
    def turn(self) -> Iterator[_Stay]:
        """Wait for one's turn; `alone` of what it gives says, at the end, whether nobody else measured meanwhile."""
        stay = _Stay()
        with self._lock:
            if not self._inside:
                self._file = self._locked()
            self._inside.append(stay)
            if len(self._inside) > 1 or (self._exclusive and self._file is None):
                for one in self._inside:
                    one.alone = False
        try:
            yield stay
        finally:
            with self._lock:
                self._inside.remove(stay)
                if not self._inside and self._file is not None:
                    os.close(self._file)
                    self._file = None

    def _locked(self) -> int | None:
        """The file, open and locked; None where the cache cannot be written."""
        if self._path is None:
            return None
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except BaseException:  # Ctrl-C while others had their turn, or a file system without locks
            os.close(file)
            raise
        return file


class LambdaFunction:
    """One function at one size; what its invocations take is told in the test's figures.

    The first invocation is cold, those that follow are warm, as long as the environment lives.
    """

    def __init__(  # noqa: PLR0913 - made in this file only
        self,
        service: LambdaService,
        config: FunctionConfig,
        names: frozenset[str],
        measured: Measured | None,
        turns: Turns,
        *,
        warmth: _Warmth | None = None,
    ) -> None:
        self.config = config
        self.names = names
        """Logical id and `FunctionName`."""
        self._service = service
        self._measured = measured
        self._turns = turns
        self._begin = time.perf_counter()
        self._warmth = warmth or _Warmth()

    def __repr__(self) -> str:
        return f"<LambdaFunction {self.config.name} {self.config.memory_mb} MB>"

    @property
    def name(self) -> str:
        """As Lambda names it."""
        return self.config.name

    @property
    def lost(self) -> bool:
        """Whether no environment is there that would serve warm."""
        return self._warmth.lost

    def invoke(self, event: object, *, cold: bool = False) -> InvocationResult:
        """Invoke with an event: bytes as they are, anything else as JSON; `cold` takes a new environment.

        A function that fails is a value, `result.error`.
        """
        __tracebackhide__ = True
        payload = event if isinstance(event, bytes) else self._json(event)
        with self._turns.turn() as stay:
            if cold:
                self._service.retire(self.config.name)
            at_s = time.perf_counter() - self._begin
            result = self._service.invoke(self.config.name, payload, fresh=cold)
        self._warmth.lost = result.error is not None and result.error.type.startswith(_LOST)
        if self._measured is not None:
            start: Start = "cold" if result.cold else "warm"
            self._measured.samples.append(sample_of(result, start, at_s, concurrent=not stay.alone))
            self._measured.failures.add(self.config, result)
        return result

    def _json(self, event: object) -> bytes:
        """As Lambda reads it, which is without `NaN` and `Infinity`."""
        __tracebackhide__ = True
        try:
            return json.dumps(event, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            message = f"the event for {self.name} is not JSON: {error}"
            hint = "Give what JSON has: dict, list, str, finite numbers, True, False or None; bytes go as they are."
            raise ConfigurationError(message, hint=hint) from error

    def for_test(self, record: Record) -> LambdaFunction:
        """The same environment, with figures that go to this test."""
        measured = record.of(self.config, self.names)
        return LambdaFunction(self._service, self.config, self.names, measured, self._turns, warmth=self._warmth)

    def evaluate(self, gates: FunctionGates, folder: Path) -> Evaluation:
        """Answer and score a golden dataset, the first cases one by one, so that their times are told too."""
        if gates.dataset is None:
            message = f"no golden dataset for {self.name}"
            raise ConfigurationError(message, hint=f"Name one: dataset=…, or in {FILE_NAME} beside the template.")
        asked = golden(
            gates.dataset, scorer=gates.scorer, answer=gates.answer, reference=gates.reference, folder=folder
        )
        with self._turns.turn() as stay:
            journal = AnswerJournal(None, {}, None)  # a test's figures are all of this run
            run = GoldenRun(self._service, self.config, asked, journal, _Silent(), begin=self._begin)
            found, samples = run.run(alone=gates.warm_calls, workers=environments(self.config))
        if self._measured is not None:
            told = samples if stay.alone else tuple(replace(sample, concurrent=True) for sample in samples)
            self._measured.samples += told
            self._measured.evaluation = found
            self._measured.failures.add_cases(self.config, found)
        return found

    def close(self) -> None:
        """End its environments."""
        self._service.close()


@dataclass(slots=True)
class LambdaFunctions:
    """The functions of one template for a whole session: what the fixture `lambda_service` gives.

    Nothing is read or started before a test asks for a function; `notes` are what is worth saying at the end.
    """

    template: Path
    parameters: Mapping[str, str]
    choice: str
    turns: Turns
    folder: Path
    """Where relative datasets and custom scorers are looked for."""
    notes: list[str] = field(default_factory=list)
    _backend: Backend | None = None
    _versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    _aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    _warm: dict[tuple[Any, ...], LambdaFunction] = field(default_factory=dict)

    @property
    def backend(self) -> Backend:
        """What the functions run in, opened when it is first needed."""
        if self._backend is None:
            if self.choice not in CHOICES:
                message = f"no backend {self.choice!r}"
                raise ConfigurationError(message, hint=nearest(self.choice, CHOICES))
            choice: Choice = next(one for one in CHOICES if one == self.choice)
            keep = bool(os.environ.get("PREFLIGHT_KEEP_SANDBOX"))
            self._backend = open_backend(
                choice,
                ending="keep" if keep else "remove",
                on_progress=self.notes.append if keep else None,
                on_fallback=lambda why: self.notes.append(f"{why}; using the process backend"),
            )
            self._versions = versions_of(self._backend)
        return self._backend

    @property
    def surroundings(self) -> Surroundings:
        """Where figures come from."""
        backend = self.backend
        return Surroundings(
            backend=backend.name,
            capabilities=backend.capabilities,
            versions=self._versions,
            template=self.template,
            notes=tuple(self.notes),
        )

    def config(
        self,
        name: str,
        *,
        memory_mb: int | None = None,
        timeout_s: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> FunctionConfig:
        """The function of this logical id or `FunctionName`, as the template says, but for what is given here."""
        found = settled.function(self.template, name, parameters=self.parameters, variables=None)
        found = found.overridden(memory_mb=memory_mb, timeout_s=timeout_s)
        if environment is not None:
            found = replace(found, environment=MappingProxyType({**found.environment, **environment}))
        return found

    def start(self, config: FunctionConfig, name: str, record: Record | None = None) -> LambdaFunction:
        """A function with environments of its own; whoever asked closes it."""
        validate(config)
        names = self._names(name)
        measured = None if record is None else record.of(config, names)
        service = LambdaService({config.name: config}, _Lent(self.backend))
        return LambdaFunction(service, config, names, measured, self.turns)

    def warm(self, config: FunctionConfig, name: str, event: object) -> LambdaFunction:
        """A function that is kept for the session, and has just been invoked with `event` where it was not warm.

        ConfigurationError where it is not warm after that: its Init phase fails, or this event ends its environment.
        """
        key = (config.name, config.memory_mb, config.timeout_s, tuple(sorted(config.environment.items())))
        if key not in self._warm:
            self._warm[key] = self.start(config, name)
        function = self._warm[key]
        if function.lost:
            result = function.invoke(event)
            if result.error is not None and function.lost:
                message = f"{config.name} is not warm after {event!r}: {result.error.type}: {result.error.message}"
                raise ConfigurationError(
                    message, hint="Warm it up with what it can answer: warm_function(NAME, event=…)"
                )
        return function

    def evaluate(
        self,
        function: LambdaFunction,
        dataset: str | Path | None = None,
        *,
        scorer: str | None = None,
        answer: str | None = None,
        reference: str | Path | None = None,
    ) -> Evaluation:
        """A golden dataset, by what preflight.toml says of the function, but for what is given here."""
        __tracebackhide__ = True
        told, folder = self._gates(function), self.template.parent
        if dataset is not None:  # another dataset's answers are not those of the file's reference
            told, folder = replace(told, dataset=self.folder / dataset, reference=None), self.folder
        if scorer is not None:
            told, folder = replace(told, scorer=scorer), self.folder
        if answer is not None:
            told = replace(told, answer=answer)
        if reference is not None:
            told = replace(told, reference=self.folder / reference)
        return function.evaluate(told, folder)

    def weigh(self, name: str, record: Record) -> Weight:
        """The deployment package, zip included; one that Lambda would refuse is a value too: `weight.refused`."""
        from emulator.package import weigh  # noqa: PLC0415 - for those who ask

        config = self.config(name)
        with self.turns.turn():
            weight = weigh(config, zipped=True)
        record.add_weight(config, self._names(name), weight)
        return weight

    def _names(self, name: str) -> frozenset[str]:
        """Logical id and `FunctionName` of one function, so that markers, gates and baseline may use either."""
        from emulator import template  # noqa: PLC0415 - `settled` does without, where it can

        if not self._aliases:
            self._aliases = template.load(self.template, parameters=self.parameters).aliases
        logical_id = self._aliases[name]
        return frozenset(alias for alias, known in self._aliases.items() if known == logical_id)

    def _gates(self, function: LambdaFunction) -> FunctionGates:
        """What preflight.toml beside the template says of the function; nothing where it does not name it."""
        path = self.template.parent / FILE_NAME
        known = read(path) if path.exists() else ()
        found = next((one for one in known if one.name in function.names), None)
        return found or FunctionGates(name=function.name, gates=())

    def close(self) -> None:
        """End everything; may be called more than once."""
        kept, self._warm = list(self._warm.values()), {}
        backend, self._backend = self._backend, None
        try:
            for function in kept:
                function.close()
        finally:
            if backend is not None:
                backend.close()


def found_template(named: Path | None, folders: Sequence[Path]) -> Path:
    """The template that was named, or the first that lies in one of the folders; ConfigurationError where none does."""
    if named is not None:
        return named
    for folder in folders[:-1]:
        with suppress(ConfigurationError):
            return settled.default_path(folder)
    try:
        return settled.default_path(folders[-1])
    except ConfigurationError as error:
        raise ConfigurationError(error.message, hint="Name one: --lambda-template FILE") from error


class _Lent:
    """The session's backend, lent to one service of several: closing it is the session's affair."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.prepare: Callable[[SandboxSpec], Sandbox] = backend.prepare

    @property
    def name(self) -> Literal["docker", "process"]:
        """The backend's."""
        return self._backend.name

    @property
    def capabilities(self) -> Capabilities:
        """The backend's."""
        return self._backend.capabilities

    def close(self) -> None:
        """Others use it still."""


class _Silent:
    """Progress that pytest shows in its own way."""

    def begin(self, what: str, total: int) -> None:
        """Nothing to show."""

    def step(self) -> None:
        """Nothing to show."""
