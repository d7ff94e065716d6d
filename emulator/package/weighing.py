"""Weighs a function's code and layers together, as Lambda counts them, and tells what is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from emulator.config import FunctionConfig
from emulator.limits import Violation, check, quota
from emulator.package import loading, tree
from emulator.package.bytecode import price
from emulator.package.compressed import zipped_bytes
from emulator.package.contents import Contents, gather
from emulator.package.image import weigh_image
from emulator.package.parts import parts
from emulator.package.unneeded import unneeded
from emulator.package.weight import Archive, FileWeight, Finding, Level, Weight

UNZIPPED: Final = "Unzipped package with layers"
ZIPPED: Final = "Zipped package, uploaded directly"
CODE: Final = "code"
_HEAVIEST_FILES: Final = 100
_LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "info")
_WORTH_S: Final = 0.01
_COMPILE: Final = "`preflight package` compiles, or: python -m compileall --invalidation-mode unchecked-hash FOLDER"
_UNCOMPILED: Final = "A note says why it could not be compiled: mend that, or leave the file out."
_TOLD_FROM_BYTES: Final = 1_000_000


def weigh(config: FunctionConfig, *, zipped: bool = False, on_progress: Callable[[str], None] | None = None) -> Weight:
    """Weigh code and layers, or the image, and look at what is in them.

    `config.code` may be a zip too. With `zipped`, all is really compressed to say how large the uploads are, which
    takes seconds the first time. Raises ConfigurationError for what cannot be read, BackendError where an image cannot
    be asked for; what Lambda would refuse is in `violations`, what would not load there in `findings`.
    """
    if config.image is not None:
        return weigh_image(config)
    trees = read_trees(config)
    sizes = [zipped_bytes(one, on_progress) if zipped else one.zipped_bytes for one in trees]
    weight = weight_of(gather(config, trees), sizes)
    for one in trees:
        one.memo.save(one.entries)
    return weight


def read_trees(config: FunctionConfig) -> tuple[tree.Tree, ...]:
    """The code, then each layer."""
    named = zip(config.layers, layer_names(config.layers), strict=True)
    return (tree.read(config.code, CODE), *(tree.read(path, name) for path, name in named))


def layer_names(layers: Sequence[Path]) -> list[str]:
    """A layer is called by its folder; with the folder above where two have one name."""
    seen = Counter(path.name for path in layers)
    return [path.name if seen[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in layers]


def weight_of(contents: Contents, zipped: Sequence[int | None], *, built: bool = False) -> Weight:
    """Add up what was gathered; `zipped` goes with the trees. `built` just now: it was compiled, as far as it could."""
    trees = contents.trees
    code, *layers = (one.unzipped_bytes for one in trees)
    files = [
        FileWeight(path=entry.path, bytes=entry.size, archive=one.name)
        for one in trees
        for entry in one.entries
        if entry.kind != "folder"
    ]
    files.sort(key=lambda file: (-file.bytes, file.archive, file.path))
    total = code + sum(layers)
    archives = tuple(
        Archive(name=one.name, unzipped_bytes=one.unzipped_bytes, files=one.files, zipped_bytes=size)
        for one, size in zip(trees, zipped, strict=True)
    )
    violations = tuple(check("package", {UNZIPPED: total}))
    found = [*_refusals(violations, code, sum(layers)), *_uploads(archives), *_findings(contents, built=built)]
    return Weight(
        name=contents.config.name,
        runtime=contents.config.runtime,
        architecture=contents.config.architecture,
        memory_mb=contents.config.memory_mb,
        unzipped_bytes=total,
        code_bytes=code,
        layers_bytes=sum(layers),
        zipped_bytes=zipped[0],
        limit_bytes=(quota(UNZIPPED).maximum or 0) + 1,
        parts=parts(contents.installed, trees, contents.owners),
        files=tuple(files[:_HEAVIEST_FILES]),
        archives=archives,
        findings=tuple(sorted(found, key=lambda one: (_LEVELS.index(one.level), -(one.bytes or 0)))),
        violations=violations,
        file_count=sum(one.files for one in trees),
        runtime_assumed=contents.runtime_assumed,
    )


def _refusals(violations: Sequence[Violation], code: int, layers: int) -> Iterator[Finding]:
    """Lambda's own words, which name what is left beside the layers and not what there is."""
    if not violations:
        return
    limit = (violations[0].quota.maximum or 0) + 1
    if layers >= limit:
        words = f"Layers consume more than the available size of {limit} bytes"
        message = f"The layers alone have {layers:,} bytes, unzipped."
    elif layers:
        words = f"Unzipped size must be smaller than {limit - layers} bytes"
        message = (
            f"That is the limit of {limit:,} less the {layers:,} of the layers: the code has {code:,}. Where a layer "
            f"is added later, AWS says: Function code combined with layers exceeds the maximum allowed size of "
            f"{limit} bytes. The actual size is {code + layers} bytes."
        )
    else:
        words = violations[0].message
        message = f"The code has {code:,} bytes, unzipped."
    hint = f"{code + layers - limit + 1:,} bytes must go: the heaviest parts and what is not needed are below."
    yield Finding(code="unzipped", level="error", subject=words, message=message, hint=hint, bytes=code + layers)


