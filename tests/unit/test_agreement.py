"""`python -m benchmarks.agreement`, and the frame that it shares with the other commands."""

from __future__ import annotations

import argparse
import signal

import pytest

from benchmarks import agreement as tune_agreement
from benchmarks import frame
from emulator.errors import ConfigurationError


def sweep(cost: int, speed: int, *, agreement: float = 1.0) -> tune_agreement.Sweep:
    """What `preflight tune --json` told of one run."""
    taken = {"cost": cost, "speed": speed, "balanced": 512}
    sizes = [{"disturbed": 2}, {"disturbed": 1}]
    return tune_agreement.sweep_of({"by_strategy": taken, "agreement": agreement, "seconds": 44.6, "sizes": sizes})


def test_pairs_of_sweeps_agree_or_not() -> None:
    """Strategy by strategy; the table tells each pair."""
    pairs = [(sweep(256, 512), sweep(512, 512, agreement=0.9)), (sweep(512, 1024), sweep(512, 1024))]
    counts = tune_agreement.agreeing(pairs)
    assert counts == {"cost": 1, "speed": 2, "balanced": 2}
    text = tune_agreement.as_text(pairs, counts)
    assert "256 and 512" in text
    assert "100% and 90%" in text
    assert text.endswith("pairs that agree: cost 1 of 2, speed 2 of 2, balanced 2 of 2")


def test_agreement_hands_on_what_it_does_not_know() -> None:
    """To `preflight tune`; no pair at all is a usage error."""
    assert tune_agreement.parse(["--pairs", "2", "--memory", "128,512"]).more == ["--memory", "128,512"]
    with pytest.raises(SystemExit):
        tune_agreement.parse(["--pairs", "0"])


@pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt(), 130), (ConfigurationError("no", hint="yes"), 2)])
def test_a_command_ends_with_a_message(
    raised: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped or refused: message and hint on standard error, and SIGTERM is asked to stop it as Ctrl-C does."""
    handled: list[int] = []
    monkeypatch.setattr(signal, "signal", lambda number, _handler: handled.append(number))

    def run(_options: object, _console: object) -> int:
        raise raised

    assert frame.framed(run, argparse.Namespace(), "kept") == status
    assert handled == [signal.SIGTERM]
    assert ("kept" if status == 130 else "yes") in capsys.readouterr().err
    assert frame.framed(lambda _options, _console: 1, argparse.Namespace()) == 1
