"""Efforts by their formulas, and the share of element-wise work in them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.energy import COSTS, LayerActivity, Operation, measure
from snnquant.models import build_model
from snnquant.quantization import quantize
from snnquant.quantization.methods import PikeLPN
from snnquant.sampling import Patches

PIXELS = torch.arange(4)
ACE, ACEV2, NS_ACE = (COSTS.get(name) for name in ("ace", "acev2", "ns_ace"))
WIDTHS = COSTS.get("horowitz_widths")
BITS = st.integers(1, 32)
NUMBERS = st.lists(st.tuples(st.floats(0, 1e6), BITS, BITS), max_size=6)
Build = Callable[..., Patches]


def counts_of(kind: str, numbers: list[tuple[float, int, int]]) -> dict[Operation, float]:
    counts: dict[Operation, float] = {}
    for n, i, j in numbers:
        total = 64 if kind in ("mac", "ac") else 0
        operation = Operation(kind, i, j, total)  # type: ignore[arg-type]
        counts[operation] = counts.get(operation, 0) + n
    return counts


@given(numbers=NUMBERS)
def test_ace_is_the_sum_of_products_of_bits(numbers: list[tuple[float, int, int]]) -> None:
    expected = sum(n * i * j for n, i, j in numbers)
    for kind in ("mac", "ac"):
        for effort in (ACE, ACEV2, NS_ACE):
            assert effort.price(counts_of(kind, numbers)) == pytest.approx(expected)
    for kind in ("mul", "add", "compare", "shift"):
        assert ACE.price(counts_of(kind, numbers)) == 0


@given(numbers=NUMBERS)
def test_acev2_by_its_formula(numbers: list[tuple[float, int, int]]) -> None:
    expected = {
        "mul": sum(n * i * j for n, i, j in numbers),
        "add": sum(n * max(i, j) for n, i, j in numbers),
        "shift": sum(n * i * (j - 1).bit_length() / 5 for n, i, j in numbers),
        "compare": 0,
    }
    for kind, effort in expected.items():
        assert ACEV2.price(counts_of(kind, numbers)) == pytest.approx(effort)


def test_ns_ace_is_rate_times_dense_products_times_steps_and_bits(patches_of: Build) -> None:
    torch.manual_seed(0)
    steps, bits = 3, 5
    cnn, patches = build_model(ModelConfig(name="cnn32h"), 20, 4).eval(), patches_of(20, 5)
    snn = to_spiking(cnn, patches.gather(PIXELS[:1]), NeuronConfig(time_steps=steps))
    first, *others = measure(
        quantize(snn, QuantizationConfig(bits=bits)).eval(), patches, PIXELS, pixel_bits=8
    )
    expected = first.mac * bits * 8
    for layer in others:
        assert layer.input_density > 0
        expected += layer.input_density * layer.info.mac * steps * bits * 1
    assert NS_ACE.of([first, *others]) == pytest.approx(expected)


def test_horowitz_by_width_at_its_points_and_between() -> None:
    """Horowitz's figures exactly; between 8 and 32 bits 3.0e-3 to 3.9e-3 pJ per i j and bit."""
    for bits, product, addition in ((8, 0.2, 0.03), (32, 3.1, 0.1)):
        assert WIDTHS.price({Operation("mul", bits, bits): 1}) == pytest.approx(product)
        assert WIDTHS.price({Operation("add", bits, bits): 1}) == pytest.approx(addition)
        whole = WIDTHS.price({Operation("mac", bits, bits, total=32): 1})
        assert whole == pytest.approx(product + 0.1)
        assert WIDTHS.price({Operation("ac", bits, 1, total=32): 1}) == pytest.approx(0.1)
    for i, j in ((6, 8), (16, 6), (15, 32), (8, 32)):
        assert 3.0e-3 < WIDTHS.price({Operation("mul", i, j): 1}) / (i * j) < 3.2e-3
    for bits in range(8, 33):
        assert 3.1e-3 < WIDTHS.price({Operation("add", bits, bits): 1}) / bits < 3.8e-3
    floats = {"mul": 3.7, "add": 0.9, "compare": 0.1}
    for kind, energy in floats.items():
        assert WIDTHS.price({Operation(kind, 32, 32, floating=True): 1}) == energy  # type: ignore[arg-type]
    assert WIDTHS.price({Operation("mac", 6, 32, 32, floating=True): 1}) == pytest.approx(4.6)


