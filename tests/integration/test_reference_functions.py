"""Both reference functions as they are deployed, run by the emulator under their limits, for every kind of caller."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator import template
from emulator.config import FunctionConfig
from emulator.invocation import InvocationResult
from emulator.sandbox.base import Backend
from emulator.service import LambdaService
from handlers import build

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "fixtures" / "events"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
FUNCTIONS = {"sentiment": "SentimentFunction", "similarity": "SimilarityFunction"}
BROKEN = {"NoModel": "model.onnx is missing in ", "CutModel": "model.onnx in ", "NoTokenizer": "tokenizer.json is mis"}
LONG = "This sentence goes on and on and says nothing new at all. " * 175

LETTERS = st.characters(categories=["L", "N", "P", "S", "Zs", "M"])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(LETTERS, max_size=30),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(LETTERS, max_size=5), children, max_size=3)
    ),
)


TASKS = list(FUNCTIONS)


def broken(folder: Path, given: FunctionConfig, name: str) -> FunctionConfig:
    """The similarity function deployed without, or with half of, one of its files."""
    code = folder / name
    shutil.copytree(build.HANDLERS / "similarity", code, ignore=shutil.ignore_patterns("__pycache__"))
    path = code / "model" / ("tokenizer.json" if name == "NoTokenizer" else "model.onnx")
    content = path.read_bytes()
    path.unlink()
    if name == "CutModel":
        path.write_bytes(content[: len(content) // 2])
    return replace(given, name=name, code=code)


@pytest.fixture(
    scope="module",
    params=[  # one worker of pytest-xdist for each, so that its service is made once
        pytest.param("process", marks=pytest.mark.xdist_group("functions-process")),
        pytest.param("docker", marks=[pytest.mark.engine, pytest.mark.xdist_group("functions-docker")]),
    ],
)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LambdaService]:
    """All functions of handlers/template.yaml, and three copies that cannot start."""
    folder = tmp_path_factory.mktemp("broken")
    folder.chmod(0o755)  # a function is another user
    loaded = template.load(
        build.HANDLERS / "template.yaml", parameters={"PythonRuntime": RUNTIME, "Architecture": ARCHITECTURE}
    )
    functions = {config.name: config for config in loaded.all()}
    functions |= {name: broken(folder, functions["SimilarityFunction"], name) for name in BROKEN}
    with LambdaService(functions, backend(request.param)) as service:
        yield service


def backend(name: str) -> Backend:
    """Imported when it is asked for, since not every machine has an engine."""
    if name == "docker":
        from emulator.sandbox.docker import DockerBackend
        from emulator.sandbox.docker_engine import connect

        return DockerBackend(connect())
    from emulator.sandbox.process import ProcessBackend

    return ProcessBackend()


def invoke(service: LambdaService, name: str, event: object) -> InvocationResult:
    """In a warm environment where there is one."""
    return service.invoke(FUNCTIONS.get(name, name), json.dumps(event).encode())


def payload(service: LambdaService, name: str, event: object) -> Any:  # noqa: ANN401 - JSON of any shape
    """What a function that must not fail answers."""
    result = invoke(service, name, event)
    assert result.error is None, result.log
    return result.payload


def single(task: str, text: str) -> dict[str, str]:
    """The plain event of one text."""
    return {"text": text} if task == "sentiment" else {"sentence1": text, "sentence2": "A short sentence."}


def assert_answer(task: str, answer: dict[str, Any]) -> None:
    """A cosine, or three probabilities of which the label names the greatest."""
    if task == "similarity":
        assert -1 <= answer["similarity"] <= 1
        return
    scores = answer["scores"]
    assert list(scores) == ["negative", "neutral", "positive"]
    assert sum(scores.values()) == pytest.approx(1, abs=1e-4)
    assert scores[answer["label"]] == max(scores.values())


@pytest.mark.parametrize("task", TASKS)
def test_every_fixture_is_answered_or_refused_as_named(service: LambdaService, task: str) -> None:
    """Plain events, a batch, an HTTP request and messages of a queue; those named bad are InvalidInput."""
    for path in sorted(EVENTS.glob(f"{task}-*.json")):
        result = invoke(service, task, json.loads(path.read_text("utf-8")))
        found = result.error.type if result.error else None
        assert found == ("InvalidInput" if "-bad" in path.stem else None), (path.stem, result.log)


@pytest.mark.parametrize("task", TASKS)
def test_all_callers_get_the_same_answer(service: LambdaService, task: str) -> None:
    """Over HTTP, from a queue (in the log) or plain: a text's answer does not depend on the way it came."""
    event = single(task, "The room was not bad at all.")
    plain = payload(service, task, event)
    assert_answer(task, plain)
    request = {"httpMethod": "POST", "requestContext": {}, "body": json.dumps(event)}
    response = payload(service, task, request)
    assert (response["statusCode"], json.loads(response["body"])) == (200, plain)
    message = {"messageId": "m1", "eventSource": "aws:sqs", "body": json.dumps(event)}
    result = invoke(service, task, {"Records": [message, {**message, "messageId": "m2", "body": "{}"}]})
    assert result.payload == {"batchItemFailures": [{"itemIdentifier": "m2"}]}
    assert json.dumps({"messageId": "m1", **plain}) in result.log


