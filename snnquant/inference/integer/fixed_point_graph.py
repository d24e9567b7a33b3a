r"""Quantized spiking networks of any wiring in whole numbers, as layers that run densely.

A value between two layers is whole numbers times a unit, one unit per channel after a layer with
weights. Sums go to neurons as `to_fixed_point` has them, exact. Anything else that mixes channels,
or adds values of several units, first brings them to one unit: number n of unit u becomes

.. math:: n' = \lfloor (n \, \mathrm{round}(2^R u / u') + \mathrm{round}(2^R b / u') + 2^{R-1})
   \, 2^{-R} \rfloor

with the bias b, R = 16 and a unit u' that leaves sums 16 bits, and sums before neurons 22.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from snnquant.inference.integer.fixed_point_network import (
    InputCodes,
    Integers,
    Neurons,
    Sums,
    output_integers,
    read_neurons,
    refuse,
)
from snnquant.inference.integer.kernels import RESETS
from snnquant.inference.integer.neurons_of_values import fire_values
from snnquant.nn import INPUT
from snnquant.nn.kinds import AVERAGE_POOLS, DROPOUTS, MAX_POOLS, PADS, SHAPES, SUMS, SYNAPSES
from snnquant.nn.wiring import Concatenate, Mean
from snnquant.quantization import freeze, integer_weights
from snnquant.sampling import PixelGrid
from snnquant.spiking import Neuron, SpikingNetwork, require_lif, unknown_reset
from snnquant.spiking.backends.layout import Order

RESCALING_BITS = 16
"""Fractional bits of a factor that brings values to another unit."""
VALUE_REACH, SUM_REACH = 2**15, 2**22
"""Largest numbers that values between layers, and sums of values before neurons, are given."""
MOST = 2**31
"""Bound of every sum."""

Floats = NDArray[np.float64]
EXACT = 2.0**24
"""Whole numbers below it are exact in float32."""
Run: TypeAlias = Callable[[list[Tensor]], Tensor]
"""A layer on its inputs [T or 1, N, ...], whole numbers in floating point."""


@dataclass(frozen=True)
class Form:
    """Whole numbers of a value: their units, bounds and the bias that is still to be added.

    Each is one number, or one per channel of `axis`.
    """

    unit: Floats
    reach: Floats
    bias: Floats
    sample: Tensor
    """Zeros [1, ...] of the value's shape."""
    axis: int = 1

    @classmethod
    def of(cls, unit: float, reach: float, sample: Tensor) -> Form:
        """Make the form of numbers with one unit."""
        return cls(np.asarray(unit), np.asarray(reach), np.asarray(0.0), sample)

    @property
    def is_common(self) -> bool:
        """True where all numbers have one unit and no bias is left."""
        return self.unit.ndim == 0 and not self.bias.any()

    def column(self, numbers: NDArray[Any]) -> Tensor:
        """Return numbers per channel in a shape that broadcasts with [T, N, ...]."""
        tensor = torch.from_numpy(np.asarray(numbers))
        if tensor.ndim == 0:
            return tensor
        shape = [1] * (self.sample.ndim + 1)
        shape[self.axis + 1 if self.axis > 0 else self.axis] = -1
        return tensor.view(shape)


@dataclass(frozen=True)
class Layer:
    """A layer of a `FixedPointGraph` and the names of the layers before it."""

    name: str
    inputs: tuple[str, ...]
    run: Run


@dataclass(frozen=True)
class FixedPointGraph:
    """Layers in order; a logit is `unit` times ``multiplier * sum over T + output_bias``."""

    layers: tuple[Layer, ...]
    codes: InputCodes
    multiplier: Integers
    output_bias: Integers
    unit: float
    time_steps: int
    largest: int
    """Values of the largest layer of a patch."""

    @torch.no_grad()
    def outputs(self, patches: Tensor) -> Tensor:
        """Return whole sums of the classes per step, [T, N, K], of patches [N, ...]."""
        pixels = (patches * self.codes.per_unit).round().clamp(-self.codes.limit, self.codes.limit)
        values = {INPUT: pixels[None]}
        for layer in self.layers:
            values[layer.name] = layer.run([values[name] for name in layer.inputs])
        return values[self.layers[-1].name].expand(self.time_steps, -1, -1)


