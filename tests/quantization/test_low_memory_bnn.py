"""Binary training with little memory: gradients by its formulas, bits that are kept, resuming."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from snnquant.config import ModelConfig, NeuronConfig, TrainingConfig
from snnquant.conversion import fold_batch_norm, to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.quantization import Calibration, Plan, complete, quantize
from snnquant.quantization.methods.low_memory_bnn import LowMemoryBNN
from snnquant.quantization.packed_bits import NormedSign, SignSynapse, pack_bits, unpack_bits
from snnquant.quantization.packed_training import SignAdam, unpack
from snnquant.quantization.passes.observed_layers import latent
from snnquant.sampling import Normalisation, Patches
from snnquant.training import Samples, Stage, train

BANDS, CLASSES = 12, 3
MODEL = ModelConfig(name="cnn1x1h", window=3, widths=(4, 6, 8), dropout=0.0)
CONFIG = LowMemoryBNN()
PLAN: Plan = CONFIG.plan()


def cnn() -> nn.Module:
    torch.manual_seed(0)
    return fold_batch_norm(build_model(MODEL, BANDS, CLASSES, batch_norm=True).eval())


def snn() -> nn.Module:
    return to_spiking(cnn(), torch.zeros(1, 1, BANDS, 3, 3), NeuronConfig(time_steps=3))


def patches(count: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(count, 1, BANDS, 3, 3).half().float()


@given(st.lists(st.booleans(), max_size=40))
def test_bits_survive_packing(bits: list[bool]) -> None:
    values = torch.tensor(bits, dtype=torch.bool)
    packed = pack_bits(values)
    assert packed.numel() == math.ceil(len(bits) / 8)
    assert torch.equal(unpack_bits(packed, values.shape), values)


def normed(y: Tensor, shift: Tensor) -> Tensor:
    mean = y.mean((0, 2), keepdim=True)
    size = (y - mean).abs().mean((0, 2), keepdim=True)
    return (y - mean) / size + shift[:, None]


def exact_gradient(y: Tensor, of_normed: Tensor) -> Tensor:
    """Return v - mean(v) - (sgn x - mean(sgn x)) mean(v x) for the normed x without a shift."""
    axes, x = (0, 2), normed(y, torch.zeros(y.shape[1], dtype=y.dtype))
    size = (y - y.mean(axes, keepdim=True)).abs().mean(axes, keepdim=True)
    v, sign = of_normed / size, x.sign()
    centred = sign - sign.mean(axes, keepdim=True)
    return v - v.mean(axes, keepdim=True) - centred * (v * x).mean(axes, keepdim=True)


def test_the_exact_gradient_of_the_l1_norm_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    y, of_normed = (torch.randn(6, 3, 4, dtype=torch.float64) for _ in range(2))
    shift, step = torch.zeros(3, dtype=torch.float64), 1e-6
    found = torch.zeros_like(y)
    for place in np.ndindex(*y.shape):
        ends = []
        for sign in (1, -1):
            moved = y.clone()
            moved[place] += sign * step
            ends.append((normed(moved, shift) * of_normed).sum())
        found[place] = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(found, exact_gradient(y, of_normed), atol=1e-6, rtol=1e-5)


def kept_gradient(y: Tensor, shift: Tensor, of_on: Tensor, mask: bool) -> tuple[Tensor, Tensor]:
    y, shift = y.clone().requires_grad_(), shift.clone().requires_grad_()
    on, *_ = NormedSign.apply(y, shift, mask)  # type: ignore[no-untyped-call]
    return torch.autograd.grad(on, (y, shift), of_on)  # type: ignore[return-value]


def cosine(a: Tensor, b: Tensor) -> float:
    return functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


def test_the_gradient_from_bits_points_where_the_exact_one_does() -> None:
    torch.manual_seed(0)
    y, shift = torch.randn(64, 8, 50), torch.zeros(8)
    independent = torch.randn_like(y)
    found, _ = kept_gradient(y, shift, independent, mask=False)
    assert cosine(found, exact_gradient(y, independent)) > 0.999
    correlated = independent + y
    found, _ = kept_gradient(y, shift, correlated, mask=False)
    assert 0.9 < cosine(found, exact_gradient(y, correlated)) < 0.99


@pytest.mark.parametrize("mask", [False, True])
def test_gradients_of_the_norm_are_its_formulas(mask: bool) -> None:
    torch.manual_seed(0)
    y, shift, of_on = torch.randn(16, 3, 5), torch.tensor([0.3, -0.2, 0.0]), torch.randn(16, 3, 5)
    x = normed(y, shift)
    on, *_ = NormedSign.apply(y, shift, mask)  # type: ignore[no-untyped-call]
    assert torch.equal(on, (x > 0).float())
    of_x = of_on * (x.abs() <= 1) if mask else of_on
    size = (y - y.mean((0, 2), keepdim=True)).abs().mean((0, 2), keepdim=True)
    plain = normed(y, torch.zeros(3))
    v, sign = of_x / size, plain.sign()
    omega, along = plain.abs().mean((0, 2)), (v * sign).mean((0, 2))
    wanted = v - v.mean((0, 2), keepdim=True) - sign * (along * omega)[:, None]
    of_y, of_shift = kept_gradient(y, shift, of_on, mask)
    torch.testing.assert_close(of_y, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(of_shift, of_x.sum((0, 2)))


@pytest.mark.parametrize("binary", [True, False])
def test_gradients_of_a_synapse_are_its_formulas(binary: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 2)
    x = torch.randn(5, 3, 4, 4).half().float()
    x = (x > 0).float() if binary else x
    x.requires_grad_()
    weight = (1.5 * torch.randn(4, 3, 2, 2)).requires_grad_()
    output = SignSynapse.apply(x, weight, layer)  # type: ignore[no-untyped-call]
    error = torch.randn_like(output)
    found = torch.autograd.grad(output, (x, weight), error)
    signs = weight.detach().sign().requires_grad_()
    plain = functional.conv2d(x, signs)
    assert torch.equal(output, plain)
    of_x, of_weight = torch.autograd.grad(plain, (x, signs), error)
    torch.testing.assert_close(found[0], of_x)
    one_bit = torch.where(weight.abs() > 1, 0, of_weight.sign() / math.sqrt(12))
    torch.testing.assert_close(found[1], one_bit)


def saved_bytes(network: nn.Module, x: Tensor) -> int:
    """Return the bytes of distinct storages kept for the backward pass, parameters excepted."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network.train()(x).sum()
    del loss
    return sum(sizes.values())


