"""Trainings with the rules of every registered method: resumed bit for bit, and their results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, TrainingConfig
from snnquant.conversion import fold_batch_norm, to_spiking
from snnquant.models import build_model
from snnquant.quantization import (
    METHODS,
    Calibration,
    MethodConfig,
    Plan,
    install,
    layer_bits,
    quantize,
)
from snnquant.quantization.methods import CGMQ, AdaQAT, HybridNet
from snnquant.sampling import Normalisation, Patches
from snnquant.training import Epoch, Samples, Stage, train

BANDS, CLASSES, EPOCHS = 20, 3, 5
STAGE = Stage("rules", EPOCHS, rate=0.01)
TRAINING = TrainingConfig(batch_size=16, weight_decay=1e-3, distillation=0.0)
OPTIONS: dict[str, MethodConfig] = {
    "adaqat": AdaQAT(interval=2, hardware=4.0),
    "cgmq": CGMQ(gate_rate=0.8),
    "hybrid_net": HybridNet(rows_per_channel=1),
}
"""Options with which few steps change bits."""


def with_rules() -> list[str]:
    plans: dict[str, Plan] = {name: METHODS.get(name)().plan() for name in METHODS.names()}
    return [name for name, plan in plans.items() if plan.rules]


def cnn() -> nn.Module:
    torch.manual_seed(0)
    model = ModelConfig(name="cnn32h", window=3, widths=(4, 4, 4, 4))
    return fold_batch_norm(build_model(model, BANDS, CLASSES, batch_norm=True).eval())


def snn() -> nn.Module:
    return to_spiking(cnn(), torch.zeros(1, 1, BANDS, 3, 3), NeuronConfig(time_steps=2))


@pytest.fixture(scope="module")
def samples() -> Samples:
    draw = np.random.default_rng(0)
    one = np.ones(BANDS, np.float32)
    cube = draw.normal(size=(10, 10, BANDS)).astype(np.float32)
    patches = Patches(cube, 3, Normalisation(0 * one, one))
    pixels = torch.arange(100)
    return Samples(patches, pixels, torch.tensor(cube.reshape(100, -1)[:, :CLASSES].argmax(1)))


class Stopped(Exception):
    """End of a program between two epochs."""


def run(
    network: nn.Module, config: MethodConfig, samples: Samples, file: Path, stop: int | None = None
) -> list[Epoch]:
    def on_epoch(row: Epoch) -> None:
        if row.epoch == stop:
            raise Stopped

    rules = [make(network) for make in config.plan().rules]
    return train(network, samples, samples, STAGE, TRAINING, file, rules=rules, on_epoch=on_epoch)


@pytest.mark.parametrize("make", [cnn, snn])
@pytest.mark.parametrize("name", with_rules())
def test_a_stopped_training_resumes_bit_for_bit(
    name: str, make, samples: Samples, tmp_path: Path
) -> None:
    config = OPTIONS.get(name, METHODS.get(name)())
    calibration = Calibration(samples.patches.gather(samples.indices), samples.classes)
    whole = quantize(make(), config, calibration)
    start = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    history = run(whole, config, samples, tmp_path / "whole")
    if name in ("adaqat", "cgmq"):
        assert layer_bits(whole) != layer_bits(_with(start, make, config))
    for stop in (0, 2, 3):
        file = tmp_path / f"stopped{stop}"
        with pytest.raises(Stopped):
            run(_with(start, make, config), config, samples, file, stop)
        resumed = install(make(), config)  # all that counts is in the file
        assert run(resumed, config, samples, file) == history
        for key, tensor in whole.state_dict().items():
            assert torch.equal(tensor, resumed.state_dict()[key]), key


def _with(start: dict[str, torch.Tensor], make, config: MethodConfig) -> nn.Module:
    network = install(make(), config)
    network.load_state_dict(start)
    return network
