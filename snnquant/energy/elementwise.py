"""Element-wise work between the layers with weights, and the widths of the values on the way.

A quantized layer whose inputs are whole numbers sums whole numbers, as the integer engine does. A
sum has one scale per output channel, which neurons take into their thresholds and quantized
activations into their own multiplication; anywhere else each sum is multiplied by its scale, and
the result is in floating point unless it is a logit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from snnquant.energy.operand_widths import (
    FLOAT32,
    SPIKE,
    Operation,
    Width,
    elementwise,
    sum_bits,
    synaptic,
)
from snnquant.errors import InputError
from snnquant.nn import INPUT, Graph
from snnquant.nn.kinds import (
    ACTIVATIONS,
    AVERAGE_POOLS,
    BATCH_NORMS,
    MAX_POOLS,
    SLIDING_AVERAGES,
    SLIDING_MAXIMA,
    SPIKES_STAY,
    SUMS,
    SYNAPSES,
)
from snnquant.nn.wiring import Mean
from snnquant.quantization import (
    PowersOfTwo,
    Quantizer,
    Terms,
    weight_codes,
    weight_quantizer,
)
from snnquant.quantization.masked import MaskedWeight
from snnquant.spiking import (
    FLOATING,
    LIF,
    MAX_SHIFT,
    Leak,
    Neuron,
    SpikingNetwork,
    shifts,
    spiking_layers,
)

Whole: TypeAlias = Counter[Operation]
PIXEL_BITS = 16
"""Bits of a pixel's value that an SNN of integers receives where none are stated."""
POTENTIAL = Width(32)
"""Width of a potential in integers, as in the integer engine."""
LEAK_BITS = 15
"""Bits of a leak in integers where it is not quantized, as in the integer engine."""
SCALE = Width(17)
"""Width of a scale in integers, as that of the logits in the integer engine."""


@dataclass(frozen=True)
class Elementwise:
    """Element-wise work of one module per pixel."""

    name: str
    """Name of the module in the network."""
    counts: Mapping[Operation, float]
    """Operations per pixel."""
    positions: int = 1
    """Rows times columns of its outputs per window, which windows of a map share."""

    def shared(self) -> Elementwise:
        """Return the work per pixel of a map."""
        counts = {operation: n / self.positions for operation, n in self.counts.items()}
        return replace(self, counts=counts)


class _Value(NamedTuple):
    """Width of a layer's outputs; `unscaled` for sums that still lack their channels' scales."""

    width: Width
    unscaled: bool = False
    scale: Width = SCALE
    """Width of these scales."""


class _Call(NamedTuple):
    """Run of a module for one pixel: its values in and out, over all steps."""

    module: Any
    inputs: int
    outputs: int
    times: int
    """Times that it counts: T where it runs once, on the mean over time, else 1."""


class Stored(NamedTuple):
    """Form in which the weights of a layer are stored."""

    bits: int | None
    """Bits per weight; None for floating point."""
    distances: int = 0
    """Exponents in use of weights that are powers of two; 0 for other weights."""
    terms: float = 1.0
    """Numbers that a weight is the sum of, a mean over the output channels; less than 1 where
    weights were removed."""

    @classmethod
    def of(cls, synapse: nn.Module) -> Stored:
        """Read the form of a layer's weights from its quantizer."""
        quantizer = weight_quantizer(synapse)
        if quantizer is None:
            return cls(None)
        stored = cls(quantizer.bits)
        if isinstance(quantizer, MaskedWeight):  # no input meets a weight that was removed
            return cls(quantizer.bits, terms=float(quantizer.mask.mean()))
        try:
            codes = weight_codes(synapse)
        except InputError:  # levels that say nothing of themselves
            return stored
        if isinstance(codes, PowersOfTwo) and bool(codes.sign.any()):
            used = codes.exponent[codes.sign != 0]
            return stored._replace(distances=int(used.max() - used.min()) + 1)
        if isinstance(codes, Terms):
            channels = [(t.codes != t.zero_point).flatten(1).any(1) for t in codes.terms]
            return stored._replace(terms=sum(float(part.double().mean()) for part in channels))
        return stored


def scale_width(synapse: nn.Module) -> Width:
    """Return the width of the channels' scales that a layer's quantizer states, or `SCALE`."""
    bits = getattr(weight_quantizer(synapse), "scale_bits", SCALE.bits)
    return Width(min(bits, SCALE.bits))


