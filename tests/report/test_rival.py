"""Published thresholds and ratios of the SNN against its twin."""

from __future__ import annotations

import io
import re
from importlib import resources

import pytest
from rich.console import Console

from snnquant.errors import InputError
from snnquant.report import RunMetrics, print_table
from snnquant.report.rival_metrics import definition, ratios, thresholds

FIGURES = {
    "accumulates_per_mac": 0.14,
    "spike_rate": 0.03,
    "compute_limit": 0.8,
    "spike_bits": 12.0,
    "activation_bits": 12.0,
}


def verdicts(time_steps: int = 5, **figures: float) -> list[tuple[str, float, bool]]:
    rows = thresholds({**FIGURES, **figures}, time_steps)
    return [(row.source.partition(" ")[0], row.limit, row.passed) for row in rows]


def test_a_sparse_snn_meets_all_of_them() -> None:
    assert verdicts() == [
        *(("Yan", 0.8, True), ("Yan", 0.057, True)),
        *(("Dampfhoffer", 0.15, True), ("Dampfhoffer", 1.38, True)),
        *(("Davidson", 1.72, True), ("Shen", 12.0, True)),
    ]


@pytest.mark.parametrize(
    ("figures", "failed"),
    [
        ({"accumulates_per_mac": 0.16}, {0.15}),
        ({"accumulates_per_mac": 0.96}, {0.15, 0.8}),
        ({"accumulates_per_mac": 2.0}, {0.15, 0.8, 1.38, 1.72}),
        ({"spike_rate": 0.058}, {0.057}),
        ({"spike_bits": 30.0}, {12.0}),
        ({"accumulates_per_mac": 0.15, "spike_rate": 0.057}, set()),
    ],
)
def test_each_fails_above_its_limit(figures: dict[str, float], failed: set[float]) -> None:
    assert {limit for _, limit, passed in verdicts(**figures) if not passed} == failed


@pytest.mark.parametrize("time_steps", [1, 4, 6])
def test_a_limit_that_was_published_for_one_t_stands_for_no_other(time_steps: int) -> None:
    assert [limit for _, limit, _ in verdicts(time_steps)] == [0.8, 0.15, 1.38, 1.72, 12.0]


def test_every_figure_has_words_and_every_number_a_source() -> None:
    for figure in FIGURES:
        assert len(definition(figure).split()) > 2
    folder = resources.files("snnquant.report").joinpath("references")
    text = folder.joinpath("thresholds.toml").read_text(encoding="utf-8")
    assert text.count("[[threshold]]") == len(re.findall(r'^source = ".+20\d\d', text, re.M)) == 6


def test_ratios_are_to_the_twin_under_the_same_and_under_its_best_schedule() -> None:
    found = ratios({"events": 6.0, "dense": 8.0}, {"events": 12.0, "dense": 2.0})
    assert (found["events"].same, found["events"].twin_best) == (0.5, 3.0)
    assert (found["dense"].same, found["dense"].twin_best) == (4.0, 4.0)


def printed(metrics) -> str:
    stream = io.StringIO()
    print_table(RunMetrics.from_dict(metrics), Console(file=stream))
    return " ".join(stream.getvalue().split())


def test_the_sentence_stands_whichever_way_it_comes_out(metrics) -> None:
    start = "The SNN takes 2.38x the energy of its twin under A, 1.17x under B, 1.22x under C,"
    assert start in printed(metrics)
    metrics["rival"]["ratio"]["events"]["same"] = 0.7
    assert "The SNN takes 0.70x the energy of its twin under A, 1.17x" in printed(metrics)


def test_at_one_step_the_two_meet(metrics) -> None:
    assert "At T = 1" not in printed(metrics)
    metrics["model"]["time_steps"] = 1
    assert "At T = 1 a spike is an activation of one bit, as the twin has." in printed(metrics)


def test_a_chip_without_accumulators_and_a_network_without_a_map(metrics) -> None:
    rival = metrics["rival"]
    for name in ("map_energy_nj", "map_ratio", "map_compute_ratio"):
        del rival[name]
    for schedule in ("events", "time_inner"):
        del rival["energy_nj"][schedule], rival["ratio"][schedule]
    text = printed(metrics)
    assert "The SNN takes 1.22x the energy of its twin under C, for" in text
    assert "nJ alone: C, dense" in text
    assert "nJ in a map: C" not in text
    assert "A, events" not in text


def test_a_run_without_a_twin_has_neither_table(metrics) -> None:
    assert "Verdicts" in printed(metrics)
    del metrics["rival"]
    text = printed(metrics)
    assert "Verdicts" not in text
    assert "of its twin" not in text
    assert "nJ alone: compute only" in text


@pytest.mark.parametrize("value", [1, "yes", None])
def test_a_verdict_is_a_truth_value(metrics, value: object) -> None:
    metrics["rival"]["thresholds"][0]["passed"] = value
    with pytest.raises(InputError, match=r"thresholds\[0\]: passed: found .*, expected bool"):
        RunMetrics.from_dict(metrics)
