"""The pure parts of `python -m benchmarks`: statistics, verdicts, and what is told to the peers and to the reader."""

from __future__ import annotations

import io
import json
import statistics
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import accuracy, cold, machine, peers, report, rie, warm
from benchmarks.__main__ import parse
from benchmarks.rows import PARTS, TITLES, Part, Row, all_pass, not_measured
from benchmarks.stats import (
    Estimate,
    median_estimate,
    order_confidence,
    paired_ratio,
    plan_blocks,
    quantile,
    quantile_ratio,
)
from emulator.errors import ConfigurationError

times = st.lists(st.floats(min_value=0.01, max_value=1e6), min_size=1, max_size=40)


class TestQuantile:
    """A value from its ordered neighbours."""

    @given(times, st.floats(min_value=0, max_value=1))
    def test_lies_between_the_least_and_the_greatest(self, values: list[float], share: float) -> None:
        """No quantile is outside its values."""
        assert min(values) <= quantile(values, share) <= max(values)

    @given(times)
    def test_agrees_with_the_standard_library_on_the_median(self, values: list[float]) -> None:
        """The half quantile is the median."""
        assert quantile(values, 0.5) == pytest.approx(statistics.median(values))

    @pytest.mark.parametrize(("share", "expected"), [(0, 1), (0.25, 2), (0.3, 2.2), (0.99, 4.96), (1, 5)])
    def test_interpolates(self, share: float, expected: float) -> None:
        """Between two values it lies on the line between them, whatever their order."""
        assert quantile([4, 1, 5, 3, 2], share) == pytest.approx(expected)

    def test_of_nothing_is_refused(self) -> None:
        """No values, no quantile: never 0."""
        with pytest.raises(ValueError, match="nothing"):
            quantile([], 0.5)


class TestMedianEstimate:
    """A median and how surely the true one is how near."""

    @given(times)
    def test_the_interval_holds_the_median_and_is_made_of_values(self, values: list[float]) -> None:
        """Both ends were measured, and the median is between them."""
        found = median_estimate(values)
        assert found.n == len(values)
        if found.low is not None and found.high is not None:
            assert found.low <= found.value <= found.high
            assert {found.low, found.high} <= set(values)
        else:
            assert len(values) == 1

    def test_one_value_has_no_spread(self) -> None:
        """What was measured once tells nothing of its spread."""
        assert median_estimate([7.0]) == Estimate(value=7.0, n=1)

    @pytest.mark.parametrize(("n", "sure"), [(2, 0.5), (5, 0.9375), (6, 0.96875)])
    def test_few_values_give_least_to_greatest_and_how_sure_that_is(self, n: int, sure: float) -> None:
        """Six is the least number whose whole range is 95 % sure."""
        found = median_estimate([float(value) for value in range(n)])
        assert (found.low, found.high, found.confidence) == (0.0, n - 1.0, sure)

    @pytest.mark.parametrize(("n", "rank"), [(8, 1), (9, 2), (11, 2), (12, 3), (20, 6)])
    def test_more_values_give_a_narrower_interval(self, n: int, rank: int) -> None:
        """The ranks are those of the sign test's tables at 5 %, two-sided."""
        found = median_estimate([float(value) for value in range(n)])
        assert (found.low, found.high) == (rank - 1.0, float(n - rank))
        assert found.confidence == pytest.approx(order_confidence(n, rank))
        assert order_confidence(n, rank) >= 0.95 > order_confidence(n, rank + 1)