class Levels(nn.ReLU):
    """A ReLU that states the bits of its levels."""

    bits = 4


def _share(bits: int | None, patches: Patches) -> float:
    """Return the element-wise share of ACEv2 of a W4A4 cnn3d with batch norms of some bits."""
    torch.manual_seed(0)
    cnn = build_model(ModelConfig(name="cnn3d"), 100, 9, batch_norm=True)
    for name, module in cnn.named_children():
        if isinstance(module, nn.ReLU):
            setattr(cnn, name, Levels())
        elif isinstance(module, nn.BatchNorm3d) and bits is not None:
            module.bits = bits  # type: ignore[assignment]
    layers = measure(
        quantize(cnn, QuantizationConfig(bits=4)).eval(), patches, PIXELS, pixel_bits=4
    )
    return 1 - ACE.of(layers) / ACEV2.of(layers)


def test_quantized_norms_and_scales_remove_the_element_wise_work(patches_of: Build) -> None:
    """Of products of 4 by 4 bits, norms and scales in floating point are the largest part."""
    patches = patches_of(100, 5)
    in_floats, in_integers = _share(None, patches), _share(8, patches)
    assert in_floats > 0.5
    assert in_integers < in_floats / 2


def _by_kind(layers: list[LayerActivity]) -> tuple[float, float]:
    """Return ACEv2 of the work on single values, and of everything."""
    single = sum(ACEV2.price(work.counts) for layer in layers for work in layer.elementwise)
    return single, ACEV2.of(layers)


@pytest.mark.parametrize("factor", ["uniform", "power_of_two"])
def test_pikelpn_takes_less_than_norms_and_scales_in_floating_point(
    patches_of: Build, factor: str
) -> None:
    torch.manual_seed(0)
    patches = patches_of(40, 5)
    cnn = build_model(ModelConfig(name="separable3d"), 40, 9, batch_norm=True).eval()
    methods = QuantizationConfig(bits=4), PikeLPN(norm_factor=factor)
    before, after = (
        _by_kind(measure(quantize(copy.deepcopy(cnn), m), patches, PIXELS, pixel_bits=8))
        for m in methods
    )
    assert before[0] / before[1] > 0.5
    assert after[0] < before[0] / 3
    assert after[0] / after[1] < before[0] / before[1] / 1.5
    wide = PikeLPN(norm_factor=factor, scale_bits=32, norm_bits=32, depthwise="uniform")
    layers = measure(quantize(copy.deepcopy(cnn), wide), patches, PIXELS, pixel_bits=8)
    assert _by_kind(layers)[0] == pytest.approx(before[0], rel=0.01)  # its ends have 8 bits


def test_a_channel_takes_its_scale_in_the_bits_that_it_has(patches_of: Build) -> None:
    """The logits' multiplication: 17 bits as in the integer engine, or those of `scale_bits`."""
    cnn = build_model(ModelConfig(name="cnn32h", widths=(2, 2, 2, 2)), 20, 4)
    for bits, expected in ((8, 8), (16, 16), (32, 17)):
        network = quantize(copy.deepcopy(cnn), PikeLPN(scale_bits=bits)).eval()
        *_, last = measure(network, patches_of(20, 5), PIXELS, pixel_bits=8)
        [scaling] = [op for op in last.elementwise[-1].counts if op.kind == "mul"]
        assert scaling.j == expected
