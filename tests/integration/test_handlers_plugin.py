"""The reference functions as a user of the pytest plugin tests them: the contract's example, in both backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from emulator.golden.evaluation import Evaluation
    from emulator.package import Weight
    from emulator.pytest_plugin_functions import LambdaFunction

PARAPHRASE = {"sentence1": "A man is playing a guitar.", "sentence2": "Someone plays the guitar."}
UNRELATED = {"sentence1": "A man is playing a guitar.", "sentence2": "The stock market fell by two percent."}


@pytest.fixture(
    scope="session",
    params=[  # one worker of pytest-xdist for each, so that its service is made once
        pytest.param("process", marks=pytest.mark.xdist_group("functions-process")),
        pytest.param("docker", marks=[pytest.mark.engine, pytest.mark.xdist_group("functions-docker")]),
    ],
)
def lambda_backend(request: pytest.FixtureRequest) -> str:
    """Both."""
    backend: str = request.param
    return backend


def test_similarity(lambda_function: Callable[..., LambdaFunction]) -> None:
    """The first invocation is cold, the next is not."""
    function = lambda_function("SimilarityFunction", memory_mb=512)
    result = function.invoke(PARAPHRASE)
    assert result.payload["similarity"] > 0.6
    assert result.timings.init_ms is not None
    assert result.usage.max_memory_mb is not None
    assert 60 < result.usage.max_memory_mb < 400
    assert function.invoke(UNRELATED).payload["similarity"] < 0.3
    assert function.invoke(UNRELATED).timings.init_ms is None
    assert function.invoke(UNRELATED, cold=True).timings.init_ms is not None


@pytest.mark.parametrize("event", [PARAPHRASE, UNRELATED])
def test_warm(warm_function: Callable[..., LambdaFunction], event: dict[str, str]) -> None:
    """Both tests find the environment warm, whichever comes first."""
    result = warm_function("SimilarityFunction", event=PARAPHRASE).invoke(event)
    assert result.ok
    assert result.timings.init_ms is None


@pytest.mark.lambda_limit("memory.max_mb", max=160)
@pytest.mark.lambda_limit("quality.score", min=0.45)
@pytest.mark.lambda_limit("errors.count", max=0)
def test_golden(lambda_function: Callable[..., LambdaFunction], lambda_evaluate: Callable[..., Evaluation]) -> None:
    """The dataset and its scorer are those of handlers/preflight.toml."""
    found = lambda_evaluate(lambda_function("SimilarityFunction"))
    assert found.scorer == "spearman"
    assert len(found.scores) == found.cases > 200


@pytest.mark.lambda_limit("package.unzipped_mb", max=200)
def test_package(lambda_package: Callable[[str], Weight]) -> None:
    """Code and layers, each file once."""
    weight = lambda_package("SimilarityFunction")
    assert not weight.refused
    assert weight.unzipped_bytes == weight.code_bytes + weight.layers_bytes > 50_000_000
