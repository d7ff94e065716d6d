"""Stand-ins for isolation, HTTP and time: a whole life runs on the test's own thread and without waiting.

A test writes the runtime as a coroutine over `FakeRuntime`, which runs at `go` and whenever the emulator waits for it.
"""

from __future__ import annotations

import signal
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from emulator.http1 import HttpRequest
from emulator.lifecycle import Heard
from emulator.runtime_api import Reply, RuntimeApi
from emulator.sandbox.base import FREEZE_AFTER_S, Capabilities, Enforcement, Exit, Figures, SandboxSpec
from tests.hand_loop import FakeClock, HandLoop

if TYPE_CHECKING:
    import asyncio

Runtime = Callable[["FakeRuntime"], Coroutine[Any, Any, None]]

API = "/2018-06-01/runtime"


def capabilities(how: Enforcement = "kernel", **others: Enforcement) -> Capabilities:
    """All limits held the same way but for the named ones."""
    every = dict.fromkeys(Capabilities.__dataclass_fields__, how)
    return Capabilities(**{**every, **others})


class RuntimeEnded(Exception):
    """Carries the end of a scripted runtime out of its coroutine."""

    def __init__(self, exit_: Exit) -> None:
        super().__init__(exit_)
        self.exit = exit_


class FakeRuntime:
    """What a scripted runtime can do; one for each life of a sandbox."""

    def __init__(self, sandbox: FakeSandbox, api: RuntimeApi) -> None:
        self.sandbox = sandbox
        self.request_id = ""
        self._api = api
        self._streamed = False

    def log(self, piece: bytes) -> None:
        """Write; the piece lies in the pipe until somebody flushes or the process ends."""
        self.sandbox.unread.append(piece)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = b"",
        headers: Mapping[str, str] | None = None,
        peer: str | None = None,
    ) -> Reply:
        """One request to the Runtime API, from `peer` or from the sandbox's own address; None is a body too large."""
        caller = peer or self.sandbox.peer
        named = {name.lower(): value for name, value in (headers or {}).items()}
        target = path if path.startswith("/20") else API + path
        request = HttpRequest(method=method, target=target, headers=named, body=body, keep_alive=True)
        reply: Reply = await self.sandbox.loop.reply(lambda answer: self._api.handle(request, answer, peer=caller))
        return reply

    async def next(self) -> Reply:
        """Ask for an event and wait for it."""
        reply = await self.call("GET", "/invocation/next")
        self.request_id = reply.headers.get("Lambda-Runtime-Aws-Request-Id", self.request_id)
        return reply

    async def respond(self, body: bytes | None) -> Reply:
        """Answer the event that came last."""
        return await self.call("POST", f"/invocation/{self.request_id}/response", body=body)

    def begin_stream(self, content_type: str) -> dict[str, str]:
        """Begin to answer in parts; the headers, which the end needs again. Parts are kept where nobody wants them."""
        headers = {"lambda-runtime-function-response-mode": "streaming", "content-type": content_type}
        self._streamed = self._api.streams(f"{API}/invocation/{self.request_id}/response", headers, self.sandbox.peer)
        return headers

    async def stream(
        self,
        *parts: bytes,
        content_type: str = "text/plain",
        trailers: Mapping[str, str] | None = None,
        last: bytes = b"",
    ) -> Reply:
        """Answer the event that came last in parts, the `last` one in the same piece as the end."""
        headers = self.begin_stream(content_type)
        body = last
        if self._streamed:
            for part in parts:
                self._api.part(part)
        else:
            body = b"".join((*parts, last))
        path = f"{API}/invocation/{self.request_id}/response"
        request = HttpRequest(
            method="POST", target=path, headers=headers, body=body, keep_alive=True, trailers=trailers
        )
        peer = self.sandbox.peer
        answer: Reply = await self.sandbox.loop.reply(lambda reply: self._api.handle(request, reply, peer=peer))
        return answer

    def break_off(self, *parts: bytes, content_type: str = "text/plain") -> None:
        """Begin to answer in parts, and lose the connection."""
        self.begin_stream(content_type)
        for part in parts:
            self._api.part(part)
        self._api.broke_off()

    async def fail(self, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Report an exception of the handler's."""
        return await self.call("POST", f"/invocation/{self.request_id}/error", body=body, headers=headers)

    async def fail_init(self, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Report that the handler could not be loaded."""
        return await self.call("POST", "/init/error", body=body, headers=headers)

    def take(self, seconds: float, *, cpu_seconds: float = 0.0, memory_bytes: int = 0) -> None:
        """Let time pass, and the kernel's counters rise with it where the sandbox has any."""
        sandbox = self.sandbox
        sandbox.clock.now += seconds
        figures = sandbox.now
        if figures.cpu_seconds is not None:
            figures = replace(figures, cpu_seconds=figures.cpu_seconds + cpu_seconds)
        if figures.memory_peak_bytes is not None:
            figures = replace(figures, memory_peak_bytes=max(figures.memory_peak_bytes, memory_bytes))
        sandbox.now = figures

    def end(self, exit_: Exit) -> NoReturn:
        """The process ends in this way."""
        raise RuntimeEnded(exit_)


async def echo(runtime: FakeRuntime) -> None:
    """Answer every event with itself."""
    while True:
        event = await runtime.next()
        await runtime.respond(event.body)


async def silent(runtime: FakeRuntime) -> None:
    """Never say anything."""


class FakeListener(socket.socket):
    """Stands for a listening socket, which initialising the base class would open."""

    def __init__(self, sandbox: FakeSandbox) -> None:
        self.sandbox = sandbox


class FakeSandbox:
    """Plays one runtime a life, the last one for all lives that follow; `calls` is what was asked of it, in order.

    A runtime that returns without having ended hangs, and time runs out for whoever waits for it.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each thing that can be scripted
        self,
        spec: SandboxSpec,
        lives: Sequence[Runtime],
        clock: FakeClock,
        *,
        figures: Figures,
        identity: str = "fake",
        peer: str | None = None,
    ) -> None:
        self.spec = spec
        self.clock = clock
        self.now = figures
        self.calls: list[str] = []
        self.loop = HandLoop()
        self.servers: list[FakeServer] = []
        self.unread: list[bytes] = []
        self.frozen = False
        self.on_sigterm: Callable[[], None] | None = None
        self.crew: Sequence[Runtime] = ()  # external extensions
        self._tasks: list[asyncio.Task[None]] = []
        self._lives = deque(lives)
        self._fresh = figures
        self._memory_told = figures.memory_peak_bytes
        self._identity = identity
        self._peer = peer
        self._task: asyncio.Task[None] | None = None
        self._lingering: asyncio.Future[None] | None = None
        self._on_exit: Callable[[Exit], None] | None = None
        self._on_log: Callable[[bytes], None] | None = None

    @property
    def identity(self) -> str:
        """As given."""
        return self._identity

    @property
    def extensions(self) -> tuple[str, ...]:
        """As asked for."""
        return self.spec.extensions

    @property
    def listener(self) -> socket.socket:
        """What `FakeServer` knows this sandbox by."""
        return FakeListener(self)

    @property
    def peer(self) -> str | None:
        """As given."""
        return self._peer

    def go(
        self, on_log: Callable[[bytes], None], on_exit: Callable[[Exit], None], on_extension_log: object = None
    ) -> None:
        """Run the next life up to its first wait."""
        self.calls.append("go")
        if not self.servers or self.servers[-1].closed:
            raise AssertionError("go before the Runtime API was served")
        self._on_log, self._on_exit = on_log, on_exit
        if self.crew:
            self._tasks = [self.loop.start(one(FakeRuntime(self, self.servers[-1].api))) for one in self.crew]
        else:
            self.start_runtime()
            self.calls.pop()

    def start_runtime(self) -> None:
        """The life whose extensions `go` has started."""
        self.calls.append("start runtime")
        runtime = self._lives.popleft() if len(self._lives) > 1 else self._lives[0]
        self._task = self.loop.start(self._play(runtime, FakeRuntime(self, self.servers[-1].api)))

    def throttle(self, on: bool) -> None:  # noqa: FBT001 - the protocol's signature
        """Recorded."""
        self.calls.append("throttle on" if on else "throttle off")

    def flush_log(self) -> None:
        """What lies in the pipe goes to the log."""
        self.calls.append("flush")
        self._read()

    def figures(self, *, memory: bool = True) -> Figures:
        """What the scripted runtime has used; the memory figure is an old one where it was not asked for."""
        if memory:
            self._memory_told = self.now.memory_peak_bytes
        return replace(self.now, memory_peak_bytes=self._memory_told)

    def signal(self, number: int) -> bool:
        """It dies of SIGKILL, and of SIGTERM as `on_sigterm` says."""
        if self._on_exit is None:
            return False
        self.calls.append(f"signal {number}")
        if number == signal.SIGKILL:
            self.die(Exit(signal=number))
        elif self.on_sigterm is not None:
            self.on_sigterm()
        return True

    @property
    def freeze_after_s(self) -> float:
        """As where the control group is ours."""
        return FREEZE_AFTER_S

    def connect(self, port: int) -> socket.socket:
        """Nobody listens."""
        raise ConnectionRefusedError(port)

    def freeze(self) -> bool:
        """Nothing of it runs until `thaw`."""
        self.calls.append("freeze")
        if self._on_exit is None:
            return False
        self.frozen = True
        return True

    def thaw(self) -> None:
        """It runs again."""
        self.calls.append("thaw")
        self.frozen = False

    def kill(self) -> None:
        """End the runtime without a word."""
        self.calls.append("kill")
        self._stop()

    def reset(self) -> None:
        """End it and be as new."""
        self.calls.append("reset")
        self._stop()
        self.now = self._fresh

    def close(self) -> None:
        """Recorded each time."""
        self.calls.append("close")
        self._stop()

    def say(self, piece: bytes) -> None:
        """A background thread of the runtime writes while it waits for an event, and that is read at once."""
        self.unread.append(piece)
        self._read()

    async def linger(self) -> None:
        """Be busy until `go_on`."""
        self._lingering = self.loop.create_future()
        await self._lingering

    def go_on(self) -> None:
        """That is done."""
        if self._lingering is not None:
            self._lingering.set_result(None)
            self.loop.drain()

    def die(self, exit_: Exit) -> None:
        """The process ends by itself while it waits for an event."""
        self._cancel()
        self.tell(exit_)

    async def _play(self, runtime: Runtime, hand: FakeRuntime) -> None:
        try:
            await runtime(hand)
        except RuntimeEnded as end:
            self.tell(end.exit)

    def tell(self, exit_: Exit) -> None:
        """The end comes after all output."""
        self._read()
        if self._on_exit is not None:
            self._on_exit(exit_)

    def _read(self) -> None:
        unread, self.unread = self.unread, []
        for piece in unread:
            if self._on_log is not None:
                self._on_log(piece)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self.loop.drain()

    def _stop(self) -> None:
        """Nobody hears what was not read before."""
        self.frozen = False
        for task in self._tasks:
            task.cancel()
        self._cancel()
        self.loop.drain()
        self.unread.clear()
        self._on_log = self._on_exit = None


class FakeBackend:
    """Makes `FakeSandbox`es that live the given lives; `refusal` is raised instead once it is set."""

    def __init__(
        self,
        *lives: Runtime,
        clock: FakeClock | None = None,
        figures: Figures | None = None,
        name: Literal["docker", "process"] = "docker",
        peer: str | None = None,
    ) -> None:
        self.sandboxes: list[FakeSandbox] = []
        self.closed = 0
        self.refusal: BaseException | None = None
        self._lives = lives or (echo,)
        self._clock = clock or FakeClock()
        self._figures = figures or Figures()
        self._name = name
        self._peer = peer

    @property
    def name(self) -> Literal["docker", "process"]:
        """As given."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """Everything by the kernel."""
        return capabilities()

    def prepare(self, spec: SandboxSpec) -> FakeSandbox:
        """The next sandbox: `fake-0`, `fake-1` and so on."""
        if self.refusal is not None:
            raise self.refusal
        made = FakeSandbox(
            spec,
            self._lives,
            self._clock,
            figures=self._figures,
            identity=f"fake-{len(self.sandboxes)}",
            peer=self._peer,
        )
        self.sandboxes.append(made)
        return made

    def close(self) -> None:
        """Counted."""
        self.closed += 1


class FakeServer:
    """Stands in for `RuntimeServer`: the scripted runtime of the sandbox whose listener it got is its only client.

    Waiting takes no time: with nothing to be heard, the clock moves on to the limit.
    """

    def __init__(self, listener: socket.socket, *, peer: str | None = None) -> None:
        if not isinstance(listener, FakeListener):
            raise TypeError(listener)
        self._heard: deque[Heard | Exit] = deque()
        self._sandbox = listener.sandbox
        self.api = RuntimeApi(self._heard.append, peer=peer)
        self.closed = 0
        self.trouble: Exception | None = None
        self._sandbox.servers.append(self)

    def hear(self, what: Exit) -> None:
        """The sandbox tells of an end."""
        if not self.closed:
            self._heard.append(what)

    def wait(self, limit: float) -> Heard | Exit | None:
        """Let the runtime run as far as it can."""
        self._sandbox.loop.drain()
        if self._heard:
            return self._heard.popleft()
        clock = self._sandbox.clock
        clock.now = max(clock.now, limit)
        return None

    def close(self) -> None:
        """Hang up, as the server does."""
        self.closed += 1
        self.api.hang_up()
        self._sandbox.loop.hang_up()
        if self.trouble is not None:
            raise self.trouble