class TestRatios:
    """Ours to theirs, with what struck both taken out."""

    @given(st.lists(st.floats(min_value=0.1, max_value=100), min_size=2))
    def test_what_slows_a_pair_does_not_change_its_ratio(self, slow: list[float]) -> None:
        """Ours a fifth of theirs in every pair is a fifth, however slow each pair was."""
        found = paired_ratio([factor * 2 for factor in slow], [factor * 10 for factor in slow])
        assert [found.low, found.value, found.high] == pytest.approx([0.2] * 3)

    def test_pairs_must_match(self) -> None:
        """A value without its partner is a mistake, not something to leave out."""
        with pytest.raises(ValueError, match="zip"):
            paired_ratio([1.0, 2.0], [1.0])

    @given(st.lists(st.tuples(times, times), min_size=1, max_size=6), st.sampled_from([0.5, 0.99]))
    def test_the_interval_of_a_quantile_ratio_holds_its_value(
        self, blocks: list[tuple[list[float], list[float]]], share: float
    ) -> None:
        """And the value is the ratio of the quantiles of everything measured."""
        ours, theirs = [our for our, _ in blocks], [their for _, their in blocks]
        found = quantile_ratio(ours, theirs, share)
        whole = [value for block in ours for value in block]
        assert found.value == pytest.approx(
            quantile(whole, share) / quantile([value for block in theirs for value in block], share)
        )
        assert found.n == len(whole)
        assert (found.low is None) == (len(blocks) == 1)
        if found.low is not None and found.high is not None:
            assert found.low <= found.value <= found.high

    def test_the_same_blocks_give_the_same_interval(self) -> None:
        """Drawing is seeded: a report can be made again from its samples."""
        ours, theirs = [[1.0, 2.0], [2.0, 3.0], [9.0]], [[2.0, 2.0], [4.0, 5.0], [6.0]]
        assert quantile_ratio(ours, theirs, 0.5) == quantile_ratio(ours, theirs, 0.5)

    @given(st.integers(min_value=1, max_value=5000), st.integers(min_value=1, max_value=20))
    def test_blocks_hold_what_was_asked_for(self, trips: int, blocks: int) -> None:
        """Never fewer trips than asked, less than one block more, and no empty block."""
        plan = plan_blocks(trips, blocks)
        assert trips <= sum(plan) < trips + len(plan)
        assert len(set(plan)) == 1
        assert len(plan) == min(blocks, trips)

    @pytest.mark.parametrize(("trips", "blocks"), [(0, 1), (1, 0)])
    def test_no_trips_are_refused(self, trips: int, blocks: int) -> None:
        """A measurement of nothing is a mistake."""
        with pytest.raises(ValueError, match="at least one"):
            plan_blocks(trips, blocks)


def row(value: float | None, at_most: float | None) -> Row:
    """A row of any part."""
    estimate = None if value is None else Estimate(value=value, n=1)
    return Row(part="cold", name="x", unit="x", estimate=estimate, at_most=at_most)


class TestVerdict:
    """Targets, and what reaches them."""

    @pytest.mark.parametrize(
        ("value", "at_most", "verdict"),
        [
            (0.149, 0.15, "PASS"),
            (0.15, 0.15, "PASS"),
            (0.1501, 0.15, "FAIL"),
            (None, 0.15, "NOT MEASURED"),
            (9, None, ""),
        ],
    )
    def test_up_to_and_including_the_target_passes(
        self, value: float | None, at_most: float | None, verdict: str
    ) -> None:
        """What was not measured is told apart from what failed, and a figure for interest has no verdict."""
        assert row(value, at_most).verdict == verdict
        assert all_pass([row(1, 1), row(value, at_most)]) == (verdict in ("PASS", ""))

    @pytest.mark.parametrize("part", PARTS)
    def test_a_part_that_could_not_run_passes_nothing(self, part: Part) -> None:
        """Each part with targets shows them as not measured, with the reason; each has a title."""
        rows = not_measured(part, "no sam")
        assert all((each.verdict, each.note) == ("NOT MEASURED", "no sam") for each in rows)
        assert not all_pass(rows)
        assert TITLES[part]

    def test_a_row_in_json_says_null_for_what_was_not_measured(self) -> None:
        """And carries its verdict, so that a reader need not know the targets."""
        assert row(None, 1).as_dict()["estimate"] is None
        told = json.loads(json.dumps(row(2, 1).as_dict()))
        assert (told["estimate"]["value"], told["at_most"], told["verdict"]) == (2, 1, "FAIL")


