"""A memory sweep: sizes in random order, round by round, until what to take is sure or the time is up."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.errors import ConfigurationError
from emulator.intervals import percentile
from emulator.service import LambdaService
from emulator.tune.sampling import Sample, Series, least_waits, round_of, spread_evenly, total, undisturbed

if TYPE_CHECKING:
    from emulator.config import FunctionConfig
    from emulator.sandbox.base import Backend, Capabilities, Sandbox, SandboxSpec


Rounds = dict[int, tuple[Series, ...]]
"""What was measured of each memory size, round by round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """`cold` rounds at least, with `warm` warm invocations in all of these; then such with as many each, to `budget_s`.

    With a `precision` a size is not done before the 95 % interval of its median is narrower than that part of it. The
    budget ends everything but the first round.
    """

    cold: int
    warm: int
    precision: float | None
    budget_s: float

    @property
    def warm_of_round(self) -> int:
        """Rounded up; of the rounds that there are in any case."""
        return -(-self.warm // self.cold)


class Journal:
    """What was measured, line by line in a file, so that a sweep that was stopped can go on."""

    def __init__(self, path: Path, question: str) -> None:
        self.path = path
        self._question = question

    def read(self) -> dict[int, list[Series]]:
        """What an earlier sweep of the very same question has left; empty for any other."""
        found: dict[int, list[Series]] = {}
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return found
        for line in lines:
            try:
                value = json.loads(line)
                if value["question"] == self._question:
                    found.setdefault(value["memory_mb"], []).append(_series(value))
            except (ValueError, KeyError, TypeError):  # a line that was cut off
                continue
        return found

    def add(self, memory_mb: int, series: Series) -> None:
        """One round of one size."""
        line = {"question": self._question, "memory_mb": memory_mb, **asdict(series)}
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} cannot be written: {error.strerror}", hint="`df` shows it."
            ) from error

    def forget(self) -> None:
        """The sweep is complete, or begins anew."""
        self.path.unlink(missing_ok=True)


