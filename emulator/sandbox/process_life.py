"""One life of a sandbox without a container: from a shell that waits for *go* to the death of the runtime it became.

The shell joins the control groups and sets the limits before it becomes the runtime, so that nothing of the runtime
escapes them and the emulator, a program with threads, need not run code between fork and exec. It is there before *go*,
so Init Duration is the runtime's own, and it ends by itself should the emulator die before that; after that a `guard`
ends what has no control group.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emulator.errors import BackendError
from emulator.limits import OPEN_FILES, RESOURCE_LIMITS
from emulator.sandbox.base import Exit, Figures
from emulator.sandbox.cgroup import DEATH_S, ControlGroup, is_doomed
from emulator.sandbox.log_pipe import LogPipe
from emulator.sandbox.process_guard import Guard
from emulator.sandbox.process_watch import Watcher, kill_family

API_VARIABLE = "AWS_LAMBDA_RUNTIME_API"

# No core files: the working directory is the user's own code. What cannot be had of the other two is no harm.
LIMIT_AND_WAIT = f"""
ulimit -c 0 && ulimit -n {OPEN_FILES} || exit 1
ulimit -l {RESOURCE_LIMITS["memlock"][0] // 1024} 2>/dev/null
ulimit -S -s {RESOURCE_LIMITS["stack"][0] // 1024} 2>/dev/null
while [ "$1" != -- ]; do echo 0 >"$1" || exit 1; shift; done
shift
echo ready
read -r go || exit 0
"""
_BECOME = 'exec "$@" </dev/null\n'
_READY = b"ready\n"
_READY_MS = 10_000
_STOLEN = "the process ended, and something else in this program has collected its exit status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Whom to tell, from `go` on."""

    on_log: Callable[[bytes], None]
    on_exit: Callable[[Exit], None]
    on_extension_log: Callable[[bytes], None]


class Life:
    """A process that waits for `go`; `group` is its own control group, `watched_limit` its bytes where none limits it.

    The kernel's figures can be read until `close`, which also removes the group. Raises `BackendError` where the
    process cannot be had.
    """

    script = LIMIT_AND_WAIT + _BECOME

    def __init__(  # noqa: PLR0913 - what holds it, one keyword each
        self,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        folder: Path,
        *,
        group: ControlGroup | None,
        watched_limit: int | None,
        guard: Guard | None = None,
    ) -> None:
        self._marker = (API_VARIABLE, environment[API_VARIABLE])
        self._group = group
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._callbacks: Callbacks | None = None
        self._silent = False
        self._dying = False
        self._dead = False
        self._log: LogPipe | None = None
        self._closed = False
        self._baseline = Figures()
        self._process, self._go_fd, self._log_fd = self._spawn(argv, environment, folder)
        self.pid = self._process.pid
        self._guard = guard if group is None else None  # which finds control groups by itself
        if self._guard is not None:
            self._guard.watch(self.pid)
        self._watcher = None if watched_limit is None else Watcher(self.pid, watched_limit)
        self._reaper = threading.Thread(target=self._reap, name="reaper", daemon=True)
        self._reaper.start()
        try:
            self._await_ready(folder)
            self._baseline = self._raw_figures()
        except BaseException:
            self.close()
            raise

    def go(self, callbacks: Callbacks) -> None:
        """Let the shell become the runtime; BackendError where it has died while it waited."""
        go_fd, self._go_fd = self._go_fd, -1
        try:
            with self._lock:
                if self._dead:
                    raise self._gone()
                os.write(go_fd, b"go\n")
                self._callbacks = callbacks
                self._log = LogPipe(self._log_fd, callbacks.on_log)
                self._log_fd = -1
                self._log.start()
        except BrokenPipeError as error:
            raise self._gone() from error
        finally:
            self._let_go(go_fd)
        if self._watcher is not None:
            self._watcher.start()

    def start_runtime(self) -> None:
        """It has started at *go*: this is for functions without extensions."""

    def _let_go(self, go_fd: int) -> None:
        """The shell has become the runtime, and reads no more."""
        os.close(go_fd)

    def _gone(self) -> BackendError:
        message = f"process {self.pid}, which waited for its invocation, is gone"
        return BackendError(message, hint="something else on this machine has killed it")

    def throttle(self, share: float | None) -> None:
        """Limit CPU time to `share` vCPUs, None for no limit; nothing happens where there is no controller for it."""
        if self._group is not None and "cpu" in self._group.folders:
            self._group.set_cpu(share)

    def flush_log(self) -> None:
        """See `LogPipe.flush`."""
        if self._log is not None:
            self._log.flush()

    def figures(self, *, memory: bool = True) -> Figures:
        """Since `go`, also after death."""
        now, before = self._raw_figures(memory=memory), self._baseline
        return Figures(
            memory_peak_bytes=now.memory_peak_bytes,
            cpu_seconds=_since(before.cpu_seconds, now.cpu_seconds),
            throttled_seconds=_since(before.throttled_seconds, now.throttled_seconds),
            oom_kills=now.oom_kills,
        )

    def signal(self, number: int) -> bool:
        """To the runtime alone; False where it has ended."""
        with self._lock:
            if self._dying:  # from here on its id may become another's
                return False
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
                return True
        return False

    def freeze(self) -> bool:
        """Stop every process of the control group, else of the process group; False where the runtime has ended."""
        return self._stop_or_go(stop=True)

    def thaw(self) -> None:
        """Let them run on; a death that was due is over, and told of, when this returns."""
        doomed = is_doomed(self.pid)
        self._stop_or_go(stop=False)
        if doomed or self._dying:  # a busy machine may be late with the news
            self._reaper.join(DEATH_S)

    def _stop_or_go(self, *, stop: bool) -> bool:
        with self._lock:
            if self._dying:
                return False
            try:
                if self._group is not None and self._group.freezable():
                    (self._group.freeze if stop else self._group.thaw)()
                else:
                    os.killpg(self.pid, signal.SIGSTOP if stop else signal.SIGCONT)
            except OSError:  # gone, which the next invocation will be told
                return False
        return True

    def kill(self) -> None:
        """End every process; `on_exit` does not come for it. The figures stay."""
        with self._lock:
            self._silent = True
        # A shell that has not joined its group yet is not killed with it; without *go* it ends by itself.
        self._close_go()
        self._kill_all()
        if threading.current_thread() is not self._reaper:
            self._reaper.join()

    def close(self) -> None:
        """Kill and let go of everything."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        if self._log_fd >= 0:
            os.close(self._log_fd)
        if self._group is not None:
            self._group.remove()

    def _close_go(self) -> None:
        go_fd, self._go_fd = self._go_fd, -1
        if go_fd >= 0:
            os.close(go_fd)

    def _spawn(
        self, argv: tuple[str, ...], environment: Mapping[str, str], folder: Path
    ) -> tuple[subprocess.Popen[bytes], int, int]:
        joins = () if self._group is None else self._group.join_files()
        go_read, go_write = os.pipe()
        log_read, log_write = os.pipe()
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", self.script, "sh", *map(str, joins), "--", *argv],
                stdin=go_read,
                stdout=log_write,
                stderr=log_write,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            os.close(go_write)
            os.close(log_read)
            if self._group is not None:
                self._group.remove()
            message = f"cannot start a process in {folder}: {error.strerror}"
            raise BackendError(message) from error
        finally:
            os.close(go_read)
            os.close(log_write)
        return process, go_write, log_read

    def _await_ready(self, folder: Path) -> None:
        said = b""
        poll = select.poll()
        poll.register(self._log_fd, select.POLLIN)
        while not said.endswith(_READY):
            if not poll.poll(_READY_MS):
                break
            piece = os.read(self._log_fd, 4096)
            if not piece:
                break
            said += piece
        else:
            return
        text = said.decode("utf-8", "replace").strip() or "it said nothing"
        message = f"a process in {folder} could not be limited: {text}"
        raise BackendError(message, hint="`preflight doctor` shows what this machine can enforce")

    def _raw_figures(self, *, memory: bool = True) -> Figures:
        with self._reading:
            figures = Figures() if self._group is None else self._group.figures(memory=memory)
        if self._watcher is None:
            return figures
        cpu = figures.cpu_seconds
        return Figures(
            memory_peak_bytes=self._watcher.memory_peak(),
            cpu_seconds=self._watcher.cpu_seconds() if cpu is None else cpu,
            throttled_seconds=figures.throttled_seconds,
        )

    def _kill_all(self) -> None:
        if self._group is None:
            kill_family(self.pid, self._marker)
        else:
            self._group.kill()

    def _reap(self) -> None:
        """Wait for the runtime's death, end what it has left behind, and tell."""
        ending: tuple[int, float] | None = None
        if hasattr(os, "waitid"):
            # Not collected yet: its id, which is its group's too, cannot become another's while the rest is killed.
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            ending = self._collect()
        with self._lock:
            self._dying = True
        if self._watcher is not None:
            self._watcher.stop()
        self._raw_figures()
        self._kill_all()
        if self._guard is not None:
            self._guard.forget(self.pid)
        ending = ending or self._collect()
        if ending is not None:
            self._process.returncode = ending[0]
            if self._watcher is not None:
                self._watcher.settle(ending[1])
        with self._lock:
            self._dead = True
            callbacks, log = self._callbacks, self._log
        if log is not None:
            log.close()
        with self._lock:
            silent = self._silent
        if callbacks is not None and not silent:
            callbacks.on_exit(Exit(lost=_STOLEN) if ending is None else self._exit(ending[0]))

    def _collect(self) -> tuple[int, float] | None:
        """Exit code as subprocess has it, and CPU seconds; None where somebody else has collected the dead process."""
        try:
            _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:
            return None
        return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime

    def _exit(self, code: int) -> Exit:
        """SIGKILL is out of memory only where the kernel counted such a kill in this group, or we did it ourselves."""
        if code >= 0:
            return Exit(status=code)
        watched = self._watcher is not None and self._watcher.exceeded
        counted = self._group is not None and bool(self._group.figures().oom_kills)
        return Exit(signal=-code, out_of_memory=code == -signal.SIGKILL and (watched or counted))


def _since(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else max(0.0, now - before)
