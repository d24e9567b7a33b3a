"""Accuracy on analog columns is of the bits, signs and converters that the price is of."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from pim_sim.analog import AnalogConfig, analog_layer
from pim_sim.cost_model import configured_for, lay_out
from pim_sim.hardware import HARDWARE, Macro, Noise, load_hardware

MACROS = [
    name
    for name in HARDWARE.names()
    if isinstance(engine := load_hardware(name).engine, Macro) and engine.converts
]


def _conversions(name: str, weight_bits: int, input_bits: int, signed: bool) -> tuple[int, int]:
    """Return conversions per output, as priced and as computed."""
    hardware = load_hardware(name)
    assert isinstance(hardware.engine, Macro)
    macro = configured_for(hardware.engine, input_bits, weight_bits)
    priced = lay_out(macro, input_bits, weight_bits).conversions
    config = AnalogConfig.of_hardware(hardware, input_bits=input_bits, weight_bits=weight_bits)
    torch.manual_seed(0)
    x = torch.rand(50, 8) - 0.5 * signed
    layer = analog_layer(nn.Linear(8, 3), config, x)
    return int(priced), len(list(layer._lines(x, capacitor=0)))


@pytest.mark.parametrize("name", MACROS)
@pytest.mark.parametrize("weight_bits", [2, 4, 6])
@pytest.mark.parametrize("signed", [True, False])
def test_as_many_conversions_as_are_priced(name: str, weight_bits: int, signed: bool) -> None:
    for input_bits in (3, 6, 8):
        priced, computed = _conversions(name, weight_bits, input_bits, signed)
        assert priced == computed


def test_conversions_of_differential_weights_on_paper() -> None:
    # 4 bits of both signs are 3 of magnitude: one cell of 3 bits, on 8-bit inputs of 7 magnitude
    # bits in 3 conversions of 3 steps; 6 bits are 5 columns of one bit, 8 inputs 2 pulses of 4
    assert _conversions("rram_22nm", 4, 8, signed=True) == (3, 3)
    assert _conversions("bit_line_6t_65nm", 6, 8, signed=True) == (2 * 5, 2 * 5)
    # an offset keeps all 6 bits, and 8 steps all 8
    assert _conversions("charge_28nm", 6, 8, signed=False) == (8 * 6, 8 * 6)


@pytest.mark.parametrize("signs", ["magnitude", "offset", None])
@pytest.mark.parametrize("per_step", [None, 1, 3])
@pytest.mark.parametrize("weight_signs", ["differential", "offset"])
def test_signs_of_inputs_lose_nothing_except_their_bit(
    signs: str | None, per_step: int | None, weight_signs: str
) -> None:
    torch.manual_seed(0)
    module, x = nn.Conv2d(2, 4, 3, padding=1), torch.randn(5, 2, 6, 6)
    config = AnalogConfig(
        input_bits=7,
        input_bits_per_step=per_step,
        input_signs=signs,  # type: ignore[arg-type]
        weight_bits=6,
        weight_bits_per_column=2,
        weight_signs=weight_signs,  # type: ignore[arg-type]
    )
    layer = analog_layer(module, config, x)
    step = x.abs().max() / 63
    largest = module.weight.detach().abs().amax((1, 2, 3), keepdim=True)
    quantized = torch.round(module.weight.detach() / largest * 31) * largest / 31
    expected = nn.functional.conv2d(torch.round(x / step) * step, quantized, module.bias, padding=1)
    assert torch.allclose(layer(x), expected, atol=1e-4)
    # unsigned inputs waste the bit of a sign that they could have, and only that one
    unsigned = analog_layer(module, config, x.abs())
    levels = 63 if signs == "magnitude" else 127
    step = x.abs().max() / levels
    inputs = torch.round(x.abs() / step) * step
    expected = nn.functional.conv2d(inputs, quantized, module.bias, padding=1)
    assert torch.allclose(unsigned(x.abs()), expected, atol=1e-4)


def test_noise_moves_with_bits_and_supply_on_paper() -> None:
    # kT/C of 512 fF is 89.9 uV: of 0.9 V 1e-4; at 8 bits 256 times that, beside 0.289 steps
    noise = load_hardware("charge_28nm").noise
    assert noise.thermal == pytest.approx(89.95e-6 / 0.9, rel=1e-3)
    assert noise.thermal_at(8) == pytest.approx((0.289**2 + (256 * 99.94e-6) ** 2) ** 0.5)
    assert noise.thermal_at(12) > 1.7 * noise.thermal_at(8)
    lower = load_hardware("charge_28nm").moved(supply_v=0.6).noise
    assert lower.thermal == pytest.approx(noise.thermal * 0.9 / 0.6)
    assert lower.thermal_lsb == noise.thermal_lsb


def test_shipped_converters_lose_half_a_bit() -> None:
    # 1 / sqrt(12) of noise beside 1 / sqrt(12) of quantization double the power: half of 6.02 dB
    torch.manual_seed(0)
    module, x = nn.Linear(64, 8), torch.rand(4000, 64)
    noise = load_hardware("charge_28nm").noise
    errors = []
    with torch.no_grad():
        for chosen in (Noise(), replace(Noise(), thermal_lsb=noise.thermal_lsb)):
            layer = analog_layer(module, AnalogConfig(adc_bits=8, noise=chosen), x)
            errors.append((layer(x) - module(x)).square().mean())
    assert errors[1] / errors[0] == pytest.approx(2, rel=0.1)
