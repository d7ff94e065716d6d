"""The CPythons of this machine and, for each, the folder that holds AWS's own runtime client."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from emulator import cache
from emulator.errors import BackendError, ConfigurationError

# What awslambdaric needs at run time; fixed as a set because `/var/runtime` must hold these and nothing else.
_DISTRIBUTIONS = ("awslambdaric", "simplejson", "snapshot-restore-py")
# What of ours goes beside them: see there.
_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
# Part of every cache folder's name: raise it when what goes into the folder changes, `bootstrap.py` too.
_RECIPE = 2
# Site packages are not needed to say who one is, and reading them would cost more than the rest of the start.
_WHO_ARE_YOU = """
import json, os, platform, sys
print(json.dumps({
    "implementation": platform.python_implementation(), "abiflags": sys.abiflags, "version": sys.version_info[:3],
    "executables": [getattr(sys, "_base_executable", None), sys.executable],
    "prefix": sys.base_prefix, "stdlib": os.path.dirname(os.__file__)}))
"""
_QUERY_TIMEOUT_S = 20
_PIP_TIMEOUT_S = 300
# Where installers put their Pythons: folders below the home directory, then fixed ones.
_HOME_FOLDERS = (
    ".pyenv/versions/*/bin",
    ".local/share/uv/python/*/bin",
    ".local/share/mise/installs/python/*/bin",
)
_FIXED_FOLDERS = (
    "usr/local/bin",
    "usr/bin",
    "opt/homebrew/bin",
    "opt/homebrew/opt/python@3.*/bin",
    "Library/Frameworks/Python.framework/Versions/3.*/bin",
    "opt/hostedtoolcache/Python/*/*/bin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A CPython with the default ABI; `executable` is the real file, not a link, a shim or a virtual environment's."""

    executable: Path
    version: tuple[int, int, int]
    prefix: Path
    stdlib: Path

    @property
    def python(self) -> str:
        """`X.Y`, as in `Runtime: pythonX.Y` and in `lib/pythonX.Y`."""
        return f"{self.version[0]}.{self.version[1]}"


def python_version(runtime: str) -> tuple[int, int]:
    """`python3.12` -> (3, 12); `ConfigurationError` for every runtime that is not Python 3."""
    match = re.fullmatch(r"python3\.(\d{1,2})", runtime)
    if match is None:
        message = f"Runtime {runtime!r} cannot be emulated: only those of Python 3 and OS-only ones can"
        hint = "use a Runtime such as python3.12, or provided.al2023 with a bootstrap"
        raise ConfigurationError(message, hint=hint, about="Runtime")
    return 3, int(match[1])


def find(runtime: str) -> Interpreter:
    """The CPython for a Lambda runtime: the emulator's own where it matches (free), else the first found (20 ms).

    Raises `BackendError`, which lists every Python that was found, where none matches.
    """
    wanted = python_version(runtime)
    own = _own()
    if own is not None and own.version[:2] == wanted:
        return own
    for candidate in _candidates(f"python{wanted[0]}.{wanted[1]}"):
        found = _query(candidate)
        if found is not None and found.version[:2] == wanted:
            return found
    raise _not_found(runtime, own)


def is_own(interpreter: Interpreter) -> bool:
    """Whether it is the emulator's own, which is found without a search."""
    return interpreter == _own()


def runtime_client(interpreter: Interpreter) -> Path:
    """A folder of AWS's runtime client, compiled for this interpreter's X.Y and world-readable; made once and kept.

    The emulator's own X.Y is copied from the emulator's environment; another is fetched by pip, in the same versions.
    """
    versions = client_versions()
    _refuse_unsupported(interpreter, versions["awslambdaric"])
    folder = cache.needed_folder() / "runtime-client" / _client_key(interpreter, versions)
    if (folder / "awslambdaric" / "__main__.py").is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as making:
            staging = Path(making) / "client"
            staging.mkdir()
            _fill(staging, interpreter, versions, folder)
            _open_to_all(staging)
            try:
                staging.rename(folder)
            except OSError:
                # Another process was first: what it put there is the same.
                if not folder.is_dir():
                    raise
    except OSError as error:
        message = f"AWS's runtime client could not be put into {folder}: {error.strerror or error}"
        hint = "free some space, or point XDG_CACHE_HOME at a folder that you may write"
        raise BackendError(message, hint=hint) from error
    return folder


