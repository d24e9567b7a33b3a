r"""A quantized spiking network in integers: the tables that hardware without floats would hold.

The potential of a neuron after channel k, whose weights are codes times the scale :math:`s_k`, is
counted in units of :math:`s_k 2^{-F_k}`. With the codes c, the spikes o and all numbers whole,

.. math::
    I[t] &= 2^{F_k} \sum_j c_{kj} o_j[t] + \mathrm{round}(2^{F_k} b_k / s_k) \\
    u[t] &= \lfloor 2^{-15} L u[t-1] \rfloor + I[t] - \Theta_k o[t-1],
    \quad o[t] = u[t] > \Theta_k

with :math:`\Theta_k = \mathrm{round}(2^{F_k} V / s_k)` and :math:`L = \mathrm{round}(2^{15}
\lambda)` (here for the delayed reset; the others are those of `snnquant.spiking.lif`).
:math:`F_k` is as large, up to 12, as keeps every number inside 32 bits for all T steps, whatever
the input.

Narrow potentials (`snnquant.spiking.potentials`) have their own grid instead, of a step of
:math:`2^{n_k}` units, and saturate: the sums, in units, are shifted right by :math:`n_k` after half
a step is added.

The first layer sees the codes of the pixels' grid, so that its sums are exact. Pixels in floating
point become 16-bit values in steps of :math:`2^{-11}`, clipped at 16 standard deviations. The
output adds up: class k's sum times :math:`\mathrm{round}(2^M s_k / \max s)`, plus its bias.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from snnquant.errors import InputError
from snnquant.nn.kinds import DROPOUTS
from snnquant.nn.wiring import PopulationMean, WeightedSum
from snnquant.quantization import integer_weights
from snnquant.sampling import PixelGrid
from snnquant.spiking import FLOATING, LIF, Neuron, Reset, SpikingNetwork, require_lif

INPUT_BITS = 11
"""Fractional bits of the network's input in floating point."""
INPUT_LIMIT = 2**15 - 129
"""Largest code of the input that two signed bytes hold, 256 times one plus the other."""
LEAK_BITS = 15
"""Fractional bits of a leak."""
FRACTION_BITS = 12
"""Maximum of the fractional bits of a potential."""
_MAX_REACH = 2**30

Integers = NDArray[np.int32]


@dataclass(frozen=True)
class InputCodes:
    """Codes of a layer's input: how many per unit, and the largest."""

    per_unit: float
    limit: int

    @classmethod
    def of_pixels(cls, grid: PixelGrid | None) -> InputCodes:
        """Return the codes of pixels on a grid, or of those in floating point."""
        if grid is None:
            return cls(2.0**INPUT_BITS, INPUT_LIMIT)
        return cls(1 / grid.step, max(-grid.low, grid.high))


SPIKES = InputCodes(1.0, 1)
"""Codes of spikes."""


@dataclass(frozen=True)
class Synapse:
    """A convolution, or a dense layer as a convolution over all its input, in integers.

    `codes` [K, d, h, w, C] int32 are the weights' codes less their zero point, for C channels of a
    depth (bands, or 1) in; `scale` and `bias` [K] are float64.
    """

    name: str
    codes: Integers
    scale: NDArray[np.float64]
    bias: NDArray[np.float64]
    stride: int
    """Along the depth; 1 along rows and columns."""
    padding: int
    """Along the depth, on either side."""
    depth: int
    """Depth of the output."""

    def times(self, factor: float) -> Synapse:
        """Return the synapse whose sums are multiplied by a factor."""
        return replace(self, scale=self.scale * factor, bias=self.bias * factor)


@dataclass(frozen=True)
class Neurons:
    """A layer of fixed-point neurons; everything except leak and reset is per channel, [K]."""

    shift: Integers
    bias: Integers
    threshold: Integers
    start: Integers
    leak: int
    reset: Reset
    rounding: Integers
    """Bits that a sum of `shift` and `bias` is shifted right by; 0 except for narrow potentials."""
    potential_bits: int = FLOATING
    """Bits that a potential saturates at; 32: it has room for all steps."""


