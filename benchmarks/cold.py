"""One cold invocation as a person waits for it: from starting the command until it has ended, answer checked."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bed import EVENT, FUNCTION, HANDLER, MEMORY_MB, TIMEOUT_S
from benchmarks.rows import COLD_NAME, COLD_RATIO, Row
from benchmarks.stats import median_estimate, paired_ratio
from emulator.errors import BackendError, ConfigurationError
from emulator.sandbox import owner

if TYPE_CHECKING:
    from benchmarks.bed import Bed
    from benchmarks.peers import PeerImage, Peers

_GIVE_UP_S: Final = 120
_SETTLE_S: Final = 0.3  # what the engine still does for the one is not charged to the next
_MS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One whole process; `cpu_s` is its own and its children's, not the engine's."""

    wall_s: float
    cpu_s: float


def measure(bed: Bed, peers: Peers, image: PeerImage, preflight: Path, pairs: int) -> tuple[list[Row], dict[str, Any]]:
    """Both commands in turn, the one that goes first changing from pair to pair, after one run of each for the caches.

    That first run writes bytecode, reads the files into memory, and lets SAM do its weekly look for a new version.
    """
    if not preflight.exists():
        raise ConfigurationError(f"there is no {preflight}", hint="`make bench` installs it, or name it: --preflight.")
    _sweep()
    with tempfile.TemporaryDirectory(prefix=owner.name_prefix("bench")) as folder:
        scratch = Path(folder)
        (scratch / "template.yaml").write_text(template(bed.code, bed.runtime, bed.architecture))
        (scratch / "event.json").write_bytes(EVENT)
        common = (FUNCTION, "-t", "template.yaml", "-e", "event.json")
        commands = {
            "preflight": (str(preflight.absolute()), "invoke", *common, "--backend", "docker"),
            "sam": (
                *(str(peers.sam), "local", "invoke", *common),
                *("--skip-pull-image", "--invoke-image", image.invoke_image),
            ),
        }
        environment = child_environment(os.environ, bed.engine.address, scratch)
        bed.say("cold: first run of both, not counted")
        for command in commands.values():
            _run(command, environment, scratch)
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for number in range(pairs):
            for name in order(tuple(commands), number):
                bed.say(f"cold: pair {number + 1} of {pairs}, {name}")
                time.sleep(_SETTLE_S)
                runs[name].append(_run(commands[name], environment, scratch))
    return _rows(runs), {
        name: [{"wall_s": run.wall_s, "cpu_s": run.cpu_s} for run in found] for name, found in runs.items()
    }


def _sweep() -> None:
    """Remove the folders of runs that died without removing them."""
    for left in Path(tempfile.gettempdir()).glob("lambda-preflight-bench-*"):
        if owner.abandoned(left.name):
            shutil.rmtree(left, ignore_errors=True)


def order(names: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Who goes first changes each time, so that what one leaves behind is met by both alike."""
    return names if number % 2 == 0 else names[::-1]


def template(code: Path, runtime: str, architecture: str) -> str:
    """A SAM template (JSON is YAML) of the one function that both commands invoke."""
    properties = {
        "CodeUri": str(code),
        "Handler": HANDLER,
        "Runtime": runtime,
        "Architectures": [architecture],
        "MemorySize": MEMORY_MB,
        "Timeout": TIMEOUT_S,
    }
    function = {"Type": "AWS::Serverless::Function", "Properties": properties}
    document = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {FUNCTION: function},
    }
    return json.dumps(document, indent=2)


def child_environment(ours: Mapping[str, str], engine: str, scratch: Path) -> dict[str, str]:
    """For both alike: the same engine, bytecode kept, and nothing that would let SAM wait for the network.

    Without the metadata setting SAM waits a second or two for an address that only machines of AWS's have.
    """
    left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME", "PYTHONDEVMODE")
    kept = {
        name: value
        for name, value in ours.items()
        if name not in left_out and not name.startswith(("AWS_", "SAM_CLI_", "PREFLIGHT_"))
    }
    return kept | {
        "DOCKER_HOST": engine,
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(scratch / "sam"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Run:
    """Run it to its end; BackendError with its last lines where it fails or does not answer with the event."""
    name = " ".join((Path(command[0]).name, *command[1:3]))
    cpu, begin = _children_cpu_s(), time.perf_counter()
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=_GIVE_UP_S
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"`{name}` did not end within {_GIVE_UP_S} s", hint="Run it by hand.") from error
    wall_s, cpu_s = time.perf_counter() - begin, _children_cpu_s() - cpu
    if done.returncode or not answered(done.stdout):
        message = f"`{name}` failed with status {done.returncode}, answer {done.stdout[:200]!r}: {reason(done.stderr)}"
        raise BackendError(
            message, hint="Run it by hand; if it is about a bridge, see `docker network inspect bridge`."
        )
    return Run(wall_s=wall_s, cpu_s=cpu_s)


def answered(output: str) -> bool:
    """Whether the output is the event come back."""
    try:
        return bool(json.loads(output) == json.loads(EVENT))
    except ValueError:
        return False


def reason(errors: str) -> str:
    """The line that says why a command failed: its first one that begins with the word, else its last one."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    named = [line for line in lines if line.lower().startswith("error")]
    return (named or lines[-1:] or ["it said nothing"])[0]


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rows(runs: Mapping[str, Sequence[Run]]) -> list[Row]:
    wall = {name: [run.wall_s * _MS for run in found] for name, found in runs.items()}
    cpu = {name: [run.cpu_s * _MS for run in found] for name, found in runs.items()}
    ratio = paired_ratio(wall["preflight"], wall["sam"])
    rows = [Row(part="cold", name=COLD_NAME, unit="x", estimate=ratio, at_most=COLD_RATIO, note="pair by pair")]
    for name, words in (("preflight", "preflight invoke"), ("sam", "sam local invoke")):
        note = f"of it {median_estimate(cpu[name]).value:.0f} ms CPU of its own"
        rows.append(Row(part="cold", name=words, unit="ms", estimate=median_estimate(wall[name]), note=note))
    return rows
