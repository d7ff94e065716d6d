"""What this machine can enforce and what it cannot, and how to mend it: facts gathered here, worded at the end."""

from __future__ import annotations

import gzip
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emulator.console import capability_summary
from emulator.errors import BackendError, PreflightError
from emulator.sandbox import Choice, interpreters
from emulator.sandbox.base import OS_ONLY_RUNTIMES, Capabilities

if TYPE_CHECKING:
    from emulator.config import FunctionConfig

LAMBDA_HZ: Final = 250  # EuroSys 2026, doi 10.1145/3767295.3769374, table 3: measured on Lambda, 2025-05


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One backend on this machine: what it enforces, or why it cannot be had."""

    name: str
    capabilities: Capabilities | None
    facts: Mapping[str, str]
    advice: tuple[str, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything the examination found; `chosen` is the backend that the commands would take."""

    machine: Mapping[str, str]
    advice: tuple[str, ...]
    backends: tuple[Candidate, ...]
    chosen: str | None
    functions: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether functions can be invoked at all."""
        return self.chosen is not None

    def as_dict(self) -> dict[str, Any]:
        """The object of `doctor --json`."""
        return asdict(self)


def examine(choice: Choice, functions: Iterable[FunctionConfig] = ()) -> Findings:
    """Look at the machine, what the functions need and every backend that the choice admits; starts no function."""
    candidates = []
    # Elsewhere engines run in a virtual machine, and `auto` does not take them (`sandbox.open_backend`).
    if choice == "docker" or (choice == "auto" and sys.platform == "linux"):
        candidates.append(_docker())
    if choice in {"auto", "process"}:
        candidates.append(_process())
    chosen = next((candidate.name for candidate in candidates if candidate.problem is None), None)
    hz = kernel_hz(Path("/boot"), Path("/proc"))
    return Findings(
        machine=_machine(hz),
        functions={config.name: _runtime(config) for config in functions},
        advice=_machine_advice(hz),
        backends=tuple(candidates),
        chosen=chosen,
    )


def as_text(findings: Findings) -> str:
    """The examination for a person: facts first, then each backend, then what to do."""
    lines = ["Machine", *_rows(findings.machine)]
    if findings.functions:
        lines += ["", "Functions", *_rows(findings.functions)]
        if findings.chosen == "docker":
            lines.append("  (where the engine has AWS's image of a runtime, that runs it)")
    for candidate in findings.backends:
        lines += ["", f"{candidate.name} backend" + (" (used)" if candidate.name == findings.chosen else "")]
        if candidate.problem is not None or candidate.capabilities is None:
            lines.append(f"  not available: {candidate.problem}")
        else:
            lines.append(f"  {capability_summary(candidate.capabilities)}")
            lines += _rows({name.replace("_", " "): how for name, how in candidate.capabilities.as_dict().items()})
        lines += _rows(candidate.facts)
    advice = [*findings.advice, *(text for candidate in _advised(findings) for text in candidate.advice if text)]
    if advice:
        lines += ["", "To mend", *(f"  - {text}" for text in advice)]
    return "\n".join(lines)


def _advised(findings: Findings) -> tuple[Candidate, ...]:
    """The backends up to the one that is used: what a lesser one lacks is nobody's trouble."""
    names = [candidate.name for candidate in findings.backends]
    return findings.backends[: names.index(findings.chosen) + 1] if findings.chosen in names else findings.backends


def kernel_hz(boot: Path, proc: Path) -> int | None:
    """The kernel's timer frequency, which shapes throttling; None where the machine does not tell."""
    texts = []
    for source in (boot / f"config-{platform.release()}", proc / "config.gz"):
        try:
            raw = source.read_bytes()
        except OSError:  # not there, or not for everybody's eyes
            continue
        texts.append((gzip.decompress(raw) if source.suffix == ".gz" else raw).decode())
    for line in "\n".join(texts).splitlines():
        if line.startswith("CONFIG_HZ="):
            return int(line.partition("=")[2])
    return None


def _runtime(config: FunctionConfig) -> str:
    """Which interpreter would run the function, or why none can; none is needed for what brings its own runtime."""
    if config.image is not None:
        return f"the image {config.image}"
    if config.runtime in OS_ONLY_RUNTIMES:
        return f"{config.runtime}: the bootstrap of the package or a layer"
    try:
        found = interpreters.find(config.runtime)
    except PreflightError as error:
        return f"{config.runtime}: {error.message}"
    return f"{config.runtime}: {found.executable}"


def _machine(hz: int | None) -> dict[str, str]:
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "CPUs": str(os.cpu_count()),
        "timer": "unknown" if hz is None else f"{hz} Hz (Lambda: {LAMBDA_HZ} Hz)",
        "emulator's Python": f"{platform.python_version()} ({sys.executable})",
    }


def _machine_advice(hz: int | None) -> tuple[str, ...]:
    if hz is None or hz == LAMBDA_HZ:
        return ()
    return (f"The kernel ticks at {hz} Hz, Lambda's at {LAMBDA_HZ} Hz: short tasks come out slower here than there.",)


def _docker() -> Candidate:
    from emulator.sandbox.docker import DockerBackend  # noqa: PLC0415 - the docker package takes a while
    from emulator.sandbox.docker_engine import connect  # noqa: PLC0415 - see above

    try:
        engine = connect()
    except BackendError as error:  # what is no address stops every other command too, and is mended first
        return Candidate(
            name="docker",
            capabilities=None,
            facts={},
            advice=(error.hint,) if error.hint else (),
            problem=error.message,
        )
    backend = DockerBackend(engine)
    try:
        disk = backend.try_disk()
        capabilities = backend.capabilities
        inside = backend.transport == "namespace"
        facts = {
            "engine": f"{engine.version} at {engine.address}",
            "cgroup": engine.cgroup,
            "Runtime API": "inside the container's network namespace" if inside else "over an internal bridge",
            "disk for /tmp": disk,
            "images": ", ".join(backend.images()) or "none yet (made at the first invocation)",
        }
        advice = list(backend.advice())
    finally:
        backend.close()
    return Candidate(name="docker", capabilities=capabilities, facts=facts, advice=tuple(advice))


def _process() -> Candidate:
    from emulator.sandbox.process import ProcessBackend  # noqa: PLC0415 - only where it is looked at

    backend = ProcessBackend()
    try:
        capabilities = backend.capabilities
    finally:
        backend.close()
    open_limits = capabilities.not_enforced()
    advice = []
    if open_limits:
        advice.append(f"The process backend cannot hold {', '.join(open_limits)}: use Docker for these.")
    if capabilities.memory != "kernel" or capabilities.cpu != "kernel":
        why = "; ".join(backend.missing) or "no control group"
        advice.append(
            f"The kernel would hold the process backend's memory and CPU ({why}): run as root, or on cgroup v2 in a "
            "group of your own (systemd-run --user --scope -p Delegate=yes preflight …)."
        )
    return Candidate(name="process", capabilities=capabilities, facts={}, advice=tuple(advice))


def _rows(facts: Mapping[str, str]) -> list[str]:
    width = max((len(name) for name in facts), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in facts.items()]