def client_versions() -> dict[str, str]:
    """Distribution to version, as installed beside the emulator; every sandbox but AWS's own image gets these."""
    try:
        return {name: metadata.version(name) for name in _DISTRIBUTIONS}
    except metadata.PackageNotFoundError as error:
        raise _broken_environment(str(error.name)) from error


# ---- finding ---------------------------------------------------------------------------------------------------------


def _own() -> Interpreter | None:
    """The interpreter below the emulator's own environment; None where its ABI is not the one of Lambda's wheels."""
    if sys.implementation.name != "cpython" or sys.abiflags:
        return None
    base: str | None = getattr(sys, "_base_executable", None)
    return Interpreter(
        executable=_first_real([base, sys.executable]),
        version=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        prefix=Path(sys.base_prefix),
        stdlib=Path(os.__file__).parent,
    )


def _first_real(executables: Sequence[str | None]) -> Path:
    paths = [Path(executable) for executable in executables if executable]
    return next((path for path in paths if path.is_file()), paths[-1]).resolve()


def _query(candidate: Path) -> Interpreter | None:
    """Ask an executable who it is; None where it does not answer or is no CPython with the default ABI."""
    try:
        answer = subprocess.run(
            [candidate, "-I", "-S", "-c", _WHO_ARE_YOU],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_QUERY_TIMEOUT_S,
            check=True,
        )
        told = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if told["implementation"] != "CPython" or told["abiflags"]:
        return None
    major, minor, micro = told["version"]
    return Interpreter(
        executable=_first_real(told["executables"]),
        version=(major, minor, micro),
        prefix=Path(told["prefix"]),
        stdlib=Path(told["stdlib"]),
    )


def _candidates(name: str) -> Iterator[Path]:
    """Distinct executables of this name (a glob), in the order in which they should be tried."""
    seen: set[Path] = set()
    for folder in _folders():
        for path in _found(folder, name):
            if not re.fullmatch(r"python3\.\d+", path.name):
                continue
            real = path.resolve()
            if real not in seen and _is_binary(real):
                seen.add(real)
                yield path


def _folders(root: Path = Path("/")) -> Iterator[Path]:
    entries = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    for entry in entries:
        # A shim is a script that picks a version by rules of its own; the versions themselves lie beside its folder.
        if entry.name == "shims":
            yield from _found(entry.parent, "versions/*/bin")
        else:
            yield entry
    home = cache.home()
    places = ((root, _FIXED_FOLDERS),) if home is None else ((home, _HOME_FOLDERS), (root, _FIXED_FOLDERS))
    for base, patterns in places:
        for pattern in patterns:
            yield from _found(base, pattern)


def _found(folder: Path, pattern: str) -> list[Path]:
    """What matches; nothing where a folder on the way is not open to us, as on a PATH that came from root."""
    try:
        return sorted(folder.glob(pattern), key=_newest_first)
    except PermissionError:
        return []


