"""The socket for cost tables: base class, registry, and the sum over a network's layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar, get_args

from pim_sim.registry import Registry
from snnquant.energy.counts import Accumulates, LayerActivity
from snnquant.energy.operand_widths import Counts
from snnquant.errors import InputError

Unit = Literal["pJ", "bit operations"]
"""Units of a price: energy, or effort that says nothing of a technology."""


class Cost(ABC):
    """A price of counted operations.

    A cost table derives from this class, in one file, and is registered by name with
    `register_cost`; tables that are only numbers are TOML files, see `snnquant.energy.cost_tables`.

    >>> class Products(Cost):
    ...     unit = "bit operations"
    ...     description = "products only"
    ...     def price(self, counts):
    ...         return sum(n for operation, n in counts.items() if operation.kind == "mac")
    >>> from snnquant.energy.operand_widths import Operation
    >>> Products().price({Operation("mac", 6, 8, 20): 100.0, Operation("add", 20, 20): 10.0})
    100.0
    """

    name: str = ""
    """Name of its columns in the reports."""
    unit: Unit = "pJ"
    """Unit of a price."""
    description: str = ""
    """Technology and counting, in one line."""
    accumulates: Accumulates = "exact"
    """Count that its accumulates go with."""

    @abstractmethod
    def price(self, counts: Counts) -> float:
        """Return the price of operations by kind and widths, in its unit."""

    def of(self, activity: Sequence[LayerActivity]) -> float:
        """Return the price per classified pixel of layers, the sum of those of each.

        Args:
            activity: Layers, as `measure` returns them.

        >>> from snnquant.energy import COSTS
        >>> from snnquant.nn import LayerInfo
        >>> info = LayerInfo("dense", "linear", (4,), (2, 4), (2,), (), (), 8)
        >>> layer = LayerActivity(info, False, 1.0, mac=8.0, ac=0.0, ac_by_rate=0.0)
        >>> round(COSTS.get("horowitz").of([layer]), 1)
        36.8
        """
        return sum((self.price(layer.operations(self.accumulates)) for layer in activity), 0.0)


COSTS: Registry[Cost] = Registry("cost table")
"""Cost tables by name, in the order in which they are shown."""
C = TypeVar("C", bound=Cost)


def add_cost(name: str, cost: Cost) -> None:
    """Register a cost table, such as one that `read_cost_table` has read.

    Args:
        name: Name of its columns in the reports.
        cost: The table.

    Raises:
        InputError: The name is taken, or the unit is unknown.
    """
    if cost.unit not in get_args(Unit):
        expected = " or ".join(get_args(Unit))
        raise InputError(f"cost table {name!r}: unit: found {cost.unit!r}, expected {expected}")
    cost.name = name
    COSTS.register(name)(cost)


def register_cost(name: str) -> Callable[[type[C]], type[C]]:
    """Make the decorated class the cost table `name`.

    Args:
        name: Name of its columns in the reports.

    Returns:
        The decorator of a subclass of `Cost` that is built without arguments.

    Raises:
        InputError: The name is taken, or the unit is unknown.

    >>> @register_cost("gates")
    ... class Gates(Cost):
    ...     unit = "bit operations"
    ...     def price(self, counts):
    ...         return sum(n * operation.i * operation.j for operation, n in counts.items())
    >>> COSTS.get("gates").unit
    'bit operations'
    >>> _ = COSTS._entries.pop("gates")  # only an example
    """

    def add(cls: type[C]) -> type[C]:
        add_cost(name, cls())
        return cls

    return add
