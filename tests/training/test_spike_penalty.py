"""Penalty on accumulates: the target is met, epochs above it are not kept, a CNN has one too."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, TrainingConfig
from snnquant.conversion import to_spiking
from snnquant.energy import measure
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.quantization import QuantizationConfig, quantize
from snnquant.training import AccumulateMeter, Epoch, SpikePenalty, Stage, steps_per_epoch, train

MODEL = ModelConfig(name="cnn32h", window=3, widths=(6, 6, 12, 12), dropout=0.1)
STAGE = Stage("snn", epochs=30, rate=0.02)
CONFIG = TrainingConfig(batch_size=16, weight_decay=1e-3, distillation=0.0, spike_target=0.1)
KINDS = ["quantized snn", "quantized activations"]


@pytest.fixture
def build(samples, scene):
    """Return a network and its penalty."""

    def of(kind: str, **options) -> tuple[nn.Module, SpikePenalty]:
        torch.manual_seed(0)
        network = build_model(MODEL, scene.bands, scene.classes)
        method = QuantizationConfig(bits=4, activation_bits=2)
        if kind == "quantized snn":
            neuron = NeuronConfig(time_steps=3)
            network = to_spiking(network, torch.zeros(1, 1, scene.bands, 3, 3), neuron)
        quantize(network, method)
        count = steps_per_epoch(len(samples[0].indices), CONFIG.batch_size)
        example = samples[0].patches.gather(samples[0].indices[:1])
        return network, SpikePenalty(network, example, STAGE.epochs * count, **options)

    return of


def fitted(network, penalty, samples, path, epochs=STAGE.epochs, **options) -> list[Epoch]:
    stage, own = replace(STAGE, epochs=epochs), {"penalty": penalty, "rules": [penalty]}
    return train(network, *samples, stage, CONFIG, path, **own, **options)


def per_mac(network: nn.Module, samples) -> float:
    """Return accumulates, or multiplications by other than 0, per MAC on validation pixels."""
    patches, indices = samples[1].patches, samples[1].indices
    meter = AccumulateMeter(network, patches.gather(indices[:1]))
    with torch.no_grad():
        network(patches.gather(indices))
    return float(meter())


@pytest.mark.parametrize(("kind", "share"), [(KINDS[0], 0.4), (KINDS[0], 0.7), (KINDS[1], 0.85)])
def test_the_target_is_met_by_what_is_kept_and_not_by_far(kind, share, build, samples, tmp_path):
    target = share * per_mac(build(kind)[0], samples)
    network, penalty = build(kind, target=target)
    history = fitted(network, penalty, samples, tmp_path / "state")
    assert 0.5 * target < per_mac(network, samples) <= target * (1 + 1e-6)
    assert not history[0].allowed
    assert history[-1].allowed


def test_a_target_out_of_reach_is_refused(build, samples, tmp_path):
    network, penalty = build("quantized snn", target=1e-6)
    with pytest.raises(InputError, match="--spike-target allow"):
        fitted(network, penalty, samples, tmp_path / "state", epochs=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loose_target_changes_nothing(kind, build, samples, tmp_path):
    ends = []
    for number, target in enumerate((0.0, 100.0)):
        network, penalty = build(kind, target=target)
        fitted(network, penalty, samples, tmp_path / f"{number}", epochs=5)
        ends.append(network.state_dict())
    assert all(map(torch.equal, ends[0].values(), ends[1].values()))


@pytest.mark.parametrize("options", [{"target": 0.1}, {"weight": 0.1}])
def test_a_stopped_training_resumes_bit_for_bit(options, build, samples, tmp_path):
    def stop(row: Epoch) -> None:
        if row.epoch == 3:
            raise KeyboardInterrupt

    whole, penalty = build("quantized snn", **options)
    history = fitted(whole, penalty, samples, tmp_path / "whole")
    stopped = build("quantized snn", **options)
    with pytest.raises(KeyboardInterrupt):
        fitted(*stopped, samples, tmp_path / "stopped", on_epoch=stop)
    resumed, again = build("quantized snn", **options)
    assert fitted(resumed, again, samples, tmp_path / "stopped") == history
    assert again.state_dict().keys() == penalty.state_dict().keys()
    assert all(map(torch.equal, whole.state_dict().values(), resumed.state_dict().values()))


def test_a_constant_weight_times_the_accumulates_is_the_penalty(build, samples):
    network, penalty = build("quantized snn", weight=0.7)
    network(samples[0].patches.gather(samples[0].indices))
    assert float(penalty().detach()) == pytest.approx(
        0.7 * float(penalty.meter().detach()), rel=1e-6
    )
    assert penalty.allows()


def test_the_meter_counts_activations_of_a_cnn_that_are_not_zero(build, samples):
    network = build("quantized activations")[0].eval()
    patches, indices = samples[1].patches, samples[1].indices
    rows = measure(network, patches, indices)[1:]
    meter = AccumulateMeter(network, patches.gather(indices[:1]))
    network(patches.gather(indices))
    dense = [row for row in rows if row.info.kind == "linear"]
    assert dense
    for row in dense:
        found = float(meter.parts[row.info.name].detach()) / row.info.mac
        assert found == pytest.approx(row.input_density, rel=1e-5)
    assert meter.parts.keys() == {row.info.name for row in rows}
    meter().backward()
    assert all(p.grad is not None for p in network.conv1.parameters())


def test_steps_are_those_of_an_epoch(build, samples, tmp_path):
    network, penalty = build("quantized snn", target=100.0)
    fitted(network, penalty, samples, tmp_path / "state")
    assert penalty.step == penalty.steps


def test_a_penalty_beside_a_target_is_refused():
    with pytest.raises(InputError, match=r"^--spike-target: found 0\.1, expected"):
        replace(CONFIG, spike_penalty=0.1)
