"""The queue of events, on a clock that the test holds in its hand, and once with threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from emulator.asynchronous import QueuedEvent
from emulator.config import AsynchronousConfig, FunctionConfig
from emulator.errors import BackendError, ConfigurationError, Throttled
from emulator.invocation import FunctionError, InvocationResult, Timings, Usage
from emulator.serving.event_queue import DestinationFolder, EventQueue

Answer = Callable[[QueuedEvent], InvocationResult]


def result(event: QueuedEvent, *, ok: bool) -> InvocationResult:
    """An answer to this event."""
    error = None if ok else FunctionError(type="E", message="failed")
    timings = Timings(init_ms=None, duration_ms=1.0, billed_ms=1)
    return InvocationResult(
        request_id=event.request_id, body=b"{}", error=error, timings=timings, usage=Usage(), log=""
    )


def never(error: Exception) -> None:
    """No fault of ours is expected."""
    raise AssertionError(error)


class Post:
    """A queue for the functions F and G without threads, and what came of it."""

    def __init__(self, answer: Answer, *, scale: float = 1.0, **settings: Any) -> None:  # noqa: ANN401 - AsynchronousConfig's
        self.now = 1000.0
        self.answer = answer
        self.seen: list[tuple[float, str, str]] = []
        self.faults: list[Exception] = []
        self.delivered: list[tuple[str, str, Mapping[str, Any]]] = []
        targets = {"on_success": "a", "on_failure": "b", "dead_letter": "c", **settings}
        functions = {
            name: FunctionConfig(
                name=name,
                handler="a.b",
                runtime="python3.13",
                code=Path("/nowhere"),
                asynchronous=AsynchronousConfig(**targets),
            )
            for name in ("F", "G")
        }
        self.queue = EventQueue(
            functions, self._invoke, self._deliver, self.faults.append, scale=scale, workers=0, clock=lambda: self.now
        )

    def _invoke(self, event: QueuedEvent) -> InvocationResult:
        self.seen.append((self.now - 1000.0, event.function, event.request_id))
        return self.answer(event)

    def _deliver(self, function: str, kind: str, document: Mapping[str, Any]) -> None:
        self.delivered.append((function, kind, document))

    def run(self) -> None:
        """Let time pass until nothing is queued."""
        while (due := self.queue.due_at()) is not None:
            self.now = max(self.now, due)
            assert self.queue.attempt_due()

    @property
    def kinds(self) -> list[str]:
        """What was delivered, by kind."""
        return [kind for _, kind, _ in self.delivered]


def fails(event: QueuedEvent) -> InvocationResult:
    """Every time."""
    return result(event, ok=False)


def succeeds(event: QueuedEvent) -> InvocationResult:
    """Every time."""
    return result(event, ok=True)


def throttled(event: QueuedEvent) -> InvocationResult:
    """Every time."""
    raise Throttled("Rate Exceeded.", reason="ConcurrentInvocationLimitExceeded")


def test_three_attempts_with_one_request_id() -> None:
    """After one minute and after two more; then destination and dead-letter queue are told."""
    post = Post(fails)
    post.queue.submit("F", b"{}", "id")
    post.run()
    assert post.seen == [(0.0, "F", "id"), (60.0, "F", "id"), (180.0, "F", "id")]
    assert post.kinds == ["on-failure", "dead-letter"]
    context = post.delivered[0][2]["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetriesExhausted", 3)


@pytest.mark.parametrize("scale", [0.01, 0.5])
def test_waits_are_scaled(scale: float) -> None:
    """And nothing else is."""
    post = Post(fails, scale=scale)
    post.queue.submit("F", b"{}", "id")
    post.run()
    assert [at for at, _, _ in post.seen] == pytest.approx([0.0, 60 * scale, 180 * scale])


def test_a_later_attempt_may_succeed() -> None:
    """Then it is a success, and counts its attempts."""
    post = Post(lambda event: result(event, ok=event.attempts == 1))
    post.queue.submit("F", b"{}", "id")
    post.run()
    assert post.kinds == ["on-success"]
    assert post.delivered[0][2]["requestContext"]["approximateInvokeCount"] == 2


def test_nothing_is_delivered_where_nobody_wants_it() -> None:
    """No destination, no record."""
    post = Post(fails, on_success=None, on_failure=None, dead_letter=None)
    post.queue.submit("F", b"{}", "id")
    post.run()
    assert post.delivered == []


def test_age_counts_the_waits_as_lambdas() -> None:
    """An event of at most 100 s is tried twice, however short the waits are made."""
    post = Post(fails, scale=0.001, max_age_s=100)
    post.queue.submit("F", b"{}", "id")
    post.run()
    assert len(post.seen) == 2
    assert post.delivered[0][2]["requestContext"]["condition"] == "EventAgeExceeded"


def test_a_throttled_event_stays_until_it_is_too_old() -> None:
    """Also where the waits are none, and without asking ever faster."""
    post = Post(throttled, scale=0.0, max_age_s=600)
    post.queue.submit("F", b"{}", "id")
    post.run()
    times = [at for at, _, _ in post.seen]
    assert len(times) == 10  # 1 + 2 + ... + 256 s, and 300 more would be too many
    assert all(later > earlier for earlier, later in pairwise(times))
    assert post.delivered[0][2]["requestContext"]["approximateInvokeCount"] == 0
    assert post.delivered[1][2]["MessageAttributes"]["ErrorCode"]["StringValue"] == "429"


def test_events_do_not_wait_for_each_other() -> None:
    """What comes while another waits is tried at once, in its order."""
    post = Post(lambda event: result(event, ok=event.function == "G"))
    post.queue.submit("F", b"{}", "f")
    assert post.queue.attempt_due() == 1
    post.now += 10
    post.queue.submit("G", b"{}", "g1")
    post.queue.submit("G", b"{}", "g2")
    assert post.queue.attempt_due() == 2
    assert [name for _, _, name in post.seen] == ["f", "g1", "g2"]


def test_what_is_left_is_told() -> None:
    """Events that wait, and those that come too late."""
    post = Post(fails)
    post.queue.submit("F", b"{}", "one")
    post.queue.attempt_due()
    post.queue.submit("F", b"{}", "two")
    post.queue.stop()
    post.queue.submit("F", b"{}", "three")
    assert post.queue.close() == 3
    assert post.queue.due_at() is None


def test_threads_work_side_by_side() -> None:
    """Five events that can end only together."""
    meeting = threading.Barrier(5)
    apart = threading.Barrier(6)
    done: list[str] = []

    def meets(event: QueuedEvent) -> InvocationResult:
        meeting.wait(timeout=30)
        done.append(event.request_id)
        apart.wait(timeout=30)
        return result(event, ok=True)

    functions = {"F": FunctionConfig(name="F", handler="a.b", runtime="python3.13", code=Path("/nowhere"))}
    queue = EventQueue(functions, meets, lambda *_: None, never)
    for number in range(5):
        queue.submit("F", b"{}", str(number))
    apart.wait(timeout=30)
    assert queue.close() == 0
    assert sorted(done) == list("01234")


def test_a_retry_is_not_held_up_by_a_long_invocation() -> None:
    """There is always a thread that watches the queue."""
    release = threading.Event()
    twice = threading.Event()

    def answer(event: QueuedEvent) -> InvocationResult:
        if event.request_id == "long":
            release.wait(timeout=30)
        elif event.attempts:
            twice.set()
        return result(event, ok=event.request_id == "long" or bool(event.attempts))

    functions = {"F": FunctionConfig(name="F", handler="a.b", runtime="python3.13", code=Path("/nowhere"))}
    queue = EventQueue(functions, answer, lambda *_: None, never, scale=0.001)
    queue.submit("F", b"{}", "short")
    queue.submit("F", b"{}", "long")
    assert twice.wait(timeout=30)
    release.set()
    queue.close()


def test_an_attempt_that_the_end_cuts_off_is_lost() -> None:
    """And told as that, not as a failure of the function's."""
    begun, release = threading.Event(), threading.Event()

    def answer(event: QueuedEvent) -> InvocationResult:
        begun.set()
        release.wait(timeout=30)
        raise BackendError("the emulator is stopping")

    post = Post(answer)
    queue = EventQueue(post.queue._functions, answer, post._deliver, post.faults.append)  # noqa: SLF001 - the same, with threads
    queue.submit("F", b"{}", "id")
    assert begun.wait(timeout=30)
    queue.stop()
    release.set()
    assert queue.close() == 1
    assert post.delivered == []


