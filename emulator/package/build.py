"""Builds what is uploaded: a zip of the code with what it requires, and one of each layer."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from emulator.config import FunctionConfig
from emulator.errors import BackendError, ConfigurationError
from emulator.package import archive, tree
from emulator.package.compile import compile_all
from emulator.package.contents import Contents, gather
from emulator.package.install import has_requirements, install
from emulator.package.parts import distributions, normal
from emulator.package.runtimes import minor
from emulator.package.unneeded import LEFT_OVERS, unneeded
from emulator.package.weighing import CODE, layer_names, weight_of
from emulator.package.weight import Weight

REQUIREMENTS: Final = "requirements.txt"
_LAYER_PACKAGES: Final = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A zip that was written; `name` is `code` or the layer's."""

    name: str
    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What was built. `stripped_bytes` is what was left out on request; `notes` are for a person."""

    outputs: tuple[Output, ...]
    weight: Weight
    stripped_bytes: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How to build: `strip` what is not needed, but not distributions in `keep`; those in `drop` in any case."""

    output: Path
    strip: bool = False
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


def build(config: FunctionConfig, request: Request, on_progress: Callable[[str], None]) -> Package:
    """Build the code's zip at `request.output`, and beside it one of each layer, all or none.

    Nothing is written elsewhere than beside the output. Raises ConfigurationError for what cannot be built.
    """
    _refuse(config, request)
    names = [CODE, *layer_names(config.layers)]
    places = _places(request.output, names[1:])
    with _workspace(request.output) as workspace:
        folders = [workspace / f"tree-{number}" for number in range(len(names))]
        skip = frozenset(path.resolve() for path in (*places, workspace))
        for source, folder in zip((config.code, *config.layers), folders, strict=True):
            folder.mkdir()
            _install(config, source, folder if folder == folders[0] else folder / _LAYER_PACKAGES, on_progress)
            bare = folder != folders[0] and (source / REQUIREMENTS).exists() and not (source / _LAYER_PACKAGES).is_dir()
            _copy(tree.read(source, source.name), folder / _LAYER_PACKAGES if bare else folder, skip)
        staged = replace(config, code=folders[0], layers=tuple(folders[1:]))
        stripped = _drop(staged, names, request)
        if request.strip:
            stripped += _strip(_gather(staged, names), frozenset(map(normal, request.keep)))
        notes = tuple(_compile(staged, folders, on_progress))
        on_progress("writing the zip")
        made = [workspace / f"{number}.zip" for number in range(len(names))]
        sums = [archive.write(folder, path) for folder, path in zip(folders, made, strict=True)]
        sizes = [path.stat().st_size for path in made]
        weight = weight_of(_gather(staged, names), sizes, built=True)
        for path, place in zip(made, places, strict=True):
            path.chmod(0o666 & ~_umask())
            path.replace(place)
    outputs = tuple(
        Output(name=name, path=place, bytes=size, sha256=digest)
        for name, place, size, digest in zip(names, places, sizes, sums, strict=True)
    )
    return Package(outputs=outputs, weight=weight, stripped_bytes=stripped, notes=notes)


def _refuse(config: FunctionConfig, request: Request) -> None:
    if config.image is not None:
        message = f"{config.name} is PackageType: Image, which has no zip"
        raise ConfigurationError(message, hint="Build the image, and weigh it: preflight weigh NAME")
    if request.output.is_dir():
        raise ConfigurationError(f"{request.output} is a folder", hint="Name a file: -o OUT.zip")
    if not request.output.parent.is_dir():
        raise ConfigurationError(f"there is no folder {request.output.parent}", hint="Make it first.")


