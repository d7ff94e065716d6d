"""The build of the layer: its keys, its manifest, what it trims and what it tells a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import build


def write(root: Path, *names: str, content: str = "x") -> None:
    """Files with the same content, and the folders that they lie in."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def names_in(root: Path) -> set[str]:
    """All files below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_a_key_tells_any_two_lists_of_parts_apart(one: list[str], other: list[str]) -> None:
    """A character that moves from one part to the next changes the key."""
    assert (build.key_of(one) == build.key_of(other)) == (one == other)


def test_a_key_follows_the_content_of_a_file(tmp_path: Path) -> None:
    """Same name, other content: other key. A file and a text of the same content are the same part."""
    write(tmp_path, "a", content="one")
    assert build.key_of([tmp_path / "a"]) == build.key_of(["one"]) != build.key_of(["two"])


def test_the_layer_is_keyed_by_the_python_it_is_for() -> None:
    """Extension modules of one version do not load in another."""
    keys = {build.layer_key(build.Interpreter(path=Path("p"), version=version)) for version in ("3.11", "3.12")}
    assert len(keys) == 2


def test_a_sealed_folder_is_current_for_its_key_alone(tmp_path: Path) -> None:
    """Another key means that what it was built from has changed."""
    write(tmp_path, "a/b", "c")
    build.seal(tmp_path, "key")
    assert build.is_current(tmp_path, "key")
    assert not build.is_current(tmp_path, "other")


@pytest.mark.parametrize("damage", ["lost", "cut", "added", "manifest lost", "manifest cut", "folder lost"])
def test_a_damaged_folder_is_not_current(tmp_path: Path, damage: str) -> None:
    """Whatever happened to it, the next build makes it anew."""
    folder = tmp_path / "folder"
    write(folder, "a/b", "c", content="content")
    build.seal(folder, "key")
    match damage:
        case "lost":
            (folder / "c").unlink()
        case "cut":
            (folder / "a/b").write_text("con")
        case "added":
            write(folder, "a/d")
        case "manifest lost":
            (folder / build.MANIFEST).unlink()
        case "manifest cut":
            (folder / build.MANIFEST).write_text('{"key": "ke')
        case "folder lost":
            folder.rename(tmp_path / "elsewhere")
    assert not build.is_current(folder, "key")


def test_sealing_makes_all_readable_for_everyone(tmp_path: Path) -> None:
    """The function runs as another user than the one who built, whatever umask that one has."""
    folder = tmp_path / "folder"
    write(folder, "a/b", "c")
    folder.chmod(0o700)
    (folder / "a").chmod(0o700)
    (folder / "c").chmod(0o600)
    build.seal(folder, "key")
    modes = {path.name: path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}
    assert modes == {"folder": 0o755, "a": 0o755, "b": 0o644, "c": 0o644, build.MANIFEST: 0o644}


def test_weighing_leaves_the_manifest_out_at_the_top_alone(tmp_path: Path) -> None:
    """The manifest cannot state its own size; a package's file of the same name counts."""
    write(tmp_path, "a", build.MANIFEST, f"package/{build.MANIFEST}", content="four")
    assert build.weigh(tmp_path) == {"files": 2, "bytes": 8}


def test_publishing_replaces_what_was_there(tmp_path: Path) -> None:
    """The old folder goes into the workspace, which goes away."""
    write(tmp_path, "final/old", "work/made/new")
    build.publish(tmp_path / "work/made", tmp_path / "final")
    assert names_in(tmp_path / "final") == {"new"}
    assert names_in(tmp_path / "work") == {"made.old/old"}
    write(tmp_path, "work/made/newer")
    build.publish(tmp_path / "work/made", tmp_path / "not/yet/there")
    assert names_in(tmp_path / "not/yet/there") == {"newer"}


def test_a_workspace_leaves_nothing_and_sweeps_what_a_killed_build_left(tmp_path: Path) -> None:
    """Also when the build in it fails."""
    write(tmp_path, "tmp-killed/half")

    def interrupted_build() -> None:
        with build.workspace(tmp_path, build.make_display()) as folder:
            assert folder.parent == tmp_path
            assert not (tmp_path / "tmp-killed").exists()
            write(folder, "made")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_build()
    assert names_in(tmp_path) == {"build.lock"}