def _newest_first(path: Path) -> list[tuple[int, str]]:
    """Sort key: 3.12.10 before 3.12.9, and letters in their usual order."""
    return [(-int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", str(path))]


def _is_binary(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return os.access(path, os.X_OK) and file.read(2) != b"#!"
    except OSError:
        return False


def _not_found(runtime: str, own: Interpreter | None) -> BackendError:
    asked = (_query(path) for path in _candidates("python3.*"))
    found = {it.executable: it for it in (own, *asked) if it is not None}
    ordered = sorted(found.values(), key=lambda it: (it.version, it.executable), reverse=True)
    listed = "".join(f"\n  {'.'.join(map(str, it.version))}  {it.executable}" for it in ordered)
    python = runtime.removeprefix("python")
    floor = _oldest_supported()
    hints = []
    if python_version(runtime) >= floor:
        hints.append(f"install it, for example with `uv python install {python}` or `pyenv install {python}`")
    usable = sorted({it.version[:2] for it in ordered if it.version[:2] >= floor}, reverse=True)
    if usable:
        hints.append("set Runtime to " + " or ".join(f"python{major}.{minor}" for major, minor in usable))
    message = f"no CPython {python} on this machine for Runtime {runtime}; found:{listed or ' none'}"
    return BackendError(
        message, hint="; or ".join(hints) or f"install Python {floor[0]}.{floor[1]} or newer", about="Runtime"
    )


# ---- the runtime client ----------------------------------------------------------------------------------------------


def _broken_environment(name: str) -> BackendError:
    return BackendError(
        f"{name}, a part of AWS's runtime client, is not properly installed beside the emulator",
        hint=f"reinstall it: {sys.executable} -m pip install --force-reinstall {name}",
    )


def _oldest_supported() -> tuple[int, int]:
    """The oldest Python that the installed awslambdaric says it runs on; (3, 0) where it does not say."""
    try:
        says = metadata.metadata("awslambdaric").get_all("Requires-Python") or [""]
    except metadata.PackageNotFoundError as error:
        raise _broken_environment("awslambdaric") from error
    match = re.search(r">=\s*(\d+)\.(\d+)", says[0])
    return (int(match[1]), int(match[2])) if match else (3, 0)


def _refuse_unsupported(interpreter: Interpreter, version: str) -> None:
    floor = _oldest_supported()
    if interpreter.version[:2] < floor:
        oldest = f"{floor[0]}.{floor[1]}"
        message = f"AWS's runtime client awslambdaric {version} has no wheel for Python {interpreter.python}"
        hint = f"it needs Python {oldest} or newer: set Runtime to python{oldest} or later"
        raise BackendError(message, hint=hint, about="Runtime")


def _client_key(interpreter: Interpreter, versions: dict[str, str]) -> str:
    """`4.2.2-cp311-1f2e3d4c`: the digest tells apart companions' versions, machines and recipes."""
    major, minor, _ = interpreter.version
    described = json.dumps([_RECIPE, versions, sys.platform, platform.machine()], sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()[:8]
    return f"{versions['awslambdaric']}-cp{major}{minor}-{digest}"


def _fill(staging: Path, interpreter: Interpreter, versions: dict[str, str], folder: Path) -> None:
    own = _own()
    if own is not None and own.version[:2] == interpreter.version[:2]:
        for name in _DISTRIBUTIONS:
            _copy_distribution(name, staging)
    else:
        _fetch(staging, interpreter, versions, folder)
    shutil.copyfile(_BOOTSTRAP, staging / _BOOTSTRAP.name)
    compiling = ["-I", "-S", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
    places = ["-s", str(staging), "-p", str(folder), str(staging)]
    # A file that does not compile is left to the interpreter, which says so at import, as on Lambda.
    subprocess.run([interpreter.executable, *compiling, *places], check=False, stdin=subprocess.DEVNULL)


def _copy_distribution(name: str, target: Path) -> None:
    distribution = metadata.distribution(name)
    if distribution.files is None:
        raise _broken_environment(name)
    for entry in distribution.files:
        if not _belongs(entry.parts):
            continue
        copy = target / entry
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(distribution.locate_file(entry)), copy)


def _belongs(parts: Sequence[str]) -> bool:
    """Whether a file of a distribution is wanted: no metadata, scripts, bytecode (made anew) or tests."""
    return parts[0] not in {"..", "bin"} and not any(
        part in {"__pycache__", "tests"} or part.endswith(".dist-info") for part in parts
    )


def _fetch(staging: Path, interpreter: Interpreter, versions: dict[str, str], folder: Path) -> None:
    """Fill the folder with the target interpreter's pip, or with the emulator's where that has none (Debian's)."""
    pins = [f"{name}=={version}" for name, version in versions.items()]
    install = ["-m", "pip", "install", "--no-deps", "--only-binary", ":all:"]
    theirs = [str(interpreter.executable), *install]
    ours = [sys.executable, *install, "--python-version", interpreter.python]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--retries", "1"]
    complaints = []
    for command in (theirs, ours):
        complaint = _run_pip([*command, *quiet, "--target", str(staging), *pins])
        if complaint is None:
            break
        complaints.append(complaint)
    else:
        message = f"AWS's runtime client for Python {interpreter.python} could not be fetched: {'; '.join(complaints)}"
        by_hand = shlex.join([*theirs, "--target", str(folder), *pins])
        raise BackendError(message, hint=f"run this where a package index can be reached: {by_hand}")
    for path in sorted(staging.rglob("*"), reverse=True):
        if not _belongs(path.relative_to(staging).parts):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _run_pip(command: list[str]) -> str | None:
    """None when pip was content, else the last thing that it said."""
    try:
        pip = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"pip was not done within {_PIP_TIMEOUT_S} s"
    if pip.returncode == 0:
        return None
    return pip.stderr.strip().rpartition("\n")[2] or f"pip ended with status {pip.returncode}"


def _open_to_all(folder: Path) -> None:
    """Readable by every user whatever the umask: the runtime may run as another user than the emulator."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
