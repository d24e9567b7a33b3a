"""Operations by kind and widths, counted by hand for small layers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.energy import LayerActivity, Operation, load_costs, measure, shared_between_windows
from snnquant.energy.operand_widths import sum_bits, total_of
from snnquant.models import build_model
from snnquant.nn import INPUT, GraphNetwork
from snnquant.nn.wiring import Sum
from snnquant.quantization import PowersOfTwo, Terms, Uniform, WeightQuantizer, quantize
from snnquant.sampling import Patches
from snnquant.spiking import LIF, Leak, SpikingNetwork

BANDS, STEPS = 8, 3
PIXELS = torch.arange(5)
COSTS = {cost.name: cost for cost in load_costs()}
Build = Callable[..., Patches]


class Levels(nn.ReLU):
    """A ReLU that states the bits of its levels."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits


class SignedLevels(nn.Identity):
    """Values of either sign that state the bits of their levels."""

    bits = 4


def six(network: nn.Module) -> nn.Module:
    return quantize(network, QuantizationConfig(bits=6, activation_bits=32)).eval()


def counted(layer: LayerActivity) -> dict[tuple[object, ...], float]:
    """Return the counts with "f" for operations in floating point."""
    return {
        (op.kind, op.i, op.j, op.total, *("f" if op.floating else "")): n
        for op, n in layer.operations().items()
    }


def test_a_quantized_convolution_of_one_axis_and_its_neurons(patches_of: Build) -> None:
    """Kernel 3 over 8 bands, 2 filters: 6 x 2 outputs of 3 products, T = 3, biases once."""
    snn = SpikingNetwork(
        {
            "line": nn.Flatten(2),
            "conv": nn.Conv1d(1, 2, 3),
            "lif": LIF(threshold=0.1),
            "flat": nn.Flatten(),
            "dense": nn.Linear(12, 4),
        },
        STEPS,
    )
    first, last = measure(six(snn), patches_of(BANDS, 1), PIXELS, pixel_bits=8)
    assert counted(first) == {
        ("mac", 6, 8, 16): 36,  # sums of 3 products of 14 bits
        ("add", 16, 16, 0): 12,
        ("mul", 32, 15, 0): 36,  # leaks of 12 neurons
        ("add", 32, 32, 0): 72,
        ("compare", 32, 32, 0): 36,
    }
    assert counted(last) == {
        ("ac", 6, 1, 12): last.ac,  # 12 inputs at 3 steps: 36 codes
        ("add", 12, 12, 0): 4,
        ("mul", 12, 17, 0): 4,  # scales of the logits
    }
    assert last.ac > 0


def test_neurons_in_floating_point_and_in_fixed_point(patches_of: Build) -> None:
    def snn() -> SpikingNetwork:
        layers = {"flat": nn.Flatten(), "a": nn.Linear(8, 5, bias=False), "lif": LIF()}
        return SpikingNetwork({**layers, "b": nn.Linear(5, 2, bias=False)}, STEPS).eval()

    (first, _) = measure(snn(), patches_of(BANDS, 1), PIXELS)
    assert counted(first) == {
        ("mac", 32, 32, 32, "f"): 40,
        ("mul", 32, 32, 0, "f"): 15,
        ("add", 32, 32, 0, "f"): 30,
        ("compare", 32, 32, 0, "f"): 15,
    }
    fixed = quantize(snn(), QuantizationConfig(bits=6, neuron_bits=4))
    (first, _) = measure(fixed, patches_of(BANDS, 1), PIXELS)
    assert counted(first)["mul", 32, 4, 0] == 15
    assert counted(first)["mac", 6, 16, 25] == 40  # pixels as the integer engine has them


