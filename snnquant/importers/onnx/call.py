"""A node of an ONNX graph as its operator reads it: what is not read is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from snnquant.nn import builders
from snnquant.nn.builders import Refused

Array = NDArray[Any]


@dataclass
class Call:
    """A node: attributes, names of its inputs, which of them are constants, shapes of the others.

    `producer` is the layer before it with its name, where no other node takes that layer's output.
    `version` is that of the operators. `biases` collects the constants that became the bias of an
    earlier layer: (name in the file, name in the network).
    """

    attributes: dict[str, Any]
    names: list[str]
    constants: list[Array | None]
    shapes: list[tuple[int, ...]]
    version: int
    producer: tuple[str, nn.Module] | None
    biases: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.unread = set(self.attributes)

    def get(self, name: str, default: Any = None) -> Any:
        """Read an attribute, by default `default`."""
        self.unread.discard(name)
        return self.attributes.get(name, default)

    def constant(self, place: int, attribute: str = "") -> Array | None:
        """Read an input that must be constant if given; older operators had an attribute."""
        if attribute in self.attributes:
            return np.asarray(self.get(attribute))
        if place >= len(self.names) or not self.names[place]:
            return None
        value = self.constants[place]
        if value is None:
            raise Refused(f"found input {self.names[place][:100]!r} computed, expected a constant")
        return value

    def weights(self, *names: str) -> dict[str, tuple[str, Array]]:
        """Read the constant inputs from the second on as a layer's tensors."""
        found = {}
        for place, name in enumerate(names, start=1):
            value = self.constant(place)
            if value is not None:
                found[name] = (self.names[place], value)
        return found

    def require(self, **expected: Any) -> None:
        """Refuse attributes that are given with another value than the one expected."""
        for name, value in expected.items():
            found = self.get(name, value)
            if found != value:
                raise Refused(f"found {name} {found!r}, expected {value!r}")

    def require_all_read(self) -> None:
        """Refuse attributes that were not read."""
        if self.unread:
            raise Refused(f"found the attribute {min(self.unread)!r}, which is not known here")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the only activation; refused where a second one or a constant comes first."""
        if len(self.shapes) != 1 or self.constants[0] is not None:
            raise Refused("found other inputs than one activation, then constants")
        return self.shapes[0]

    def layer(self, kind: str, *settings: Any, **named: Any) -> nn.Module:
        """Make a layer for as many axes as the activation has after batch and channels."""
        return builders.for_axes(kind, self.shape, *settings, **named)