def test_a_fault_of_ours_does_not_stop_the_queue() -> None:
    """It is told, its event is lost, and the same thread goes on."""
    done = threading.Event()

    def answer(event: QueuedEvent) -> InvocationResult:
        if event.request_id == "bad":
            raise ValueError("a fault")
        done.set()
        return result(event, ok=True)

    post = Post(answer)
    queue = EventQueue(post.queue._functions, answer, post._deliver, post.faults.append, workers=1)  # noqa: SLF001 - see above
    queue.submit("F", b"{}", "bad")
    queue.submit("F", b"{}", "good")
    assert done.wait(timeout=30)
    assert queue.close() == 1
    assert [str(fault) for fault in post.faults] == ["a fault"]
    assert post.kinds == ["on-success"]


def test_destination_folder(tmp_path: Path) -> None:
    """A file for each function and kind, a line for each document."""
    trouble: list[str] = []
    folder = DestinationFolder(tmp_path / "new" / "folder", trouble.append)
    folder.write("F", "on-success", {"a": "\u20ac\n"})
    folder.write("F", "on-success", {"b": 1})
    folder.write("F", "dead-letter", {"c": 1})
    lines = (tmp_path / "new" / "folder" / "F.on-success.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"a": "\u20ac\n"}, {"b": 1}]
    assert (tmp_path / "new" / "folder" / "F.dead-letter.jsonl").read_text() == '{"c":1}\n'
    assert trouble == []


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    """Is told before anything runs; one that goes away is told when it matters."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        DestinationFolder(tmp_path / "file" / "folder", print)
    trouble: list[str] = []
    folder = DestinationFolder(tmp_path / "gone", trouble.append)
    (tmp_path / "gone").rmdir()
    folder.write("F", "on-failure", {})
    assert "F.on-failure.jsonl cannot be written" in trouble[0]
