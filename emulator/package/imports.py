"""Which modules a handler can import, told from its source: the static import graph over code and layers.

What is imported by a name that is computed at run time, or by compiled code, cannot be seen here.
"""

from __future__ import annotations

import ast
import gc
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from emulator.package.parts import site_prefix
from emulator.package.tree import Entry, Tree

# Python parses 5 to 15 MB of source in a second; what is more is told by its lines, which is ten times as fast.
_PARSED_BYTES: Final = 8_000_000
_IMPORT_LINE: Final = re.compile(
    rb"^([ \t]*)(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#;]+)|import[ \t]+([^\n#;]+))", re.MULTILINE
)
_IMPORT_ERRORS: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_EAGER: Final = 1
_MISSED: Final = 2
_CALL: Final = re.compile(rb"(?:__import__|import_module)[ \t]*\((?:\s*[\"']([A-Za-z_][\w.]*)[\"'])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A module as a file; `package` where it is an `__init__`, `native` where it is compiled."""

    name: str
    tree: Tree
    entry: Entry
    package: bool
    native: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import statement: `eager` where it runs when its module is imported, not when a function is called.

    `optional` where the module goes on without it: `try: import x`, `except ImportError`.
    """

    module: str
    names: tuple[str, ...]
    level: int
    eager: bool
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What can be imported: `eager` of it at a cold start. `dynamic` modules import by names made at run time.

    `optional` are those that nobody misses where they are not there, each with one that imports it.
    """

    modules: Mapping[str, Module]
    eager: frozenset[str]
    optional: Mapping[str, str]
    dynamic: frozenset[str]
    missing: tuple[str, ...]


def index(trees: Sequence[Tree]) -> dict[str, Module]:
    """Every module by its dotted name, the first on Lambda's path (code, then layers, the last of them first)."""
    found: dict[str, Module] = {}
    code, *layers = trees
    for tree in (code, *reversed(layers)):
        ordered = tree.entries if tree is code else sorted(tree.entries, key=_opt_order)
        for entry in ordered:
            module = _module(tree, entry, tree is code)
            if module is None:
                continue
            before = found.get(module.name)
            # In one place, a package wins over a module, and compiled code over source.
            wins = (
                before is not None
                and before.tree is tree
                and (module.package, module.native)
                > (
                    before.package,
                    before.native,
                )
            )
            if before is None or wins:
                found[module.name] = module
    return found


def _opt_order(entry: Entry) -> bool:
    """`python/lib/python3.x/site-packages` comes before `python`."""
    return not entry.path.startswith("python/lib/")


def _module(tree: Tree, entry: Entry, code: bool) -> Module | None:  # noqa: FBT001 - read in one place, just above
    if entry.kind == "folder" or not entry.path.endswith((".py", ".so", ".pyd")):
        return None
    prefix = "" if code else site_prefix(entry.path)
    if not code and not prefix:
        return None
    folder, _, file = entry.path[len(prefix) :].rpartition("/")
    stem = file.partition(".")[0]
    native = not file.endswith(".py")
    dotted = folder.replace("/", ".")
    package = stem == "__init__"
    name = dotted if package else f"{dotted}.{stem}" if dotted else stem
    return Module(name=name, tree=tree, entry=entry, package=package, native=native) if name else None


class _Search:
    """Breadth first from the roots; a module is visited again where it turns out to be eager, or missed, after all."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self.modules = modules
        self.seen: dict[str, int] = {}
        self.asked_by: dict[str, str] = {}
        self.dynamic: set[str] = set()
        self._waiting = deque[str]()
        self._known: dict[str, tuple[Import, ...]] = {}
        self._budget = _PARSED_BYTES

    def ask(self, name: str, bits: int, by: str) -> None:
        """A package's `__init__` is imported before what is in it."""
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            dotted = ".".join(parts[:end])
            before = self.seen.get(dotted, -1)
            if dotted in self.modules and (before < 0 or bits & ~before):
                self.seen[dotted] = max(before, 0) | bits
                self.asked_by.setdefault(dotted, by)
                self._waiting.append(dotted)

    def run(self, own: Callable[[Module], bool]) -> None:
        """Follow every import; in one's own code, none is lazy and none is optional."""
        while self._waiting:
            module = self.modules[self._waiting.popleft()]
            bits, is_own = self.seen[module.name], own(module)
            for statement in self._imports(module):
                mask = _EAGER * (is_own or statement.eager) | _MISSED * (is_own or not statement.optional)
                for target in _targets(module, statement):
                    self.ask(target, bits & mask, module.name)

    def _imports(self, module: Module) -> tuple[Import, ...]:
        if module.native:
            return ()
        if module.name not in self._known:
            kept = module.tree.memo.recall(module.entry, "imports")
            if kept is None:
                self._known[module.name], computed = _imports(module, parse=self._budget > 0)
                self._budget -= module.entry.size
                told = [[one.module, one.names, one.level, one.eager, one.optional] for one in self._known[module.name]]
                module.tree.memo.keep(module.entry, "imports", [computed, told])
            else:
                computed, told = kept
                self._known[module.name] = tuple(
                    Import(module=name, names=tuple(names), level=level, eager=eager, optional=optional)
                    for name, names, level, eager, optional in told
                )
            if computed:
                self.dynamic.add(module.name)
        return self._known[module.name]


def reach(modules: Mapping[str, Module], roots: Iterable[str], own: Callable[[Module], bool]) -> Reach:
    """Everything that the roots import, directly or not.

    A function of one's own code is taken to be called at the first invocation, so that what it imports is eager too.
    """
    search = _Search(modules)
    missing = []
    with _without_collector():
        for root in roots:
            if root in modules:
                search.ask(root, _EAGER | _MISSED, root)
            else:
                missing.append(root)
        search.run(own)
    return Reach(
        modules={name: modules[name] for name in search.seen},
        eager=frozenset(name for name, bits in search.seen.items() if bits & _EAGER),
        optional={name: search.asked_by[name] for name, bits in search.seen.items() if not bits & _MISSED},
        dynamic=frozenset(search.dynamic),
        missing=tuple(missing),
    )


def _targets(module: Module, statement: Import) -> Iterator[str]:
    """The dotted names that a statement may import; `from a import b` may mean the module a.b."""
    base = statement.module
    if statement.level:
        parts = module.name.split(".")
        up = statement.level - module.package
        base = ".".join([*parts[: len(parts) - up], *([base] if base else [])])
    if base:
        yield base
    for name in statement.names:
        yield f"{base}.{name}" if base else name


@contextmanager
def _without_collector() -> Iterator[None]:
    """A syntax tree has no circles and makes the collector walk it again and again: parsing takes a third without."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _imports(module: Module, *, parse: bool) -> tuple[tuple[Import, ...], bool]:
    """The statements, and whether something is imported by a name made at run time."""
    source = module.tree.read(module.entry.path)
    calls = [match[1] for match in _CALL.finditer(source)]
    found = [Import(module=name.decode(), names=(), level=0, eager=False) for name in calls if name]
    lines = list(_IMPORT_LINE.finditer(source))
    if parse and not all(_is_plain(source, line) for line in lines):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of their strings, which are theirs to mend
                tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found += by_line(lines)
        else:
            found += _statements(tree.body, eager=True)
    else:
        found += by_line(lines)
    return tuple(found), len(calls) > len([name for name in calls if name])


def _is_plain(source: bytes, line: re.Match[bytes]) -> bool:
    """Whether the line says all by itself: not indented, not continued, nothing after it."""
    return not line[1] and b"\\" not in line[0] and source[line.end() : line.end() + 1] != b";"


def _statements(body: Iterable[ast.stmt], *, eager: bool, optional: bool = False) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module=alias.name, names=(), level=0, eager=eager, optional=optional)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names if alias.name != "*")
            yield Import(module=node.module or "", names=names, level=node.level, eager=eager, optional=optional)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from _statements(node.orelse, eager=eager, optional=optional)
        else:
            inner = eager and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _inside(node, eager=inner, optional=optional)


def _inside(node: ast.stmt, *, eager: bool, optional: bool) -> Iterator[Import]:
    tried = isinstance(node, ast.Try | ast.TryStar) and any(_catches_import(one) for one in node.handlers)
    for block in ("body", "orelse", "finalbody"):
        missable = optional or (tried and block == "body")
        yield from _statements(getattr(node, block, ()), eager=eager, optional=missable)
    for case in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield from _statements(case.body, eager=eager, optional=optional)


def _catches_import(handler: ast.ExceptHandler) -> bool:
    """Whether it takes an ImportError and goes on: one that raises again only words it better."""
    if any(isinstance(node, ast.Raise) for node in handler.body):
        return False
    named = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(one is None or getattr(one, "id", "") in _IMPORT_ERRORS for one in named)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def by_line(lines: Iterable[re.Match[bytes]]) -> Iterator[Import]:
    """The same from the lines alone, where they say it all or parsing would take too long: what is indented is lazy."""
    for match in lines:
        indent, base, names, plain = (group.decode("utf-8", "replace") if group else "" for group in match.groups())
        if base:
            module = base.lstrip(".")
            listed = re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"#[^\n]*", "", names.strip("()")))
            yield Import(module=module, names=tuple(listed), level=len(base) - len(module), eager=not indent)
        for name in re.findall(r"(?:^|,)\s*([\w.]+)", plain):
            yield Import(module=name, names=(), level=0, eager=not indent)
