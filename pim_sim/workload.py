"""What a network asks of the hardware: a frozen dataclass a layer, kept as JSON.

The file is ``{"schema": 1, "name": ..., "layers": [{...}, ...]}``; the fields of a layer are those
of `Layer`. Reading is strict: an unknown or missing field, a wrong type, an impossible geometry or
another schema version is an `InputError` that names the file, the layer and the field.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from pim_sim.atomic import replacing
from pim_sim.checks import (
    check_choice,
    check_integer,
    check_keys,
    check_number,
    check_table,
    check_text,
    refuse,
    shown,
)
from pim_sim.errors import InputError

SCHEMA = 1
LayerKind = Literal["conv3d", "conv2d", "linear"]

_SPATIAL_AXES: dict[str, int] = {"conv3d": 3, "conv2d": 2, "linear": 0}
_MOST_BITS = 64


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One weight layer and how often it is applied to classify one pixel.

    An output value is a sum of ``fan_in`` products; there are ``outputs = filters * positions`` of
    them, with, along each spatial axis (as in torch, dilation 1 and one group),
    ``positions = floor((input + 2*padding - kernel) / stride) + 1``.

    Raises `InputError`, one line naming layer and field, when a value cannot be.
    """

    name: str
    """Name of the layer in its network."""
    kind: LayerKind
    """conv3d, conv2d or linear."""
    input_shape: tuple[int, ...]
    """Channels first, no batch: (C, D, H, W), (C, H, W) or, of linear, (features,)."""
    weight_shape: tuple[int, ...]
    """torch's layout: (filters, C, kD, kH, kW), (filters, C, kH, kW) or (filters, features)."""
    stride: tuple[int, ...]
    """One number a spatial axis; () for linear."""
    padding: tuple[int, ...]
    """Zeros added at either end of each spatial axis; () for linear."""
    weight_bits: int
    """Bits of a weight."""
    input_bits: int
    """Bits of an input value; 1 for spikes."""
    signed: bool
    """Whether the weights take both signs."""
    time_steps: int
    """Steps T of one classification; 1 for a network that does not spike."""
    input_density: float
    """Mean share of non-zero input values a step, 0 to 1."""
    repeats_input: bool
    """Whether the input is the same at every step, so that the layer is computed once for all T."""

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
        sizes = {"input_shape": 1 + axes, "weight_shape": 2 + axes, "stride": axes, "padding": axes}
        for field, length in sizes.items():
            least = 0 if field == "padding" else 1
            object.__setattr__(self, field, _sizes(field, getattr(self, field), length, least))
        check_integer("weight_bits", self.weight_bits, 1, _MOST_BITS)
        check_integer("input_bits", self.input_bits, 1, _MOST_BITS)
        check_integer("time_steps", self.time_steps, 1)
        density = check_number("input_density", self.input_density, 0.0, 1.0)
        object.__setattr__(self, "input_density", density)
        for field in ("signed", "repeats_input"):
            if not isinstance(getattr(self, field), bool):
                raise refuse(field, getattr(self, field), "true or false")

    def _check_geometry(self) -> None:
        channels = self.input_shape[0]
        if self.weight_shape[1] != channels:
            expected = f"{channels} input channels in place 1, as input_shape has"
            raise refuse("weight_shape", self.weight_shape, expected)
        for axis, (size, kernel, pad) in enumerate(
            zip(self.input_shape[1:], self.weight_shape[2:], self.padding, strict=True)
        ):
            if kernel > size + 2 * pad:
                expected = (
                    f"a kernel of at most {size + 2 * pad} (the padded input) along axis {axis}"
                )
                raise refuse("weight_shape", self.weight_shape, expected)

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
        """Channels first, no batch: (filters, D, H, W), (filters, H, W) or (filters,)."""
        spatial = zip(
            self.input_shape[1:], self.weight_shape[2:], self.stride, self.padding, strict=True
        )
        return (self.filters, *((n + 2 * pad - k) // step + 1 for n, k, step, pad in spatial))

    @property
    def positions(self) -> int:
        """Output positions a filter is applied at (D * H * W of the output); 1 for linear."""
        return math.prod(self.output_shape[1:])

    @property
    def outputs(self) -> int:
        """Output values of one application of the layer."""
        return math.prod(self.output_shape)

    @property
    def inputs(self) -> int:
        """Input values of one application of the layer, padding left out."""
        return math.prod(self.input_shape)

    @property
    def weights(self) -> int:
        """Weights of the layer."""
        return math.prod(self.weight_shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one application; products with padding zeros are counted too."""
        return self.outputs * self.fan_in

    @property
    def applications(self) -> int:
        """How often the layer is computed to classify one pixel: once, or once a time step."""
        return 1 if self.repeats_input else self.time_steps


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The weight layers of a network, first layer first.

    Raises `InputError` when there is no layer, or two share a name.
    """

    name: str
    """What the layers belong to, for example the run and its scene."""
    layers: tuple[Layer, ...]
    """In the order in which data passes them."""

    def __post_init__(self) -> None:
        check_text("name", self.name)
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise refuse("layers", [], "at least one layer")
        names = [layer.name for layer in self.layers]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise refuse("layers", repeated[0], "each name once")

    @classmethod
    def from_json(cls, path: str | Path) -> Workload:
        """Read and check a workload file; `InputError` names file, layer and field."""
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
            # not UTF-8, an integer of thousands of digits, or nested without end
            raise InputError(f"{path}: not JSON that can be read: {shown(str(error))}") from None

    def to_json(self, path: str | Path) -> None:
        """Write the file `from_json` reads, whole or not at all; `InputError` if it cannot be."""
        content = {"schema": SCHEMA, **asdict(self)}
        with replacing(path) as file:
            file.write(json.dumps(content, indent=2) + "\n")


def _sizes(field: str, value: object, length: int, least: int) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or len(value) != length:
        raise refuse(field, value, f"a list of {length} whole numbers")
    return tuple(
        check_integer(f"{field}[{place}]", item, least) for place, item in enumerate(value)
    )


def _no_repeated_key(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the field {shown(repeated)} is given twice")
    return table


def _workload(content: object) -> Workload:
    table = check_table(content, "the file")
    # the version comes first: a file of another schema must not be blamed for its fields
    if type(table.get("schema", SCHEMA)) is not int or table.get("schema", SCHEMA) != SCHEMA:
        raise refuse("schema", table["schema"], f"{SCHEMA}, the version this program reads")
    check_keys(table, ("schema", *(field.name for field in fields(Workload))))
    if not isinstance(table["layers"], list):
        raise refuse("layers", table["layers"], "a list of layers")
    layers = tuple(_layer(index, entry) for index, entry in enumerate(table["layers"]))
    return Workload(name=check_text("name", table["name"]), layers=layers)


def _layer(index: int, entry: object) -> Layer:
    table = check_table(entry, f"layers[{index}]")
    try:
        check_keys(table, [field.name for field in fields(Layer)])
    except InputError as error:
        raise InputError(f"layer {shown(table.get('name', index))}: {error}") from None
    return Layer(**table)  # type: ignore[arg-type]  # Layer checks every type itself
