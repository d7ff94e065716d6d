"""Builds what the reference functions are deployed with: their dependency layer. Their models are in the repository.

    python handlers/build.py [--python INTERPRETER]

The layer goes to handlers/.build/layer, keyed by what it is made from: a second run finds it and does nothing.
Exit status 0 done, 1 failed with a message and a hint, 130 or 143 interrupted; whatever the exit, no half-made folder
is left under a final name.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

HANDLERS = Path(__file__).resolve().parent
REQUIREMENTS = HANDLERS.parent / "requirements"
LAYER = HANDLERS / ".build" / "layer"
SHARED = HANDLERS / "layer" / "python"
FUNCTIONS = {name: HANDLERS / name for name in ("sentiment", "similarity")}

MANIFEST = "build.json"
"""Lies in each folder built here, written last: its key, its number of files and their bytes."""

SPACE_NEEDED = 600_000_000
"""Bytes at the peak of a fresh build: three wheels in uv's cache, unpacked there, and the layer before its trimming."""

UNUSED = (
    ".lock", "bin", "**/tests", "**/*.pyi", "**/*.pxd", "onnxruntime/backend", "onnxruntime/capi/libonnxruntime.so.*",
    "onnxruntime/datasets", "onnxruntime/quantization", "onnxruntime/tools", "onnxruntime/transformers",
    "onnxruntime/Privacy.md", "numpy/_core/_*_tests.*.so", "numpy/_core/_simd.*.so", "numpy/_core/include",
    "numpy/_core/lib", "numpy/_pyinstaller", "numpy/conftest.py", "numpy/distutils", "numpy/doc", "numpy/f2py",
    "numpy/fft", "numpy/ma", "numpy/polynomial", "numpy/random", "numpy/testing", "numpy/typing",
)  # fmt: skip
"""Parts that no inference reads. `libonnxruntime.so` is linked into the extension; numpy imports parts when asked."""

STRIPPED = ("tokenizers/*.so", "numpy/_core/_multiarray_umath.*.so")
"""Extension modules with symbols that only a debugger reads, 3.9 MB; numpy.libs has patched ones that would break."""

LICENCES = ("*.dist-info/licenses/**/*", "*.dist-info/LICEN[CS]E*", "onnxruntime/LICENSE", "onnxruntime/Third*.txt")

CHECK = "import json, sys, app; print(json.dumps(app.handler(json.loads(sys.argv[1]), None)))"

EVENTS = {
    "sentiment": {"text": "A wonderful film."},
    "similarity": {"sentence1": "A man is playing a flute.", "sentence2": "A man is playing a bamboo flute."},
}
"""What each function is asked once it is built."""

HINTS = {
    r"no space left|disk quota": "The disk is full: free 0.6 GB, or move UV_CACHE_DIR to another.",
    r"permission denied|read-only": "Make the repository writable.",
    r"hash mismatch|not match the hash": "A download is not what the lock file promises: a proxy alters files.",
    r"no matching distribution|no solution|no wheels": "No wheel for this platform and Python: try another PYTHON.",
    r"connect|resolve|network|timed? ?out|dns|fetch|certificate|proxy": (
        "The package index cannot be reached: check the network, or name a mirror in UV_DEFAULT_INDEX (for pip: "
        "PIP_INDEX_URL). What was downloaded is kept."
    ),
}
"""What an installer's or the kernel's words mean to a person, first match wins."""


class BuildError(Exception):
    """The build cannot go on; `hint` says what the user can do."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        known = (advice for words, advice in HINTS.items() if re.search(words, message, re.IGNORECASE))
        self.hint = hint or next(known, "Please report this, with the lines above.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The Python that the layer is for; `version` as in `3.11`."""

    path: Path
    version: str

    @classmethod
    def read(cls, path: Path) -> Interpreter:
        """Ask it; our own is not asked, which saves its start."""
        if path.exists() and path.samefile(sys.executable):
            return cls(path=path, version=f"{sys.version_info.major}.{sys.version_info.minor}")
        question = "import sys; print('%d.%d' % sys.version_info[:2])"
        try:
            answer = subprocess.run([path, "-c", question], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise BuildError(f"{path} does not run as a Python", "Name one that does with --python.") from error
        return cls(path=path, version=answer.stdout.strip())


def make_display() -> Progress:
    """What is being done, on standard error; on a terminal the lines move, elsewhere `step` prints plain ones."""
    console = Console(stderr=True, highlight=False)
    columns = SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)


