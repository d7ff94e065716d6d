"""What a child process is started with: the runtime's program, paths and environment, as far as the host allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from emulator.sandbox.base import WRAPPER_VARIABLE, Exit, SandboxSpec
from emulator.sandbox.entrypoint import find_bootstrap, wrapped
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
    """A command and its whole environment but for `AWS_LAMBDA_RUNTIME_API`.

    `refusal` says in Lambda's words why the command could not be started, which is then not tried; and
    `refused_extension` why one of the `extensions`, the programs to start before it, could not.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    refusal: Exit | None = None
    extensions: tuple[Path, ...] = ()
    refused_extension: Exit | None = None


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
    layers = [str(layer.absolute()) for layer in reversed(spec.layers)]
    argv = (str(python), "-B", str(client / "bootstrap.py"), *layers)
    environment = host_environment(spec, runtime=client, language=home)
    if WRAPPER_VARIABLE in environment:
        argv = wrapped(argv, environment[WRAPPER_VARIABLE])
    return with_extensions(Launch(argv=argv, environment=_scratch(folder) | environment), spec)


def custom_launch(spec: SandboxSpec, folder: Path) -> Launch:
    """The bootstrap that the package or a layer brings; `/var/runtime` is empty, as in OS-only runtimes' images."""
    nothing = folder / "runtime"
    nothing.mkdir(exist_ok=True)
    bootstrap = find_bootstrap(spec)
    environment = host_environment(spec, runtime=nothing, language=nothing)
    launch = Launch(
        argv=(str(bootstrap.here.absolute()),),
        environment=_scratch(folder) | environment,
        refusal=None if bootstrap.refusal is None else Exit(invalid_entrypoint=bootstrap.refusal),
    )
    return with_extensions(launch, spec)


def _scratch(folder: Path) -> dict[str, str]:
    scratch = folder / SCRATCH
    scratch.mkdir(exist_ok=True)
    return {"TMPDIR": str(scratch)}


def with_extensions(launch: Launch, spec: SandboxSpec) -> Launch:
    """The same with the external extensions of the layers; the last layer that has a file of that name wins."""
    if not spec.extensions:
        return launch
    from emulator.sandbox.extension_scripts import refused  # noqa: PLC0415 - most functions have no extension

    places = [[layer.absolute() / "extensions" / name for layer in reversed(spec.layers)] for name in spec.extensions]
    paths = tuple(next(path for path in places_of if path.exists()) for places_of in places)
    return replace(launch, extensions=paths, refused_extension=refused(spec))


def host_environment(spec: SandboxSpec, *, runtime: Path, language: Path) -> dict[str, str]:
    """The function's environment with Lambda's folders replaced by the host's where Lambda means a folder or a script.

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
    if WRAPPER_VARIABLE in environment:  # one file, so the first of the folders that has it
        places = list(_on_host(environment[WRAPPER_VARIABLE], folders))
        there = (place for place in places if Path(place).exists())
        environment[WRAPPER_VARIABLE] = next(there, environment[WRAPPER_VARIABLE])
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
