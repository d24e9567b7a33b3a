from __future__ import annotations

import copy
import math
import statistics
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pim_sim import InputError, load_hardware
from pim_sim.analog import AnalogConfig, AnalogLayer, Noise, analog_layer
from pim_sim.analog.converters import digits
from pim_sim.hardware import HARDWARE

KINDS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NOISY = Noise(thermal_lsb=0.5, offset_lsb=0.5, gain=0.02, capacitor=0.02, inl_lsb=0.5, droop=0.05)


@st.composite
def _layers(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    """Draw a convolution of any geometry or a linear layer, and inputs for it."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    axes, bias = draw(st.integers(0, 3)), draw(st.booleans())
    if axes == 0:
        features = draw(st.integers(1, 12))
        return nn.Linear(features, draw(st.integers(1, 5)), bias), torch.randn(3, features)
    groups = draw(st.sampled_from([1, 2]))
    module = KINDS[axes](
        groups * draw(st.integers(1, 2)),
        groups * draw(st.integers(1, 3)),
        kernel_size=draw(st.integers(1, 3)),
        stride=draw(st.integers(1, 3)),
        padding=draw(st.integers(0, 2)),
        dilation=draw(st.integers(1, 2)),
        groups=groups,
        bias=bias,
        padding_mode=draw(st.sampled_from(["zeros", "replicate"])),
    )
    sizes = [draw(st.integers(5, 8)) for _ in range(axes)]
    return module, torch.randn(3, module.in_channels, *sizes)


def _error(layer: nn.Module, exact: nn.Module, x: Tensor) -> float:
    """Relative error of all outputs together."""
    with torch.no_grad():
        y = exact(x)
        return ((layer(x) - y).norm() / y.norm()).item()


@settings(deadline=None, max_examples=60)
@given(
    _layers(),
    st.none() | st.integers(1, 40),
    st.sampled_from(["differential", "offset"]),
    st.booleans(),
)
def test_an_ideal_layer_is_the_exact_one_in_any_geometry_and_row_grouping(
    layer: tuple[nn.Module, Tensor], rows: int | None, signs: str, double: bool
) -> None:
    module, x = layer
    if double:
        module, x = module.double(), x.double()
    found = analog_layer(module, AnalogConfig(rows=rows, weight_signs=signs), x)
    # an offset takes the difference of sums as large as every weight at its largest makes them
    largest = copy.deepcopy(module)
    with torch.no_grad():
        largest.weight.fill_(module.weight.abs().max())
    tolerance = 1e-12 if double else 1e-6 * max(1, largest(x.abs()).max().item())
    assert (found(x) - module(x)).abs().max().item() <= tolerance
    assert found(x[0]).shape == module(x[0]).shape


def test_first_layer_errors_are_those_known_for_random_data() -> None:
    """Weights uniform (torch's own start) on one 6-bit grid, inputs uniform in 0 .. 1, DAC over
    their largest, ADC symmetric over 99.95 % of the magnitudes: within 10 % of the known figures.
    """
    known = {None: 1.9, 4: 13.3, 5: 6.6, 6: 3.7, 7: 2.4, 8: 2.0}
    for bits, percent in known.items():
        config = AnalogConfig(input_bits=6, adc_bits=bits, percentile=99.95 if bits else 100)
        errors = []
        for seed in range(10):
            torch.manual_seed(seed)
            exact, x = nn.Conv3d(1, 20, 3, bias=False), torch.rand(6, 1, 200, 5, 5)
            quantized = nn.Conv3d(1, 20, 3, bias=False)
            with torch.no_grad():
                step = exact.weight.abs().max() / 31
                quantized.weight.copy_((exact.weight / step).round() * step)
            errors.append(100 * _error(analog_layer(quantized, config, x), exact, x))
        assert statistics.mean(errors) == pytest.approx(percent, rel=0.10)


@settings(deadline=None, max_examples=25)
@given(_layers(), st.integers(3, 9))
def test_two_more_bits_never_make_a_conversion_less_exact(
    layer: tuple[nn.Module, Tensor], bits: int
) -> None:
    module, x = layer
    coarse = analog_layer(module, AnalogConfig(adc_bits=bits), x)
    fine = analog_layer(module, AnalogConfig(adc_bits=bits + 2), x)
    # a few values may lie on the coarse grid by luck: the bound is the fine step's own rounding
    half_step = 0.5 * fine.sum_range.limit / (2 ** (bits + 2 - fine.sum_range.signed) - 1)
    with torch.no_grad():
        scale = module.weight.abs().max() * fine.input_range.limit
        worst = (fine(x) - module(x)).abs().max()
        assert worst <= half_step * scale * 1.001 + 1e-5
        assert _error(fine, module, x) <= max(_error(coarse, module, x), half_step)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(-511, 511), min_size=1, max_size=20),
    st.integers(1, 9),
)
def test_digits_add_up_to_their_number_and_pass_its_gradient(
    numbers: list[int], width: int
) -> None:
    codes = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    parts = digits(codes, 9, width)
    whole = sum(part * 2.0 ** (width * place) for place, part in enumerate(parts))
    assert isinstance(whole, Tensor)
    assert whole.tolist() == codes.tolist()
    assert all(part.abs().max().item() < 2**width for part in parts)
    (gradient,) = torch.autograd.grad(whole.sum(), codes)
    assert torch.allclose(gradient, torch.ones_like(gradient))


@pytest.mark.parametrize("signs", ["differential", "offset"])
@pytest.mark.parametrize("per_step", [None, 1, 3])
@pytest.mark.parametrize("per_column", [None, 1, 2])
def test_steps_and_columns_of_bits_add_up_to_the_quantized_layer(
    signs: str, per_step: int | None, per_column: int | None
) -> None:
    torch.manual_seed(0)
    module, x = nn.Conv2d(2, 4, 3, padding=1), torch.randn(5, 2, 6, 6)
    config = AnalogConfig(
        input_bits=7,
        input_bits_per_step=per_step,
        weight_bits=6,
        weight_bits_per_column=per_column,
        weight_signs=signs,
        rows=7,
    )
    weight_step = module.weight.detach().abs().amax((1, 2, 3), keepdim=True) / 31
    input_step = x.abs().max() / 63
    with torch.no_grad():
        expected = nn.functional.conv2d(
            (x / input_step).round() * input_step,
            (module.weight / weight_step).round() * weight_step,
            module.bias,
            padding=1,
        )
        assert torch.allclose(analog_layer(module, config, x)(x), expected, atol=2e-6)


def test_sums_worked_by_hand() -> None:
    module = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, -0.5]]))
    seen = torch.tensor([[1.0, 1.0], [1.0, -1.0]])  # sums 0.5 and 1.5: steps of 0.5 in 2 bits
    x = torch.tensor([[0.6, 0.0], [1.0, -1.0], [1.0, 1.0], [-3.0, 0.0], [3.0, 0.0]])

    def outputs(config: AnalogConfig) -> list[float]:
        return [round(y, 6) for y in analog_layer(module, config, seen)(x).flatten().tolist()]

    assert outputs(AnalogConfig(adc_bits=2)) == [0.5, 1.5, 0.5, 0.0, 1.5]
    assert outputs(AnalogConfig(clip=1.0)) == [0.6, 1.0, 0.5, -1.0, 1.0]
    # the two rows draw 0.3, 1, 1, 1.5 and 1.5 of full; half of the gain goes at full
    droop = AnalogConfig(noise=Noise(droop=0.5))
    assert outputs(droop) == [0.51, 0.75, 0.25, -0.75, 0.75]
    # four rows, two of them idle, draw half as much
    assert outputs(replace(droop, rows=4)) == [0.555, 1.125, 0.375, -1.875, 1.875]
    # converted apart, the products 1 and -0.5 are both on a grid of 1 / 3, not their sum
    assert outputs(AnalogConfig(adc_bits=3, rows=1))[1:3] == [round(1 + 2 / 3, 6), round(1 / 3, 6)]


def test_the_same_seed_is_the_same_chip_and_another_is_another() -> None:
    torch.manual_seed(0)
    module, x = nn.Conv1d(2, 3, 3), torch.randn(4, 2, 9)
    for name in ("offset_lsb", "gain", "capacitor", "inl_lsb"):
        config = AnalogConfig(adc_bits=12).with_value(name, 0.3 if name[-3:] != "lsb" else 30.0)
        layer = analog_layer(module, config, x, chip=5)
        first = layer(x)
        assert torch.equal(first, analog_layer(module, config, x, chip=5)(x)), name
        layer.draw_chip(6)
        assert not torch.allclose(first, layer(x), atol=1e-3), name
        layer.draw_chip(5)
        assert torch.equal(first, layer(x)), name


def test_thermal_noise_averages_out_and_has_its_size() -> None:
    torch.manual_seed(0)
    module, x = nn.Linear(9, 50, bias=False), torch.randn(40, 9)
    layer = analog_layer(module, AnalogConfig(adc_bits=12, noise=Noise(thermal_lsb=3.0)), x)
    layer.sum_range = replace(layer.sum_range, limit=2 * layer.sum_range.limit)  # nothing clips
    step = layer.sum_range.limit / 2047 * module.weight.abs().amax(1) * layer.input_range.limit
    with torch.no_grad():
        reads = torch.stack([(layer(x) - module(x)) / step for _ in range(100)])
    single = reads.std().item()
    assert single == pytest.approx(math.sqrt(9 + 1 / 12), rel=0.02)
    assert reads.mean(0).std().item() == pytest.approx(single / 10, rel=0.05)


def test_gain_offset_and_cells_have_the_spread_asked_for() -> None:
    module, x = nn.Linear(1, 4000, bias=False), torch.tensor([[1.0], [-1.0]])
    with torch.no_grad():
        module.weight.fill_(1.0)

    def outputs(**noise: float) -> Tensor:
        layer = analog_layer(module, AnalogConfig(adc_bits=16, noise=Noise(**noise)), x)
        layer.sum_range = replace(layer.sum_range, limit=2.0)
        return layer(x[:1]).detach()

    assert outputs(gain=0.03).std().item() == pytest.approx(0.03, rel=0.05)
    assert outputs(capacitor=0.03).std().item() == pytest.approx(0.03, rel=0.05)
    assert outputs(offset_lsb=50.0).std().item() == pytest.approx(50 * 2 / 32767, rel=0.05)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.booleans())
def test_the_converter_bends_by_its_inl_and_not_at_its_ends(chip: int, signed: bool) -> None:
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(1.0)
    x = torch.linspace(-1.0 if signed else 0.0, 1, 801)[:, None]
    config = AnalogConfig(adc_bits=14, noise=Noise(inl_lsb=100.0))
    layer = analog_layer(module, config, x, chip=chip)
    with torch.no_grad():
        bent = ((layer(x) - x) * (2**13 - 1 if signed else 2**14 - 1)).flatten()
    assert bent.abs().max().item() == pytest.approx(100, abs=1)
    assert bent[[0, -1]].abs().max().item() <= 0.6


def test_gradients_pass_roundings_and_stop_where_a_range_ends() -> None:
    torch.manual_seed(0)
    module, seen = nn.Conv2d(1, 3, 3), torch.randn(8, 1, 6, 6).clamp(-1, 1)
    config = AnalogConfig(
        input_bits=6,
        input_bits_per_step=2,
        weight_bits=6,
        weight_bits_per_column=2,
        adc_bits=8,
        rows=5,
        noise=NOISY,
    )
    layer = analog_layer(module, config, seen)
    x = seen[:1].clone()
    x[0, 0, 2, 2] = 9.0  # beyond the DAC
    x.requires_grad_()
    layer(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad[0, 0, 2, 2] == 0
    assert module.weight.grad is not None
    assert (x.grad != 0).sum() > 30
    assert (module.weight.grad != 0).all()

    # without noise, and fine enough, the gradient is that of the exact layer
    x = seen[:1].clone().requires_grad_()
    fine = analog_layer(module, AnalogConfig(input_bits=14, weight_bits=14, adc_bits=15), seen)
    (found,) = torch.autograd.grad(fine(x).square().sum(), x)
    (expected,) = torch.autograd.grad(module(x).square().sum(), x)
    assert torch.allclose(found, expected, atol=1e-2 * expected.abs().max().item())


@pytest.mark.parametrize("name", HARDWARE.names())
def test_every_technology_that_ships_can_be_computed_on(name: str) -> None:
    torch.manual_seed(0)
    module, x = nn.Conv3d(1, 4, 3), torch.rand(4, 1, 20, 5, 5)
    config = AnalogConfig.of_hardware(load_hardware(name), input_bits=6, weight_bits=6)
    # converters lose half a bit, and those of 8T cells read two bits of a weight with an offset
    assert 0.001 < _error(analog_layer(module, config, x), module, x) < 0.35


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"adc_bits": 0}, "adc_bits: found 0"),
        ({"weight_bits": 1}, "weight_bits: found 1"),
        ({"rows": 0}, "rows: found 0"),
        ({"percentile": 101}, "percentile: found 101"),
        ({"clip": -1.0}, "clip: found -1"),
        ({"weight_signs": "both"}, "weight_signs: found 'both'"),
        ({"input_bits_per_step": 1}, "input_bits: found None"),
        ({"weight_bits_per_column": 1}, "weight_bits: found None"),
        ({"noise": Noise(thermal_lsb=1)}, "adc_bits: found None"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        AnalogConfig(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("module", "config", "inputs", "words"),
    [
        (nn.ReLU(), AnalogConfig(), torch.ones(1, 2), "layer: found 'ReLU'"),
        (nn.Linear(2, 1), AnalogConfig(), torch.zeros(1, 2), "only zeros"),
        (nn.Linear(2, 1), AnalogConfig(), torch.full((1, 2), math.nan), "not finite"),
        (nn.Linear(2, 1), AnalogConfig(input_bits=1), torch.tensor([[1.0, -1]]), "input_bits"),
        (nn.Linear(1, 2), AnalogConfig(adc_bits=1), torch.tensor([[1.0], [-1]]), "adc_bits"),
    ],
)
def test_layers_and_inputs_that_cannot_be_used_are_refused(
    module: nn.Module, config: AnalogConfig, inputs: Tensor, words: str
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        analog_layer(module, config, inputs)
    assert "\n" not in str(refused.value)


def test_mismatch_stays_out_of_the_state_dict() -> None:
    module, x = nn.Linear(3, 2), torch.randn(5, 3)
    layer: AnalogLayer = analog_layer(module, AnalogConfig(adc_bits=6), x)
    assert sorted(layer.state_dict()) == ["exact.bias", "exact.weight"]
