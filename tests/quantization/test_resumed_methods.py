"""Stopped trainings of methods with errors or an optimizer of their own resume bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig, TrainingConfig
from snnquant.conversion import fold_batch_norm, to_spiking
from snnquant.models import build_model
from snnquant.quantization import METHODS, Calibration, MethodConfig, Plan, layer_bits, quantize
from snnquant.sampling import Normalisation, Patches
from snnquant.training import Epoch, Samples, Stage, adamw, train

BANDS, CLASSES, EPOCHS = 20, 3, 6
STAGE = Stage("snn", EPOCHS, rate=0.01)
CONFIG = TrainingConfig(batch_size=16, weight_decay=0.0, distillation=0.0)
OPTIONS = {"fractrain": {"warm_up": 0.0, "plateau": 1.0}}
"""Options with which something happens within a few epochs."""


def methods() -> list[str]:
    plans: dict[str, Plan] = {name: METHODS.get(name)().plan() for name in METHODS.names()}
    return [n for n, p in plans.items() if p.trains and {"error", "optimizer"} & set(p.hooks)]


@pytest.fixture(scope="module")
def samples() -> Samples:
    draw = np.random.default_rng(0)
    cube, one = draw.normal(size=(8, 8, BANDS)).astype(np.float32), np.ones(BANDS, np.float32)
    pixels = torch.arange(64)
    patches = Patches(cube, 3, Normalisation(0 * one, one))
    return Samples(patches, pixels, pixels % CLASSES)


@pytest.fixture(params=methods())
def config(request: pytest.FixtureRequest) -> MethodConfig:
    return METHODS.get(request.param)(**OPTIONS.get(request.param, {}))


def started(config: MethodConfig, kind: str, samples: Samples, seed: int = 0) -> nn.Module:
    """Return a quantized network with weights of a seed."""
    torch.manual_seed(seed)
    model = ModelConfig(name="cnn32h", window=3, widths=(2, 2, 3, 4))
    network = fold_batch_norm(build_model(model, BANDS, CLASSES, batch_norm=True).eval())
    patches = samples.patches.gather(samples.indices)
    if kind == "snn":
        network = to_spiking(network, patches[:1], NeuronConfig(time_steps=2))
    return quantize(network, config, Calibration(patches, samples.classes))


def fitted(
    config: MethodConfig, network: nn.Module, samples: Samples, path: Path, stop: int = EPOCHS
) -> list[Epoch]:
    def on_epoch(row: Epoch) -> None:
        if row.epoch == stop:
            raise KeyboardInterrupt

    plan: Plan = config.plan()
    return train(
        network,
        samples,
        samples,
        STAGE,
        CONFIG,
        path,
        rules=[make(network) for make in plan.rules],
        error=plan.error,
        optimizer=plan.optimizer or adamw,
        on_epoch=on_epoch,
    )


@pytest.mark.parametrize("kind", ["cnn", "snn"])
def test_stopped_and_resumed(config, kind, samples, tmp_path) -> None:
    whole = started(config, kind, samples)
    first = {name: value.clone() for name, value in whole.state_dict().items()}
    history = fitted(config, whole, samples, tmp_path / "whole.state")
    for stop in (0, 3):
        path = tmp_path / f"{stop}.state"
        with pytest.raises(KeyboardInterrupt):
            fitted(config, started(config, kind, samples), samples, path, stop)
        resumed = started(config, kind, samples, seed=stop + 5)
        assert fitted(config, resumed, samples, path) == history
        state: dict[str, Tensor] = resumed.state_dict()
        for name, value in whole.state_dict().items():
            assert torch.equal(value, state[name]), (stop, name)
    for name in layer_bits(whole):
        latent = f"{name}.parametrizations.weight.original"
        assert not torch.equal(whole.state_dict()[latent], first[latent])
    assert len({row.loss for row in history}) == EPOCHS