LOCK = """\
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via
    #   -r requirements/layer.in
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
numpy-extra==1.0 \\
    --hash=sha256:dd
tokenizers==0.23.3 \\
    --hash=sha256:ee
"""


def test_only_direct_requirements_are_installed() -> None:
    """Every variant of each with its hashes, and no package whose name merely starts alike."""
    chosen = build.direct_requirements("# The layer.\nnumpy>=2.1\n", LOCK)
    assert chosen == LOCK[: LOCK.index("numpy-extra")]


def test_the_committed_lock_has_every_direct_requirement() -> None:
    """Nothing that layer.in asks for is missing in what would be installed."""
    names, lock = ((build.REQUIREMENTS / name).read_text("utf-8") for name in ("layer.in", "layer.txt"))
    chosen = build.direct_requirements(names, lock)
    assert {line.split("==")[0] for line in chosen.splitlines() if "==" in line} == {
        "numpy",
        "onnxruntime",
        "tokenizers",
    }


def test_trimming_keeps_code_licences_and_the_wheels_name(tmp_path: Path) -> None:
    """What inference reads stays; licence texts move to NOTICE."""
    keep = {
        "numpy/__init__.py",
        "numpy/_core/_multiarray_umath.so",
        "numpy-2.4.6.dist-info/METADATA",
        "numpy-2.4.6.dist-info/WHEEL",
        "onnxruntime/capi/libonnxruntime_providers_shared.so",
    }
    write(
        tmp_path,
        *keep,
        "bin/f2py",
        "numpy/__init__.pyi",
        "numpy/lib/tests/test_io.py",
        "numpy/_core/include/numpy/x.h",
        "numpy-2.4.6.dist-info/RECORD",
        "numpy-2.4.6.dist-info/licenses/numpy/deep/LICENSE",
        "onnxruntime/capi/libonnxruntime.so.1.32.0",
        "onnxruntime/transformers/optimizer.py",
        content="words of a licence",
    )
    build.trim(tmp_path)
    assert names_in(tmp_path) == keep | {"NOTICE"}
    notice = (tmp_path / "NOTICE").read_text("utf-8")
    assert "numpy-2.4.6.dist-info/licenses/numpy/deep/LICENSE\n\nwords of a licence" in notice


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("[Errno 28] No space left on device: 'x'", "disk is full"),
        ("[Errno 30] Read-only file system: 'x'", "writable"),
        ("error: Failed to fetch: x\n  cause: Connection refused (os error 111)", "network"),
        ("cause: Hash mismatch for `numpy==2.4.6`", "lock file"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "lock file"),
        ("error: No solution found when resolving dependencies", "another PYTHON"),
        ("ERROR: No matching distribution found for onnxruntime==1.32.0", "another PYTHON"),
        ("Segmentation fault", "report"),
    ],
)
def test_a_failure_says_what_to_do(words: str, advice: str) -> None:
    """In the installer's or the kernel's words, the hint fits the cause."""
    assert advice in build.BuildError(words).hint


def test_a_hint_that_is_given_wins() -> None:
    """Who knows the cause does not have it guessed."""
    assert build.BuildError("No space left", "Do this.").hint == "Do this."


def test_a_path_that_is_no_python_is_named(tmp_path: Path) -> None:
    """Not a stack trace."""
    with pytest.raises(build.BuildError, match="does not run as a Python"):
        build.Interpreter.read(tmp_path / "python")


@pytest.mark.parametrize(
    ("name", "answer", "plausible"),
    [
        ("sentiment", {"label": "positive"}, True),
        ("sentiment", {"label": "neutral"}, False),
        ("similarity", {"similarity": 0.89}, True),
        ("similarity", {"similarity": 0.7}, False),
        ("similarity", {"similarity": 0.97}, False),
        ("similarity", {}, False),
    ],
)
def test_only_a_sensible_answer_passes_the_builds_check(
    name: str, answer: dict[str, object], *, plausible: bool
) -> None:
    """A model that loads and answers nonsense is not published with the layer."""
    assert build.is_plausible(name, answer) is plausible


def test_the_manifest_is_readable_by_other_tools(tmp_path: Path) -> None:
    """One JSON object with key, files and bytes."""
    write(tmp_path, "a", content="four")
    build.seal(tmp_path, "key")
    assert json.loads((tmp_path / build.MANIFEST).read_text("utf-8")) == {"key": "key", "files": 1, "bytes": 4}
