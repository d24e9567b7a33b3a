r"""A layer as analog columns compute it.

An output is split into row groups g, input steps s and weight columns j. The bit line of filter k
sums, with drives d and cells c (1 is a full input, a full weight),

    S = \sum_{r \in g} d_s[r] \, c_j[k, r] \, (1 + capacitor \cdot \epsilon_{jkr})

The supply falls with the drives of the rows, the line saturates, and the column has a gain:

    S' = (1 + gain \cdot \epsilon_{jk}) \, clip(S \, (1 - droop \cdot \sum_r |d_s[r]| / rows))

The converter, of step q, reads a whole number of steps, clamped to its range:

    code = round(S'/q + offset \cdot \epsilon'_{jk} + INL_{jk}(S'/q) + thermal \cdot \nu)

and the codes are scaled and added digitally, exactly, as is the bias. All epsilon are standard
normal and frozen with the chip, nu is drawn at every conversion. INL is a bow and an S-shape (the
second and the third order of a converter's distortion) in a proportion drawn for each converter,
zero at both ends of the range and `inl_lsb` where it is largest.

Assumptions: one converter per column, shared by the row groups; one range for all converters of
the layer, set for the nominal chip; every output position uses the same columns; inputs of both
signs, and the digits of them, are applied with their sign.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from pim_sim.analog.analog_config import AnalogConfig
from pim_sim.analog.converters import Range, rounded
from pim_sim.analog.operands import (
    input_offset,
    input_steps,
    input_top,
    row_groups,
    weight_columns,
)
from pim_sim.schema import refuse

Exact = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
S_SHAPE = 1.5 * math.sqrt(3)
"""Makes v (1 - v^2) reach 1 between -1 and 1."""


class AnalogLayer(nn.Module):
    """A convolution or linear layer computed by analog columns.

    ``exact`` is the layer itself, whose weight and bias are read at every forward, so that they
    train, parametrized or not. Noise is drawn from torch's generator at every forward, in training
    and in evaluation; mismatch is frozen until `draw_chip`. Gradients pass straight through the
    roundings and stop where something clips.
    """

    cell_error: Tensor
    gain_error: Tensor
    offset_error: Tensor
    inl_bow: Tensor
    inl_slope: Tensor

    def __init__(self, exact: nn.Module, config: AnalogConfig, inputs: Tensor, chip: int) -> None:
        """Set the ranges by ``inputs`` [N, ...] of the layer, the mismatch by the seed ``chip``.

        Raises `InputError` for another kind of layer, and for inputs that give no range.
        """
        super().__init__()
        if not isinstance(exact, Exact):
            raise refuse("layer", type(exact).__name__, "a Conv1d, Conv2d, Conv3d or Linear")
        self.exact = exact
        self._axes = exact.weight.ndim - 2
        self.config = config
        self.draw_chip(chip)
        self.calibrate(inputs)

    @torch.no_grad()
    def draw_chip(self, chip: int) -> None:
        """Freeze the mismatch of another chip; the same number gives the same chip.

        The draws don't depend on how large the mismatch is, so that the same chips can be compared
        at several sizes of it.
        """
        weight = self.exact.weight
        columns = (len(weight_columns(weight, self.config)[0]), len(weight))
        generator = torch.Generator().manual_seed(chip)
        angle = 2 * math.pi * torch.rand(columns, generator=generator)
        bow, slope = angle.cos(), angle.sin() * S_SHAPE
        place = torch.linspace(-1, 1, 201)
        largest = _inl(place, bow[..., None], slope[..., None]).abs().amax(-1)
        for name, values in (
            ("inl_bow", bow / largest),
            ("inl_slope", slope / largest),
            ("gain_error", torch.randn(columns, generator=generator)),
            ("offset_error", torch.randn(columns, generator=generator)),
            ("cell_error", torch.randn((columns[0], *weight.shape), generator=generator)),
        ):
            self.register_buffer(name, values.to(weight), persistent=False)

    @torch.no_grad()
    def calibrate(self, inputs: Tensor) -> None:
        """Set the ranges of DAC and ADC by inputs [N, ...], on a chip without mismatch.

        Call it again after the weights have changed much.
        """
        self.input_range = Range.of(inputs, self.config.percentile, "inputs")
        if self.config.input_bits is not None:
            input_top(self.input_range, self.config)
        if self.config.adc_bits is not None:
            sums = [s.flatten() for _, _, s in self._lines(inputs, capacitor=0)]
            self.sum_range = Range.of(torch.cat(sums), self.config.percentile, "sums")
            self.sum_range.top(self.config.adc_bits, "adc_bits")

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output, in the shape that ``exact`` gives it."""
        output = x.new_zeros(())
        for counts, column, sums in self._lines(x, self.config.noise.capacitor):
            output = output + self._per_filter(counts) * self._convert(sums, column)
        offset = weight_columns(self.exact.weight, self.config)[1]
        if offset is not None:
            steps = input_steps(x, self.input_range, self.config)
            applied = torch.stack([counts * drive for counts, drive in steps]).sum(0)
            output = output - self._multiply(applied, offset.expand_as(self.exact.weight))
        if added := input_offset(self.input_range, self.config):
            output = output - self._multiply(torch.full_like(x, added), self._quantized())
        if self.exact.bias is not None:
            output = output + self._per_filter(self.exact.bias)
        return output

    def _quantized(self) -> Tensor:
        """Return the weights that the cells keep."""
        columns, offset = weight_columns(self.exact.weight, self.config)
        whole = torch.stack([unit * cell for unit, cell in columns]).sum(0)
        return whole if offset is None else whole - offset

    def _lines(self, x: Tensor, capacitor: float) -> Iterator[tuple[Tensor, int, Tensor]]:
        """Yield the weight by filter, the column and the bit lines' sums of each conversion."""
        config, weight = self.config, self.exact.weight
        groups = row_groups(weight, config.rows)
        rows = config.rows or groups[0].numel()
        columns, _ = weight_columns(weight, config)
        for counts, drive in input_steps(x, self.input_range, config):
            for column, (unit, cell) in enumerate(columns):
                built = cell * (1 + capacitor * self.cell_error[column])
                for group in groups:
                    sums = self._multiply(drive, built * group)
                    if config.noise.droop:
                        drawn = self._multiply(drive.abs(), group.expand_as(cell)) / rows
                        sums = sums * (1 - config.noise.droop * drawn)
                    if config.clip is not None:
                        sums = sums.clamp(-config.clip, config.clip)
                    yield counts * unit, column, sums

    def _convert(self, sums: Tensor, column: int) -> Tensor:
        """Return the sums as the converters of a column read them."""
        noise, bits = self.config.noise, self.config.adc_bits
        sums = sums * (1 + noise.gain * self._per_filter(self.gain_error[column]))
        if bits is None:
            return sums
        found, top = self.sum_range, self.sum_range.top(bits, "adc_bits")
        bottom, step = -top * found.signed, found.limit / top
        value = sums / step
        if noise.inl_lsb:
            place = 2 * (value.clamp(bottom, top) - bottom) / (top - bottom) - 1
            bow, slope = self.inl_bow[column], self.inl_slope[column]
            bent = _inl(place, self._per_filter(bow), self._per_filter(slope))
            value = value + noise.inl_lsb * bent
        value = value + noise.offset_lsb * self._per_filter(self.offset_error[column])
        if thermal := noise.thermal_at(bits):
            value = value + thermal * torch.randn_like(value)
        return step * rounded(value.clamp(bottom, top))

    def _multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        """Compute the exact layer with another weight and without bias."""
        if isinstance(self.exact, nn.Linear):
            return functional.linear(x, weight)
        found: Tensor = self.exact._conv_forward(x, weight, None)
        return found

    def _per_filter(self, values: Tensor) -> Tensor:
        """Return values [K, ...] of the filters in a shape that broadcasts over the output."""
        return values.view(-1, *[1] * self._axes)


def analog_layer(
    module: nn.Module, config: AnalogConfig, inputs: Tensor, *, chip: int = 0
) -> AnalogLayer:
    """Return a stand-in that computes ``module`` (Conv1d to Conv3d, or Linear) on analog columns.

    ``network.conv1 = analog_layer(network.conv1, config, inputs)``, where ``inputs`` [N, ...] are
    some that the layer sees: the converters' ranges are laid over them. ``chip`` is the seed of the
    differences between chips. The module is kept, not copied: its weights train on.

    Raises `InputError` for another kind of module, and for inputs that give no range.
    """
    return AnalogLayer(module, config, inputs, chip)


def _inl(place: Tensor, bow: Tensor, slope: Tensor) -> Tensor:
    """Return the deviation from a straight line at a place -1 .. 1 of the range."""
    return (1 - place * place) * (bow + slope * place)