@torch.no_grad()
def to_fixed_point_graph(
    network: SpikingNetwork, bands: int, window: int, grid: PixelGrid | None = None
) -> FixedPointGraph:
    """Return the whole-number form of a quantized network for patches [N, 1, bands, w, w].

    Raises `InputError`, naming the layer, for layers other than LIF neurons, quantized
    convolutions and dense layers, sums, pools, padding with zeros and changes of shape.
    """
    codes = InputCodes.of_pixels(grid)
    forms = {
        INPUT: Form.of(
            1 / codes.per_unit, codes.limit, torch.zeros(1, 1, bands, window, window).double()
        )
    }
    reader = _Reader(network.time_steps)
    layers: list[Layer] = []
    name = ""
    for (name, inputs), module in zip(network.inputs.items(), network.layers, strict=True):
        forms[name], run = reader.read(name, module, [forms[source] for source in inputs])
        if float(forms[name].reach.max()) >= MOST:
            refuse(name, "sums of more", "sums that fit into 32 bits")
        layers.append(Layer(name, inputs, run))
    last = forms[name]
    if last.sample.ndim != 2:
        refuse(name, f"an output of shape {tuple(last.sample.shape)}", "logits [N, K]")
    classes = (last.sample.shape[1],)
    sums = Sums(*(np.broadcast_to(x, classes) for x in (last.unit, last.bias, last.reach)))
    largest = max(form.sample.numel() for form in forms.values())
    steps = network.time_steps
    return FixedPointGraph(tuple(layers), codes, *output_integers(sums, steps), steps, int(largest))


class _Reader:
    """Whole-number forms of layers."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def read(self, name: str, module: nn.Module, forms: list[Form]) -> tuple[Form, Run]:
        """Return the form of a layer's output and the layer in whole numbers."""
        first = forms[0]
        if isinstance(module, Neuron):
            return self._neurons(name, module, first)
        if isinstance(module, SUMS):
            return _sum(name, module, forms)
        if isinstance(module, (nn.Identity, *DROPOUTS)):
            return first, lambda inputs: inputs[0]
        commons = [_common(form) for form in forms]
        form, before = commons[0]
        if isinstance(module, SYNAPSES):
            after, run = _synapse(name, module, form)
        elif isinstance(module, Concatenate):
            return _concatenated(module, forms)
        elif isinstance(module, (*AVERAGE_POOLS, Mean)):
            after, run = _average(name, module, form)
        elif isinstance(module, MAX_POOLS):
            after, run = replace(form, sample=module(form.sample)), _largest_count(module)
        elif isinstance(module, (*SHAPES, *PADS)):
            after = replace(form, sample=module(form.sample))
            run = _folded(module)
        else:
            found = type(module).__name__
            refuse(name, found, "neurons, weights, sums, pools, padding or changes of shape")
        return after, lambda inputs: run([before(inputs[0])])

    def _neurons(self, name: str, module: Neuron, form: Form) -> tuple[Form, Run]:
        lif = require_lif(module, name, "integer engine")
        if lif.reset not in RESETS:
            raise unknown_reset(lif.reset, "integer engine", tuple(RESETS))
        sums = Sums(*(np.atleast_1d(x) for x in (form.unit, form.bias, form.reach)))
        neurons = read_neurons(name, sums, lif, self.steps)
        after = Form.of(1.0, 1.0, form.sample)
        return after, lambda inputs: _fire(inputs[0], neurons, form, self.steps)


