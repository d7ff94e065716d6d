"""What Lambda would refuse at deployment is refused here, at the same byte and in the same words."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emulator import variables
from emulator.config import FunctionConfig
from emulator.errors import ConfigurationError, QuotaError
from emulator.service import unzipped_bytes, validate

if TYPE_CHECKING:
    from typing import Any

LIMIT = 262_144_000


@pytest.fixture
def config(tmp_path: Path) -> FunctionConfig:
    """Give a function with an empty code folder."""
    code = tmp_path / "code"
    code.mkdir()
    return FunctionConfig(name="F", handler="app.handler", runtime="python3.13", code=code)


def sparse(path: Path, size: int) -> Path:
    """Write a file of this size that takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    return path


def refusal(config: FunctionConfig, **changes: Any) -> QuotaError | None:  # noqa: ANN401 - any field of it
    """Give the refusal as a value."""
    try:
        validate(replace(config, **changes))
    except QuotaError as error:
        return error
    return None


def accepted(config: FunctionConfig, **changes: Any) -> bool:  # noqa: ANN401 - any field of it
    """Tell whether Lambda would take it; a refusal names the function and says what to do."""
    refused = refusal(config, **changes)
    if refused is not None:
        assert refused.message.startswith("F: ")
        assert refused.hint
    return refused is None


@pytest.mark.parametrize(
    ("field", "minimum", "maximum"),
    [("memory_mb", 128, 10_240), ("timeout_s", 1, 900), ("ephemeral_storage_mb", 512, 10_240)],
)
def test_sizes(config: FunctionConfig, field: str, minimum: int, maximum: int) -> None:
    """Both ends are accepted, one less and one more are not."""
    values = (minimum - 1, minimum, minimum + 1, maximum - 1, maximum, maximum + 1)
    assert [accepted(config, **{field: value}) for value in values] == [False, True, True, True, True, False]


@pytest.mark.parametrize(("count", "fine"), [(0, True), (4, True), (5, True), (6, False)])
def test_layers(config: FunctionConfig, count: int, fine: bool) -> None:  # noqa: FBT001 - a column of the table
    """Five at most."""
    assert accepted(config, layers=(config.code,) * count) is fine


@pytest.mark.parametrize(("length", "fine"), [(127, True), (128, True), (129, False)])
def test_handler(config: FunctionConfig, length: int, fine: bool) -> None:  # noqa: FBT001 - a column of the table
    """128 characters at most."""
    assert accepted(config, handler="h" * length) is fine


@pytest.mark.parametrize(("size", "fine"), [(4095, True), (4096, True), (4097, False)])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_environment(config: FunctionConfig, size: int, fine: bool, letter: str) -> None:  # noqa: FBT001 - a column
    """4 KB of JSON in bytes, whatever the letters."""
    frame = variables.measured_bytes({"KEY": ""})
    count, rest = divmod(size - frame, len(letter.encode()))
    environment = {"KEY": letter * count + "x" * rest}
    assert variables.measured_bytes(environment) == size
    assert accepted(config, environment=environment) is fine


def test_environment_message(config: FunctionConfig) -> None:
    """AWS's sentence, which ends with the string that it has measured (LocalStack's snapshot of 2025-11-25)."""
    with pytest.raises(QuotaError) as caught:
        validate(replace(config, environment={"KEY": "x" * 4096, "ÖTHER": "é"}))
    assert caught.value.message == (
        "F: Lambda was unable to configure your environment variables because the environment variables you have "
        'provided exceeded the 4KB limit. String measured: {"KEY":"' + "x" * 4096 + '","ÖTHER":"é"}'
    )


def test_reserved_names(config: FunctionConfig) -> None:
    """AWS's sentence, with the names in order; it is not a matter of a quota."""
    with pytest.raises(ConfigurationError, match="reserved keys") as caught:
        validate(replace(config, environment={"LAMBDA_TASK_ROOT": "x", "MINE": "y", "AWS_REGION": "z"}))
    assert caught.value.message.endswith("Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT")
    assert not isinstance(caught.value, QuotaError)


@pytest.mark.parametrize("name", ["AB", "aB", "A1", "A_", "KEY_9"])
def test_names_of_variables(config: FunctionConfig, name: str) -> None:
    """A letter, then at least one letter, digit or underscore."""
    assert accepted(config, environment={name: ""})


@pytest.mark.parametrize("name", ["A", "", "1A", "_A", "A-B", "A B", "AB\n", "ÄB", "AÄ", "A.B"])
def test_names_that_lambda_does_not_take(config: FunctionConfig, name: str) -> None:
    """The error has AWS's pattern and the name."""
    with pytest.raises(ConfigurationError, match="regular expression pattern") as caught:
        validate(replace(config, environment={"FINE": "", name: ""}))
    assert repr(name) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("handler", ["app. handler", "app.handler\n", "\tapp.handler"])
def test_a_handler_with_blanks(config: FunctionConfig, handler: str) -> None:
    """They would not be seen in the template."""
    with pytest.raises(ConfigurationError, match="white space"):
        validate(replace(config, handler=handler))


