"""Will it load there: compiled files against the machine, C library and Python of the runtime; names and modes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from emulator.config import FunctionConfig
from emulator.package.binaries import Binary
from emulator.package.runtimes import ABSENT, PRESENT, glibc, minor
from emulator.package.tree import Entry, Tree
from emulator.package.weight import Finding, Level

_ABI: Final = re.compile(r"\.(?:cpython-3(\d+)(t?)-[\w-]+|cp3(\d+)(t?)-win\w+)\.(?:so|pyd)$")
_OTHERS_READ: Final = 0o004
_OTHERS_ENTER: Final = 0o005
_SHOWN: Final = 20
_AGAIN: Final = "Install for Lambda's platform: `preflight package`, or pip with --platform and --only-binary=:all:."


def located(tree: Tree, path: str) -> str:
    """A file as a person finds it: in a layer, with the layer's name before it."""
    return path if tree.name == "code" else f"{tree.name}:{path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something does not load, or perhaps not."""

    code: str
    level: Level
    subject: str
    message: str
    hint: str


Files = Sequence[tuple[Tree, Entry]]


def about(reason: Reason, files: Files) -> Finding:
    """The finding about these files, of which the heaviest are named."""
    return Finding(
        code=reason.code,
        level=reason.level,
        subject=reason.subject,
        message=reason.message,
        hint=reason.hint,
        paths=shown(files),
        count=len(files),
    )


def shown(files: Files) -> tuple[str, ...]:
    """The heaviest, as a person finds them."""
    ordered = sorted(files, key=lambda file: (-file[1].size, file[0].name, file[1].path))
    return tuple(located(tree, entry.path) for tree, entry in ordered[:_SHOWN])


def judge(config: FunctionConfig, binaries: Sequence[Binary]) -> Iterator[Finding]:
    """Compiled files, each with the first reason why it does not load."""
    reasons = defaultdict[Reason, list[tuple[Tree, Entry]]](list)
    missing = _missing_libraries(binaries)
    modules = _modules(binaries)
    for binary in binaries:
        reason = (
            _made_for_another(config, binary)
            or _too_new(config, binary)
            or _abi_reason(config, binary, modules)
            or _library_reason(missing(binary), _target(config))
        )
        if reason is not None:
            reasons[reason].append((binary.tree, binary.entry))
    for reason, files in reasons.items():
        yield about(reason, files)


def _target(config: FunctionConfig) -> str:
    return f"{config.runtime or 'the runtime'} on {config.architecture}"


def _error(code: str, subject: str, message: str, hint: str = _AGAIN) -> Reason:
    return Reason(code=code, level="error", subject=subject, message=message, hint=hint)


def _made_for_another(config: FunctionConfig, binary: Binary) -> Reason | None:
    if binary.system != "Linux":
        return _error("system", binary.system, f"made for {binary.system}, and Lambda runs Linux")
    if binary.fault:
        return _error("elf", "ELF", f"no ELF file that can be read ({binary.fault})", "Is the file whole?")
    if binary.machine != config.architecture:
        message = f"made for {binary.machine}, and the function's architecture is {config.architecture}"
        return _error("machine", binary.machine, message)
    if binary.musl:
        return _error("musl", "musl", "linked against musl (Alpine), and Lambda has glibc")
    return None


def _too_new(config: FunctionConfig, binary: Binary) -> Reason | None:
    has = glibc(config.runtime)
    if binary.glibc is None or binary.glibc <= has:
        return None
    needs, there = (".".join(map(str, version)) for version in (binary.glibc, has))
    message = f"needs glibc {needs}, and {_target(config)} has {there}: version `GLIBC_{needs}' not found"
    hint = f"Take an older release with a wheel for manylinux_{there.replace('.', '_')} or less"
    newer = ", or Runtime python3.12 or newer." if binary.glibc <= glibc("python3.12") else "."
    return _error("glibc", f"glibc {needs}", message, hint + newer)


def _abi_reason(config: FunctionConfig, binary: Binary, modules: dict[str, set[str]]) -> Reason | None:
    wanted = minor(config.runtime)
    abi = _foreign_abi(binary, wanted, modules) if wanted is not None else None
    if abi is None:
        return None
    return _error("abi", f"Python {abi}", f"compiled for Python {abi}, and the runtime is {config.runtime}")