@pytest.mark.parametrize(
    ("leaks", "leak", "shifts"),
    [("power-of-two", 1.0, 0), ("power-of-two", 0.76, 1), ("two-powers", 0.62, 2)],
)
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_leak_of_powers_of_two_is_subtracted_at_the_width_of_the_potential(
    leaks: str, leak: float, shifts: int, bits: int, patches_of: Build
) -> None:
    lif = LIF(leak, leaks=leaks, potential_bits=bits)
    layers = {"flat": nn.Flatten(), "a": nn.Linear(8, 5, bias=False), "lif": lif}
    snn = SpikingNetwork({**layers, "b": nn.Linear(5, 2, bias=False)}, STEPS).eval()
    (first, _) = measure(six(snn), patches_of(BANDS, 1), PIXELS)
    assert counted(first) == {
        ("mac", 6, 16, 25): 40,
        ("add", bits, bits, 0): 15 * (2 + shifts),
        ("compare", bits, bits, 0): 15,
    }
    lif.leaks = Leak.FREE
    (first, _) = measure(snn, patches_of(BANDS, 1), PIXELS)
    assert counted(first)["mul", bits, 15 if bits == 32 else 8, 0] == 15


def test_a_cnn_of_quantized_activations_computes_in_integers(patches_of: Build) -> None:
    """3-D kernel 2x3x3 on 8x3x3: 7 positions, 4 filters, 18 products per output."""
    cnn = nn.Sequential(
        nn.Conv3d(1, 4, (2, 3, 3)), Levels(3), nn.Flatten(), nn.Linear(28, 6, bias=False)
    )
    first, last = measure(six(cnn), patches_of(BANDS, 3), PIXELS, pixel_bits=8)
    assert counted(first) == {
        ("mac", 6, 8, 19): 504,
        ("add", 19, 19, 0): 28,
        ("mul", 19, 17, 0): 28,
        ("compare", 19, 19, 0): 28,
    }
    assert counted(last) == {("mac", 6, 3, 14): 168, ("mul", 14, 17, 0): 6}


def test_activations_in_floating_point_make_products_in_floating_point(patches_of: Build) -> None:
    """Weights of 6 bits save nothing where the inputs are floats."""

    def cnn() -> nn.Sequential:
        return nn.Sequential(nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)).eval()

    patches = patches_of(BANDS, 1)
    plain, quantized = measure(cnn(), patches, PIXELS), measure(six(cnn()), patches, PIXELS)
    price = COSTS["horowitz_widths"].of
    assert price(quantized) == pytest.approx(price(plain))
    assert counted(quantized[0])["mac", 6, 32, 32, "f"] == 32
    # Of whole pixels the first layer is in integers, and its sums become floats.
    first, last = measure(six(cnn()), patches, PIXELS, pixel_bits=8)
    assert counted(first) == {
        ("mac", 6, 8, 17): 32,
        ("add", 17, 17, 0): 4,
        ("compare", 17, 17, 0): 4,
        ("mul", 17, 17, 0): 4,
    }
    assert counted(last)["mac", 6, 32, 32, "f"] == 8


def test_levels_of_either_sign_are_counted_as_a_quantizer(patches_of: Build) -> None:
    cnn = nn.Sequential(nn.Flatten(), SignedLevels(), nn.Linear(8, 4, bias=False))
    (row,) = measure(six(cnn), patches_of(BANDS, 1), PIXELS)
    assert counted(row) == {
        ("mul", 32, 32, 0, "f"): 8,
        ("compare", 32, 32, 0, "f"): 8,
        ("mac", 6, 4, 13): 32,
        ("mul", 13, 17, 0): 4,
    }


def test_pools_and_sums_are_counted(patches_of: Build) -> None:
    pooled = nn.Sequential(
        nn.Flatten(1, 2), nn.MaxPool2d(2, 1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 2)
    )
    (row,) = measure(pooled.eval(), patches_of(BANDS, 3), PIXELS)
    assert counted(row) == {
        ("compare", 32, 32, 0, "f"): 8 * 4 * 3,
        ("add", 32, 32, 0, "f"): 8 * 3 + 2,
        ("mac", 32, 32, 32, "f"): 16,
    }
    layers = {"flat": nn.Flatten(), "a": nn.Linear(8, 8, bias=False), "add": Sum([1.0, 0.5])}
    residual = GraphNetwork(layers, {"add": ["a", INPUT]})
    # The input of "a" is flat, that of the sum too.
    residual.inputs["add"] = ("a", "flat")
    (row,) = measure(residual.eval(), patches_of(BANDS, 1), PIXELS)
    assert counted(row) == {
        ("mac", 32, 32, 32, "f"): 64,
        ("add", 32, 32, 0, "f"): 8,
        ("mul", 32, 32, 0, "f"): 8,
    }