class TestAccuracy:
    """The emulator's figures against known amounts."""

    def test_memory_is_judged_by_the_worst_repeat_beyond_the_idle_peak(self) -> None:
        """The idle median and the touched amount together are what is expected."""
        idle, at_50 = accuracy.memory_rows({0: [10, 10, 13], 50: [60, 61.8, 59.4]})
        assert idle.estimate is not None
        assert (idle.estimate.value, idle.verdict) == (10, "")
        assert at_50.estimate is not None
        assert at_50.estimate.value == pytest.approx(3.0)
        assert at_50.estimate.low == 0

    @pytest.mark.parametrize(("peak", "verdict"), [(58.3, "PASS"), (58.1, "FAIL"), (61.7, "PASS"), (61.9, "FAIL")])
    def test_memory_within_three_percent_passes(self, peak: float, verdict: str) -> None:
        """Too little reported is as wrong as too much."""
        assert accuracy.memory_rows({0: [10], 50: [peak]})[1].verdict == verdict

    @pytest.mark.parametrize(("points", "verdict"), [(-1.01, "FAIL"), (-0.99, "PASS"), (0.99, "PASS"), (1.01, "FAIL")])
    def test_cpu_within_one_point_passes(self, points: float, verdict: str) -> None:
        """A point is a hundredth of a vCPU, to either side of memory / 1769."""
        busy = accuracy.Busy(share=512 / 1769 + points / 100, throttled_s=2.0, others=None)
        (found,) = accuracy.cpu_rows({512: [busy]})
        assert found.verdict == verdict
        assert "other work" not in found.note

    def test_cpu_tells_how_busy_the_machine_was(self) -> None:
        """The busiest repeat is named: it may be why the share could not be had."""
        each = [accuracy.Busy(share=0.5, throttled_s=None, others=others) for others in (0.1, None, 1.96)]
        assert "2.0 CPUs busy" in accuracy.cpu_rows({1024: each})[0].note


class TestMachine:
    """What is read from the kernel."""

    @pytest.mark.parametrize(
        ("text", "hz"), [("CONFIG_NO_HZ=y\nCONFIG_HZ=250\n", 250), ("CONFIG_HZ_250=y\n# CONFIG_HZ=100\n", None)]
    )
    def test_the_timer_frequency_is_read_from_the_kernel_configuration(self, text: str, hz: int | None) -> None:
        """Lines that only look like it do not count."""
        assert machine.hz_of(text) == hz

    def test_busy_time_leaves_out_idle_and_waiting(self) -> None:
        """And counts what the host stole; guest time is part of user time already."""
        assert machine.busy_of("cpu  100 20 30 9999 7777 1 2 47 50 0\ncpu0 1 1\n", 100) == pytest.approx(2.0)


class TestCold:
    """What both commands are given, and what counts as an answer."""

    def test_both_commands_read_the_same_template(self) -> None:
        """One function, the fixtures' echo, by an absolute path."""
        found = json.loads(cold.template(Path("/code"), "python3.12", "arm64"))["Resources"]
        (function,) = found.values()
        properties = function["Properties"]
        assert (properties["CodeUri"], properties["Runtime"], properties["Architectures"]) == (
            "/code",
            "python3.12",
            ["arm64"],
        )

    def test_children_keep_bytecode_use_one_engine_and_do_not_look_for_aws(self) -> None:
        """What would slow one side for a reason outside it is settled for both."""
        ours = {"PATH": "/bin", "PYTHONDONTWRITEBYTECODE": "1", "AWS_PROFILE": "mine", "SAM_CLI_DEBUG": "1"}
        found = cold.child_environment(ours | {"PREFLIGHT_BACKEND": "process"}, "unix:///engine", Path("/scratch"))
        assert found["PATH"] == "/bin"
        assert found["DOCKER_HOST"] == "unix:///engine"
        assert not found.keys() & {"PYTHONDONTWRITEBYTECODE", "AWS_PROFILE", "SAM_CLI_DEBUG", "PREFLIGHT_BACKEND"}
        assert (found["AWS_EC2_METADATA_DISABLED"], found["SAM_CLI_TELEMETRY"]) == ("true", "0")

    def test_who_goes_first_changes_from_pair_to_pair(self) -> None:
        """Each side is first as often as second."""
        assert [cold.order(("a", "b"), number)[0] for number in range(4)] == ["a", "b", "a", "b"]

    @pytest.mark.parametrize(
        ("output", "good"), [('{"key": "value"}\n', True), ('{"key":"value"}', True), ("", False), ("{}", False)]
    )
    def test_only_the_event_come_back_is_an_answer(self, output: str, good: bool) -> None:  # noqa: FBT001 - a parameter
        """A command that ends well without having answered was not measured."""
        assert cold.answered(output) is good

    @pytest.mark.parametrize(
        ("errors", "why"),
        [("Mounting\nError: 500 no bridge\nTraceback\n see https", "Error: 500 no bridge"), ("a\nb\n\n", "b")],
    )
    def test_a_failure_is_told_in_one_line(self, errors: str, why: str) -> None:
        """Neither stack trace nor where to report bugs."""
        assert cold.reason(errors) == why
        assert cold.reason("\n") == "it said nothing"