def _fire(sums: Tensor, neurons: Neurons, form: Form, steps: int) -> Tensor:
    """Return spikes [T, N, ...] for sums [T or 1, N, ...], by the integer recurrence."""
    order = Order(sums)
    cells = np.stack(
        (neurons.start, neurons.threshold, neurons.shift, neurons.bias, neurons.rounding)
    ).astype(np.int64)
    axis = form.axis + 1 if form.axis > 0 else sums.ndim + form.axis
    of_axis = order.axes.index(axis) if cells.shape[1] > 1 else 0
    sizes = [sums.shape[i] for i in order.axes]
    shape = (math.prod(sizes[1:of_axis]), cells.shape[1], -1)
    values = order.steps(sums).view(len(sums), *shape)
    spikes = torch.empty(steps, *values.shape[1:])
    kind = neurons.leak, RESETS[neurons.reset], neurons.potential_bits
    fire_values(values.numpy(), cells, *kind, spikes.numpy())
    return order.restore(spikes.flatten(1))


def _folded(module: nn.Module) -> Run:
    """Run a module on all steps at once."""

    def run(inputs: list[Tensor]) -> Tensor:
        output: Tensor = module(inputs[0].flatten(0, 1))
        return output.view(*inputs[0].shape[:2], *output.shape[1:])

    return run


def _largest_count(module: nn.Module) -> Run:
    """Run a max pool on the counts up to each step, whose differences are its outputs."""
    folded = _folded(module)

    def run(inputs: list[Tensor]) -> Tensor:
        counts = folded([inputs[0].cumsum(0)])
        return counts.diff(dim=0, prepend=torch.zeros_like(counts[:1]))

    return run


def _synapse(name: str, module: Any, form: Form) -> tuple[Form, Run]:
    codes, scale, zero_point = integer_weights(module)
    whole = (codes.to(torch.int32) - zero_point).double()
    outputs = len(whole)
    reach = whole.abs().flatten(1).sum(1) * float(form.reach)
    plain: Any = freeze(copy.deepcopy(module)).double()
    plain.weight, plain.bias = nn.Parameter(whole, requires_grad=False), None
    scales = scale.double().flatten().expand(outputs).clone()
    # A channel of zeros has no scale; any value serves.
    scales[whole.flatten(1).eq(0).all(1)] = 1.0
    bias = torch.zeros(outputs) if module.bias is None else module.bias.detach()
    sample = plain(form.sample)
    axis = sample.ndim - 1 if isinstance(module, nn.Linear) else 1
    unit = scales.numpy() * float(form.unit)
    exact = torch.float32 if float(reach.max()) < EXACT else torch.float64
    sums = _folded(plain.to(exact))

    def run(inputs: list[Tensor]) -> Tensor:
        return sums([inputs[0].to(exact)]).round()  # a library may multiply by way of transforms

    return Form(unit, reach.numpy(), bias.double().numpy(), sample, axis), run


def _average(name: str, module: Any, form: Form) -> tuple[Form, Run]:
    """Return the sums over a pool's windows; the division goes into the unit."""
    inside = module(torch.ones_like(form.sample))
    output = module(form.sample)
    number = form.sample.numel() / output.numel()
    kernel: Any = getattr(module, "kernel_size", None)
    if kernel is not None:
        sizes = kernel if isinstance(kernel, tuple) else (kernel,) * (form.sample.ndim - 2)
        number = float(np.prod(sizes))
    whole_windows = copy.copy(module)
    whole_windows.ceil_mode = False
    partial = whole_windows(form.sample).shape != output.shape
    override = getattr(module, "divisor_override", None)
    if override or partial or number != int(number) or (inside != 1).any():
        refuse(name, f"{module}", "means of as many values everywhere")
    run = _folded(module)

    def sums(inputs: list[Tensor]) -> Tensor:
        total: Tensor = run(inputs) * number
        return total.round()

    return Form.of(float(form.unit) / number, float(form.reach) * number, output), sums


