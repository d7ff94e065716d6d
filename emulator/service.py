"""Functions by name: warm environments, one environment per concurrent call, environments made ready ahead of need."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypedDict, Unpack

from emulator import variables
from emulator.concurrency import ACCOUNT_LIMIT, Concurrency
from emulator.config import FunctionConfig
from emulator.errors import BackendError, ConfigurationError, DiedIdle, QuotaError, Throttled
from emulator.limits import check
from emulator.sandbox.base import Backend, Sandbox
from emulator.spec import fit_in_memory, placed, sandbox_spec

if TYPE_CHECKING:
    from emulator.environment import Answered, Environment, Order
    from emulator.invocation import Answer, InvocationResult
    from emulator.janitor import Janitor
    from emulator.streaming import Receiver

_LAST_CALLS_S: Final = 10.0  # how long closing waits for a container that is being made
_BRIEF_S: Final = 1.0  # at most, for the rest of an invocation that has been answered, which takes less than a ms
_AHEAD_AT_ONCE: Final = 2  # containers started side by side: more do not come faster on the engines measured


class Call(TypedDict, total=False):
    """What a client of Lambda can say besides; `qualifier` becomes part of the ARN that the function sees.

    What the function streams goes to `receiver` as it comes. `around` is entered, with the sandbox, while the runtime
    is at work on the event: whoever watches it from there is alone with it.
    """

    request_id: str | None
    client_context: str | None
    trace_id: str | None
    qualifier: str | None
    receiver: Receiver | None
    around: Callable[[Sandbox], AbstractContextManager[object]] | None


class LambdaService:
    """Invokes functions under their limits. Use as a context manager: leaving it removes every environment.

    Methods may be called from several threads at once; each concurrent call has an environment of its own. `on_log` is
    given whole lines of every environment's log as they come, on any thread. `concurrency` is the account's limit.

    Idle environments are frozen, as on Lambda, unless `freeze` is off. They are closed `reap_after_s` after their last
    invocation, None for never: Lambda does it after 300 to 360 s (EuroSys 2026, doi 10.1145/3767295.3769374: 8 % of
    those idle for 300 s were gone, 94 % after 345 s, all after 360 s; measured in 2025).
    """

    def __init__(  # noqa: PLR0913 - one keyword for each thing that commands choose
        self,
        functions: Mapping[str, FunctionConfig],
        backend: Backend,
        *,
        on_log: Callable[[str], None] | None = None,
        concurrency: int = ACCOUNT_LIMIT,
        freeze: bool = True,
        reap_after_s: float | None = None,
    ) -> None:
        for config in functions.values():
            validate(config)
        self._functions = dict(functions)
        self._backend = backend
        self._on_log = on_log
        self._lock = threading.Lock()
        self._concurrency = Concurrency(self._functions.values(), concurrency)
        self._over = threading.Condition(self._lock)  # told at the end of each invocation
        self._finishing: Counter[str] = Counter()  # answered, and nothing left but figures and REPORT
        self._warm: dict[str, deque[Environment]] = defaultdict(deque)
        self._ready: dict[str, deque[Environment]] = defaultdict(deque)
        self._all: set[Environment] = set()
        self._freeze = freeze
        self._reap_after_s = reap_after_s
        self._janitor: Janitor | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(*((BackendError,) if error is not None else ())):  # what went wrong first is what is told
            self.close()

    @property
    def backend(self) -> Backend:
        """Where the environments run."""
        return self._backend

    @property
    def concurrency(self) -> Concurrency:
        """How many invocations may run at once; only to be read."""
        return self._concurrency

    def invoke(self, name: str, payload: bytes, *, fresh: bool = False, **call: Unpack[Call]) -> InvocationResult:
        """Invoke a function with an event of JSON bytes and wait until the invocation is over.

        The environment used last serves again; `fresh` takes a new one, so that the invocation is cold. Raises
        Throttled at the limit.
        """
        return self._finish(name, *self._begin(name, self._order(name, payload, call), fresh=fresh))

    @contextmanager
    def answer(self, name: str, payload: bytes, **call: Unpack[Call]) -> Iterator[Answer]:
        """The same up to the answer, to be sent inside the `with`, which may not wait for a slow client.

        What is brief, figures and REPORT, is done when it is left; a call that comes meanwhile waits for that. Where
        extensions are at work still, the invocation goes on as one that runs, and ends on a thread of its own ("Invoke
        a Lambda function synchronously", guide, 2026-07). Where something failed, its end comes before the answer.
        """
        environment, begun = self._begin(name, self._order(name, payload, call), fresh=False)

        def finish() -> None:
            with suppress(BackendError):  # the caller has its answer, and the next one a new environment
                self._finish(name, environment, begun, brief=begun.rest == "brief")

        if begun.rest == "brief":
            with self._lock:
                self._finishing[name] += 1
            try:
                yield begun
            finally:
                finish()
        elif begun.rest == "extensions":
            threading.Thread(target=finish, name="extensions", daemon=True).start()
            yield begun
        else:
            yield self._finish(name, environment, begun)

    def _order(self, name: str, payload: bytes, call: Call) -> Order:
        from emulator.environment import Order  # noqa: PLC0415 - see _make

        self._config(name)
        for violation in check("request", {"Request": len(payload)}):
            raise QuotaError(violation.message, hint=violation.hint)
        return Order(
            request_id=call.get("request_id") or _request_id(),
            payload=payload,
            function_arn=variables.function_arn(name, call.get("qualifier")),
            trace_id=call.get("trace_id") or new_trace_id(),
            client_context=call.get("client_context"),
            receiver=call.get("receiver"),
            around=call.get("around"),
        )

    def _begin(self, name: str, order: Order, *, fresh: bool) -> tuple[Environment, Answered]:
        self._admit(name)
        try:
            while True:
                environment = self._take(self._config(name), fresh=fresh)
                with suppress(DiedIdle), self._discarding(environment):  # Lambda does not pick such a one
                    return environment, environment.begin(order)
        except BaseException:
            self._leave(name)
            raise

    def _admit(self, name: str) -> None:
        """An invocation whose answer has gone is over for its caller: its brief rest is waited for, not refused."""
        with self._lock:
            limit = time.monotonic() + _BRIEF_S
            while True:
                self._refuse_if_closed()
                try:
                    self._concurrency.admit(name)
                except Throttled:
                    if not self._finishing.total() or not self._over.wait(limit - time.monotonic()):
                        raise
                else:
                    return

    def _finish(self, name: str, environment: Environment, begun: Answered, *, brief: bool = False) -> InvocationResult:
        try:
            with self._discarding(environment):
                result = begun.finish()
            self._give_back(name, environment)
        finally:
            self._leave(name, brief=brief)
        return result

    @contextmanager
    def _discarding(self, environment: Environment) -> Iterator[None]:
        """After a lost sandbox or a Ctrl-C this environment can serve nobody again."""
        try:
            yield
        except BaseException:
            with suppress(BackendError):  # what went wrong first is what is told
                self._discard(environment)
            raise

    def _leave(self, name: str, *, brief: bool = False) -> None:
        with self._lock:
            self._concurrency.leave(name)
            self._finishing[name] -= brief
            self._over.notify_all()

    def prepare(self, name: str, count: int) -> int:
        """Make up to `count` environments ready (started, not initialised) for the calls to come; how many there are.

        Bounded by the memory that is free now: ready environments are small, but all of them may run.
        """
        config = self._config(name)
        with self._lock:
            missing = min(count, fit_in_memory(config.memory_mb)) - len(self._ready[name])
        if missing == 1:
            self._add_ready(config)
        elif missing > 1:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - one start needs no pool

            with ThreadPoolExecutor(max_workers=_AHEAD_AT_ONCE, thread_name_prefix="prepare") as pool:
                for task in [pool.submit(self._add_ready, config) for _ in range(missing)]:
                    task.result()
        with self._lock:
            return len(self._ready[name])

    def retire(self, name: str) -> None:
        """Close the warm environments of a function, as Lambda does after some idle minutes."""
        with self._lock:
            idle = list(self._warm.pop(name, ()))
        for environment in idle:
            self._discard(environment)

    def close(self) -> None:
        """Close every environment, the servers and the backend; may be called more than once.

        Invocations under way end at once, with BackendError for whoever waits for them.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._over.wait_for(lambda: not self._finishing.total(), timeout=_BRIEF_S)  # their REPORT is to be seen
            left = list(self._all)
            janitor, self._janitor = self._janitor, None
        try:
            if janitor is not None:
                janitor.stop()
            if len(left) > 1:
                from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - one end needs no pool

                with ThreadPoolExecutor(max_workers=8, thread_name_prefix="close") as pool:
                    for task in [pool.submit(environment.close) for environment in left]:
                        task.result()
            else:
                for environment in left:
                    environment.close()
        finally:
            with self._lock:  # one that was about to make an environment closes it itself
                self._over.wait_for(lambda: self._concurrency.running == 0, timeout=_LAST_CALLS_S)
            self._backend.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise BackendError("the emulator is stopping", hint="Start it again.")

    def _config(self, name: str) -> FunctionConfig:
        config = self._functions.get(name)
        if config is None:
            raise ConfigurationError(f"no function {name!r}", hint=f"There are: {', '.join(sorted(self._functions))}.")
        return config

    def _take(self, config: FunctionConfig, *, fresh: bool) -> Environment:
        """Inside the lock decide, outside the lock act."""
        name = config.name
        with self._lock:
            if not fresh and not self._warm[name] and self._finishing[name]:
                self._over.wait_for(lambda: self._warm[name] or not self._finishing[name], timeout=_BRIEF_S)
            warm, ready = self._warm[name], self._ready[name]
            if warm and not fresh:
                return warm.pop()
            if ready:
                return ready.popleft()
        return self._make(config)

    def _make(self, config: FunctionConfig) -> Environment:
        with placed(config):
            sandbox = self._backend.prepare(sandbox_spec(config))
        # Imported while the sandbox starts: nothing of it is needed before.
        from emulator.environment import Environment  # noqa: PLC0415 - see above

        made = Environment(config, sandbox, self._on_log)
        try:
            with self._lock:
                self._refuse_if_closed()
                self._all.add(made)
        except BackendError:
            made.close()
            raise
        return made

    def _add_ready(self, config: FunctionConfig) -> None:
        made = self._make(config)
        with self._lock:
            self._ready[config.name].append(made)

    def _give_back(self, name: str, environment: Environment) -> None:
        with self._lock:
            self._warm[name].append(environment)
            if self._janitor is None and (self._freeze or self._reap_after_s is not None) and not self._closed:
                self._janitor = self._employ_janitor()
            janitor = self._janitor
        if janitor is not None and janitor.asleep:
            janitor.wake()

    def _employ_janitor(self) -> Janitor:
        from emulator.janitor import Janitor, Rounds  # noqa: PLC0415 - nothing of it is needed before

        return Janitor(Rounds(freeze=self._freeze, reap_after_s=self._reap_after_s), self._idle, self._reap)

    def _idle(self) -> list[Environment]:
        with self._lock:
            return [environment for pool in self._warm.values() for environment in pool]

    def _reap(self, environment: Environment) -> None:
        with self._lock:
            pool = next((pool for pool in self._warm.values() if environment in pool), None)
            if pool is None or self._closed:  # it serves again, or is being closed
                return
            pool.remove(environment)
        self._discard(environment)

    def _discard(self, environment: Environment) -> None:
        with self._lock:
            self._all.discard(environment)
        environment.close()


def validate(config: FunctionConfig) -> None:
    """Refuse what Lambda would refuse at deployment: QuotaError in AWS's words, or ConfigurationError.

    An image is looked at where it lies, by the backend.
    """
    folders = (config.code, *config.layers) if config.image is None else ()
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"{config.name}: there is no folder {folder}", hint="See CodeUri and ContentUri.")
    values = {
        "MemorySize": config.memory_mb,
        "Timeout": config.timeout_s,
        "EphemeralStorage": config.ephemeral_storage_mb,
        "Layers": len(config.layers),
        "Handler": len(config.handler),
        "MaximumRetryAttempts": config.asynchronous.retries,
        "MaximumEventAgeInSeconds": config.asynchronous.max_age_s,
    }
    for violation in check("configuration", values):
        raise QuotaError(f"{config.told(violation.quota.name)}: {violation.message}", hint=violation.hint)
    if re.search(r"\s", config.handler):
        message = f"{config.told('Handler')}: 'handler' {config.handler!r} failed to satisfy constraint: no white space"
        raise ConfigurationError(message, hint="A handler is MODULE.FUNCTION.")
    variables.validate(config)
    try:
        size = unzipped_bytes(folders)
    except PermissionError as error:
        message = f"{config.name}: {error.filename} cannot be read"
        raise ConfigurationError(message, hint="Lambda's user must be able to read it too: chmod -R a+rX.") from error
    for violation in check("package", {"Unzipped package with layers": size}):
        raise QuotaError(f"{config.name}: {violation.message} (it has {violation.value:,})", hint=violation.hint)


def unzipped_bytes(folders: tuple[Path, ...]) -> int:
    """The sum of file sizes of code and layers, as Lambda counts them: each file once, links as what they are."""
    total = 0
    pending = [os.fspath(folder) for folder in folders]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _request_id() -> str:
    """A random UUID, as Lambda's are."""
    import uuid  # noqa: PLC0415 - needed once a sandbox starts, and not before

    return str(uuid.uuid4())


def new_trace_id() -> str:
    """An X-Ray trace header that is not sampled: `Root=1-<8 hex of time>-<24 hex>;Parent=<16 hex>;Sampled=0`."""
    digits = os.urandom(20).hex()
    return f"Root=1-{int(time.time()):08x}-{digits[:24]};Parent={digits[24:]};Sampled=0"
