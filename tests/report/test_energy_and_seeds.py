"""Energies by layer, the network in memory, weight levels and runs of other seeds on the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnquant.report import RunMetrics
from snnquant.report.answer import Card, cards
from snnquant.report.chip_prices import ChipPrices, Factor, InMemory
from snnquant.report.page_energy import energy_parts
from snnquant.report.page_measurements import measurements
from snnquant.report.run_record import RunRecord
from snnquant.report.scene_views import Levels, SceneViews
from snnquant.report.seed_runs import SeedRuns
from snnquant.stored_networks import Network


def in_memory(low: float, value: float, high: float) -> InMemory:
    return InMemory(
        Factor(value, low, high), Factor(2.0, 1.0, 3.0), Factor(4.0, 2.0, 6.0), 90.0, 30.0
    )


def prices(**found: InMemory) -> ChipPrices:
    snn = {"conv1": {"multiplies": 3.0, "links": 1.0}, "fc": {"membranes": 4.0}}
    twin = {"conv1": {"multiplies": 2.0}, "fc": {"weight_reads": 2.0}}
    breakdown = {"best": {"snn_trained": snn, "cnn_twin": twin}}
    return ChipPrices("edge_22nm", breakdown, hardware="sram_65nm", **found)


def memory_card(metrics: dict[str, Any], chip: ChipPrices) -> Card:
    return cards(RunMetrics.from_dict(metrics), None, chip)[2]


def test_bars_are_divided_by_layer_in_shares_of_their_own(metrics: dict[str, Any]) -> None:
    groups = energy_parts(RunMetrics.from_dict(metrics), prices())["energies"]
    best = next(group for group in groups if group["title"] == "best of all, per layer, alone")
    bars = {bar["label"]: bar for bar in best["bars"]}
    assert [part["share"] for part in bars["SNN trained, 6-bit, T = 5"]["parts"]] == ["50.00"] * 2
    assert bars["CNN 32-bit"]["parts"] == []  # only its total is known
    assert [name for _, name in best["legend"]] == ["conv1", "fc"]


def test_compute_energies_are_divided_where_the_run_recorded_layers(
    metrics: dict[str, Any],
) -> None:
    rows = [
        {"layer": "conv1", "energy_pj": {"horowitz_widths": 3000.0}},
        {"layer": "fc", "energy_pj": {"horowitz_widths": 1000.0}},
    ]
    metrics["energy_by_layer"] = {"snn_trained": rows}
    groups = energy_parts(RunMetrics.from_dict(metrics), None)["energies"]
    group = next(group for group in groups if group["title"] == "compute only, alone")
    (bar,) = (bar for bar in group["bars"] if bar["own"])
    assert bar["text"] == "4 nJ"
    assert [part["share"] for part in bar["parts"]] == ["75.00", "25.00"]


def test_the_chip_s_energy_is_listed_by_use_and_by_component(metrics: dict[str, Any]) -> None:
    parts = energy_parts(RunMetrics.from_dict(metrics), prices())
    twin, snn = parts["chip_uses"][0]["bars"]
    titles = [part["title"] for part in snn["parts"]]
    assert titles == [
        "arithmetic: 3 nJ, 37.5 %",
        "sums and membranes: 4 nJ, 50.0 %",
        "links: 1 nJ, 12.5 %",
    ]
    assert twin["text"] == "4 nJ"
    assert parts["components"][0] == ("membranes", "-", "4")
    assert ("weight reads", "2", "-") in parts["components"]


@pytest.mark.parametrize(
    ("ends", "figure", "verdict", "tone"),
    [
        ((1.5, 3.0, 4.5), "3.00x", "less energy than digital", "good"),
        ((0.2, 0.5, 0.8), "2.00x", "more energy than digital", "bad"),
        ((0.7, 1.5, 2.5), "1.50x", "less energy than digital, within the uncertainty", ""),
    ],
)
def test_the_card_of_the_network_in_memory_says_what_the_interval_allows(
    metrics: dict[str, Any], ends: Any, figure: str, verdict: str, tone: str
) -> None:
    chip = prices(network=in_memory(*ends), first_layer=in_memory(2.0, 3.0, 5.0))
    card = memory_card(metrics, chip)
    assert (card.title, card.figure) == ("Network in memory", figure)
    assert (card.verdict, card.tone) == (verdict, tone)
    assert f"80 % interval {ends[0]:.2f} to {ends[2]:.2f}x" in card.lines[0]
    assert ("only its first layer, sram_65nm", "3.00x (2.00 to 5.00)") in card.rows


def test_a_chip_without_macros_leaves_the_first_layer(metrics: dict[str, Any]) -> None:
    card = memory_card(metrics, prices(first_layer=in_memory(2.0, 3.0, 5.0)))
    assert (card.title, card.figure) == ("First layer in memory", "3.00x")


def test_levels_are_counted_with_their_entropy(views: SceneViews, scene_metrics: Any) -> None:
    levels = Levels("conv1", 3, np.array([-2, 0, 1]), np.array([1, 2, 1]))
    shown = SceneViews(views.scene, views.split, views.main, levels=(levels,))
    (drawn,) = measurements(RunMetrics.from_dict(scene_metrics), shown, None)["levels"]
    assert drawn["text"] == "3 levels in use at 3 bits, 4 weights, 50.00 % are 0, entropy 1.50 bits"
    assert (drawn["low"], drawn["high"], drawn["width"]) == (-2, 1, 4)
    assert drawn["path"].count("M") == 3


@pytest.fixture
def seeded(tmp_path: Path) -> Path:
    """Make runs of seeds 1, 2 and 3, one of other options, and one of another scene."""

    def make(
        name: str, seed: int, oa: float, bits: int = 6, scene: str = "a", spectra: str = "raw"
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        options = f'scene = "field.toml"\nseed = {seed}\nbits = {bits}\n'
        options += f'scaling = "within-class:0.{seed}"\nspectra = "{spectra}"\n'
        (folder / "config.toml").write_text(options)
        (folder / "metrics.json").write_text(json.dumps({"snn_trained": {"oa": oa}}))
        (folder / "scene.json").write_text(json.dumps({"digest": scene}))
        return folder

    make("two", 2, 0.8, spectra="log")
    make("three", 3, 0.9)
    make("other_bits", 4, 0.1, bits=4)
    make("other_scene", 5, 0.1, scene="b")
    make("repeated", 1, 0.1)
    (tmp_path / "no_run").mkdir()
    return make("one", 1, 0.7)


def test_only_runs_that_differ_in_their_seed_give_the_spread(seeded: Path) -> None:
    runs = SeedRuns.beside(seeded)
    assert {seed: oa[Network.SNN_TRAINED] for seed, oa in runs.accuracies.items()} == {
        **{1: 0.7, 2: 0.8, 3: 0.9},
    }
    chosen = ", spectra and scaling as each chose them"
    assert runs.spread(Network.SNN_TRAINED) == f"80.00 ± 10.00 % over 3 seeds (1, 2, 3){chosen}"


def test_runs_of_a_given_scaling_differ_in_nothing_but_their_seed(seeded: Path) -> None:
    for folder in seeded.parent.iterdir():
        file = folder / "config.toml"
        if file.exists():
            scaling = "standard" if folder.name != "three" else "per-band"
            head = file.read_text().split('"within-class')[0]
            file.write_text(f'{head}"{scaling}"\nspectra = "raw"\n')
    assert SeedRuns.beside(seeded).spread(Network.SNN_TRAINED).endswith("over 2 seeds (1, 2)")


def test_the_spread_or_its_absence_is_on_the_card(seeded: Path, metrics: dict[str, Any]) -> None:
    typed = RunMetrics.from_dict(metrics)
    several, one = cards(typed, RunRecord.read(seeded))[0], cards(typed, RunRecord())[0]
    assert any(line.startswith("80.00 ± 10.00 % over 3 seeds (1, 2, 3)") for line in several.lines)
    assert "one seed: no run of another seed stands beside this one" in one.lines
