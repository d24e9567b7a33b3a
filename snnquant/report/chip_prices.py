"""Energies of a run's networks on a chip, as its page shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Breakdown = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
"""Energies in nJ per pixel by schedule, network, layer and component."""


@dataclass(frozen=True)
class Factor:
    """A digital quantity over the same in memory; above 1 in memory is better.

    >>> Factor(1.5, 0.9, 2.5).decided, f"{Factor(1.5, 0.9, 2.5)}"
    (False, '1.50x (0.90 to 2.50)')
    """

    value: float
    low: float
    """Lower end of the 80 % interval."""
    high: float
    """Upper end of the 80 % interval."""

    @property
    def decided(self) -> bool:
        """True where the whole interval lies on one side of 1."""
        return self.low > 1 or self.high < 1

    def __str__(self) -> str:
        """Return the factor and its interval, for a table."""
        return f"{self.value:.2f}x ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class InMemory:
    """Layers in memory against the same layers in digital logic."""

    energy: Factor
    delay: Factor
    edp: Factor
    digital_nj: float
    """Energy of the digital design in nJ per pixel."""
    in_memory_nj: float
    """Energy of the design in memory in nJ per pixel."""


@dataclass(frozen=True)
class ChipPrices:
    """Energies of the networks of a run on its chip, memory included."""

    chip: str
    """Name or file of the chip."""
    alone: Breakdown
    """Energies of a pixel classified on its own."""
    in_map: Breakdown | None = None
    """Energies per pixel of a map; None where windows share nothing."""
    network: InMemory | None = None
    """The trained SNN with all layers in memory; None where the chip has no macros for them."""
    hardware: str = ""
    """Name or file of the hardware of the first layer."""
    first_layer: InMemory | None = None
    """The first layer of the trained SNN in memory."""

    def places(self) -> Iterator[tuple[bool, Breakdown]]:
        """Yield whether the pixel is one of a map, and its energies."""
        yield False, self.alone
        if self.in_map is not None:
            yield True, self.in_map