class Lent:
    """A backend that several services use one after another: closing a service leaves it open."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def name(self) -> Any:  # noqa: ANN401 - the backend's own literal
        """As `--backend` names it."""
        return self._backend.name

    @property
    def capabilities(self) -> Capabilities:
        """What it enforces."""
        return self._backend.capabilities

    def prepare(self, spec: SandboxSpec) -> Sandbox:
        """Make a sandbox ready."""
        return self._backend.prepare(spec)

    def close(self) -> None:
        """Whoever lent it closes it."""


def sweep(  # noqa: PLR0913 - one keyword for each thing a sweep needs
    configs: Mapping[int, FunctionConfig],
    events: Sequence[bytes],
    effort: Effort,
    *,
    run: Callable[[FunctionConfig, Iterator[bytes], int], Series],
    journal: Journal,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    order: random.Random,
    sure: Callable[[Mapping[int, Sequence[Series]]], bool],
) -> Rounds:
    """Each size's rounds. Sizes come in random order; what the journal holds is not measured again.

    Of many events as many are taken as there are to be warm invocations. In one round each size meets the same ones, so
    that sizes differ in nothing but their size, and every start is with the same one.

    `sure` is asked when each size has what `effort` wants; while it is not, every size that runs has another round, so
    that what slows the machine in one slows all of them.
    """
    done = journal.read()
    begin, measured, chosen = clock(), 0, spread_evenly(events, effort.warm)
    while sizes := _wanting(configs, done, effort, sure):
        number = min(len(done.get(size, [])) for size in sizes) + 1
        behind = [size for size in sizes if len(done.get(size, [])) < number]
        for size in order.sample(behind, len(behind)):
            spent = clock() - begin
            if spent > effort.budget_s and number > 1:
                return {each: tuple(done.get(each, ())) for each in configs}
            say(_progress(size, number, (measured, _left(configs, done, effort)), (spent, effort.budget_s)))
            turn = _turn(chosen, number, effort)
            found = run(configs[size], iter((chosen[0], *turn)), len(turn))
            done.setdefault(size, []).append(found)
            journal.add(size, found)
            measured += 1
    return {size: tuple(done.get(size, ())) for size in configs}


def _turn(events: Sequence[bytes], number: int, effort: Effort) -> list[bytes]:
    """The events of a round, numbered from 1: where the one before has ended, and after the last from the first."""
    count = effort.warm_of_round if number <= effort.cold else effort.warm
    first = (number - 1) * effort.warm_of_round if number <= effort.cold else 0
    return [events[(first + place) % len(events)] for place in range(count)]


def _wanting(
    configs: Mapping[int, FunctionConfig],
    done: Mapping[int, Sequence[Series]],
    effort: Effort,
    sure: Callable[[Mapping[int, Sequence[Series]]], bool],
) -> list[int]:
    waits = least_waits(series for rounds in done.values() for series in rounds)
    wanting = [size for size in configs if wants(done.get(size, []), effort, waits)]
    if wanting:
        return wanting
    running = {size: done[size] for size in configs if not total(done[size]).errors}
    return [] if not running or sure(running) else list(running)


def wants(rounds: Sequence[Series], effort: Effort, waits: Mapping[int, float]) -> bool:
    """Whether a size needs another round; one that fails has two, to be sure of it. Disturbed invocations count not."""
    found = undisturbed(total(rounds), waits)
    if found.errors and len(rounds) > 1:
        return False
    enough = len(rounds) >= effort.cold and len(found.good_warm) >= effort.warm
    return not enough or (effort.precision is not None and not precise(found, effort.precision))


def precise(series: Series, precision: float) -> bool:
    """Whether the median's interval is as narrow as wanted; never before there is one."""
    durations = [sample.duration_ms for sample in series.good_warm]
    if not durations:
        return False
    median = percentile(durations, 50)
    return median.low is not None and median.high is not None and median.high - median.low <= precision * median.value


def run_round(backend: Backend) -> Callable[[FunctionConfig, Iterator[bytes], int], Series]:
    """One cold start and the warm invocations after it, on a real backend."""

    def run(config: FunctionConfig, events: Iterator[bytes], warm: int) -> Series:
        with LambdaService({config.name: config}, Lent(backend), freeze=False) as service:
            return round_of(service, config.name, events, warm)

    return run


def question_of(config: FunctionConfig, events: Sequence[bytes], backend: str, effort: Effort) -> str:
    """What a journal must be about to be gone on with: function, code as it lies there, events, and how it is run."""
    digest = hashlib.sha256(repr((replace(config, memory_mb=0), backend, effort.warm, effort.warm_of_round)).encode())
    for event in events:
        digest.update(hashlib.sha256(event).digest())
    for folder in (config.code, *config.layers):
        for path in sorted(folder.rglob("*")):
            seen = path.lstat()
            digest.update(f"{path}\0{seen.st_size}\0{seen.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _left(configs: Mapping[int, FunctionConfig], done: Mapping[int, Sequence[Series]], effort: Effort) -> int:
    """Rounds of the least effort that are still to come."""
    return sum(max(0, effort.cold - len(done.get(size, []))) for size in configs)


def _progress(size: int, number: int, done: tuple[int, int], seconds: tuple[float, float]) -> str:
    """`done` are rounds that were measured and such as are still to come in any case; `seconds` spent and at most."""
    (measured, left), (spent_s, budget_s) = done, seconds
    if not left:
        return f"{size} MB, round {number}, until it is sure, {max(0.0, budget_s - spent_s):.0f} s at most"
    eta = f", {spent_s / measured * left:.0f} s left" if measured else ""
    return f"{size} MB, round {number}, {left} to go{eta}"


def _series(value: Mapping[str, Any]) -> Series:
    return Series(
        cold=tuple(Sample(**each) for each in value["cold"]), warm=tuple(Sample(**each) for each in value["warm"])
    )