def _sum(name: str, module: Any, forms: list[Form]) -> tuple[Form, Run]:
    """Return the sum of values, each times its weight, in one unit per channel."""
    weights = [float(weight) for weight in module.weights]
    forms = forms * len(weights) if len(forms) == 1 else forms
    axis = max(form.axis for form in forms if form.unit.ndim) if _by_channel(forms) else 1
    if len({form.sample.shape for form in forms}) > 1 or any(
        form.unit.ndim and form.axis != axis for form in forms
    ):
        refuse(name, "inputs of several shapes", "a sum of values of one shape")
    scaled = [
        replace(f, unit=f.unit * abs(w), bias=f.bias * abs(w), axis=axis)
        for f, w in zip(forms, weights, strict=True)
    ]
    least = reduce(np.minimum, (np.where(form.unit > 0, form.unit, np.inf) for form in scaled))
    if np.isinf(least).any():
        refuse(name, "weights of 0 only", "a weight that is not 0")
    total = sum(form.reach * form.unit + abs(form.bias) for form in scaled) / least
    target = least * 2.0 ** -np.clip(np.floor(np.log2(SUM_REACH / np.maximum(total, 1))), -8, 12)
    terms = [_rescaled(form, target) for form in scaled]
    signs = [np.sign(weight) for weight in weights]

    def run(inputs: list[Tensor]) -> Tensor:
        inputs = inputs * len(terms) if len(inputs) == 1 else inputs
        whole: Any = 0
        for value, (_, rescale), sign in zip(inputs, terms, signs, strict=True):
            whole = whole + rescale(value) * sign
        return whole  # type: ignore[no-any-return]

    reach = np.asarray(sum(form.reach for form, _ in terms))
    return Form(target, reach, np.zeros_like(target), forms[0].sample, axis), run


def _by_channel(forms: list[Form]) -> bool:
    return any(form.unit.ndim for form in forms)


def _concatenated(module: Concatenate, forms: list[Form]) -> tuple[Form, Run]:
    """Return values of one unit beside each other."""
    if all(form.is_common and form.unit == forms[0].unit for form in forms):
        parts = [_common(form) for form in forms]
    else:
        top = max(float(_unit_of_values(form)) for form in forms)
        parts = [_rescaled(form, np.asarray(top)) for form in forms]
    sample = module(*(form.sample for form in forms))
    axis = module.axis + 1 if module.axis > 0 else module.axis
    reach = max(float(form.reach.max()) for form, _ in parts)

    def run(inputs: list[Tensor]) -> Tensor:
        whole = [rescale(value) for value, (_, rescale) in zip(inputs, parts, strict=True)]
        steps = max(len(value) for value in whole)
        return torch.cat([value.expand(steps, *value.shape[1:]) for value in whole], axis)

    return Form.of(float(parts[0][0].unit), reach, sample), run


def _common(form: Form) -> tuple[Form, Callable[[Tensor], Tensor]]:
    """Return values with one unit, as they are where they have one."""
    return (form, _same) if form.is_common else _rescaled(form, _unit_of_values(form))


def _same(value: Tensor) -> Tensor:
    return value


def _unit_of_values(form: Form) -> Floats:
    """Return the unit in which values of a form have at most `VALUE_REACH` numbers."""
    top = np.float64(form.unit.max())
    total = float(((form.reach * form.unit + abs(form.bias)) / top).max())
    return np.asarray(top * 2.0 ** -np.floor(np.log2(VALUE_REACH / max(total, 1.0))))


def _rescaled(form: Form, unit: Floats) -> tuple[Form, Callable[[Tensor], Tensor]]:
    """Return values in another unit, one or per channel, their bias added."""
    one = 2.0**RESCALING_BITS
    factor, bias = np.rint(form.unit / unit * one), np.rint(form.bias / unit * one + one / 2)
    reach = np.floor((form.reach * abs(factor) + abs(bias)) / one) + 1
    factors, biases = (form.column(x.astype(np.int64)) for x in (factor, bias))

    def rescale(value: Tensor) -> Tensor:
        return ((value.long() * factors + biases) >> RESCALING_BITS).double()

    if unit.ndim == 0:
        reach = np.asarray(reach.max())
    return replace(form, unit=unit, reach=reach, bias=np.zeros_like(unit)), rescale
