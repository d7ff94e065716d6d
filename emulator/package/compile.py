"""Bytecode that no timestamp makes stale, by the interpreter that the function runs on."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from emulator.config import FunctionConfig
from emulator.errors import BackendError
from emulator.sandbox import interpreters

# What a .pyc holds depends a little on what its process has compiled before: a fixed number of shares, each in its own
# process and in order, makes the same bytes on every machine.
_SHARES: Final = 4
_COMPILE: Final = """
import json, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
failed = []
for source, named in json.load(sys.stdin):
    try:
        py_compile.compile(source, dfile=named, doraise=True, invalidation_mode=mode)
    except Exception:
        failed.append(named)
print(json.dumps(failed))
"""


def compile_all(config: FunctionConfig, folder: Path, mounted: str) -> tuple[str, ...]:
    """Compile every .py below the folder, which is `mounted` there on Lambda; returns those that do not compile.

    Raises BackendError where this machine has not the function's Python, or that one fails.
    """
    interpreter = interpreters.find(config.runtime)
    sources = sorted(path for path in folder.rglob("*.py") if path.is_file() and not path.is_symlink())
    jobs = [(os.fspath(path), f"{mounted}/{path.relative_to(folder).as_posix()}") for path in sources]

    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(share: list[tuple[str, str]]) -> list[str]:
        done = subprocess.run(
            [interpreter.executable, "-s", "-S", "-W", "ignore", "-c", _COMPILE],
            env={**ours, "PYTHONHASHSEED": "0"},
            cwd=interpreter.prefix,  # what lies here by the name of a standard module is not imported there
            input=json.dumps(share),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2] or f"it ended with status {done.returncode}"
            raise BackendError(f"{interpreter.executable} could not compile: {last}", hint="Is that Python whole?")
        failed: list[str] = json.loads(done.stdout)
        return failed

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return tuple(
            sorted(name for found in pool.map(run, (jobs[n::_SHARES] for n in range(_SHARES))) for name in found)
        )