@pytest.mark.parametrize("make", [cnn, snn])
def test_a_packed_network_keeps_bits(make: Any) -> None:
    x = patches(64)
    network = quantize(make(), CONFIG)
    plain = saved_bytes(copy.deepcopy(network), x)
    for rule in PLAN.rules:
        rule(network)
    packed = saved_bytes(network, x)
    of_input = x.numel() * 2
    assert packed - of_input < 0.2 * (plain - 2 * of_input)
    assert packed < plain / 3


def test_gradients_of_an_snn_are_those_without_packing() -> None:
    x, classes = patches(16), torch.arange(16) % CLASSES
    network = quantize(snn(), CONFIG)
    packed = copy.deepcopy(network)
    for rule in PLAN.rules:
        rule(packed)
    found = []
    for one in (network, packed):
        logits = one.train()(x)
        functional.cross_entropy(logits, classes).backward()  # type: ignore[no-untyped-call]
        found.append((logits, {name: p.grad for name, p in one.named_parameters()}))
    assert torch.equal(found[0][0], found[1][0])
    for name, gradient in found[0][1].items():
        assert gradient is not None, name
        torch.testing.assert_close(found[1][1][name], gradient)


def test_a_deployed_network_computes_what_training_normed() -> None:
    """Run a batch in training until its statistics are the running ones, then as deployed."""
    x = patches(64)
    network = quantize(cnn(), CONFIG)
    (rule,) = [make(network) for make in PLAN.rules]
    network.train()
    for _ in range(250):
        trained = network(x)
    with rule.deployed():
        network.eval()
        agree = (network(x) - trained).abs().lt(1e-4).float().mean()
    assert agree > 0.97


