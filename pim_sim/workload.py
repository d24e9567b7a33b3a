"""Workloads: what a network demands of the hardware, one frozen dataclass per layer, kept as JSON.

The file is ``{"schema": 2, "name": ..., "layers": [{...}, ...]}``; the fields of a layer are those
of `Layer`. Schema 1, which has neither groups nor dilation, is read as well. Reading is strict: an
unknown or missing field, a wrong type, an impossible geometry or another schema version is an
`InputError` that names the file, the layer and the field.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from pim_sim.errors import InputError
from pim_sim.io import write_json
from pim_sim.schema import (
    check_choice,
    check_flag,
    check_integer,
    check_keys,
    check_number,
    check_table,
    check_text,
    refuse,
    set_field,
    shown,
)

SCHEMA = 2
LayerKind = Literal["conv3d", "conv2d", "conv1d", "linear"]

_SPATIAL_AXES: dict[str, int] = {"conv3d": 3, "conv2d": 2, "conv1d": 1, "linear": 0}
_SINCE_2 = ("groups", "dilation")
_MAX_BITS = 64


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One weight layer and how often it is applied to classify one pixel.

    An output value is a sum of ``fan_in`` products; there are ``outputs = filters * positions`` of
    them, with, along each spatial axis (as in torch),
    ``positions = floor((input + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1``. The filters
    of a group see only the channels of that group, ``C / groups`` of them.

    Args:
        Every field below; shapes are channels first, without a batch axis.

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
        sizes = {"input_shape": 1 + axes, "weight_shape": 2 + axes}
        sizes |= {"stride": axes, "padding": axes, "dilation": axes}
        for field, length in sizes.items():
            low = 0 if field == "padding" else 1
            set_field(self, field, _sizes(field, getattr(self, field), length, low))
        check_integer("weight_bits", self.weight_bits, 1, _MAX_BITS)
        check_integer("input_bits", self.input_bits, 1, _MAX_BITS)
        check_integer("time_steps", self.time_steps, 1)
        check_integer("groups", self.groups, 1)
        density = check_number("input_density", self.input_density, 0.0, 1.0)
        set_field(self, "input_density", density)
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
        sizes = zip(self.weight_shape[2:], self.dilation, strict=True)
        return tuple(step * (kernel - 1) + 1 for kernel, step in sizes)

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


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The weight layers of a network, first layer first.

    Args:
        Both fields below.

    Raises:
        InputError: no layer is given, or two share a name.

    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> Workload(name="demo", layers=(fc,)).layers[0].name
    'fc'
    """

    name: str
    """Name of the network, for example the run and its scene."""
    layers: tuple[Layer, ...]
    """Layers in the order in which data passes them."""

    def __post_init__(self) -> None:
        check_text("name", self.name)
        set_field(self, "layers", tuple(self.layers))
        if not self.layers:
            raise refuse("layers", [], "at least one layer")
        names = [layer.name for layer in self.layers]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise refuse("layers", repeated[0], "each name once")

    @classmethod
    def from_json(cls, path: str | Path) -> Workload:
        """Read and check a workload file.

        Args:
            path: JSON file, as written by `to_json` or by ``snnquant run``.

        Returns:
            The workload.

        Raises:
            InputError: the file cannot be read or a value is wrong; one line names file, layer
                and field.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
            return _workload(json.loads(text, object_pairs_hook=_no_repeated_key))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: line {error.lineno}: not JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            # not UTF-8, an integer of thousands of digits, or endless nesting
            raise InputError(f"{path}: not JSON: {shown(str(error))}") from None

    def to_json(self, path: str | Path) -> None:
        """Write the file that `from_json` reads; `InputError` as `write_json`."""
        write_json(path, {"schema": SCHEMA, **asdict(self)})


def _sizes(field: str, value: object, length: int, low: int) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) != length:
        raise refuse(field, value, f"a list of {length} whole numbers")
    return tuple(check_integer(f"{field}[{place}]", item, low) for place, item in enumerate(value))


def _no_repeated_key(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the field {shown(repeated)} is given twice")
    return table


def _workload(content: object) -> Workload:
    table = check_table(content, "the file")
    # the version comes first, so that a file of another schema is not blamed for its fields
    version = table.get("schema", SCHEMA)
    if type(version) is not int or version not in (1, SCHEMA):
        raise refuse("schema", version, f"1 or {SCHEMA}, the versions this program reads")
    check_keys(table, ("schema", *(field.name for field in fields(Workload))))
    if not isinstance(table["layers"], list):
        raise refuse("layers", table["layers"], "a list of layers")
    layers = tuple(_layer(index, entry, version) for index, entry in enumerate(table["layers"]))
    return Workload(name=check_text("name", table["name"]), layers=layers)


def _layer(index: int, entry: object, version: int) -> Layer:
    table = check_table(entry, f"layers[{index}]")
    required = [field.name for field in fields(Layer) if field.name not in _SINCE_2]
    optional = [name for name in _SINCE_2 if version >= 2 and name in table]
    try:
        if version == 1 and (newer := [name for name in _SINCE_2 if name in table]):
            raise InputError(f"unknown field {shown(newer[0])}, expected schema 2 for it")
        check_keys(table, [*required, *optional])
    except InputError as error:
        raise InputError(f"layer {shown(table.get('name', index))}: {error}") from None
    return Layer(**table)  # type: ignore[arg-type]  # Layer checks every type itself


def ceil_div(amount: int, share: int) -> int:
    """Return the number of shares that hold an amount: words, rows, columns or steps.

    Exact for whole numbers of any size; arrays of whole numbers in floating point give arrays.

    >>> ceil_div(27, 16)
    2
    """
    return -(-amount // share)
