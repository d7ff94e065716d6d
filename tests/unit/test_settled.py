"""Functions that were settled before: found without the template's reader, and only while nothing has changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator import settled, template
from emulator.config import FunctionConfig, LoggingConfig
from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPLATE = """
Parameters: {Word: {Type: String, Default: from the template}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      {CodeUri: code, Handler: app.handler, Runtime: python3.13, MemorySize: 256,
       Environment: {Variables: {WORD: !Ref Word}}}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a template with one function, beside an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "code").mkdir()
    made = tmp_path / "template.yaml"
    made.write_text(TEMPLATE)
    return made


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Give the templates that were read."""
    found: list[Path] = []
    load = template.load

    def watched(path: Path, *, parameters: dict[str, str]) -> template.Template:
        found.append(path)
        return load(path, parameters=parameters)

    monkeypatch.setattr(template, "load", watched)
    return found


def find(path: Path, name: str = "F", **changes: str) -> FunctionConfig:
    """Settle a function, the parameters as given."""
    return settled.function(path, name, parameters=changes, variables=None)


def test_settled_once(path: Path, reads: list[Path]) -> None:
    """The second time, nothing is read, and the answer is the same."""
    first, second = find(path), find(path)
    assert first == second == template.load(path, parameters={}).find("F")
    assert (second.memory_mb, second.environment) == (256, {"WORD": "from the template"})
    assert len(reads) == 2


def test_a_change_is_seen(path: Path, reads: list[Path]) -> None:
    """Of the template, and by another name."""
    find(path)
    path.write_text(TEMPLATE.replace("256", "1024"))
    assert find(path).memory_mb == 1024
    assert len(reads) == 2
    with pytest.raises(ConfigurationError, match="no function 'G'"):
        find(path, "G")


def test_what_came_from_elsewhere_is_not_kept(path: Path, tmp_path: Path, reads: list[Path]) -> None:
    """Parameters and environment files may hold secrets: neither is written down, and neither is answered from it."""
    find(path)
    assert find(path, Word="secret").environment == {"WORD": "secret"}
    variables = tmp_path / "env.json"
    variables.write_text(json.dumps({"F": {"WORD": "secret"}}))
    assert settled.function(path, "F", parameters={}, variables=variables).environment == {"WORD": "secret"}
    assert len(reads) == 3
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert len(kept) == 1
    assert "secret" not in kept[0].read_text()
    assert kept[0].stat().st_mode & 0o077 == 0


def test_a_link_that_points_elsewhere(path: Path, tmp_path: Path) -> None:
    """The code is where the link leads when the function runs, not where it led."""
    (tmp_path / "code").rename(tmp_path / "v1")
    (tmp_path / "code").symlink_to("v1")
    assert find(path).code.resolve() == tmp_path / "v1"
    (tmp_path / "v2").mkdir()
    (tmp_path / "code").unlink()
    (tmp_path / "code").symlink_to("v2")
    assert find(path).code.resolve() == tmp_path / "v2"


def test_a_folder_that_has_gone(path: Path, tmp_path: Path) -> None:
    """Told as at first, with the line in the template."""
    find(path)
    (tmp_path / "code").rmdir()
    with pytest.raises(ConfigurationError, match=r"template\.yaml:7"):
        find(path)


@given(
    config=st.builds(
        FunctionConfig,
        name=st.text(),
        handler=st.text(),
        runtime=st.text(),
        code=st.text().map(lambda text: Path(text.replace("\0", ""))),
        architecture=st.sampled_from(["x86_64", "arm64"]),
        memory_mb=st.integers(),
        layers=st.lists(st.sampled_from(["a", "/b/c"]).map(Path)).map(tuple),
        environment=st.dictionaries(st.text(), st.text()).map(MappingProxyType),
        reserved_concurrency=st.none() | st.integers(),
        image=st.none() | st.text(),
        places=st.dictionaries(st.text(), st.text()).map(MappingProxyType),
        logging=st.builds(
            LoggingConfig,
            format=st.sampled_from(["Text", "JSON"]),
            application_level=st.none() | st.sampled_from(["TRACE", "FATAL"]),
            system_level=st.none() | st.sampled_from(["DEBUG", "WARN"]),
            group=st.none() | st.text(),
        ),
        entry_point=st.lists(st.text()).map(tuple),
        command=st.lists(st.text()).map(tuple),
        working_directory=st.text(),
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_every_field_is_kept(config: FunctionConfig) -> None:
    """Whatever a function is made of: a field that was forgotten here would come back as its default."""
    kept = settled._from_text(settled._to_text(config))  # noqa: SLF001 - the round trip is the subject
    assert kept == config
    assert kept.places == config.places  # which equality leaves out


def test_yaml_is_not_imported_for_what_is_known(path: Path) -> None:
    """That is what it is for."""
    find(path)
    script = (
        "import sys; from pathlib import Path; from emulator import settled; "
        f"settled.function(Path({str(path)!r}), 'F', parameters={{}}, variables=None); "
        "sys.exit('yaml' in sys.modules)"
    )
    import subprocess

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_default_path_prefers_yaml(tmp_path: Path) -> None:
    """In the order of `sam local`; a folder of that name does not count."""
    error = told(lambda: settled.default_path(tmp_path))
    assert error.message == f"no template in {tmp_path}: looked for template.yaml, template.yml, template.json"
    assert error.hint is not None
    for name in ("template.json", "template.yml"):
        (tmp_path / name).touch()
        assert settled.default_path(tmp_path) == tmp_path / name
    (tmp_path / "template.yaml").mkdir()
    assert settled.default_path(tmp_path) == tmp_path / "template.yml"
    (tmp_path / "template.yaml").rmdir()
    (tmp_path / "template.yaml").touch()
    assert settled.default_path(tmp_path) == tmp_path / "template.yaml"


def told(act: Callable[[], object]) -> ConfigurationError:
    """Give the error."""
    with pytest.raises(ConfigurationError) as caught:
        act()
    return caught.value