@dataclass(frozen=True)
class FixedPointNetwork:
    """Synapses in order, the last of which sums the classes, and the neurons after the others.

    A code of the input is its nearest whole number after multiplication by `input_scale`.
    A logit is ``unit`` times the whole number ``multiplier * sum over T + output_bias``.
    """

    synapses: tuple[Synapse, ...]
    neurons: tuple[Neurons, ...]
    multiplier: Integers
    output_bias: Integers
    unit: float
    time_steps: int
    input_scale: float
    """Codes per unit of the input."""
    input_limit: int
    """Largest code of the input, of either sign."""


@torch.no_grad()
def to_fixed_point(
    network: SpikingNetwork, bands: int, window: int, grid: PixelGrid | None = None
) -> FixedPointNetwork:
    """Return the integers of a quantized network for patches [N, 1, bands, window, window].

    The patches lie on `grid`, or are in floating point.

    The network is a chain of convolutions, without spatial stride or padding, and dense layers,
    all quantized and all except the last followed by LIF neurons; a mean of spikes over the whole
    window may stand before a dense layer, one over output neurons at the end. Raises `InputError`,
    naming the layer, for any other.
    """
    synapses: list[Synapse] = []
    neurons: list[LIF] = []
    shape: tuple[int, ...] = (1, bands, window, window)
    previous = ""
    x = torch.zeros(1, *shape)
    for name, module in network.layers.named_children():
        if previous and network.inputs[name] != (previous,):
            refuse(name, "inputs from elsewhere", "those of the layer before")
        previous = name
        if isinstance(module, Neuron):
            if len(synapses) != len(neurons) + 1:
                refuse(name, "neurons", "a convolution or dense layer before them")
            neurons.append(require_lif(module, name, "integer engine"))
            continue
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            if len(synapses) != len(neurons):
                refuse(name, "a layer without spikes before it", "neurons between two layers")
            if not isinstance(module, nn.Linear) and x.shape[-2:] != shape[-2:]:
                refuse(name, "a convolution after a mean", "a dense layer")
            synapses.append(_synapse(name, module, shape))
            x = module(x)
            shape = _with_depth(tuple(x.shape[1:]))
        elif isinstance(module, PopulationMean):
            if not 0 < len(synapses) == len(neurons) or x.ndim != 2:
                refuse(name, "a mean of output neurons elsewhere", "neurons in a row before it")
            synapses.append(_output_neurons(name, module.matrix(x.shape[1])))
            x = module(x)
            shape = _with_depth(tuple(x.shape[1:]))
        elif isinstance(module, WeightedSum) and len(synapses) == len(neurons) + 1:
            synapses[-1] = synapses[-1].times(float(module.weights))
        elif isinstance(module, (nn.Flatten, nn.Identity, *DROPOUTS)) or (
            len(synapses) == len(neurons) > 0 and _is_mean(module, x)
        ):
            x = module(x)  # `shape` stays as it was: weights are laid out in that order
        else:
            refuse(name, type(module).__name__, "convolutions, dense layers and neurons")
    if len(synapses) != len(neurons) + 1:
        refuse(previous, "neurons", "a layer that sums the classes")
    steps = network.time_steps
    codes = InputCodes.of_pixels(grid)
    seen = (codes, *(SPIKES for _ in synapses))
    return FixedPointNetwork(
        tuple(synapses),
        tuple(
            read_neurons(synapse.name, Sums.of(synapse, inputs), lif, steps)
            for synapse, lif, inputs in zip(synapses, neurons, seen, strict=False)
        ),
        *output_integers(Sums.of(synapses[-1], SPIKES), steps),
        steps,
        codes.per_unit,
        codes.limit,
    )


