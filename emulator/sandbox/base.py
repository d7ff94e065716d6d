"""The seam between an execution environment and what isolates it. Two implementations: `docker` and `process`.

A sandbox is made *ready* first (everything in place, the runtime not started) and begins to run at `go`, so that the
clock of Init Duration starts at one known instant and environments can be made ready ahead of need. When the runtime
process ends, the sandbox still answers `figures()` until it is closed or reset.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

FREEZE_AFTER_S: Final = 0.01
"""Where freezing takes a tenth of a millisecond: later than the next of back-to-back calls, sooner than a person."""

OS_ONLY_RUNTIMES: Final = frozenset({"provided.al2023", "provided.al2"})
"""Runtimes that bring an operating system and no language ("Lambda runtimes", AWS Lambda Developer Guide, 2026)."""
WRAPPER_VARIABLE: Final = "AWS_LAMBDA_EXEC_WRAPPER"
"""Names the script that a managed runtime is started through ("Modifying the runtime environment", guide, 2026-07)."""
EXTENSIONS_FOLDER: Final = "/opt/extensions"
CONNECT_S: Final = 1.0
"""How long a connection into a sandbox may take."""

Enforcement = Literal["kernel", "watched", "none"]
Ending = Literal["remove", "leave", "keep"]
"""What becomes of a closed sandbox: it is gone when `close` returns; or its removal is under way then, for a process
that ends itself; or its corpse is kept for a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """How each of Lambda's limits is held: by the kernel, by a watcher that may be late, or not at all."""

    memory: Enforcement
    cpu: Enforcement
    tmp: Enforcement
    read_only_root: Enforcement
    network: Enforcement
    processes: Enforcement
    open_files: Enforcement
    user: Enforcement
    shared_memory: Enforcement
    freeze: Enforcement
    """Nothing of a function runs between its invocations."""

    def as_dict(self) -> dict[str, Enforcement]:
        """Limit to enforcement, in the order of the fields."""
        return asdict(self)

    def not_enforced(self) -> tuple[str, ...]:
        """The limits that this backend lets pass."""
        return tuple(name for name, how in asdict(self).items() if how == "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """What to start; memory and /tmp in Lambda's MB, `cpu_share` in vCPUs, `environment` complete and final.

    `environment` carries everything but `AWS_LAMBDA_RUNTIME_API`, which the sandbox knows. With an `image` there is
    neither handler, runtime, code nor layer; `entry_point`, `command` and `working_directory` are empty for its own.
    """

    function_name: str
    handler: str
    runtime: str
    code: Path
    layers: tuple[Path, ...]
    memory_mb: int
    cpu_share: float
    tmp_mb: int
    environment: Mapping[str, str]
    architecture: str = "x86_64"
    image: str | None = None
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = ""
    extensions: tuple[str, ...] = ()
    """The files of `/opt/extensions` that the layers make; what an image has is for the backend to find."""

    @property
    def os_only(self) -> bool:
        """Whether the package brings its own runtime."""
        return self.runtime in OS_ONLY_RUNTIMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The kernel's counters for one life of a sandbox, all since `go`; None where it does not tell.

    `memory_peak_bytes` leaves out page cache that the kernel could take back (see `sandbox.cgroup_texts`) and is never
    more than the memory size. `tmp_bytes` is what lies in `/tmp` now, where that is a disk of the sandbox's own.
    """

    memory_peak_bytes: int | None = None
    cpu_seconds: float | None = None
    throttled_seconds: float | None = None
    oom_kills: int | None = None
    tmp_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the runtime process ended: `status` for exit(n), `signal` when one killed it; `out_of_memory` is proven.

    `lost` says why the sandbox itself went away, which is not the function's doing; `invalid_entrypoint` why there
    never was a process, in Lambda's words. `extension` names the external extension that it was instead of the runtime,
    `error_type` what Lambda calls that, `said` the extension's own words.
    """

    status: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    lost: str | None = None
    invalid_entrypoint: str | None = None
    extension: str | None = None
    error_type: str | None = None
    said: str | None = None


CLOSED: Final = "it was closed"
"""Why a sandbox is lost that we have ended ourselves under an invocation, as at Ctrl-C."""


class Sandbox(Protocol):
    """One isolated place for one runtime process. Methods may block for milliseconds; none is called twice at once."""

    @property
    def identity(self) -> str:
        """What the user would look for: a container id or a process id."""

    @property
    def extensions(self) -> tuple[str, ...]:
        """The files of `/opt/extensions`, in the order of their names: external extensions."""

    @property
    def listener(self) -> socket.socket:
        """A listening TCP socket for the Runtime API; only this sandbox can reach it, or `peer` tells it apart."""

    @property
    def peer(self) -> str | None:
        """The one address that may call the Runtime API where others could reach the socket too."""

    def go(
        self,
        on_log: Callable[[bytes], None],
        on_exit: Callable[[Exit], None],
        on_extension_log: Callable[[bytes], None] | None = None,
    ) -> None:
        """Start the runtime, CPU unthrottled. The callbacks come on threads of the sandbox's choosing.

        What external extensions write goes to `on_extension_log`, or to `on_log` where there is none.

        `on_exit` comes exactly once for each `go`, after the last `on_log`, unless the sandbox is closed first; with
        external extensions also once for each that ends. They are all that this starts then.
        """

    def connect(self, port: int) -> socket.socket:
        """A connection to a port on which something in the sandbox listens; OSError where nothing does."""

    def start_runtime(self) -> None:
        """Start the runtime, where `go` has started external extensions alone; they have registered."""

    def throttle(self, on: bool) -> None:  # noqa: FBT001 - the two states are the whole meaning
        """Apply the CPU share of the memory size, or lift it as Lambda does in the Init phase."""

    def flush_log(self) -> None:
        """Return once everything the runtime had written before this call has gone to `on_log`."""

    def figures(self, *, memory: bool = True) -> Figures:
        """Read the kernel's counters; without `memory` its figure may be that of an earlier call, which is quicker."""

    @property
    def freeze_after_s(self) -> float:
        """Seconds of idleness after which `freeze` is worth what it and `thaw` cost."""

    def freeze(self) -> bool:
        """Stop every process where it stands, as Lambda does between invocations; False where there is none to stop.

        The runtime must not owe an answer. `figures`, `kill`, `reset` and `close` work as before.
        """

    def thaw(self) -> None:
        """Let everything run on; whoever died meanwhile is told of by `on_exit`."""

    def signal(self, number: int) -> bool:
        """Send a signal to the runtime's process alone; False where it has ended, or is out of reach."""

    def kill(self) -> None:
        """Kill every process at once; `figures()` goes on answering and no `on_exit` comes for this death."""

    def reset(self) -> None:
        """Kill every process and be ready again, `/tmp` kept, as Lambda does after a crash or a timeout.

        The listener is a new one afterwards.
        """

    def close(self) -> None:
        """Kill every process and remove everything; may be called more than once."""


class Backend(Protocol):
    """A way to make sandboxes; one instance serves many."""

    @property
    def name(self) -> Literal["docker", "process"]:
        """As `--backend` names it."""

    @property
    def capabilities(self) -> Capabilities:
        """What this backend truly enforces on this machine."""

    def prepare(self, spec: SandboxSpec) -> Sandbox:
        """Make a sandbox ready; raises `BackendError` where that cannot be done."""

    def close(self) -> None:
        """Remove everything this backend still holds; may be called more than once."""
