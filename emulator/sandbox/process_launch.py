"""What a child process is started with: Lambda's Python, paths and environment, as far as the host's files allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from emulator.sandbox.base import SandboxSpec
from emulator.sandbox.interpreters import Interpreter
from emulator.sandbox.sdk import sdk_entries

SCRATCH = "tmp"
"""The function's TMPDIR, in the sandbox's folder."""
_SEARCH_PATHS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
_ROOTS = ("LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR")
# In Lambda's LD_LIBRARY_PATH (see `emulator.variables`) these are Amazon Linux's. The host's loader finds its own by
# itself, and naming them would put them before what a wheel has brought along.
_LOADER_FOLDERS = frozenset({"/lib64", "/usr/lib64", "/var/lang/lib"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command and its whole environment but for `AWS_LAMBDA_RUNTIME_API`."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    extensions: tuple[Path, ...] = ()
    """The executables to start before it."""


def python_launch(spec: SandboxSpec, folder: Path, interpreter: Interpreter, client: Path) -> Launch:
    """AWS's runtime client on a virtual environment of its own in `folder`, which also gets the function's TMPDIR.

    The environment keeps the host's site packages away, as `-S` would, but leaves what `site` brings: `exit`, say.
    `-B` because Lambda's `/var/task` is read-only: no bytecode is kept from one cold start to the next.
    """
    home = folder / "python"
    python = home / "bin" / f"python{interpreter.python}"
    if not python.exists():
        (home / "bin").mkdir(parents=True)
        (home / "pyvenv.cfg").write_text(
            f"home = {interpreter.executable.parent}\ninclude-system-site-packages = false\n", encoding="utf-8"
        )
        python.symlink_to(interpreter.executable)
        (python.parent / "python3").symlink_to(python.name)
        (python.parent / "python").symlink_to(python.name)
        site = home / "lib" / f"python{interpreter.python}" / "site-packages"
        site.mkdir(parents=True)
        for name, path in sdk_entries().items():
            (site / name).symlink_to(path)
    scratch = folder / SCRATCH
    scratch.mkdir(exist_ok=True)
    environment = host_environment(spec, runtime=client, language=home)
    return Launch(
        argv=(str(python), "-B", "-m", "awslambdaric", spec.handler),
        environment={"TMPDIR": str(scratch), **environment},
        extensions=tuple(_extension(name, spec.layers) for name in spec.extensions),
    )


def _extension(name: str, layers: tuple[Path, ...]) -> Path:
    """Where `/opt/extensions/NAME` lies: the last layer that has it wins."""
    found = [path for layer in layers if (path := layer.absolute() / "extensions" / name).exists()]
    return found[-1]


def host_environment(spec: SandboxSpec, *, runtime: Path, language: Path) -> dict[str, str]:
    """The function's environment with Lambda's folders replaced by the host's, in search paths and Lambda's own roots.

    Other variables keep their values, also where they name a path below `/var/task` or `/opt`.
    """
    folders = {
        PurePosixPath("/var/task"): (spec.code.absolute(),),
        # Lambda unpacks layers over each other into /opt: the last one wins.
        PurePosixPath("/opt"): tuple(layer.absolute() for layer in reversed(spec.layers)),
        PurePosixPath("/var/runtime"): (runtime,),
        PurePosixPath("/var/lang"): (language,),
    }
    environment = dict(spec.environment)
    for name in (*_SEARCH_PATHS, *_ROOTS):
        if name not in environment:
            continue
        entries = [entry for entry in environment[name].split(":") if entry]
        if name == "LD_LIBRARY_PATH":
            entries = [entry for entry in entries if entry.rstrip("/") not in _LOADER_FOLDERS]
        found = [host for entry in entries for host in _on_host(entry, folders)]
        environment[name] = ":".join(dict.fromkeys(found))
        if not found:
            del environment[name]
    return environment


def _on_host(entry: str, folders: Mapping[PurePosixPath, tuple[Path, ...]]) -> Iterator[str]:
    path = PurePosixPath(entry)
    for root, hosts in folders.items():
        if path.is_relative_to(root):
            yield from (str(host / path.relative_to(root)) for host in hosts)
            return
    yield entry
