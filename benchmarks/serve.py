"""`preflight start-lambda` as an AWS client meets it: boto3's round trips beside RIE's, and how soon it listens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from benchmarks import rie, warm
from benchmarks.bed import FUNCTION
from benchmarks.cold import child_environment, template
from benchmarks.rows import SERVE_P50_NAME, SERVE_P50_RATIO, Row
from benchmarks.stats import Estimate, median_estimate, plan_blocks, quantile, quantile_ratio
from emulator.errors import BackendError
from emulator.sandbox import owner

if TYPE_CHECKING:
    from benchmarks.bed import Bed
    from benchmarks.peers import PeerImage

_STARTS: Final = 5
_BLOCKS: Final = 10
_FIRST: Final = 100
_GIVE_UP_S: Final = 60
_MS: Final = 1000
_RIE_NAME: Final = "function"  # the only one that it knows


def measure(bed: Bed, image: PeerImage, preflight: Path, trips: int) -> tuple[list[Row], dict[str, Any]]:
    """At least `trips` invocations each through boto3, and some starts of the server."""
    with tempfile.TemporaryDirectory(prefix=owner.name_prefix("bench")) as folder:
        scratch = Path(folder)
        (scratch / "template.yaml").write_text(template(bed.code, bed.runtime, bed.architecture))
        environment = child_environment(os.environ, bed.engine.address, scratch)
        listening = []
        for number in range(_STARTS):
            bed.say(f"serve: start {number + 1} of {_STARTS}")
            with _serving(preflight, environment, scratch) as (_, seconds):
                listening.append(seconds * _MS)
        with _serving(preflight, environment, scratch) as (address, _), rie.running(bed, image) as peer:
            callers = {"ours": _caller(address, FUNCTION), "rie": _caller(f"http://{peer[0]}:{peer[1]}", _RIE_NAME)}
            bed.say("serve: first calls, not counted")
            for call in callers.values():
                warm.block(call, _FIRST)
            blocks = warm.interleaved(callers, plan_blocks(trips, _BLOCKS), lambda text: bed.say(f"serve, {text}"))
    rows = [
        Row(
            part="serve",
            name=SERVE_P50_NAME,
            unit="x",
            estimate=quantile_ratio(blocks["ours"], blocks["rie"], 0.5),
            at_most=SERVE_P50_RATIO,
            note="boto3, kept alive",
        ),
        *(
            Row(part="serve", name=f"boto3 to {words}, p50", unit="ms", estimate=_median_of_blocks(blocks[name]))
            for name, words in (("ours", "start-lambda"), ("rie", "RIE"))
        ),
        Row(part="serve", name="start-lambda, until it listens", unit="ms", estimate=median_estimate(listening)),
    ]
    return rows, {"blocks_ms": blocks, "listening_ms": listening}


def _median_of_blocks(blocks: list[list[float]]) -> Estimate:
    each = [quantile(block, 0.5) for block in blocks]
    whole = quantile([value for block in blocks for value in block], 0.5)
    return Estimate(value=whole, n=sum(map(len, blocks)), low=min(each), high=max(each))


@contextmanager
def _serving(preflight: Path, environment: dict[str, str], scratch: Path) -> Iterator[tuple[str, float]]:
    """The server's address, and how long it took to tell it."""
    begin = time.perf_counter()
    command = [str(preflight.absolute()), "start-lambda", "-t", "template.yaml", "--port", "0", "--backend", "docker"]
    with (
        (scratch / "server.log").open("wb") as log,
        subprocess.Popen(
            command, cwd=scratch, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            said = process.stdout.readline() if process.stdout is not None else ""
            took = time.perf_counter() - begin
            found = re.fullmatch(r"Listening on (\S+)\n", said)
            if found is None:
                raise BackendError(f"start-lambda said {said!r}", hint=(scratch / "server.log").read_text()[-500:])
            yield found[1], took
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_GIVE_UP_S)


def _caller(address: str, function: str) -> Callable[[bytes], bytes]:
    client = boto3.client(
        "lambda",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",  # noqa: S106 - no secret: neither server looks at a signature
        config=Config(retries={"max_attempts": 0}),
    )

    def call(event: bytes) -> bytes:
        payload: bytes = client.invoke(FunctionName=function, Payload=event)["Payload"].read()
        return payload

    return call
