"""Wheels for the function's platform, by uv where there is one, else by pip; nothing is ever built from source.

uv settles a requirement's conditions (`python_version < "3.12"`) for the Python that is asked for. pip settles them for
the Python that it runs on, which is only right where both are the same: elsewhere, pip is not taken.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from emulator.config import Architecture, FunctionConfig
from emulator.errors import ConfigurationError
from emulator.package.runtimes import glibc, minor

_MACHINES: Final[Mapping[Architecture, str]] = {"x86_64": "x86_64", "arm64": "aarch64"}
_TIMEOUT_S: Final = 1800
_TAIL: Final = 12
# What an installer's words mean; the first that matches. Of the groups, the first that is there is the requirement.
_NO_WHEEL: Final = re.compile(
    r"No matching distribution found for (\S+)|no wheels? (?:with|for|that)|no usable wheels|not find a version that|"
    r"No solution found|building (?:from )?source|no-build|only-binary|has no (?:usable )?wheels",
    re.IGNORECASE,
)
_UNREADABLE: Final = re.compile(
    r"Couldn't parse requirement|Invalid requirement|Unexpected|Expected|no such option", re.IGNORECASE
)
_OFFLINE: Final = re.compile(
    r"connect|resolve host|timed? ?out|dns|certificate|proxy|Failed to fetch|network", re.IGNORECASE
)
_FULL: Final = re.compile(r"no space left|disk quota", re.IGNORECASE)
# What differs from one installation to the next, or names this machine.
_OF_THIS_MACHINE: Final = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
_LOCK: Final = ".lock"


def has_requirements(path: Path) -> bool:
    """Whether there is a requirements file that asks for anything."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}", hint="It is a text file in UTF-8.") from error
    lines = (line.strip() for line in text.splitlines())
    return any(line and not line.startswith("#") for line in lines)


def install(config: FunctionConfig, requirements: Path, target: Path) -> None:
    """Put what is required, and what that requires, into the target; ConfigurationError where a wheel is missing.

    Options of a requirements file hold, hashes and index among them; pip's or uv's own settings of this machine too.
    """
    version = minor(config.runtime)
    if version is None:
        message = f"{config.name}: requirements.txt is for Python, and the runtime is {config.runtime}"
        raise ConfigurationError(message, hint="Set Runtime to python3.13, for instance.")
    command, settings = _command(config, version)
    command += ["--target", os.fspath(target), "-r", os.fspath(requirements.absolute())]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
            cwd=requirements.parent,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{Path(command[0]).name} was not done within {_TIMEOUT_S} s"
        raise ConfigurationError(message, hint="Can the package index be reached?") from error
    if done.returncode:
        raise _refused(config, requirements, done.stdout)
    _tidy(target)


def _command(config: FunctionConfig, version: int) -> tuple[list[str], dict[str, str]]:
    machine, (_, libc) = _MACHINES[config.architecture], glibc(config.runtime)
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv is not None:
        # uv has no manylinux_2_26, and hardly a wheel asks for more than 2_17 and less than 2_27.
        platform = f"{machine}-manylinux_2_{34 if libc >= 34 else 17}"  # noqa: PLR2004 - the two that Lambda has
        settings = {"UV_COMPILE_BYTECODE": "0", "UV_NO_PROGRESS": "1"}
        if "PIP_INDEX_URL" in os.environ and "UV_DEFAULT_INDEX" not in os.environ:
            settings["UV_DEFAULT_INDEX"] = os.environ["PIP_INDEX_URL"]  # uv does not read pip's settings
        arguments = ["--python-version", f"3.{version}", "--python-platform", platform, "--link-mode", "copy"]
        return [
            uv,
            "pip",
            "install",
            "--quiet",
            "--only-binary",
            ":all:",
            "--python",
            sys.executable,
            *arguments,
        ], settings
    if find_spec("pip") is None or sys.version_info[:2] != (3, version) or sys.platform != "linux":
        message = f"{config.name}: uv is needed to install for {config.runtime} from here, and it is not there"
        raise ConfigurationError(message, hint="Install it: pip install uv")
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(libc, 4, -1)]
    platforms += [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    abis = [f"cp3{version}", "abi3", "none"]
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-compile", "--only-binary", ":all:", "--implementation", "cp", "--python-version", f"3.{version}"),
        *(word for platform in platforms for word in ("--platform", platform)),
        *(word for abi in abis for word in ("--abi", abi)),
    ], {}


def _refused(config: FunctionConfig, requirements: Path, output: str) -> ConfigurationError:
    lines = [line.rstrip() for line in output.strip().splitlines() if line.strip()]
    told = "\n".join(line for line in lines[-_TAIL:] if not line.lower().startswith("warning"))
    libc = ".".join(map(str, glibc(config.runtime)))
    if _FULL.search(told):
        return ConfigurationError(f"the disk is full: {told}", hint="Free some disk space; `df` shows where.")
    if _UNREADABLE.search(told) and not _NO_WHEEL.search(told):
        return ConfigurationError(
            f"{requirements} cannot be read:\n{told}", hint="One requirement a line, as pip reads it."
        )
    if _OFFLINE.search(told):
        return ConfigurationError(
            f"{requirements}: the package index cannot be reached:\n{told}", hint="See the network."
        )
    message = (
        f"{requirements}: no set of wheels fits {config.runtime} on {config.architecture} (glibc {libc}), "
        f"and nothing is built from source:\n{told}"
    )
    hint = (
        "Ask for a release that has one, or for another Runtime: python3.12 and newer have glibc 2.34, older ones 2.26."
    )
    return ConfigurationError(message, hint=hint)


def _tidy(target: Path) -> None:
    """Remove what differs from machine to machine, and what names this one: commands begin with our Python's path."""
    removed = set()
    (target / _LOCK).unlink(missing_ok=True)
    programs = target / "bin"
    for path in sorted(programs.iterdir()) if programs.is_dir() else ():
        if path.is_file() and path.read_bytes()[:2] == b"#!":
            path.unlink()
            removed.add(f"bin/{path.name}")
    if programs.is_dir() and not any(programs.iterdir()):
        programs.rmdir()
    for record in target.glob("*.dist-info/RECORD"):
        gone = removed | {f"{record.parent.name}/{name}" for name in _OF_THIS_MACHINE}
        for name in _OF_THIS_MACHINE:
            (record.parent / name).unlink(missing_ok=True)
        lines = record.read_text("utf-8").splitlines()
        kept = [line for line in lines if line.partition(",")[0].removeprefix("../../") not in gone]
        record.write_text("".join(f"{line}\n" for line in sorted(kept)), "utf-8")
