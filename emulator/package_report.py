"""A package's weight for a person, 80 columns and no colour needed, and for a machine."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from emulator.limits import quota
from emulator.package import Finding, Weight

if TYPE_CHECKING:
    from emulator.package.build import Package

MIB: Final = 1024 * 1024
_DIRECT: Final = "Zipped package, uploaded directly"
# What one heading gathers, in this order.
_LOADING: Final = (
    "handler",
    "system",
    "elf",
    "machine",
    "musl",
    "glibc",
    "abi",
    "library",
    "permission",
    "link",
    "case",
)
_BYTECODE: Final = ("pyc-missing", "pyc-stale", "pyc-timed")
_SIZE: Final = ("unzipped", "zipped", "image")
_MANY: Final = 12


def as_dict(weight: Weight) -> Mapping[str, Any]:
    """Everything, for `--json`; a figure that was not measured is null."""
    told = asdict(weight)
    told["violations"] = [
        {
            "quota": one.quota.name,
            "value": one.value,
            "maximum": one.quota.maximum,
            "message": one.message,
            "hint": one.hint,
        }
        for one in weight.violations
    ]
    return told | {
        "refused": weight.refused,
        "loads": weight.loads,
        "headroom_bytes": weight.headroom_bytes,
        "headroom_pct": round(weight.headroom_pct, 3),
        "removable_bytes": weight.removable_bytes,
    }


def built_dict(built: Package) -> Mapping[str, Any]:
    """What was written, to go beside the weight."""
    return {
        "outputs": [asdict(one) | {"path": str(one.path)} for one in built.outputs],
        "stripped_bytes": built.stripped_bytes,
        "notes": list(built.notes),
    }


def built_lines(built: Package) -> Iterator[str]:
    """The same in lines, and an empty one."""
    for one in built.outputs:
        yield f"{one.path}\n  {one.bytes:,} bytes, sha256 {one.sha256}"
    if built.stripped_bytes:
        yield f"left out: {megabytes(built.stripped_bytes)}"
    yield ""


def as_text(weight: Weight, *, top: int, width: int) -> str:
    """Sizes against the limits, the heaviest `top` parts and files, then what was found."""
    text = io.StringIO()
    console = Console(file=text, width=width, no_color=True, highlight=False, emoji=False, markup=False)
    target = f"{weight.runtime or 'no managed runtime'}, {weight.architecture}, {weight.memory_mb} MB"
    assumed = " (runtime assumed: --runtime says which)" if weight.runtime_assumed else ""
    console.print(f"{weight.name}: {target}{assumed}", soft_wrap=True)
    console.print()
    console.print(_sizes(weight))
    console.print()
    if weight.parts:
        console.print(_parts(weight, top))
        console.print()
    if weight.files:
        console.print(_files(weight, top))
        console.print()
    for line in _told(weight, width):
        console.print(line, soft_wrap=True)
    lines = "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())
    return lines.encode("utf-8", "backslashreplace").decode()  # a file's name may be anything


def megabytes(size: int) -> str:
    """In Lambda's megabytes, of 1,048,576 bytes."""
    return f"{size / MIB:,.2f} MB"


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=False)
    for name, side in columns:
        table.add_column(name, justify="right" if side == "right" else "left", overflow="fold", no_wrap=side == "right")
    return table


def _sizes(weight: Weight) -> Table:
    table = _table(("", "left"), ("bytes", "right"), ("of limit", "right"), ("left", "right"))
    share = 100 * weight.unzipped_bytes / weight.limit_bytes
    what = "image, uncompressed" if weight.files == () else "unzipped, all together"
    table.add_row(what, f"{weight.unzipped_bytes:,}", f"{share:.1f} %", f"{weight.headroom_pct:.1f} %")
    for archive in weight.archives if len(weight.archives) > 1 else ():
        table.add_row(f"  {archive.name}", f"{archive.unzipped_bytes:,}", "", "")
    limit = (quota(_DIRECT).maximum or 0) + 1
    for archive in weight.archives:
        size = archive.zipped_bytes
        if size is not None:
            left = 100 * (limit - 1 - size) / limit
            table.add_row(f"zipped, {archive.name}", f"{size:,}", f"{100 * size / limit:.1f} %", f"{left:.1f} %")
    return table


def _parts(weight: Weight, top: int) -> Table:
    table = _table(
        ("heaviest parts", "left"), ("version", "left"), ("in", "left"), ("files", "right"), ("size", "right")
    )
    for part in weight.parts[:top]:
        table.add_row(
            part.name, part.version or "", part.archive, f"{part.files:,}" if part.files else "", megabytes(part.bytes)
        )
    rest = weight.parts[top:]
    if rest:
        total = sum(part.bytes for part in rest)
        table.add_row(f"{len(rest)} more", "", "", f"{sum(part.files for part in rest):,}", megabytes(total))
    return table


def _files(weight: Weight, top: int) -> Table:
    table = _table((f"heaviest of {weight.file_count:,} files", "left"), ("in", "left"), ("size", "right"))
    for file in weight.files[: max(3, top // 2)]:
        table.add_row(file.path, file.archive, megabytes(file.bytes))
    return table


def _told(weight: Weight, width: int) -> Iterator[str]:
    findings = weight.findings
    yield from _block("Size", [one for one in findings if one.code in _SIZE], width)
    yield from _block("Loads there?", [one for one in findings if one.code in _LOADING], width)
    if weight.files and weight.loads:
        yield from _wrapped("Loads there: nothing was found that would keep it from it.", width)
        yield ""
    yield from _block("Bytecode", [one for one in findings if one.code in _BYTECODE], width)
    rest = [one for one in findings if one.code not in (*_SIZE, *_LOADING, *_BYTECODE) and one.bytes]
    sure = [one for one in rest if one.removable]
    if sure:
        size = megabytes(weight.removable_bytes)
        yield from _wrapped(f"Not needed at run time: {size} (`preflight package --strip` leaves it out)", width)
        yield from _listed(sure, width)
    unsure = [one for one in rest if not one.removable]
    if unsure:
        total = megabytes(sum(one.bytes or 0 for one in unsure))
        yield from _wrapped(f"Perhaps not needed: {total} (`preflight package --drop NAME`, where you know)", width)
        yield from _listed(unsure, width)


def _block(title: str, findings: Sequence[Finding], width: int) -> Iterator[str]:
    if not findings:
        return
    yield title
    for one in findings:
        yield from _wrapped(f"{one.level}: {one.subject}: {one.message}", width, indent="  ")
        shown = list(one.paths[:3])
        if one.count > len(shown) and shown and one.code not in _BYTECODE:
            shown.append(f"and {one.count - len(shown):,} more")
        yield from (f"    {path}" for path in shown)
        if one.hint:
            yield from _wrapped(one.hint, width, indent="    -> ", later="       ")
    yield ""


def _listed(findings: Iterable[Finding], width: int) -> Iterator[str]:
    ordered = sorted(findings, key=lambda one: -(one.bytes or 0))
    for one in ordered[:_MANY]:
        size = f"{(one.bytes or 0) / MIB:9.2f} MB  "
        yield from _wrapped(f"{one.subject}: {one.message}", width, indent=size, later=" " * len(size))
    if len(ordered) > _MANY:
        rest = sum(one.bytes or 0 for one in ordered[_MANY:])
        yield f"{rest / MIB:9.2f} MB  in {len(ordered) - _MANY} more (--json lists them all)"
    yield ""


def _wrapped(text: str, width: int, *, indent: str = "", later: str | None = None) -> list[str]:
    after = indent + "  " if later is None else later
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=after, break_long_words=False, break_on_hyphens=False
    )
