"""One weight layer: its shapes, bits, spikes, and how often it is applied."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pim_sim.errors import InputError
from pim_sim.schema import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_text,
    refuse,
    set_field,
    shown,
)

LayerKind = Literal["conv3d", "conv2d", "conv1d", "linear"]
MAX_BITS = 64

_SPATIAL_AXES: dict[str, int] = {"conv3d": 3, "conv2d": 2, "conv1d": 1, "linear": 0}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One weight layer and how often it is applied to classify one pixel.

    An output value is a sum of ``fan_in`` products; there are ``outputs = filters * positions`` of
    them, with, along each spatial axis (as in torch),
    ``positions = floor((input + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1``. The filters
    of a group see only the channels of that group, ``C / groups`` of them.

    Arguments are the fields below; shapes are channels first, without a batch axis.

    Raises:
        InputError: a value is impossible; one line names layer and field.

    >>> layer = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...               padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=5,
    ...               input_density=1.0, repeats_input=True)
    >>> layer.macs, layer.outputs, layer.applications
    (640, 10, 1)
    """

    name: str
    """Name of the layer in its network."""
    kind: LayerKind
    """conv3d, conv2d, conv1d or linear."""
    input_shape: tuple[int, ...]
    """Channels first, no batch: (C, D, H, W), (C, H, W), (C, W) or, of linear, (features,)."""
    weight_shape: tuple[int, ...]
    """torch's layout: (filters, C / groups, *kernel) or (filters, features)."""
    stride: tuple[int, ...]
    """One number per spatial axis; () for linear."""
    padding: tuple[int, ...]
    """Zeros added at either end of each spatial axis; () for linear."""
    weight_bits: int
    """Bits of a weight."""
    input_bits: int
    """Bits of an input value; 1 for spikes."""
    signed: bool
    """True if the weights take both signs."""
    time_steps: int
    """Time steps T of one classification; 1 for a network without spikes."""
    input_density: float
    """Mean share of non-zero input values per step, 0 to 1."""
    repeats_input: bool
    """True if the input is the same at every step, so that the layer is computed once for all T."""
    groups: int = 1
    """Groups of channels that are convolved apart; as many as channels in a depthwise layer."""
    dilation: tuple[int, ...] = ()
    """Distance of the kernel's values, one number per spatial axis; () for 1 everywhere."""
    input_mean: float | None = None
    """Mean magnitude of the input values that are not zero, over the largest, 0 to 1; None for that
    of the macro's file."""
    accumulates: float | None = None
    """Accumulates of spikes per classified pixel, over all steps, where they were counted; None for
    the density times the multiply-accumulates."""
    active_share: float | None = None
    """Share of input values that are not zero in some step, 0 to 1; None for an upper bound,
    min(1, density times steps)."""
    fetched: float | None = None
    """Products per classified pixel whose input is not zero in some step, where they were
    counted; None for the active share of the multiply-accumulates."""
    membrane_bits: int | None = None
    """Bits of a membrane of the neurons after the layer; 0 without neurons; None for 16 where the
    next layer takes spikes, and 0 elsewhere."""

    def __post_init__(self) -> None:
        check_text("layer name", self.name)
        try:
            self._check_values()
            self._check_geometry()
        except InputError as error:
            raise InputError(f"layer {shown(self.name)}: {error}") from None

    def _check_values(self) -> None:
        check_choice("kind", self.kind, get_args(LayerKind))
        axes = _SPATIAL_AXES[self.kind]
        if self.dilation == ():
            set_field(self, "dilation", (1,) * axes)
        lengths = {"input_shape": 1 + axes, "weight_shape": 2 + axes}
        lengths |= {"stride": axes, "padding": axes, "dilation": axes}
        for field, length in lengths.items():
            low = 0 if field == "padding" else 1
            set_field(self, field, sizes(field, getattr(self, field), length, low))
        check_integer("weight_bits", self.weight_bits, 1, MAX_BITS)
        check_integer("input_bits", self.input_bits, 1, MAX_BITS)
        check_integer("time_steps", self.time_steps, 1)
        check_integer("groups", self.groups, 1)
        density = check_number("input_density", self.input_density, 0.0, 1.0)
        set_field(self, "input_density", density)
        if self.input_mean is not None:
            set_field(self, "input_mean", check_number("input_mean", self.input_mean, 0.0, 1.0))
        if self.active_share is not None:
            share = check_number("active_share", self.active_share, 0.0, 1.0)
            set_field(self, "active_share", share)
        for field in ("accumulates", "fetched"):
            if getattr(self, field) is not None:
                counted = check_number(field, getattr(self, field), 0.0, 1e18)
                set_field(self, field, counted)
        if self.membrane_bits is not None:
            check_integer("membrane_bits", self.membrane_bits, 0, MAX_BITS)
        for field in ("signed", "repeats_input"):
            check_flag(field, getattr(self, field))

    def _check_geometry(self) -> None:
        channels, groups = self.input_shape[0], self.groups
        if channels % groups or self.filters % groups or (groups > 1 and self.kind == "linear"):
            expected = f"a divisor of {channels} channels and {self.filters} filters, 1 if linear"
            raise refuse("groups", groups, expected)
        if self.weight_shape[1] * groups != channels:
            expected = f"{channels // groups} input channels in place 1, as input_shape has"
            hint = f" in each of {groups} groups" if groups > 1 else ", or groups (schema 2)"
            raise refuse("weight_shape", self.weight_shape, expected + hint)
        padded = (n + 2 * pad for n, pad in zip(self.input_shape[1:], self.padding, strict=True))
        for axis, (size, reach) in enumerate(zip(padded, self._reaches, strict=True)):
            if reach > size:
                expected = f"a kernel of at most {size} (the padded input) along axis {axis}"
                raise refuse("weight_shape", self.weight_shape, expected)

    @property
    def _reaches(self) -> tuple[int, ...]:
        """Input values from the first to the last that a kernel sees, per spatial axis."""
        taps = zip(self.weight_shape[2:], self.dilation, strict=True)
        return tuple(step * (kernel - 1) + 1 for kernel, step in taps)

    @property
    def filters(self) -> int:
        """Output channels."""
        return self.weight_shape[0]

    @property
    def fan_in(self) -> int:
        """Products that are summed into one output value."""
        return math.prod(self.weight_shape[1:])

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Channels first, no batch: (filters, D, H, W), ... or (filters,)."""
        spatial = zip(self.input_shape[1:], self._reaches, self.stride, self.padding, strict=True)
        return (self.filters, *((n + 2 * pad - k) // step + 1 for n, k, step, pad in spatial))

    @property
    def positions(self) -> int:
        """Output positions of a filter (D * H * W of the output); 1 for linear."""
        return math.prod(self.output_shape[1:])

    @property
    def filters_per_group(self) -> int:
        """Output channels that share their inputs."""
        return self.filters // self.groups

    @property
    def outputs(self) -> int:
        """Output values of one application of the layer."""
        return math.prod(self.output_shape)

    @property
    def inputs(self) -> int:
        """Input values of one application of the layer, without padding."""
        return math.prod(self.input_shape)

    @property
    def weights(self) -> int:
        """Weights of the layer."""
        return math.prod(self.weight_shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one application, products with padding zeros included."""
        return self.outputs * self.fan_in

    @property
    def applications(self) -> int:
        """Times the layer is computed to classify one pixel: once, or once per time step."""
        return 1 if self.repeats_input else self.time_steps

    @property
    def of_spikes(self) -> bool:
        """True for inputs of one bit, which are added and never multiplied."""
        return self.input_bits == 1

    @property
    def nonzero_products(self) -> float:
        """Products per pixel whose input is not zero, over all applications."""
        if self.accumulates is not None and self.of_spikes:
            return self.accumulates
        return self.macs * self.input_density * self.applications

    @property
    def active(self) -> float:
        """Share of input values that are not zero in at least one step, or its upper bound."""
        if self.active_share is not None:
            return self.active_share
        return min(1.0, self.input_density * self.applications)

    @property
    def fetched_products(self) -> float:
        """Products per pixel whose input is not zero in at least one step."""
        if self.fetched is not None:
            return self.fetched
        return min(self.macs * self.active, self.nonzero_products)


def sizes(field: str, value: object, length: int, low: int) -> tuple[int, ...]:
    """Return a list of whole numbers as a tuple; refuse another length or a number below `low`."""
    if not isinstance(value, list | tuple) or len(value) != length:
        raise refuse(field, value, f"a list of {length} whole numbers")
    return tuple(check_integer(f"{field}[{place}]", item, low) for place, item in enumerate(value))


def ceil_div(amount: int, share: int) -> int:
    """Return the number of shares that hold an amount: words, rows, columns or steps.

    Exact for whole numbers of any size; arrays of whole numbers in floating point give arrays.

    >>> ceil_div(27, 16)
    2
    """
    return -(-amount // share)
