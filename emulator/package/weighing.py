"""Weighs a function's code and layers together, as Lambda counts them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from emulator.config import FunctionConfig
from emulator.limits import check, quota
from emulator.package import parts, tree
from emulator.package.compressed import zipped_bytes
from emulator.package.weight import Archive, FileWeight, Weight

UNZIPPED: Final = "Unzipped package with layers"
CODE: Final = "code"
_HEAVIEST_FILES: Final = 100


def weigh(config: FunctionConfig, *, zipped: bool = False) -> Weight:
    """Weigh code and layers, or the image, and look at what is in them.

    `config.code` may be a zip too. With `zipped`, all is really compressed to say how large the uploads are, which
    takes seconds the first time. Raises ConfigurationError for what cannot be read; what Lambda would refuse is in
    `violations`, what would not load there in `findings`.
    """
    names = _names(config.layers)
    trees = [
        tree.read(config.code, CODE),
        *(tree.read(path, name) for path, name in zip(config.layers, names, strict=True)),
    ]
    return _weight(config, trees, [zipped_bytes(one) if zipped else one.zipped_bytes for one in trees])


def _weight(config: FunctionConfig, trees: list[tree.Tree], zipped: list[int | None]) -> Weight:
    found = [part for one in trees for part in parts.parts(one, parts.distributions(one))]
    code, *layers = (one.unzipped_bytes for one in trees)
    files = [
        FileWeight(path=entry.path, bytes=entry.size, archive=one.name)
        for one in trees
        for entry in one.entries
        if entry.kind != "folder"
    ]
    files.sort(key=lambda file: (-file.bytes, file.archive, file.path))
    total = code + sum(layers)
    row = quota(UNZIPPED)
    return Weight(
        name=config.name,
        unzipped_bytes=total,
        code_bytes=code,
        layers_bytes=sum(layers),
        zipped_bytes=zipped[0],
        limit_bytes=(row.maximum or 0) + 1,
        parts=tuple(sorted(found, key=lambda part: (-part.bytes, part.archive, part.name))),
        files=tuple(files[:_HEAVIEST_FILES]),
        archives=tuple(
            Archive(name=one.name, unzipped_bytes=one.unzipped_bytes, files=one.files, zipped_bytes=size)
            for one, size in zip(trees, zipped, strict=True)
        ),
        findings=(),
        violations=tuple(check("package", {UNZIPPED: total})),
        file_count=sum(one.files for one in trees),
    )


def _names(layers: tuple[Path, ...]) -> list[str]:
    """A layer is called by its folder; with the folder above where two have one name."""
    seen = Counter(path.name for path in layers)
    return [path.name if seen[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in layers]
