"""Sizes as Lambda counts them, and what is refused."""

from __future__ import annotations

import os
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError
from emulator.package import Weight, weigh
from emulator.package.compressed import zipped_bytes
from emulator.package.contents import gather
from emulator.package.image import image_weight
from emulator.package.tree import read
from emulator.package.weighing import weight_of
from emulator.service import unzipped_bytes
from tests.packages import Files, config_of, fill, installed

LIMIT = 262_144_000
NAMES = st.sampled_from(["a", "B", "b.py", "tests", "python", "x.so", "ü", "__pycache__"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
FILES = st.dictionaries(PATHS, st.binary(max_size=40), min_size=1, max_size=12)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def codes(weight: Weight) -> set[str]:
    """What was found."""
    return {finding.code for finding in weight.findings}


def put(folder: Path, files: dict[str, bytes]) -> bool:
    """Write those that do not stand in each other's way; whether there is any."""
    for name, content in files.items():
        path = folder / name
        if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return True


@settings(max_examples=40)
@given(code=FILES, layer=FILES)
def test_the_sum_is_lambdas_and_the_parts_are_the_sum(code: dict[str, bytes], layer: dict[str, bytes]) -> None:
    """The service refuses by the same count; every file is in one part."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        put(root / "code", code)
        put(root / "layer", layer)
        weight = weigh(config_of(root / "code", root / "layer"), zipped=True)
        assert weight.unzipped_bytes == unzipped_bytes((root / "code", root / "layer"))
        assert weight.unzipped_bytes == weight.code_bytes + weight.layers_bytes
        assert sum(part.bytes for part in weight.parts) == weight.unzipped_bytes
        assert sum(part.files for part in weight.parts) == weight.file_count
        assert [part.bytes for part in weight.parts] == sorted((part.bytes for part in weight.parts), reverse=True)
        assert weigh(config_of(root / "code", root / "layer"), zipped=True) == weight


@settings(max_examples=40)
@given(files=FILES)
def test_the_zipped_size_is_that_of_pythons_zipfile(files: dict[str, bytes]) -> None:
    """To the byte, since `sam` and others write it with that."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        put(root / "code", files)
        with zipfile.ZipFile(root / "made.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in (root / "code").rglob("*"):
                if path.is_file():
                    archive.write(path, path.relative_to(root / "code"))
        assert zipped_bytes(read(root / "code", "code")) == (root / "made.zip").stat().st_size


@pytest.mark.parametrize(("size", "refused"), [(LIMIT - 1, False), (LIMIT, True), (LIMIT + 1, True)])
def test_the_unzipped_limit(tmp_path: Path, size: int, refused: bool) -> None:  # noqa: FBT001 - pytest hands it over
    """Code and layers together; the size itself is refused."""
    code = fill(tmp_path / "code", {"app.py": "x = 1\n", "model.bin": 100})
    layer = fill(tmp_path / "layer", {"python/big.bin": size - 106})
    weight = weigh(config_of(code, layer))
    assert weight.unzipped_bytes == size
    assert weight.refused is refused
    assert ("unzipped" in codes(weight)) is refused
    assert weight.headroom_bytes == LIMIT - 1 - size


def test_awss_remainder_is_explained(tmp_path: Path) -> None:
    """AWS names what is left beside the layers; the explanation has the figures that make it."""
    code = fill(tmp_path / "code", {"model.bin": 150_000_000})
    layer = fill(tmp_path / "layer", {"big.bin": 120_000_000})
    found = next(one for one in weigh(config_of(code, layer)).findings if one.code == "unzipped")
    assert found.subject == "Unzipped size must be smaller than 142144000 bytes"
    assert "262,144,000 less the 120,000,000 of the layers" in found.message
    assert "The actual size is 270000000 bytes" in found.message
    assert "7,856,001 bytes must go" in (found.hint or "")


def test_layers_alone_and_code_alone_have_their_own_words(tmp_path: Path) -> None:
    """As recorded or reported against AWS."""
    code = fill(tmp_path / "code", {"model.bin": LIMIT})
    layer = fill(tmp_path / "layer", {"big.bin": LIMIT})
    small = fill(tmp_path / "small", {"app.py": 5})
    alone, layers = weigh(config_of(code)), weigh(config_of(small, layer))
    assert alone.findings[0].subject == "Unzipped size must be smaller than 262144000 bytes"
    assert layers.findings[0].subject == "Layers consume more than the available size of 262144000 bytes"


@pytest.mark.parametrize(("size", "refused"), [(52_428_799, False), (52_428_800, True), (52_428_801, True)])
def test_the_zipped_limit_of_a_direct_upload(tmp_path: Path, size: int, refused: bool) -> None:  # noqa: FBT001 - the same
    """A warning in AWS's words, and no refusal: through S3 it goes."""
    config = config_of(fill(tmp_path / "code", {"app.py": "x = 1\n"}))
    weight = weight_of(gather(config, [read(config.code, "code")]), [size])
    assert ("zipped" in codes(weight)) is refused
    assert not weight.refused
    if refused:
        found = next(one for one in weight.findings if one.code == "zipped")
        assert found.subject == "Zipped size must be smaller than 52428800 bytes"
        assert "S3" in (found.hint or "")


@pytest.mark.parametrize(("beyond", "refused"), [(-1, False), (0, False), (1, True)])
def test_the_limit_of_an_image(beyond: int, refused: bool) -> None:  # noqa: FBT001 - the same
    """10 GB, that included."""
    config = replace(config_of(Path(), runtime=""), image="app:1")
    history: list[dict[str, Any]] = [
        {"CreatedBy": "/bin/sh -c #(nop) COPY  a b", "Size": 7},
        {"CreatedBy": "RUN pip", "Size": 9},
        {"Size": 0},
    ]
    weight = image_weight(config, 10 * 1024**3 + beyond, history)
    assert weight.refused is refused
    assert ("image" in codes(weight)) is refused
    assert [(part.name, part.bytes) for part in weight.parts] == [("RUN pip", 9), ("COPY a b", 7)]


def test_links_count_as_links(tmp_path: Path) -> None:
    """As the service counts them; one that leads out or nowhere is told."""
    code = fill(tmp_path / "code", {"app.py": "x = 1\n", "lib/real.txt": "real"})
    fill(tmp_path / "outside", {"big": 1_000_000})
    (code / "link").symlink_to("lib/real.txt")
    (code / "out").symlink_to(tmp_path / "outside" / "big")
    (code / "gone").symlink_to("nothing")
    weight = weigh(config_of(code), zipped=True)
    assert weight.unzipped_bytes == unzipped_bytes((code,)) < 1_000_000
    assert [one.count for one in weight.findings if one.code == "link"] == [1, 1]


def test_parts_are_distributions(tmp_path: Path) -> None:
    """By RECORD, with the libraries beside them and bytecode that came later; in layers too."""
    files = installed("PyThing", "1.2", {"thing/__init__.py": "x = 1\n", "thing/data.bin": 5000, "thing.libs/l.so": 70})
    code = fill(tmp_path / "code", {**files, "thing/__pycache__/__init__.cpython-313.pyc": 30, "app.py": 3})
    layer = fill(
        tmp_path / "layer",
        {f"python/{path}": content for path, content in installed("other", "2", {"other.py": 900}).items()},
    )
    parts = {part.name: part for part in weigh(config_of(code, layer)).parts}
    assert parts["pything"].version == "1.2"
    assert parts["pything"].archive == "code"
    assert parts["pything"].files == 7
    assert parts["pything"].bytes > 5100
    assert parts["other"].archive == "layer"
    assert parts["app.py"].kind == "file"


def test_distributions_without_record(tmp_path: Path) -> None:
    """Trimmed metadata: the folder of its name is its own."""
    code = fill(
        tmp_path / "code", {"numpy/a.py": 10, "numpy.libs/b.so": 20, "numpy-2.0.dist-info/METADATA": "Name: numpy\n"}
    )
    assert [(part.name, part.files) for part in weigh(config_of(code)).parts] == [("numpy", 3)]


def test_a_zip_is_weighed_as_it_lies(tmp_path: Path) -> None:
    """The same sum as its folder, and its own size."""
    files: Files = {"app.py": "import json\n", "data/x.bin": bytes(range(256)) * 40}
    code = fill(tmp_path / "code", files)
    with zipfile.ZipFile(tmp_path / "made.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in code.rglob("*"):
            archive.write(path, path.relative_to(code))
    folder, made = weigh(config_of(code), zipped=True), weigh(config_of(tmp_path / "made.zip"))
    assert made.unzipped_bytes == folder.unzipped_bytes
    assert made.zipped_bytes == (tmp_path / "made.zip").stat().st_size
    assert made.parts == folder.parts


def make_zip(path: Path, *names: str, size: int = 3) -> Path:
    """Members of these names."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"x" * size)
    return path


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.py", "a/../../b", "C:\\x", "..\\x", "\\x"])
def test_a_zip_that_leads_out_of_itself(tmp_path: Path, name: str) -> None:
    """It is refused, by the member's name."""
    path = make_zip(tmp_path / "bad.zip", "app.py", name)
    with pytest.raises(ConfigurationError, match="leads out of it"):
        weigh(config_of(path))


def test_what_cannot_be_weighed(tmp_path: Path) -> None:
    """One message each."""
    fill(tmp_path / "empty", {})
    (tmp_path / "empty" / "folder").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    whole = make_zip(tmp_path / "whole.zip", "app.py", size=1000).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    make_zip(tmp_path / "nothing.zip")
    os.mkfifo(fill(tmp_path / "pipe", {"app.py": 1}) / "fifo")
    for name, words in {
        "gone": "there is no",
        "empty": "nothing to deploy",
        "text.zip": "no zip that can be read",
        "half.zip": "no zip that can be read",
        "nothing.zip": "nothing to deploy",
        "pipe": "neither file, folder nor link",
    }.items():
        with pytest.raises(ConfigurationError, match=words):
            weigh(config_of(tmp_path / name))


@pytest.mark.parametrize("target", [".", "../code", "loop", "sub/.."])
def test_links_in_a_circle(tmp_path: Path, target: str) -> None:
    """A packer that follows links would never end."""
    code = fill(tmp_path / "code", {"app.py": 1, "sub/x": 1})
    (code / "loop").symlink_to(target)
    with pytest.raises(ConfigurationError, match="circle"):
        weigh(config_of(code))


def test_what_is_remembered_is_forgotten_when_a_file_changes(tmp_path: Path) -> None:
    """Of the same size and time of writing even: the time of the last change cannot be set."""
    code = fill(tmp_path / "code", {"app.py": "a" * 1000})
    config: FunctionConfig = config_of(code)
    before = weigh(config, zipped=True).zipped_bytes
    times = (code / "app.py").stat()
    (code / "app.py").write_bytes(os.urandom(1000))
    os.utime(code / "app.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    after = weigh(config, zipped=True).zipped_bytes
    assert before is not None
    assert after is not None
    assert after > before + 500


def test_a_zip_with_a_broken_file(tmp_path: Path) -> None:
    """Its list can be read, and what is in it cannot."""
    path = make_zip(tmp_path / "made.zip", "app.py", size=1000)
    path.write_bytes(path.read_bytes().replace(b"x" * 100, b"y" * 100, 1))
    with pytest.raises(ConfigurationError, match=r"app\.py cannot be unpacked"):
        weigh(config_of(path, handler="app.handler"))