@pytest.mark.parametrize("task", TASKS)
def test_neighbours_have_no_influence(service: LambdaService, task: str) -> None:
    """To the last digit, although int8 rounds otherwise in a shared batch."""
    texts = ["Not bad at all!", "The room smelled of smoke.", LONG[:600], "We open at nine."]
    one_by_one = [payload(service, task, single(task, text)) for text in texts]
    pairs = [list(single("similarity", text).values()) for text in texts]
    batch = {"texts": texts} if task == "sentiment" else {"pairs": pairs}
    assert payload(service, task, batch) == {"results": one_by_one}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("text", ["Это лучший день.", "東京は雨です。", "مرحبا بالعالم", "🎉🎉🎉", "नमस्ते", "x" * 9_000])
def test_other_scripts_are_answered(service: LambdaService, task: str, text: str) -> None:
    """With scores that mean little, and without a crash."""
    assert_answer(task, payload(service, task, single(task, text)))


@pytest.mark.parametrize("task", TASKS)
def test_ten_thousand_characters_are_truncated(service: LambdaService, task: str) -> None:
    """And the answer says so; one sentence of them is answered without a word about it."""
    assert len(LONG) > 10_000
    answer = payload(service, task, single(task, LONG))
    assert_answer(task, answer)
    assert answer["truncated"] is True
    assert "truncated" not in payload(service, task, single(task, LONG[:57]))


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_over_the_limit_is_refused_with_the_limit(service: LambdaService, task: str) -> None:
    """As the message of the error, without a stack trace through our code that would hide it."""
    event = {"texts": ["a"] * 257} if task == "sentiment" else {"pairs": [["a", "b"]] * 257}
    result = invoke(service, task, event)
    assert result.error is not None
    assert result.error.type == "InvalidInput"
    assert result.error.message.endswith(f" has length 257: 1 to 256 {next(iter(event))} are answered at once")


@pytest.mark.parametrize("task", TASKS)
def test_a_refusal_is_one_clear_line(service: LambdaService, task: str) -> None:
    """Of every kind of bad input: what is wrong and what was expected, in log and answer, and no frame of anybody's."""
    half = "\ud800"
    given: list[object] = [
        None,
        1,
        "text",
        [],
        {},
        {"Records": [3]},
        dict.fromkeys(single(task, ""), 7),
        single(task, " "),
        single(task, half),
    ]
    given += [{"texts": []}, {"texts": "a"}] if task == "sentiment" else [{"pairs": []}, {"pairs": [["a"]]}]
    for event in given:
        result = invoke(service, task, event)
        assert result.error is not None, event
        assert (result.error.type, result.error.stack_trace) == ("InvalidInput", ()), event
        assert "\n" not in result.error.message
        said = [line for line in result.log.splitlines() if "RequestId: " not in line]
        # The runtime client writes its heading whatever follows.
        assert said == [f"[ERROR] InvalidInput: {result.error.message}", "Traceback (most recent call last):"], event
    assert_answer(task, payload(service, task, single(task, "All is well again.")))


@pytest.mark.parametrize("task", TASKS)
def test_any_json_is_answered_or_refused(service: LambdaService, task: str) -> None:
    """Whatever comes in, the environment lives on and the only error is InvalidInput."""
    keys = ["text", "texts", "sentence1", "sentence2", "pairs", "body", "Records", "httpMethod", "requestContext"]

    @settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
    @given(JSON_VALUES | st.dictionaries(st.sampled_from(keys), JSON_VALUES, max_size=4))
    def check(event: object) -> None:
        error = invoke(service, task, event).error
        assert error is None or error.type == "InvalidInput", error

    check()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_deployment_fails_in_init_with_one_line(service: LambdaService, name: str) -> None:
    """The line names the file; no stack trace follows it."""
    result = invoke(service, name, single("similarity", "a"))
    assert result.error is not None
    assert result.error.type == "Runtime.ImportModuleError"
    assert result.error.message.startswith(f"Unable to import module 'app': {BROKEN[name]}")
    assert "\n" not in result.error.message
    assert 'File "' not in result.log