def _library_reason(names: list[str], target: str) -> Reason | None:
    known = [name for name in names if ABSENT.match(name)]
    if known:
        message = f"needs {', '.join(known)}, which is neither in the package nor on {target}"
        hint = "For libGL: opencv-python-headless. Else put it into lib/, of the code or a layer."
        return _error("library", known[0], message, hint)
    if names:
        message = f"needs {', '.join(names)}, which is not in the package and perhaps not on {target}"
        hint = "If it is missing there, put it into lib/ of the code or a layer."
        return Reason(code="library", level="warning", subject=names[0], message=message, hint=hint)
    return None


def _missing_libraries(binaries: Sequence[Binary]) -> Callable[[Binary], list[str]]:
    """What of a file's needs is neither in the package, wherever in it, nor in the system."""
    here = {name for binary in binaries for name in (binary.file, binary.soname)}

    def missing(binary: Binary) -> list[str]:
        return [
            name
            for name in binary.needed
            if name.rpartition("/")[2] not in here
            and not PRESENT.fullmatch(name)
            and not name.startswith("libpython3.")
        ]

    return missing


def _modules(binaries: Iterable[Binary]) -> dict[str, set[str]]:
    """Of each compiled module, by its path without the tag, the Pythons that it is there for."""
    result = defaultdict[str, set[str]](set)
    for binary in binaries:
        match = _ABI.search(binary.entry.path)
        if match:
            result[binary.entry.path[: match.start()]].add(_python(match))
        elif binary.entry.path.endswith((".abi3.so", ".so")):
            result[binary.entry.path.removesuffix(".so").removesuffix(".abi3")].add("any")
    return dict(result)


def _python(match: re.Match[str]) -> str:
    return f"3.{match[1] or match[3]}{match[2] or match[4] or ''}"


def _foreign_abi(binary: Binary, wanted: int, modules: dict[str, set[str]]) -> str | None:
    match = _ABI.search(binary.entry.path)
    if match is None or _python(match) == f"3.{wanted}":
        return None
    there = modules[binary.entry.path[: match.start()]]
    return None if there & {f"3.{wanted}", "any"} else _python(match)


def inferred_runtime(binaries: Iterable[Binary]) -> str | None:
    """The Python that most compiled modules were made for; None where there are none."""
    counted = defaultdict[str, int](int)
    for binary in binaries:
        match = _ABI.search(binary.entry.path)
        if match:
            counted[f"python{_python(match).removesuffix('t')}"] += 1
    return max(counted, key=lambda name: (counted[name], name), default=None)


def judge_names(trees: Sequence[Tree]) -> Iterator[Finding]:
    """Names that differ in case alone, links that lead nowhere or out, and what Lambda's user may not read."""
    for tree in trees:
        seen: dict[str, Entry] = {}
        twins: list[tuple[Tree, Entry]] = []
        closed: list[tuple[Tree, Entry]] = []
        for entry in tree.entries:
            twin = seen.setdefault(entry.path.casefold(), entry)
            if twin is not entry:
                twins += [(tree, twin), (tree, entry)]
            bits = _OTHERS_ENTER if entry.kind == "folder" else _OTHERS_READ
            if entry.kind != "link" and entry.mode & bits != bits:
                closed.append((tree, entry))
        if twins:
            message = "names that differ in case alone: on macOS and Windows, one of them takes the other's place"
            yield about(_names_reason("case", "warning", tree, message, "Rename one of each."), twins)
        if closed:
            message = "not open to others: Lambda's user would get Permission denied"
            yield about(_names_reason("permission", "error", tree, message, "chmod -R a+rX on the folder."), closed)
        yield from _links(tree)


def _names_reason(code: str, level: Level, tree: Tree, message: str, hint: str) -> Reason:
    return Reason(code=code, level=level, subject=tree.name, message=message, hint=hint)


def _links(tree: Tree) -> Iterator[Finding]:
    if tree.opened is not None:
        return
    root = tree.root.resolve()
    nowhere: list[tuple[Tree, Entry]] = []
    outside: list[tuple[Tree, Entry]] = []
    for entry in tree.entries:
        if entry.kind == "link":
            target = (tree.root / entry.path).resolve()
            if not target.exists():
                nowhere.append((tree, entry))
            elif not target.is_relative_to(root):
                outside.append((tree, entry))
    if nowhere:
        yield about(_names_reason("link", "warning", tree, "links that lead nowhere", "Remove or mend them."), nowhere)
    if outside:
        message = "links out of the folder: counted as links, but a packer that follows them adds what they lead to"
        yield about(_names_reason("link", "warning", tree, message, "Put the files themselves there."), outside)
