"""`preflight start-lambda` when it is stopped: status 0, and nothing left behind, whatever it was doing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.command import ROOT, TEMPLATE, invoke, wait_for
from tests.leaks import left_since, traces
from tests.serving import BACKENDS, Served, served

both_backends = pytest.mark.parametrize("backend", BACKENDS)
both_signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def before() -> set[str]:
    """What lies on this machine before the test."""
    return traces()


def ask(one: Served, name: str, event: object, kind: str = "RequestResponse") -> dict[str, Any] | Exception:
    """Invoke; what came of it, an exception too."""
    client = one.client()
    try:
        answer: dict[str, Any] = client.invoke(FunctionName=name, InvocationType=kind, Payload=json.dumps(event))
        answer["Payload"].read()
    except (ClientError, BotoCoreError) as error:
        failure: Exception = error
        return failure
    else:
        return answer
    finally:
        client.close()


def assert_clean(one: Served, before: set[str]) -> None:
    """No trace on the machine, no traceback of our own in the log."""
    assert left_since(before) == set()
    assert f'File "{ROOT / "emulator"}' not in one.log.read_text()


def log_has(one: Served, text: str, times: int = 1) -> None:
    """Wait until the log has it so often."""
    wait_for(lambda: one.log.read_text().count(text) >= times)


@both_backends
@both_signals
def test_idle(backend: str, number: signal.Signals, tmp_path: Path, before: set[str]) -> None:
    """With a warm environment and a client whose connection is open."""
    with served(tmp_path / "log", "-t", TEMPLATE, "--backend", backend) as one:
        client = one.client()
        client.invoke(FunctionName="Echo")["Payload"].read()
        assert one.ended(number) == 0
        client.close()
    assert_clean(one, before)


@both_backends
@both_signals
def test_busy(backend: str, number: signal.Signals, tmp_path: Path, before: set[str]) -> None:
    """Invocations under way end at once, and their clients are told."""
    template = tmp_path / "template.yaml"
    template.write_text(
        TEMPLATE.read_text()
        .replace("Timeout: 1 ", "Timeout: 600 ")
        .replace("code/", f"{TEMPLATE.parent}/code/")
        .replace("broken/", f"{TEMPLATE.parent}/broken/")
    )
    with served(tmp_path / "log", "-t", template, "--backend", backend) as one, ThreadPoolExecutor(4) as pool:
        held: list[Future[dict[str, Any] | Exception]] = [
            pool.submit(ask, one, "Sleeps", {"seconds": 300}) for _ in range(3)
        ]
        ask(one, "Sleeps", {"seconds": 300}, "Event")
        log_has(one, "going to sleep", 4)
        assert one.ended(number) == 0
        told = [str(future.result()) for future in held]
        assert all("the emulator was stopped during the invocation" in each for each in told), told
    assert_clean(one, before)
    assert "asynchronous events that were not finished, and are lost: 1\n" in one.log.read_text()


@both_backends
def test_while_environments_are_made(backend: str, tmp_path: Path, before: set[str]) -> None:
    """At any time after many have asked."""
    for delay in (0.0, 0.05, 0.15, 0.4):
        with served(tmp_path / "log", "-t", TEMPLATE, "--backend", backend) as one:
            clients = [threading.Thread(target=ask, args=(one, "Echo", {})) for _ in range(6)]
            for client in clients:
                client.start()
            time.sleep(delay)
            assert one.ended(signal.SIGTERM) == 0
            for client in clients:
                client.join()
        assert_clean(one, before)


def test_impatience(tmp_path: Path, before: set[str]) -> None:
    """Ctrl-C reaches the whole process group, and more than once."""
    with served(tmp_path / "log", "-t", TEMPLATE, "--backend", "process") as one:
        ask(one, "Echo", {})
        for _ in range(3):
            os.killpg(one.process.pid, signal.SIGINT)
            time.sleep(0.02)
        assert one.process.wait(timeout=60) == 0
    assert_clean(one, before)


def test_events_that_wait(tmp_path: Path, before: set[str]) -> None:
    """Are lost, which is said."""
    with served(tmp_path / "log", "-t", TEMPLATE, "--backend", "process") as one:
        for _ in range(2):
            ask(one, "Raises", {}, "Event")
        log_has(one, "REPORT", 2)
        assert one.ended(signal.SIGTERM) == 0
    assert "asynchronous events that were not finished, and are lost: 2\n" in one.log.read_text()
    assert_clean(one, before)


@both_backends
def test_killed(backend: str, tmp_path: Path, before: set[str]) -> None:
    """Nobody can tidy up after SIGKILL but the next start, which does."""
    with served(tmp_path / "log", "-t", TEMPLATE, "--backend", backend) as one:
        ask(one, "Echo", {})
        one.process.kill()
        one.process.wait(timeout=60)
    assert invoke("Echo", "--backend", backend).status == 0
    assert left_since(before) == set()