@contextmanager
def _workspace(output: Path) -> Iterator[Path]:
    """A folder beside the output, so that what is made there can take its place in one step; gone in the end."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as made:
            yield Path(made)
    except PermissionError as error:
        message = f"{error.filename or output.parent} cannot be written or read: {error.strerror}"
        raise ConfigurationError(message, hint="Name another place with -o, or mend the permissions.") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _places(output: Path, layers: Iterable[str]) -> list[Path]:
    """OUT.zip, and OUT.LAYER.zip for each layer."""
    return [output, *(output.with_name(f"{output.stem}.{name.replace('/', '-')}.zip") for name in layers)]


def _install(config: FunctionConfig, source: Path, target: Path, on_progress: Callable[[str], None]) -> None:
    """Before the code is copied: one's own files win, as they do on Lambda's path."""
    tree.read(source, source.name)  # refuses what no zip can hold, and circles, before anything is fetched
    requirements = source / REQUIREMENTS
    if has_requirements(requirements):
        target.mkdir(exist_ok=True)
        on_progress(f"installing {requirements} for {config.runtime} on {config.architecture}")
        install(config, requirements, target)


def _copy(source: tree.Tree, target: Path, skip: frozenset[Path]) -> None:
    """All but bytecode and left-overs of tools; a link within the folder stays one, others become what they lead to."""
    root = source.root.resolve()
    target.mkdir(exist_ok=True)
    for entry in source.entries:
        here, there = root / entry.path, target / entry.path
        inner = f"{entry.path}/" if entry.kind == "folder" else entry.path
        if "__pycache__/" in inner or LEFT_OVERS.search(inner) or not skip.isdisjoint((here, *here.parents)):
            continue
        _refuse_name(here)
        if there.is_symlink() or (there.is_file() and entry.kind != "folder"):
            there.unlink()
        there.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "folder":
            there.mkdir(exist_ok=True)
        elif entry.kind == "link":
            _copy_link(here, there, root)
        else:
            shutil.copyfile(here, there)
            there.chmod(0o755 if entry.mode & 0o111 else 0o644)


def _refuse_name(path: Path) -> None:
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        message = f"the name of {os.fsencode(path)!r} is not UTF-8"
        raise ConfigurationError(message, hint="A zip cannot hold it: rename the file.") from error


def _copy_link(here: Path, there: Path, root: Path) -> None:
    leads_to = here.resolve()
    if not leads_to.exists():
        raise ConfigurationError(f"{here} is a link that leads nowhere", hint="Remove or mend it.")
    if leads_to.is_relative_to(root) and not here.readlink().is_absolute():
        there.symlink_to(here.readlink())
    elif leads_to.is_dir():
        _copy(tree.read(leads_to, here.name), there, frozenset())
    else:
        shutil.copyfile(leads_to, there)
        there.chmod(0o755 if leads_to.stat().st_mode & 0o111 else 0o644)


def _gather(staged: FunctionConfig, names: Sequence[str]) -> Contents:
    folders = (staged.code, *staged.layers)
    return gather(staged, [tree.read(folder, name) for folder, name in zip(folders, names, strict=True)])


def _drop(staged: FunctionConfig, names: Sequence[str], request: Request) -> int:
    """Remove distributions by name; one that is not there is a slip of the pen."""
    wanted = {normal(name): name for name in request.drop}
    removed = 0
    for folder, name in zip((staged.code, *staged.layers), names, strict=True) if wanted else ():
        one = tree.read(folder, name)
        for distribution in distributions(one):
            if normal(distribution.name) in wanted:
                wanted.pop(normal(distribution.name))
                removed += _remove((one, entry) for entry in distribution.entries)
    if wanted:
        named = ", ".join(wanted.values())
        raise ConfigurationError(f"--drop {named}: not in the package", hint="`preflight weigh` lists what is.")
    return removed


def _strip(contents: Contents, keep: frozenset[str]) -> int:
    found = list(unneeded(contents, keep=keep))  # all is judged before anything goes
    return sum(_remove(iter(one.files)) for one in found if one.sure)


def _remove(files: Iterator[tuple[tree.Tree, tree.Entry]]) -> int:
    """Remove them and the folders that this empties; returns their bytes."""
    removed = 0
    for one, entry in files:
        path = one.root / entry.path
        path.unlink()
        removed += entry.size
        for parent in path.relative_to(one.root).parents:
            folder = one.root / parent
            if folder == one.root or any(folder.iterdir()):
                break
            folder.rmdir()
    return removed


def _compile(staged: FunctionConfig, folders: Sequence[Path], on_progress: Callable[[str], None]) -> Iterator[str]:
    """Notes on what was not compiled."""
    if minor(staged.runtime) is None:
        return
    on_progress(f"compiling for {staged.runtime}")
    try:
        for number, folder in enumerate(folders):
            failed = compile_all(staged, folder, "/opt" if number else "/var/task")
            if failed:
                more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
                yield f"{failed[0]}{more} could not be compiled, which is told at import, as on Lambda"
    except BackendError as error:
        yield f"not compiled, so every cold start compiles what it imports: {error.message.splitlines()[0]}"
