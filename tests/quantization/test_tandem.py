"""Integer networks fitted layer by layer: equal to integer arithmetic bit for bit, and closer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import fold_batch_norm, to_spiking
from snnquant.errors import InputError
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.models import build_model
from snnquant.nn.kinds import BATCH_NORMS
from snnquant.quantization import Calibration, install, integer_weights, quantize
from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.integer_grid import FRACTION_BITS, closest_step
from snnquant.quantization.methods.tandem import Tandem
from snnquant.quantization.passes.layer_by_layer import learn_layer_by_layer
from snnquant.quantization.passes.observed_layers import latent
from snnquant.spiking import LIF

BANDS, CLASSES, STEPS = 12, 3, 4
MODEL = ModelConfig(name="cnn1x1h", window=3, widths=(4, 6, 8))
CONFIG = Tandem(bits=4, fit_epochs=4, epochs=3)
INPUT = 2.0**-11
"""Step of the codes that the integer engine takes pixels as."""


def teacher() -> nn.Module:
    torch.manual_seed(0)
    network = build_model(MODEL, BANDS, CLASSES, batch_norm=True).train()
    for _ in range(4):
        network(torch.randn(32, 1, BANDS, 3, 3))
    classifier: Any = network.get_submodule("classifier")
    classifier.weight.data.mul_(8)  # classes that differ
    return fold_batch_norm(network.eval())


def spiking(leak: float = 0.9) -> nn.Module:
    network = to_spiking(teacher(), torch.zeros(1, 1, BANDS, 3, 3), NeuronConfig(time_steps=STEPS))
    for module in network.modules():
        if isinstance(module, LIF):
            module.leak.data.fill_(leak)
    return network


@pytest.fixture
def seen() -> Calibration:
    torch.manual_seed(1)
    inputs = (torch.randn(96, 1, BANDS, 3, 3) / INPUT).round() * INPUT
    return Calibration(inputs, torch.arange(96) % CLASSES)


def whole(values: Tensor, unit: float) -> Tensor:
    """Return values in a unit as whole numbers; fail where they are none."""
    found = values.detach().double() / unit
    assert torch.equal(found, found.round())
    return found.to(torch.int64)


def in_integers(network: nn.Sequential, x: Tensor) -> Tensor:
    """Run a quantized chain on whole numbers; return the logits, decoded at the end only."""
    codes, step = whole(x, INPUT), INPUT
    for module in network:
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            weight, scale, _ = integer_weights(module)
            assert scale.numel() == 1
            unit = float(scale) / 2**FRACTION_BITS
            finest = min(unit, float(scale) * step)
            if isinstance(module, nn.Linear):
                sums = nn.functional.linear(codes, weight.to(torch.int64))
            else:
                layer: Any = module
                rank = {nn.Conv2d: nn.functional.conv2d, nn.Conv3d: nn.functional.conv3d}
                run = next(f for kind, f in rank.items() if isinstance(module, kind))
                sums = run(codes, weight.to(torch.int64), None, layer.stride)
            assert module.bias is not None
            bias = whole(module.bias, unit) * round(unit / finest)
            sums = sums * round(float(scale) * step / finest)
            codes, step = sums + bias.view(-1, *(1 for _ in sums.shape[2:])), finest
        elif isinstance(module, QuantizedReLU):
            down = round(float(module.step) / step)
            assert down & (down - 1) == 0, "a step that is no shift"
            quotient, rest = codes // down, codes % down
            up = (2 * rest > down) | ((2 * rest == down) & (quotient % 2 == 1))
            codes, step = (quotient + up).clamp(0, module.high), float(module.step)
        else:
            assert isinstance(module, (nn.Flatten, nn.Identity, nn.Dropout))
            if isinstance(module, nn.Flatten):
                codes = module(codes)
    return codes.double() * step


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_cnn_equals_whole_numbers_bit_for_bit(bits: int, seen: Calibration) -> None:
    student = quantize(teacher(), Tandem(bits=bits, fit_epochs=2, epochs=2), seen)
    assert isinstance(student, nn.Sequential)
    found = student.eval()(seen.inputs).double()
    assert torch.equal(found, in_integers(student, seen.inputs))
    assert found.std() > 0


@pytest.mark.parametrize("bits", [4, 8])
def test_an_snn_equals_the_integer_engine_bit_for_bit(bits: int, seen: Calibration) -> None:
    student: Any = quantize(spiking(), Tandem(bits=bits, fit_epochs=2, epochs=2), seen)
    engine = IntegerNetwork(student, BANDS, 3)
    logits = engine.logits(seen.inputs)[:, 0, 0] * engine.fixed_point.unit
    assert torch.equal(student(seen.inputs).double(), torch.from_numpy(logits))
    spikes: list[Tensor] = []
    neurons = [m for m in student.modules() if isinstance(m, LIF)]
    handles = [m.register_forward_hook(lambda *call: spikes.append(call[2])) for m in neurons]
    student(seen.inputs)
    for handle in handles:
        handle.remove()
    assert any(layer.any() for layer in spikes)
    for layer, mine in enumerate(spikes):
        theirs = torch.from_numpy(engine.spikes(seen.inputs, layer))  # [T, N, h, w, depth, K]
        assert int(mine.sum()) == int(theirs.sum())


def test_an_error_after_a_fit_is_never_larger_and_no_norm_is_left(seen: Calibration) -> None:
    for network in (teacher(), spiking()):
        config = Tandem(bits=4, fit_epochs=20, epochs=3, rate=1e-2)
        student = install(network, config)
        fits = learn_layer_by_layer(student, seen, config)
        assert [fit.name.rpartition(".")[2] for fit in fits] == [
            "conv1", "conv2", "conv3", "classifier"
        ]  # fmt: skip
        assert all(fit.after <= fit.before for fit in fits)
        assert sum(fit.after for fit in fits) < 0.9 * sum(fit.before for fit in fits)
        assert not any(isinstance(module, BATCH_NORMS) for module in student.modules())
        assert all(p.requires_grad for p in student.parameters())


def test_layers_are_frozen_once_fitted(seen: Calibration) -> None:
    """Compare the first layer of a short and a long training of those after it."""
    pixels = Calibration(seen.inputs)
    short, long = (
        quantize(teacher(), Tandem(bits=3, fit_epochs=2, epochs=n, patience=n), pixels)
        for n in (1, 40)
    )
    first, last = (
        [latent(network.get_submodule(name)) for network in (short, long)]
        for name in ("conv1", "classifier")
    )
    assert torch.equal(*first)
    assert not torch.equal(*last)


def test_a_fit_makes_up_for_what_rounding_loses(seen: Calibration) -> None:
    wanted = teacher()(seen.inputs)
    errors = []
    for epochs in (1, 30):
        torch.manual_seed(0)
        config = Tandem(bits=3, fit_epochs=epochs, epochs=epochs, rate=3e-3)
        student = quantize(teacher(), config, Calibration(seen.inputs))
        errors.append(nn.functional.mse_loss(student(seen.inputs), wanted).item())
    assert errors[1] < 0.8 * errors[0]


def test_neurons_stop_leaking(seen: Calibration) -> None:
    student = quantize(spiking(0.5), CONFIG, seen)
    assert {m.leak.item() for m in student.modules() if isinstance(m, LIF)} == {1.0}


@given(st.integers(0, 2**16), st.integers(1, 8))
def test_the_closest_step_is_that_of_brute_force(seed: int, bits: int) -> None:
    values = torch.randn(20, generator=torch.Generator().manual_seed(seed))
    high = 2**bits - 1
    step = closest_step(values, -high, high)

    def error(step: float) -> float:
        return float((values - (values / step).round().clamp(-high, high) * step).square().sum())

    assert error(step) <= min(error(2.0**k) for k in range(-14, 6)) + 1e-6


def test_a_norm_in_the_network_is_refused(seen: Calibration) -> None:
    network = build_model(MODEL, BANDS, CLASSES, batch_norm=True).eval()
    with pytest.raises(InputError, match="layer norm1: found a batch norm, expected it folded"):
        quantize(network, CONFIG, seen)