def test_a_mean_of_spikes_is_a_sum_of_whole_numbers(patches_of: Build) -> None:
    """2 filters on 3x3 positions: 9 spikes in a sum of 5 bits at each of 3 steps."""
    snn = SpikingNetwork(
        {
            "fold": nn.Flatten(1, 2),
            "conv": nn.Conv2d(8, 2, 1, bias=False),
            "lif": LIF(threshold=0.1),
            "mean": nn.AvgPool2d(3),
            "flat": nn.Flatten(),
            "dense": nn.Linear(2, 4, bias=False),
        },
        STEPS,
    )
    first, last = measure(six(snn), patches_of(BANDS, 3), PIXELS, pixel_bits=8)
    assert counted(first)["add", 5, 5, 0] == 3 * 2 * 8
    assert counted(last)["mac", 6, 5, 14] == 3 * 8  # sums of 2 inputs over 3 steps


@given(
    i=st.integers(2, 8), j=st.integers(1, 8), terms=st.integers(1, 300), seed=st.integers(0, 2**31)
)
def test_sums_fit_into_their_bits(i: int, j: int, terms: int, seed: int) -> None:
    low, high = -(2 ** (i - 1)), 2**j - 1
    bits = sum_bits(i, j, terms)
    assert -(2 ** (bits - 1)) <= terms * low * high
    assert terms * (2 ** (i - 1) - 1) * high < 2 ** (bits - 1)
    random = np.random.default_rng(seed)
    found = random.integers(low, -low, terms) @ random.integers(0, high + 1, terms)
    assert -(2 ** (bits - 1)) <= found < 2 ** (bits - 1)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("name", ["cnn3d", "cnn32h", "cnn1x1"])
def test_the_price_of_a_network_is_the_sum_of_its_layers(
    name: str, steps: int, patches_of: Build
) -> None:
    torch.manual_seed(0)
    cnn, patches = build_model(ModelConfig(name=name), 20, 4).eval(), patches_of(20, 5)
    snn = to_spiking(cnn, patches.gather(PIXELS[:1]), NeuronConfig(time_steps=steps)).eval()
    for network in (cnn, six(cnn), snn, six(snn)):
        layers = measure(network, patches, PIXELS)
        shared = shared_between_windows(layers)
        whole: Counter[Operation] = Counter()
        for layer in layers:
            whole.update(layer.operations())
        for cost in COSTS.values():
            assert cost.of(layers) == pytest.approx(sum(cost.of([layer]) for layer in layers))
            assert cost.of(shared) <= cost.of(layers)
            if cost.accumulates == "exact":
                assert cost.price(whole) == pytest.approx(cost.of(layers))


def test_neurons_of_a_map_are_shared_as_their_layer_is(patches_of: Build) -> None:
    torch.manual_seed(0)
    cnn, patches = build_model(ModelConfig(name="cnn32h"), 20, 4).eval(), patches_of(20, 5)
    snn = to_spiking(cnn, patches.gather(PIXELS[:1]), NeuronConfig(time_steps=STEPS)).eval()
    layers = measure(snn, patches, PIXELS)
    for single, shared in zip(layers, shared_between_windows(layers), strict=True):
        rows = 1 if single.info.kind == "linear" else math.prod(single.info.output_shape[-2:])
        for kind in ("mul", "add", "compare"):
            per_map = total_of(shared.operations(), kind)
            assert per_map == pytest.approx(total_of(single.operations(), kind) / rows)


