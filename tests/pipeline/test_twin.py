"""The SNN's twin in a run: its bits, its training, its price, the comparison with the SNN."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from snnquant.config import (
    NeuronConfig,
    QuantizationConfig,
    RunConfig,
    find_method,
    read_config,
)
from snnquant.energy import COSTS, LayerActivity, Width
from snnquant.nn import LayerInfo
from snnquant.pipeline import stages
from snnquant.pipeline.evaluation import energy_by_layer, evaluate
from snnquant.pipeline.rival import rival_figures
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import twin_method
from snnquant.quantization import activation_bits, layer_bits
from snnquant.report import RunMetrics
from snnquant.report.sections import headings, sections
from snnquant.stored_networks import Network
from snnquant.training import SynapseNorms

TWIN = Network.CNN_TWIN


def made(config: RunConfig, folder: Path) -> tuple[Run, RunMetrics]:
    run = Run.create(config, folder)
    for stage in (stages.train_cnn, stages.convert_cnn, stages.train_twin, stages.train_snn):
        stage(run)
    return run, evaluate(run)


@pytest.mark.parametrize(("steps", "bits"), [(1, 1), (2, 2), (5, 3), (8, 4)])
def test_activations_tell_apart_as_many_levels_as_spikes(
    config: RunConfig, tmp_path: Path, steps: int, bits: int
) -> None:
    chosen = replace(config, neuron=NeuronConfig(time_steps=steps))
    run, metrics = made(chosen, tmp_path / "run")
    twin = run.load(TWIN)
    assert set(activation_bits(twin.network).values()) == {bits}
    assert set(layer_bits(twin.network).values()) == {config.quantization.bits}
    assert headings(metrics)[TWIN] == f"CNN twin, W6A{bits}"
    rows = json.loads((run.path / "workload_cnn_twin.json").read_text())["layers"]
    assert [row["input_bits"] for row in rows] == [8, *[bits] * 4]
    assert {row["membrane_bits"] for row in rows} == {0}
    at_one = [s for s in sections(metrics) if any("At T = 1" in note for note in s.notes)]
    assert len(at_one) == (steps == 1)


def test_its_weights_are_those_of_the_runs_method(config: RunConfig, tmp_path: Path) -> None:
    quantization = find_method("dorefa")(bits=4)
    run, metrics = made(replace(config, quantization=quantization), tmp_path / "run")
    stored = run.load(TWIN).quantization
    assert stored == find_method("dorefa")(bits=4, activation_bits=2)
    assert metrics.rival is not None


def test_a_method_without_activations_has_no_twin_and_says_so(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = replace(config, quantization=find_method("hybrid_net")(), pixel_bits=8)
    run = Run.create(method, tmp_path / "run")
    stages.train_cnn(run)
    stages.train_twin(run)
    assert not run.has(TWIN)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert evaluate(run).rival is None


def test_more_levels_than_activations_may_have_are_no_twin(config: RunConfig) -> None:
    many = replace(config, neuron=NeuronConfig(time_steps=256))
    assert twin_method(many) is None
    assert twin_method(replace(many, neuron=NeuronConfig(time_steps=255))) is not None
    assert twin_method(replace(config, quantization=QuantizationConfig(bits=32))) is None


def test_epochs_are_half_of_the_snns_or_as_many_as_asked_for(
    config: RunConfig, tmp_path: Path
) -> None:
    for asked, expected in ((0, 3), (2, 2)):
        training = replace(config.training, snn_epochs=6, twin_epochs=asked)
        run = Run.create(replace(config, training=training), tmp_path / f"run{asked}")
        stages.train_cnn(run)
        stages.train_twin(run)
        rows = (run.path / "history.csv").read_text().splitlines()
        assert sum(row.startswith("cnn_twin,") for row in rows) == expected


def test_a_killed_training_resumes_to_the_same_digits(config: RunConfig, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int, remark: str) -> None:
        if (stage, done) == ("cnn_twin", 2):
            raise Killed

    chosen = replace(config, training=replace(config.training, twin_epochs=4))
    whole, broken = (Run.create(chosen, tmp_path / name) for name in ("whole", "broken"))
    for run in (whole, broken):
        stages.train_cnn(run)
    stages.train_twin(whole)
    with pytest.raises(Killed):
        stages.train_twin(Run.open(broken.path, kill))
    assert broken.state_file("cnn_twin").exists()
    stages.train_twin(Run.open(broken.path))
    assert not broken.state_file("cnn_twin").exists()
    assert broken.file(TWIN).read_bytes() == whole.file(TWIN).read_bytes()


def test_other_options_of_training_make_it_anew(copied: Callable[[], Run]) -> None:
    run = copied()
    run.drop(Network.SNN_TRAINED)
    before = run.file(TWIN).read_bytes()
    training = replace(run.config.training, distillation=0.5, twin_epochs=2)
    with pytest.raises(Exception, match="--distillation"):  # decides on the quantized CNN too
        stages.change_options(run, replace(run.config, training=training))
    stages.change_options(run, replace(run.config, training=replace(training, distillation=0.9)))
    assert not run.has(TWIN)
    stages.train_twin(run)
    assert run.file(TWIN).read_bytes() != before
    assert read_config(run.path / "config.toml").training.twin_epochs == 2


def test_a_run_of_before_has_no_twin_and_no_comparison(copied: Callable[[], Run]) -> None:
    run = copied()
    run.drop(TWIN)
    file = run.path / "config.toml"
    later = ("twin_epochs =", "chip =")
    lines = file.read_text().splitlines()
    assert sum(line.startswith(later) for line in lines) == 2
    file.write_text("\n".join(line for line in lines if not line.startswith(later)))
    metrics = evaluate(Run.open(run.path))
    assert TWIN not in metrics.networks
    assert metrics.rival is None
    assert set(metrics.energy_ratio["ace_snn"]) == {"cnn_fp32", "cnn_quantized"}


def test_its_products_with_zeros_take_no_energy(finished: tuple[Path, RunMetrics]) -> None:
    metrics = finished[1]
    assert metrics.rival is not None
    dense, twin = (metrics.operations[name].mac for name in ("cnn_quantized", "cnn_twin"))
    first = metrics.model.layers[0].mac
    assert twin - first == pytest.approx((1 - metrics.rival.zeros) * (dense - first))
    assert 0 < metrics.rival.zeros < 1
    rows = [row for row in energy_by_layer(Run.open(finished[0])) if row["network"] == "cnn_twin"]
    assert sum(row["mac"] for row in rows) == pytest.approx(twin)
    assert rows[0]["mac"] == first


def test_batch_norms_of_a_cnn_start_and_fold_without_changing_it() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4), nn.ReLU())
    cnn, x = nn.Sequential(*layers, nn.Linear(4, 2)).eval(), torch.randn(32, 1, 5, 5)
    before = cnn(x)
    norms = SynapseNorms(cnn, x)
    assert list(norms.norms) == [cnn[0], cnn[3]]  # none after the last activation
    torch.testing.assert_close(cnn(x), before, atol=1e-5, rtol=1e-4)
    cnn.train()
    for norm in norms.norms.values():
        norm.weight.data.mul_(1.5)
    cnn(x)
    cnn.eval()
    trained = cnn(x)
    norms.fold()
    torch.testing.assert_close(cnn(x), trained, atol=1e-5, rtol=1e-4)
    assert not any("norm" in name for name, _ in cnn.named_modules())


def layer(name: str, inputs: int, outputs: int, **fields: object) -> LayerActivity:
    mac = inputs * outputs
    info = LayerInfo(name, "linear", (inputs,), (outputs, inputs), (outputs,), (), (), mac)
    usual = {"spiking": False, "input_density": 1.0, "mac": float(mac), "ac": 0.0}
    return LayerActivity(info, **{**usual, "ac_by_rate": 0.0, "bits": 8, **fields})  # type: ignore[arg-type]


def test_figures_of_the_thresholds_by_hand() -> None:
    """T = 2: 30 spikes reach 4 outputs each, 10 of 20 products of the last layer's inputs too."""
    spiking = {"spiking": True, "mac": 0.0, "input": Width(1)}
    snn = [
        layer("pixels", 50, 40),
        layer("one", 40, 4, input_density=0.375, ac=120.0, **spiking),
        layer("two", 4, 5, input_density=0.25, ac=10.0, **spiking),
    ]
    twin = [
        layer("pixels", 50, 40, fetched=1900.0),
        layer("one", 40, 4, input=Width(2), fetched=80.0),
        layer("two", 4, 5, input=Width(2), fetched=10.0),
    ]
    found = rival_figures(snn, twin, COSTS.get("ace_snn"))
    assert found["accumulates_per_mac"] == pytest.approx(130 / 180)
    assert found["spike_rate"] == pytest.approx((0.375 * 40 + 0.25 * 4) / 44)
    assert found["zeros"] == pytest.approx(0.5)
    table = COSTS.get("ace_snn")
    assert found["compute_limit"] == pytest.approx(table.mac(8) / table.ac(8) / 2)  # type: ignore[attr-defined]