@contextlib.contextmanager
def step(display: Progress, what: str) -> Iterator[None]:
    """Show one step from its start to its end, with its time."""
    begin = time.monotonic()
    if display.disable:
        display.console.print(f"{what} ...", soft_wrap=True)
    task = display.add_task(what, total=1)
    yield
    display.update(task, completed=1)
    if display.disable:
        display.console.print(f"{what}: {time.monotonic() - begin:.1f} s", soft_wrap=True)


def key_of(parts: Iterable[Path | str]) -> str:
    """SHA-256 over the parts, each with its length, so that no two lists of parts give one text."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()


def layer_key(python: Interpreter) -> str:
    """What the layer depends on: its lock, the Python, the platform and this file."""
    lock = REQUIREMENTS / "layer.in", REQUIREMENTS / "layer.txt"
    return key_of([*lock, python.version, sys.platform, platform.machine(), strip_tool() or "", Path(__file__)])


def weigh(folder: Path) -> dict[str, int]:
    """Number of files below a folder and their bytes, the manifest apart."""
    sizes = [
        (Path(top) / name).lstat().st_size
        for top, _, names in os.walk(folder)
        for name in names
        if not (name == MANIFEST and Path(top) == folder)
    ]
    return {"files": len(sizes), "bytes": sum(sizes)}


def is_current(folder: Path, key: str) -> bool:
    """Whether the folder was built from `key` and has lost nothing since."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(manifest == {"key": key, **weigh(folder)})


def seal(folder: Path, key: str) -> None:
    """Make all readable for everyone, as uid 993 runs the function, and write the manifest."""
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"key": key, **weigh(folder)}) + "\n", "utf-8")
    for top, _, names in os.walk(folder):
        Path(top).chmod(0o755)
        for name in names:
            (Path(top) / name).chmod(0o644)