def test_gradients_are_packed_and_weights_have_16_bits() -> None:
    x, network = patches(16), quantize(cnn(), CONFIG)
    for make in PLAN.rules:
        make(network)
    assert PLAN.optimizer is not None
    optimizer: Any = PLAN.optimizer(network, 1e-2, 0.0)
    before = [weight.clone() for weight in optimizer.latents]
    network.train()(x).square().sum().backward()
    assert len(optimizer.packed) == 3
    for weight, packed in optimizer.packed.items():
        assert weight.grad is None
        assert weight.dtype == torch.float16
        assert packed.numel() == math.ceil(weight.numel() / 8)
    optimizer.step()
    for weight, old in zip(optimizer.latents, before, strict=True):
        moved = (weight - old).abs().float()
        assert (moved - 1e-2).abs().max() < 2e-3  # Adam's first step is the rate
        assert set(optimizer.state[weight]) == {"step", "exp_avg"}


def test_momentum_is_adams_for_gradients_of_size_one() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.full((40,), 0.1)) for _ in range(2))
    optimizer = SignAdam([ours], [], 1e-3, 0.0)
    adam = torch.optim.Adam([theirs], 1e-3, eps=0)
    for _ in range(20):
        gradient = torch.randn(40).sign()
        (ours * gradient).sum().backward()  # type: ignore[no-untyped-call]
        theirs.grad = gradient
        optimizer.step()
        adam.step()
    torch.testing.assert_close(ours.detach().float(), theirs.detach(), atol=2e-3, rtol=0)
    assert theirs.std() > 2e-3


class _Stop(Exception):
    pass


def fitted(make: Any, folder: Path, stop_at: int | None = None) -> dict[str, Tensor]:
    """Train two epochs, stopped after `stop_at` and resumed where it is given."""
    cube = np.random.default_rng(0).normal(size=(6, 6, BANDS)).astype(np.float32)
    one = np.ones(BANDS, np.float32)
    pixels = torch.arange(36)
    samples = Samples(Patches(cube, 3, Normalisation(0 * one, one)), pixels, pixels % CLASSES)
    settings = TrainingConfig(batch_size=12, weight_decay=0.0)

    def one_run(stop: int | None) -> nn.Module:
        def check(row: Any) -> None:
            if row.epoch == stop:
                raise _Stop

        network = quantize(make(), CONFIG)
        rules = [rule(network) for rule in PLAN.rules]
        assert PLAN.optimizer is not None
        train(
            network,
            samples,
            samples,
            Stage("cnn", 3, 1e-2),
            settings,
            folder / "state",
            rules=rules,
            optimizer=PLAN.optimizer,
            on_epoch=check,
        )
        return complete(network, CONFIG, Calibration(patches(2)))

    if stop_at is not None:
        with pytest.raises(_Stop):
            one_run(stop_at)
    return one_run(None).state_dict()


@pytest.mark.parametrize("make", [cnn, snn])
def test_a_resumed_training_is_equal_bit_for_bit(make: Any, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, parts = fitted(make, tmp_path / "whole"), fitted(make, tmp_path / "parts", stop_at=1)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name
        assert value.dtype != torch.float16


def test_a_completed_network_is_a_plain_one() -> None:
    network = quantize(cnn(), CONFIG)
    for make in PLAN.rules:
        make(network)
    assert PLAN.optimizer is not None
    PLAN.optimizer(network, 1e-3, 0.0)
    wanted = network.eval()(patches(4))
    unpack(network, Calibration(patches(1)))
    assert torch.equal(network(patches(4)), wanted)
    assert not any("forward" in vars(module) for module in network.modules())
    assert latent(network.get_submodule("conv1")).dtype == torch.float32


def test_layers_in_between_are_refused() -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.relu, self.last = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.last(self.relu(2 * self.first(x)))
            return y

    network = quantize(Doubled(), CONFIG)
    for make in PLAN.rules:
        make(network)
    with pytest.raises(InputError, match="layer first: found other layers between it"):
        network.train()(torch.randn(3, 4))
