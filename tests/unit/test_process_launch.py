"""Lambda's folders in a function's environment, translated to the host's."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sandbox.base import SandboxSpec
from emulator.sandbox.process_launch import host_environment

CLIENT = Path("/client")
LANGUAGE = Path("/language")


def host(environment: dict[str, str], *layers: str) -> dict[str, str]:
    """The environment of a function in /code, with these layers."""
    spec = SandboxSpec(
        function_name="f",
        handler="app.handler",
        runtime="python3.12",
        code=Path("/code"),
        layers=tuple(Path(layer) for layer in layers),
        memory_mb=128,
        cpu_share=128 / 1769,
        tmp_mb=512,
        environment=environment,
    )
    return host_environment(spec, runtime=CLIENT, language=LANGUAGE)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LAMBDA_TASK_ROOT", "/var/task", "/code"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime", "/client"),
        ("PATH", "/var/lang/bin:/usr/bin/:/bin:/opt/bin", "/language/bin:/usr/bin/:/bin:/b/bin:/a/bin"),
        ("PATH", "/var/task/bin:/var/taskless", "/code/bin:/var/taskless"),
        (
            "PYTHONPATH",
            "/opt/python/lib/python3.12/site-packages:/opt/python:/var/runtime",
            "/b/python/lib/python3.12/site-packages:/a/python/lib/python3.12/site-packages:/b/python:/a/python:/client",
        ),
        ("LD_LIBRARY_PATH", "/var/lang/lib:/lib64:/usr/lib64:/var/task/lib:/opt/lib", "/code/lib:/b/lib:/a/lib"),
        ("LD_LIBRARY_PATH", "/mine:/usr/lib64/", "/mine"),
        ("PATH", "/bin::/bin:/usr/bin", "/bin:/usr/bin"),
    ],
)
def test_search_paths_and_roots(name: str, value: str, expected: str) -> None:
    """Order is kept, the last layer comes first as it does where layers are merged, doubles go."""
    assert host({name: value}, "/a", "/b") == {name: expected}


def test_a_search_path_with_nothing_left_is_not_set() -> None:
    """An empty entry would mean the working directory."""
    assert host({"LD_LIBRARY_PATH": "/lib64:/usr/lib64", "PYTHONPATH": "/opt/python"}) == {}


@given(st.dictionaries(st.text("ABC_", min_size=1), st.text("/varopts:.", max_size=20)))
def test_other_variables_are_untouched(environment: dict[str, str]) -> None:
    """They are the author's: a value that looks like a path may mean something else."""
    assert host(environment, "/a") == environment