def _uploads(archives: Sequence[Archive]) -> Iterator[Finding]:
    for archive in archives:
        for violation in check("upload", {ZIPPED: archive.zipped_bytes or 0}):
            yield Finding(
                code="zipped",
                level="warning",
                subject=violation.message,
                message=f"{archive.name} has {violation.value:,} bytes zipped: refused where it is uploaded directly.",
                hint="Upload it through S3, as `sam deploy` does: there, only the unzipped size counts.",
                bytes=violation.value,
            )


def _findings(contents: Contents, *, built: bool) -> Iterator[Finding]:
    config = contents.config
    if contents.bytecode is not None and "." in config.handler:
        module = config.handler.rpartition(".")[0].replace("/", ".")
        if module not in contents.modules:
            yield _no_handler(config)
    yield from loading.judge(config, contents.binaries)
    yield from loading.judge_names(contents.trees)
    yield from _bytecode(contents, built=built)
    for one in unneeded(contents):
        yield Finding(
            code=one.code,
            level="warning" if one.sure and one.bytes >= _TOLD_FROM_BYTES else "info",
            subject=one.subject,
            message=one.message,
            bytes=one.bytes,
            paths=loading.shown(one.files),
            count=len(one.files),
            removable=one.sure,
        )


def _no_handler(config: FunctionConfig) -> Finding:
    module = config.handler.rpartition(".")[0]
    return Finding(
        code="handler",
        level="error",
        subject=config.handler,
        message=f"Unable to import module '{module}': No module named '{module}'",
        hint="The zip's root must hold it: is CodeUri the folder of the handler's module?",
    )


def _bytecode(contents: Contents, *, built: bool) -> Iterator[Finding]:
    """What a cold start compiles: of what it imports, where that can be told, else of everything."""
    found, config = contents.bytecode, contents.config
    if found is None:
        return
    reach = contents.reach
    eager = {(m.tree.name, m.entry.path) for m in (reach.modules[name] for name in reach.eager)} if reach else None
    for code, files, what in (
        ("pyc-missing", found.missing, "without bytecode"),
        ("pyc-stale", found.stale, "with stale bytecode"),
        ("pyc-timed", found.timed, "with bytecode that holds the time of its source, which a zip may change"),
    ):
        if not files:
            continue
        counted = [(tree, entry) for tree, entry in files if eager is None or (tree.name, entry.path) in eager]
        cost = price(entry for _, entry in counted)
        yield Finding(
            code=code,
            level="warning" if cost >= _WORTH_S and code != "pyc-timed" else "info",
            subject=f"{len(files):,} {'module' if len(files) == 1 else 'modules'} {what}",
            message=_compiling(config, len(files), len(counted), cost, followed=eager is not None),
            hint=_UNCOMPILED if built else _COMPILE,
            cpu_seconds=cost,
            paths=loading.shown(counted or files),
            count=len(files),
        )


def _compiling(config: FunctionConfig, files: int, counted: int, cost: float, *, followed: bool) -> str:
    """What these modules cost at a cold start; without imports that could be `followed`, all of them are counted."""
    if not counted:
        return f"no cold start imports {'it' if files == 1 else 'any of them'}, as far as imports can be followed"
    if followed:
        which = f"a cold start imports {counted:,} of them" if files > 1 else "a cold start imports it"
    else:
        unknown = "the handler's module is not there" if config.handler else "no handler is known"
        which = f"{unknown}, so {'all are' if files > 1 else 'it is'} taken to be imported: a cold start"
    it = "it" if counted == 1 else "them"
    slow = cost / min(1.0, config.cpu_share)
    return (
        f"{which}{' and' if followed else ''} compiles {it} each time, in {cost:.2f} s of CPU; "
        f"{slow:.2f} s where it is done in an invocation, at the share of {config.memory_mb} MB, and not in init"
    )