class TestPeers:
    """The image for the peers, and talking to RIE."""

    def test_the_added_script_hands_the_handler_to_the_runtime(self) -> None:
        """RIE names the handler in the environment, our command takes it as its last argument."""
        assert peers.bootstrap(("/py", "-m", "client")) == b'#!/bin/sh\nexec /py -m client "$_HANDLER"\n'

    def test_the_image_is_the_base_with_executable_files_on_top(self) -> None:
        """Nothing else is added to what both sides run on."""
        packed = peers.build_context("sha256:0", {"var/a": b"AA", "b": b"B"}, {"one": "", "two": "2"})
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            content = {member.name: (member.mode, archive.extractfile(member)) for member in archive}
            read = {name: (mode, file.read() if file else b"") for name, (mode, file) in content.items()}
        lines = read.pop("Dockerfile")[1].decode().splitlines()
        assert lines == ["FROM sha256:0", "COPY 0 /var/a", "COPY 1 /b", 'LABEL one="" two="2"']
        assert read == {"0": (0o755, b"AA"), "1": (0o755, b"B")}

    @pytest.mark.parametrize(
        ("image", "maker"),
        [("lambda-preflight/bench-ab-1-2:base", "ab-1-2"), ("lambda-preflight/python:3.11", ""), ("python:3", "")],
    )
    def test_only_images_of_the_benchmarks_are_swept(self, image: str, maker: str) -> None:
        """Their names tell who made them; other images have no maker that could be found dead."""
        assert peers.maker(image) == maker

    def test_a_missing_sam_is_told_with_what_installs_it(self, tmp_path: Path) -> None:
        """And so is one without RIE beside it."""
        sam = tmp_path / "bin" / "sam"
        with pytest.raises(ConfigurationError, match="there is no") as missing:
            peers.find(sam, "x86_64")
        assert "make bench" in (missing.value.hint or "")
        sam.parent.mkdir()
        sam.touch()
        with pytest.raises(ConfigurationError, match="no RIE for x86_64"):
            peers.find(sam, "x86_64")

    def test_the_containers_own_address_is_tried_before_the_proxy(self) -> None:
        """RIE is not charged for the engine's proxy where it can be reached without."""
        bindings = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49153"}]}
        state = {"NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}, "Ports": bindings}}
        assert rie.addresses_of(state) == [("172.17.0.2", 8080), ("127.0.0.1", 49153)]
        bare = {"NetworkSettings": {"Networks": {"none": {"IPAddress": ""}}, "Ports": None}}
        assert rie.addresses_of(bare) == []

    @given(st.binary(max_size=50), st.integers(min_value=1, max_value=200))
    def test_a_body_is_complete_or_not_there(self, body: bytes, cut: int) -> None:
        """However the answer is cut into pieces, no part of a body is taken for the whole."""
        answer = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        assert rie.body_of(answer) == body
        assert rie.body_of(answer[: max(0, len(answer) - cut)]) is None


class TestWarm:
    """Turns, and the rows they lead to."""

    def test_everybody_goes_first_equally_often(self) -> None:
        """Three turns bring each to each place once."""
        turns = [warm.rotation(("a", "b", "c"), number) for number in range(3)]
        assert [sorted(place) for place in zip(*turns, strict=True)] == [["a", "b", "c"]] * 3

    def test_targets_are_against_the_client_that_people_have(self) -> None:
        """The bare socket is told for interest, and every figure of a ratio is shown."""
        blocks = {"ours": [[1.0] * 9, [2.0] * 9], "rie": [[4.0] * 9] * 2, "rie_bare": [[1.0] * 9] * 2}
        found = {each.name: each for each in warm.rows_of(blocks, "here")}
        assert {name: each.verdict for name, each in found.items() if each.verdict} == {
            "service.invoke / RIE, p50": "PASS",
            "service.invoke / RIE, p99": "PASS",
        }
        own = found["service.invoke, p50"].estimate
        assert own is not None
        assert (own.value, own.low, own.high, own.n) == (1.5, 1.0, 2.0, 18)


class TestReport:
    """What a person reads, and the file."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.0561, "0.056"), (0.46349, "0.463"), (1, "1.00"), (12.34, "12.3"), (123.4, "123"), (5567.2, "5,567")],
    )
    def test_numbers_have_three_digits_that_count(self, value: float, text: str) -> None:
        """No exponents, and no more digits than were measured."""
        assert report.number(value) == text

    def test_a_figure_shows_its_spread_and_how_sure_that_is(self) -> None:
        """Least and greatest alone claim no confidence; nothing is shown for what was not measured."""
        sure = Estimate(value=0.5, n=6, low=0.4, high=0.6, confidence=0.96875)
        shown = Row(part="cold", name="x", unit="ms", estimate=sure, at_most=1)
        assert report.figures(shown) == ("0.500 ms", "0.400-0.600 (97 %)", "6", "≤ 1")
        assert report.spread(Estimate(value=2, n=3, low=1, high=3)) == "1.00-3.00"
        assert report.figures(row(None, 0.15)) == ("-", "", "", "≤ 0.15")
        assert report.figures(row(2000, None)) == ("2,000", "", "1", "")

    def test_the_reader_is_told_what_the_peers_ran_on(self) -> None:
        """The same image, and everything that was added to it; nothing of peers that were not needed."""
        facts = dict.fromkeys(("cpus", "cpu", "kernel", "python", "engine", "engine_cgroup"), "?")
        peers = {
            "version": "SAM 1",
            "base_image": "image:1",
            "base_image_id": "sha256:" + "a" * 64,
            "added_for_peers": ("/rie", "/bootstrap"),
        }
        told = report.surroundings(facts, peers, ((0.5, 1.0, 2.0), None))
        assert "load 0.5 and unknown before and after" in told
        assert "image:1, sha256:aaaaaaaaaaaa) with /rie and /bootstrap added" in told
        assert "Peers" not in report.surroundings(facts, {}, (None, None))

    def test_json_makes_its_folder_and_says_where_it_cannot_be_written(self, tmp_path: Path) -> None:
        """A long run does not end in a stack trace."""
        report.write(tmp_path / "new" / "r.json", {"a": [1.5]})
        assert json.loads((tmp_path / "new" / "r.json").read_text()) == {"a": [1.5]}
        for act in (report.check_writable, lambda path: report.write(path, {})):
            with pytest.raises(ConfigurationError, match="cannot be written"):
                act(tmp_path / "new" / "r.json" / "below.json")

    def test_looking_whether_the_file_can_be_written_keeps_it(self, tmp_path: Path) -> None:
        """The figures of the last run are there until the next one has some, and no empty file is left."""
        earlier = tmp_path / "r.json"
        report.check_writable(earlier)
        assert not earlier.exists()
        earlier.write_text("{}")
        report.check_writable(earlier)
        assert earlier.read_text() == "{}"


class TestCommandLine:
    """Options and their defaults."""

    def test_quick_changes_the_defaults_only(self) -> None:
        """What was asked for stays; without --quick there are enough trips and pairs for a report."""
        usual, quick = parse([]), parse(["--quick", "--trips", "1500"])
        assert usual.trips >= 1000
        assert usual.pairs >= 5
        assert (quick.trips, quick.pairs < usual.pairs, quick.repeats < usual.repeats) == (1500, True, True)

    @pytest.mark.parametrize("arguments", [["--pairs", "0"], ["--trips", "x"], ["--skip", "lunch"]])
    def test_what_cannot_be_measured_is_refused(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        """With the usage exit status and the option's name."""
        with pytest.raises(SystemExit) as ended:
            parse(arguments)
        assert ended.value.code == 2
        assert arguments[0] in capsys.readouterr().err

    def test_several_parts_can_be_left_out(self) -> None:
        """Each --skip adds one."""
        assert parse(["--skip", "cold", "--skip", "cpu"]).skip == ["cold", "cpu"]