def test_the_comparison_holds_together(finished: tuple[Path, RunMetrics]) -> None:
    metrics, rival = finished[1], finished[1].rival
    assert rival is not None
    assert rival.twin_oa == metrics.networks[TWIN].oa
    assert rival.snn_oa == metrics.networks[Network.SNN_TRAINED].oa
    for energy, ratio in (
        (rival.energy_nj, rival.ratio),
        (rival.map_energy_nj, rival.map_ratio),
    ):
        assert energy is not None
        assert ratio is not None
        assert list(energy) == list(ratio) == ["events", "time_inner", "dense", "best"]
        best = min(by_network["cnn_twin"] for by_network in energy.values())
        for schedule, by_network in energy.items():
            assert set(by_network) == set(Network) - {Network.SNN_CONVERTED}
            assert all(
                energy["best"][name] <= spent * (1 + 1e-9) for name, spent in by_network.items()
            )
            snn, twin = by_network["snn_trained"], by_network["cnn_twin"]
            assert ratio[schedule].same == pytest.approx(snn / twin)
            assert ratio[schedule].twin_best == pytest.approx(snn / best)
    widths = metrics.energy_pj["horowitz_widths"]
    assert rival.compute_ratio == pytest.approx(widths["snn_trained"] / widths["cnn_twin"])
    for row in rival.thresholds:
        assert row.passed == (row.value <= row.limit)
    (shen,) = (row for row in rival.thresholds if row.figure == "spike_bits")
    assert (shen.value, shen.limit, shen.passed) == (12, 12, True)
    assert {row.limit for row in rival.thresholds} >= {0.15, 1.38, 1.72}


def test_another_chip_has_other_prices_and_is_kept(config: RunConfig, tmp_path: Path) -> None:
    import pim_sim

    source = Path(pim_sim.__file__).parent / "hardware" / "systems" / "edge_65nm.toml"
    own = tmp_path / "mine.toml"
    own.write_text(source.read_text())
    run, metrics = made(replace(config, chip=str(own)), tmp_path / "run")
    own.unlink()
    again = evaluate(Run.open(run.path))
    assert again.rival == metrics.rival
    named = Run.open(run.path)
    object.__setattr__(named, "config", replace(named.config, chip="edge_22nm"))
    (run.path / "chip.toml").unlink()
    other = evaluate(named).rival
    assert metrics.rival is not None
    assert other is not None
    assert other.energy_nj["dense"]["cnn_twin"] < metrics.rival.energy_nj["dense"]["cnn_twin"]
