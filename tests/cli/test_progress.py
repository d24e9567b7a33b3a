"""Progress without a terminal, by a clock that the tests turn."""

from __future__ import annotations

import re

import pytest

from snnquant.cli.progress import ProgressLines, show_progress


class Clock:
    """Time in seconds, turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def progress(clock: Clock, lines: list[str]) -> ProgressLines:
    return ProgressLines(lines.append, clock)


def _parts(lines: list[str]) -> list[int]:
    return [int(re.search(r": (\d+)/", line)[1]) for line in lines]  # type: ignore[index]


def test_lines_at_the_start_every_tenth_and_the_end(
    progress: ProgressLines, clock: Clock, lines: list[str]
) -> None:
    for done in range(41):
        progress("cnn", done, 40, "")
        clock.now += 1
    assert _parts(lines) == list(range(0, 41, 4))


def test_a_slow_stage_has_a_line_every_30_seconds(
    progress: ProgressLines, clock: Clock, lines: list[str]
) -> None:
    for done in range(50):
        progress("cnn", done, 1000, "")
        clock.now += 10
    assert _parts(lines) == list(range(0, 50, 3))


def test_the_time_left_is_that_of_the_parts_after_the_first(
    progress: ProgressLines, clock: Clock, lines: list[str]
) -> None:
    """The first part takes a minute, as where something is compiled, all others two seconds."""
    for done, seconds in ((0, 60), (1, 2), (2, 2), (3, 2), (4, 0)):
        progress("snn", done, 4, "loss 1")
        clock.now += seconds
    assert lines == [
        "snn: 0/4 loss 1",
        "snn: 1/4 loss 1",
        "snn: 2/4, 0:00:04 left loss 1",
        "snn: 3/4, 0:00:02 left loss 1",
        "snn: 4/4 loss 1",
    ]


def test_a_resumed_stage_knows_its_speed_from_its_own_parts(
    progress: ProgressLines, clock: Clock, lines: list[str]
) -> None:
    """Of 100 parts 50 were done before: they came in no time and say nothing of the others."""
    progress("snn", 0, 100, "")
    for done in range(51, 100):
        clock.now += 7200
        progress("snn", done, 100, "")
    assert lines[1] == "snn: 51/100"
    assert lines[2] == "snn: 52/100, 96:00:00 left"


def test_a_silent_update_counts_for_the_speed(
    progress: ProgressLines, clock: Clock, lines: list[str]
) -> None:
    for done, seconds in ((0, 10), (1, 1), (2, 1), (50, 0)):
        progress("map", done, 100, "")
        clock.now += seconds
    assert lines == ["map: 0/100", "map: 50/100, 0:00:02 left"]


def test_stages_are_apart_and_may_start_again(
    progress: ProgressLines, clock: Clock, lines: list[str]
) -> None:
    for stage in ("cnn", "map", "map"):
        for done in range(3):
            clock.now += 1
            progress(stage, done, 2, "")
    assert [line.split()[0] for line in lines] == ["cnn:"] * 3 + ["map:"] * 6
    assert _parts(lines) == [0, 1, 2] * 3


def test_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as progress:
        progress("conversion", 0, 1, "")
        progress("conversion", 1, 1, "validation OA 90.00 %")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "conversion: 0/1\nconversion: 1/1 validation OA 90.00 %\n"


def test_a_terminal_has_bars_with_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with show_progress() as progress:
        progress("cnn", 0, 2, "")
        progress("cnn", 1, 2, "loss 0.5000")
    err = capsys.readouterr().err
    for part in ("cnn", "1/2", "-:--:--", "loss 0.5000"):
        assert part in err, part