INTEGERS = st.builds(
    Operation,
    kind=st.sampled_from(["mac", "ac", "mul", "add", "compare", "shift"]),
    i=st.integers(1, 32),
    j=st.integers(1, 32),
    total=st.integers(1, 64),
)


@given(operation=INTEGERS, more=st.tuples(*[st.integers(0, 8)] * 3), number=st.floats(0, 1e6))
def test_wider_operands_never_cost_less(
    operation: Operation, more: tuple[int, int, int], number: float
) -> None:
    wider = operation._replace(
        i=operation.i + more[0], j=operation.j + more[1], total=operation.total + more[2]
    )
    for cost in COSTS.values():
        assert 0 <= cost.price({operation: number}) <= cost.price({wider: number}) * (1 + 1e-12)


@pytest.mark.parametrize("name", ["ace", "acev2", "ns_ace", "horowitz_widths", "horowitz"])
def test_fewer_bits_of_a_weight_always_cost_less(name: str, patches_of: Build) -> None:
    torch.manual_seed(0)
    cnn = nn.Sequential(nn.Flatten(), nn.Linear(8, 4), Levels(3), nn.Linear(4, 2))
    prices = []
    for bits in range(2, 9):
        network = quantize(nn.Sequential(*cnn), QuantizationConfig(bits=bits)).eval()
        prices.append(COSTS[name].of(measure(network, patches_of(BANDS, 1), PIXELS, pixel_bits=8)))
        for layer in (network[1], network[3]):
            nn.utils.parametrize.remove_parametrizations(layer, "weight")
    assert all(fewer < more for fewer, more in pairwise(prices))


class Powers(WeightQuantizer):
    """Weights of 1, 2, 4 or 8 times a scale, with a sign."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return self.encode(weight).decode()

    def encode(self, weight: torch.Tensor) -> PowersOfTwo:
        exponent = torch.arange(weight.numel()).view(weight.shape) % 4
        sign = torch.ones_like(weight)
        return PowersOfTwo(sign, exponent, torch.ones(1, 1))


class Pair(WeightQuantizer):
    """A sum of two terms, the second of which half of the channels have."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return self.encode(weight).decode()

    def encode(self, weight: torch.Tensor) -> Terms:
        first, zero = torch.ones_like(weight), torch.zeros(1, 1)
        second = first.clone()
        second[::2] = 0
        return Terms(tuple(Uniform(term, zero + 0.5, zero) for term in (first, second)))


def test_powers_of_two_are_shifts_and_terms_are_products_each(patches_of: Build) -> None:
    layer = nn.Linear(8, 4, bias=False)
    nn.utils.parametrize.register_parametrization(layer, "weight", Powers(4))
    cnn = nn.Sequential(nn.Flatten(), layer).eval()
    (row,) = measure(cnn, patches_of(BANDS, 1), PIXELS, pixel_bits=8)
    # As integers the weights have 5 bits with their sign: 13 bits per product, 3 more for 8.
    assert counted(row) == {("shift", 8, 4, 16): 32, ("mul", 16, 17, 0): 4}
    assert COSTS["ace_snn"].of([row]) == pytest.approx(32 * COSTS["ace_snn"].mac(4))
    shift = {Operation("shift", 8, 4, 16): 32.0}
    assert COSTS["ace"].price(shift) == 32 * 8 * 4
    assert COSTS["acev2"].price(shift) == pytest.approx(32 * 8 * 2 / 5)
    product = {Operation("mac", 4, 8, 16): 32.0}
    assert COSTS["horowitz_widths"].price(shift) < COSTS["horowitz_widths"].price(product)
    layer = nn.Linear(8, 4, bias=False)
    nn.utils.parametrize.register_parametrization(layer, "weight", Pair(3))
    (row,) = measure(nn.Sequential(nn.Flatten(), layer), patches_of(BANDS, 1), PIXELS, pixel_bits=8)
    assert row.mac == 32
    assert counted(row)["mac", 3, 8, 14] == 48
