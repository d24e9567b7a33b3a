"""Layers without weights: poolings, and additions of residuals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pim_sim.errors import InputError
from pim_sim.schema import check_choice, check_integer, check_text, refuse, set_field, shown
from pim_sim.workload.layer import MAX_BITS, sizes

OperationKind = Literal["max_pool", "average_pool", "add"]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A layer without weights: a pooling, or the addition of a residual.

    Arguments are the fields below; shapes are channels first, without a batch axis.

    Raises:
        InputError: a value is impossible; one line names operation and field.

    >>> pool = Operation(name="pool", kind="max_pool", input_shape=(8, 6, 6), kernel=(2, 2),
    ...                  stride=(2, 2), padding=(0, 0), bits=8)
    >>> pool.outputs, pool.additions
    (72, 216)
    """

    name: str
    """Name in its network."""
    kind: OperationKind
    """max_pool, average_pool or add."""
    input_shape: tuple[int, ...]
    """Channels first; of add, that of each of its two operands."""
    bits: int
    """Bits of an input value; 1 for spikes."""
    kernel: tuple[int, ...] = ()
    """One number per spatial axis; () for add."""
    stride: tuple[int, ...] = ()
    """One number per spatial axis; () for that of the kernel."""
    padding: tuple[int, ...] = ()
    """Zeros at either end of each spatial axis; () for none."""
    time_steps: int = 1
    """Times that it is computed per pixel: once, or once per time step."""

    def __post_init__(self) -> None:
        check_text("operation name", self.name)
        try:
            self._check()
        except InputError as error:
            raise InputError(f"operation {shown(self.name)}: {error}") from None

    def _check(self) -> None:
        check_choice("kind", self.kind, get_args(OperationKind))
        check_integer("bits", self.bits, 1, MAX_BITS)
        check_integer("time_steps", self.time_steps, 1)
        if not isinstance(self.input_shape, list | tuple) or not 1 <= len(self.input_shape) <= 4:
            raise refuse("input_shape", self.input_shape, "a list of 1 to 4 whole numbers")
        axes = 0 if self.kind == "add" else len(self.input_shape) - 1
        if self.kind != "add":
            set_field(self, "stride", self.stride or self.kernel)
            set_field(self, "padding", self.padding or (0,) * axes)
        lengths = {"input_shape": (len(self.input_shape), 1), "kernel": (axes, 1)}
        lengths |= {"stride": (axes, 1), "padding": (axes, 0)}
        for field, (length, low) in lengths.items():
            set_field(self, field, sizes(field, getattr(self, field), length, low))
        spatial = zip(self.input_shape[1:], self.kernel, self.padding, strict=False)
        for size, kernel, pad in spatial:
            if kernel > size + 2 * pad:
                raise refuse("kernel", self.kernel, "a kernel within the padded input")

    @property
    def outputs(self) -> int:
        """Output values of one application."""
        if self.kind == "add":
            return math.prod(self.input_shape)
        spatial = zip(self.input_shape[1:], self.kernel, self.stride, self.padding, strict=True)
        return self.input_shape[0] * math.prod((n + 2 * p - k) // s + 1 for n, k, s, p in spatial)

    @property
    def operands(self) -> int:
        """Input values of one application."""
        return math.prod(self.input_shape) * (2 if self.kind == "add" else 1)

    @property
    def additions(self) -> int:
        """Additions, or comparisons, of one application."""
        return self.outputs * (1 if self.kind == "add" else max(math.prod(self.kernel) - 1, 1))