class Tracker:
    """Widths and element-wise work of a network, noted while it runs on one patch.

    Args:
        network: CNN or `SpikingNetwork`.
        pixel_bits: Bits per value that it receives; 32 for floating point, which an SNN of
            quantized weights takes as `PIXEL_BITS`, as the integer engine does.
    """

    def __init__(self, network: nn.Module, pixel_bits: int) -> None:
        self.network = network
        spiking = network if isinstance(network, SpikingNetwork) else None
        self.steps = 1 if spiking is None else spiking.time_steps
        self.driven = frozenset[str]() if spiking is None else spiking.spike_driven
        self.spiking = spiking_layers(network)
        self.sources = network.inputs if isinstance(network, Graph) else {}
        synapses = [(n, m) for n, m in network.named_modules() if isinstance(m, SYNAPSES)]
        self.stored = {name: Stored.of(module) for name, module in synapses}
        pixels = FLOAT32 if pixel_bits == 32 else Width(pixel_bits)
        quantized = any(stored.bits for stored in self.stored.values())
        if pixel_bits == 32 and spiking is not None and quantized:
            pixels = Width(PIXEL_BITS)
        self.last = INPUT
        self.values = {INPUT: _Value(pixels)}
        self.synapse: str | None = None
        self.inputs: dict[str, tuple[Width, int]] = {}
        """Width of a layer's inputs and time steps in one of its sums, by layer of weights."""
        self.work: dict[str | None, list[Elementwise]] = {}

    def modules(self) -> dict[str, nn.Module]:
        """Return the modules to listen to: neurons, layers of weights, and whatever is a leaf."""
        return {
            name: module
            for name, module in self.network.named_modules()
            if "parametrizations" not in name.split(".")
            and (isinstance(module, (*SYNAPSES, Neuron)) or not any(module.children()))
        }

    def note(self, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Record one run of a module on one patch."""
        own = name.removeprefix("layers.")
        if not isinstance(output, Tensor):
            self.values[own], self.last = _Value(FLOAT32), own
            return
        sources = self.sources.get(own, (self.last,))
        given = [self.values.get(source, self.values[self.last]) for source in sources]
        numbers = sum(x.numel() for x in inputs if isinstance(x, Tensor))
        once = len(output) < self.steps and not isinstance(module, Neuron)
        times = self.steps if once and own in self.driven else 1
        call = _Call(module, numbers, output.numel(), times)
        if isinstance(module, SYNAPSES):
            self.synapse = name
            counts, value = self._synapse(name, call, given[0])
        else:
            counts, value = _work(call, given)
        self.values[own], self.last = value, own
        self._add(name, counts, tuple(output.shape[2 if isinstance(module, Neuron) else 1 :]))

    def _synapse(self, name: str, call: _Call, given: _Value) -> tuple[Whole, _Value]:
        spikes = name in self.spiking
        width, counts = _scaled(given, call.inputs)
        self.inputs[name] = width, call.times
        terms = call.module.weight[0].numel() * call.times
        bits, distances, _ = self.stored[name]
        operation = synaptic(bits, width, terms, spikes=spikes, distances=distances)
        total = Width(operation.total, operation.floating)
        if getattr(call.module, "bias", None) is not None:
            counts[elementwise("add", total)] += call.outputs
        return counts, _Value(total, not total.floating, scale_width(call.module))

    def _add(self, name: str, counts: Whole, shape: tuple[int, ...]) -> None:
        if counts:
            positions = math.prod(shape[-2:]) if len(shape) > 2 else 1
            self.work.setdefault(self.synapse, []).append(Elementwise(name, counts, positions))

    def finish(self, logits: Tensor) -> None:
        """Note that the logits get their scales."""
        last = self.values[self.last]
        if last.unscaled:
            scaling = elementwise("mul", last.width, last.scale)
            self._add("logits", Counter({scaling: logits.numel()}), ())

    def of(self, layer: str, *, first: bool) -> tuple[Elementwise, ...]:
        """Return the work from a layer of weights to the next; the first has all before it."""
        before = self.work.get(None, []) if first else []
        return (*before, *self.work.get(layer, []))


def _scaled(value: _Value, numbers: int) -> tuple[Width, Whole]:
    """Return the width of values once they have their scales, and the work of giving them these."""
    if not value.unscaled:
        return value.width, Counter()
    return FLOAT32, Counter({elementwise("mul", value.width, value.scale): numbers})


def _summed(width: Width, terms: int) -> Width:
    """Return the width of a sum of equal widths."""
    return width if width.floating else Width(sum_bits(width.bits, 1, terms))


def _work(call: _Call, given: list[_Value]) -> tuple[Whole, _Value]:
    """Return the element-wise work of a module and the value that it makes."""
    module, (first, *_) = call.module, given
    if isinstance(module, Neuron):
        return _neuron(call, first.width), _Value(SPIKE)
    stated = isinstance(module, nn.Identity) and hasattr(module, "bits")
    if isinstance(module, ACTIVATIONS) or stated:
        return _activation(call, first)
    if isinstance(module, BATCH_NORMS):
        return _batch_norm(call, first)
    if isinstance(module, MAX_POOLS):
        window = _window(module, call, SLIDING_MAXIMA)
        return Counter({elementwise("compare", first.width): call.outputs * (window - 1)}), first
    if isinstance(module, (*AVERAGE_POOLS, Mean)):
        return _average(call, first)
    if isinstance(module, SUMS):
        return _sum(call, given)
    if isinstance(module, SPIKES_STAY):
        widest = max(given, key=lambda value: (value.width.floating, value.width.bits))
        return Counter(), widest._replace(unscaled=any(value.unscaled for value in given))
    return Counter(), _Value(FLOAT32)


def _neuron(call: _Call, current: Width) -> Whole:
    """Count a leak, two additions and a comparison per neuron and step.

    The leak is a multiplication, or on a grid of powers of two a subtraction per shift.
    """
    potential, leak = FLOAT32, FLOAT32
    if not current.floating:
        bits = getattr(call.module, "potential_bits", FLOATING)
        potential = POTENTIAL if bits == FLOATING else Width(bits)
        leak = Width(_leak_bits(call.module))
    counts: Whole = Counter(
        {
            elementwise("add", potential): 2 * call.outputs,
            elementwise("compare", potential): call.outputs,
        }
    )
    if not current.floating and isinstance(call.module, LIF) and call.module.leaks != Leak.FREE:
        terms = shifts(float(call.module.constants().leak))
        counts[elementwise("add", potential)] += terms * call.outputs
    else:
        counts[elementwise("mul", potential, leak)] += call.outputs
    return counts


def _leak_bits(neuron: nn.Module) -> int:
    """Return the bits of a leak's quantizer, of a narrow potential's leak, or `LEAK_BITS`."""
    if getattr(neuron, "potential_bits", FLOATING) != FLOATING:
        return MAX_SHIFT
    steps: Any = getattr(neuron, "parametrizations", {})
    found = [s.bits for s in steps["leak"] if isinstance(s, Quantizer)] if "leak" in steps else []
    return int(found[-1]) if found else LEAK_BITS


def _activation(call: _Call, given: _Value) -> tuple[Whole, _Value]:
    """Count a comparison per value, and a multiplication where the module states its bits."""
    bits = getattr(call.module, "bits", None)
    counts: Whole = Counter({elementwise("compare", given.width): call.outputs})
    if bits is None:
        width, scaling = _scaled(given, call.outputs)
        return counts + scaling, _Value(width)
    scale = FLOAT32 if given.width.floating else given.scale
    counts[elementwise("mul", given.width, scale)] += call.outputs
    return counts, _Value(Width(bits))


def _batch_norm(call: _Call, given: _Value) -> tuple[Whole, _Value]:
    """Count a multiplication, which takes a sum's scale along, and an addition per value."""
    bits = getattr(call.module, "bits", None)
    factor = FLOAT32 if bits is None or given.width.floating else Width(bits)
    product = FLOAT32 if factor.floating else Width(given.width.bits + factor.bits)
    scaling = elementwise("mul", given.width, factor)
    if not factor.floating and getattr(call.module, "factor", "") == "power_of_two":
        exponents = torch.frexp(call.module.affine_form()[0]).exponent
        distances = int(exponents.max() - exponents.min()) + 1
        product = Width(given.width.bits + distances - 1)
        scaling = Operation("shift", given.width.bits, distances)
    counts: Whole = Counter({scaling: call.outputs, elementwise("add", product): call.outputs})
    return counts, _Value(product, unscaled=not product.floating)


def _average(call: _Call, given: _Value) -> tuple[Whole, _Value]:
    """Count the additions of a mean; its division goes into the next weights."""
    window = _window(call.module, call, SLIDING_AVERAGES)
    scaled, counts = _scaled(given, call.inputs)
    width = _summed(scaled, window)
    counts[elementwise("add", width)] += call.times * call.outputs * (window - 1)
    return counts, _Value(width)


def _sum(call: _Call, given: list[_Value]) -> tuple[Whole, _Value]:
    """Count the additions of a sum, and a multiplication by each weight that is not 1."""
    weights = [float(weight) for weight in call.module.weights]
    given = given if len(given) == len(weights) else given[:1] * len(weights)
    plain = all(weight == 1 for weight in weights)
    whole = plain and not any(value.width.floating or value.unscaled for value in given)
    widest = max(value.width.bits for value in given)
    width = _summed(Width(widest), len(given)) if whole else FLOAT32
    outputs = call.times * call.outputs
    counts: Whole = Counter({elementwise("add", width): outputs * (len(given) - 1)})
    for value, weight in zip(given, weights, strict=True):
        _, scaling = _scaled(value, outputs)
        counts += scaling
        if weight != 1:
            counts[elementwise("mul", FLOAT32)] += outputs
    return counts, _Value(width)


def _window(module: Any, call: _Call, sliding: tuple[type[nn.Module], ...]) -> int:
    """Return how many values a pool makes one of."""
    for dimensions, kind in enumerate(sliding, start=1):
        if isinstance(module, kind):
            kernel: Any = module.kernel_size
            return int(math.prod(kernel) if isinstance(kernel, tuple) else kernel**dimensions)
    return -(-call.inputs // call.outputs)