def _is_mean(module: nn.Module, x: torch.Tensor) -> bool:
    """Tell whether a layer averages x [1, C, h, w] over the whole window and nothing else."""
    if not isinstance(module, nn.AvgPool2d) or x.ndim != 4:
        return False
    values = torch.arange(x.numel(), dtype=torch.float64).view(x.shape)
    return torch.equal(module(values), values.mean((2, 3), keepdim=True))


def refuse(layer: str, found: str, expected: str) -> NoReturn:
    """Raise `InputError` for a layer without an integer form."""
    raise InputError(f"integer engine: layer {layer}: found {found}, expected {expected}")


def _with_depth(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a sample as [C, D, h, w]: depth 1 in 2-D, one place in dense layers."""
    if len(shape) == 4:
        return shape
    return (shape[0], 1, *(shape[1:] or (1, 1)))


def _synapse(name: str, module: nn.Module, shape: tuple[int, ...]) -> Synapse:
    """Read a synapse; `shape` [C, D, h, w] is that of its input before any flattening."""
    channels, depth, height, width = shape
    codes, scale, zero_point = integer_weights(module)
    whole = (codes.to(torch.int32) - zero_point).cpu()
    if int(whole.abs().max()) > 127:
        refuse(name, "affine weights of 8 bits", "7 bits, or symmetric ones")
    outputs = len(whole)
    if getattr(module, "groups", 1) > 1:
        whole = _ungrouped(whole, module)
    stride = padding = 0
    if isinstance(module, nn.Conv3d):
        stride, padding = module.stride[0], int(module.padding[0])
        space = (*module.stride[1:], *module.padding[1:])
        plain = space == (1, 1, 0, 0)
        whole = whole.permute(0, 2, 3, 4, 1)
    elif isinstance(module, nn.Conv2d):
        plain = (*module.stride, *module.padding) == (1, 1, 0, 0)
        whole = whole.view(outputs, channels, depth, *module.kernel_size).permute(0, 2, 3, 4, 1)
    else:
        assert isinstance(module, nn.Linear)
        plain = True
        averaged = height * width if module.in_features < channels * depth * height * width else 1
        # Of a mean over the window every position has the weights, divided by their number.
        seen = (1, 1) if averaged > 1 else (height, width)
        whole = whole.view(outputs, channels, depth, *seen).expand(-1, -1, -1, height, width)
        whole, scale = whole.permute(0, 2, 3, 4, 1), scale / averaged
    if not plain or set(getattr(module, "dilation", (1,))) != {1}:
        refuse(name, "strides, padding or dilation", "none except along the bands")
    span = whole.shape[1]
    stride = max(1, stride)
    scales = scale.double().flatten().expand(outputs).clone()
    # A channel of zeros has no scale; any value serves.
    scales[whole.flatten(1).eq(0).all(1)] = 1.0
    bias = getattr(module, "bias", None)
    values = torch.zeros(outputs) if bias is None else bias
    return Synapse(
        name,
        np.ascontiguousarray(whole.numpy()),
        scales.numpy(),
        values.double().numpy(),
        stride,
        padding,
        (depth + 2 * padding - span) // stride + 1,
    )


def _output_neurons(name: str, weights: torch.Tensor) -> Synapse:
    """Read the mean over each class's neurons, of weights [C, size C] that are 0 or 1 / size."""
    codes, scale = weights.ne(0).to(torch.int32).numpy(), weights.double().amax(1).numpy()
    return Synapse(name, codes[:, None, None, None], scale, np.zeros(len(codes)), 1, 0, 1)


def _ungrouped(codes: torch.Tensor, module: Any) -> torch.Tensor:
    """Return the codes of a convolution in groups for all channels of its input, 0 elsewhere."""
    outputs, within = codes.shape[:2]
    whole = codes.new_zeros(outputs, module.in_channels, *codes.shape[2:])
    group = torch.arange(outputs) // (outputs // module.groups)
    for channel in range(within):
        whole[torch.arange(outputs), group * within + channel] = codes[:, channel]
    return whole


class Sums(NamedTuple):
    """Whole sums before neurons or a readout, each [K] float64."""

    scale: NDArray[np.float64]
    """Value of one, per channel."""
    bias: NDArray[np.float64]
    """Constant that is added, per channel and step."""
    reach: NDArray[np.float64]
    """Bound of a sum of one step, either sign."""

    @classmethod
    def of(cls, synapse: Synapse, inputs: InputCodes) -> Sums:
        """Return the sums of a synapse, of weights times codes of its inputs."""
        terms = np.abs(synapse.codes).reshape(len(synapse.scale), -1).sum(1)
        return cls(synapse.scale / inputs.per_unit, synapse.bias, terms * float(inputs.limit))


def read_neurons(name: str, sums: Sums, lif: LIF, steps: int) -> Neurons:
    """Read a layer of neurons on the sums of layer `name`."""
    scale = sums.scale
    if lif.potential_bits != FLOATING:
        return _narrow_neurons(name, sums, lif)
    threshold, leak = float(lif.threshold), float(lif.constants().leak)
    # A bound on the potential over T steps, in units of the scale.
    reach = (
        steps * (sums.reach + np.abs(sums.bias) / scale + threshold / scale) + 2 * threshold / scale
    )
    bits = np.floor(np.log2(_MAX_REACH / reach))
    if bits.min() < 0:
        refuse(name, "weights far below the threshold", "sums that fit into 32 bits")
    bits = np.minimum(bits, FRACTION_BITS)

    def fixed(value: NDArray[np.float64] | float) -> Integers:
        codes: Integers = np.rint(value / scale * 2**bits).astype(np.int32)
        return codes

    return Neurons(
        bits.astype(np.int32),
        fixed(sums.bias),
        fixed(threshold),
        fixed(lif.initial * threshold),
        round(leak * 2**LEAK_BITS),
        lif.reset,
        np.zeros(len(scale), np.int32),
    )


def _narrow_neurons(name: str, sums: Sums, lif: LIF) -> Neurons:
    """Read neurons on the grid of their potentials, laid here where no training has laid it."""
    scale = sums.scale
    lif = copy.deepcopy(lif)
    if lif.units is None:
        lif.lay_units(torch.from_numpy(scale))
    grid = lif.grid()
    assert lif.units is not None
    units, shift = (x.double().cpu().numpy() for x in (grid.unit, grid.shift))
    with np.errstate(all="ignore"):
        finer = np.where(sums.reach > 0, np.log2(scale / units), 0.0)
    bits = np.rint(finer)
    if not (np.abs(finer - bits) < 1e-3).all() or bits.min() < 0:
        refuse(name, "potentials on another grid than its sums", "that of training")
    bias, half = np.rint(sums.bias / units), np.floor(2.0 ** (shift - 1))
    if (sums.reach * 2**bits + np.abs(bias) + half).max() > _MAX_REACH:
        refuse(name, "weights far below the threshold", "sums that fit into 32 bits")
    threshold = grid.threshold.double().cpu().numpy()
    start = grid.threshold.mul(lif.initial).round().double().cpu().numpy()

    def whole(values: NDArray[np.float64]) -> Integers:
        return values.astype(np.int32)

    return Neurons(
        whole(bits),
        whole(bias + half),
        whole(threshold),
        whole(start),
        round(float(lif.constants().leak) * 2**LEAK_BITS),
        lif.reset,
        whole(shift),
        lif.potential_bits,
    )


def output_integers(readout: Sums, steps: int) -> tuple[Integers, Integers, float]:
    """Return multipliers and biases that bring the classes' sums over T to one unit, and it."""
    largest = readout.scale.max()
    relative, biases = readout.scale / largest, readout.bias * steps / largest
    reach = max(1.0, (relative * steps * readout.reach + np.abs(biases)).max())
    bits = min(16, int(np.floor(np.log2(_MAX_REACH / reach))))
    return (
        np.rint(relative * 2.0**bits).astype(np.int32),
        np.rint(biases * 2.0**bits).astype(np.int32),
        float(largest) / steps * 2.0**-bits,
    )