@pytest.mark.parametrize(("size", "fine"), [(LIMIT - 1, True), (LIMIT, False), (LIMIT + 1, False)])
def test_package(config: FunctionConfig, size: int, fine: bool) -> None:  # noqa: FBT001 - a column of the table
    """262,144,000 bytes are too many already: AWS says "must be smaller"."""
    sparse(config.code / "model.bin", size)
    assert accepted(config) is fine


@pytest.mark.parametrize(("size", "fine"), [(LIMIT - 101, True), (LIMIT - 100, False)])
def test_layers_count_for_the_package(config: FunctionConfig, tmp_path: Path, size: int, fine: bool) -> None:  # noqa: FBT001 - a column of the table
    """Code and all layers together."""
    sparse(config.code / "app.py", 40)
    sparse(tmp_path / "one/python/a.py", 60)
    sparse(tmp_path / "two/model.bin", size)
    assert accepted(config, layers=(tmp_path / "one", tmp_path / "two")) is fine


def test_package_message(config: FunctionConfig) -> None:
    """AWS's words, and how much it has."""
    sparse(config.code / "model.bin", 300_000_000)
    with pytest.raises(QuotaError, match=r"Unzipped size must be smaller than 262144000 bytes \(it has 300,000,000\)"):
        validate(config)


def test_the_first_trouble_is_told(config: FunctionConfig) -> None:
    """One clear message, in the order of the table."""
    with pytest.raises(QuotaError, match="memorySize"):
        validate(replace(config, memory_mb=127, timeout_s=0))


def test_unzipped_bytes_adds_files_of_all_folders(tmp_path: Path) -> None:
    """Folders themselves weigh nothing, nor do empty files."""
    sparse(tmp_path / "a/x/y/1", 10)
    sparse(tmp_path / "a/2", 5)
    sparse(tmp_path / "b/.hidden", 3)
    sparse(tmp_path / "b/empty", 0)
    (tmp_path / "b/folder").mkdir()
    assert unzipped_bytes((tmp_path / "a", tmp_path / "b")) == 18
    assert unzipped_bytes((tmp_path / "b/folder",)) == 0
    assert unzipped_bytes(()) == 0


def test_links_are_what_they_are(tmp_path: Path) -> None:
    """A link weighs as much as its text, not what it points to, even when that is a folder, itself or nothing."""
    outside = sparse(tmp_path / "outside/big", 1_000_000)
    code = tmp_path / "code"
    code.mkdir()
    for name, target in {"file": str(outside), "folder": str(outside.parent), "loop": ".", "nothing": "gone"}.items():
        (code / name).symlink_to(target)
    assert unzipped_bytes((code,)) == len(str(outside)) + len(str(outside.parent)) + len(".") + len("gone")


def test_a_linked_code_folder_is_followed(tmp_path: Path) -> None:
    """The folder that was named may itself be a link."""
    sparse(tmp_path / "code/app.py", 7)
    (tmp_path / "current").symlink_to("code")
    assert unzipped_bytes((tmp_path / "current",)) == 7


def test_a_code_folder_that_is_not_there(config: FunctionConfig) -> None:
    """It is the configuration that is wrong."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        validate(replace(config, code=config.code / "nowhere"))


def test_a_layer_folder_that_is_not_there(config: FunctionConfig, tmp_path: Path) -> None:
    """The same for a layer, and for what is no folder."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        validate(replace(config, layers=(config.code, tmp_path / "nowhere")))
    with pytest.raises(ConfigurationError, match=r"layer\.zip"):
        validate(replace(config, layers=(sparse(tmp_path / "layer.zip", 1),)))


def test_a_folder_that_may_not_be_read(config: FunctionConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told with its name and the way to mend it."""

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigurationError, match=str(config.code)) as caught:
        validate(config)
    assert "chmod" in (caught.value.hint or "")


def test_an_image_function(config: FunctionConfig) -> None:
    """Its sizes are checked as any other's; there is no package, so what lies in the template's folder is no matter."""
    function = replace(config, image="example:1", handler="", runtime="")
    sparse(config.code / "large", LIMIT + 1)
    assert accepted(function)
    assert not accepted(function, memory_mb=127)
    assert accepted(replace(function, code=config.code / "gone"))


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("MemorySize", {"memory_mb": 64}),
        ("Timeout", {"timeout_s": 901}),
        ("Handler", {"handler": "a b.c"}),
        ("Environment", {"environment": {"A": "too short a name"}}),
        ("Environment", {"environment": {"AWS_REGION": "reserved"}}),
    ],
)
def test_a_refusal_says_where_the_value_stands(config: FunctionConfig, key: str, changes: dict[str, Any]) -> None:
    """File, line, key and the function's name, with a hint."""
    places = {key: f"template.yaml:7: Resources.X.Properties.{key}"}
    with pytest.raises(ConfigurationError) as caught:
        validate(replace(config, places=places, **changes))
    assert caught.value.message.startswith(f"template.yaml:7: Resources.X.Properties.{key}: F: ")
    assert caught.value.hint
