"""Everything that is known of a package's files, gathered once for whoever judges them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from emulator.config import FunctionConfig
from emulator.package.binaries import Binary, binaries
from emulator.package.bytecode import Bytecode, examine
from emulator.package.imports import Module, Reach, index, reach
from emulator.package.loading import inferred_runtime
from emulator.package.parts import Distribution, distributions
from emulator.package.runtimes import minor
from emulator.package.tree import Entry, Tree

Key = tuple[str, str]
"""A file: its tree's name and its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """`reach` is None where there is no telling what is imported; `bytecode` where the runtime is not Python's."""

    config: FunctionConfig
    trees: tuple[Tree, ...]
    installed: tuple[tuple[Tree, Distribution], ...]
    owners: Mapping[Key, Distribution]
    binaries: tuple[Binary, ...]
    modules: Mapping[str, Module]
    reach: Reach | None
    bytecode: Bytecode | None
    runtime_assumed: bool

    def owner(self, tree: Tree, entry: Entry) -> Distribution | None:
        """The distribution that installed the file; None for one's own code."""
        return self.owners.get((tree.name, entry.path))


def gather(config: FunctionConfig, trees: Sequence[Tree]) -> Contents:
    """Read what is needed of each file: of most of them nothing, of a .pyc 16 bytes, of a library its headers.

    Where the configuration names no runtime, that of most compiled modules is taken, else our own Python's.
    """
    compiled = tuple(binary for tree in trees for binary in binaries(tree))
    assumed = not config.runtime
    if assumed:
        own = f"python{sys.version_info.major}.{sys.version_info.minor}"
        config = replace(config, runtime=inferred_runtime(compiled) or own)
    installed = tuple((tree, one) for tree in trees for one in distributions(tree))
    owners: dict[Key, Distribution] = {}
    for tree, one in installed:
        for entry in one.entries:
            owners.setdefault((tree.name, entry.path), one)
    modules = index(trees)
    version = minor(config.runtime)
    return Contents(
        config=config,
        trees=tuple(trees),
        installed=installed,
        owners=owners,
        binaries=compiled,
        modules=modules,
        reach=_reach(config, modules, owners),
        bytecode=None if version is None else examine(trees, version),
        runtime_assumed=assumed,
    )


def _reach(config: FunctionConfig, modules: Mapping[str, Module], owners: Mapping[Key, Distribution]) -> Reach | None:
    def own(module: Module) -> bool:
        return (module.tree.name, module.entry.path) not in owners

    module, dot, _ = config.handler.rpartition(".")
    if minor(config.runtime) is None or (config.handler and not dot):
        return None
    roots = [module.replace("/", ".")] if dot else []
    # A handler that was installed wraps one's own, which a variable names: all of that may be called.
    if not roots or (roots[0] in modules and not own(modules[roots[0]])):
        roots += sorted(name for name, one in modules.items() if own(one) and not one.native)
    if not any(root in modules for root in roots):
        return None
    return reach(modules, roots, own)
