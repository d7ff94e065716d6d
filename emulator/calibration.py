"""How fast real Lambda runs a function beside this machine: from REPORT lines, kept in a file, applied to predictions.

A factor belongs to one function on one kind of CPU. What was measured here is never changed by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from emulator.cache import folder, needed_folder
from emulator.errors import ConfigurationError
from emulator.intervals import LEVEL, RESAMPLES, SEED, Estimate

_FIELD: Final = re.compile(r"(Init Duration|Billed Duration|Duration|Memory Size): ([\d.]+) (?:ms|MB)")
_FAILED: Final = re.compile(r"\bStatus: (?!success)\w+")
_HINT: Final = "Copy REPORT lines of CloudWatch's log, from a successful invocation with this very event."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLine:
    """What one REPORT line tells, in milliseconds and MB; `init_ms` is None on a warm one."""

    memory_mb: int
    duration_ms: float
    init_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Lambda's time divided by ours: below 1 where Lambda is faster. `init` is None where no REPORT line had one."""

    function: str
    cpu: str
    date: str
    memory_mb: tuple[int, ...]
    duration: Estimate
    init: Estimate | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def parse_reports(text: str) -> tuple[ReportLine, ...]:
    """Every REPORT line of a log; ConfigurationError where there is none, or one that failed."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if "REPORT RequestId:" not in line or "INIT_REPORT" in line:
            continue
        fields = {name: float(value) for name, value in _FIELD.findall(line)}
        if _FAILED.search(line):
            raise ConfigurationError(f"line {number} is of an invocation that failed", hint=_HINT)
        if fields.get("Duration", 0) <= 0 or fields.get("Memory Size", 0) <= 0:
            raise ConfigurationError(f"line {number} has no Duration or no Memory Size", hint=_HINT)
        found.append(
            ReportLine(
                memory_mb=int(fields["Memory Size"]),
                duration_ms=fields["Duration"],
                init_ms=fields.get("Init Duration"),
            )
        )
    if not found:
        raise ConfigurationError("there is no REPORT line", hint=_HINT)
    return tuple(found)


def ratio(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Estimate:
    """Of Lambda's median to ours: the geometric mean over the pairs (one for each memory size), with its interval.

    The interval is drawn from both sides' own spread; without one where either side has a single value.
    """
    import numpy as np  # noqa: PLC0415 - a tenth of a second that only figures need

    def of(*samples: Any, axis: int = -1) -> Any:  # noqa: ANN401 - numpy's arrays
        medians = [np.log(np.median(each, axis=axis)) for each in samples]
        return np.exp(sum(theirs - ours for theirs, ours in zip(medians[::2], medians[1::2], strict=True)) / len(pairs))

    samples = [np.asarray(side, dtype=np.float64) for pair in pairs for side in pair]
    value, n = float(of(*samples)), sum(len(theirs) for theirs, _ in pairs)
    if min(len(each) for each in samples) < 2:  # noqa: PLR2004 - one value has no spread
        return Estimate(value=value, n=n)
    draw = np.random.default_rng(SEED)
    drawn = of(*(draw.choice(each, size=(RESAMPLES, len(each))) for each in samples))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=value, n=n, low=float(low), high=float(high), method="bootstrap")


def calibrate(
    function: str, cpu: str, reports: Iterable[ReportLine], ours: Mapping[int, tuple[Sequence[float], Sequence[float]]]
) -> Calibration:
    """`ours` are our warm durations and our inits by memory size; cold durations are not compared with warm ones."""
    lines = list(reports)
    sizes = sorted({line.memory_mb for line in lines})
    warm, inits = [], []
    for size in sizes:
        theirs = [line.duration_ms for line in lines if line.memory_mb == size and line.init_ms is None]
        their_inits = [line.init_ms for line in lines if line.memory_mb == size and line.init_ms is not None]
        if theirs:
            warm.append((theirs, ours[size][0]))
        if their_inits:
            inits.append((their_inits, ours[size][1]))
    if not warm:
        raise ConfigurationError(
            "every REPORT line is of a cold start", hint="Give warm ones too: they tell the speed."
        )
    return Calibration(
        function=function,
        cpu=cpu,
        date=datetime.now(tz=UTC).date().isoformat(),
        memory_mb=tuple(sizes),
        duration=ratio(warm),
        init=ratio(inits) if inits else None,
    )


def predicted(measured: float, factor: Estimate) -> Estimate:
    """What Lambda would show for a figure of ours, with the factor's uncertainty."""
    low = None if factor.low is None else measured * factor.low
    high = None if factor.high is None else measured * factor.high
    return Estimate(value=measured * factor.value, n=factor.n, low=low, high=high, method="calibrated")


def default_path() -> Path:
    """Where it is kept unless --calibration says otherwise."""
    return needed_folder() / "calibration.json"


def as_text(found: Calibration, path: Path) -> str:
    """In sentences."""
    sizes = ", ".join(f"{size:,}" for size in found.memory_mb)
    lines = [f"{found.function} at {sizes} MB: Lambda's Duration is {_told(found.duration)}"]
    if found.init is not None:
        lines.append(f"Lambda's Init Duration is {_told(found.init)}")
    return "\n".join([*lines, f"kept in {path}; `preflight tune` and `preflight cost` predict by it"])


def _told(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"{found.value:.3f} times ours (from {found.n} line, so without an interval)"
    return f"{found.value:.3f} times ours ({found.low:.3f} to {found.high:.3f}, from {found.n} lines)"


def wanted(path: Path | None, function: str, cpu: str) -> Calibration | None:
    """The function's on this kind of CPU, None where there is none; one in a file that was named must be there."""
    if path is None:
        return None if folder() is None else read(default_path(), function, cpu)
    found = read(path, function, cpu)
    if found is None:
        message = f"{path} has no calibration of {function} on this machine's CPU"
        raise ConfigurationError(message, hint=f"Make it: preflight calibrate {function} --report FILE")
    return found


def read(path: Path, function: str, cpu: str) -> Calibration | None:
    """The function's calibration on this kind of CPU; None where there is none."""
    found = _entries(path).get(_key(function, cpu))
    if found is None:
        return None
    try:
        return Calibration(
            function=found["function"],
            cpu=found["cpu"],
            date=found["date"],
            memory_mb=tuple(found["memory_mb"]),
            duration=Estimate(**found["duration"]),
            init=None if found["init"] is None else Estimate(**found["init"]),
        )
    except (KeyError, TypeError) as error:
        raise _broken(path) from error


def with_entry(path: Path, calibration: Calibration) -> str:
    """The file's new text: what it held, and this in place of an older one of the same function and CPU."""
    entries = {**_entries(path), _key(calibration.function, calibration.cpu): calibration.as_dict()}
    return json.dumps(entries, indent=1) + "\n"


def _entries(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="See --calibration.") from error
    except ValueError as error:
        raise _broken(path) from error
    if not isinstance(found, dict):
        raise _broken(path)
    return found


def _key(function: str, cpu: str) -> str:
    return f"{function} on {cpu}"


def _broken(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is no file that `preflight calibrate` wrote", hint="Remove it and calibrate anew."
    )
