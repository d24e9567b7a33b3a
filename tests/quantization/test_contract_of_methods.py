"""Contract of every registered quantization method, on CNNs and SNNs of all kinds of layer."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import fold_batch_norm, to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.quantization import (
    METHODS,
    Calibration,
    MethodConfig,
    Plan,
    Rule,
    complete,
    freeze,
    install,
    layer_bits,
    quantize,
    weight_codes,
)
from snnquant.quantization.listing import summarise_methods
from snnquant.sampling import Normalisation

MODEL = ModelConfig(name="cnn32h", window=3, widths=(2, 2, 3, 4))
BANDS, CLASSES = 20, 3
NEURON = NeuronConfig(time_steps=2)
KINDS: dict[str, Callable[[], nn.Sequential]] = {
    "1-D": lambda: nn.Sequential(
        nn.Flatten(1), nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 3, 5), nn.ReLU(), nn.Conv1d(3, 2, 3),
        nn.ReLU(), nn.Flatten(), nn.Linear(2 * (BANDS * 9 - 6), CLASSES),
    ),
    "2-D": lambda: nn.Sequential(
        nn.Flatten(1, 2), nn.Conv2d(BANDS, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4),
        nn.ReLU(), nn.Flatten(), nn.Linear(4, CLASSES),
    ),
    "3-D": lambda: nn.Sequential(
        nn.Conv3d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * (BANDS - 2), CLASSES)
    ),
    "linear": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(BANDS * 9, 8), nn.ReLU(), nn.Linear(8, CLASSES)
    ),
}  # fmt: skip
Make = Callable[[], nn.Module]


def cnn() -> nn.Module:
    return fold_batch_norm(build_model(MODEL, BANDS, CLASSES, batch_norm=True).eval())


def snn() -> nn.Module:
    return to_spiking(cnn(), torch.zeros(1, 1, BANDS, 3, 3), NEURON)


@pytest.fixture(params=sorted(METHODS.names()))
def config(request: pytest.FixtureRequest) -> MethodConfig:
    return METHODS.get(request.param)()


@pytest.fixture
def calibration() -> Calibration:
    torch.manual_seed(1)
    return Calibration(torch.randn(24, 1, BANDS, 3, 3), torch.arange(24) % CLASSES)


def made(make: Make) -> nn.Module:
    torch.manual_seed(0)
    return make()


@pytest.mark.parametrize("make", [*KINDS.values(), cnn, snn], ids=[*KINDS, "cnn", "snn"])
def test_outputs_are_finite_and_codes_decode_to_the_forwards_weight(
    make: Make, config: MethodConfig, calibration: Calibration
) -> None:
    network = quantize(made(make), config, calibration)
    complete(network, config, calibration)
    assert network(calibration.inputs).isfinite().all()
    bits = layer_bits(network)
    plan: Plan = config.plan()
    if plan.weight is not None:
        assert bits
    for name in bits:
        module = network.get_submodule(name)
        codes, weight = weight_codes(module), module.weight
        assert isinstance(weight, Tensor)
        assert torch.equal(codes.decode(), weight), name
        assert 1 <= bits[name] <= 32
        if bits[name] <= 8 and hasattr(codes, "codes"):
            assert len(codes.codes.unique()) <= 2 ** bits[name]


@pytest.mark.parametrize("make", [cnn, snn])
def test_frozen_copied_and_reloaded_networks_are_equal(
    make: Make, config: MethodConfig, calibration: Calibration, tmp_path: Path
) -> None:
    network = quantize(made(make), config, calibration)
    complete(network, config, calibration)
    expected = network.eval()(calibration.inputs)
    for other in (copy.deepcopy(network), freeze(copy.deepcopy(network))):
        assert torch.equal(other.eval()(calibration.inputs), expected)
    again = install(made(make), config)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(calibration.inputs), expected)
    assert layer_bits(again) == layer_bits(network)

    one = np.ones(BANDS, np.float32)
    neuron = NEURON if make is snn else None
    file = tmp_path / "network.safetensors"
    save_checkpoint(
        file,
        Checkpoint(
            network,
            MODEL,
            BANDS,
            CLASSES,
            Normalisation(one, one),
            "scene",
            "split",
            config,
            neuron,
        ),
    )
    loaded = load_checkpoint(file)
    assert loaded.quantization == config
    assert torch.equal(loaded.network(calibration.inputs), expected)


@pytest.mark.parametrize("make", [cnn, snn])
def test_gradients_reach_the_latent_weights(
    make: Make, config: MethodConfig, calibration: Calibration
) -> None:
    plan: Plan = config.plan()
    if not plan.trains:
        pytest.skip("a network is quantized after its training")
    network = quantize(made(make), config, calibration).train()
    for rule in [make_rule(network) for make_rule in plan.rules]:
        assert isinstance(rule, Rule)
    loss = nn.functional.cross_entropy(network(calibration.inputs), calibration.classes)
    loss.backward()
    for name in layer_bits(network):
        latent = network.get_submodule(name).parametrizations["weight"].original
        assert latent.grad is not None, name
        assert latent.grad.isfinite().all(), name
    assert any(
        network.get_submodule(name).parametrizations["weight"].original.grad.any()
        for name in layer_bits(network)
    )


WRONG = {int: (-1, 2.5, "x"), float: (float("nan"), "x"), str: (3,), bool: ("x", 2)}


def test_every_fields_bad_value_is_refused_in_one_line(config: MethodConfig) -> None:
    for field in dataclasses.fields(config):
        default = getattr(config, field.name)
        for value in WRONG.get(type(default), (object(),)):
            with pytest.raises(InputError) as caught:
                type(config)(**{field.name: value})
            assert "\n" not in str(caught.value)
            assert field.name.replace("_", "-") in str(caught.value) or field.name == "method"


def test_the_list_of_methods_says_where_each_is_from() -> None:
    for row in summarise_methods():
        assert row.summary, row.name
        assert row.source, row.name
        assert row.certainty, row.name
        plan: Plan = METHODS.get(row.name)().plan()
        assert set(plan.hooks) <= set(row.hooks), row.name


def test_passes_need_calibration_pixels(config: MethodConfig) -> None:
    plan: Plan = config.plan()
    if not plan.before:
        pytest.skip("the method has no pass before its training")
    with pytest.raises(InputError, match="found no calibration pixels"):
        quantize(made(cnn), config)