def publish(made: Path, final: Path) -> None:
    """Move a sealed folder to its final name; what was there goes with the workspace that `made` lies in."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        final.rename(made.with_name(f"{made.name}.old"))
    made.rename(final)


@contextlib.contextmanager
def workspace(parent: Path, display: Progress) -> Iterator[Path]:
    """A folder of our own on the file system of the final one; what a killed build left there is swept first.

    Only one build at a time is in here, so that whatever lies there is nobody's.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with (parent / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            display.console.print("waiting for another build to end ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in parent.glob("tmp-*"):
            shutil.rmtree(stale)
        folder = Path(tempfile.mkdtemp(prefix="tmp-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


async def run(command: list[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Run a tool to its end and return its output; cancelling ends the tool too."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        process_group=0,
    )
    try:
        output = (await process.communicate())[0].decode(errors="replace")
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # its workers too: they would hold the pipe that we read
            await process.wait()
    if process.returncode:
        tail = "\n".join(output.strip().splitlines()[-12:])
        raise BuildError(f"{tail}\n\n{Path(command[0]).name} {command[1]} ended with status {process.returncode}")
    return output


async def install(python: Interpreter, requirements: Iterable[Path], target: Path) -> None:
    """Wheels of a complete lock, by uv where there is one and else by the interpreter's pip."""
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    tool: list[str | Path] = [uv, "pip", "install"] if uv else [python.path, "-m", "pip", "install", "--no-compile"]
    tool += ["--link-mode", "copy", "--python", python.path] if uv else ["--disable-pip-version-check"]
    tool += ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", target]
    for lock in requirements:
        tool += ["-r", lock]
    await run(tool, {"UV_COMPILE_BYTECODE": "0"})


def direct_requirements(names: str, lock: str) -> str:
    """The lock's entries, hashes and all, for the names in an `.in` file.

    The rest of the closure (of tokenizers: a client for a model hub and its HTTP stack) is not imported at inference.
    """
    wanted = set(re.findall(r"^[\w.-]+", names, re.MULTILINE))
    entries = re.split(r"\n(?=\S)", lock)
    return "\n".join(entry for entry in entries if (re.match(r"[\w.-]+", entry) or [""])[0] in wanted) + "\n"


def collect_licences(packages: Path) -> str:
    """All licence texts of the packages, for one NOTICE: their own files are trimmed away."""
    found = sorted({path for pattern in LICENCES for path in packages.glob(pattern) if path.is_file()})
    texts = [f"{'=' * 100}\n{path.relative_to(packages)}\n\n{path.read_text('utf-8', 'replace')}" for path in found]
    return "Licences of the packages in this layer.\n\n" + "\n\n".join(texts)


def trim(packages: Path) -> None:
    """Remove what no inference reads; of the metadata, keep what names the wheel and its platform."""
    (packages / "NOTICE").write_text(collect_licences(packages), "utf-8")
    metadata = [path for path in packages.glob("*.dist-info/*") if path.name not in {"METADATA", "WHEEL"}]
    unused = [path for pattern in UNUSED for path in packages.glob(pattern)]
    for path in [*metadata, *unused, *packages.glob("onnxruntime/LICENSE"), *packages.glob("onnxruntime/Third*.txt")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def strip_tool() -> str | None:
    """GNU strip where there is one; without it the layer is 3.9 MB larger, and as good."""
    return shutil.which("strip") if sys.platform == "linux" else None


async def strip(modules: list[Path]) -> None:
    """Take the symbols out of extension modules."""
    if tool := strip_tool():
        await run([tool, "--strip-unneeded", *modules])


async def build_layer(python: Interpreter, folder: Path, key: str) -> Path:
    """Install, trim and compile; unchecked, since a copy or a zip changes times and stale code costs 0.16 s a start."""
    layer = folder / "layer"
    packages = layer / "python"
    packages.mkdir(parents=True)
    lock = folder / "layer.txt"
    lock.write_text(direct_requirements(*((REQUIREMENTS / name).read_text() for name in ("layer.in", "layer.txt"))))
    await install(python, [lock], packages)
    trim(packages)
    await strip([path for pattern in STRIPPED for path in packages.glob(pattern)])
    compiler: list[str | Path] = [python.path, "-m", "compileall", "-q", "-j", "0", "-s", layer, "-p", "/opt"]
    await run([*compiler, "--invalidation-mode", "unchecked-hash", packages])
    seal(layer, key)
    return layer


def is_plausible(name: str, answer: dict[str, object]) -> bool:
    """Whether a function answers its event as any working model would."""
    if name == "sentiment":
        return answer.get("label") == "positive"
    similarity = answer.get("similarity")
    return isinstance(similarity, float) and 0.7 < similarity < 0.97  # noqa: PLR2004 - all-MiniLM-L6-v2 gives 0.89


async def check(python: Interpreter, layer: Path) -> None:
    """One real answer of each function from exactly what would be deployed, the layers' packages and no others."""
    for name, folder in FUNCTIONS.items():
        path = os.pathsep.join(str(part) for part in (layer / "python", SHARED, folder))
        output = await run([python.path, "-S", "-B", "-c", CHECK, json.dumps(EVENTS[name])], {"PYTHONPATH": path})
        answer = json.loads(output.splitlines()[-1])
        if not is_plausible(name, answer):
            raise BuildError(f"{name} answers {answer} to {EVENTS[name]}", f"Is {folder}/model as it was committed?")


async def build(python: Interpreter, display: Progress) -> None:
    """Make the layer anew."""
    key = layer_key(python)
    with workspace(LAYER.parent, display) as here, display:
        if is_current(LAYER, key):
            return  # another build, which this one waited for, has made it
        with step(display, f"layer for Python {python.version}: download 40 MB, trim, compile"):
            layer = await build_layer(python, here, key)
        with step(display, "check: one answer of each function from what was built"):
            await check(python, layer)
        publish(layer, LAYER)


async def build_or_cancel(python: Interpreter, display: Progress) -> None:
    """As `build`, with SIGTERM ending it as cleanly as Ctrl-C does."""
    task = asyncio.ensure_future(build(python, display))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def build_if_needed(python: Interpreter, display: Progress) -> None:
    """Nothing where the layer is what its key says, else a build and a line with its figures."""
    if is_current(LAYER, layer_key(python)):
        return
    begin = time.monotonic()
    if shutil.disk_usage(HANDLERS).free < SPACE_NEEDED:
        raise BuildError(f"No space left for a build in {HANDLERS}: it takes {SPACE_NEEDED / 1e9} GB for a while")
    asyncio.run(build_or_cancel(python, display))
    seconds = time.monotonic() - begin
    display.console.print(f"built in {seconds:.1f} s: layer {weigh(LAYER)['bytes'] / 1e6:.1f} MB")


def main() -> int:
    """The command; its exit statuses are in this file's first lines."""
    parser = argparse.ArgumentParser(description="Build the layer of the reference functions.")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the layer is for this Python")
    arguments = parser.parse_args()
    try:
        build_if_needed(Interpreter.read(arguments.python), make_display())
    except (BuildError, OSError) as error:
        failure = error if isinstance(error, BuildError) else BuildError(str(error))
        print(f"\n{failure}\n\nhint: {failure.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:
        return 143
    return 0


if __name__ == "__main__":
    sys.exit(main())
