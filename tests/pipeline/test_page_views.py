"""Views of a run for its page: potentials, levels, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from snnquant.pipeline import page_views
from snnquant.pipeline.durations import RECORD_FILE, timing
from snnquant.pipeline.kept_views import VIEWS_FILE
from snnquant.pipeline.page_prices import chip_prices
from snnquant.pipeline.page_views import scene_views
from snnquant.pipeline.report_data import write_report
from snnquant.pipeline.run import Run
from snnquant.quantization import weight_codes
from snnquant.stored_networks import Network

Copied = Callable[[], Run]


def refuse(*arguments: Any) -> Any:
    raise AssertionError("a network was run")


def test_the_page_is_written_anew_without_running_a_network(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied()
    page = run.path / "report.html"
    first = page.read_bytes()
    page.unlink()
    monkeypatch.setattr(page_views, "_run_networks", refuse)
    write_report(run)
    assert page.read_bytes() == first


def test_views_from_the_file_are_those_of_the_networks(copied: Copied) -> None:
    run = copied()
    kept = scene_views(run)
    (run.path / VIEWS_FILE).unlink()
    found = scene_views(run)
    for name in ("smoothed", "known", "confidence", "best"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(found, name))
    np.testing.assert_allclose(kept.probabilities, found.probabilities, atol=0.005 + 1e-6)
    for name, classes in found.maps.items():
        np.testing.assert_array_equal(kept.maps[name], classes)
    for ours, theirs in zip(kept.by_step, found.by_step, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert kept.spikes is not None
    assert found.spikes is not None
    assert kept.spikes.rates == found.spikes.rates
    assert kept.spikes.places == found.spikes.places
    assert kept.spikes.layer == found.spikes.layer
    assert [entry.layer for entry in kept.levels] == [entry.layer for entry in found.levels]


@pytest.mark.parametrize("damage", ["network", "file"])
def test_a_changed_network_or_a_damaged_file_runs_the_networks(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    run = copied()
    if damage == "file":
        (run.path / VIEWS_FILE).write_bytes(b"PK damaged")
    else:
        checkpoint = run.load(Network.CNN_FP32)
        with torch.no_grad():
            next(checkpoint.network.parameters()).mul_(2)
        run.save(Network.CNN_FP32, checkpoint.network)
    monkeypatch.setattr(page_views, "_run_networks", refuse)
    with pytest.raises(AssertionError, match="a network was run"):
        scene_views(run)


def test_neurons_spike_where_their_potential_is_above_the_threshold(copied: Copied) -> None:
    spikes = scene_views(copied()).spikes
    assert spikes is not None
    assert set(spikes.potentials) == set(spikes.rasters) != set()
    for number, raster in spikes.rasters.items():
        np.testing.assert_array_equal(spikes.potentials[number] > 1, raster)


def test_levels_are_those_of_the_weights(copied: Copied) -> None:
    run = copied()
    levels = {entry.layer: entry for entry in scene_views(run).levels}
    network = run.load(Network.SNN_TRAINED).network
    assert len(levels) == 5
    for name, entry in levels.items():
        codes = weight_codes(network.get_submodule(f"layers.{name}")).uniform().codes
        assert int(entry.counts.sum()) == codes.numel()
        assert int(entry.counts[entry.codes == 0].sum()) == int((codes == 0).sum())


def test_prices_by_layer_and_component_add_up_to_those_of_the_run(
    finished: Any, copied: Copied
) -> None:
    metrics, prices = finished[1], chip_prices(copied())
    assert prices is not None
    assert metrics.rival is not None
    for by_schedule, breakdown in (
        (metrics.rival.energy_nj, prices.alone),
        (metrics.rival.map_energy_nj, prices.in_map),
    ):
        assert set(by_schedule) == set(breakdown)
        for schedule, networks in by_schedule.items():
            for name, energy in networks.items():
                layers = breakdown[schedule][name].values()
                assert sum(sum(costs.values()) for costs in layers) == pytest.approx(energy)
    assert prices.network is not None
    assert prices.network.energy.low < prices.network.energy.value < prices.network.energy.high
    assert prices.first_layer is not None
    assert prices.first_layer.energy.value == pytest.approx(metrics.pim.energy.factor)


def test_energies_by_layer_add_up_to_those_of_the_networks(finished: Any) -> None:
    metrics = finished[1]
    for name, layers in metrics.energy_by_layer.items():
        for table, energy in metrics.energy_pj.items():
            total = sum(layer.energy_pj[table] for layer in layers)
            assert total == pytest.approx(energy[name])
        for table, energy in metrics.map_energy_pj.items():
            total = sum(layer.map_energy_pj[table] for layer in layers)
            assert total == pytest.approx(energy[name])


def test_every_training_has_its_duration_and_a_resumed_one_adds_to_it(copied: Copied) -> None:
    run = copied()
    before = json.loads((run.path / RECORD_FILE).read_text())
    stages = {"cnn", "cnn_quantized", "cnn_twin", "snn"}
    assert set(before["seconds"]) == stages
    assert before["versions"]["torch"] == torch.__version__
    assert before["machine"]
    (run.path / RECORD_FILE).write_text(json.dumps(before | {"seconds": {"cnn": 1000.0}}))
    with timing(run, "cnn"):
        pass
    after = json.loads((run.path / RECORD_FILE).read_text())["seconds"]
    assert after["cnn"] >= 1000.0
    assert set(after) == {"cnn"}
